//! The core routes whose body or answer must be looked into: our REST callbacks on them.
//!
//! For whoever holds all labels, and for calls with no HTTP request behind them, the core's bytes go through untouched.
//! Only for the others is anything parsed.
#![forbid(unsafe_code)]

pub mod answers;
pub mod bodies;
pub mod create_dicom;
pub mod search;

mod core_call;
mod deletion;
mod pieces;
mod query;
mod results;
mod scope;

use crate::clock::UnixTime;
use crate::gate::{Gate, describe_refusal, is_too_long};
use crate::host::{Host, HostError, Method};
use crate::identity::deleted::Deletions;
use crate::log_text::shorten;
use crate::request::{Reply, RestRequest};
use crate::resource::Level;
use crate::slot::{self, Caller};

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use core_call::uri;
pub use results::Results;
pub use scope::Scope;

/// The patterns of what is answered here, as Orthanc anchors them; all begin with a slash. Without groups, as the server
/// copies what a group captures on every request; searches, which are the most frequent, first.
pub const PATTERNS: [&str; 6] = [
    "/tools/(?:find|count-resources|labels|lookup|create-dicom|bulk-(?:anonymize|content|delete|modify))",
    "/(?:patients|studies|series|instances)/[^/]*(?:/(?:patient|study|studies|series|instances|labels|labels/[^/]*))?",
    "/(?:(?:patients|studies|series)/[^/]*/(?:anonymize|modify)|studies/[^/]*/(?:merge|split))",
    "/modalities/[^/]*/(?:query|store)",
    "/peers/[^/]*/store",
    "/queries/[^/]*/(?:retrieve|answers/[^/]*/(?:query-instances|query-series|query-studies|retrieve))",
];

/// What an override needs.
pub struct Context<'a> {
    /// The server.
    pub host: &'a dyn Host,
    /// The rooms behind the gate.
    pub gate: &'a Gate,
    /// The labels that the results of jobs wait for.
    pub results: &'a Results,
    /// What is kept of deleted resources; `None` where links open again what comes back.
    pub deletions: Option<&'a Deletions>,
    /// The server's own DICOM port, when it is open.
    pub dicom_port: Option<u16>,
}

/// Answers a call to one of the overridden routes.
#[must_use]
pub fn handle(context: &Context<'_>, call: &RestRequest<'_>, now: UnixTime) -> Reply {
    let caller = slot::caller(&call.request, &context.gate.places);
    let on_behalf = matches!(caller, Caller::OnBehalf(_));
    let scope = match caller {
        Caller::Internal => Scope::All,
        Caller::Direct(slot) if slot.is_outdated(&context.gate.identities, now) => {
            let mut outcome = context.gate.decide(&slot.whole(&call.request), now);
            if outcome.take_permit().is_none() {
                log::info!("no more, now that the body is here: {}", describe_refusal(&call.request, &outcome));
                return Reply::HostError(HostError::FORBIDDEN);
            }
            Scope::of(outcome.granted)
        }
        Caller::Direct(slot) | Caller::OnBehalf(slot) => Scope::of(slot.granted),
    };
    #[cfg(feature = "fault-injection")]
    let scope = {
        let template = context.gate.routes.find(call.request.method, call.request.path).template;
        if crate::unguarded::is_unguarded(call.request.method, template) { Scope::All } else { scope }
    };
    let reply = answer(context, call, &scope).unwrap_or_else(Reply::HostError);
    // Else whoever wrote a script only sees that the server refuses what it did before.
    if on_behalf
        && reply == Reply::HostError(HostError::FORBIDDEN)
        && let Some(request) = slot::in_the_log()
    {
        let (method, path) = (call.request.method.as_str(), shorten(call.request.path));
        log::info!(
            "refused {method} {path} to another plugin or a script, which asks while {request} is served: what it asks for through the plugins is held to the labels of that request"
        );
    }
    reply
}

fn answer(context: &Context<'_>, call: &RestRequest<'_>, scope: &Scope) -> Result<Reply, HostError> {
    // Refused to everybody: reading it, the core would run out of stack, and that ends the server.
    if crate::json::is_too_deep_for_the_core(call.body) {
        return Err(HostError::BAD_REQUEST);
    }
    let path = call.request.path.trim_end_matches('/');
    // An image that is made from a body may be large.
    if matches!(scope, Scope::Limited(_)) && is_too_long(call.body) && path != "/tools/create-dicom" {
        log::info!("a body of {} bytes is refused to somebody who does not hold all labels", call.body.len());
        return Err(HostError::FORBIDDEN);
    }
    if let Some(route) = bodies::route(&call.request) {
        return bodies::handle(context, call, scope, &route);
    }
    match path {
        "/tools/find" => return search::find(context, call, scope),
        "/tools/count-resources" => return search::count(context, call, scope),
        "/tools/labels" => return answers::labels(context, call, scope),
        "/tools/lookup" => return answers::lookup(context, call, scope),
        "/tools/create-dicom" => return create_dicom::create(context, call, scope),
        _ => {}
    }
    let mut segments = path.split('/').skip(1);
    let (level, id) = (segments.next().and_then(level_of), segments.next());
    let (Some(level), Some(id)) = (level, id) else { return Err(HostError::UNKNOWN_RESOURCE) };
    match segments.next() {
        None if call.request.method == Method::Delete => answers::delete(context, call, scope, level, id),
        Some("labels") => answers::resource_labels(context, call, scope, (level, id), segments.next()),
        _ => answers::resource(context, call, scope, level, id),
    }
}

fn level_of(plural: &str) -> Option<Level> {
    Level::ALL.into_iter().find(|level| level.plural() == plural)
}

#[cfg(test)]
mod tests;
