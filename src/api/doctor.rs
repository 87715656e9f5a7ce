//! `GET /auth/doctor`: what is wrong with the set-up, and what to change.

use serde_json::Value;

use super::{Answer, Call, ok};
use crate::policy::rights::ADMIN;

/// For administrators. What the providers say is from the last time that they were asked; asking once more begins with
/// this, in the background.
pub fn get(call: &Call<'_>) -> Answer {
    if call.holder_of(ADMIN).is_none() {
        return Err(call.refuse("for administrators"));
    }
    let findings = call.api.doctor.examine(call.now);
    call.api.doctor.look_again(call.now);
    Ok(ok(&Value::Array(findings.iter().map(crate::doctor::Finding::to_value).collect())))
}
