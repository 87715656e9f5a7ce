//! Random worlds: roles, what somebody holds, and what is asked of which resources.

use crate::host::Method;
use crate::request::UploadWay;
use crate::resource::Level;
use crate::testing::Random;

pub(super) const PERMISSIONS: [&str; 6] = ["all", "view", "download", "share", "edit-labels", "upload"];
pub(super) const LABELS: [&str; 3] = ["l1", "l2", "l3"];
pub(super) const ROLES: [&str; 4] = ["r1", "r2", "r3", "r4"];
pub(super) const METHODS: [Method; 4] = [Method::Get, Method::Post, Method::Put, Method::Delete];

/// A resource, as texts: study, series, instance, each with identifier and UID; a missing one is empty.
#[derive(Clone, Debug)]
pub(super) struct Thing {
    pub(super) study: (&'static str, &'static str),
    pub(super) series: (&'static str, &'static str),
    pub(super) instance: (&'static str, &'static str),
    pub(super) labels: Vec<&'static str>,
}

#[derive(Clone, Debug)]
pub(super) struct Link {
    /// Level, identifier, UID; a missing one is empty.
    pub(super) resources: Vec<(Level, &'static str, &'static str)>,
    pub(super) maker: Option<Vec<&'static str>>,
    /// What it brings in: nothing, new studies, or (true) annotations.
    pub(super) annotates: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Asked {
    Open,
    Own,
    Resources,
    Search,
    Label(&'static str, bool),
    Upload(UploadWay),
    Body,
    Owned(bool),
    Lost,
    Closed,
    Unknown,
}

#[derive(Clone, Debug)]
pub(super) struct World {
    /// What each role gives: permissions and labels, `*` for all of them.
    pub(super) roles: Vec<(&'static str, Vec<&'static str>, Vec<&'static str>)>,
    pub(super) held: Vec<&'static str>,
    /// Narrowing, as a key has it.
    pub(super) only_permissions: Option<Vec<&'static str>>,
    pub(super) only_labels: Option<Vec<&'static str>>,
    pub(super) link: Option<Link>,
    pub(super) expires: Option<i64>,
    pub(super) method: Method,
    pub(super) rule: Option<Vec<&'static str>>,
    pub(super) asked: Asked,
    pub(super) things: Vec<Thing>,
}

pub(super) const NOW: i64 = 1_000;

pub(super) fn things() -> [Thing; 5] {
    let thing = |study, series, instance| Thing { study, series, instance, labels: Vec::new() };
    const NONE: (&str, &str) = ("", "");
    [
        thing(("s1", "1"), NONE, NONE),
        thing(("s1", "1"), ("e1", "1.1"), NONE),
        thing(("s1", "1"), ("e1", "1.1"), ("i1", "1.1.1")),
        // The same UIDs in another patient's study.
        thing(("s2", "1"), ("e2", "1.1"), ("i2", "1.1.1")),
        thing(("s3", "3"), NONE, NONE),
    ]
}

pub(super) fn any_world(random: &mut Random) -> World {
    let labels = |random: &mut Random| {
        let mut labels = random.some(&LABELS);
        if random.chance(10) {
            labels.push("*");
        }
        labels
    };
    let roles = ROLES[..3].iter().map(|name| (*name, random.some(&PERMISSIONS), labels(random))).collect();
    let linked = [
        (Level::Study, "s1", "1"),
        (Level::Series, "e1", "1.1"),
        (Level::Instance, "i1", "1.1.1"),
        (Level::Study, "s3", "3"),
    ];
    let link = random.chance(40).then(|| Link {
        resources: (0..random.below(3))
            .map(|_| {
                let (level, id, uid) = random.pick(&linked);
                // A wrong UID beside a right identifier, too.
                let uid = if random.chance(10) { "9" } else { uid };
                match random.below(3) {
                    0 => (level, id, ""),
                    1 => (level, "", uid),
                    _ => (level, id, uid),
                }
            })
            .collect(),
        maker: random.chance(70).then(|| random.some(&ROLES)),
        annotates: random.chance(50).then(|| random.chance(50)),
    });
    let all = things();
    World {
        roles,
        held: random.some(&ROLES),
        only_permissions: random.chance(20).then(|| random.some(&PERMISSIONS)),
        only_labels: random.chance(20).then(|| labels(random)),
        link,
        expires: random.chance(20).then(|| NOW - 1 + random.below(3) as i64),
        method: random.pick(&METHODS),
        rule: random.chance(95).then(|| random.some(&PERMISSIONS[..3])),
        asked: match random.below(16) {
            0 => Asked::Open,
            1 => Asked::Own,
            2..=5 => Asked::Resources,
            6..=7 => Asked::Search,
            8 => Asked::Label(random.pick(&LABELS), random.chance(70)),
            9 => Asked::Lost,
            10 => Asked::Closed,
            11 => Asked::Upload(random.pick(&[UploadWay::Files, UploadWay::IntoStudy, UploadWay::Made])),
            12..=13 => Asked::Body,
            14 => Asked::Owned(random.chance(50)),
            _ => Asked::Unknown,
        },
        things: (0..random.below(4))
            .map(|_| Thing { labels: random.some(&LABELS), ..all[random.below(all.len())].clone() })
            .collect(),
    }
}
