//! `/auth/api-keys`: keys made, listed and removed (decision 13).

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::seen::Seen;
use super::{Answer, ApiError, Call, ok};
use crate::bytes::{hex, random};
use crate::clock::UnixTime;
use crate::host::Method;
use crate::identity::Identity;
use crate::identity::api_key;
use crate::json::Unique;
use crate::policy::rights::{ADMIN, Labels, Rights};
use crate::policy::roles::{is_known_permission, unknown_permission};
use crate::share::{bad, date};
use crate::store::{ApiKeyRecord, PersonRecord};

/// Longest name of a key, in characters.
const LONGEST_NAME: usize = 200;

/// Longest validity in seconds that can be asked for: a hundred years.
const LONGEST_VALIDITY: u64 = 100 * 365 * 86_400;

/// `GET` and `POST /auth/api-keys`.
pub fn collection(call: &Call<'_>) -> Answer {
    match call.rest.request.method {
        Method::Post => create(call),
        _ => list(call),
    }
}

/// What somebody asks for.
struct KeyRequest {
    name: String,
    roles: Option<Vec<String>>,
    permissions: Option<Vec<String>>,
    authorized_labels: Option<Vec<String>>,
    expires_at: Option<UnixTime>,
}

impl KeyRequest {
    fn parse(body: &[u8], now: UnixTime) -> Result<Self, ApiError> {
        let Unique(body) =
            crate::json::from_slice(body).map_err(|error| bad("body", format_args!("not JSON: {error}")))?;
        let body = body.as_object().ok_or_else(|| bad("body", "an object is expected"))?;
        const KNOWN: [&str; 6] =
            ["Name", "Roles", "Permissions", "AuthorizedLabels", "ExpirationDate", "ValidityDuration"];
        // A mistyped limit would otherwise be none.
        if let Some(unknown) = body.keys().find(|member| !KNOWN.contains(&member.as_str())) {
            return Err(bad(unknown, format_args!("unknown member; these are known: {}", KNOWN.join(", "))).into());
        }
        let name = body.get("Name").and_then(Value::as_str).map(str::trim).filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| bad("Name", "a string is expected, so that the key can be told from others"))?;
        if name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
            return Err(
                bad("Name", format_args!("at most {LONGEST_NAME} characters, and no control characters")).into()
            );
        }
        Ok(Self {
            name: name.to_owned(),
            roles: strings(body, "Roles")?,
            permissions: strings(body, "Permissions")?,
            authorized_labels: strings(body, "AuthorizedLabels")?,
            expires_at: expiry(body, now)?,
        })
    }
}

fn strings(body: &Map<String, Value>, member: &str) -> Result<Option<Vec<String>>, ApiError> {
    let Some(value) = body.get(member).filter(|value| !value.is_null()) else { return Ok(None) };
    let list = value.as_array().ok_or_else(|| bad(member, "a list of strings is expected"))?;
    let texts: BTreeSet<String> = list
        .iter()
        .map(|text| text.as_str().map(str::to_owned).ok_or_else(|| bad(member, "a list of strings is expected")))
        .collect::<Result<_, _>>()?;
    Ok(Some(texts.into_iter().collect()))
}

fn expiry(body: &Map<String, Value>, now: UnixTime) -> Result<Option<UnixTime>, ApiError> {
    let date = match body.get("ExpirationDate").filter(|value| !value.is_null()) {
        None => None,
        Some(value) => {
            let date = value.as_str().and_then(date::parse);
            let date = date.ok_or_else(|| bad("ExpirationDate", "a date as ISO 8601 has it is expected"))?;
            if date <= now {
                return Err(bad("ExpirationDate", "lies in the past").into());
            }
            Some(date)
        }
    };
    let duration = match body.get("ValidityDuration").filter(|value| !value.is_null()) {
        None => None,
        Some(value) => {
            let seconds = value.as_u64().filter(|seconds| *seconds <= LONGEST_VALIDITY);
            let seconds = seconds.ok_or_else(|| {
                bad("ValidityDuration", format_args!("a number of seconds from 0 to {LONGEST_VALIDITY} is expected"))
            })?;
            // As for links: zero is no end.
            (seconds > 0).then(|| now.plus(i64::try_from(seconds).unwrap_or(i64::MAX)))
        }
    };
    Ok(date.into_iter().chain(duration).min())
}

fn create(call: &Call<'_>) -> Answer {
    let Some(maker) = call.verified.iter().find(|identity| identity.is_person()) else {
        return Err(call.refuse("API keys are made by people: show an access token, or log in as a local user"));
    };
    let request = KeyRequest::parse(call.rest.body, call.now)?;
    let verifiers = call.api.gate.identities.verifiers();
    let roles = verifiers.roles.current();
    let is_admin = maker.rights.holds(ADMIN);
    let base = match &request.roles {
        None => maker.rights.clone(),
        Some(names) => {
            for name in names {
                let role = roles.rights([name.as_str()]);
                if !is_admin && !covers(&maker.rights, &role) {
                    return Err(call.refuse(format_args!("the role {name:?} gives more than you have")));
                }
                if !roles.roles.contains_key(name) {
                    return Err(bad("Roles", format_args!("the role {name:?} is not defined")).into());
                }
            }
            roles.rights(names.iter().map(String::as_str))
        }
    };
    let in_rules = verifiers.roles.permissions_in_rules();
    if let Some(unknown) = request.permissions.iter().flatten().find(|name| !is_known_permission(name, in_rules)) {
        return Err(bad("Permissions", unknown_permission(unknown, in_rules)).into());
    }
    let foreign = request.permissions.iter().flatten().find(|name| !base.holds(name));
    if let Some(foreign) = foreign {
        return Err(call.refuse(format_args!("the permission {foreign:?} is more than you can give")));
    }
    for label in request.authorized_labels.iter().flatten() {
        if !base.labels.covers(&Labels::from_names([label.as_str()])) {
            return Err(call.refuse(format_args!("the label {label:?} is more than you can give")));
        }
    }
    let rights =
        base.narrow_permissions(request.permissions.as_deref()).narrow_labels(request.authorized_labels.as_deref());
    let key = api_key::generate()?;
    let id = hex(&random::<8>()?);
    let owner = maker.person.clone().ok_or_else(|| ApiError::internal(&"a person without a subject"))?;
    remember(call, maker)?;
    verifiers.store.insert_api_key(&ApiKeyRecord {
        id: id.clone(),
        hash: verifiers.hasher.hash(key.expose()),
        name: request.name.clone(),
        owner,
        owner_name: maker.name.clone(),
        granted_by_admin: is_admin && request.roles.is_some(),
        roles: request.roles,
        permissions: request.permissions,
        authorized_labels: request.authorized_labels,
        created_at: call.now,
        expires_at: request.expires_at,
        last_use: None,
    })?;
    if !call.is_still(maker)? {
        verifiers.store.delete_api_key(&id, None)?;
        return Err(call.refuse("all that you had was ended meanwhile, or your credential was"));
    }
    call.api.gate.identities.verify_ahead(key.expose(), call.now);
    log::warn!("{} {:?} made the API key {id} named {:?}", maker.kind, maker.name, request.name);
    Ok(ok(&json!({
        "ID": id,
        "Key": key.expose(),
        "Name": request.name,
        "Permissions": *rights.permissions,
        "AuthorizedLabels": rights.labels.names(),
        "ExpirationDate": request.expires_at.map(date::format),
    })))
}

fn covers(own: &Rights, asked: &Rights) -> bool {
    asked.permissions.is_subset(&own.permissions) && own.labels.covers(&asked.labels)
}

/// Keeps the roles that the maker of something shows, with the time that they are from: what was made is measured by the
/// newest of them. Those of a session are kept when it is opened and renewed, and a local user's are configured.
pub fn remember(call: &Call<'_>, maker: &Identity) -> Result<(), ApiError> {
    let (Some(person), Some(seen_at)) = (&maker.person, maker.roles_from) else { return Ok(()) };
    call.api.gate.identities.verifiers().recorder.remember(&PersonRecord {
        person: person.clone(),
        name: maker.name.clone(),
        groups: maker.groups.clone(),
        roles: maker.roles.clone(),
        seen_at,
    })?;
    Ok(())
}

/// A key sees itself.
fn seen(call: &Call<'_>) -> Result<Seen, ApiError> {
    Seen::of(call, "only people have API keys")
}

fn list(call: &Call<'_>) -> Answer {
    let seen = seen(call)?;
    let keys = call.api.gate.identities.verifiers().store.api_keys(seen.owner())?;
    let list: Vec<Value> = keys
        .iter()
        .filter(|key| seen.holds(Some(&key.id)))
        .map(|key| {
            json!({
                "ID": key.id,
                "Name": key.name,
                "Roles": key.roles,
                "Permissions": key.permissions,
                "AuthorizedLabels": key.authorized_labels,
                "CreatedBy": key.owner_name,
                "CreationDate": date::format(key.created_at),
                "ExpirationDate": key.expires_at.map(date::format),
                "LastUse": key.last_use.map(date::format),
            })
        })
        .collect();
    Ok(ok(&json!(list)))
}

/// `DELETE /auth/api-keys/{id}`: refused before the answer is given.
pub fn delete(call: &Call<'_>, id: &str) -> Answer {
    let seen = seen(call)?;
    if !seen.holds(Some(id)) || !call.api.gate.identities.verifiers().store.delete_api_key(id, seen.owner())? {
        return Err(ApiError::new(404, "there is no such key"));
    }
    call.api.gate.identities.forget();
    log::warn!("the API key {id} was removed by {}", call.names());
    Ok(ok(&json!({})))
}
