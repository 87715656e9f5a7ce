use super::*;
use crate::request::Change;

/// The server tells of what was deleted in its own time, and the same comes again before that.
#[test]
fn what_a_request_deletes_ends_its_links_before_it_is_answered() {
    let study = |name: &str| format!("/studies/{}", id(name));
    let bulk = |name: &str| json!({"Resources": [id(name)]}).to_string();
    let delete = |path: String| (Method::Delete, path, String::new());
    let admin = Asker { headers: vec![("authorization", basic("admin"))], labels: vec![], linked: vec![] };
    for (request, gone) in [
        (delete(study("a1")), &["a1", "a1x", "a1x1"][..]),
        (delete(format!("/patients/{}", id("ph"))), &["h1", "h1x", "h1x1", "h2"]),
        (delete(format!("/series/{}", id("a1x"))), &["a1x", "a1x1"]),
        (delete(format!("/series/{}", id("s1x"))), &["s1", "s1x", "s1x1"]),
        ((Method::Post, "/tools/bulk-delete".to_owned(), bulk("a1")), &["a1", "a1x", "a1x1"]),
    ] {
        for by_admin in [false, true] {
            let mut studies = world();
            // With one series, so that it goes with that.
            let mut single = studies[0].clone();
            (single.name, single.twin, single.patient) = ("s1".to_owned(), "s1".to_owned(), "ps".to_owned());
            single.series = vec!["s1x".to_owned()];
            studies.push(single);
            let (bed, askers) = bed(studies.clone());
            let linked = ["a1", "a1x", "a1x1", "h1", "h1x", "h1x1", "h2", "s1", "s1x", "s1x1", "b1", "b1x1"];
            for name in linked {
                bed.make_link(name, Some("ext"), LinkType::Stone, Vec::new(), |record| {
                    record.resource_ids = vec![id(name)]
                });
            }
            let (method, path, body) = &request;
            let asker = if by_admin { &admin } else { &askers[0] };
            let request = asker.request(*method, path, &[]);
            assert!(asker.filter(&bed, &request), "{path}");
            let reply = bed.callbacks.rest(&RestRequest { request, body: body.as_bytes() });
            assert!(matches!(reply, Reply::Answer { status: 200, .. }), "{path}: {reply:?}");
            *bed.host.studies.lock() = studies;
            for name in gone {
                bed.callbacks.change(Change::Deleted(id(name)));
            }
            for name in linked {
                let deleted = bed.verifiers().store.share(name).unwrap().unwrap().deleted;
                let expected = if gone.contains(&name) { vec![id(name)] } else { Vec::new() };
                assert_eq!(deleted, expected, "{path} {name} {by_admin}");
            }
        }
    }
}

#[test]
fn what_is_not_deleted_ends_no_link() {
    let path = format!("/studies/{}", id("a1"));
    let mut was_asked = false;
    for fails_at in 0.. {
        let (bed, askers) = bed(world());
        bed.make_link("a1", Some("ext"), LinkType::Stone, Vec::new(), |record| record.resource_ids = vec![id("a1")]);
        let request = askers[0].request(Method::Delete, &path, &[]);
        assert!(askers[0].filter(&bed, &request));
        *bed.host.fails_at.lock() = Some(fails_at);
        let reply = bed.callbacks.rest(&RestRequest { request, body: b"" });
        let deleted = bed.verifiers().store.share("a1").unwrap().unwrap().deleted;
        if bed.host.count(&format!("GET {path}")) > 0 && bed.host.studies.lock().iter().any(|study| study.name == "a1")
        {
            was_asked |= bed.host.count(&format!("DELETE {path}")) > 0;
            assert!(deleted.is_empty(), "{fails_at}: {reply:?}");
        }
        if bed.host.fails_at.lock().is_some() {
            assert_eq!(deleted, [id("a1")]);
            break;
        }
    }
    assert!(was_asked, "the deletion itself failed once");
}
