//! What must be on the machine before anything else works: Debian packages, extracted Orthanc servers, real DICOM
//! images. As root it installs what is missing; for others it says exactly what to run. It must not know what the
//! servers are used for.
//!
//! Everything is idempotent: done once, it costs a few milliseconds. Nothing is installed on the machine besides the
//! Debian packages; servers and images lie below `.cache/`.
pub mod browser;
pub mod keycloak;
pub mod mail;
mod mirror;
pub mod node;

use crate::orthanc::Version;
use crate::workspace;
use anyhow::{Context, Result, bail, ensure};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What an extracted server contains: the server, DICOMweb, the official plugin header, the PostgreSQL plugins.
const SERVER_PACKAGES: &str = "orthanc,orthanc-dicomweb,orthanc-dev,orthanc-postgresql";

/// The release whose nginx is used.
const NGINX_FROM: Version = Version::Trixie;

/// A Debian package, what it is for, and how to see that its service is there already, from wherever it came.
struct Requirement {
    package: &'static str,
    purpose: &'static str,
    present: fn() -> bool,
}

/// What only a part of the tests needs; without it they say that they did not run.
const REQUIREMENTS_OF_KEYCLOAK: [Requirement; 2] = [
    Requirement {
        package: "default-jre-headless",
        purpose: "runs Keycloak",
        present: || keycloak::find_java().is_some(),
    },
    Requirement { package: "maven", purpose: "fetches Keycloak", present: || on_path("mvn") },
];

const REQUIREMENTS_OF_NODE: [Requirement; 2] = [
    Requirement { package: "nodejs", purpose: "runs a second OpenID Connect provider", present: || on_path("node") },
    Requirement { package: "npm", purpose: "fetches it", present: || on_path("npm") },
];

/// What only the tests in a real browser need.
const REQUIREMENTS_OF_BROWSER: [Requirement; 3] = [
    Requirement { package: "chromium", purpose: "the browser", present: || on_path("chromium") },
    Requirement { package: "chromium-driver", purpose: "steers the browser", present: || on_path("chromedriver") },
    Requirement { package: "npm", purpose: "fetches OHIF", present: || on_path("npm") },
];

/// What the tests need besides.
const REQUIREMENTS_OF_TESTS: [Requirement; 1] = [Requirement {
    package: "openssl",
    purpose: "makes certificates for nginx and the mail server",
    present: || on_path("openssl"),
}];

const REQUIREMENTS: [Requirement; 4] = [
    Requirement {
        package: "build-essential",
        purpose: "linker, C and C++ compiler",
        present: || on_path("cc") && on_path("c++"),
    },
    Requirement { package: "libclang-dev", purpose: "reads the plugin header (bindgen)", present: has_libclang },
    Requirement {
        package: "mmdebstrap",
        purpose: "extracts Orthanc and nginx from Debian",
        present: || on_path("mmdebstrap"),
    },
    Requirement {
        package: "python3-pip",
        purpose: "fetches pydicom's real DICOM images and a mail server",
        present: || succeeds(Command::new("python3").args(["-m", "pip", "--version"])),
    },
];

/// Everything the demonstration needs, with this version of Orthanc; says on stderr what it does.
pub fn ensure_demonstration(version: Version) -> Result<()> {
    install(&REQUIREMENTS)?;
    ensure_orthanc(version)?;
    ensure_images().map(drop)
}

/// Everything that all tests need, for these versions of Orthanc; says on stderr what it does.
pub fn ensure_all(versions: &[Version]) -> Result<()> {
    ensure_packages()?;
    for &version in versions {
        ensure_orthanc(version)?;
    }
    ensure_nginx()?;
    ensure_images()?;
    mail::ensure()?;
    Ok(())
}

/// The Debian packages. Not root and something missing: an error with the command to run.
pub fn ensure_packages() -> Result<()> {
    install(REQUIREMENTS.iter().chain(&REQUIREMENTS_OF_TESTS))
}

/// A provider that is no Keycloak. An error says what is missing.
pub fn ensure_provider() -> Result<()> {
    install(&REQUIREMENTS_OF_NODE)?;
    node::ensure().map(drop)
}

/// A real Keycloak. An error says what is missing: everything but the tests against it works without.
pub fn ensure_keycloak() -> Result<keycloak::Keycloak> {
    if let Ok(found) = keycloak::find() {
        return Ok(found);
    }
    install(&REQUIREMENTS_OF_KEYCLOAK)?;
    keycloak::ensure()
}

/// A real Chromium and OHIF. An error says what is missing: everything but the tests in a browser works without.
pub fn ensure_browser() -> Result<browser::Browser> {
    if let Ok(found) = browser::find() {
        return Ok(found);
    }
    install(&REQUIREMENTS_OF_BROWSER)?;
    browser::ensure()
}

fn install<'a>(requirements: impl IntoIterator<Item = &'a Requirement>) -> Result<()> {
    let missing: Vec<&Requirement> = requirements.into_iter().filter(|r| !(r.present)()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    for requirement in &missing {
        eprintln!("setup: missing {} ({})", requirement.package, requirement.purpose);
    }
    let names: Vec<&str> = missing.iter().map(|r| r.package).collect();
    let names = names.join(" ");
    if !on_path("apt-get") {
        bail!("this is no Debian: install what the packages {names} offer in your own way, then run this again");
    }
    if !rustix::process::geteuid().is_root() {
        bail!(
            "packages are missing; run this, then try again:\n\n    sudo apt-get update && sudo apt-get install -y {names}\n"
        );
    }
    eprintln!("setup: apt-get install {names}");
    run(Command::new("apt-get").args(["update", "-q"]))?;
    run(Command::new("apt-get")
        .args(["install", "-q", "-y", "--no-install-recommends"])
        .args(missing.iter().map(|r| r.package))
        .env("DEBIAN_FRONTEND", "noninteractive"))?;
    for requirement in missing {
        ensure!((requirement.present)(), "{} is installed, yet not usable", requirement.package);
    }
    Ok(())
}

/// The folder of an extracted Orthanc; extracts it when it is not there, half there, or made from other packages.
pub fn ensure_orthanc(version: Version) -> Result<PathBuf> {
    let folder = workspace::cache().join("orthanc").join(version.suite());
    let marker = folder.join(".packages");
    let complete = || fs::read_to_string(&marker).is_ok_and(|text| text.trim() == SERVER_PACKAGES);
    if complete() {
        return Ok(folder);
    }
    let _lock = lock(&workspace::cache().join("orthanc"))?;
    if complete() {
        return Ok(folder);
    }
    let mirror = mirror::find()?;
    eprintln!("setup: extracting Orthanc from Debian {} ({mirror}), about 10 s", version.suite());
    let fresh = tempfile::Builder::new().prefix("extracting-").tempdir_in(workspace::cache().join("orthanc"))?;
    extract(version, SERVER_PACKAGES, &mirror, fresh.path())?;
    fs::write(fresh.path().join(".packages"), SERVER_PACKAGES)?;
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot replace {}", folder.display()))?;
    }
    fs::rename(fresh.keep(), &folder).with_context(|| format!("cannot place {}", folder.display()))?;
    Ok(folder)
}

/// The folder of an extracted nginx.
pub fn ensure_nginx() -> Result<PathBuf> {
    let folder = workspace::cache().join("nginx");
    if folder.join("usr/sbin/nginx").is_file() {
        return Ok(folder);
    }
    let _lock = lock(&workspace::cache())?;
    if folder.join("usr/sbin/nginx").is_file() {
        return Ok(folder);
    }
    let mirror = mirror::find()?;
    eprintln!("setup: extracting nginx from Debian {} ({mirror}), a few seconds", NGINX_FROM.suite());
    let fresh = tempfile::Builder::new().prefix("extracting-").tempdir_in(workspace::cache())?;
    extract(NGINX_FROM, "nginx", &mirror, fresh.path())?;
    fs::rename(fresh.keep(), &folder).with_context(|| format!("cannot place {}", folder.display()))?;
    Ok(folder)
}

/// Through a tar stream, so that files belong to whoever runs this, root or not.
fn extract(version: Version, packages: &str, mirror: &str, into: &Path) -> Result<()> {
    let messages = tempfile::NamedTempFile::new()?;
    let mut fetch = Command::new("mmdebstrap")
        .args(["--variant=extract", "--format=tar", "--skip=output/dev,output/mknod"])
        .arg(format!("--include={packages}"))
        .args(["--aptopt=Acquire::Check-Valid-Until \"false\"", "--aptopt=Acquire::Retries \"3\""])
        .args([version.suite(), "-", mirror])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(messages.reopen()?)
        .spawn()
        .context("cannot start mmdebstrap")?;
    let archive = fetch.stdout.take().context("mmdebstrap has no output")?;
    let unpacked = Command::new("tar")
        .args(["--extract", "--no-same-owner", "--exclude=./dev", "--directory"])
        .arg(into)
        .stdin(archive)
        .status()
        .context("cannot start tar")?;
    let fetched = fetch.wait()?;
    if !fetched.success() || !unpacked.success() {
        let said = fs::read_to_string(messages.path()).unwrap_or_default();
        bail!("extracting {packages} from {mirror} failed (mmdebstrap {fetched}, tar {unpacked}):\n{said}");
    }
    Ok(())
}

/// The folder with pydicom's test images; fetches the wheel with pip when it is not there.
pub fn ensure_images() -> Result<PathBuf> {
    let folder = workspace::cache().join("dicom");
    if folder.is_dir() {
        return Ok(folder);
    }
    let _lock = lock(&workspace::cache())?;
    if folder.is_dir() {
        return Ok(folder);
    }
    eprintln!("setup: fetching real DICOM images (pydicom's wheel, 2 MB)");
    let fresh = tempfile::Builder::new().prefix("fetching-").tempdir_in(workspace::cache())?;
    run(Command::new("python3")
        .args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"])
        .args(["--dest", "."])
        // The tests name files of this version.
        .arg("pydicom==3.0.2")
        .current_dir(fresh.path()))?;
    let wheel = fs::read_dir(fresh.path())?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|e| e == "whl"))
        .context("pip fetched no wheel")?;
    run(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(&wheel).arg("wheel").current_dir(fresh.path()))?;
    fs::rename(fresh.path().join("wheel/pydicom/data/test_files"), &folder).context("pydicom's wheel has no images")?;
    Ok(folder)
}

/// One at a time, across processes; released when the file is closed, also by a crash.
pub(crate) fn lock(folder: &Path) -> Result<File> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let file = File::create(folder.join(".lock"))?;
    file.lock().context("cannot lock the cache")?;
    Ok(file)
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.stdin(Stdio::null()).status().with_context(|| format!("cannot start {command:?}"))?;
    ensure!(status.success(), "{command:?} failed: {status}");
    Ok(())
}

fn succeeds(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
}

/// Whether a program of this name can be found.
#[must_use]
pub fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// bindgen looks for `libclang*.so*` in the usual folders, those of LLVM's packages included.
fn has_libclang() -> bool {
    if std::env::var_os("LIBCLANG_PATH").is_some() {
        return true;
    }
    let subfolders = |folder: &str| -> Vec<PathBuf> {
        fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path()).collect()
    };
    let mut folders: Vec<PathBuf> = subfolders("/usr/lib").into_iter().map(|f| f.join("lib")).collect();
    folders.extend(subfolders("/usr/lib"));
    folders.extend(["/usr/lib", "/usr/local/lib", "/usr/lib64"].map(PathBuf::from));
    folders.iter().any(|folder| {
        fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok).any(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            // The C++ library beside it (`libclang-cpp.so.14`) comes with other programs, and bindgen cannot use it.
            name.starts_with("libclang.so")
                || (name.starts_with("libclang-") && !name.starts_with("libclang-cpp") && name.contains(".so"))
        })
    })
}
