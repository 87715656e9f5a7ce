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

/// The same in big endian, behind a value that hides it from whoever reads little endian, and with a transfer syntax that
/// nobody knows.
fn hidden_in_big_endian(name: &str, levels: usize) -> Vec<u8> {
    let mut file = Instance::named("Nested", name, "series", "instance").to_bytes();
    let at = file.windows(19).position(|window| window == b"1.2.840.10008.1.2.1").expect("explicit VR little endian");
    file[at + 17..at + 20].copy_from_slice(b".4.");
    let length = u32::from_le_bytes(file[140..144].try_into().unwrap());
    file.truncate(144 + length as usize);
    let level = [&[0, 0x40, 0xa7, 0x30, b'S', b'Q', 0, 0][..], &[0xff; 4], &[0xff, 0xfe, 0xe0, 0], &[0xff; 4]].concat();
    let mut data = [&[0, 8, 0, 5, b'C', b'S', 0, 0x0a][..], b"ISO_IR 100", &level.repeat(levels)].concat();
    data.resize(data.len().max(8 + 0x0a00), 0);
    [file, data].concat()
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
            // Written so that the server would have to find out how.
            for levels in [60, 300] {
                let hidden = hidden_in_big_endian(&format!("{whose} {levels}"), levels);
                let answer = site.send(who, Request::post("/instances", hidden));
                assert!(answer.status == 400 && lives(&site), "{version:?} {whose} {levels}: {}", answer.status);
            }
            // What is as deep as may be, and what is long.
            for (name, levels, beside) in [("deep", 16, 0), ("long", 2, 3_000)] {
                let instance = image(&format!("{whose} {name}"), levels, beside);
                assert_eq!(send(&instance).status, 200, "{version:?} {whose} {name}");
                assert!(lives(&site) && is_there(&site, &instance), "{version:?} {whose} {name}");
            }
        }
    }
}
