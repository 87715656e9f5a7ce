//! `StandardConfigurations`, `UncheckedFolders` and `UncheckedResources`: what needs no permission for GET.

use super::rules::did_you_mean;
use super::section::Section;
use super::values::{shown, with_final_slash};

struct Standard {
    name: &'static str,
    folders: &'static [&'static str],
    resources: &'static [&'static str],
}

/// As in the C++ plugin 0.11.4; `{ui}` is Orthanc Explorer 2's root. The headers and arguments that it reads
/// credentials from for these are always read here.
const STANDARD: [Standard; 7] = [
    Standard {
        name: "osimis-web-viewer",
        folders: &["/osimis-viewer/app/", "/osimis-viewer/languages/"],
        resources: &["/osimis-viewer/config.js"],
    },
    Standard { name: "stone-webviewer", folders: &["/stone-webviewer/"], resources: &["/system"] },
    Standard {
        name: "orthanc-explorer-2",
        folders: &["{ui}app/", "{ui}landing/"],
        resources: &["/", "{ui}api/pre-login-configuration", "{ui}api/configuration", "/auth/user/profile"],
    },
    // Orthanc's own pages. Ours: that plugin's sites write a rule for them.
    Standard { name: "orthanc-explorer", folders: &["/app/"], resources: &["/", "/plugins/explorer.js"] },
    Standard { name: "ohif", folders: &["/ohif/"], resources: &[] },
    Standard { name: "volview", folders: &["/volview/"], resources: &[] },
    Standard { name: "stl", folders: &["/stl/"], resources: &[] },
];

/// What needs no permission for GET.
#[derive(Default)]
pub(super) struct Unchecked {
    pub(super) resources: Vec<String>,
    pub(super) folders: Vec<String>,
}

/// Reads the three keys.
pub(super) fn read(section: &Section<'_>, oe2_root: &str) -> Unchecked {
    let mut unchecked = Unchecked::default();
    for (index, name) in section.strings("StandardConfigurations").unwrap_or_default().iter().enumerate() {
        match STANDARD.iter().find(|standard| standard.name == name) {
            Some(standard) => {
                let place = |path: &&str| path.replace("{ui}", oe2_root);
                unchecked.folders.extend(standard.folders.iter().map(place));
                unchecked.resources.extend(standard.resources.iter().map(place));
            }
            None => section.reader.fault(
                section.at("StandardConfigurations").element(index),
                format!(
                    "unknown standard configuration {}{}",
                    shown(name),
                    did_you_mean(name, STANDARD.iter().map(|s| s.name))
                ),
            ),
        }
    }
    for (index, path) in section.strings("UncheckedResources").unwrap_or_default().into_iter().enumerate() {
        if path.starts_with('/') {
            unchecked.resources.push(path);
        } else {
            let place = section.at("UncheckedResources").element(index);
            section.reader.fault(place, format!("must be a path that starts with '/', got {}", shown(&path)));
        }
    }
    for (index, path) in section.strings("UncheckedFolders").unwrap_or_default().into_iter().enumerate() {
        let place = section.at("UncheckedFolders").element(index);
        if !path.starts_with('/') {
            section.reader.fault(place, format!("must be a path that starts with '/', got {}", shown(&path)));
        } else if path.trim_matches('/').is_empty() {
            section.reader.fault(place, "would leave every path unchecked");
        } else {
            unchecked.folders.push(with_final_slash(path));
        }
    }
    for list in [&mut unchecked.folders, &mut unchecked.resources] {
        list.sort();
        list.dedup();
    }
    unchecked
}
