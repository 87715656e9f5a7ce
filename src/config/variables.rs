//! The environment variables of orthanc-auth-service fill in what the section leaves out, for sites that move from it.
//!
//! Works on the JSON before it is walked, so that a filled-in value is checked like a written one. Like that service,
//! a file `/run/secrets/NAME` is looked at before the variable `NAME`.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use serde_json::{Map, Value};

use super::environment::Environment;
use super::fault::{Fault, KeyPath};

/// Variables that stand for one key: name, section (empty: the section `"Authorization"` itself), key, and the keys
/// that say the same in another way.
const SINGLE: [(&str, &str, &str, &[&str]); 10] = [
    ("SECRET_KEY", "Shares", "SecretKey", &["SecretKeyFile"]),
    ("SERVER_ID", "Shares", "ServerId", &[]),
    ("PUBLIC_ORTHANC_ROOT", "Shares", "PublicOrthancRoot", &[]),
    ("PUBLIC_LANDING_ROOT", "Shares", "PublicLandingRoot", &[]),
    ("PUBLIC_OHIF_ROOT", "Shares", "PublicOhifRoot", &[]),
    ("OHIF_DATA_SOURCE", "Shares", "OhifDataSource", &[]),
    ("MEDDREAM_TOKEN_SERVICE_URL", "Shares", "MedDreamTokenServiceUrl", &[]),
    ("PUBLIC_MEDDREAM_ROOT", "Shares", "PublicMedDreamRoot", &[]),
    ("PERMISSIONS_FILE_PATH", "", "PermissionsFile", &["Roles"]),
    ("ANONYMOUS_PROFILE_FILE_PATH", "", "AnonymousProfileFile", &["AnonymousProfile"]),
];

/// Variables that are about the identity provider; they are read together.
pub(super) const ENABLE_KEYCLOAK: &str = "ENABLE_KEYCLOAK";
const KEYCLOAK_URI: &str = "KEYCLOAK_URI";
const KEYCLOAK_ADMIN_URI: &str = "KEYCLOAK_ADMIN_URI";
const KEYCLOAK_CLIENT_SECRET: &str = "KEYCLOAK_CLIENT_SECRET";
const ENABLE_KEYCLOAK_API_KEYS: &str = "ENABLE_KEYCLOAK_API_KEYS";

/// Variables that are about mails; they count when this one is `true`.
const ENABLE_EMAILS: &str = "ENABLE_EMAILS";
const EMAILS_USES_TLS: &str = "EMAILS_SMTP_SERVER_USES_TLS";
/// Each with the key that it stands for, below `Emails` or `Emails.Smtp`.
const EMAILS: [(&str, &str, &[&str]); 3] = [
    ("EMAILS_TEMPLATES_ROOT", "TemplatesFolder", &[]),
    ("EMAILS_SENDER_ADDRESS", "Sender", &[]),
    ("EMAILS_REPLY_TO", "ReplyTo", &[]),
];
const SMTP: [(&str, &str, &[&str]); 5] = [
    ("EMAILS_SMTP_SERVER_HOSTNAME", "Host", &[]),
    ("EMAILS_SMTP_SERVER_PORT", "Port", &[]),
    ("EMAILS_SMTP_SERVER_TIMEOUT", "Timeout", &[]),
    ("EMAILS_SMTP_SERVER_USER_NAME", "Username", &[]),
    ("EMAILS_SMTP_SERVER_PWD", "Password", &["PasswordFile"]),
];
/// What the old service reads when `EMAILS_TEMPLATES_ROOT` is not set.
const DEFAULT_TEMPLATES: &str = "/email-templates/";

/// What the old service asks when `KEYCLOAK_URI` is not set.
const DEFAULT_KEYCLOAK_URI: &str = "http://keycloak:8080/realms/orthanc/";

/// All variables that are read.
#[cfg(test)]
pub(super) fn names() -> Vec<&'static str> {
    let keycloak =
        [ENABLE_KEYCLOAK, KEYCLOAK_URI, KEYCLOAK_ADMIN_URI, KEYCLOAK_CLIENT_SECRET, ENABLE_KEYCLOAK_API_KEYS];
    let emails = EMAILS.iter().chain(&SMTP).map(|(name, ..)| *name).chain([ENABLE_EMAILS, EMAILS_USES_TLS]);
    SINGLE.iter().map(|(name, ..)| *name).chain(keycloak).chain(emails).collect()
}

/// Where values came from, and what was wrong on the way.
#[derive(Default)]
pub(super) struct Filled {
    pub(super) origins: BTreeMap<KeyPath, String>,
    pub(super) faults: Vec<Fault>,
}

/// Fills in what the members of the section at `path` leave out.
pub(super) fn fill_in(members: &mut Map<String, Value>, path: &KeyPath, environment: &dyn Environment) -> Filled {
    let mut filled = Filled::default();
    for (name, section, key, others) in SINGLE {
        let (target, path) = if section.is_empty() {
            (Some(&mut *members), path.clone())
        } else {
            (object(members, section), path.member(section))
        };
        // A section of the wrong type is reported when it is walked.
        let Some(target) = target else { continue };
        if [key].iter().chain(others).all(|key| is_absent(target, key)) {
            filled.put(target, &path, key, read(name, environment), Value::String);
        }
    }
    fill_in_keycloak(members, path, environment, &mut filled);
    fill_in_emails(members, path, environment, &mut filled);
    filled
}

fn fill_in_emails(
    members: &mut Map<String, Value>,
    path: &KeyPath,
    environment: &dyn Environment,
    filled: &mut Filled,
) {
    let path = path.member("Emails");
    let switch = filled.take(&path, read(ENABLE_EMAILS, environment));
    if switch.is_none_or(|(text, _)| text != "true") {
        return;
    }
    // A section of the wrong type is reported when it is walked.
    let Some(emails) = object(members, "Emails") else { return };
    for (name, key, _) in EMAILS {
        let mut value = read(name, environment);
        if key == "TemplatesFolder" && matches!(value, Ok(None)) {
            value = Ok(Some((DEFAULT_TEMPLATES.to_owned(), format!("the default of {name}"))));
        }
        if is_absent(emails, key) {
            filled.put(emails, &path, key, value, Value::String);
        }
    }
    let path = path.member("Smtp");
    let Some(smtp) = object(emails, "Smtp") else { return };
    for (name, key, others) in SMTP {
        // What is no number is reported as the text that it is. The old service's timeout may have a fraction.
        let number = |text: String| match text.parse::<f64>() {
            Ok(number) if number.is_finite() && (1.0..=65535.0).contains(&number) => Value::from(number.ceil() as u32),
            _ => Value::String(text),
        };
        if [key].iter().chain(others).all(|key| is_absent(smtp, key)) {
            let value = if matches!(key, "Port" | "Timeout") { number } else { Value::String };
            filled.put(smtp, &path, key, read(name, environment), value);
        }
    }
    if is_absent(smtp, "Tls") {
        // It speaks TLS unless told otherwise, and only by STARTTLS.
        let mode = |text: String| Value::from(if text == "false" { "none" } else { "starttls" });
        filled.put(smtp, &path, "Tls", read(EMAILS_USES_TLS, environment), mode);
    }
}

fn fill_in_keycloak(
    members: &mut Map<String, Value>,
    path: &KeyPath,
    environment: &dyn Environment,
    filled: &mut Filled,
) {
    let path = path.member("Keycloak");
    let mut uri = read(KEYCLOAK_URI, environment);
    if is_absent(members, "Keycloak") {
        // Without the section, the switch decides.
        let switch = filled.take(&path, read(ENABLE_KEYCLOAK, environment));
        if !switch.is_some_and(|(text, _)| text.eq_ignore_ascii_case("true")) {
            return;
        }
        if matches!(uri, Ok(None)) {
            uri = Ok(Some((DEFAULT_KEYCLOAK_URI.to_owned(), format!("the default of {KEYCLOAK_URI}"))));
        }
    }
    // With several providers nothing says which one is meant.
    let Some(keycloak) = object(members, "Keycloak") else { return };
    if ["Url", "Realm", "Issuer"].iter().all(|key| is_absent(keycloak, key))
        && let Some((uri, origin)) = filled.take(&path.member("Url"), uri)
    {
        match split_realm(&uri) {
            Some((url, realm)) => {
                filled.put(keycloak, &path, "Url", Ok(Some((url.to_owned(), origin.clone()))), Value::String);
                filled.put(keycloak, &path, "Realm", Ok(Some((realm.to_owned(), origin))), Value::String);
            }
            None => filled.faults.push(Fault {
                path: path.member("Url"),
                origin: Some(origin),
                message: "must be the URL of a realm, like \"http://keycloak:8080/realms/orthanc/\"".to_owned(),
            }),
        }
    }
    if is_absent(keycloak, "AdminUrl") {
        filled.put(keycloak, &path, "AdminUrl", read(KEYCLOAK_ADMIN_URI, environment), Value::String);
    }
    if is_absent(keycloak, "AdminClientSecret") && is_absent(keycloak, "AdminClientSecretFile") {
        filled.put(keycloak, &path, "AdminClientSecret", read(KEYCLOAK_CLIENT_SECRET, environment), Value::String);
    }
    if is_absent(keycloak, "EnableApiKeys") {
        let enabled = |text: String| Value::Bool(text.eq_ignore_ascii_case("true"));
        filled.put(keycloak, &path, "EnableApiKeys", read(ENABLE_KEYCLOAK_API_KEYS, environment), enabled);
    }
}

/// `http://keycloak:8080/realms/orthanc/` as `http://keycloak:8080/` and `orthanc`.
fn split_realm(uri: &str) -> Option<(&str, &str)> {
    let (url, realm) = uri.strip_suffix('/').unwrap_or(uri).rsplit_once("realms/")?;
    (url.ends_with('/') && !realm.is_empty() && !realm.contains('/')).then_some((url, realm))
}

/// A value with the place that it came from; or why it could not be read.
type Reading = Result<Option<(String, String)>, (String, String)>;

fn read(name: &str, environment: &dyn Environment) -> Reading {
    let file = format!("/run/secrets/{name}");
    let (text, origin) = match environment.read_file(Path::new(&file)) {
        Ok(text) => (Some(text.trim().to_owned()), file),
        Err(error)
            if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory) =>
        {
            (environment.variable(name), format!("the environment variable {name}"))
        }
        Err(error) => return Err((file, format!("cannot be read: {error}"))),
    };
    // A compose file passes an unset variable on as an empty one.
    Ok(text.filter(|text| !text.is_empty()).map(|text| (text, origin)))
}

impl Filled {
    fn take(&mut self, path: &KeyPath, reading: Reading) -> Option<(String, String)> {
        reading.unwrap_or_else(|(origin, message)| {
            self.faults.push(Fault { path: path.clone(), origin: Some(origin), message });
            None
        })
    }

    fn put(
        &mut self,
        target: &mut Map<String, Value>,
        path: &KeyPath,
        key: &str,
        reading: Reading,
        value: impl FnOnce(String) -> Value,
    ) {
        let path = path.member(key);
        if let Some((text, origin)) = self.take(&path, reading) {
            target.insert(key.to_owned(), value(text));
            self.origins.insert(path, origin);
        }
    }
}

fn is_absent(members: &Map<String, Value>, key: &str) -> bool {
    members.get(key).is_none_or(Value::is_null)
}

/// The object at a key, made when there is none; `None` when something else is there.
fn object<'a>(members: &'a mut Map<String, Value>, key: &str) -> Option<&'a mut Map<String, Value>> {
    let value = members.entry(key).or_insert(Value::Null);
    if value.is_null() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut()
}

#[cfg(test)]
mod tests {
    use super::split_realm;

    #[test]
    fn a_realm_url_is_split() {
        assert_eq!(split_realm("http://k:8080/realms/orthanc/"), Some(("http://k:8080/", "orthanc")));
        assert_eq!(split_realm("http://k/auth/realms/r"), Some(("http://k/auth/", "r")));
        for other in ["http://k/", "http://k/realms/", "http://k/realms/a/b", "http://k/xrealms/a", ""] {
            assert_eq!(split_realm(other), None, "{other}");
        }
    }
}
