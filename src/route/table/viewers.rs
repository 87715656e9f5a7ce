//! User interfaces and viewers. Their pages are open; data is named by the path, or refused.

use super::{ALL, GET, POST, Route, row};
use crate::route::Handling::{Named, Open, Refused};

#[rustfmt::skip]
pub(super) const ROUTES: &[Route] = &[
    // Orthanc Explorer 2.
    row(GET, "{ui}/app", Open, "orthanc-explorer-2", "static"),
    row(GET, "{ui}/app/{*rest}", Open, "orthanc-explorer-2", "static"),
    row(GET, "{ui}/landing/{*rest}", Open, "orthanc-explorer-2", "static, of older versions"),
    row(GET, "{ui}/api/pre-login-configuration", Open, "orthanc-explorer-2", "asked for before anybody logs in"),
    row(GET, "{ui}/api/configuration", Open, "orthanc-explorer-2", "its options, and the profile as our own route gives it to the asker"),
    row(GET, "{ui}/api/emails/templates/{any}", Open, "orthanc-explorer-2", "text without patient data; the permission rule is its only guard"),
    row(POST, "{ui}/api/emails/send", Open, "orthanc-explorer-2", "sends what the asker wrote; the permission rule is its only guard"),
    // Stone: the viewer takes its data from DICOMweb.
    row(GET, "/stone-webviewer/{*rest}", Open, "stone-webviewer", "static, and its configuration"),
    row(GET, "/stone-rtviewer/{*rest}", Open, "stone-rtviewer", "static"),
    row(GET, "/stone/instances/{instance}/frames/{any}/numpy", Named, "stone-rendering", ""),
    row(GET, "/stone/rt-struct", Refused, "stone-rendering", "lists structure sets of all studies"),
    row(GET, "/stone/rt-struct/{instance}/info", Named, "stone-rendering", ""),
    row(GET, "/stone/rt-struct/{instance}/numpy", Refused, "stone-rendering", "a second instance in the argument `instance`"),
    // OHIF and VolView: static pages that take their data from DICOMweb and archives.
    row(GET, "/ohif", Open, "ohif", "static"),
    row(GET, "/ohif/{*rest}", Open, "ohif", "static"),
    row(GET, "/studies/{study}/ohif-dicom-json", Named, "ohif", ""),
    row(GET, "/volview/{*rest}", Open, "volview", "static"),
    // Whole-slide imaging.
    row(GET, "/wsi/app/{*rest}", Open, "wsi", "static"),
    row(GET, "/wsi/libs/{*rest}", Open, "wsi", "static"),
    row(GET, "/wsi/pyramids/{series}", Named, "wsi", ""),
    row(GET, "/wsi/tiles/{series}/{any}/{any}/{any}", Named, "wsi", ""),
    row(GET, "/wsi/frames-pyramids/{instance}/{any}", Named, "wsi", ""),
    row(GET, "/wsi/frames-tiles/{instance}/{any}/{any}/{any}/{any}", Named, "wsi", ""),
    row(GET, "/wsi/iiif/tiles/{series}/info.json", Named, "wsi", ""),
    row(GET, "/wsi/iiif/tiles/{series}/{any}/{any}/{any}/{any}", Named, "wsi", ""),
    row(GET, "/wsi/iiif/series/{series}/manifest.json", Named, "wsi", ""),
    row(GET, "/wsi/iiif/frames/{instance}/{any}/info.json", Named, "wsi", ""),
    row(GET, "/wsi/iiif/frames/{instance}/{any}/full/max/0/default.jpg", Named, "wsi", ""),
    row(GET, "/wsi/iiif/frames-pyramids/{instance}/{any}/info.json", Named, "wsi", ""),
    row(GET, "/wsi/iiif/frames-pyramids/{instance}/{any}/manifest.json", Named, "wsi", ""),
    row(GET, "/wsi/iiif/frames-pyramids/{instance}/{any}/{any}/{any}/{any}/{any}", Named, "wsi", ""),
    row(ALL, "/wsi/{*rest}", Refused, "wsi", "anything else of this plugin"),
    // STL, Nexus and NIfTI.
    row(GET, "/stl/app/{*rest}", Open, "stl", "static"),
    row(GET, "/stl/nexus/{*rest}", Open, "stl", "static"),
    row(GET, "/stl/3dhop/{*rest}", Open, "stl", "static"),
    row(GET, "/instances/{instance}/stl", Named, "stl", ""),
    row(GET, "/instances/{instance}/nexus", Named, "stl", ""),
    row(GET, "/stl/3dhop-instances/{instance}.nxz", Named, "stl", ""),
    row(GET, "/stl/rt-struct/{instance}", Named, "stl", "lies in a folder that sites leave unchecked: checked all the same"),
    row(POST, "/stl/encode-rtstruct", Refused, "stl", "upload; identifiers in the body"),
    row(POST, "/stl/encode-nifti", Refused, "stl", "upload; identifiers in the body"),
    row(POST, "/stl/create-nexus", Refused, "stl", "upload; identifiers in the body"),
    row(ALL, "/stl/{*rest}", Refused, "stl", "anything else of this plugin"),
    row(GET, "/series/{series}/nifti", Named, "neuro", ""),
    row(GET, "/instances/{instance}/nifti", Named, "neuro", ""),
    // Osimis' viewer and the first web viewer.
    row(GET, "/osimis-viewer/app/{*rest}", Open, "osimis-web-viewer", "static"),
    row(GET, "/osimis-viewer/languages/{*rest}", Open, "osimis-web-viewer", "static"),
    row(GET, "/osimis-viewer/config.js", Open, "osimis-web-viewer", "its options"),
    row(GET, "/osimis-viewer/studies/{study}", Refused, "osimis-web-viewer", "shows all labels of the study"),
    row(GET, "/osimis-viewer/series/{series}", Named, "osimis-web-viewer", ""),
    row(GET, "/osimis-viewer/images/{instance}/{any}/{any}", Named, "osimis-web-viewer", ""),
    row(ALL, "/osimis-viewer/{*rest}", Refused, "osimis-web-viewer", "anything else of this plugin: annotations, custom commands, other studies of the patient"),
    row(GET, "/web-viewer/app/{*rest}", Open, "web-viewer", "static"),
    row(GET, "/web-viewer/libs/{*rest}", Open, "web-viewer", "static"),
    row(GET, "/web-viewer/series/{series}", Named, "web-viewer", ""),
    row(GET, "/web-viewer/is-stable-series/{series}", Named, "web-viewer", ""),
    row(GET, "/web-viewer/instances/{image}", Named, "web-viewer", ""),
    row(ALL, "/web-viewer/{*rest}", Refused, "web-viewer", "anything else of this plugin"),
];
