//! Files whose sequences lie in each other deeper than the stack of the server's threads.
use crate::site::{Plan, SHARE_KEY, Site, Who, roles};
use crate::uploads::{is_there, zip};
use serde_json::json;
use testbed::dicom::Instance;
use testbed::{Answer, Request, Version};

/// An image with sequences in each other, or beside each other in one, in explicit VR little endian.
fn image(name: &str, levels: usize, beside: usize) -> Instance {
    let item = |value: &[u8]| -> Vec<u8> {
        [&[0xfe, 0xff, 0x00, 0xe0][..], &[0xff; 4], value, &[0xfe, 0xff, 0x0d, 0xe0, 0, 0, 0, 0]].concat()
    };
    let begin = [&[0x40, 0, 0x30, 0xa7, b'S', b'Q', 0, 0][..], &[0xff; 4], &item(&[])[..8]].concat();
    let end = [&item(&[])[8..], &[0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0]].concat();
    let deep = item(&[begin.repeat(levels - 1), end.repeat(levels - 1)].concat());
    let value = [deep, item(&[]).repeat(beside)].concat();
    Instance::named("Nested", name, "series", "instance").raw((0x0040, 0xa730), "SQ", value)
}

fn lives(site: &Site) -> bool {
    site.get(&site.admin(), "/system").status == 200
}

/// An inbox link is for strangers. (By STOW-RS it is the DICOMweb plugin that reads first: see `docs/security.md`.)
#[test]
fn deep_sequences_do_not_end_the_server() {
    for version in Version::tested() {
        let mut document = roles();
        document["roles"]["viewer-role"]["permissions"] = json!(["view", "upload", "share", "create-inbox-links"]);
        let shares = json!({"SecretKey": SHARE_KEY, "PublicOrthancRoot": "http://site.test/orthanc/"});
        let site = Plan::new(version).roles(document).section(json!({"Shares": shares})).start();
        let body = json!({"Resources": [], "Type": "inbox-link", "Username": "x@y.example", "ValidityDuration": null});
        let link = site.put(&Who::user("external"), "/auth/tokens/inbox-link", &body).expect_status(200).unwrap();
        let link = Who::token(link.json().unwrap()["Token"].as_str().unwrap());
        for (who, whose) in [(&link, "link"), (&Who::user("external"), "user")] {
            let send =
                |instance: &Instance| -> Answer { site.send(who, Request::post("/instances", instance.to_bytes())) };
            for levels in [17, 40, 60, 300, 20_000] {
                let told = format!("{version:?} {whose} {levels}");
                let deep = image(&format!("{whose} {levels}"), levels, 0);
                assert_eq!(send(&deep).status, 400, "{told}");
                let archive = zip(&[("one", &deep.to_bytes())]);
                let _whatever = site.send(who, Request::post("/instances", archive));
                assert!(lives(&site) && !is_there(&site, &deep), "{told}");
            }
            // What is as deep as may be, and what is long.
            for (name, levels, beside) in [("deep", 16, 0), ("long", 2, 5_000)] {
                let instance = image(&format!("{whose} {name}"), levels, beside);
                assert_eq!(send(&instance).status, 200, "{version:?} {whose} {name}");
                assert!(lives(&site) && is_there(&site, &instance), "{version:?} {whose} {name}");
            }
        }
    }
}
