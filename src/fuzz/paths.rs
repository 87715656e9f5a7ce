//! Paths and arguments, decoded, as the server hands them to the filter.

use std::sync::LazyLock;

use super::site::{Asker, Line, Outcome, Site, filled, on_host_thread, request_line};
use crate::host::{Host, HostVersion, Method};
use crate::route::{Handling, UnknownRoutes};

static SITE: LazyLock<Site> = LazyLock::new(|| Site::new(true));

/// Segments behind which an identifier names nothing: a name of metadata, of an attachment, of a tag.
const NAMES_BEHIND: [&str; 6] = ["metadata", "attachments", "labels", "content", "frames", "bulk"];

/// A method and a path: whatever it is, nothing foreign comes out of it, and a slash more or less at its end changes
/// nothing.
pub fn path(data: &[u8]) {
    let Some(text) = filled(data) else { return };
    let Some(Line { method, path, .. }) = request_line(&text) else { return };
    LazyLock::force(&SITE);
    on_host_thread(|| check_path(&SITE, method, path));
}

fn check_path(site: &Site, method: Method, path: &str) {
    let routes = &site.bed.gate.routes;
    let access = routes.classify(method, path, &[]);
    let row = routes.find(method, path);
    assert_eq!((row.template, row.handling), (access.template, access.handling));
    for end in ["/", "//"] {
        let longer = format!("{path}{end}");
        let other = routes.classify(method, &longer, &[]);
        assert_eq!(format!("{other:?}"), format!("{access:?}"), "a slash at the end");
    }

    let granted = |asker| site.filter(asker, method, path, &[]);
    let (nobody, limited, unlimited) = (granted(Asker::Nobody), granted(Asker::Limited), granted(Asker::Unlimited));
    assert!(limited || !nobody, "more for somebody with less");
    assert!(unlimited || !limited, "somebody with all labels is refused");
    if path.starts_with('/') && !matches!(access.handling, Handling::Own) {
        assert!(unlimited, "the first gate is open");
    }
    if limited && !matches!(access.handling, Handling::Open | Handling::Own) {
        let mut segments = path.split('/').take_while(|segment| !NAMES_BEHIND.contains(segment));
        let foreign = segments.find(|part| site.foreign.contains(*part) || site.foreign_uids.contains(*part));
        // What an upload is for is decided by what arrives.
        assert!(foreign.is_none() || matches!(access.handling, Handling::Upload(_)), "{foreign:?} is let through");
    }
    if limited {
        assert_ne!(access.handling, Handling::Unknown, "a route that nobody knows");
        assert_ne!(access.handling, Handling::Refused, "a route that is not looked into");
    }
    for asker in [Asker::Limited, Asker::Nobody] {
        match site.ask(asker, method, path, &[], b"") {
            Outcome::Refused => {}
            Outcome::Passed if method == Method::Get => {
                let request = site.request(asker, method, path, &[]);
                let uri = crate::overrides::uri(&request, HostVersion::new(1, 13, 0));
                let answer = site.bed.host.get(&uri).unwrap_or_default();
                check_answer(site, &answer);
            }
            Outcome::Passed => {}
            Outcome::Answered(reply) => check_reply(site, &reply),
        }
    }

    let request = site.request(Asker::Limited, method, path, &[]);
    let outcome = site.bed.gate.decide(&request, crate::clock::now());
    let line = crate::gate::describe_refusal(&request, &outcome);
    assert!(!line.contains(char::is_control) && line.chars().count() < 1_500, "{line:?}");
    if let Some(line) = UnknownRoutes::default().first_time(method.as_str(), path) {
        assert!(!line.contains(char::is_control) && line.chars().count() < 1_500, "{line:?}");
    }
}

pub(super) fn check_reply(site: &Site, reply: &crate::request::Reply) {
    if let crate::request::Reply::Answer { body, .. } = reply {
        check_answer(site, body);
    }
}

fn check_answer(site: &Site, answer: &[u8]) {
    let answer = String::from_utf8_lossy(answer);
    assert_eq!(site.foreign_in(&answer), None, "{answer}");
}

/// A path with arguments: every identifier in an argument that names resources is seen, wherever it stands among
/// others, and the order of the arguments says nothing.
pub fn arguments(data: &[u8]) {
    let Some(text) = filled(data) else { return };
    let Some(Line { method, path, arguments }) = request_line(&text) else { return };
    LazyLock::force(&SITE);
    on_host_thread(|| check_arguments(&SITE, method, path, &arguments));
}

fn check_arguments(site: &Site, method: Method, path: &str, arguments: &[(&str, &str)]) {
    let access = site.bed.gate.routes.classify(method, path, arguments);
    let names: &[&str] = match access.handling {
        Handling::Identifiers(name) => &[name],
        Handling::WadoUri => &["objectUID", "seriesUID", "studyUID"],
        Handling::Search => &["StudyInstanceUID", "0020000D"],
        _ => &[],
    };
    let limited = site.filter(Asker::Limited, method, path, arguments);
    if method == Method::Get && limited {
        for (name, value) in arguments {
            if !names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                continue;
            }
            // In a search, what is no whole UID of a list is a pattern, which names nothing.
            let searches = access.handling == Handling::Search;
            let separates = |letter: char| match searches {
                true => matches!(letter, ',' | '\\'),
                false => !letter.is_ascii_hexdigit() && !"-.".contains(letter),
            };
            let mut parts = value.split(separates);
            let foreign =
                parts.find(|part| site.foreign_uids.contains(*part) || (!searches && site.foreign.contains(*part)));
            assert!(foreign.is_none(), "{foreign:?} in {name} is let through");
        }
    }
    let reversed: Vec<(&str, &str)> = arguments.iter().rev().copied().collect();
    assert_eq!(site.filter(Asker::Limited, method, path, &reversed), limited, "the order of arguments");
    let unlimited = site.filter(Asker::Unlimited, method, path, arguments);
    assert!(unlimited || !limited, "somebody with all labels is refused");
    // One more argument never grants, except the one that was missing.
    let foreign = crate::testing::id("b1");
    for name in ["resources", "StudyInstanceUID", "requestedTags", "x"] {
        let more: Vec<(&str, &str)> = arguments.iter().copied().chain([(name, foreign.as_str())]).collect();
        let granted = site.filter(Asker::Limited, method, path, &more);
        assert!(limited || !granted, "granted with the argument {name} only");
        if let (Handling::Identifiers("resources"), "resources", Method::Get) = (access.handling, name, method) {
            assert!(!granted, "a foreign study among the arguments");
        }
    }
    if let Outcome::Answered(reply) = site.ask(Asker::Limited, method, path, arguments, b"") {
        check_reply(site, &reply);
    }
    check_uri(site, method, path, arguments);
}

/// What an override hands to the core is read there as it was read here.
fn check_uri(site: &Site, method: Method, path: &str, arguments: &[(&str, &str)]) {
    let request = site.request(Asker::Limited, method, path, arguments);
    let uri = crate::overrides::uri(&request, HostVersion::new(1, 13, 0));
    assert!(uri.bytes().all(|byte| byte.is_ascii_graphic()), "{uri}");
    let (encoded, query) = uri.split_once('?').unwrap_or((&uri, ""));
    assert_eq!(crate::testing::decode(encoded), path);
    let parts = query.split('&').filter(|_| !request.arguments.is_empty());
    let read: Vec<(String, String)> = parts
        .map(|part| part.split_once('=').unwrap_or((part, "")))
        .map(|(name, value)| (crate::testing::decode(name), crate::testing::decode(value)))
        .collect();
    let given: Vec<(String, String)> =
        request.arguments.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    assert_eq!(read, given, "{uri}");
}
