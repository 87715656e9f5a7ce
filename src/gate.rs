//! The request pipeline, top to bottom: the one place that knows the order of the rooms.
//!
//! route → credentials → identities → rule → resources → decision → log. Everything that is not granted here is refused.
//! What "decision 3" and its like mean in comments is in `docs/decisions.md`.
#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::browser::{self, CookieCounts};
use crate::clock::UnixTime;
use crate::config::RuleTouches;
use crate::credential::{Places, Source};
use crate::host::Method;
use crate::identity::{Identities, Identity, IdentityList, Rejection};
use crate::log_text;
use crate::ownership::Ownership;
use crate::pieces::{Pieces, facts, has_pieces};
use crate::policy::decision::{self, Decision, Demand, Facts, FirstGate, Holder, Reach, Refusal, UploadTarget};
use crate::policy::rules::{Rule, Rules};
use crate::request::Request;
use crate::resource::{Located, Named, ResourceError, Resources};
use crate::route::{Access, Handling, Owned, RouteModel, Row};
use crate::standing::Standing;

/// Proof that a request was decided and may pass. Only [`Gate::decide`] makes one.
#[must_use]
#[derive(Debug)]
pub struct Permit(());

/// Paths that need no permission for GET.
#[derive(Clone, Debug, Default)]
pub struct Unchecked {
    /// Exactly these.
    pub resources: Vec<String>,
    /// Everything below these; each ends with a slash.
    pub folders: Vec<String>,
}

impl Unchecked {
    fn holds(&self, method: Method, path: &str) -> bool {
        method == Method::Get
            && (self.resources.iter().any(|resource| resource == path)
                || self.folders.iter().any(|folder| path.starts_with(folder.as_str())))
    }
}

/// Everything that decides.
pub struct Gate {
    /// Where credentials are.
    pub places: Places,
    /// Whose they are.
    pub identities: Identities,
    /// Whoever shows none that holds.
    pub anonymous: Arc<Identity>,
    /// What routes touch.
    pub routes: RouteModel,
    /// Which permission they need.
    pub rules: Rules,
    /// What needs none.
    pub unchecked: Unchecked,
    /// Where studies and labels are looked up.
    pub resources: Resources,
    /// Whose jobs and queries are whose.
    pub ownership: Ownership,
    /// Which routes reach our callbacks.
    pub standing: Standing,
}

/// The whole outcome of a decision: what the log and the handlers behind the gate need.
#[derive(Debug)]
pub struct Outcome {
    /// The identities that were granted, in the order of their credentials. For a search all of them, as they are
    /// searched for together, and for an upload or a body that is read later, as each of them may be the one that it is
    /// for; else at least one.
    pub granted: IdentityList,
    /// The identities that were verified, in that order, anonymous last. Never empty.
    pub verified: IdentityList,
    /// The identities' epoch before they were verified.
    pub epoch: u64,
    /// When it was decided.
    pub at: UnixTime,
    /// Whether the request is to bring images in, which are looked at when its body is there.
    pub is_upload: bool,
    /// The credentials that gave no identity, and why.
    pub rejected: Vec<(Source, Rejection)>,
    /// The best reason why not, when nobody was granted.
    pub refusal: Option<Refusal>,
    /// The route's row.
    pub template: &'static str,
    /// What the row says of itself: for somebody refused, why, and what to use instead.
    pub note: &'static str,
    /// The rule that counted.
    pub rule: Option<Arc<str>>,
    /// What the server said when a resource could not be looked up.
    pub trouble: Option<String>,
    permit: Option<Permit>,
}

impl Outcome {
    /// The proof, when there is one; once.
    pub const fn take_permit(&mut self) -> Option<Permit> {
        self.permit.take()
    }
}

impl Gate {
    /// Verifies all credentials of a request to a route: who they are, in order and with the anonymous identity last, and
    /// which of them are not accepted, with the reason.
    #[must_use]
    pub fn identify(
        &self,
        request: &Request<'_>,
        row: &Row,
        now: UnixTime,
    ) -> (IdentityList, Vec<(Source, Rejection)>) {
        let mut verified = IdentityList::new();
        let mut rejected = Vec::new();
        for credential in self.places.read(request) {
            if credential.source == Source::Cookie && !self.cookie_counts(request, row) {
                rejected.push((credential.source, Rejection::CookieAlone));
                continue;
            }
            match self.identities.verify(&credential, request.remote, now) {
                Ok(identity) => verified.push(identity),
                Err(rejection) => rejected.push((credential.source, rejection)),
            }
        }
        verified.push(Arc::clone(&self.anonymous));
        (verified, rejected)
    }

    /// Whether a cookie counts for a request to a route (decision 27).
    #[must_use]
    pub fn cookie_counts(&self, request: &Request<'_>, row: &Row) -> bool {
        match browser::cookie_counts(request, self.places.origin.as_deref()) {
            CookieCounts::Yes => true,
            CookieCounts::AsPage => row.may_be_a_page() && !self.is_told_of_a_resource(request, row),
            CookieCounts::No => false,
        }
    }

    /// Whether a route that we do not know touches a resource by the site's own rule: then it holds patient data.
    fn is_told_of_a_resource(&self, request: &Request<'_>, row: &Row) -> bool {
        let rule = (row.handling == Handling::Unknown).then(|| self.rules.first_match(request.method, request.path));
        matches!(rule.flatten().and_then(|rule| rule.touches.as_ref()), Some(RuleTouches::Resource { .. }))
    }

    /// Decides one request.
    #[must_use]
    pub fn decide(&self, request: &Request<'_>, now: UnixTime) -> Outcome {
        let row = self.routes.find(request.method, request.path);
        let epoch = self.identities.epoch();
        let (verified, rejected) = self.identify(request, &row, now);
        let Row { template, handling, note } = row;
        let rule = self.rules.first_match(request.method, request.path);
        let mut outcome = Outcome {
            granted: IdentityList::new(),
            verified,
            epoch,
            at: now,
            is_upload: matches!(handling, Handling::Upload(_)),
            rejected,
            refusal: None,
            template,
            note,
            rule: rule.map(|rule| Arc::clone(&rule.path)),
            trouble: None,
            permit: None,
        };
        #[cfg(feature = "fault-injection")]
        if crate::unguarded::is_unguarded(request.method, template) {
            outcome.granted = outcome.verified.clone();
            outcome.permit = Some(Permit(()));
            return outcome;
        }
        // For everybody, whatever they may see: the server calls the route once for each part of the form, and no room
        // behind the gate expects that.
        if is_form(request) && !(matches!(handling, Handling::Upload(_)) && template == "/instances") {
            outcome.refusal = Some(Refusal::FormBody);
            return outcome;
        }
        if handling == Handling::Own {
            // Whoever answers it does not ask who is asking.
            if !self.standing.holds(template) {
                outcome.refusal = Some(Refusal::AnotherPlugins);
                return outcome;
            }
            let is_somebody_known = outcome.verified.iter().any(|identity| !identity.is_stranger());
            if !is_bounded(request, is_somebody_known) {
                outcome.refusal = Some(Refusal::BodyTooLong);
                return outcome;
            }
            // The handler decides, and can say why.
            outcome.permit = Some(Permit(()));
            return outcome;
        }
        if self.unchecked.holds(request.method, request.path) && !handling.carries_patient_data() {
            outcome.granted.extend(outcome.verified.first().cloned());
            outcome.permit = Some(Permit(()));
            return outcome;
        }
        self.ask_each(request, &row, rule, now, &mut outcome);
        if !outcome.granted.is_empty() {
            outcome.permit = Some(Permit(()));
        }
        outcome
    }

    /// Decides for each identity by itself, for the whole request (decision 3).
    fn ask_each(&self, request: &Request<'_>, row: &Row, rule: Option<&Rule>, now: UnixTime, outcome: &mut Outcome) {
        let (handling, is_archive) = (row.handling, row.is_archive());
        let mut touched: Option<Touched<'_>> = None;
        for identity in &outcome.verified {
            let holder = identity.holder();
            let without_download = holder.link.is_some_and(|link| is_archive && !link.download);
            let first = FirstGate::ask(&holder, rule, now, || match without_download {
                true => Err(Refusal::LinkWithoutDownload),
                false => self.may_send(request, handling, identity),
            });
            // What the callback of another plugin does there, nobody looks into.
            let is_taken = first.asks_resources() && !self.standing.holds(row.template);
            // To look up is to ask the server: only when somebody limited is past the first gate, and once for all of them.
            // A label's name stands in the path, and is wanted for whoever holds all labels too.
            let look_up = first.asks_resources() && !is_taken && !matches!(handling, Handling::Upload(_));
            let is_read = touched.as_ref().is_some_and(|touched| touched.looked_up || !look_up);
            if (look_up || (handling == Handling::Label && !is_taken)) && !is_read {
                touched = Some(self.touched(request, rule, look_up));
            }
            if let Some(Touched { located: Err(ResourceError::Host(trouble)), .. }) = &touched {
                outcome.trouble = Some(trouble.clone());
            }
            let facts = touched.as_ref().map(|touched| self.facts_for(&holder, touched)).unwrap_or_default();
            let demand = match is_taken {
                true => Demand::AnotherPlugins,
                false => self.demand(handling, touched.as_ref(), rule, &facts, identity),
            };
            match first.decide(request.method, &demand) {
                Decision::Granted => {
                    outcome.granted.push(Arc::clone(identity));
                    // Which of them a search, an upload or a body is for is found out when it is read.
                    if !handling.serves_all() || decision::is_unlimited(&holder) {
                        break;
                    }
                }
                // The reasons are ordered: the later one got further.
                Decision::Refused(refusal) => outcome.refusal = outcome.refusal.max(Some(refusal)),
            }
        }
        if !outcome.granted.is_empty() {
            outcome.refusal = None;
            outcome.granted.iter().for_each(|identity| identity.count_use(now));
        }
    }

    /// Whether the body may be read by the server: before any of it could be looked at, all of it is in memory.
    fn may_send(&self, request: &Request<'_>, handling: Handling, identity: &Identity) -> Result<(), Refusal> {
        if decision::is_unlimited(&identity.holder()) {
            return Ok(());
        }
        let stranger = identity.is_stranger();
        // The order counts: an upload leaves by one of the first two arms, for images are longer than the bounds below.
        match handling {
            Handling::Upload(_) if request.header("x-file-size").is_some() => Err(Refusal::FileInPieces),
            Handling::Upload(_) => self.may_send_images(request, identity),
            // Neither is long; a search is open to many, and each name in a body that we look into costs a look-up.
            Handling::Search | Handling::Body if !is_bounded(request, !stranger) => Err(Refusal::BodyTooLong),
            _ if stranger && !is_bounded(request, false) => Err(Refusal::BodyTooLong),
            _ => Ok(()),
        }
    }

    /// The same for images that the holder of a link sends: how long the body may be is what the link may still bring in.
    fn may_send_images(&self, request: &Request<'_>, identity: &Identity) -> Result<(), Refusal> {
        let Some(uploads) = identity.link.as_ref().and_then(|link| link.uploads.as_ref()) else { return Ok(()) };
        if matches!(uploads.into, UploadTarget::New(_)) && request.path.trim_end_matches('/') != "/instances" {
            return Err(Refusal::InboxByInstancesOnly);
        }
        if request.header("content-encoding").is_some_and(|encoding| !encoding.trim().eq_ignore_ascii_case("identity"))
        {
            return Err(Refusal::EncodedBody);
        }
        // The parts of a form have headers of their own: each could say that it is compressed.
        if is_form(request) {
            return Err(Refusal::FormBody);
        }
        let length = request.header("content-length").and_then(|length| length.trim().parse::<u64>().ok());
        let length = length.filter(|_| request.header("transfer-encoding").is_none()).ok_or(Refusal::BodyTooLong)?;
        let uploaded = identity.id.as_deref().map(|id| self.identities.verifiers().store.uploaded(id));
        // When the state cannot be read, `uploads` refuses: it counts what really comes in.
        let uploaded = uploaded.and_then(Result::ok).unwrap_or_default();
        let is_full = uploads.most_instances.is_some_and(|most| uploaded.instances >= most);
        let left = uploads.most_bytes.map(|most| most.saturating_sub(uploaded.bytes));
        let left = if is_full { Some(0) } else { left };
        // This bounds what the server has to hold in memory; `uploads` counts the images to the byte. Twice what is left,
        // because a body is more than its images (headers of parts, directories of archives); and a little in any case,
        // so that `uploads` can tell the sender of a single image why it is refused.
        let most = left.map_or(LONGEST_UPLOAD, |left| left.saturating_mul(2).saturating_add(LONGEST_OWN_BODY));
        let fits = length <= most.min(LONGEST_UPLOAD);
        if fits { Ok(()) } else { Err(Refusal::BodyTooLong) }
    }

    fn demand<'a>(
        &self,
        handling: Handling,
        touched: Option<&Touched<'a>>,
        rule: Option<&Rule>,
        facts: &'a [Facts<'a>],
        identity: &Identity,
    ) -> Demand<'a> {
        if touched.is_some_and(|touched| touched.located.is_err()) {
            return Demand::UnknownResource;
        }
        match handling {
            Handling::Open => Demand::Open,
            Handling::Own => Demand::Own,
            // Each instance is decided by itself when it arrives, in `uploads`.
            Handling::Upload(way) => Demand::Upload(way),
            Handling::Named | Handling::Filtered | Handling::Parts | Handling::Identifiers(_) | Handling::WadoUri => {
                Demand::Resources(facts)
            }
            Handling::Search => Demand::Search(facts),
            Handling::Body => Demand::Body(facts),
            Handling::Job | Handling::Query => {
                let owned = touched.and_then(|touched| touched.owned);
                Demand::Owned(owned.is_some_and(|(kind, id)| self.ownership.owns(kind, id, identity)))
            }
            Handling::Label => {
                let label = touched.and_then(|touched| touched.label).unwrap_or_default();
                let available = self.identities.verifiers().roles.current().label_is_available(label);
                Demand::Label { resources: facts, label, available }
            }
            Handling::Refused => Demand::Closed,
            Handling::Unknown => match rule.and_then(|rule| rule.touches.as_ref()) {
                Some(RuleTouches::Nothing) => Demand::Open,
                Some(RuleTouches::Resource { .. }) => Demand::Resources(facts),
                None => Demand::UnknownRoute,
            },
        }
    }

    /// What a request names, and with `look_up` what the server knows of it.
    fn touched<'a>(&self, request: &Request<'a>, rule: Option<&Rule>, look_up: bool) -> Touched<'a> {
        let access = self.routes.classify(request.method, request.path, &request.arguments);
        let (located, in_part) = match look_up.then(|| self.locate(request, &access, rule)) {
            None => (Ok(Vec::new()), 0),
            Some(Ok((located, in_part))) => (Ok(located), in_part),
            Some(Err(error)) => (Err(error), 0),
        };
        Touched { label: access.label, owned: access.owned, located, in_part, looked_up: look_up }
    }

    /// What the policy is told of what was looked up, for one holder.
    fn facts_for<'a>(&self, holder: &Holder<'_>, touched: &'a Touched<'_>) -> Vec<Facts<'a>> {
        let located = touched.located.as_deref().unwrap_or_default();
        let asks = touched.in_part > 0 && holder.link.is_some_and(has_pieces);
        let pieces =
            if asks { Pieces::of(&self.resources, std::iter::once(holder.clone())) } else { Pieces::default() };
        let reach = |at: usize, located: &Located| match at < touched.in_part {
            true => Reach::Part { linked: pieces.lie_in(located) },
            false => Reach::Whole,
        };
        located.iter().enumerate().map(|(at, located)| Facts { reach: reach(at, located), ..facts(located) }).collect()
    }

    /// Everything that a request names, looked up, and how many of these, from the front, are touched in part. An error
    /// for any of them is an error for all.
    fn locate(
        &self,
        request: &Request<'_>,
        access: &Access<'_>,
        rule: Option<&Rule>,
    ) -> Result<(Vec<Located>, usize), ResourceError> {
        let mut found = Vec::new();
        let mut in_part = 0;
        let mut patients = Vec::new();
        for (at, named) in access.named.iter().enumerate() {
            let located = self.resources.locate(named)?;
            if access.named.len() > 1 && named.is_patient(&located) {
                patients.push(named);
            }
            found.extend(located);
            if at < access.in_part {
                in_part = found.len();
            }
        }
        // Many names take a while to look up. The server answers a patient with the studies that came meanwhile, so they
        // are checked too.
        for patient in patients {
            found.extend(self.resources.locate(patient)?);
        }
        // A site's own rule says where its route names a resource; a route that we know is never explained away.
        if access.handling == Handling::Unknown
            && let Some(rule) = rule
            && let Some(RuleTouches::Resource { level, group }) = rule.touches
        {
            let id = self.rules.group(rule, request.path, group).ok_or(ResourceError::Unknown)?;
            if !crate::route::is_orthanc_id(id) {
                return Err(ResourceError::Unknown);
            }
            found.extend(self.resources.locate(&Named::Orthanc(level, id.into()))?);
        }
        Ok((found, in_part))
    }
}

/// The longest body that we look into, in bytes: the largest of our own routes, a roles document, is far below.
const LONGEST_OWN_BODY: u64 = 4 * 1024 * 1024;

/// Whether a body that was read is longer than that: one in chunks has not said so before.
#[must_use]
pub fn is_too_long(body: &[u8]) -> bool {
    u64::try_from(body.len()).map_or(true, |length| length > LONGEST_OWN_BODY)
}

/// The longest body that a link may send, in bytes, however much it may bring in.
const LONGEST_UPLOAD: u64 = 4 * 1024 * 1024 * 1024;

/// Whether the body is short enough to be read by the server before anybody else is asked: it allocates the announced
/// length at once, so a header alone would let a stranger exhaust memory. Of a body in chunks the length is not known
/// here; `may_be_chunked` says whether that is good enough. With neither a length nor chunks the server reads no body.
fn is_bounded(request: &Request<'_>, may_be_chunked: bool) -> bool {
    let length = request.header("content-length").map(|length| length.trim().parse());
    let is_short = length.is_none_or(|length| length.is_ok_and(|length: u64| length <= LONGEST_OWN_BODY));
    is_short && (may_be_chunked || request.header("transfer-encoding").is_none())
}

/// Whether the server takes the body apart as a form with files (RFC 7578): it then handles each part as a request of
/// its own, with the part's headers, which nobody has looked at.
fn is_form(request: &Request<'_>) -> bool {
    request.header("content-type").is_some_and(|kind| kind.to_ascii_lowercase().contains("form-data"))
}

/// What a request names. `located` is what was looked up of it.
struct Touched<'a> {
    label: Option<&'a str>,
    owned: Option<(Owned, &'a str)>,
    located: Result<Vec<Located>, ResourceError>,
    /// How many of `located`, from the front, are touched in part.
    in_part: usize,
    /// Whether `located` was asked for: without that it is empty.
    looked_up: bool,
}

/// One line for the log about a refusal: identity, route, rule, reason; no credential and no query value.
#[must_use]
pub fn describe_refusal(request: &Request<'_>, outcome: &Outcome) -> String {
    use std::fmt::Write;
    let path = log_text::path(request.path);
    let mut line = format!("refused {} {path} ({})", request.method.as_str(), outcome.template);
    // Writing to a string does not fail.
    let _ = write!(line, " to {}", crate::identity::in_the_log(&outcome.verified));
    let _ = match &outcome.rule {
        Some(rule) => write!(line, ", rule {rule}"),
        None => write!(line, ", no rule"),
    };
    if let Some(refusal) = outcome.refusal {
        let _ = write!(line, ": {refusal}");
        if refusal == Refusal::ClosedRoute && !outcome.note.is_empty() {
            let _ = write!(line, " ({})", outcome.note);
        }
    }
    if let Some(trouble) = &outcome.trouble {
        let _ = write!(line, " ({trouble})");
    }
    for (source, rejection) in &outcome.rejected {
        let _ = write!(line, "; {source} not accepted: {rejection}");
    }
    line
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
