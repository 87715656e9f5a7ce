//! `/auth/emails/…`: templates, and mails with share links. Requests and answers are orthanc-auth-service's, for
//! Orthanc Explorer 2, which hands on what its users write with a credential of its own.
//!
//! A mail leads to links that were made here, and to the pages that the site's templates name: nowhere else.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::tokens::studies_today;
use super::{Answer, ApiError, Call, ok};
use crate::bytes::{hex, random};
use crate::identity::{Identity, IdentityKind, Rejection};
use crate::json::Unique;
use crate::log_text::shorten;
use crate::mail::template::{self, TemplateError};
use crate::mail::{self, Letter, Mail, address, html};
use crate::pages;
use crate::person::Person;
use crate::request::Reply;
use crate::share::kind::LinkType;
use crate::share::limits::LinkOptions;
use crate::share::token::ShareClaims;
use crate::share::{code, viewer};
use crate::store::ShareRecord;

/// Longer bodies are refused, in bytes.
const LONGEST_BODY: usize = 2 * html::LONGEST;
/// More links than this are in no mail.
const MOST_LINKS: usize = 50;

/// Who sends.
enum Sender<'a> {
    /// The configured service: on behalf of others, who are not known here.
    Service(&'a Arc<Identity>),
    /// Somebody who may share, and an API key of theirs.
    Person(&'a Arc<Identity>),
}

impl Sender<'_> {
    fn name(&self) -> &str {
        match self {
            Self::Service(identity) | Self::Person(identity) => &identity.name,
        }
    }

    /// Whether they may send this link: their own, or any for the service.
    fn may_send(&self, share: &ShareRecord) -> bool {
        match self {
            Self::Service(_) => true,
            Self::Person(identity) => {
                let key = LinkOptions::read(&share.options_json).api_key;
                let by_key = identity.kind != IdentityKind::ApiKey || (key.is_some() && key == identity.id);
                identity.person.as_ref() == Some(&share.owner) && by_key
            }
        }
    }
}

/// `GET /auth/emails/templates`: names, sorted.
pub fn templates(call: &Call<'_>) -> Answer {
    let mail = mail_of(call)?;
    sender(call, mail)?;
    Ok(ok(&json!(mail.templates.names())))
}

/// `GET /auth/emails/templates/{name}`: the text as it is.
pub fn template(call: &Call<'_>, name: &str) -> Answer {
    let mail = mail_of(call)?;
    sender(call, mail)?;
    let text = mail.templates.read(name).map_err(|error| match error {
        TemplateError::Name | TemplateError::Unknown => ApiError::new(404, error.to_string()),
        TemplateError::Text { .. } | TemplateError::Unreadable { .. } => ApiError::internal(&error),
    })?;
    let mut headers = pages::private_headers();
    // For an editor, not for a browser: nothing in it runs, should somebody open it as a page.
    headers.push(("Content-Security-Policy", "default-src 'none'; sandbox".to_owned()));
    Ok(Reply::Answer { status: 200, content_type: "text/html; charset=utf-8", headers, body: text.into_bytes() })
}

/// `POST /auth/emails/send`: 200 when the mail server has taken the mail. Else 400 (503 for too many, as the server
/// knows no 429), in the shape that Orthanc Explorer 2 shows: `{"success": false, "details": …}`.
pub fn send(call: &Call<'_>) -> Answer {
    let mail = mail_of(call)?;
    // Asked before the body is read: a stranger learns nothing from it.
    let sender = sender(call, mail)?;
    match deliver(call, mail, &sender) {
        Ok(()) => Ok(ok(&json!({"success": true, "details": null}))),
        Err(NotSent { status, details }) => {
            // The reason may have an address in it, or what was written: it is for whoever wrote it.
            log::info!("no mail was sent for {:?}: refused with {status}", shorten(sender.name()));
            let body = json!({"success": false, "details": details}).to_string().into_bytes();
            Ok(Reply::Answer { status, content_type: "application/json", headers: Vec::new(), body })
        }
    }
}

fn mail_of<'a>(call: &Call<'a>) -> Result<&'a Mail, ApiError> {
    let mail = call.api.mail.as_deref();
    mail.ok_or_else(|| ApiError::new(404, "no mails are sent here: Authorization.Emails is not configured"))
}

/// The first identity that may send: the service, or a person or key with the permission to share.
fn sender<'a>(call: &'a Call<'_>, mail: &Mail) -> Result<Sender<'a>, ApiError> {
    let in_force = |identity: &Identity| identity.expires_at.is_none_or(|end| call.now < end);
    for identity in call.verified.iter().filter(|identity| in_force(identity)) {
        let is_service = identity.kind == IdentityKind::Local
            && mail.service_user.as_deref().is_some_and(|user| identity.person == Some(Person::local(user)));
        if is_service {
            return Ok(Sender::Service(identity));
        }
        let is_known = identity.is_person() || identity.kind == IdentityKind::ApiKey;
        let shares = LinkType::Stone.permissions().iter().any(|permission| identity.rights.holds(permission));
        if is_known && shares {
            return Ok(Sender::Person(identity));
        }
    }
    Err(call.refuse("mails are for people who may share, and for the configured service"))
}

/// Why a mail was not sent. For whoever wrote it.
struct NotSent {
    status: u16,
    details: String,
}

fn refused(details: impl std::fmt::Display) -> NotSent {
    NotSent { status: 400, details: details.to_string() }
}

fn deliver(call: &Call<'_>, mail: &Mail, sender: &Sender<'_>) -> Result<(), NotSent> {
    let request = SendRequest::read(call.rest.body).map_err(refused)?;
    let to = address::read(&request.destination).map_err(refused)?;
    let title = mail::title(&request.title).map_err(refused)?;
    let written = html::clean(&request.content);
    let links = links(call, mail, sender, &title, &written)?;
    let page = match &request.layout {
        None => {
            format!("<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"></head><body>{}</body></html>", written.html)
        }
        Some(name) => {
            let layout = mail.templates.read(name).map_err(|error| {
                log::warn!("a mail's layout cannot be used: {error}");
                refused(error)
            })?;
            template::fill(&layout, &title, &written.html).ok_or_else(|| {
                refused(format_args!("the template {name:?} has no {{email-content}}: it is no layout"))
            })?
        }
    };
    let recipients = u32::try_from(to.len()).unwrap_or(u32::MAX);
    // For the service it is the maker of the links who sends.
    let makers: BTreeSet<Person> = links.iter().map(|link| link.owner.clone()).collect();
    mail.rates
        .take(makers, recipients, call.now)
        .map_err(|error| NotSent { status: 503, details: error.to_string() })?;
    let id = random::<16>().map_err(refused)?;
    let domains: BTreeSet<&str> = to.iter().map(lettre::Address::domain).collect();
    let line = format!(
        "{recipients} recipients ({}), with the links {}, for {:?}",
        domains.into_iter().collect::<Vec<_>>().join(", "),
        links.iter().map(|link| link.id.as_str()).collect::<Vec<_>>().join(", "),
        shorten(sender.name()),
    );
    let text = if request.layout.is_some() { html::clean(&page).text } else { written.text };
    let letter = Letter { to, title, html: page, text, date: call.now, id: hex(&id) };
    mail.send(letter).map_err(|error| {
        log::warn!("a mail was not sent to {line}: {error}");
        refused(error)
    })?;
    log::warn!("a mail was sent to {line}");
    Ok(())
}

/// What is asked for, with the names of the old service. What it does not know is passed over.
struct SendRequest {
    destination: String,
    title: String,
    content: String,
    layout: Option<String>,
}

impl SendRequest {
    fn read(body: &[u8]) -> Result<Self, String> {
        if body.len() > LONGEST_BODY {
            return Err("the mail is too long".to_owned());
        }
        let Unique(body) = crate::json::from_slice(body).map_err(|error| format!("the body is no JSON: {error}"))?;
        let body = body.as_object().ok_or("the body is not a JSON object")?;
        let text = |name: &str| match body.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(format!("{name}: a string is expected")),
        };
        let content = text("email-content")?.unwrap_or_default();
        if content.len() > html::LONGEST {
            return Err("the mail is too long".to_owned());
        }
        Ok(Self {
            destination: text("destination-email")?.unwrap_or_default(),
            title: text("email-title")?.unwrap_or_default(),
            content,
            layout: text("layout-template")?.filter(|name| !name.is_empty()),
        })
    }
}

/// The links that a mail leads to, at least one; anything else that it leads to is refused.
fn links(
    call: &Call<'_>,
    mail: &Mail,
    sender: &Sender<'_>,
    title: &str,
    written: &html::Clean,
) -> Result<Vec<ShareRecord>, NotSent> {
    let mut plain = written.addresses();
    // Layouts have the title in them, and some programs make links of it by themselves.
    plain.extend(html::addresses_in(title));
    let addresses: BTreeSet<&str> = written.links.iter().chain(&plain).map(String::as_str).collect();
    if addresses.len() > MOST_LINKS {
        return Err(refused(format_args!("the mail has more than {MOST_LINKS} addresses")));
    }
    let of_the_site = mail.templates.links();
    let mut links: Vec<ShareRecord> = Vec::new();
    for address in addresses {
        if of_the_site.contains(address) {
            continue;
        }
        let shown = || shorten(address).chars().take(60).collect::<String>();
        let found =
            share_at(call, address).map_err(|error| refused(format_args!("the links cannot be looked up: {error}")))?;
        // One answer for what is none of ours, and for what is somebody else's.
        let foreign = || {
            refused(format_args!(
                "the mail leads to {:?}…, which is no share link of yours: nothing else can be sent",
                shown()
            ))
        };
        let Found { share, more } = found.filter(|found| sender.may_send(&found.share)).ok_or_else(foreign)?;
        let verifiers = call.api.gate.identities.verifiers();
        let identity = verifiers.link_once_it_begins(share.clone(), call.now).map_err(|rejection| match rejection {
            Rejection::Expired => refused("a link in the mail has expired"),
            rejection => refused(format_args!("a link in the mail opens nothing: {rejection}")),
        })?;
        if !super::tokens::opens_anything(call, &share, &identity) {
            return Err(refused(
                "a link in the mail opens nothing: none of its studies is here and its maker's to share",
            ));
        }
        if let Some((claims, token)) = &more
            && !is_handed_out(call, claims, &identity, address, token)
        {
            return Err(foreign());
        }
        if links.iter().all(|known| known.id != share.id) {
            links.push(share);
        }
    }
    if links.is_empty() {
        return Err(refused("the mail has no share link: nothing else can be sent"));
    }
    Ok(links)
}

/// The link at an address.
struct Found<'a> {
    share: ShareRecord,
    /// What its token claims, and the token, where the address has more arguments: it must be one that is handed out.
    more: Option<(ShareClaims, &'a str)>,
}

/// The link at an address, in one of the forms in which links are handed out.
fn share_at<'a>(call: &Call<'_>, address: &'a str) -> Result<Option<Found<'a>>, Rejection> {
    let verifiers = call.api.gate.identities.verifiers();
    let shares = &call.api.shares;
    let is_plain = address.bytes().all(|byte| byte.is_ascii_graphic() && !b"\\<>\"'".contains(&byte));
    if !is_plain || address.contains('#') {
        return Ok(None);
    }
    if let Some(code) = address.rsplit('/').next().filter(|code| code::is_well_formed(code))
        && viewer::short_url(shares, code).as_deref() == Some(address)
    {
        return Ok(verifiers.store.share_by_code(&code::hash(code))?.map(|share| Found { share, more: None }));
    }
    let Some((page, query)) = address.split_once('?') else { return Ok(None) };
    if !is_below(page, shares) {
        return Ok(None);
    }
    let mut tokens = query.split('&').filter_map(|argument| argument.strip_prefix("token="));
    let is_token_alone = !query.contains('&');
    let (Some(token), None) = (tokens.next(), tokens.next()) else { return Ok(None) };
    let Ok(claims) = verifiers.link_claims(token) else { return Ok(None) };
    let Some(registered) = &claims.registered else { return Ok(None) };
    let share = verifiers.store.share(&registered.jti)?.filter(|share| share.kind == claims.link_type.as_str());
    // Viewers are told by arguments where to fetch from.
    Ok(share.map(|share| Found { share, more: (!is_token_alone).then_some((claims, token)) }))
}

/// Whether an address is one that is handed out for a link in force.
fn is_handed_out(call: &Call<'_>, claims: &ShareClaims, identity: &Identity, address: &str, token: &str) -> bool {
    let shares = &call.api.shares;
    let studies = studies_today(call, &claims.resources, identity);
    let public = viewer::public_url(claims.link_type, shares, &call.api.oe2_root, &studies, token);
    let viewers = viewer::viewer_url(claims.link_type, shares, &studies, token);
    [public, viewers].into_iter().flatten().flatten().any(|url| url == address)
}

/// Whether a page is the landing page, or below a root that links lead to.
fn is_below(page: &str, shares: &crate::config::Shares) -> bool {
    let landing = shares.public_landing_root.as_deref().and_then(|landing| landing.split('?').next());
    if landing == Some(page) {
        return true;
    }
    let roots = [&shares.public_orthanc_root, &shares.public_ohif_root, &shares.public_meddream_root];
    let climbs = |rest: &str| rest.contains("..") || rest.contains('%') || rest.contains("//");
    roots.into_iter().flatten().any(|root| {
        let root = root.trim_end_matches('/');
        page.strip_prefix(root).and_then(|rest| rest.strip_prefix('/')).is_some_and(|rest| !climbs(rest))
    })
}
