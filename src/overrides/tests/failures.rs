//! Calls of the server that fail half way: what could not be looked up is refused, and not taken for allowed.

use super::*;

#[test]
fn nothing_is_asked_for_after_a_look_up_that_failed() {
    let (bed, askers) = bed(world());
    let series = id("a1x");
    let relations = ["study", "patient"].map(|above| (Method::Get, format!("/series/{series}/{above}"), String::new()));
    let searches = [("ParentStudy", id("a1")), ("ParentSeries", series.clone())].map(|(member, parent)| {
        let query = json!({"Level": "Instance", "Query": {}, member: parent});
        (Method::Post, "/tools/find".to_owned(), query.to_string())
    });
    for (method, path, query) in relations.into_iter().chain(searches) {
        // What is above a resource is known for good after the first time.
        let first = askers[0].call(&bed, method, &path, query.as_bytes()).unwrap();
        assert!(matches!(first, Reply::Answer { .. }));
        let mut refused = 0;
        for at in 0.. {
            bed.host.calls.lock().clear();
            let request = askers[0].request(method, &path, &[]);
            assert!(askers[0].filter(&bed, &request));
            bed.host.calls.lock().clear();
            *bed.host.fails_at.lock() = Some(at);
            let reply = answer_of(&bed, RestRequest { request, body: query.as_bytes() });
            if bed.host.fails_at.lock().take().is_some() {
                // There were not so many calls.
                assert!(matches!(reply, Reply::Answer { .. }));
                break;
            }
            let asked = bed.host.count(&format!("{} {path}", method.as_str()));
            match reply {
                Reply::HostError(HostError::FORBIDDEN) => {
                    assert_eq!(asked, 0, "{path} {query}, call {at}");
                    refused += 1;
                }
                // The call itself, or one for what is taken out of its answer.
                reply => assert_eq!(asked, 1, "{path} {query}, call {at}: {reply:?}"),
            }
        }
        // One look-up by the override's own guard, and another one by what this is about.
        assert!(refused >= 2, "{path} {query}: {refused}");
    }
}
