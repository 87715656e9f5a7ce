//! Who may come without an identity provider: `Users`, the anonymous profile; and `Roles`, what their roles mean.

use std::collections::BTreeMap;

use argon2::{ARGON2ID_IDENT, Params, PasswordHash};
use serde_json::{Map, Value, json};

use super::checked::{AnonymousProfile, LocalUser, RolesSource};
use super::fault::KeyPath;
use super::jsonc;
use super::section::{Reader, Section, kind};
use super::values::shown;

/// 1 GiB: two checks at a time must fit into the server's memory.
const MOST_MEMORY_KIB: u32 = 1024 * 1024;
/// About the least that OWASP recommends.
const LITTLE_MEMORY_KIB: u32 = 7 * 1024;
const MOST_PASSES: u32 = 64;
const MOST_LANES: u32 = 64;

/// Local accounts.
pub(super) fn read_users(section: &Section<'_>) -> BTreeMap<String, LocalUser> {
    let mut users = BTreeMap::new();
    for (name, user) in section.named_sections("Users") {
        // HTTP Basic ends the name at the first colon.
        if name.is_empty() || name.contains(':') || name.contains(char::is_control) {
            user.reader.fault(user.path.clone(), "a user name must not be empty and holds no ':' or control character");
        }
        let hash = user.secret("PasswordHash", "PasswordHashFile");
        let roles = user.strings("Roles").unwrap_or_default();
        match hash {
            Some(hash) => {
                let password_hash = hash.expose().to_owned();
                let place = if user.value("PasswordHash").is_some() { "PasswordHash" } else { "PasswordHashFile" };
                check_hash(&user, place, &password_hash);
                users.insert(name, LocalUser { password_hash, roles });
            }
            None if user.is_sound() => user.fault("PasswordHash", "is missing"),
            None => {}
        }
        user.finish();
    }
    users
}

/// How a hash is made.
const MAKE_HASH: &str = "make one with: read -rs password; printf %s \"$password\" | \
    argon2 \"$(openssl rand -hex 16)\" -id -k 19456 -t 2 -p 1 -e";

/// The hash is not shown: it can be guessed against. `place` is the key that it is given by.
fn check_hash(user: &Section<'_>, place: &'static str, text: &str) {
    let fault = |what: &str| match user.string("PasswordHashFile") {
        Some(file) if place == "PasswordHashFile" => user.fault(place, format!("the file {} {what}", shown(&file))),
        _ => user.fault(place, what),
    };
    let parsed = PasswordHash::new(text).ok().filter(|hash| hash.algorithm == ARGON2ID_IDENT);
    let Some(hash) = parsed.filter(|hash| hash.salt.is_some() && hash.hash.is_some()) else {
        let is = if place == "PasswordHash" { "must be" } else { "must hold" };
        fault(&format!("{is} an argon2id hash in PHC format, \"$argon2id$v=19$m=…\"; {MAKE_HASH}"));
        return;
    };
    let Ok(params) = Params::try_from(&hash) else {
        fault(&format!("has argon2id parameters that cannot be used; {MAKE_HASH}"));
        return;
    };
    if hash.version.is_some_and(|version| version != 19) {
        fault("must be of argon2 version 19 (v=19)");
    }
    if params.m_cost() > MOST_MEMORY_KIB || params.t_cost() > MOST_PASSES || params.p_cost() > MOST_LANES {
        fault(&format!("costs too much to check: at most m={MOST_MEMORY_KIB}, t={MOST_PASSES}, p={MOST_LANES}"));
    } else if params.m_cost() < LITTLE_MEMORY_KIB {
        let place = user.at(place);
        user.reader.warn(
            "CheapPasswordHash",
            format!("{place}: the hash is cheap to guess against"),
            format!("make a new hash for {place} with m=19456,t=2,p=1 or more"),
        );
    }
}

/// What a request without any valid credential is.
pub(super) fn read_anonymous(section: &Section<'_>) -> AnonymousProfile {
    let inline = section.section("AnonymousProfile");
    let file = section.string("AnonymousProfileFile");
    let mut profile = read_profile(&inline);
    if let Some(file) = file {
        if inline.is_present() {
            section.fault("AnonymousProfileFile", "conflicts with \"AnonymousProfile\": give only one of them");
        } else {
            profile = read_profile_file(section, &file);
        }
    }
    inline.finish();
    if !profile.permissions.is_empty() {
        section.reader.warn(
            "AnonymousPermissions",
            format!("everybody who reaches this server, without logging in, may: {}", profile.permissions.join(", ")),
            "if that is not meant, set the permissions in Authorization.AnonymousProfile to []",
        );
    }
    profile
}

fn read_profile_file(section: &Section<'_>, file: &str) -> AnonymousProfile {
    const KEY: &str = "AnonymousProfileFile";
    let Some(content) = section.file(KEY, file) else { return AnonymousProfile::default() };
    let members = match jsonc::parse(&content) {
        Ok(Value::Object(members)) => members,
        Ok(other) => {
            section.fault(KEY, format!("the file {} must hold an object, not {}", shown(file), kind(&other)));
            return AnonymousProfile::default();
        }
        Err(error) => {
            section.fault(KEY, format!("the file {} is broken: {error}", shown(file)));
            return AnonymousProfile::default();
        }
    };
    // A walk of its own: the paths are those within the file.
    let reader = Reader::new(section.reader.environment, BTreeMap::new());
    let inner = Section::new(&reader, KeyPath::default(), String::new(), Some(&members));
    let profile = read_profile(&inner);
    inner.finish();
    for fault in reader.into_results().0 {
        section.fault(KEY, format!("in the file {}: {fault}", shown(file)));
    }
    profile
}

fn read_profile(section: &Section<'_>) -> AnonymousProfile {
    // What the old service's file holds besides.
    for ignored in ["user-id", "groups", "validity"] {
        section.value(ignored);
    }
    AnonymousProfile {
        name: section.string("name").unwrap_or_else(|| "Anonymous".to_owned()),
        permissions: section.strings("permissions").unwrap_or_default(),
        authorized_labels: read_labels(section),
    }
}

fn read_labels(section: &Section<'_>) -> Vec<String> {
    let hyphen = section.strings("authorized-labels");
    let underscore = section.strings("authorized_labels");
    if hyphen.is_some() && underscore.is_some() {
        section.fault("authorized_labels", "conflicts with \"authorized-labels\": give only one of them");
    }
    hyphen.or(underscore).unwrap_or_default()
}

/// `PermissionsFile` or inline `Roles`.
pub(super) fn read_roles(section: &Section<'_>) -> RolesSource {
    let file = section.string("PermissionsFile");
    let inline_given = section.value("Roles").is_some();
    let mut roles = Map::new();
    for (name, role) in section.named_sections("Roles") {
        let permissions = role.strings("permissions").unwrap_or_default();
        let labels = read_labels(&role);
        roles.insert(name, json!({ "permissions": permissions, "authorized-labels": labels }));
        role.finish();
    }
    match (file, inline_given) {
        (Some(_), true) => {
            section.fault("Roles", "conflicts with \"PermissionsFile\": give only one of them");
            RolesSource::None
        }
        (Some(file), false) => RolesSource::File(section.reader.resolve(&file)),
        (None, true) => RolesSource::Inline(json!({ "roles": roles, "available-labels": [] }).to_string()),
        (None, false) => RolesSource::None,
    }
}
