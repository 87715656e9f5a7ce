use super::*;
use crate::testing::{Bed, basic, id, world};
use serde_json::json;

fn request<'a>(method: Method, path: &'a str, headers: &[(&'a str, &'a str)]) -> Request<'a> {
    Request { method, path, remote: "192.0.2.1", headers: headers.to_vec(), arguments: Vec::new() }
}

fn bed() -> Bed {
    let roles = json!({"roles": {"r": {"permissions": ["view"], "authorized-labels": ["ext"]}}});
    Bed::new(json!({}), &json!({"ext": ["r"]}), &roles, world())
}

fn decide(bed: &Bed, request: &Request<'_>, staleness: Staleness) {
    write(request, false, bed.gate.decide(request, crate::testing::NOW), staleness, &Places::default());
}

fn who(request: &Request<'_>) -> Caller {
    caller(request, &Places::default())
}

fn granted(caller: Caller) -> Vec<String> {
    match caller {
        Caller::Direct(slot) => {
            std::iter::once("direct".to_owned()).chain(slot.granted.iter().map(|who| who.name.clone())).collect()
        }
        Caller::OnBehalf(slot) => {
            std::iter::once("on behalf".to_owned()).chain(slot.granted.iter().map(|who| who.name.clone())).collect()
        }
        Caller::Internal => vec!["internal".to_owned()],
    }
}

#[test]
fn the_callback_of_a_request_has_its_identity_and_calls_on_its_behalf_have_it_too() {
    let (bed, user) = (bed(), basic("ext"));
    clear();
    let path = format!("/studies/{}", id("a1"));
    let seen = request(Method::Get, &path, &[("authorization", &user)]);
    assert_eq!(granted(who(&seen)), ["internal"]);
    decide(&bed, &seen, Staleness::Cleared);
    assert_eq!(granted(who(&seen)), ["direct", "ext"]);
    // Again: an override may be asked more than once.
    assert_eq!(granted(who(&seen)), ["direct", "ext"]);
    assert_eq!(granted(who(&request(Method::Post, "/tools/find", &[]))), ["on behalf", "ext"]);
    assert_eq!(granted(who(&request(Method::Delete, &path, &[]))), ["on behalf", "ext"]);
    // Another thread serves another request.
    let elsewhere = std::thread::spawn(|| granted(who(&request(Method::Get, "/", &[])))).join().unwrap();
    assert_eq!(elsewhere, ["internal"]);
    clear();
    assert_eq!(granted(who(&seen)), ["internal"]);
}

#[test]
fn a_slash_at_the_end_is_the_same_request() {
    let (bed, user) = (bed(), basic("ext"));
    let path = format!("/studies/{}/", id("a1"));
    decide(&bed, &request(Method::Get, &path, &[("authorization", &user)]), Staleness::Cleared);
    let answered = request(Method::Get, path.trim_end_matches('/'), &[("authorization", &user)]);
    assert_eq!(granted(who(&answered)), ["direct", "ext"]);
    clear();
}

#[test]
fn a_refused_request_leaves_nobody_behind() {
    let (bed, user) = (bed(), basic("ext"));
    let path = format!("/studies/{}", id("a1"));
    decide(&bed, &request(Method::Get, &path, &[("authorization", &user)]), Staleness::Cleared);
    let foreign = format!("/studies/{}", id("b1"));
    let refused = request(Method::Get, &foreign, &[("authorization", &user)]);
    decide(&bed, &refused, Staleness::Cleared);
    assert_eq!(granted(who(&refused)), ["direct"]);
    clear();
}

#[test]
fn a_slot_is_stale_where_only_the_credentials_tell() {
    let (bed, user) = (bed(), basic("ext"));
    let path = format!("/studies/{}", id("a1"));
    let seen = request(Method::Get, &path, &[("authorization", &user), ("host", "a")]);
    decide(&bed, &seen, Staleness::ByCredentials);
    assert_eq!(granted(who(&seen)), ["direct", "ext"]);
    // A plugin that calls on the request's behalf leaves out and adds what it likes: the restriction holds.
    for headers in [
        vec![("host", "a"), ("authorization", user.as_str())],
        vec![("authorization", user.as_str())],
        vec![("authorization", user.as_str()), ("host", "b"), ("x", "y")],
        vec![],
        vec![("host", "a")],
    ] {
        let call = request(Method::Post, "/tools/find", &headers);
        assert_eq!(granted(who(&call)), ["on behalf", "ext"], "{headers:?}");
    }
    // A request that skipped the filter carries the host's own token instead.
    for headers in [
        vec![("authorization", "Bearer host"), ("host", "a")],
        vec![("token", user.as_str())],
        vec![("authorization", user.as_str()), ("token", "b")],
        vec![("host", user.as_str()), ("authorization", "a")],
    ] {
        assert_eq!(granted(who(&request(Method::Get, &path, &headers))), ["internal"], "{headers:?}");
    }
    clear();
}

#[test]
fn a_call_with_fewer_credentials_than_the_request_is_the_requests() {
    let (bed, user) = (bed(), basic("ext"));
    let path = format!("/studies/{}", id("a1"));
    // Whoever asks can show more than a plugin hands on.
    let all = [("authorization", user.as_str()), ("token", "a"), ("api-key", "b")];
    decide(&bed, &request(Method::Get, &path, &all), Staleness::ByCredentials);
    for left in [&all[..], &all[..2], &all[..1], &all[1..], &all[2..], &[]] {
        assert_eq!(granted(who(&request(Method::Post, "/tools/find", left))), ["on behalf", "ext"], "{left:?}");
    }
    for other in [("token", "b"), ("authorization", "a")] {
        let call = request(Method::Post, "/tools/find", &[all[2], other]);
        assert_eq!(granted(who(&call)), ["internal"], "{other:?}");
    }
    clear();
}
