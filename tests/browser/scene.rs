//! The servers that the browsers meet. Must not know what will be tried.
use crate::ohif;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;
use testbed::clock::wait_until;
use testbed::dicom::{self, Instance, Uploaded, label, upload};
use testbed::webdriver::{self, Browser};
use testbed::{Client, Keycloak, Orthanc, OrthancBuilder, Version, setup, workspace};

/// With this in the environment, tokens live for a minute and a session is used for five, instead of a few shorter
/// lives.
const LONG: &str = "GATEHOUSE_LONG_SESSION";

/// Whether tests take the time that users do.
pub fn is_long() -> bool {
    std::env::var_os(LONG).is_some()
}

/// The life of an access token.
pub fn token_life() -> Duration {
    Duration::from_secs(if is_long() { 60 } else { 10 })
}

/// The images of the series that is scrolled through.
pub const SERIES_LENGTH: usize = 12;

/// What most tests share.
pub struct Scene {
    pub keycloak: &'static Keycloak,
    pub orthanc: Orthanc,
    /// Labelled `external`: a series of CT-like images.
    pub labelled: Study,
    /// Not labelled.
    pub other: Study,
}

/// A study with one series.
pub struct Study {
    pub uid: String,
    pub ids: Uploaded,
    /// Its instances' paths below the DICOMweb root.
    pub instances: Vec<String>,
}

/// The scene, started by the first that asks. `None`: something that it needs is not there, and that was said.
pub fn scene(test: &str) -> Option<&'static Scene> {
    static SCENE: OnceLock<Scene> = OnceLock::new();
    if !webdriver::is_available(test) {
        return None;
    }
    let keycloak = Keycloak::shared(test)?;
    Some(SCENE.get_or_init(|| {
        let orthanc = server(Version::Sid).configure(&with_keycloak(keycloak)).start().unwrap();
        let administrator = keycloak.admin().unwrap();
        administrator.change_realm(&json!({"accessTokenLifespan": token_life().as_secs()})).unwrap();
        let mut client =
            administrator.get(&format!("/clients/{}", administrator.client_id("orthanc").unwrap())).unwrap();
        let mut attributes = client["attributes"].take();
        attributes["backchannel.logout.url"] = json!(format!("{}/auth/backchannel-logout", orthanc.url()));
        administrator.change_client("orthanc", &json!({"attributes": attributes})).unwrap();

        let pacsadmin = signed_in(&orthanc, keycloak);
        let labelled = fill(&pacsadmin, "Labelled", SERIES_LENGTH);
        let other = fill(&pacsadmin, "Other", 2);
        label(&pacsadmin, &labelled.ids.study, "external").unwrap();
        Scene { keycloak, orthanc, labelled, other }
    }))
}

/// The section that leaves logins to the realm.
pub fn with_keycloak(keycloak: &Keycloak) -> Value {
    json!({"Authorization": {
        "Keycloak": {"Url": keycloak.url(), "Realm": Keycloak::REALM},
        "StandardConfigurations": ["ohif"],
    }})
}

/// The password of the local users.
pub const PASSWORD: &str = "correct horse battery staple";

/// The section with local users, `doctor` and `pacsadmin`, and no provider.
pub fn with_users() -> Value {
    let hash = testbed::password_hash(PASSWORD).unwrap();
    json!({"Authorization": {"StandardConfigurations": ["ohif"], "Users": {
        "doctor": {"PasswordHash": hash, "Roles": ["doctor-role"]},
        "pacsadmin": {"PasswordHash": hash, "Roles": ["pacsadmin"]},
    }}})
}

/// A client as `pacsadmin` with a token, once the server has Keycloak's keys.
pub fn signed_in(orthanc: &Orthanc, keycloak: &Keycloak) -> Client {
    let client = orthanc.client().with_bearer(&keycloak.token("pacsadmin").unwrap());
    let ready = || (client.get("/studies").unwrap().status == 200).then_some(());
    assert!(wait_until(Duration::from_secs(10), ready).is_some(), "{}", orthanc.log());
    client
}

/// Uploads a study with one series of so many images.
pub fn fill(client: &Client, name: &str, images: usize) -> Study {
    let made: Vec<Instance> = (0..images).map(|number| image(name, number)).collect();
    for image in &made {
        upload(client, image.to_bytes()).unwrap();
    }
    let uid = made[0].get((0x0020, 0x000d));
    let series = made[0].get((0x0020, 0x000e));
    let path = |image: &Instance| {
        format!("/dicom-web/studies/{uid}/series/{series}/instances/{}", image.get((0x0008, 0x0018)))
    };
    Study { instances: made.iter().map(path).collect(), ids: made[0].ids(), uid: uid.clone() }
}

/// A grey picture with rings, so that it can be told from everything else on a page; each image has others.
pub fn image(name: &str, number: usize) -> Instance {
    const SIDE: usize = 256;
    let pixels = (0..SIDE * SIDE).map(|at| {
        let (x, y) = ((at % SIDE) as f64 - 128.0, (at / SIDE) as f64 - 128.0);
        let wave = ((x.hypot(y) + 8.0 * number as f64) / 12.0).sin();
        // 0 to 255: it fits.
        (127.5 + 127.5 * wave) as u8
    });
    let side = u16::try_from(SIDE).unwrap().to_le_bytes().to_vec();
    Instance::named(name, "study", "series", &number.to_string())
        .text((0x0010, 0x0010), "PN", &format!("{name}^Patient"))
        .text((0x0008, 0x1030), "LO", &format!("{name} study"))
        .text((0x0008, 0x103e), "LO", "Rings")
        .text((0x0020, 0x0013), "IS", &(number + 1).to_string())
        .raw((0x0028, 0x0010), "US", side.clone())
        .raw((0x0028, 0x0011), "US", side)
        .text((0x0028, 0x1050), "DS", "128")
        .text((0x0028, 0x1051), "DS", "256")
        .raw((0x7fe0, 0x0010), "OW", pixels.collect())
}

/// A server with the login gate, OHIF and a small page of its own at `/ohif/blank.html`.
pub fn server(version: Version) -> OrthancBuilder {
    let folder = folder(version);
    let viewer = folder.join("ohif");
    ohif::lay_out(&setup::ensure_browser().unwrap().ohif, &viewer);
    fs::write(viewer.join("blank.html"), "<!doctype html><title>Blank</title><p>Nothing here").unwrap();
    Orthanc::builder(version)
        .folder(folder.join("orthanc"))
        .plugin(testbed::plugin_library().unwrap())
        .plugin(version.bundled_plugin("ServeFolders").unwrap())
        .dicomweb()
        .unwrap()
        .verbose()
        .configure(&json!({
            "Name": "PACS",
            "ServeFolders": {"Folders": {ohif::ROOT: viewer}, "Extensions": {"": "text/html"}, "AllowCache": true},
            "DicomWeb": {"Enable": true, "EnableWado": true},
            "Authorization": {
                "WebServiceRootUrl": "",
                "Login": {"Enable": true},
                "PermissionsFile": workspace::root().join("docker/permissions.jsonc"),
            },
        }))
}

/// A new folder that lives as long as this process. Without a dot in its path: ServeFolders would take what follows for
/// the extension of a file that has none.
fn folder(version: Version) -> PathBuf {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let all = std::env::temp_dir().join("gatehouse-browser-tests");
    for old in fs::read_dir(&all).into_iter().flatten().flatten() {
        if !Path::new("/proc").join(old.file_name()).exists() {
            // Somebody else may be at it.
            let _ = fs::remove_dir_all(old.path());
        }
    }
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    let own = all.join(std::process::id().to_string()).join(format!("{}-{next}", version.suite()));
    assert!(!own.to_string_lossy().contains('.'), "{}: set TMPDIR to a folder without a dot", own.display());
    fs::create_dir_all(&own).unwrap();
    own
}

/// Fills Keycloak's form, and waits until the browser is back at this page.
pub fn log_in_at_keycloak(browser: &Browser, user: &str, back_at: &str) {
    // With brute-force protection, Keycloak refuses whoever logs in twice at the same moment.
    static ONE_BY_ONE: Mutex<()> = Mutex::new(());
    browser.wait_for(KEYCLOAK_FORM).unwrap();
    let _turn = ONE_BY_ONE.lock().unwrap_or_else(PoisonError::into_inner);
    browser.type_into("#username", user).unwrap();
    browser.type_into("#password", Keycloak::SAMPLE_SECRET).unwrap();
    browser.click("#kc-login").unwrap();
    browser.wait_for_url(back_at).unwrap();
}

/// The form on Keycloak's login page.
pub const KEYCLOAK_FORM: &str = "form#kc-form-login";

/// Fills the form of our own page.
pub fn log_in_locally(browser: &Browser, user: &str, password: &str) {
    browser.wait_for("input[name=password]").unwrap();
    browser.type_into("input[name=user]", user).unwrap();
    browser.type_into("input[name=password]", password).unwrap();
    browser.click("button").unwrap();
}

impl Scene {
    /// The URL of a page.
    pub fn page(&self, path: &str) -> String {
        format!("{}{path}", self.orthanc.url())
    }

    /// A browser that has logged in and shows the page that it wanted.
    pub fn browser_of(&self, user: &str, path: &str) -> Browser {
        let browser = Browser::start().unwrap();
        self.log_in(&browser, user, path);
        browser
    }

    /// Opens a page, logs in at Keycloak, and is back at the page.
    pub fn log_in(&self, browser: &Browser, user: &str, path: &str) {
        browser.open(&self.page(path)).unwrap();
        log_in_at_keycloak(browser, user, &self.page(path));
    }
}

/// A small page of the server's own to run scripts on.
pub const BLANK: &str = "/ohif/blank.html";

/// The options of a `fetch` whose answer does not come from the browser's cache.
pub fn uncached() -> Value {
    json!({"cache": "no-store"})
}

/// The studies of a QIDO-RS answer, sorted.
pub fn studies(found: &Value) -> Vec<String> {
    let uids = found.as_array().into_iter().flatten();
    dicom::sorted_ids(&uids.map(|study| study["0020000D"]["Value"][0].clone()).collect())
}

/// Keeps what is shown for the documents, when asked for by the environment.
pub fn keep_for_docs(browser: &Browser, name: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let folder = workspace::root().join("docs/images");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(name), browser.screenshot().unwrap()).unwrap();
    }
}
