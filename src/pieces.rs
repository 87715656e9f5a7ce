//! What the policy is told of resources, and what links to series and instances open, looked up: their studies are seen
//! in part only.
//!
//! Knows nothing of routes and answers.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::policy::decision::{self, Facts, Holder, LinkScope, Reach};
use crate::resource::{Level, Located, Named, Resources};

/// Series and instances that may be seen though their study, as a whole, may not.
#[derive(Clone, Debug, Default)]
pub struct Pieces(Vec<Located>);

impl Pieces {
    /// Those of these holders' links. What cannot be looked up is none.
    #[must_use]
    pub fn of<'a>(resources: &Resources, holders: impl Iterator<Item = Holder<'a>>) -> Self {
        let mut pieces = Vec::new();
        for holder in holders {
            let linked = holder.link.into_iter().flat_map(|link: &LinkScope| &link.resources);
            for linked in linked.filter(|linked| linked.level > Level::Study) {
                let named = match (&linked.orthanc_id, &linked.dicom_uid) {
                    (Some(id), _) => Named::Orthanc(linked.level, id.as_str().into()),
                    (None, Some(uid)) => Named::Uid(linked.level, uid.as_str().into()),
                    (None, None) => continue,
                };
                let located = resources.locate(&named).unwrap_or_default();
                pieces.extend(located.into_iter().filter(|piece| decision::allow(&holder, &facts(piece)).is_ok()));
            }
        }
        Self(pieces)
    }

    /// Without those for which this does not hold.
    #[must_use]
    pub fn that(mut self, holds: impl FnMut(&Located) -> bool) -> Self {
        self.0.retain(holds);
        self
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of them lies in this study or series.
    #[must_use]
    pub fn lie_in(&self, outer: &Located) -> bool {
        let is_same_series = |piece: &Located| match (&outer.series, &piece.series) {
            (None, _) => true,
            (Some(outer), Some(own)) => outer.id == own.id,
            (Some(_), None) => false,
        };
        outer.instance.is_none() && self.0.iter().any(|piece| piece.study.id == outer.study.id && is_same_series(piece))
    }

    /// Whether they lie in everything that a name stands for.
    #[must_use]
    pub fn lie_in_named(&self, resources: &Resources, named: &Named<'_>) -> bool {
        !self.is_empty() && resources.locate(named).is_ok_and(|located| located.iter().all(|outer| self.lie_in(outer)))
    }

    /// One for each study that they lie in, by the study's Orthanc identifier, without the series.
    #[must_use]
    pub fn studies(&self) -> BTreeMap<Arc<str>, Located> {
        let study = |piece: &Located| Located::whole(piece.study.clone());
        self.0.iter().map(|piece| (Arc::clone(&piece.study.id), study(piece))).collect()
    }

    /// The series that they are or lie in, in a study, by Orthanc identifier; each without its instance.
    #[must_use]
    pub fn series_of(&self, study: &str) -> BTreeMap<Arc<str>, Located> {
        let own = self.0.iter().filter(|piece| &*piece.study.id == study);
        let series = own.filter_map(|piece| Some((Arc::clone(&piece.series.as_ref()?.id), piece)));
        series.map(|(id, piece)| (id, Located { instance: None, ..piece.clone() })).collect()
    }

    /// The Orthanc identifiers of the instances among them that lie in a series.
    pub fn instances_of<'a>(&'a self, series: &'a str) -> impl Iterator<Item = &'a Arc<str>> {
        let own = self.0.iter().filter(move |piece| piece.series.as_ref().is_some_and(|own| &*own.id == series));
        own.filter_map(|piece| piece.instance.as_ref().map(|instance| &instance.id))
    }
}

/// What the policy is told of a resource.
#[must_use]
pub fn facts(located: &Located) -> Facts<'_> {
    Facts {
        study: (&located.study.id, &located.study.uid),
        labels: &located.study.labels,
        series: located.series.as_ref().map(|series| (&*series.id, &*series.uid)),
        instance: located.instance.as_ref().map(|instance| (&*instance.id, &*instance.uid)),
        reach: Reach::Whole,
    }
}

/// Whether a link opens anything below a study.
#[must_use]
pub fn has_pieces(link: &LinkScope) -> bool {
    link.resources.iter().any(|linked| linked.level > Level::Study)
}
