//! `GET /auth/user/profile`: who the server takes the asker for. Always 200; with no valid credential, the anonymous
//! profile (Orthanc Explorer 2 goes blank on anything else).

use serde_json::json;

use super::{Answer, Call, ok};

pub fn get(call: &Call<'_>) -> Answer {
    let anonymous = &call.api.gate.anonymous;
    let identity = call.verified.first().unwrap_or(anonymous);
    let mut profile = json!({
        "name": identity.name,
        "permissions": *identity.rights.permissions,
        "authorized-labels": identity.rights.labels.names(),
        "groups": identity.groups,
    });
    if let (Some(user_id), Some(members)) = (&identity.user_id, profile.as_object_mut()) {
        members.insert("user-id".to_owned(), json!(user_id));
    }
    Ok(ok(&profile))
}
