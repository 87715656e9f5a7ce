//! Our own routes, `/auth/…`: bodies in, JSON out. Thin: what they decide is decided in the rooms behind them.
//!
//! Known paths pass the filter with their identity; the handler decides and can say why (decision 7).
#![forbid(unsafe_code)]

mod doctor;
mod emails;
mod keys;
mod links;
mod login;
mod oidc;
mod profile;
mod qr;
mod seen;
mod sessions;
mod settings;
mod shares;
mod tokens;

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::clock::UnixTime;
use crate::config::Shares;
use crate::doctor::Doctor;
use crate::gate::Gate;
use crate::identity::{Identity, IdentityList, Rejection};
use crate::index::Index;
use crate::launch::Provider;
use crate::login::{Front, Login};
use crate::mail::Mail;
use crate::meddream::MedDream;
use crate::policy::decision::{self, Refusal};
use crate::request::{Reply, Request, RestRequest};
use crate::slot::{self, Caller, Slot};

/// The pattern that is registered, as Orthanc anchors it.
pub const PATTERN: &str = "/auth/.*";

/// What the routes work with.
pub struct Api {
    /// The rooms behind the gate.
    pub gate: Arc<Gate>,
    /// What links are made on.
    pub index: Arc<Index>,
    /// What is wrong with the set-up.
    pub doctor: Arc<Doctor>,
    /// How links are made.
    pub shares: Shares,
    /// Where Orthanc Explorer 2 is, with slashes at both ends.
    pub oe2_root: String,
    /// How browsers see this server.
    pub front: Front,
    /// The login gate; `None` when it is off.
    pub login: Option<Arc<Login>>,
    /// Launches viewers on other origins; `None` when there are none.
    pub provider: Option<Provider>,
    /// Whether the server decodes arguments before we see them.
    pub decodes_arguments: bool,
    /// How mails are sent; `None`: not at all.
    pub mail: Option<Arc<Mail>>,
    /// Where MedDream's tokens come from; `None` without MedDream.
    pub meddream: Option<Arc<MedDream>>,
}

/// One call of a route.
struct Call<'a> {
    api: &'a Api,
    rest: &'a RestRequest<'a>,
    /// Whoever the call's credentials are, in their order, anonymous last.
    verified: IdentityList,
    /// As in [`crate::gate::Outcome::epoch`].
    epoch: u64,
    /// Whether it came over HTTP as itself, and not from another plugin.
    direct: bool,
    /// Whether there is no HTTP request behind it at all.
    internal: bool,
    /// The client's address.
    remote: String,
    /// Whether a trusted proxy brought it.
    by_proxy: bool,
    /// Whether the browser sees the answer below our path: it asked with a slash at its end.
    below: bool,
    now: UnixTime,
}

/// A refusal with a body.
#[derive(Debug)]
struct ApiError {
    status: u16,
    details: Cow<'static, str>,
    headers: Vec<(&'static str, String)>,
}

impl ApiError {
    fn new(status: u16, details: impl Into<Cow<'static, str>>) -> Self {
        Self { status, details: details.into(), headers: Vec::new() }
    }

    fn bad(details: impl Into<Cow<'static, str>>) -> Self {
        Self::new(400, details)
    }

    fn forbidden(details: impl Into<Cow<'static, str>>) -> Self {
        Self::new(403, details)
    }

    /// Something failed in here. The reason goes to the log, not to the stranger.
    fn internal(cause: &dyn std::fmt::Display) -> Self {
        log::error!("a request to the authorization API failed: {cause}");
        Self::new(500, "the authorization plugin failed; its log says why")
    }
}

impl From<crate::share::BadRequest> for ApiError {
    fn from(bad: crate::share::BadRequest) -> Self {
        Self::bad(bad.message)
    }
}

impl From<crate::store::StoreError> for ApiError {
    fn from(error: crate::store::StoreError) -> Self {
        match error {
            crate::store::StoreError::RolledBack { .. } => Self::new(503, error.to_string()),
            other => Self::internal(&other),
        }
    }
}

impl From<Rejection> for ApiError {
    /// Of a record that cannot be read now.
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::Store(error) => error.into(),
            rejection => Self::new(503, rejection.to_string()),
        }
    }
}

impl From<crate::bytes::NoRandom> for ApiError {
    fn from(error: crate::bytes::NoRandom) -> Self {
        Self::internal(&error)
    }
}

type Answer = Result<Reply, ApiError>;

impl Api {
    /// Answers a call.
    #[must_use]
    pub fn handle(&self, rest: &RestRequest<'_>, now: UnixTime) -> Reply {
        if crate::json::is_too_deep(rest.body) {
            return error_reply(rest, ApiError::bad("the body nests too deeply"));
        }
        self.call(rest, now).answer().unwrap_or_else(|error| error_reply(rest, error))
    }

    /// The call with whoever stands behind it.
    fn call<'a>(&'a self, rest: &'a RestRequest<'a>, now: UnixTime) -> Call<'a> {
        let request = &rest.request;
        let epoch = self.gate.identities.epoch();
        match slot::caller(request, &self.gate.places) {
            Caller::Direct(mut slot) => {
                // A credential that was revoked while the body came must not make a key or link any more, or change
                // roles: nobody would think of taking that back.
                if slot.is_outdated(&self.gate.identities, now) {
                    let row = self.gate.routes.find(request.method, request.path);
                    slot.verified = self.gate.identify(&slot.whole(request), &row, now).0;
                    slot.epoch = epoch;
                }
                let below = slot.ended_with_slash();
                Call { direct: true, below, ..self.on_behalf(rest, slot, now) }
            }
            Caller::OnBehalf(slot) => self.on_behalf(rest, slot, now),
            Caller::Internal => {
                let row = self.gate.routes.find(request.method, request.path);
                let verified = self.gate.identify(request, &row, now).0;
                let remote = request.remote.to_owned();
                let (by_proxy, below) = (false, false);
                Call { api: self, rest, verified, epoch, direct: false, internal: true, remote, by_proxy, below, now }
            }
        }
    }

    fn on_behalf<'a>(&'a self, rest: &'a RestRequest<'a>, slot: Slot, now: UnixTime) -> Call<'a> {
        let Slot { verified, epoch, remote, by_proxy, .. } = slot;
        Call { api: self, rest, verified, epoch, direct: false, internal: false, remote, by_proxy, below: false, now }
    }
}

impl Call<'_> {
    /// Every route: its path, its methods, and the function that answers it.
    fn answer(&self) -> Answer {
        let mut segments = self.rest.request.path.trim_end_matches('/').split('/').skip(2);
        match (segments.next(), segments.next(), segments.next()) {
            (Some("user"), Some("profile"), None) => self.only("GET", profile::get),
            (Some("tokens"), Some("decode"), None) => self.only("POST", tokens::decode::answer),
            (Some("tokens"), Some(link_type), None) => self.only("PUT", |call| tokens::create(call, link_type)),
            (Some("settings"), Some("roles"), None) => self.only("GET,PUT", settings::roles),
            (Some("settings"), Some("permissions"), None) => self.only("GET", settings::permissions),
            (Some("api-keys"), None, None) => self.only("GET,POST", keys::collection),
            (Some("api-keys"), Some(id), None) => self.only("DELETE", |call| keys::delete(call, id)),
            (Some("shares"), None, None) => self.only("GET", shares::list),
            (Some("shares"), Some(id), None) => self.only("GET,DELETE", |call| shares::one(call, id)),
            (Some("shares"), Some(id), Some("qr")) => self.only("GET", |call| qr::get(call, id)),
            (Some("links"), Some(code), None) => self.page("GET,POST", |call| links::open(call, code)),
            (Some("sessions"), None, None) => self.only("GET,DELETE", sessions::collection),
            (Some("sessions"), Some(id), None) => self.only("DELETE", |call| sessions::one(call, id)),
            (Some("sessions"), Some("user"), Some(user)) => self.only("DELETE", |call| sessions::of_user(call, user)),
            (Some("emails"), Some("templates"), None) => self.only("GET", emails::templates),
            (Some("emails"), Some("templates"), Some(name)) => self.only("GET", |call| emails::template(call, name)),
            (Some("emails"), Some("send"), None) => self.only("POST", emails::send),
            (Some("login"), None, None) => self.page("GET,POST", login::login),
            (Some("callback"), None, None) => self.page("GET", login::callback),
            (Some("logout"), None, None) => self.page("GET,POST", login::logout),
            (Some("oidc"), Some(".well-known"), Some("openid-configuration")) => self.only("GET", oidc::discovery),
            (Some("oidc"), Some("jwks"), None) => self.only("GET", oidc::jwks),
            (Some("oidc"), Some("authorize"), None) => self.page("GET", oidc::authorize),
            (Some("oidc"), Some("token"), None) => self.only("POST", oidc::token),
            (Some("backchannel-logout"), None, None) => self.only("POST", login::backchannel_logout),
            (Some("doctor"), None, None) => self.only("GET", doctor::get),
            _ => Err(ApiError::new(404, "there is no such route")),
        }
    }

    /// As [`Self::only`], for what people see: the targets of forms and links are relative, so that a path prefix survives,
    /// and from below the page they lead elsewhere.
    fn page(&self, methods: &'static str, handler: impl FnOnce(&Self) -> Answer) -> Answer {
        if self.below {
            return Err(ApiError::new(404, "there is no such page; without the slash at the end there is"));
        }
        self.only(methods, handler)
    }

    /// Answers by one of these methods, which are written as the header `Allow` has them; 405 to any other.
    fn only(&self, methods: &'static str, handler: impl FnOnce(&Self) -> Answer) -> Answer {
        let is_one = methods.split(',').any(|method| method == self.rest.request.method.as_str());
        if is_one { handler(self) } else { Ok(Reply::MethodNotAllowed(methods)) }
    }

    /// The first identity that the configured rule for this route lets through. For a call without an HTTP request
    /// behind it: whoever its headers show, at least the anonymous one.
    fn permitted(&self) -> Result<&Arc<Identity>, ApiError> {
        self.first_who(|_| Ok(())).map_err(|refusal| self.refuse(refusal))
    }

    /// The first identity that the configured rule for this route lets through, and that `more`, which is asked for
    /// nobody else, has nothing against. Of several refusals, the one that came furthest.
    fn first_who(&self, more: impl Fn(&Identity) -> Result<(), Refusal>) -> Result<&Arc<Identity>, Refusal> {
        let request = &self.rest.request;
        let rule = self.api.gate.rules.first_match(request.method, request.path.trim_end_matches('/'));
        let mut refusal = Refusal::NoRule;
        for identity in &self.verified {
            match decision::first_gate(&identity.holder(), rule, self.now).and_then(|()| more(identity)) {
                Ok(()) => return Ok(identity),
                Err(reason) => refusal = refusal.max(reason),
            }
        }
        Err(refusal)
    }

    /// The first identity that holds a permission by itself: for routes that came after the configured tables.
    fn holder_of(&self, permission: &str) -> Option<&Arc<Identity>> {
        self.verified.iter().find(|identity| {
            let ended = identity.expires_at.is_some_and(|end| end <= self.now);
            !ended && identity.rights.holds(permission)
        })
    }

    /// Whether whoever has just made something is still who they were. When all that somebody has is ended, another server
    /// learns of it a moment later, and what they make there in that moment would outlast the end: so this is asked when it
    /// is in the state, for what is ended from then on ends it too.
    fn is_still(&self, maker: &Identity) -> Result<bool, ApiError> {
        let gate = &self.api.gate;
        gate.identities.verifiers().recorder.look()?;
        if gate.identities.epoch() == self.epoch {
            return Ok(true);
        }
        // Which credentials stand behind another plugin's call, it does not show.
        if !self.direct && !self.internal {
            return Ok(false);
        }
        let request = Request { remote: &self.remote, ..self.rest.request.clone() };
        let row = gate.routes.find(request.method, request.path);
        let is_maker = |one: &Arc<Identity>| (one.kind, &one.id, &one.person) == (maker.kind, &maker.id, &maker.person);
        Ok(gate.identify(&request, &row, self.now).0.iter().any(is_maker))
    }

    /// An argument as it was meant: servers before 1.13.0 hand it on as it came.
    fn argument(&self, value: &str) -> String {
        if self.api.decodes_arguments {
            return value.to_owned();
        }
        percent_encoding::percent_decode_str(value).decode_utf8_lossy().into_owned()
    }

    /// Whoever calls, for the log.
    fn names(&self) -> String {
        crate::identity::in_the_log(&self.verified)
    }

    fn refuse(&self, reason: impl std::fmt::Display) -> ApiError {
        log::info!(
            "refused {} {} to {}: {reason}",
            self.rest.request.method.as_str(),
            crate::log_text::shorten(self.rest.request.path),
            self.names()
        );
        ApiError::forbidden(reason.to_string())
    }
}

fn ok(value: &Value) -> Reply {
    Reply::json(value.to_string().into_bytes())
}

/// Orthanc's JSON error body.
fn error_reply(rest: &RestRequest<'_>, error: ApiError) -> Reply {
    let (name, message, code) = match error.status {
        400 => ("Bad Request", "Bad request", 8),
        403 => ("Forbidden", "Access to a resource is forbidden", 45),
        404 => ("Not Found", "Unknown resource", 17),
        409 => ("Conflict", "Conflict with the state of the resource", 46),
        412 => ("Precondition Failed", "The resource has changed meanwhile", 47),
        503 => ("Service Unavailable", "Not possible at the moment", 1),
        _ => ("Internal Server Error", "Error encountered within the plugin engine", 1),
    };
    let body = json!({
        "Details": error.details,
        "HttpError": name,
        "HttpStatus": error.status,
        "Message": message,
        "Method": rest.request.method.as_str(),
        "OrthancError": message,
        "OrthancStatus": code,
        "Uri": rest.request.path,
    });
    let body = crate::json::pretty(&body);
    Reply::Answer { status: error.status, content_type: "application/json", headers: error.headers, body }
}

#[cfg(test)]
mod tests;
