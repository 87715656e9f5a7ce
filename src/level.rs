//! The levels of the DICOM hierarchy, under the names that Orthanc has for them.
#![forbid(unsafe_code)]

/// The four levels of the DICOM hierarchy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// A patient.
    Patient,
    /// A study: the level that labels count on.
    Study,
    /// A series.
    Series,
    /// An instance.
    Instance,
}

impl Level {
    /// From the top down.
    pub const ALL: [Self; 4] = [Self::Patient, Self::Study, Self::Series, Self::Instance];

    /// The level's name in Orthanc's REST paths: `studies`.
    #[must_use]
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Patient => "patients",
            Self::Study => "studies",
            Self::Series => "series",
            Self::Instance => "instances",
        }
    }

    /// The level's name in lower case, as share tokens have it: `study`.
    #[must_use]
    pub const fn singular(self) -> &'static str {
        match self {
            Self::Patient => "patient",
            Self::Study => "study",
            Self::Series => "series",
            Self::Instance => "instance",
        }
    }

    /// Reads a level's singular name, in any case.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.singular().eq_ignore_ascii_case(name))
    }

    /// The level above.
    #[must_use]
    pub const fn parent(self) -> Option<Self> {
        match self {
            Self::Patient => None,
            Self::Study => Some(Self::Patient),
            Self::Series => Some(Self::Study),
            Self::Instance => Some(Self::Series),
        }
    }

    /// The member of Orthanc's description of a resource that names its parent.
    #[must_use]
    pub const fn parent_member(self) -> Option<&'static str> {
        match self {
            Self::Patient => None,
            Self::Study => Some("ParentPatient"),
            Self::Series => Some("ParentStudy"),
            Self::Instance => Some("ParentSeries"),
        }
    }

    /// The main DICOM tag that identifies a resource of this level.
    #[must_use]
    pub const fn uid_member(self) -> &'static str {
        match self {
            Self::Patient => "PatientID",
            Self::Study => "StudyInstanceUID",
            Self::Series => "SeriesInstanceUID",
            Self::Instance => "SOPInstanceUID",
        }
    }
}
