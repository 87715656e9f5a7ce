//! Instances on their way in: whether they may, and which labels their study is given.
//!
//! Every way in ends here: files, archives, STOW-RS, images made by `create-dicom`, C-STORE, the results of jobs. What
//! comes with the HTTP request of somebody limited must go into a study that they may see, or that is new, or that they
//! created today and nobody has labelled (decision 18). All else is trusted as Orthanc trusts it.
//!
//! Knows nothing of routes, bodies or formats.
#![forbid(unsafe_code)]

mod claims;
mod head;
mod identifiers;
#[cfg(test)]
mod link_tests;
mod links;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use claims::{Claimed, Claims};
use head::Head;
use identifiers::Identifiers;
use links::Step;

use crate::clock::UnixTime;
use crate::config::Uploader;
use crate::host::Host;
use crate::identity::{self, Identity};
use crate::person::Person;
use crate::pieces::facts;
use crate::policy::decision;
use crate::request::{Origin, ReceivedInstance};
use crate::resource::{self, Level, Located, ResourceError, Resources, Study};
use crate::route::is_uid;
use crate::store::{CreatedStudy, Store, StoreError};
use crate::top_level;

/// Decides on instances, and labels what they create.
pub struct Uploads {
    host: Arc<dyn Host>,
    labels: Vec<(Uploader, Vec<String>)>,
    claims: Claims,
    store: Arc<dyn Store>,
    /// Whether an instance that comes again replaces the one that is there.
    overwrites: bool,
}

/// What is to become of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is stored.
    Taken,
    /// It is not, and whoever sends it is told by the status of the instance.
    Dropped,
    /// It is not, and the request fails: for whoever does not look at the status of an instance.
    Failed,
}

/// Why an instance of somebody limited is refused.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("the request was not granted to anybody who uploads")]
    Nobody,
    #[error("the instance has no complete StudyInstanceUID")]
    NoStudy,
    #[error("its patient may have the Orthanc identifier of a study")]
    AmbiguousPatient,
    #[error("its study lies outside the authorized labels")]
    ForeignStudy,
    #[error("its study is here already, and did not come by this link")]
    HereAlready,
    #[error("its study is not one of the link's")]
    NotTheLinks,
    #[error("somebody else is creating its study")]
    Claimed,
    #[error("another series or instance has one of its UIDs")]
    TakenUid,
    #[error("its series holds something else")]
    ForeignSeries,
    #[error("it would replace what is here")]
    Replaces,
    #[error("it is no structured report, segmentation or presentation state")]
    NoAnnotation,
    #[error("the link has ended, or has brought in all that it may")]
    UsedUp,
    #[error("{0}")]
    Resource(#[from] ResourceError),
    #[error("the state cannot be written: {0}")]
    Store(#[from] StoreError),
}

impl Uploads {
    /// `labels` is `UploadLabels` of the configuration; `overwrites`, whether an instance that comes again replaces the
    /// one that is there.
    ///
    /// # Errors
    /// The state cannot be read.
    pub fn new(
        host: Arc<dyn Host>,
        store: Arc<dyn Store>,
        labels: Vec<(Uploader, Vec<String>)>,
        overwrites: bool,
    ) -> Result<Self, StoreError> {
        Ok(Self { host, labels, claims: Claims::load(Arc::clone(&store))?, store, overwrites })
    }

    /// Whether [`Self::look`] has anything to say of what this request brings: it is not granted to anybody who may see
    /// everything.
    #[must_use]
    pub fn must_look(granted: Option<&[Arc<Identity>]>) -> bool {
        granted.is_some_and(|granted| !granted.iter().any(|one| decision::is_unlimited(&one.holder())))
    }

    /// Whether an instance may go on to be compared with what the server has: some servers say then that they have it,
    /// before they ask whether it may be stored. Changes nothing.
    #[must_use]
    pub fn look(
        &self,
        resources: &Resources,
        instance: &ReceivedInstance<'_>,
        granted: &[Arc<Identity>],
        now: UnixTime,
    ) -> Verdict {
        let by_link = self.decide_links(resources, instance, granted, now, Step::Look);
        let uploaders: Vec<&Arc<Identity>> = granted.iter().filter(|one| one.link.is_none()).collect();
        match by_link {
            Ok(()) => Verdict::Taken,
            Err(refusal) if uploaders.is_empty() => {
                log_refusal(granted, instance, &refusal);
                Verdict::Failed
            }
            // Whether a study that is not there may be created is decided later.
            Err(_) => match self.is_foreign(resources, instance, &uploaders, now) {
                Ok(false) => Verdict::Taken,
                Ok(true) | Err(_) => {
                    log_refusal(granted, instance, &Refusal::ForeignStudy);
                    Verdict::Dropped
                }
            },
        }
    }

    fn is_foreign(
        &self,
        resources: &Resources,
        instance: &ReceivedInstance<'_>,
        uploaders: &[&Arc<Identity>],
        now: UnixTime,
    ) -> Result<bool, Refusal> {
        let uid = unambiguous_study_uid(instance)?;
        let studies = resources.studies_now(&uid)?;
        Ok(!studies.is_empty() && !self.is_allowed(uploaders, &uid, &studies, now)?)
    }

    /// Whether one identity is allowed for all these studies, which carry the same UID.
    fn is_allowed(
        &self,
        uploaders: &[&Arc<Identity>],
        uid: &str,
        studies: &[Study],
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        let claim = self.claims.of(uid, now)?;
        Ok(uploaders.iter().any(|identity| {
            studies.iter().all(|study| may_see(identity, study) || may_fill(identity, study, claim.as_ref()))
        }))
    }

    /// Whether an instance may be stored. `granted` are the identities that were granted the HTTP request that brings
    /// it; `None`: no request does.
    #[must_use]
    pub fn receive(
        &self,
        resources: &Resources,
        instance: &ReceivedInstance<'_>,
        granted: Option<&[Arc<Identity>]>,
        now: UnixTime,
    ) -> Verdict {
        let limited = granted.filter(|granted| !granted.iter().any(|one| decision::is_unlimited(&one.holder())));
        let labels = self.labels_of(instance, granted);
        let Some(identities) = limited else {
            // Whatever goes wrong here costs the labels, not the instance.
            if !labels.is_empty()
                && let Some(creator) = creators(instance, granted).first()
                && let Err(refusal) = self.claim_for_labels(resources, instance, creator, &labels, now)
            {
                log::warn!("an instance is stored without the labels of its uploader: {refusal}");
            }
            return Verdict::Taken;
        };
        let decided = self.decide(resources, instance, identities, &labels, now);
        let decided = match decided {
            Err(Refusal::Nobody) => self.decide_links(resources, instance, identities, now, Step::Take),
            // Whoever shows a link beside may do what the link may.
            Err(first) => self.decide_links(resources, instance, identities, now, Step::Take).map_err(|_| first),
            Ok(()) => Ok(()),
        };
        match decided {
            Ok(()) => Verdict::Taken,
            Err(refusal) => {
                log_refusal(identities, instance, &refusal);
                let by_links = !identities.is_empty() && identities.iter().all(|one| one.link.is_some());
                if by_links { Verdict::Failed } else { Verdict::Dropped }
            }
        }
    }

    /// Labels a study whose first instance was stored. `granted` as in [`Self::receive`].
    pub fn stored(
        &self,
        resources: &Resources,
        instance: &ReceivedInstance<'_>,
        id: &str,
        granted: Option<&[Arc<Identity>]>,
        now: UnixTime,
    ) {
        // Nearly always: only the first instance of a study is waited for.
        if !self.claims.is_waiting() {
            return;
        }
        let Some(uid) = study_uid(instance) else { return };
        let Some(claim) = self.claims.waiting(&uid, now) else { return };
        let creators = creators(instance, granted);
        let outcome = if creators.contains(&claim.creator) {
            self.settle(resources, claim, id)
        } else {
            // Whoever stores first has created it, so it is not for the claimant to add to, nor to label.
            let labels = self.labels_of(instance, granted);
            match creators.into_iter().next() {
                Some(creator) if !labels.is_empty() => {
                    self.settle(resources, CreatedStudy { creator, labels, created_at: now, ..claim }, id)
                }
                _ => self.claims.release(&uid).map_err(|error| error.to_string()),
            }
        };
        if let Err(fault) = outcome {
            log::error!("a new study is not labelled, and only its first instances are open to its uploader: {fault}");
        }
    }

    /// The server has started: studies may have gone since who created them was remembered, and may come again.
    pub fn started(&self, resources: &Resources) {
        for study in self.claims.confirmed() {
            if resources.study(&study) == Err(ResourceError::Unknown) {
                self.deleted(&study);
            }
        }
    }

    /// A resource is gone from the server.
    pub fn deleted(&self, id: &str) {
        if let Err(error) = self.claims.deleted(id) {
            log::error!("who created a study that was deleted cannot be forgotten: {error}");
        }
    }

    /// For somebody limited: one identity has to be allowed for all studies that the instance may end up in.
    fn decide(
        &self,
        resources: &Resources,
        instance: &ReceivedInstance<'_>,
        identities: &[Arc<Identity>],
        labels: &[String],
        now: UnixTime,
    ) -> Result<(), Refusal> {
        let uploaders: Vec<&Arc<Identity>> = identities.iter().filter(|one| one.link.is_none()).collect();
        let first = uploaders.first().ok_or(Refusal::Nobody)?;
        let uid = unambiguous_study_uid(instance)?;
        let before = self.claims.of(&uid, now)?;
        let studies = resources.studies_now(&uid)?;
        if studies.is_empty() {
            let claimant = before.as_ref().map(|claim| &claim.creator);
            let mine = uploaders.iter().map(|one| creator(one)).find(|person| Some(person) == claimant);
            let person = mine.unwrap_or_else(|| creator(first));
            return self.create(resources, &uid, &person, labels, before.as_ref(), now);
        }
        if self.is_allowed(&uploaders, &uid, &studies, now)? { Ok(()) } else { Err(Refusal::ForeignStudy) }
    }

    /// The study is not there: whoever is first may create it.
    fn create(
        &self,
        resources: &Resources,
        uid: &str,
        person: &Person,
        labels: &[String],
        before: Option<&CreatedStudy>,
        now: UnixTime,
    ) -> Result<(), Refusal> {
        let is_there = || Ok::<_, Refusal>(!resources.studies_now(uid)?.is_empty());
        match self.claims.claim_absent(uid, person, labels, before, now, is_there)? {
            Claimed::Now | Claimed::Before => Ok(()),
            Claimed::ByAnother => Err(Refusal::Claimed),
            Claimed::TooLate => Err(Refusal::ForeignStudy),
        }
    }

    /// For whoever may upload everything: claims a new study, so that it is labelled.
    fn claim_for_labels(
        &self,
        resources: &Resources,
        instance: &ReceivedInstance<'_>,
        person: &Person,
        labels: &[String],
        now: UnixTime,
    ) -> Result<(), Refusal> {
        let uid = study_uid(instance).ok_or(Refusal::NoStudy)?;
        let before = self.claims.known(&uid, now);
        if resources.studies_now(&uid)?.is_empty()
            && let Err(error) = self.claims.claim(&uid, person, labels, before.as_ref(), now)
        {
            log::warn!("who creates a study cannot be remembered, only that it is to be labelled: {error}");
            self.claims.claim_in_memory(&uid, person, labels, before.as_ref(), now);
        }
        Ok(())
    }

    fn settle(&self, resources: &Resources, claim: CreatedStudy, instance: &str) -> Result<(), String> {
        let study = resources.study_of_instance(instance).map_err(|error| error.to_string())?;
        for label in &claim.labels {
            let set = self.host.put(&format!("/studies/{study}/labels/{label}"), b"");
            set.map_err(|error| format!("label {label}: {error}"))?;
        }
        // Also without labels: that no study carries this UID is what was read last.
        resources.labels_changed();
        self.claims.confirm(claim, &study).map_err(|error| error.to_string())
    }

    /// The labels of all keys that stand for one of the uploaders, sorted.
    fn labels_of(&self, instance: &ReceivedInstance<'_>, granted: Option<&[Arc<Identity>]>) -> Vec<String> {
        let stands_for = |uploader: &Uploader| match (uploader, granted) {
            (Uploader::Aet(aet), None) => instance.origin == Origin::Dicom && instance.remote_aet.trim() == aet,
            (Uploader::Aet(_), Some(_)) | (_, None) => false,
            (uploader, Some(granted)) => granted.iter().filter(|one| one.link.is_none()).any(|one| match uploader {
                Uploader::Role(role) => one.roles.contains(role),
                Uploader::Group(group) => one.groups.contains(group),
                Uploader::User(user) => one.person.as_ref().is_some_and(|person| person.subject == *user),
                Uploader::Aet(_) => false,
            }),
        };
        let labels: BTreeSet<&String> =
            self.labels.iter().filter(|(uploader, _)| stands_for(uploader)).flat_map(|(_, labels)| labels).collect();
        labels.into_iter().cloned().collect()
    }
}

/// What an instance belongs to and is itself, by the Orthanc identifiers that it is going to have; `None` when they are not
/// sure.
#[must_use]
pub fn resources_of(instance: &ReceivedInstance<'_>) -> Option<[(Level, String); 3]> {
    match Head::read(instance.file) {
        Some(Head { patient, study, series, instance }) => identifiers::resources(patient, [study, series, instance]),
        None => Identifiers::read(instance).map(Identifiers::resources),
    }
}

fn log_refusal(identities: &[Arc<Identity>], instance: &ReceivedInstance<'_>, refusal: &Refusal) {
    if !log::log_enabled!(log::Level::Info) {
        return;
    }
    // Once for both: the server makes the text anew each time.
    let tags = (instance.tags)().unwrap_or_default();
    let text = |tag| uid(&tags, tag).unwrap_or_else(|| "unknown".to_owned());
    log::info!(
        "refused an instance of {}: {refusal} (SOPInstanceUID {}, StudyInstanceUID {})",
        identity::in_the_log(identities),
        text("SOPInstanceUID"),
        text("StudyInstanceUID")
    );
}

/// Whoever may have claimed the study of an instance.
fn creators(instance: &ReceivedInstance<'_>, granted: Option<&[Arc<Identity>]>) -> Vec<Person> {
    match granted {
        Some(granted) => {
            let people = granted.iter().filter(|one| one.link.is_none()).map(|one| creator(one));
            people.chain(granted.iter().filter_map(|one| links::holder(one))).collect()
        }
        None if instance.origin == Origin::Dicom => vec![Person::dicom(instance.remote_aet.trim())],
        None => Vec::new(),
    }
}

fn creator(identity: &Identity) -> Person {
    identity.person.clone().unwrap_or_else(Person::anonymous)
}

fn may_see(identity: &Identity, study: &Study) -> bool {
    let located = Located::whole(study.clone());
    decision::allow(&identity.holder(), &facts(&located)).is_ok()
}

/// Whether somebody created the study, and nobody has labelled it since.
fn may_fill(identity: &Identity, study: &Study, claim: Option<&CreatedStudy>) -> bool {
    claim.is_some_and(|claim| is_open(claim, &creator(identity), study))
}

/// Whether a claim is this creator's, and on this very study: another one may have the UID too, of another patient, or by
/// now. Of a claim that waits for its first instance, which one that is going to be is not known yet.
fn is_open(claim: &CreatedStudy, creator: &Person, study: &Study) -> bool {
    claim.creator == *creator
        && claim.study.as_deref().is_none_or(|claimed| *claimed == *study.id)
        && study.labels.iter().all(|label| claim.labels.contains(label))
}

/// The complete StudyInstanceUID of an instance.
fn study_uid(instance: &ReceivedInstance<'_>) -> Option<String> {
    uid(&(instance.tags)().ok()?, "StudyInstanceUID")
}

/// The same, of an instance whose patient's and study's Orthanc identifiers are nobody else's.
fn unambiguous_study_uid(instance: &ReceivedInstance<'_>) -> Result<String, Refusal> {
    let tags = (instance.tags)().map_err(|_| Refusal::NoStudy)?;
    let found = top_level::texts(tags.as_bytes(), ["PatientID", "StudyInstanceUID"]);
    let [patient, study] = found.map_err(|_| Refusal::NoStudy)?;
    if patient.is_some_and(|id| resource::may_be_a_study(&id)) {
        return Err(Refusal::AmbiguousPatient);
    }
    study.and_then(|uid| plain_uid(&uid)).ok_or(Refusal::NoStudy)
}

fn uid(tags: &str, tag: &str) -> Option<String> {
    plain_uid(&top_level::text(tags.as_bytes(), tag).ok()??)
}

/// A UID without its padding, if it is one.
fn plain_uid(text: &str) -> Option<String> {
    let uid = resource::trimmed(text);
    is_uid(uid).then(|| uid.to_owned())
}
