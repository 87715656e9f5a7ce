//! The Stone Web viewer: a plugin of Orthanc, opened by study UIDs.

use super::{ViewerStudy, uids};

pub(super) fn url(orthanc_root: &str, studies: &[ViewerStudy], token: &str) -> String {
    let uids = uids(studies);
    format!("{orthanc_root}stone-webviewer/index.html?study={uids}&selectedStudies={uids}&token={token}")
}
