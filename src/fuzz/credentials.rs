//! Headers and arguments with credentials: any bytes, beside some that hold.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use super::site::on_host_thread;
use crate::host::Method;
use crate::identity::IdentityKind;
use crate::policy::rights::KNOWN_PERMISSIONS;
use crate::request::Request;
use crate::resource::Level;
use crate::share::ShareResource;
use crate::share::kind::LinkType;
use crate::testing::{Bed, id, uid, world};

/// Credentials that hold, by the word that stands for each in an input.
struct Site {
    bed: Bed,
    valid: Vec<(&'static str, String)>,
}

static SITE: LazyLock<Site> = LazyLock::new(|| {
    let role = |labels: &[&str]| serde_json::json!({"permissions": KNOWN_PERMISSIONS, "authorized-labels": labels});
    let roles = serde_json::json!({"roles": {"ext": role(&["ext"]), "int": role(&["int"]), "every": role(&["*"])}});
    let users = serde_json::json!({"ext": ["ext"], "int": ["int"], "every": ["every"]});
    let section = serde_json::json!({"Authorization": {"TokenHttpHeaders": ["x-key"], "TokenGetArguments": ["auth"]}});
    let bed = Bed::new(section, &users, &roles, world());
    let link = |names: &[&str]| {
        let resources = names.iter().map(|name| ShareResource {
            level: Level::Study,
            orthanc_id: Some(id(name)),
            dicom_uid: Some(uid(name)),
            url: None,
        });
        bed.make_link("", None, LinkType::Stone, resources.collect(), |_| ())
    };
    let valid = vec![
        ("[ext]", bed.make_key("ext", "ext", |_| ())),
        ("[int]", bed.make_key("int", "int", |_| ())),
        ("[viewer]", bed.make_key("viewer", "ext", |key| key.permissions = Some(vec!["view".to_owned()]))),
        ("[labelled]", bed.make_key("labelled", "every", |key| key.authorized_labels = Some(vec!["int".to_owned()]))),
        ("[link]", link(&["a1"])),
        ("[links]", link(&["b1", "a1"])),
    ];
    Site { bed, valid }
});

/// What is asked for with whatever credentials.
const ASKED: [(Method, &str, &str); 4] = [
    (Method::Get, "studies", "a1"),
    (Method::Get, "studies", "b1"),
    (Method::Delete, "studies", "a1"),
    (Method::Get, "patients", "pc"),
];

/// One header or argument in a line: `name: value`, `?name=value`. Only what holds gives an identity, each credential
/// is decided by itself, and their order says nothing about whether somebody is let in.
pub fn credentials(data: &[u8]) {
    let Some(text) = std::str::from_utf8(data).ok().filter(|text| text.len() <= 1 << 16) else { return };
    LazyLock::force(&SITE);
    on_host_thread(|| check(&SITE, text));
}

fn check(site: &Site, text: &str) {
    let filled = site.valid.iter().fold(text.to_owned(), |text, (word, credential)| text.replace(word, credential));
    let (mut headers, mut arguments) = (Vec::new(), Vec::new());
    for line in filled.lines() {
        match line.strip_prefix('?') {
            Some(argument) => arguments.push(argument.split_once('=').unwrap_or((argument, ""))),
            None => headers.extend(line.split_once(": ")),
        }
    }
    // The server hands over names in lower case.
    let lower: Vec<String> = headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    let headers: Vec<(&str, &str)> =
        lower.iter().zip(&headers).map(|(name, (_, value))| (name.as_str(), *value)).collect();
    let now = crate::clock::now();

    // Whoever is known is known by a credential that is there, as a whole.
    let asked = request(Method::Get, "/", &headers, &arguments);
    let (verified, rejected) =
        site.bed.gate.identify(&asked, &site.bed.gate.routes.find(asked.method, asked.path), now);
    let there = |credential: &str| {
        let mut values = headers.iter().chain(&arguments).map(|(_, value)| *value);
        values.any(|value| value.split_whitespace().any(|part| part == credential))
    };
    let possible: Vec<_> = site.valid.iter().filter(|(_, credential)| there(credential)).collect();
    assert!(verified.len() <= possible.len() + 1, "{verified:?} from {}", possible.len());
    let anonymous = verified.iter().filter(|identity| identity.kind == IdentityKind::Anonymous).count();
    assert_eq!(anonymous, 1, "{verified:?}");
    for (source, rejection) in &rejected {
        let line = format!("{source}: {rejection}");
        assert!(!line.contains(char::is_control), "{line:?}");
        let values = headers.iter().chain(&arguments).map(|(_, value)| *value);
        for value in values.filter(|value| value.len() > 24) {
            assert!(!line.contains(value), "{line} shows {value}");
        }
    }

    for (method, level, name) in ASKED {
        let path = format!("/{level}/{}", id(name));
        let granted = |headers: &[(&str, &str)], arguments: &[(&str, &str)]| -> BTreeSet<String> {
            let mut outcome = site.bed.gate.decide(&request(method, &path, headers, arguments), now);
            let permit = outcome.take_permit().is_some();
            assert_eq!(permit, !outcome.granted.is_empty());
            outcome.granted.iter().map(|identity| format!("{} {}", identity.kind, identity.name)).collect()
        };
        let together = granted(&headers, &arguments);
        let (mut backward, mut behind) = (headers.clone(), arguments.clone());
        backward.reverse();
        behind.reverse();
        // Of too many some are not read, and which depends on their order.
        if headers.len() + arguments.len() <= 8 {
            assert_eq!(granted(&backward, &behind).is_empty(), together.is_empty(), "the order of credentials");
            let alone = headers.iter().map(|header| granted(&[*header], &[]));
            let mut alone = alone.chain(arguments.iter().map(|argument| granted(&[], &[*argument])));
            let any = alone.any(|granted| !granted.is_empty());
            assert_eq!(any, !together.is_empty(), "each by itself and all together: {together:?}");
        }
        assert!(together.is_empty() || !possible.is_empty(), "{together:?} without a credential that holds");
    }
}

fn request<'a>(
    method: Method,
    path: &'a str,
    headers: &[(&'a str, &'a str)],
    arguments: &[(&'a str, &'a str)],
) -> Request<'a> {
    Request { method, path, remote: "192.0.2.1", headers: headers.to_vec(), arguments: arguments.to_vec() }
}
