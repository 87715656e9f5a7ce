//! `/auth/settings/…`: the roles document and the names of permissions.

use serde_json::{Value, json};

use super::{Answer, ApiError, Call, ok};
use crate::bytes::{hex, sha256};
use crate::host::Method;
use crate::identity::roles_book::RolesBookError;
use crate::policy::rights::{ADMIN, Labels};
use crate::policy::roles::Roles;

/// Under this name the state keeps the text of a roles file that had to be written over in place.
const PREVIOUS_ROLES: &str = "previous-roles-file";

/// `GET` and `PUT /auth/settings/roles`.
pub fn roles(call: &Call<'_>) -> Answer {
    match call.rest.request.method {
        Method::Put => put(call),
        _ => get(call),
    }
}

fn get(call: &Call<'_>) -> Answer {
    let roles = call.api.gate.identities.verifiers().roles.current();
    if !call.internal
        && let Err(error) = call.permitted()
    {
        if call.direct {
            return Err(error);
        }
        // Orthanc Explorer 2 asks inside the server on behalf of every user, and goes blank on an error (decision 7).
        let own: Vec<String> = match call.verified.first().map(|identity| &identity.rights.labels) {
            None => Vec::new(),
            Some(Labels::All) => roles.available_labels.clone(),
            Some(Labels::Only(own)) => own.iter().filter(|label| roles.label_is_available(label)).cloned().collect(),
        };
        return Ok(ok(&json!({"roles": {}, "available-labels": own})));
    }
    let mut document = roles.to_value();
    // Roles of the provider that nobody has described yet, so that somebody can.
    if let Some(described) = document.get_mut("roles").and_then(Value::as_object_mut) {
        for role in call.api.gate.identities.verifiers().directories.roles(call.now) {
            described.entry(role).or_insert_with(|| json!({"permissions": [], "authorized-labels": []}));
        }
    }
    Ok(ok(&document).with_headers([("ETag", etag(&roles))]))
}

fn put(call: &Call<'_>) -> Answer {
    let identity = call.permitted()?;
    let verifiers = call.api.gate.identities.verifiers();
    let book = &verifiers.roles;
    let text = std::str::from_utf8(call.rest.body).map_err(|_| ApiError::bad("the body is not UTF-8"))?;
    let new = Roles::parse(text).map_err(|faults| {
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        ApiError::bad(faults.join("; "))
    })?;
    new.check_permissions(book.permissions_in_rules()).map_err(|error| ApiError::bad(error.to_string()))?;
    if book.file().is_none() {
        return Err(ApiError::new(
            409,
            "the roles are part of the server's configuration: with PermissionsFile they can be changed here",
        ));
    }
    let tag = etag(&new);
    let check = |current: &Roles| {
        if let Some(expected) = call.rest.request.header("if-match")
            && !matches_etag(expected, &etag(current))
        {
            return Err(Change::Refused(ApiError::new(
                412,
                "somebody else has changed the roles meanwhile: read them again",
            )));
        }
        if current.holders(ADMIN).next().is_some() && new.holders(ADMIN).next().is_none() {
            let details = format!("no role would be left that has {ADMIN}: nobody could change the roles any more");
            return Err(Change::Refused(ApiError::new(409, details)));
        }
        Ok(())
    };
    let keep =
        |old: &str| verifiers.store.put_setting(PREVIOUS_ROLES, old).map_err(|error| Change::Refused(error.into()));
    let names: Vec<String> = new.roles.keys().cloned().collect();
    book.replace(new.clone(), check, keep).map_err(|change| match change {
        Change::Refused(error) => error,
        Change::Failed(error) => ApiError::internal(&error),
    })?;
    log::warn!("{} {:?} changed the roles, which are now {names:?}", identity.kind, identity.name);
    Ok(ok(&Value::Null).with_headers([("ETag", tag)]))
}

/// Why roles were not replaced.
enum Change {
    Refused(ApiError),
    Failed(RolesBookError),
}

impl From<RolesBookError> for Change {
    fn from(error: RolesBookError) -> Self {
        Self::Failed(error)
    }
}

/// A strong validator (RFC 9110, 8.8.3): the SHA-256 of the document as it is stored.
fn etag(roles: &Roles) -> String {
    let text = roles.to_value().to_string();
    format!("\"{}\"", hex(&sha256(&text)))
}

/// `If-Match` (RFC 9110, 13.1.1): `*`, or a list in which a strong comparison finds the tag.
fn matches_etag(expected: &str, tag: &str) -> bool {
    expected.split(',').map(str::trim).any(|candidate| candidate == "*" || candidate == tag)
}

/// `GET /auth/settings/permissions`: all permission names that rules use, sorted.
pub fn permissions(call: &Call<'_>) -> Answer {
    if !call.internal {
        call.permitted()?;
    }
    Ok(ok(&json!(call.api.gate.rules.permission_names())))
}
