//! The policy against a second one, written from docs/decisions.md in the plainest way: lists, loops and texts.
//!
//! `GATEHOUSE_WORLDS=100000000 cargo test --release --lib policy::` looks at that many random worlds.

#[path = "decision_tests/any_world.rs"]
mod any_world;

use any_world::*;

use super::*;
use crate::host::Method;
use crate::policy::roles::{Role, Roles};
use crate::request::UploadWay;
use crate::resource::Level;
use crate::testing::{Random, worlds};

// ── The second implementation ──────────────────────────────────────────────────────────────────────────────────────

fn union_of(world: &World, held: &[&str]) -> (Vec<&'static str>, Vec<&'static str>) {
    let (mut permissions, mut labels) = (Vec::new(), Vec::new());
    for (name, gives, sees) in &world.roles {
        if held.contains(name) {
            permissions.extend(gives);
            labels.extend(sees);
        }
    }
    (permissions, labels)
}

fn common(one: &[&str], other: &[&str]) -> bool {
    one.iter().any(|name| other.contains(name))
}

/// Every reason why not, so that nothing is said about which of them comes first.
fn reasons(world: &World) -> Vec<Refusal> {
    let (mut permissions, mut labels) = union_of(world, &world.held);
    if let Some(only) = &world.only_permissions {
        permissions.retain(|name| only.contains(name));
    }
    if let Some(only) = &world.only_labels
        && !only.contains(&"*")
    {
        labels = if labels.contains(&"*") {
            only.clone()
        } else {
            labels.into_iter().filter(|label| only.contains(label)).collect()
        };
    }
    let mut why = Vec::new();
    if world.expires.is_some_and(|end| end <= NOW) {
        why.push(Refusal::Expired);
    }
    match &world.rule {
        None => why.push(Refusal::NoRule),
        Some(needed) if !needed.is_empty() && !common(needed, &permissions) => why.push(Refusal::MissingPermission),
        Some(_) => {}
    }
    if let Asked::Label(_, false) = world.asked {
        why.push(Refusal::UnavailableLabel);
    }
    if world.link.is_none() && labels.contains(&"*") {
        return why;
    }
    if let Some(link) = &world.link {
        if link.maker.as_ref().is_some_and(|held| !common(&union_of(world, held).0, &["all", "share"])) {
            why.push(Refusal::MakerLostPermission);
        }
        if let Asked::Upload(way) = world.asked {
            let ways: &[UploadWay] = match link.annotates {
                None => &[],
                Some(false) => &[UploadWay::Files],
                Some(true) => &[UploadWay::Files, UploadWay::IntoStudy],
            };
            if world.method != Method::Post || !ways.contains(&way) {
                why.push(Refusal::LinkOnlyReads);
            }
            let held = link.maker.as_ref().map(|held| union_of(world, held).0).unwrap_or_default();
            if link.annotates == Some(true) && !common(&held, &["all", "upload"]) {
                why.push(Refusal::MakerLostPermission);
            }
        } else if world.method != Method::Get && world.asked != Asked::Search && world.asked != Asked::Own {
            why.push(Refusal::LinkOnlyReads);
        }
    }
    match world.asked {
        Asked::Lost => why.push(Refusal::UnknownResource),
        Asked::Closed => why.push(Refusal::ClosedRoute),
        Asked::Unknown => why.push(Refusal::UnknownRoute),
        Asked::Owned(false) => why.push(Refusal::NotTheOwner),
        Asked::Resources | Asked::Label(..) if world.things.is_empty() => why.push(Refusal::UnknownResource),
        _ => {}
    }
    if let Asked::Label(label, _) = world.asked
        && !labels.contains(&label)
        && !labels.contains(&"*")
    {
        why.push(Refusal::ForeignLabel);
    }
    if matches!(world.asked, Asked::Resources | Asked::Search | Asked::Body | Asked::Label(..)) {
        for thing in &world.things {
            match &world.link {
                None if !common(&thing.labels, &labels) => why.push(Refusal::ForeignStudy),
                None => {}
                Some(link) => {
                    let opened = link.resources.iter().any(|(level, id, uid)| {
                        let here = match level {
                            Level::Study => thing.study,
                            Level::Series => thing.series,
                            Level::Instance => thing.instance,
                            Level::Patient => ("", ""),
                        };
                        here != ("", "") && (*id == here.0 || id.is_empty()) && (*uid == here.1 || uid.is_empty())
                    });
                    if !opened {
                        why.push(Refusal::OutsideLink);
                    }
                    if let Some(held) = &link.maker {
                        let (_, sees) = union_of(world, held);
                        if !sees.contains(&"*") && !common(&thing.labels, &sees) {
                            why.push(Refusal::ForeignStudy);
                        }
                    }
                }
            }
        }
    }
    why
}

// ── The first implementation, asked ────────────────────────────────────────────────────────────────────────────────

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn ask(world: &World) -> Decision {
    let roles = Roles {
        roles: world
            .roles
            .iter()
            .map(|(name, permissions, labels)| {
                (name.to_string(), Role { permissions: owned(permissions), authorized_labels: owned(labels) })
            })
            .collect(),
        available_labels: Vec::new(),
    };
    let rights = roles
        .rights(world.held.iter().copied())
        .narrow_permissions(world.only_permissions.as_deref().map(owned).as_deref())
        .narrow_labels(world.only_labels.as_deref().map(owned).as_deref());
    let link = world.link.as_ref().map(|link| LinkScope {
        resources: link
            .resources
            .iter()
            .map(|(level, id, uid)| LinkedResource { level: *level, orthanc_id: some(id), dicom_uid: some(uid) })
            .collect(),
        maker: link.maker.as_ref().map(|held| roles.rights(held.iter().copied())),
        maker_needs: &["all", "share"],
        download: true,
        uploads: link.annotates.map(|annotates| LinkUploads {
            into: if annotates { UploadTarget::Annotated } else { UploadTarget::New(Vec::new()) },
            most_instances: None,
            most_bytes: None,
        }),
    });
    let labels: Vec<BTreeSet<String>> =
        world.things.iter().map(|thing| owned(&thing.labels).into_iter().collect()).collect();
    let present = |pair: (&'static str, &'static str)| (!pair.0.is_empty()).then_some(pair);
    let facts: Vec<Facts<'_>> = world
        .things
        .iter()
        .zip(&labels)
        .map(|(thing, labels)| Facts {
            study: thing.study,
            labels,
            series: present(thing.series),
            instance: present(thing.instance),
            reach: Reach::Whole,
        })
        .collect();
    let demand = match world.asked {
        Asked::Open => Demand::Open,
        Asked::Own => Demand::Own,
        Asked::Upload(way) => Demand::Upload(way),
        Asked::Body => Demand::Body(&facts),
        Asked::Owned(own) => Demand::Owned(own),
        Asked::Resources => Demand::Resources(&facts),
        Asked::Search => Demand::Search(&facts),
        Asked::Label(label, available) => Demand::Label { resources: &facts, label, available },
        Asked::Lost => Demand::UnknownResource,
        Asked::Closed => Demand::Closed,
        Asked::Unknown => Demand::UnknownRoute,
    };
    let rule = world.rule.as_ref().map(|needed| Rule {
        path: "".into(),
        method: world.method,
        pattern: String::new(),
        permissions: owned(needed),
        touches: None,
    });
    let holder = Holder { rights: &rights, link: link.as_ref(), expires_at: world.expires.map(UnixTime) };
    FirstGate::ask(&holder, rule.as_ref(), UnixTime(NOW), || Ok(())).decide(world.method, &demand)
}

fn is_granted(world: &World) -> bool {
    ask(world) == Decision::Granted
}

#[test]
fn both_implementations_agree_and_the_reason_given_is_a_true_one() {
    let (mut granted, mut total) = (0_u64, 0_u64);
    let mut random = Random(1);
    let mut seen = BTreeSet::new();
    for _ in 0..worlds(1_000_000) {
        let world = any_world(&mut random);
        let expected = reasons(&world);
        match ask(&world) {
            Decision::Granted => {
                assert_eq!(expected, [], "{world:#?}");
                granted += 1;
            }
            Decision::Refused(reason) => {
                assert!(expected.contains(&reason), "{reason:?} is not among {expected:?}: {world:#?}");
                seen.insert(reason);
            }
        }
        total += 1;
    }
    // Worlds that only ever refuse would prove nothing, and each reason has to come up.
    assert!(granted * 20 > total, "only {granted} of {total} are granted");
    assert_eq!(seen.len(), 13, "{seen:?}");
}

/// One random restriction; `None` when it does not apply to this world.
fn restrict(world: &World, random: &mut Random) -> Option<World> {
    let mut less = world.clone();
    fn drop_one<T>(list: &mut Vec<T>, random: &mut Random) -> Option<()> {
        if list.is_empty() {
            return None;
        }
        list.remove(random.below(list.len()));
        Some(())
    }
    match random.below(14) {
        0 => drop_one(&mut less.held, random)?,
        1 => drop_one(&mut less.roles, random)?,
        2 => {
            let at = random.below(less.roles.len());
            drop_one(&mut less.roles[at].1, random)?;
        }
        3 => {
            let at = random.below(less.roles.len());
            drop_one(&mut less.roles[at].2, random)?;
        }
        4 => drop_one(less.only_permissions.get_or_insert_with(|| PERMISSIONS.to_vec()), random)?,
        5 => {
            let narrowed = less.only_labels.get_or_insert_with(|| vec!["*"]);
            if narrowed.contains(&"*") {
                *narrowed = random.some(&LABELS);
            } else {
                drop_one(narrowed, random)?;
            }
        }
        6 => drop_one(&mut less.link.as_mut()?.resources, random)?,
        7 => drop_one(less.link.as_mut()?.maker.as_mut()?, random)?,
        8 => less.link.as_mut()?.maker = less.link.as_ref()?.maker.clone().or(Some(Vec::new())),
        9 => less.expires = Some(less.expires.map_or(NOW, |end| end - 1)),
        10 => {
            // A rule that asks for nothing lets anyone through: its first permission is a restriction, its loss is not.
            let rule = less.rule.as_mut()?;
            if rule.len() == 1 {
                return None;
            }
            drop_one(rule, random)?;
        }
        11 => {
            // One more thing that the request touches. Where none is touched the request is refused anyway.
            if less.things.is_empty() && !matches!(less.asked, Asked::Search | Asked::Body) {
                return None;
            }
            less.things.push(Thing { labels: random.some(&LABELS), ..things()[random.below(5)].clone() });
        }
        12 => {
            less.asked = match less.asked {
                Asked::Owned(true) => Asked::Owned(false),
                Asked::Label(label, true) => Asked::Label(label, false),
                _ => return None,
            }
        }
        _ => {
            let at = random.below(less.things.len().max(1));
            drop_one(&mut less.things.get_mut(at)?.labels, random)?;
        }
    }
    Some(less)
}

#[test]
fn a_restriction_never_grants() {
    let mut random = Random(2);
    let mut compared = 0_u64;
    for _ in 0..worlds(200_000) {
        let world = any_world(&mut random);
        let Some(less) = restrict(&world, &mut random) else { continue };
        if is_granted(&less) {
            assert!(is_granted(&world), "granted only with less:\n{world:#?}\n{less:#?}");
            compared += 1;
        }
    }
    assert!(compared > 100, "{compared}");
}

#[test]
fn the_order_of_lists_does_not_matter() {
    let mut random = Random(3);
    for _ in 0..worlds(100_000) {
        let world = any_world(&mut random);
        let mut other = world.clone();
        other.roles.reverse();
        other.held.reverse();
        other.things.reverse();
        other.roles.iter_mut().for_each(|(_, permissions, labels)| {
            permissions.reverse();
            labels.reverse();
        });
        if let Some(rule) = &mut other.rule {
            rule.reverse();
        }
        if let Some(link) = &mut other.link {
            link.resources.reverse();
        }
        // Roles listed twice give no more.
        other.held.extend(world.held.clone());
        assert_eq!(is_granted(&world), is_granted(&other), "{world:#?}");
    }
}

#[test]
fn a_link_gives_no_more_than_its_maker_has() {
    let mut random = Random(4);
    let mut granted = 0_u64;
    for _ in 0..worlds(200_000) {
        let world = any_world(&mut random);
        let Some(Link { maker: Some(maker), .. }) = &world.link else { continue };
        if !matches!(world.asked, Asked::Resources) || !is_granted(&world) {
            continue;
        }
        // The same things asked by the maker, by a rule that asks for nothing.
        let asked_by_maker = World {
            held: maker.clone(),
            only_permissions: None,
            only_labels: None,
            link: None,
            rule: Some(Vec::new()),
            ..world.clone()
        };
        assert!(is_granted(&asked_by_maker), "{world:#?}");
        granted += 1;
    }
    assert!(granted > 20, "{granted}");
}

#[test]
fn every_refusal_is_explained_on_the_operations_page() {
    let page = include_str!("../../docs/operations.md");
    let (_, rest) = page.split_once("<!-- refusals -->").unwrap();
    let (table, _) = rest.split_once("<!-- end of refusals -->").unwrap();
    let mut explained: Vec<&str> =
        table.lines().filter_map(|row| row.strip_prefix("| ")?.split(" | ").next()).skip(1).collect();
    let (_, rest) = include_str!("decision.rs").split_once("pub enum Refusal {").unwrap();
    let (refusals, _) = rest.split_once("\n}\n").unwrap();
    let mut given: Vec<&str> =
        refusals.lines().filter_map(|line| line.trim().strip_prefix("#[error(\"")?.strip_suffix("\")]")).collect();
    explained.sort_unstable();
    given.sort_unstable();
    assert!(given.contains(&Refusal::NoRule.to_string().as_str()), "{given:?}");
    assert_eq!(explained, given);
}
