//! What the holder of a link brings in: into new studies of the link's own, or as annotations into the link's studies,
//! and no more than the link may.
//!
//! An instance is looked at twice: before the server compares it with what it has (else its answer would tell a
//! stranger what that is), which changes nothing; and again when it is about to be stored, which counts it.

use std::sync::Arc;

use super::claims::Claimed;
use super::identifiers::{Identifiers, is_annotations_class};
use super::{Refusal, Uploads, is_open};
use crate::clock::UnixTime;
use crate::identity::Identity;
use crate::person::Person;
use crate::pieces::facts;
use crate::policy::decision::{self, LinkUploads, UploadTarget};
use crate::request::ReceivedInstance;
use crate::resource::{Level, Located, Resources, Study, trimmed};
use crate::store::{CreatedStudy, UploadLimits};

/// Whether an instance is only looked at, or taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Look,
    Take,
}

/// Whoever a link's own studies are kept for.
pub(super) fn holder(identity: &Identity) -> Option<Person> {
    let link = identity.link.as_ref()?;
    link.uploads.as_ref()?;
    identity.id.as_deref().map(Person::link)
}

impl Uploads {
    /// For the holders of links: one of them has to be allowed.
    pub(super) fn decide_links(
        &self,
        resources: &Resources,
        instance: &ReceivedInstance<'_>,
        identities: &[Arc<Identity>],
        now: UnixTime,
        step: Step,
    ) -> Result<(), Refusal> {
        let mut refusal = Refusal::Nobody;
        for identity in identities {
            let uploads = identity.link.as_ref().and_then(|link| link.uploads.as_ref());
            let (Some(uploads), Some(link)) = (uploads, identity.id.as_deref()) else { continue };
            let holder = Holder { identity, uploads, link };
            match self.decide_link(resources, instance, &holder, now, step) {
                Ok(()) => return Ok(()),
                Err(reason) => refusal = reason,
            }
        }
        Err(refusal)
    }

    fn decide_link(
        &self,
        resources: &Resources,
        instance: &ReceivedInstance<'_>,
        holder: &Holder<'_>,
        now: UnixTime,
        step: Step,
    ) -> Result<(), Refusal> {
        // It may have ended since the request was let through: a body takes its time.
        let ended = |end: Option<UnixTime>| end.is_some_and(|end| end <= now);
        let record = self.store.share(holder.link)?.ok_or(Refusal::UsedUp)?;
        if ended(holder.identity.expires_at) || ended(record.expires_at) || record.revoked_at.is_some() {
            return Err(Refusal::UsedUp);
        }
        let found = Identifiers::read(instance).ok_or(Refusal::NoStudy)?;
        // Before the study is looked for: a claim that is confirmed meanwhile stands for a study that is there.
        let before = self.claims.of(&found.study_uid, now)?;
        let studies = resources.studies_now(&found.study_uid)?;
        match &holder.uploads.into {
            UploadTarget::New(_) => self.may_fill_as_link(&found, &studies, holder, now)?,
            UploadTarget::Annotated => may_annotate(&found, &studies, holder)?,
        }
        if is_here(resources, &found, holder)? {
            // The server leaves it as it is, and says so to whoever may add to this study.
            return if self.overwrites { Err(Refusal::Replaces) } else { Ok(()) };
        }
        let limits = UploadLimits { instances: holder.uploads.most_instances, bytes: holder.uploads.most_bytes };
        let used = self.store.uploaded(holder.link)?;
        let fits = limits.instances.is_none_or(|most| used.instances < most)
            && limits.bytes.is_none_or(|most| instance.size <= most.saturating_sub(used.bytes));
        if !fits {
            return Err(Refusal::UsedUp);
        }
        if step == Step::Look {
            return Ok(());
        }
        if let UploadTarget::New(labels) = &holder.uploads.into
            && studies.is_empty()
        {
            let new = NewStudy { found: &found, labels, before };
            self.claim_for_link(resources, &new, holder, now)?;
        }
        // A claim that was made for nothing ends by itself: another instance may already rely on it.
        let taken = self.store.take_upload(holder.link, instance.size, limits, now)?;
        if taken { Ok(()) } else { Err(Refusal::UsedUp) }
    }

    /// The study is new, or the link's own of today; and there is no second one with its UID, of another patient.
    fn may_fill_as_link(
        &self,
        found: &Identifiers,
        studies: &[Study],
        holder: &Holder<'_>,
        now: UnixTime,
    ) -> Result<(), Refusal> {
        let claim = self.claims.of(&found.study_uid, now)?;
        let own = Person::link(holder.link);
        match studies {
            [] => match claim {
                Some(claim) if claim.study.is_none() && claim.creator != own => Err(Refusal::Claimed),
                _ => Ok(()),
            },
            [study] if *study.id == *found.study => {
                let open = claim.is_some_and(|claim| is_open(&claim, &own, study));
                if open { Ok(()) } else { Err(Refusal::HereAlready) }
            }
            _ => Err(Refusal::HereAlready),
        }
    }

    fn claim_for_link(
        &self,
        resources: &Resources,
        new: &NewStudy<'_>,
        holder: &Holder<'_>,
        now: UnixTime,
    ) -> Result<(), Refusal> {
        let NewStudy { found, labels, before } = new;
        let own = Person::link(holder.link);
        let is_there = || Ok::<_, Refusal>(!resources.studies_now(&found.study_uid)?.is_empty());
        match self.claims.claim_absent(&found.study_uid, &own, labels, before.as_ref(), now, is_there)? {
            Claimed::Now | Claimed::Before => {}
            Claimed::ByAnother => return Err(Refusal::Claimed),
            Claimed::TooLate => return Err(Refusal::HereAlready),
        }
        // Two instances of one study, of two patients, that come at once would otherwise be two studies.
        if self.claims.becomes(&found.study_uid, &found.study) { Ok(()) } else { Err(Refusal::HereAlready) }
    }
}

/// A study that is not there yet.
struct NewStudy<'a> {
    found: &'a Identifiers,
    labels: &'a [String],
    /// The claim on its UID before it was looked for.
    before: Option<CreatedStudy>,
}

/// A link, as far as uploads need to know.
struct Holder<'a> {
    identity: &'a Identity,
    uploads: &'a LinkUploads,
    link: &'a str,
}

/// It is an annotation, and goes into a study of the link that is there and that its maker sees.
fn may_annotate(found: &Identifiers, studies: &[Study], holder: &Holder<'_>) -> Result<(), Refusal> {
    if !found.is_annotation() {
        return Err(Refusal::NoAnnotation);
    }
    let study = studies.iter().find(|study| *study.id == *found.study).ok_or(Refusal::NotTheLinks)?;
    let located = Located::whole(study.clone());
    decision::allow(&holder.identity.holder(), &facts(&located)).map_err(|_| Refusal::NotTheLinks)
}

/// Whether the instance is here already. What else is here under its UIDs would be mistaken for it, by whoever asks
/// by UID: then it is refused.
fn is_here(resources: &Resources, found: &Identifiers, holder: &Holder<'_>) -> Result<bool, Refusal> {
    let series = resources.ids_now(Level::Series, &found.series_uid)?;
    if series.iter().any(|id| **id != *found.series) {
        return Err(Refusal::TakenUid);
    }
    let annotates = holder.uploads.into == UploadTarget::Annotated;
    if annotates && !series.is_empty() {
        let (modality, class) = resources.modality_and_class(&found.series)?;
        if modality != found.modality || !is_annotations_class(&modality, trimmed(&class)) {
            return Err(Refusal::ForeignSeries);
        }
    }
    let instances = resources.ids_now(Level::Instance, &found.instance_uid)?;
    if instances.iter().any(|id| **id != *found.instance) {
        return Err(Refusal::TakenUid);
    }
    Ok(!instances.is_empty())
}
