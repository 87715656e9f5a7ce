//! The decision: two gates, both must pass (decision 1). Pure: facts in, verdict out.

use std::collections::BTreeSet;

use super::rights::{Labels, Rights};
use super::rules::Rule;
use crate::clock::UnixTime;
use crate::host::Method;
use crate::request::UploadWay;

/// One credential's holder, as far as the policy needs to know.
#[derive(Clone, Debug)]
pub struct Holder<'a> {
    /// Permissions and labels.
    pub rights: &'a Rights,
    /// For the holder of a share link: what it opens.
    pub link: Option<&'a LinkScope>,
    /// When the credential ends.
    pub expires_at: Option<UnixTime>,
}

/// What a share link opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkScope {
    /// The resources; never empty for a link that reads.
    pub resources: Vec<LinkedResource>,
    /// The rights of whoever made it, today; `None` for links without a record of their maker.
    pub maker: Option<Rights>,
    /// The maker must hold one of these still.
    pub maker_needs: &'static [&'static str],
    /// Whether archives and media may be fetched (decision 21).
    pub download: bool,
    /// What may be brought in by it; `None`: nothing.
    pub uploads: Option<LinkUploads>,
}

impl LinkScope {
    /// Whether its maker may make such links today. Old ones have no record of their maker; where they are accepted they
    /// read, and bring nothing in.
    #[must_use]
    pub fn maker_may(&self) -> bool {
        self.maker.as_ref().is_none_or(|maker| holds_one(maker, self.maker_needs))
    }
}

fn holds_one(rights: &Rights, permissions: &[&str]) -> bool {
    permissions.iter().any(|permission| rights.holds(permission))
}

/// What the holder of a link may bring in, and how much of it in the link's whole life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkUploads {
    /// Into which studies.
    pub into: UploadTarget,
    /// So many instances at most.
    pub most_instances: Option<u64>,
    /// So many bytes at most.
    pub most_bytes: Option<u64>,
}

/// Into which studies the holder of a link may bring something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UploadTarget {
    /// New ones, which are given these labels.
    New(Vec<String>),
    /// Those of the link, and annotations only.
    Annotated,
}

impl LinkUploads {
    /// Whether images may come from the link's holder in this way; each of them is then decided by itself.
    const fn takes(&self, way: UploadWay) -> bool {
        match (&self.into, way) {
            (_, UploadWay::Made) | (UploadTarget::New(_), UploadWay::IntoStudy) => false,
            (_, UploadWay::Files) | (UploadTarget::Annotated, UploadWay::IntoStudy) => true,
        }
    }
}

/// What the maker of a link needs beyond what its type asks for, as long as the link may annotate.
pub const ANNOTATING: [&str; 2] = ["all", "upload"];

/// One resource of a link. At least one of the identifiers is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkedResource {
    /// Study, series or instance.
    pub level: crate::level::Level,
    /// Orthanc identifier.
    pub orthanc_id: Option<String>,
    /// DICOM UID.
    pub dicom_uid: Option<String>,
}

/// A resource with its study, as the server knows it.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// Orthanc identifier and UID of the study.
    pub study: (&'a str, &'a str),
    /// The study's labels.
    pub labels: &'a BTreeSet<String>,
    /// Orthanc identifier and UID of the series, when the resource is a series or lies in one.
    pub series: Option<(&'a str, &'a str)>,
    /// Orthanc identifier and UID of the instance, when the resource is one.
    pub instance: Option<(&'a str, &'a str)>,
    /// How much of it is touched.
    pub reach: Reach,
}

/// How much of a resource a request touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// All of it.
    Whole,
    /// Only what its holder may see in it: it is on the way to something below that is named too, or the answer is taken
    /// from what they may see. To a user, who sees a study wholly or not at all, that is the same as all of it.
    Part {
        /// Whether the holder's link opens something in it.
        linked: bool,
    },
}

/// What a request asks for, after everything that it names was looked up.
#[derive(Clone, Debug)]
pub enum Demand<'a> {
    /// No patient data.
    Open,
    /// One of our own routes: its handler decides.
    Own,
    /// Instances are brought in; each is decided by itself when it arrives.
    Upload(UploadWay),
    /// Exactly these resources.
    Resources(&'a [Facts<'a>]),
    /// A search, which is answered from the allowed studies; these resources are named in it.
    Search(&'a [Facts<'a>]),
    /// A body that is looked into later; these resources are named in the path. Links only read.
    Body(&'a [Facts<'a>]),
    /// A job or a query: whether it is the holder's own.
    Owned(bool),
    /// A label is added to or taken from these resources.
    Label {
        /// The resources.
        resources: &'a [Facts<'a>],
        /// The label.
        label: &'a str,
        /// Whether the roles document lets the label be added or removed.
        available: bool,
    },
    /// Something that is named cannot be found, or cannot be found out.
    UnknownResource,
    /// A route that is not looked into.
    Closed,
    /// A route that is another plugin's here.
    AnotherPlugins,
    /// A route that nobody knows.
    UnknownRoute,
}

/// The verdict on one credential.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Both gates passed.
    Granted,
    /// One did not.
    Refused(Refusal),
}

/// Why a credential was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Refusal {
    /// No permission rule matches: nobody may.
    #[error("no permission rule matches this method and path")]
    NoRule,
    /// The credential ended.
    #[error("the credential has expired")]
    Expired,
    /// None of the rule's permissions is held.
    #[error("none of the required permissions is held")]
    MissingPermission,
    /// Whoever made the link may not make it any more.
    #[error("the maker of the link has lost the permission to make it")]
    MakerLostPermission,
    /// A link reads, or does the one thing more that it was made for; this is neither.
    #[error("a share link only reads, or does what it was made for")]
    LinkOnlyReads,
    /// The link was made without them.
    #[error("the link gives no archives and media")]
    LinkWithoutDownload,
    /// The route table does not know the route.
    #[error("the route is unknown, so only for those who hold all labels")]
    UnknownRoute,
    /// The route is not looked into.
    #[error("the route is only for those who hold all labels")]
    ClosedRoute,
    /// Our callback for the route is not reached.
    #[error("another plugin answers the route, so only for those who hold all labels")]
    AnotherPlugins,
    /// Something named is unknown, or cannot be found out.
    #[error("a named resource is unknown")]
    UnknownResource,
    /// A study is not among the allowed ones.
    #[error("a study lies outside the authorized labels")]
    ForeignStudy,
    /// A resource is not among those of the link.
    #[error("a resource lies outside the share link")]
    OutsideLink,
    /// The job or query was started by somebody else, or before a restart, or is unknown.
    #[error("the job or query is not their own")]
    NotTheOwner,
    /// The label is not the holder's own.
    #[error("the label is not one of the authorized labels")]
    ForeignLabel,
    /// The label is not one of `available-labels`.
    #[error("the label is not one of the available labels")]
    UnavailableLabel,
    /// The server would keep all of it in memory before a handler of ours could refuse it.
    #[error("the body is too long, or does not say its length")]
    BodyTooLong,
    /// The server would unpack it into memory before anybody could measure it.
    #[error("a body that a link sends must not be compressed")]
    EncodedBody,
    /// By any other way the server takes files apart before we see them, and some end it.
    #[error("an inbox link brings files and archives in by POST /instances only")]
    InboxByInstancesOnly,
    /// The server would call the route once for each part of the form, with the part's headers in place of the
    /// request's.
    #[error("forms with files (multipart/form-data) are taken at /instances only, and not from links")]
    FormBody,
    /// The server would keep the pieces until it has all of them, or for good.
    #[error("a file in pieces (X-File-Size) is only for those who hold all labels")]
    FileInPieces,
}

/// What the first gate says of one credential, which is all that the second can be asked with.
#[must_use]
pub struct FirstGate<'a> {
    holder: &'a Holder<'a>,
    passed: Result<(), Refusal>,
}

impl<'a> FirstGate<'a> {
    /// Asks the first gate: a rule matches, one of its permissions is held, and `more`, which is asked for nobody else,
    /// has nothing against it either.
    pub fn ask(
        holder: &'a Holder<'a>,
        rule: Option<&Rule>,
        now: UnixTime,
        more: impl FnOnce() -> Result<(), Refusal>,
    ) -> Self {
        Self { holder, passed: first_gate(holder, rule, now).and_then(|()| more()) }
    }

    /// Whether the second gate depends on what the request names: nobody else has it looked up.
    #[must_use]
    pub fn asks_resources(&self) -> bool {
        self.passed.is_ok() && !is_unlimited(self.holder)
    }

    /// Decides for the whole request.
    pub fn decide(self, method: Method, demand: &Demand<'_>) -> Decision {
        match self.passed.and_then(|()| second_gate(self.holder, method, demand)) {
            Ok(()) => Decision::Granted,
            Err(refusal) => Decision::Refused(refusal),
        }
    }
}

/// The first gate: a rule matches, and one of its permissions is held.
pub fn first_gate(holder: &Holder<'_>, rule: Option<&Rule>, now: UnixTime) -> Result<(), Refusal> {
    if holder.expires_at.is_some_and(|end| end <= now) {
        return Err(Refusal::Expired);
    }
    let rule = rule.ok_or(Refusal::NoRule)?;
    if rule.held_by(holder.rights).is_none() {
        return Err(Refusal::MissingPermission);
    }
    Ok(())
}

/// Whether somebody is past the second gate whatever is asked: all labels, and no link.
#[must_use]
pub fn is_unlimited(holder: &Holder<'_>) -> bool {
    holder.link.is_none() && holder.rights.labels == Labels::All
}

/// The second gate: for whoever does not hold all labels, the route is known and everything that it touches is allowed.
fn second_gate(holder: &Holder<'_>, method: Method, demand: &Demand<'_>) -> Result<(), Refusal> {
    if let Demand::Label { available: false, .. } = demand {
        return Err(Refusal::UnavailableLabel);
    }
    if is_unlimited(holder) {
        return Ok(());
    }
    if let Some(link) = holder.link {
        if !link.maker_may() {
            return Err(Refusal::MakerLostPermission);
        }
        if let Demand::Upload(way) = demand {
            let uploads = link.uploads.as_ref().filter(|uploads| method == Method::Post && uploads.takes(*way));
            let uploads = uploads.ok_or(Refusal::LinkOnlyReads)?;
            let maker_may = || link.maker.as_ref().is_some_and(|maker| holds_one(maker, &ANNOTATING));
            let may = uploads.into != UploadTarget::Annotated || maker_may();
            return if may { Ok(()) } else { Err(Refusal::MakerLostPermission) };
        }
        if method != Method::Get && !matches!(demand, Demand::Search(_) | Demand::Own) {
            return Err(Refusal::LinkOnlyReads);
        }
    }
    match demand {
        Demand::Open | Demand::Own | Demand::Upload(_) => Ok(()),
        Demand::Resources([]) | Demand::UnknownResource => Err(Refusal::UnknownResource),
        Demand::Owned(true) => Ok(()),
        Demand::Owned(false) => Err(Refusal::NotTheOwner),
        Demand::Resources(resources) | Demand::Search(resources) | Demand::Body(resources) => {
            resources.iter().try_for_each(|facts| allow(holder, facts))
        }
        Demand::Label { resources, label, .. } => {
            if resources.is_empty() {
                return Err(Refusal::UnknownResource);
            }
            resources.iter().try_for_each(|facts| allow(holder, facts))?;
            if holder.rights.labels.show(label) { Ok(()) } else { Err(Refusal::ForeignLabel) }
        }
        Demand::Closed => Err(Refusal::ClosedRoute),
        Demand::AnotherPlugins => Err(Refusal::AnotherPlugins),
        Demand::UnknownRoute => Err(Refusal::UnknownRoute),
    }
}

/// Whether one resource may be touched.
pub fn allow(holder: &Holder<'_>, facts: &Facts<'_>) -> Result<(), Refusal> {
    let Some(link) = holder.link else {
        return if holder.rights.labels.allow(facts.labels) { Ok(()) } else { Err(Refusal::ForeignStudy) };
    };
    if !link.maker_may() {
        return Err(Refusal::MakerLostPermission);
    }
    let is_opened = || link.resources.iter().any(|resource| opens(resource, facts));
    if facts.reach != (Reach::Part { linked: true }) && !is_opened() {
        return Err(Refusal::OutsideLink);
    }
    // Nothing can be given away that the giver does not have (invariant 5): the maker must see the study today.
    match &link.maker {
        Some(maker) if !maker.labels.allow(facts.labels) => Err(Refusal::ForeignStudy),
        _ => Ok(()),
    }
}

/// Whether a link's resource is this resource or holds it. All identifiers that the link carries must agree, and it
/// must carry one.
fn opens(linked: &LinkedResource, facts: &Facts<'_>) -> bool {
    use crate::level::Level;
    let target = match linked.level {
        Level::Study => Some(facts.study),
        Level::Series => facts.series,
        Level::Instance => facts.instance,
        Level::Patient => None,
    };
    let Some((id, uid)) = target else { return false };
    let by_id = linked.orthanc_id.as_deref().map(|linked| linked == id);
    let by_uid = linked.dicom_uid.as_deref().map(|linked| linked == uid);
    match (by_id, by_uid) {
        (None, None) => false,
        (by_id, by_uid) => by_id.unwrap_or(true) && by_uid.unwrap_or(true),
    }
}

#[cfg(test)]
#[path = "decision_tests.rs"]
mod tests;
