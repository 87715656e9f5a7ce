//! VolView: a plugin of Orthanc, given the archives of the studies by paths relative to its own page.

use super::{ViewerStudy, encoded, joined};

pub(super) fn url(orthanc_root: &str, studies: &[ViewerStudy], token: &str) -> String {
    let archives = joined(studies, |study| format!("../studies/{}/archive", encoded(&study.orthanc_id)));
    format!("{orthanc_root}volview/index.html?names=[archive.zip]&urls={archives}&token={token}")
}
