//! OHIF as a site puts it on Orthanc's own origin: its files with our configuration, in a folder for the ServeFolders
//! plugin. Must not know who looks at it.
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

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

/// Lays the viewer's files out: those that stay are links to where they were published. ServeFolders knows no fallback,
/// so the page of the router's path `viewer` is a file, too.
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

/// The viewer at the top of an origin of its own: images from Orthanc at another one, and from its provider a token for
/// them.
const ELSEWHERE: &str = r#"
localStorage.setItem('shownTours', JSON.stringify(['basicViewerTour']));
// What this page is to open is what it asks to be let in for.
const studies = new URLSearchParams(window.location.search).get('StudyInstanceUIDs');
window.config = {
  routerBasename: '/',
  extensions: [],
  modes: [],
  showStudyList: true,
  investigationalUseDialog: { option: 'never' },
  defaultDataSourceName: 'orthanc',
  dataSources: [{
    namespace: '@ohif/extension-default.dataSourcesModule.dicomweb',
    sourceName: 'orthanc',
    configuration: {
      friendlyName: 'Orthanc',
      name: 'orthanc',
      qidoRoot: '{orthanc}dicom-web',
      wadoRoot: '{orthanc}dicom-web',
      wadoUriRoot: '{orthanc}wado',
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
  oidc: [{
    authority: '{orthanc}auth/oidc',
    client_id: window.location.origin,
    redirect_uri: '/callback',
    response_type: 'code',
    scope: 'openid',
    accessTokenExpiringNotificationTimeInSeconds: 10,
    extraQueryParams: studies ? { login_hint: studies } : {},
  }],
};
"#;

/// A web server of this machine with the viewer for an Orthanc at this URL, which ends with a slash. It ends with the
/// process.
pub struct Elsewhere {
    port: u16,
}

impl Elsewhere {
    /// Its own origin.
    pub fn origin(&self) -> String {
        // Another site than whatever has a name of its own, and to browsers as good as encrypted.
        format!("http://localhost:{}", self.port)
    }

    pub fn start(published: &Path, orthanc: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (folder, configuration) = (published.to_path_buf(), ELSEWHERE.replace("{orthanc}", orthanc));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (folder, configuration) = (folder.clone(), configuration.clone());
                std::thread::spawn(move || {
                    // A browser that hangs up early is its own business.
                    let _ = answer(&stream, &folder, &configuration);
                });
            }
        });
        Self { port }
    }
}

fn answer(mut stream: &TcpStream, folder: &Path, configuration: &str) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    while reader.read_line(&mut line)? > 0 {
        let path = line.split(' ').nth(1).unwrap_or("/").split('?').next().unwrap_or("/").to_owned();
        let mut header = String::new();
        while reader.read_line(&mut header)? > 2 {
            header.clear();
        }
        line.clear();
        let name = path.trim_start_matches('/');
        let file: PathBuf = folder.join(name);
        let is_file = !name.is_empty() && !name.contains("..") && file.is_file();
        let (body, name) = match (name, is_file) {
            ("app-config.js", _) => (configuration.as_bytes().to_vec(), name),
            (_, true) => (fs::read(&file)?, name),
            // The paths of its router.
            _ => (fs::read(folder.join("index.html"))?, "index.html"),
        };
        let kind = match name.rsplit('.').next() {
            Some("html") => "text/html",
            Some("js") => "text/javascript",
            Some("css") => "text/css",
            Some("json") => "application/json",
            Some("svg") => "image/svg+xml",
            Some("wasm") => "application/wasm",
            _ => "application/octet-stream",
        };
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n", body.len())?;
        stream.write_all(&body)?;
    }
    Ok(())
}
