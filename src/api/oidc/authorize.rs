//! `GET /auth/oidc/authorize`: a code for a viewer, for whoever has opened a link in this browser or is logged in here.

use std::sync::Arc;

use super::super::tokens::{self, NewLink};
use super::super::{Answer, ApiError, Call, links};
use super::Desk;
use crate::bytes::{hex, random};
use crate::credential::{Credential, Kind, Source};
use crate::identity::{Identity, IdentityKind, OpenedLink};
use crate::launch::{self, Authorization, AuthorizeFault, CODE_LIFE, Hint};
use crate::log_text::shorten;
use crate::login::{LINKS, ReturnPath};
use crate::pages::{self, Language, Page, Text};
use crate::pieces::facts;
use crate::policy::decision;
use crate::request::Reply;
use crate::resource::{Level, Named};
use crate::share::ShareResource;
use crate::share::kind::LinkType;
use crate::share::limits::LinkOptions;
use crate::store::{LaunchRecord, ShareFilter, StoreError};

/// So many links to one study are looked through for one that was made for a launch before.
const LOOKED_THROUGH: u32 = 100;

/// Why nobody gets a code.
enum Nobody {
    /// Nobody has opened a link, or is logged in.
    Unknown,
    /// Somebody is logged in, and may not see it.
    Refused(&'static str),
}

/// Sends the browser back to the viewer, with a code or an error; or shows a page.
pub fn authorize(call: &Call<'_>) -> Answer {
    let desk = Desk::of(call)?;
    let request = &call.rest.request;
    let arguments: Vec<(&str, String)> =
        request.arguments.iter().map(|(name, value)| (*name, call.argument(value))).collect();
    let asked = match Authorization::parse(&arguments, desk.viewers) {
        Ok(asked) => asked,
        Err(AuthorizeFault::Stranger) => {
            log::info!(
                "an authorization was asked for by a client or for an address that is not registered (Authorization.Shares.ViewerOrigins, ViewerRedirectUris): client_id {:?}, redirect_uri {:?}",
                argument_in_the_log(&arguments, "client_id"),
                argument_in_the_log(&arguments, "redirect_uri")
            );
            return Ok(sorry(call, Text::ViewerUnknown));
        }
        Err(AuthorizeFault::Told { back, code, description }) => {
            log::info!("an authorization was refused: {code}: {description}");
            return Ok(pages::redirect(back.with_error(code, description, &desk.issuer), Vec::new()));
        }
    };
    let error = |code: &str, description: &str| {
        log::info!("an authorization for {} was refused: {code}: {description}", asked.client);
        Ok(pages::redirect(asked.back.with_error(code, description, &desk.issuer), Vec::new()))
    };
    let opened = match opened_link(call, &asked.hint) {
        Some(opened) => Ok(opened),
        None => by_session(call, &asked.hint)?,
    };
    match opened {
        Ok(opened) => match code(&desk, &asked, opened) {
            Ok(reply) => Ok(reply),
            Err(Failure::Store(StoreError::RolledBack { .. })) => {
                error("temporarily_unavailable", "nothing is given out until a restored backup is acknowledged")
            }
            Err(Failure::Store(other)) => Err(other.into()),
            Err(Failure::Api(other)) => Err(other),
        },
        Err(Nobody::Refused(why)) => error("access_denied", why),
        Err(Nobody::Unknown) if asked.silent => error("login_required", "no link is open in this browser"),
        Err(Nobody::Unknown) if call.api.login.is_some() && matches!(asked.hint, Hint::Studies(_)) => {
            let back = ReturnPath::of(request, call.api.decodes_arguments);
            Ok(pages::redirect(format!("../login?return={}", back.encoded()), Vec::new()))
        }
        Err(Nobody::Unknown) => Ok(sorry(call, Text::LinkToOpenAgain)),
    }
}

/// An argument for the log: no query, which may hold anything, and nothing that could be a password.
fn argument_in_the_log(arguments: &[(&str, String)], name: &str) -> String {
    let value = arguments.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value);
    let value = value.split(['?', '#']).next().unwrap_or_default();
    let value = if value.contains('@') { "(with a user name)" } else { value };
    shorten(value)
}

enum Failure {
    Store(StoreError),
    Api(ApiError),
}

impl<T: Into<ApiError>> From<T> for Failure {
    fn from(error: T) -> Self {
        Self::Api(error.into())
    }
}

/// Gives out a code.
fn code(desk: &Desk<'_>, asked: &Authorization, opened: OpenedLink) -> Result<Reply, Failure> {
    let call = desk.call;
    let code = launch::new_secret()?;
    let launch = LaunchRecord {
        id: hex(&random::<16>()?),
        link: opened.link,
        client: asked.client.clone(),
        redirect_uri: asked.back.redirect_uri.clone(),
        challenge: asked.challenge.clone(),
        nonce: asked.nonce.clone(),
        opened_at: opened.at,
        session: opened.session,
        until: opened.until,
        code_hash: launch::hash(code.expose()),
        code_until: call.now.plus(CODE_LIFE).min(opened.until),
        refresh_hash: None,
        revoked_at: None,
    };
    let verifiers = call.api.gate.identities.verifiers();
    if verifiers.store.insert_launch(&launch, call.now).map_err(Failure::Store)? {
        // The one that made room ended: its token is not to count any longer.
        call.api.gate.identities.forget();
    }
    log::info!("the viewer {} is launched for the link {} from {}", asked.client, launch.link, shorten(&call.remote));
    Ok(pages::redirect(asked.back.with_code(code.expose(), &desk.issuer), Vec::new()))
}

/// What this browser holds of the link that the hint means, the one opened last first; by cookies that count here.
fn opened_link(call: &Call<'_>, hint: &Hint) -> Option<OpenedLink> {
    let request = &call.rest.request;
    let gate = &call.api.gate;
    let row = gate.routes.find(request.method, request.path);
    if !call.direct || !gate.cookie_counts(request, &row) {
        return None;
    }
    links::shown(call).into_iter().rev().find_map(|text| {
        let credential = Credential { source: Source::Cookie, kind: Kind::Opened, text };
        let identity = gate.identities.verify(&credential, &call.remote, call.now).ok()?;
        let opened = gate.identities.verifiers().read_opened(text).ok()?;
        let end = identity.expires_at.unwrap_or(opened.until);
        is_meant(call, hint, &identity).then_some(OpenedLink { until: end.min(opened.until), ..opened })
    })
}

fn is_meant(call: &Call<'_>, hint: &Hint, identity: &Identity) -> bool {
    let reads = identity.rights.holds("view");
    reads
        && match hint {
            Hint::None => true,
            Hint::Link(id) => identity.id.as_ref() == Some(id),
            Hint::Studies(uids) => {
                let record = identity.id.as_deref().map(|id| call.api.gate.identities.verifiers().store.share(id));
                let Some(Ok(Some(record))) = record else { return false };
                let resources = ShareResource::read_all(&record.resources_json).unwrap_or_default();
                let studies = tokens::studies_today(call, &resources, identity);
                uids.iter().all(|uid| studies.iter().any(|study| study.dicom_uid == *uid))
            }
        }
}

/// For somebody who is logged in: a link of their own to the studies that the viewer names, for this session alone.
fn by_session(call: &Call<'_>, hint: &Hint) -> Result<Result<OpenedLink, Nobody>, ApiError> {
    let session = call.verified.iter().find(|identity| identity.kind == IdentityKind::Session && call.direct);
    let Some(identity) = session else { return Ok(Err(Nobody::Unknown)) };
    let Hint::Studies(uids) = hint else {
        return Ok(Err(Nobody::Refused("login_hint must name the studies, by StudyInstanceUIDs with commas")));
    };
    let (Some(person), Some(session)) = (identity.person.clone(), identity.id.clone()) else {
        return Ok(Err(Nobody::Unknown));
    };
    let Some(resources) = allowed_studies(call, identity, uids) else {
        // The same for what is unknown and what is forbidden.
        return Ok(Err(Nobody::Refused("these studies are not yours to open")));
    };
    let longest =
        call.api.shares.max_validity.map_or(i64::MAX, |most| i64::try_from(most.as_secs()).unwrap_or(i64::MAX));
    let latest = call.now.plus(LINKS.min(longest));
    let (download, until) = tokens::defaults(call, identity)?.of_launch(latest, call.now);
    let recipient = Some(person.clone().into());
    let verifiers = call.api.gate.identities.verifiers();
    let signed_by = verifiers.links.signs_with().cloned();
    let options = LinkOptions { recipient, no_download: !download, signed_by, ..LinkOptions::default() };
    let link_type = LinkType::ViewerInstant;
    // What was made before everything of theirs was ended opens nothing any more.
    let ended = verifiers.store.not_before(&person)?;
    let filter = ShareFilter {
        owner: Some(person),
        resource: uids.first().cloned(),
        limit: Some(LOOKED_THROUGH),
        ..ShareFilter::default()
    };
    let known = verifiers.store.shares(&filter)?.into_iter().find(|record| {
        record.kind == link_type.as_str()
            && record.revoked_at.is_none()
            && record.deleted.is_empty()
            && ended.is_none_or(|ended| record.created_at > ended)
            // Not one that is half over, nor one from before something was enforced.
            && record.expires_at.is_some_and(|end| end <= until && end.0 - call.now.0 > (until.0 - call.now.0) / 2)
            && LinkOptions::read(&record.options_json) == options
            && ShareResource::read_all(&record.resources_json).as_ref() == Some(&resources)
    });
    let link = match known {
        Some(record) => record.id,
        None => {
            let id = hex(&random::<16>()?);
            tokens::record(
                call,
                identity,
                &NewLink {
                    id: &id,
                    link_type,
                    resources: &resources,
                    not_before: None,
                    expires_at: Some(until),
                    options: &options,
                    code: None,
                    token: None,
                },
            )?;
            id
        }
    };
    Ok(Ok(OpenedLink { link, at: call.now, until, session: Some(session) }))
}

/// The studies with these UIDs, if somebody may see all of them and give them to a viewer.
fn allowed_studies(call: &Call<'_>, identity: &Arc<Identity>, uids: &[String]) -> Option<Vec<ShareResource>> {
    let holder = identity.holder();
    let gives = LinkType::ViewerInstant.permissions().iter().any(|permission| identity.rights.holds(permission));
    let mut resources = Vec::new();
    for uid in uids {
        let located = call.api.gate.resources.locate(&Named::Uid(Level::Study, uid.as_str().into())).ok()?;
        for found in &located {
            decision::allow(&holder, &facts(found)).ok()?;
            resources.push(ShareResource {
                level: Level::Study,
                orthanc_id: Some(found.study.id.to_string()),
                dicom_uid: Some(uid.clone()),
                url: None,
            });
        }
    }
    (gives && !resources.is_empty()).then_some(resources)
}

fn sorry(call: &Call<'_>, problem: Text) -> Reply {
    let language = Language::asked_for(call.rest.request.header("accept-language"));
    let mut page = Page::new(language, &call.api.front.site, Text::ViewerRefused.in_language(language));
    page.problem = Some(problem.in_language(language));
    page.reply(&[])
}
