//! `/auth/shares`: links listed and taken back. How they are made: `tokens`.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::seen::Seen;
use super::{Answer, ApiError, Call, ok};
use crate::host::Method;
use crate::share::kind::LinkType;
use crate::share::limits::LinkOptions;
use crate::share::viewer::encoded;
use crate::share::{bad, date};
use crate::store::{ShareFilter, ShareRecord};

/// How many links one answer has at most, unless fewer are asked for.
const PAGE: u32 = 1_000;

/// A key sees the links that were made with it.
fn is_seen(seen: &Seen, share: &ShareRecord) -> bool {
    seen.holds(LinkOptions::read(&share.options_json).api_key.as_deref())
}

fn seen(call: &Call<'_>) -> Result<Seen, ApiError> {
    Seen::of(call, "only people and their API keys have links")
}

/// `GET /auth/shares`, newest first. `resource` (an Orthanc identifier or a UID) and `user` (the maker's name or
/// subject) narrow it, and so does `active=true`, to those that are neither revoked nor over. At most a thousand at a time, or `limit`; when there may be more, the header `Link` (RFC 8288)
/// names the next page.
pub fn list(call: &Call<'_>) -> Answer {
    let seen = seen(call)?;
    let filter = ShareFilter { owner: seen.owner().cloned(), ..filter(call)? };
    let shares = call.api.gate.identities.verifiers().store.shares(&filter)?;
    let shown: Vec<Value> =
        shares.iter().filter(|share| is_seen(&seen, share)).map(|share| describe(call, share)).collect();
    let limit = filter.limit.unwrap_or(PAGE);
    let is_full = u32::try_from(shares.len()).is_ok_and(|count| count >= limit);
    let mut next_page = None;
    if let Some(last) = shares.last().filter(|_| is_full) {
        let mut next = format!("</auth/shares?limit={limit}&after={}", last.id);
        if filter.not_over_at.is_some() {
            next.push_str("&active=true");
        }
        for (name, value) in [("resource", &filter.resource), ("user", &filter.user)] {
            if let Some(value) = value {
                // Writing to a string does not fail.
                let _ = write!(next, "&{name}={}", encoded(value));
            }
        }
        next_page = Some(("Link", format!("{next}>; rel=\"next\"")));
    }
    Ok(ok(&json!(shown)).with_headers(next_page))
}

/// What the arguments ask for.
fn filter(call: &Call<'_>) -> Result<ShareFilter, ApiError> {
    let mut filter = ShareFilter { limit: Some(PAGE), ..ShareFilter::default() };
    for (name, value) in &call.rest.request.arguments {
        let text = || Some(call.argument(value));
        match *name {
            "resource" => filter.resource = text(),
            "user" => filter.user = text(),
            "after" => filter.after = text(),
            "active" => match *value {
                "true" => filter.not_over_at = Some(call.now),
                "false" => filter.not_over_at = None,
                _ => return Err(bad("active", "true or false is expected").into()),
            },
            "limit" => {
                let limit = value.parse().ok().filter(|limit| (1..=PAGE).contains(limit));
                let limit = limit.ok_or_else(|| bad("limit", format_args!("a number from 1 to {PAGE} is expected")))?;
                filter.limit = Some(limit);
            }
            name if call.api.gate.places.is_credential_argument(name) => {}
            // A mistyped filter would otherwise be none.
            name => {
                return Err(bad(name, "unknown argument; these are known: resource, user, active, limit, after").into());
            }
        }
    }
    Ok(filter)
}

fn describe(call: &Call<'_>, share: &ShareRecord) -> Value {
    let options = LinkOptions::read(&share.options_json);
    let is_inbox = share.kind == LinkType::Inbox.as_str();
    let verbs: &[&str] = match (is_inbox, options.annotate) {
        (true, _) => &["upload"],
        (false, true) => &["read", "annotate"],
        (false, false) => &["read"],
    };
    let mut shown = json!({
        "ID": share.id,
        "Type": share.kind,
        // Written by us.
        "Resources": serde_json::from_str::<Value>(&share.resources_json).unwrap_or_default(),
        "Deleted": share.deleted,
        "CreatedBy": share.owner_name,
        "CreationDate": date::format(share.created_at),
        "NotBefore": share.not_before.map(date::format),
        "ExpirationDate": share.expires_at.map(date::format),
        "Pin": options.pin_hash.is_some(),
        "Recipient": options.recipient.as_ref().map(|recipient| recipient.subject()),
        "Download": !options.no_download,
        "Openings": share.openings,
        "MaxOpenings": options.max_openings,
        "Uses": share.uses,
        "LastUse": share.last_use.map(date::format),
        "Revoked": share.revoked_at.is_some(),
        "RevocationDate": share.revoked_at.map(date::format),
        "Verbs": verbs,
    });
    if let Some(members) = shown.as_object_mut().filter(|_| is_inbox || options.annotate) {
        let uploaded = call.api.gate.identities.verifiers().store.uploaded(&share.id).unwrap_or_default();
        members.insert("Labels".to_owned(), json!(options.labels));
        members.insert("Username".to_owned(), json!(options.username));
        members.insert("Instances".to_owned(), json!(uploaded.instances));
        members.insert("MaxInstances".to_owned(), json!(options.max_instances));
        members.insert("Bytes".to_owned(), json!(uploaded.bytes));
        members.insert("MaxBytes".to_owned(), json!(options.max_bytes));
    }
    shown
}

/// The link with this identifier, if the call may see it.
pub(super) fn seen_share(call: &Call<'_>, id: &str) -> Result<ShareRecord, ApiError> {
    share_seen_by(call, &seen(call)?, id)
}

fn share_seen_by(call: &Call<'_>, seen: &Seen, id: &str) -> Result<ShareRecord, ApiError> {
    let share = call.api.gate.identities.verifiers().store.share(id)?;
    let is_owners = |share: &ShareRecord| seen.owner().is_none_or(|owner| *owner == share.owner);
    let share = share.filter(|share| is_owners(share) && is_seen(seen, share));
    share.ok_or_else(no_such_link)
}

fn no_such_link() -> ApiError {
    ApiError::new(404, "there is no such link")
}

/// `GET` and `DELETE /auth/shares/{id}`.
pub fn one(call: &Call<'_>, id: &str) -> Answer {
    match call.rest.request.method {
        Method::Delete => delete(call, id),
        _ => Ok(ok(&describe(call, &seen_share(call, id)?))),
    }
}

/// `DELETE /auth/shares/{id}`: the link is refused before this is answered.
fn delete(call: &Call<'_>, id: &str) -> Answer {
    let seen = seen(call)?;
    let share = share_seen_by(call, &seen, id)?;
    if !call.api.gate.identities.verifiers().store.revoke_share(id, seen.owner(), call.now)? {
        return Err(no_such_link());
    }
    call.api.gate.identities.forget();
    if share.revoked_at.is_none() {
        log::warn!("the link {id} of {:?} was revoked by {}", share.owner_name, call.names());
    }
    Ok(ok(&json!({})))
}
