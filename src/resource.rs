//! Which studies a resource belongs to, and which labels those carry, asked of the server and cached.

/// The four levels of the DICOM hierarchy, as Orthanc's REST API names them.
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
