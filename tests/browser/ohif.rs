//! OHIF as a site puts it on Orthanc's own origin: its files with our configuration, in a folder for the ServeFolders plugin.
//! Must not know who looks at it.
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

/// Where it is, below the server's root.
pub const ROOT: &str = "/ohif";

/// Everything from the server that it came from, nothing from elsewhere.
const CONFIGURATION: &str = r#"
// No lesson before the image.
localStorage.setItem('shownTours', JSON.stringify(['basicViewerTour']));
window.config = {
  routerBasename: '/ohif',
  extensions: [],
  modes: [],
  showStudyList: true,
  showLoadingIndicator: true,
  investigationalUseDialog: { option: 'never' },
  defaultDataSourceName: 'orthanc',
  dataSources: [{
    namespace: '@ohif/extension-default.dataSourcesModule.dicomweb',
    sourceName: 'orthanc',
    configuration: {
      friendlyName: 'Orthanc',
      name: 'orthanc',
      qidoRoot: '/dicom-web',
      wadoRoot: '/dicom-web',
      wadoUriRoot: '/wado',
      qidoSupportsIncludeField: true,
      supportsFuzzyMatching: false,
      supportsWildcard: true,
      supportsReject: false,
      imageRendering: 'wadors',
      thumbnailRendering: 'wadors',
      enableStudyLazyLoad: true,
      omitQuotationForMultipartRequest: true,
    },
  }],
};
"#;

/// How its files name the root of the server that it was built for, by the end of their names, and how they are to.
const MOVED: [(&str, &str, &str); 4] = [
    (".js", r#"__webpack_require__.p = "/";"#, r#"__webpack_require__.p = "/ohif/";"#),
    (".css", "url(/", "url(/ohif/"),
    ("manifest.json", r#""/"#, r#""/ohif/"#),
    ("index.html", r#"="/"#, r#"="/ohif/"#),
];

/// Lays the viewer's files out: those that stay are links to where they were published. ServeFolders knows no fallback, so
/// the page of the router's path `viewer` is a file, too.
pub fn lay_out(published: &Path, folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    for file in fs::read_dir(published).unwrap() {
        let (file, name) = file.map(|file| (file.path(), file.file_name())).unwrap();
        let (here, name) = (folder.join(&name), name.to_string_lossy().into_owned());
        let change = MOVED.iter().find(|(end, ..)| name.ends_with(end)).and_then(|(_, from, to)| {
            let text = fs::read_to_string(&file).unwrap();
            text.contains(from).then(|| text.replace(from, to))
        });
        match change {
            Some(text) => fs::write(here, text).unwrap(),
            None if name != "app-config.js" => symlink(file, here).unwrap(),
            None => fs::write(here, CONFIGURATION).unwrap(),
        }
    }
    fs::copy(folder.join("index.html"), folder.join("viewer")).unwrap();
}
