//! The Osimis Web viewer: a plugin of Orthanc, opened by Orthanc identifiers.

use super::{ViewerStudy, ids};

pub(super) fn url(orthanc_root: &str, studies: &[ViewerStudy], token: &str) -> String {
    let ids = ids(studies);
    format!("{orthanc_root}osimis-viewer/app/index.html?pickableStudyIds={ids}&selectedStudyIds={ids}&token={token}")
}
