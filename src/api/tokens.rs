//! `PUT /auth/tokens/{type}`: share links made. The one route that gives things away; `decode` reads what it gave.

pub(super) mod decode;

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Answer, ApiError, Call, ok};
use crate::bytes::{hex, random, sha256};
use crate::clock::UnixTime;
use crate::identity::local::LocalUsersError;
use crate::identity::{Identity, IdentityKind};
use crate::pieces::facts;
use crate::policy::decision::{self, LinkScope, Refusal};
use crate::resource::{Level, Located, Named, ResourceError};
use crate::secret::Secret;
use crate::share::ShareResource;
use crate::share::code;
use crate::share::defaults::Defaults;
use crate::share::kind::LinkType;
use crate::share::limits::LinkOptions;
use crate::share::request::{LinkRequest, Pin};
use crate::share::token::{self as share_token, Registered, ShareClaims};
use crate::share::viewer::{self, ViewerStudy};
use crate::store::ShareRecord;

/// `PUT /auth/tokens/{type}`: who may, what is asked, what is handed out. Nothing is handed out without its record.
pub fn create(call: &Call<'_>, link_type: &str) -> Answer {
    let Some(link_type) = LinkType::parse(link_type) else { return Err(unknown_type(call, link_type)) };
    // Asked before the body is read: a stranger learns nothing from it.
    call.permitted()?;
    let request = LinkRequest::parse(link_type, call.rest.body, call.now, &call.api.shares)?;
    let found = locate_all(call, &request)?;
    let maker = maker(call, link_type, found.as_ref())?;
    // Only somebody who may see everything is told that something is not there.
    let located = found.unwrap_or_else(|| Ok(Vec::new())).map_err(|unknown| ApiError::new(404, unknown))?;
    let asked = Asked::of(call, maker, request, &located)?;
    let handed_out = HandedOut::of(call, &asked)?;
    record(call, maker, &asked.recorded(&handed_out))?;
    if let Some(token) = asked.own_token(&handed_out) {
        call.api.gate.identities.verify_ahead(token, call.now);
    }
    Ok(ok(&answer(&asked, handed_out)))
}

/// What is asked for, once it is known that its maker may give all of it.
struct Asked {
    id: String,
    claims: ShareClaims,
    not_before: Option<UnixTime>,
    options: LinkOptions,
    /// The PIN that was made up for it: shown once.
    pin: Option<Secret>,
    studies: Vec<ViewerStudy>,
}

impl Asked {
    fn of(
        call: &Call<'_>,
        maker: &Identity,
        request: LinkRequest,
        located: &[(ShareResource, Located)],
    ) -> Result<Self, ApiError> {
        let request = defaults(call, maker)?.apply(request, &call.api.shares, call.now)?;
        check_gifts(call, maker, &request)?;
        let id = hex(&random::<16>()?);
        let (options, pin) = options(call, maker, &request)?;
        if options.no_download && request.link_type == LinkType::VolView {
            return Err(ApiError::bad("Download: VolView shows archives, so its links need them"));
        }
        let not_before = request.not_before;
        let resources = located.iter().map(|(asked, located)| precise(asked, located)).collect();
        let claims = LinkRequest { resources, ..request }.into_claims(Registered {
            jti: id.clone(),
            issued_at: call.now,
            subject: maker.person.as_ref().map(|person| person.subject.clone()),
        });
        let studies = viewer_studies(located.iter().map(|(_, located)| located));
        Ok(Self { id, claims, not_before, options, pin, studies })
    }

    /// The token that opens it here. A code opens nothing by itself, and the token of another service nothing of ours.
    fn own_token<'a>(&self, handed_out: &'a HandedOut) -> Option<&'a str> {
        let is_own = !self.options.asks() && self.claims.link_type != LinkType::MedDreamInstant;
        is_own.then_some(handed_out.token.as_str())
    }

    fn recorded<'a>(&'a self, handed_out: &'a HandedOut) -> NewLink<'a> {
        NewLink {
            id: &self.id,
            link_type: self.claims.link_type,
            resources: &self.claims.resources,
            not_before: self.not_before,
            expires_at: self.claims.expires_at,
            options: &self.options,
            code: handed_out.code.as_deref(),
            token: self.own_token(handed_out),
        }
    }
}

/// What whoever asked gets of a link.
struct HandedOut {
    /// What opens it: a signed token, or the code of a link that asks for something.
    token: String,
    /// Where it leads; `None` where whoever asked builds the URL.
    url: Option<String>,
    /// The code of its short form; of publications only.
    code: Option<String>,
    /// Its short form, where that leads somewhere.
    short_url: Option<String>,
}

impl HandedOut {
    fn of(call: &Call<'_>, asked: &Asked) -> Result<Self, ApiError> {
        let shares = &call.api.shares;
        let link_type = asked.claims.link_type;
        let codes = &call.api.gate.identities.verifiers().links.codes;
        let code = link_type.is_publication().then(|| codes.of(&asked.id));
        let short_url = match &code {
            Some(code)
                if viewer::viewer_url_by_cookie(link_type, shares, &asked.studies).map_err(missing_root)?.is_some() =>
            {
                viewer::short_url(shares, code)
            }
            _ => None,
        };
        let (token, url) = if asked.options.asks() {
            (code_alone(call, link_type, code.clone().filter(|_| short_url.is_some()))?, short_url.clone())
        } else {
            let token = token(call, asked)?;
            let url = viewer::public_url(link_type, shares, &call.api.oe2_root, &asked.studies, &token);
            let url = url.map_err(missing_root)?;
            let is_direct = shares.public_landing_root.is_none();
            let url = if is_direct && viewer::is_launched(link_type, shares) { short_url.clone() } else { url };
            (token, url)
        };
        Ok(Self { token, url, code, short_url })
    }
}

fn missing_root(missing: viewer::MissingRoot) -> ApiError {
    ApiError::new(409, missing.to_string())
}

/// For a link that asks for something: a code, which opens nothing by itself (decision 22). `code` is `None` where the
/// link has no short form.
fn code_alone(call: &Call<'_>, link_type: LinkType, code: Option<String>) -> Result<String, ApiError> {
    let code = code.ok_or_else(|| {
        ApiError::new(409, "links that ask for something need Authorization.Shares.PublicOrthancRoot")
    })?;
    if viewer::is_out_of_reach(link_type, &call.api.shares) {
        return Err(ApiError::new(409, OUT_OF_REACH));
    }
    Ok(code)
}

/// For a link that asks for nothing: the token that opens it.
fn token(call: &Call<'_>, asked: &Asked) -> Result<String, ApiError> {
    if asked.claims.link_type == LinkType::MedDreamInstant {
        return meddream_token(call, &asked.studies).map_err(|error| ApiError::new(503, error));
    }
    let keys = &call.api.gate.identities.verifiers().links.keys;
    let key = keys.first().ok_or_else(|| ApiError::internal(&"no signing key"))?;
    Ok(share_token::sign(&asked.claims, key).map_err(crate::share::BadRequest::from)?)
}

fn answer(asked: &Asked, handed_out: HandedOut) -> Value {
    let HandedOut { token, url, short_url, .. } = handed_out;
    let mut answer = json!({"Token": token, "Url": url});
    if let Some(members) = answer.as_object_mut() {
        if short_url.is_some() || asked.claims.link_type == LinkType::Inbox {
            members.insert("ID".to_owned(), json!(asked.id));
        }
        if let Some(short_url) = short_url {
            members.insert("ShortUrl".to_owned(), json!(short_url));
        }
        if let Some(pin) = &asked.pin {
            members.insert("Pin".to_owned(), json!(pin.expose()));
        }
    }
    answer
}

/// Why a link to OHIF that asks for something is not made.
const OUT_OF_REACH: &str = "OHIF (Authorization.Shares.PublicOhifRoot) is on another origin than \
    Authorization.Shares.PublicOrthancRoot, so a link that asks for something (Pin, MaxOpenings, Recipient) would not open \
    there: add its origin to Authorization.Shares.ViewerOrigins, or serve it below the same origin";

/// Whoever may share something is told which types there are; nobody else learns more than before.
fn unknown_type(call: &Call<'_>, name: &str) -> ApiError {
    let may_share = |identity: &Identity| {
        let needed = LinkType::ALL.iter().flat_map(|link_type| link_type.permissions());
        !identity.is_stranger() && needed.into_iter().any(|permission| identity.rights.holds(permission))
    };
    if !call.verified.iter().any(|identity| may_share(identity)) {
        return call.refuse(format_args!("there is no link of type {name:?}"));
    }
    let known: Vec<&str> = LinkType::ALL.iter().map(|link_type| link_type.as_str()).collect();
    let name = crate::log_text::shorten(name);
    // The status is what clients of the old service expect.
    call.refuse(format_args!("there is no link of type {name:?}; these are known: {}", known.join(", ")))
}

/// Nothing can be given away that the giver does not have.
fn check_gifts(call: &Call<'_>, maker: &Identity, request: &LinkRequest) -> Result<(), ApiError> {
    if request.annotate && !decision::ANNOTATING.iter().any(|permission| maker.rights.holds(permission)) {
        return Err(call.refuse("links that annotate are made by those who may upload"));
    }
    let verifiers = call.api.gate.identities.verifiers();
    match request.labels.iter().find(|label| !verifiers.may_label(&maker.rights, label)) {
        Some(label) => Err(call.refuse(format_args!("the label {label:?} is not yours to give"))),
        None => Ok(()),
    }
}

/// What the site says of the links of whoever makes one: by the roles of the person, whatever an API key leaves of
/// them.
pub(super) fn defaults(call: &Call<'_>, maker: &Identity) -> Result<Defaults, ApiError> {
    let configured = &call.api.shares.defaults;
    if configured.is_empty() {
        return Ok(Defaults::default());
    }
    let verifiers = call.api.gate.identities.verifiers();
    let person = maker.person.as_ref().map(|person| verifiers.maker_roles(person, call.now));
    let persons = person.transpose().map_err(|error| ApiError::internal(&error))?.flatten().unwrap_or_default();
    Ok(Defaults::of(configured, maker.roles.iter().chain(&persons).map(String::as_str)))
}

/// The conditions that a link is made with, and the PIN that was made up for it: shown once.
fn options(
    call: &Call<'_>,
    maker: &Identity,
    request: &LinkRequest,
) -> Result<(LinkOptions, Option<Secret>), ApiError> {
    let (typed, made_up) = match &request.pin {
        None | Some(Pin::None) => (None, None),
        Some(Pin::Given(pin)) => (Some(pin.clone()), None),
        Some(Pin::Generated) => {
            let pin = Secret::new(format!("{:06}", u32::from_be_bytes(random::<4>()?) % 1_000_000));
            (Some(pin.clone()), Some(pin))
        }
    };
    let pins = &call.api.gate.identities.verifiers().links.pins;
    let pin_hash = typed.map(|pin| pins.hash(pin.expose())).transpose().map_err(|error| match error {
        LocalUsersError::Busy => ApiError::new(503, "too many passwords and PINs at once, try again in a moment"),
        error => ApiError::internal(&error),
    })?;
    let recipient = match &request.recipient {
        None => None,
        Some(name) => Some(super::sessions::person_called(call, name)?.into()),
    };
    let options = LinkOptions {
        signed_by: call.api.gate.identities.verifiers().links.signs_with().cloned(),
        api_key: maker.id.clone().filter(|_| maker.kind == IdentityKind::ApiKey),
        pin_hash,
        max_openings: request.max_openings,
        recipient,
        no_download: request.download == Some(false),
        annotate: request.annotate,
        labels: request.labels.clone(),
        max_instances: request.max_instances,
        max_bytes: request.max_bytes,
        username: request.username.clone(),
        unreadable: false,
    };
    Ok((options, made_up))
}

/// Which resource of a request is unknown, and how it was named.
fn unknown_resource(at: usize, resource: &ShareResource) -> String {
    let name = resource.orthanc_id.as_deref().or(resource.dicom_uid.as_deref()).unwrap_or_default();
    format!("Resources[{at}]: there is no {} {name}", resource.level.singular())
}

type LocatedResources = Vec<(ShareResource, Located)>;

/// All resources, looked up; each with every study that carries its identifiers. `None` when there are none to look up.
fn locate_all(call: &Call<'_>, request: &LinkRequest) -> Result<Option<Result<LocatedResources, String>>, ApiError> {
    if request.resources.is_empty() {
        return Ok(None);
    }
    let mut found = Vec::new();
    for (at, resource) in request.resources.iter().enumerate() {
        match locate(call, resource) {
            Ok(located) => found.extend(located.into_iter().map(|located| (resource.clone(), located))),
            Err(ResourceError::Unknown) => return Ok(Some(Err(unknown_resource(at, resource)))),
            Err(ResourceError::Host(trouble)) => return Err(ApiError::internal(&trouble)),
        }
    }
    Ok(Some(Ok(found)))
}

/// A resource by all identifiers that it is named by: they must agree.
fn locate(call: &Call<'_>, resource: &ShareResource) -> Result<Vec<Located>, ResourceError> {
    let resources = &call.api.gate.resources;
    match (&resource.orthanc_id, &resource.dicom_uid) {
        (Some(id), uid) => {
            let located = resources.locate(&Named::Orthanc(resource.level, id.as_str().into()))?;
            let agrees = |located: &Located| uid.as_deref().is_none_or(|uid| own_ids(resource.level, located).1 == uid);
            if located.iter().all(agrees) { Ok(located) } else { Err(ResourceError::Unknown) }
        }
        (None, Some(uid)) => resources.locate(&Named::Uid(resource.level, uid.as_str().into())),
        (None, None) => Err(ResourceError::Unknown),
    }
}

/// Orthanc identifier and UID of the resource itself.
fn own_ids(level: Level, located: &Located) -> (&str, &str) {
    let node = match level {
        Level::Series => located.series.as_ref(),
        Level::Instance => located.instance.as_ref(),
        Level::Patient | Level::Study => None,
    };
    node.map_or((&located.study.id, &located.study.uid), |node| (&node.id, &node.uid))
}

/// The resource as the token names it: by both identifiers, so that it stays this one.
fn precise(asked: &ShareResource, located: &Located) -> ShareResource {
    let (id, uid) = own_ids(asked.level, located);
    ShareResource {
        level: asked.level,
        orthanc_id: Some(id.to_owned()),
        dicom_uid: (!uid.is_empty()).then(|| uid.to_owned()),
        url: asked.url.clone(),
    }
}

/// The first identity that may make this link: it passes the site's rule, holds a permission of the type, and sees every
/// resource by itself.
fn maker<'a>(
    call: &'a Call<'_>,
    link_type: LinkType,
    found: Option<&Result<LocatedResources, String>>,
) -> Result<&'a Arc<Identity>, ApiError> {
    let may = |identity: &Identity| {
        let holder = identity.holder();
        // The rule is the site's; what the type needs at least is ours, for it is asked again at each use.
        if !link_type.permissions().iter().any(|permission| identity.rights.holds(permission)) {
            return Err(Refusal::MissingPermission);
        }
        match (identity.kind, found) {
            // Neither the holder of a link, who is a stranger, nor a stranger without one gives anything on.
            (IdentityKind::Link, _) => Err(Refusal::LinkOnlyReads),
            (IdentityKind::Anonymous, _) => Err(Refusal::MissingPermission),
            (_, Some(Ok(located))) => {
                located.iter().try_for_each(|(_, located)| decision::allow(&holder, &facts(located)))
            }
            (_, Some(Err(_))) if !decision::is_unlimited(&holder) => Err(Refusal::UnknownResource),
            _ => Ok(()),
        }
    };
    call.first_who(may).map_err(|refusal| {
        let error = call.refuse(refusal);
        // To somebody limited, what is unknown and what is forbidden are the same: the log alone tells them apart.
        let is_of_a_resource =
            matches!(refusal, Refusal::UnknownResource | Refusal::ForeignStudy | Refusal::OutsideLink);
        if is_of_a_resource { ApiError::forbidden("one of the resources is not yours to share") } else { error }
    })
}

/// What a new link's record holds beyond its maker.
pub(super) struct NewLink<'a> {
    pub(super) id: &'a str,
    pub(super) link_type: LinkType,
    pub(super) resources: &'a [ShareResource],
    pub(super) not_before: Option<UnixTime>,
    pub(super) expires_at: Option<UnixTime>,
    pub(super) options: &'a LinkOptions,
    pub(super) code: Option<&'a str>,
    pub(super) token: Option<&'a str>,
}

pub(super) fn record(call: &Call<'_>, maker: &Identity, link: &NewLink<'_>) -> Result<(), ApiError> {
    let NewLink { id, link_type, resources, not_before, expires_at, options, code, token } = *link;
    let verifiers = call.api.gate.identities.verifiers();
    let owner = maker.person.clone().ok_or_else(|| ApiError::internal(&"the maker of a link is nobody"))?;
    super::keys::remember(call, maker)?;
    let index = call.api.index.named();
    let index_change = index.as_ref().map_or(Ok(0), |_| call.api.index.last_change());
    let index_change = index_change.map_err(|error| ApiError::internal(&error))?;
    let is_closed = |id: &String| verifiers.unwritten.closes(id, index.as_deref());
    if resources.iter().filter_map(|resource| resource.orthanc_id.as_ref()).any(is_closed) {
        let why = "older links to it could not be ended yet, and this one would end with them: try again in a minute";
        return Err(ApiError::new(503, why));
    }
    let ids = resources.iter().flat_map(|resource| resource.orthanc_id.iter().chain(&resource.dicom_uid)).cloned();
    verifiers.store.insert_share(&ShareRecord {
        id: id.to_owned(),
        kind: link_type.as_str().to_owned(),
        resources_json: ShareResource::write_all(resources),
        resource_ids: ids.collect(),
        deleted: Vec::new(),
        index: index.as_deref().map(str::to_owned),
        index_change,
        owner,
        owner_name: maker.name.clone(),
        created_at: call.now,
        not_before,
        expires_at,
        options_json: serde_json::to_string(options).map_err(|error| ApiError::internal(&error))?,
        code_hash: code.map(code::hash),
        token_hash: token.map(sha256),
        openings: 0,
        revoked_at: None,
        uses: 0,
        last_use: None,
    })?;
    if !call.is_still(maker)? {
        verifiers.store.revoke_share(id, None, call.now)?;
        return Err(call.refuse("all that you had was ended meanwhile, or your credential was"));
    }
    Ok(())
}

/// Whether a link opens anything today, or takes anything in.
pub(super) fn opens_anything(call: &Call<'_>, record: &ShareRecord, identity: &Identity) -> bool {
    if record.kind == LinkType::Inbox.as_str() {
        return identity.link.as_ref().is_some_and(LinkScope::maker_may);
    }
    let resources = ShareResource::read_all(&record.resources_json).unwrap_or_default();
    !studies_today(call, &resources, identity).is_empty()
}

/// The studies that a link opens today: what is not there any more, or not its maker's to show, is left out.
pub(super) fn studies_today(call: &Call<'_>, resources: &[ShareResource], identity: &Identity) -> Vec<ViewerStudy> {
    let mut located = Vec::new();
    for resource in resources {
        for found in locate(call, resource).unwrap_or_default() {
            if decision::allow(&identity.holder(), &facts(&found)).is_ok() {
                located.push(found);
            }
        }
    }
    viewer_studies(located.iter())
}

fn viewer_studies<'a>(located: impl Iterator<Item = &'a Located>) -> Vec<ViewerStudy> {
    let mut studies: Vec<ViewerStudy> = Vec::new();
    for located in located {
        let study = ViewerStudy { orthanc_id: located.study.id.to_string(), dicom_uid: located.study.uid.to_string() };
        if !studies.contains(&study) {
            studies.push(study);
        }
    }
    studies
}

/// A token of MedDream's own for these studies.
fn meddream_token(call: &Call<'_>, studies: &[ViewerStudy]) -> Result<String, String> {
    let meddream = call.api.meddream.as_ref().ok_or("MedDream is not configured")?;
    let token = meddream.token(studies.iter().map(|study| study.dicom_uid.as_str()));
    token.map_err(|error| error.to_string())
}
