//! The DICOMweb plugin, 1.20 and 1.24.

use super::{GET, GET_PUT_DELETE, POST, Route, row};
use crate::host::Method;
use crate::request::UploadWay;
use crate::route::Handling::{self, Named, Open, Refused, Search, Upload, WadoUri};

const fn dicom_web(methods: &'static [Method], path: &'static str, limited: Handling, note: &'static str) -> Route {
    row(methods, path, limited, "dicom-web", note)
}

#[rustfmt::skip]
pub(super) const ROUTES: &[Route] = &[
    // QIDO-RS. The plugin answers by an internal search, which is restricted; UIDs in the path are checked besides.
    dicom_web(GET, "{dicom-web}/studies", Search, ""),
    dicom_web(GET, "{dicom-web}/series", Search, ""),
    dicom_web(GET, "{dicom-web}/instances", Search, ""),
    dicom_web(GET, "{dicom-web}/studies/{study-uid}/series", Search, ""),
    dicom_web(GET, "{dicom-web}/studies/{study-uid}/instances", Search, ""),
    dicom_web(GET, "{dicom-web}/studies/{study-uid}/series/{series-uid}/instances", Search, ""),
    // STOW-RS.
    dicom_web(POST, "{dicom-web}/studies", Upload(UploadWay::Files), ""),
    dicom_web(POST, "{dicom-web}/studies/{study-uid}", Upload(UploadWay::IntoStudy), "the plugin refuses what belongs to another study"),
    // WADO-RS: all UIDs are checked, each with every resource that carries it.
    dicom_web(GET, "{dicom-web}/studies/{study-uid}", Named, ""),
    dicom_web(GET, "{dicom-web}/studies/{study-uid}/metadata", Named, ""),
    dicom_web(GET, "{dicom-web}/studies/{study-uid}/rendered", Named, ""),
    dicom_web(GET, "{dicom-web}/studies/{study-uid}/thumbnail", Named, ""),
    dicom_web(GET, "{dicom-web}/studies/{study-uid}/series/{series-uid}", Named, ""),
    dicom_web(GET, "{dicom-web}/studies/{study-uid}/series/{series-uid}/metadata", Named, ""),
    dicom_web(GET, "{dicom-web}/studies/{study-uid}/series/{series-uid}/rendered", Named, ""),
    dicom_web(GET, "{dicom-web}/studies/{study-uid}/series/{series-uid}/thumbnail", Named, ""),
    dicom_web(GET, "{dicom-web}/studies/{study-uid}/series/{series-uid}/instances/{instance-uid}", Named, ""),
    dicom_web(GET, "{dicom-web}/studies/{study-uid}/series/{series-uid}/instances/{instance-uid}/metadata", Named, ""),
    dicom_web(GET, "{dicom-web}/studies/{study-uid}/series/{series-uid}/instances/{instance-uid}/rendered", Named, ""),
    dicom_web(GET, "{dicom-web}/studies/{study-uid}/series/{series-uid}/instances/{instance-uid}/thumbnail", Named, ""),
    dicom_web(GET, "{dicom-web}/studies/{study-uid}/series/{series-uid}/instances/{instance-uid}/bulk/{*rest}", Named, ""),
    dicom_web(GET, "{dicom-web}/studies/{study-uid}/series/{series-uid}/instances/{instance-uid}/frames", Named, ""),
    dicom_web(GET, "{dicom-web}/studies/{study-uid}/series/{series-uid}/instances/{instance-uid}/frames/{any}", Named, ""),
    dicom_web(GET, "{dicom-web}/studies/{study-uid}/series/{series-uid}/instances/{instance-uid}/frames/{any}/rendered", Named, ""),
    dicom_web(GET, "{dicom-web}/studies/{study-uid}/series/{series-uid}/instances/{instance-uid}/frames/{any}/thumbnail", Named, ""),
    // WADO-URI.
    dicom_web(GET, "{wado}", WadoUri, "`objectUID` is required; what the other arguments name is checked too"),
    // Its client, other servers and its cache.
    dicom_web(GET, "{dicom-web}/info", Open, "roots of the plugin"),
    dicom_web(GET, "{dicom-web}/app/client/{*rest}", Open, "static"),
    dicom_web(GET, "{dicom-web}/app/libs/{*rest}", Open, "static"),
    dicom_web(GET, "{dicom-web}/servers", Refused, "names of other systems"),
    dicom_web(GET_PUT_DELETE, "{dicom-web}/servers/{any}", Refused, "settings"),
    dicom_web(POST, "{dicom-web}/servers/{any}/delete", Refused, "what is sent or asked for is in the body"),
    dicom_web(POST, "{dicom-web}/servers/{any}/get", Refused, "brings studies in by the body, and is the plugin's own, so that no body can be checked"),
    dicom_web(POST, "{dicom-web}/servers/{any}/qido", Refused, "what is sent or asked for is in the body"),
    dicom_web(POST, "{dicom-web}/servers/{any}/retrieve", Refused, "brings studies in by the body, and is the plugin's own, so that no body can be checked"),
    dicom_web(POST, "{dicom-web}/servers/{any}/stow", Refused, "sends what the body names, and is the plugin's own, so that no body can be checked: use /modalities/{id}/store or /peers/{id}/store"),
    dicom_web(POST, "{dicom-web}/servers/{any}/wado", Refused, "what is sent or asked for is in the body"),
    dicom_web(POST, "/studies/{study}/update-dicomweb-cache", Refused, "writes"),
];
