//! A panic in each callback of a real Orthanc: the request is refused, the server lives on, and stops as it should.
//! The plugin is a build of its own for it (feature `fault-injection`).
#![deny(unsafe_code)]

use serde_json::json;
use testbed::{Client, Orthanc, OrthancBuilder, Version, dicom, password_hash, plugin_library_with};

/// A server whose plugin panics in one callback.
fn builder(version: Version, panic_in: &str) -> OrthancBuilder {
    let library = plugin_library_with(&["fault-injection"]).expect("the plugin");
    let hash = password_hash("admin").expect("a hash");
    let configuration = json!({
        "Authorization": {
            "StandardConfigurations": ["stone-webviewer"],
            "Users": {"admin": {"PasswordHash": hash, "Roles": ["admin-role"]}},
            "Roles": {"admin-role": {"permissions": ["all", "admin-permissions"], "authorized-labels": ["*"]}}
        }
    });
    Orthanc::builder(version).plugin(library).configure(&configuration).env("GATEHOUSE_PANIC_IN", panic_in)
}

fn start(version: Version, panic_in: &str) -> (Orthanc, Client) {
    let server = builder(version, panic_in).start().expect("a server");
    let admin = server.client().with_basic("admin", "admin");
    (server, admin)
}

fn status(client: &Client, path: &str) -> u16 {
    client.get(path).expect("an answer").status
}

/// The server lived until now, stops by itself without a crash, and its log names the callback.
fn stops_well(mut server: Orthanc, panicked: &str) {
    server.stop().expect("a clean end");
    let log = server.log();
    assert!(log.contains(&format!("callback \"{panicked}\" panicked")), "{log}");
}

#[test]
fn without_a_panic_requests_pass_and_are_refused() {
    for version in Version::tested() {
        let (mut server, admin) = start(version, "nothing");
        assert_eq!(status(&server.client(), "/system"), 200);
        assert_eq!(status(&server.client(), "/studies"), 403);
        assert_eq!(status(&admin, "/studies"), 200);
        assert_eq!(status(&admin, "/auth/settings/roles"), 200);
        server.stop().expect("a clean end");
        assert!(!server.log().contains("panicked"), "{}", server.log());
    }
}

#[test]
fn a_panic_in_the_filter_refuses() {
    for version in Version::tested() {
        let (server, admin) = start(version, "filter");
        for _ in 0..3 {
            assert_eq!(status(&server.client(), "/system"), 403);
            assert_eq!(status(&admin, "/studies"), 403);
        }
        stops_well(server, "filter");
    }
}

#[test]
fn a_panic_in_a_rest_callback_is_an_error_of_the_plugin() {
    for version in Version::tested() {
        let (server, admin) = start(version, "rest");
        for _ in 0..3 {
            assert_eq!(status(&admin, "/auth/settings/roles"), 500);
            assert_eq!(status(&admin, "/studies"), 200, "the server lives on");
        }
        stops_well(server, "rest");
    }
}

#[test]
fn a_panic_in_the_authentication_forbids_where_the_host_asks_for_it() {
    for version in Version::tested() {
        let (mut server, admin) = start(version, "authentication");
        if version == Version::Trixie {
            // 1.12.7 does not know that callback; registering it would have failed the start.
            assert_eq!(status(&admin, "/studies"), 200);
            server.stop().expect("a clean end");
            assert!(!server.log().contains("panicked"), "{}", server.log());
            continue;
        }
        for _ in 0..3 {
            assert_eq!(status(&server.client(), "/system"), 403);
            assert_eq!(status(&admin, "/studies"), 403);
        }
        stops_well(server, "authentication");
    }
}

#[test]
fn a_panic_at_a_change_leaves_the_server_alive() {
    for version in Version::tested() {
        let (server, admin) = start(version, "change");
        dicom::upload_real(&admin, "CT_small.dcm").expect("an upload");
        assert_eq!(status(&admin, "/studies"), 200);
        assert_eq!(status(&server.client(), "/studies"), 403);
        stops_well(server, "change");
    }
}

#[test]
fn a_panic_on_the_way_in_keeps_the_instance_out() {
    for version in Version::tested() {
        let (server, admin) = start(version, "receive");
        assert!(dicom::upload_real(&admin, "CT_small.dcm").is_err(), "the instance was not decided on");
        assert_eq!(admin.get("/instances").expect("an answer").json().expect("JSON"), json!([]));
        stops_well(server, "receive");
        // Earlier on the same way; whoever sends it is told by its status.
        let (server, admin) = start(version, "received");
        let _answer = dicom::upload_real(&admin, "CT_small.dcm");
        assert_eq!(admin.get("/instances").expect("an answer").json().expect("JSON"), json!([]));
        stops_well(server, "received");
    }
}

#[test]
fn a_panic_after_storing_leaves_the_server_alive() {
    for version in Version::tested() {
        let (server, admin) = start(version, "stored");
        // Whatever the answer is, the server goes on.
        let _answer = dicom::upload_real(&admin, "CT_small.dcm");
        assert_eq!(status(&admin, "/studies"), 200);
        assert_eq!(status(&server.client(), "/studies"), 403);
        stops_well(server, "stored");
    }
}

#[test]
fn a_panic_at_the_start_keeps_the_server_from_starting() {
    for version in Version::tested() {
        let log = builder(version, "initialize").start_refused().expect("a refused start");
        assert!(log.contains("callback \"initialize\" panicked"), "{log}");
    }
}

#[test]
fn a_panic_at_the_end_does_not_disturb_it() {
    for version in Version::tested() {
        let (server, admin) = start(version, "finalize");
        assert_eq!(status(&admin, "/studies"), 200);
        stops_well(server, "finalize");
    }
}
