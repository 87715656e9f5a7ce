//! OHIF: opened by study UIDs over DICOMweb, or by one JSON document of the OHIF plugin.

use super::{ViewerStudy, ids, uids};

pub(super) fn url(ohif_root: &str, dicom_json: bool, studies: &[ViewerStudy], token: &str) -> String {
    if dicom_json {
        // The document exists for one study; several are written as the old service wrote them.
        let ids = ids(studies);
        format!("{ohif_root}viewer?url=../studies/{ids}/ohif-dicom-json&token={token}")
    } else {
        let uids = uids(studies);
        format!("{ohif_root}viewer?StudyInstanceUIDs={uids}&token={token}")
    }
}
