//! A panic in each callback of a real Orthanc: the request is refused, the server lives on, and stops as it should.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const PATIENCE: Duration = Duration::from_secs(60);

const SUITES: [&str; 2] = ["trixie", "sid"];

#[test]
fn without_a_panic_requests_pass_and_are_refused() {
    for suite in SUITES {
        let server = Server::start(suite, "nothing");
        server.ready();
        assert_eq!(server.get("/system"), 200, "{suite}");
        assert_eq!(server.get("/gatehouse-test"), 200, "{suite}");
        assert_eq!(server.get("/studies"), 403, "{suite}");
        let (status, log) = server.stop();
        assert!(status.success(), "{suite}: {status}\n{log}");
        assert!(!log.contains("panic"), "{suite}: {log}");
    }
}

#[test]
fn a_panic_in_the_filter_refuses() {
    for suite in SUITES {
        let server = Server::start(suite, "filter");
        server.ready();
        for _ in 0..3 {
            assert_eq!(server.get("/system"), 403, "{suite}");
            assert_eq!(server.get("/gatehouse-test"), 403, "{suite}");
        }
        server.stops_well_having_logged("filter");
    }
}

#[test]
fn a_panic_in_a_rest_callback_is_an_error_of_the_plugin() {
    for suite in SUITES {
        let server = Server::start(suite, "rest");
        server.ready();
        for _ in 0..3 {
            assert_eq!(server.get("/gatehouse-test"), 500, "{suite}");
            assert_eq!(server.get("/system"), 200, "{suite}: the server lives on");
        }
        server.stops_well_having_logged("rest");
    }
}

#[test]
fn a_panic_in_the_authentication_forbids_where_the_host_asks_for_it() {
    let server = Server::start("sid", "authentication");
    server.ready();
    for _ in 0..3 {
        assert_eq!(server.get("/system"), 403);
        assert_eq!(server.get("/gatehouse-test"), 403);
    }
    server.stops_well_having_logged("authentication");

    // 1.12.7 does not know that callback; registering it would have failed the start.
    let server = Server::start("trixie", "authentication");
    server.ready();
    assert_eq!(server.get("/system"), 200);
    let (status, log) = server.stop();
    assert!(status.success() && !log.contains("panic"), "{status}\n{log}");
}

#[test]
fn a_panic_at_a_change_leaves_the_server_alive() {
    for suite in SUITES {
        let server = Server::start(suite, "change");
        server.ready();
        assert_eq!(server.get("/system"), 200, "{suite}");
        assert_eq!(server.get("/studies"), 403, "{suite}");
        server.stops_well_having_logged("change");
    }
}

#[test]
fn a_panic_at_the_start_keeps_the_server_from_starting() {
    for suite in SUITES {
        let (status, log) = Server::start(suite, "initialize").ended();
        assert!(!status.success(), "{suite}: started without its guard\n{log}");
        assert_eq!(signal(status), None, "{suite}: {log}");
        assert!(log.contains("callback \"initialize\" panicked"), "{suite}: {log}");
    }
}

#[test]
fn a_panic_at_the_end_does_not_disturb_it() {
    for suite in SUITES {
        let server = Server::start(suite, "finalize");
        server.ready();
        assert_eq!(server.get("/system"), 200, "{suite}");
        server.stops_well_having_logged("finalize");
    }
}

struct Server {
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Server {
    /// Starts a server whose plugin panics in one callback. The one function that knows how.
    fn start(suite: &str, panic_in: &str) -> Self {
        let variable = format!("GATEHOUSE_ORTHANC_{}", suite.to_uppercase());
        let installed = std::env::var_os(&variable)
            .map_or_else(|| Path::new(ROOT).join(".cache/orthanc").join(suite), PathBuf::from);
        let binary = installed.join("usr/sbin/Orthanc");
        assert!(binary.is_file(), "{} is missing: run `cargo xtask setup`, or set {variable}", binary.display());
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let configuration = serde_json::json!({
            "HttpPort": port,
            "DicomServerEnabled": false,
            "AuthenticationEnabled": false,
            "StorageDirectory": folder.path(),
            "IndexDirectory": folder.path(),
            "Plugins": [plugin()],
        });
        let configuration_file = folder.path().join("orthanc.json");
        std::fs::write(&configuration_file, configuration.to_string()).unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let libraries = std::fs::read_dir(installed.join("usr/lib"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().ends_with("-linux-gnu")))
            .unwrap();
        let loader = std::fs::read_dir(&libraries)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ld-linux")))
            .unwrap();
        let path = [
            libraries.clone(),
            libraries.join("blas"),
            libraries.join("lapack"),
            installed.join("usr/lib/orthanc"),
            installed.join("usr/lib"),
        ];
        let child = Command::new(loader)
            .arg("--library-path")
            .arg(std::env::join_paths(path).unwrap())
            .arg(binary)
            .arg(&configuration_file)
            .env("DCMDICTPATH", installed.join("usr/share/dcmtk/dicom.dic"))
            .env("LC_ALL", "C.UTF-8")
            .env("GATEHOUSE_PANIC_IN", panic_in)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { child, port, folder }
    }

    /// Waits until the server says that it has started.
    fn ready(&self) {
        wait_until(|| self.log().contains("Orthanc has started").then_some(())).unwrap_or_else(|| {
            panic!("the server did not start:\n{}", self.log());
        });
    }

    fn get(&self, path: &str) -> u16 {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).unwrap();
        let mut answer = Vec::new();
        // How the server closes the connection does not matter once it has answered.
        let end = stream.read_to_end(&mut answer);
        let text = String::from_utf8_lossy(&answer);
        let status = text.split_whitespace().nth(1).and_then(|status| status.parse().ok());
        status.unwrap_or_else(|| panic!("{end:?}, {text:?}\n{}", self.log()))
    }

    fn log(&self) -> String {
        let log = std::fs::read(self.folder.path().join("log")).unwrap();
        String::from_utf8_lossy(&log).into_owned()
    }

    fn stops_well_having_logged(self, callback: &str) {
        let (status, log) = self.stop();
        assert!(status.success(), "{status}\n{log}");
        assert!(log.contains(&format!("callback \"{callback}\" panicked")), "{log}");
        assert!(log.contains("message withheld"), "{log}");
        assert!(!log.contains("injected into"), "a formatted message may hold a piece of a request: {log}");
    }

    fn stop(self) -> (ExitStatus, String) {
        let id = libc::pid_t::try_from(self.child.id()).unwrap();
        // SAFETY: our own child, which has not been waited for.
        assert_eq!(unsafe { libc::kill(id, libc::SIGTERM) }, 0);
        self.ended()
    }

    fn ended(mut self) -> (ExitStatus, String) {
        let status = wait_until(|| self.child.try_wait().unwrap());
        (status.unwrap_or_else(|| panic!("the server does not end:\n{}", self.log())), self.log())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Only after a failed assertion is it still there.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn signal(status: ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&status)
}

#[expect(clippy::disallowed_methods, reason = "another process is waited for")]
fn wait_until<T>(mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        if let Some(value) = condition() {
            return Some(value);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    None
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// The library with feature `fault-injection`. It has a target directory of its own: in the common one it would take the
/// place of the ordinary library without cargo noticing.
fn plugin() -> &'static Path {
    static PLUGIN: OnceLock<PathBuf> = OnceLock::new();
    PLUGIN.get_or_init(|| {
        let test = std::env::current_exe().unwrap();
        let target = test.ancestors().nth(3).unwrap().join("fault-injection");
        let build = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--lib", "--features", "fault-injection", "--target-dir"])
            .arg(&target)
            .current_dir(ROOT)
            .output()
            .unwrap();
        assert!(build.status.success(), "{}", String::from_utf8_lossy(&build.stderr));
        target.join("debug/liborthanc_gatehouse.so")
    })
}
