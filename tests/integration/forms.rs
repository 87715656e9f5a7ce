//! Forms with files (RFC 7578): the server handles each part as a request of its own, with headers that nobody has
//! looked at.
use crate::site::{PASSWORD, Plan, Who};
use serde_json::json;
use testbed::dicom::Instance;
use testbed::{Request, Version};

const BOUNDARY: &str = "between-parts";

/// A form of one part, whose head says what its sender likes.
fn body(head: &str, content: &[u8]) -> Vec<u8> {
    let opening = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"x\"; filename=\"x\"\r\n{head}\r\n");
    [opening.as_bytes(), content, format!("\r\n--{BOUNDARY}--\r\n").as_bytes()].concat()
}

fn form(path: &str, head: &str, content: &[u8]) -> Request {
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    Request::post(path, body(head, content)).header("Content-Type", &kind)
}

#[test]
fn nothing_is_done_by_the_parts_of_a_form() {
    for version in Version::tested() {
        let site = Plan::new(version).start();
        let own = site.upload(&Instance::named("own", "study", "series", "image"), &["external"]);
        let foreign = site.upload(&Instance::named("foreign", "study", "series", "image"), &["internal"]);
        let (admin, limited) = (Who::user("admin"), Who::user("external"));
        let merge = format!("/studies/{}/merge", own.ids.study);
        let attacks = [
            (merge.as_str(), json!({"Resources": [foreign.ids.series], "Synchronous": true})),
            (
                "/tools/bulk-modify",
                json!({"Resources": [foreign.ids.study], "Level": "Study", "Replace": {"StudyDescription": "taken"}, "Synchronous": true}),
            ),
            ("/tools/bulk-delete", json!({"Resources": [foreign.ids.study]})),
        ];
        for (path, attack) in &attacks {
            let attack = attack.to_string();
            for head in ["", "Authorization: Bearer x\r\n", "api-key: x\r\nContent-Type: application/json\r\n"] {
                let answer = site.send(&limited, form(path, head, attack.as_bytes()));
                assert_eq!(answer.status, 403, "{version:?} {path} {head:?}");
            }
            for kind in ["Multipart/Form-Data", "multipart/form-data ", "multipart/form-data;x=y"] {
                let kind = format!("{kind}; boundary={BOUNDARY}");
                let request = Request::post(path, body("", attack.as_bytes())).header("Content-Type", &kind);
                assert_eq!(site.send(&limited, request).status, 403, "{version:?} {path} {kind:?}");
            }
            // Its kind is no text, so that it is a form to the server and to nobody else.
            let content = body("", attack.as_bytes());
            let credential = testbed::http::basic_value("external", PASSWORD);
            let head = format!(
                "POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {credential}\r\nContent-Length: {}\r\n",
                content.len()
            );
            let kind =
                [b"Content-Type: multipart/form-data; boundary=".as_slice(), BOUNDARY.as_bytes(), b"; \xe9\r\n\r\n"];
            let raw = [head.as_bytes(), &kind.concat(), &content].concat();
            assert_eq!(site.server.client().send_raw(&raw).unwrap().status, 403, "{version:?} {path}");
        }
        let left = site.get(&admin, &format!("/series/{}/study", foreign.ids.series)).json().unwrap();
        assert_eq!(left["ID"], json!(foreign.ids.study), "{version:?}");
        assert_eq!(site.get(&admin, "/studies").json().unwrap().as_array().unwrap().len(), 2, "{version:?}");
    }
}

#[test]
fn pieces_of_files_are_not_collected_for_strangers() {
    for version in Version::tested() {
        let site = Plan::new(version).start();
        let piece = |path: &str| {
            let request = form(path, "Content-Type: application/octet-stream\r\n", b"a piece");
            request.header("X-File-Name", "a").header("X-File-Size", "9000000000000000000")
        };
        for path in ["/auth/tokens/decode", "/auth/login", "/tools/lookup", "/instances"] {
            assert_eq!(site.send(&Who::nobody(), piece(path)).status, 403, "{version:?} {path}");
        }
        let limited = Who::user("external");
        assert_eq!(site.send(&limited, piece("/instances")).status, 403, "{version:?}");
        let inbox = site.put(&limited, "/auth/tokens/inbox-link", &json!({"Resources": []}));
        let inbox = Who::token(inbox.expect_status(200).unwrap().json().unwrap()["Token"].as_str().unwrap());
        let image = Instance::named("new", "study", "series", "image").to_bytes();
        // Each part could be compressed by itself.
        assert_eq!(site.send(&inbox, form("/instances", "", &image)).status, 403, "{version:?}");
        assert_eq!(site.get(&Who::user("admin"), "/studies").json().unwrap(), json!([]), "{version:?}");
        // What the first Orthanc Explorer sends.
        assert_eq!(site.send(&limited, form("/instances", "", &image)).status, 200, "{version:?}");
        assert_eq!(
            site.get(&Who::user("admin"), "/studies").json().unwrap().as_array().unwrap().len(),
            1,
            "{version:?}"
        );
    }
}
