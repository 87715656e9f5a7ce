//! `/auth/links/{code}`: the short form of a link. Asks for what the link asks for, then gives the browser a cookie for
//! this link alone and sends it to the viewer, without any token.

use std::sync::Arc;

use super::tokens::studies_today;
use super::{Answer, ApiError, Call};
use crate::browser;
use crate::credential::{Credential, Kind, Source};
use crate::host::Method;
use crate::identity::local::LocalError;
use crate::identity::{Identity, IdentityKind, LinkFault, Opened, Rejection};
use crate::log_text::shorten;
use crate::login::{LINKS, ReturnPath};
use crate::pages::{self, Field, Form, Language, Link, Page, Text};
use crate::request::Reply;
use crate::share::kind::LinkType;
use crate::share::limits::LinkOptions;
use crate::share::{ShareResource, code, date, viewer};
use crate::store::ShareRecord;

/// So many links one browser may hold at once; the oldest goes first (decision 23).
const MOST_LINKS: usize = 5;

/// Longer forms are not read, in bytes.
const LONGEST_FORM: usize = 4 * 1024;

/// `GET`: at once to the viewer, or the page that asks. `POST`: what was asked for.
///
/// The order of the exits counts. Who it is for comes before all else that the link asks for: nobody else tries its PIN,
/// learns how often it was opened, or is let in by what the browser holds of somebody who was. Whoever holds it already is
/// asked for nothing, and uses no opening up. Whose form it is comes before the PIN: another site may not have wrong ones
/// counted. The opening is counted last, when nothing else can refuse.
pub fn open(call: &Call<'_>, text: &str) -> Answer {
    let verifiers = call.api.gate.identities.verifiers();
    let record = if code::is_well_formed(text) { verifiers.share_by_code(&code::hash(text))? } else { None };
    let Some(record) = record else {
        // Of the code nothing: it may be a good one with a letter too many.
        log::info!("an unknown link code was opened from {}", shorten(&call.remote));
        return Ok(sorry(call, Text::LinkUnknown));
    };
    let identity = match verifiers.link_of_record(record.clone(), call.now) {
        Ok(identity) => identity,
        Err(rejection) => return Ok(closed(call, &record, &rejection)),
    };
    let options = LinkOptions::read(&record.options_json);
    let mut session = None;
    if let Some(recipient) = &options.recipient {
        match person(call) {
            Some(person) if person.person.as_ref().is_some_and(|person| recipient.is(person)) => {
                session = person.id.clone().filter(|_| person.kind == IdentityKind::Session);
            }
            Some(person) => {
                let name = shorten(&person.name);
                not_opened(call, &record, format_args!("it is for somebody else than {name:?}, who is logged in"));
                return Ok(sorry(call, Text::LinkForSomebodyElse));
            }
            None => return Ok(to_login(call, text, &record)),
        }
    }
    // Openings are counted for people who press a button, not for programs that look into mails.
    let asks = options.pin_hash.is_some() || options.max_openings.is_some();
    // Whoever comes by the same mail again, or presses the button of a page that stayed open, is in already, and uses no
    // opening up.
    if asks && holds(call, &record) {
        let url = viewer_url(call, &record, &identity);
        return Ok(url.map_or_else(|| unavailable(call, &record), |url| pages::redirect(url, Vec::new())));
    }
    if call.rest.request.method == Method::Get {
        if options.max_openings.is_some_and(|most| record.openings >= most) {
            return Ok(used_up(call, &record, &options));
        }
        if asks {
            return Ok(ask(call, text, &options, None));
        }
    } else {
        let origin = call.api.front.address.origin();
        if !browser::is_own_form(&call.rest.request, origin.as_deref()) {
            not_opened(call, &record, browser::why_not_own_form(&call.rest.request, origin.as_deref()));
            return Ok(ask(call, text, &options, Some(Text::FromElsewhere)));
        }
        if let Some(hash) = &options.pin_hash {
            let typed = typed_pin(call)?;
            if let Err(error) = verifiers.links.pins.check(&record.id, &typed, hash, &call.remote, call.now) {
                let problem = match error {
                    LocalError::TooManyAttempts { .. } | LocalError::Busy => {
                        not_opened(call, &record, error);
                        Text::TooManyAttempts
                    }
                    LocalError::WrongPassword | LocalError::UnknownUser => {
                        not_opened(call, &record, "wrong PIN");
                        Text::WrongPin
                    }
                };
                return Ok(ask(call, text, &options, Some(problem)));
            }
        }
    }
    exchange(call, &record, &options, &identity, session.as_deref())
}

/// Counts the opening, and sends the browser on with its cookie. `session` is that of whoever the link is for.
fn exchange(
    call: &Call<'_>,
    record: &ShareRecord,
    options: &LinkOptions,
    identity: &Identity,
    session: Option<&str>,
) -> Answer {
    let verifiers = call.api.gate.identities.verifiers();
    let Some(url) = viewer_url(call, record, identity) else { return Ok(unavailable(call, record)) };
    if !verifiers.store.open_share(&record.id, options.max_openings)? {
        return Ok(used_up(call, record, options));
    }
    let until = call.now.plus(LINKS);
    let until = identity.expires_at.map_or(until, |end| end.min(until));
    let granted = verifiers.grant(&record.id, &Opened { at: call.now, until, session })?;
    let request = &call.rest.request;
    let mut opened = shown(call);
    // What does not hold any more makes room, and so does an older opening of the same link.
    opened.retain(|text| opened_here(call, text).is_some_and(|held| held.id.as_ref() != Some(&record.id)));
    let surplus = (opened.len() + 1).saturating_sub(MOST_LINKS);
    opened.drain(..surplus.min(opened.len()));
    opened.push(&granted);
    let secure = call.api.front.address.is_https(request, call.by_proxy);
    log::info!("the link {} was opened from {}", record.id, shorten(&call.remote));
    Ok(pages::redirect(url, vec![call.api.front.cookies.set_links(&opened, secure)]))
}

/// What this browser shows of links that it has opened, the newest last: no more than it was ever given. Each costs a
/// look into the state, and anybody can send more.
pub(super) fn shown<'a>(call: &Call<'a>) -> Vec<&'a str> {
    let texts: Vec<&str> = call.api.gate.places.opened_links(&call.rest.request).collect();
    last(texts)
}

fn last(mut texts: Vec<&str>) -> Vec<&str> {
    texts.split_off(texts.len().saturating_sub(MOST_LINKS))
}

/// What this browser was given when it opened a link, as long as it holds.
fn opened_here(call: &Call<'_>, text: &str) -> Option<Arc<Identity>> {
    let credential = Credential { source: Source::Cookie, kind: Kind::Opened, text };
    call.api.gate.identities.verify(&credential, &call.remote, call.now).ok()
}

/// Whether this browser has opened this link.
fn holds(call: &Call<'_>, record: &ShareRecord) -> bool {
    shown(call).into_iter().any(|text| opened_here(call, text).is_some_and(|held| held.id.as_ref() == Some(&record.id)))
}

/// The viewer with the studies that the link opens today.
fn viewer_url(call: &Call<'_>, record: &ShareRecord, identity: &Identity) -> Option<String> {
    let resources = ShareResource::read_all(&record.resources_json).unwrap_or_default();
    let studies = studies_today(call, &resources, identity);
    let link_type = LinkType::parse(&record.kind).unwrap_or(LinkType::ViewerInstant);
    viewer::viewer_url_by_cookie(link_type, &call.api.shares, &studies).unwrap_or_else(|missing| {
        log::warn!("a link cannot be opened: {missing}");
        None
    })
}

/// Who has logged in. A form of our own page is sent by navigation, for which the session's cookie does not count by
/// itself; here it does no more than say who presses the button.
fn person(call: &Call<'_>) -> Option<Arc<Identity>> {
    let known = call.verified.iter().find(|identity| identity.is_person()).cloned();
    known.or_else(|| {
        let request = &call.rest.request;
        let own = browser::is_own_form(request, call.api.front.address.origin().as_deref());
        let text = call.api.gate.places.session(request).filter(|_| own)?;
        let credential = Credential { source: Source::Cookie, kind: Kind::Session, text };
        call.api.gate.identities.verify(&credential, &call.remote, call.now).ok()
    })
}

fn to_login(call: &Call<'_>, text: &str, record: &ShareRecord) -> Reply {
    if call.api.login.is_none() {
        not_opened(call, record, "whom it is for has to log in, and nobody can here (Authorization.Login)");
        return sorry(call, Text::LinkNeedsLogin);
    }
    let back = ReturnPath::parse(&format!("/auth/links/{text}"));
    pages::redirect(format!("../login?return={}", back.encoded()), Vec::new())
}

fn typed_pin(call: &Call<'_>) -> Result<String, ApiError> {
    if call.rest.body.len() > LONGEST_FORM {
        return Err(ApiError::bad("the form is too long"));
    }
    let pin = form_urlencoded::parse(call.rest.body).find(|(name, _)| name == "pin");
    Ok(pin.map(|(_, pin)| pin.into_owned()).unwrap_or_default())
}

fn language(call: &Call<'_>) -> Language {
    Language::asked_for(call.rest.request.header("accept-language"))
}

/// The page with the button, and with the PIN where there is one.
fn ask(call: &Call<'_>, text: &str, options: &LinkOptions, problem: Option<Text>) -> Reply {
    let language = language(call);
    let mut page = Page::new(language, &call.api.front.site, Text::LinkOpen.in_language(language));
    page.problem = problem.map(|problem| problem.in_language(language));
    let mut fields = Vec::new();
    if options.pin_hash.is_some() {
        fields.push(Field {
            name: "pin",
            label: Text::Pin.in_language(language),
            kind: "password",
            autocomplete: "one-time-code",
            value: "",
            focus: true,
        });
    } else {
        page.texts.push(Text::LinkCounted.in_language(language));
    }
    page.form = Some(Form { action: text, fields, submit: Text::LinkOpen.in_language(language) });
    page.reply(&viewer_origins(call))
}

/// Where a sent form may be redirected to: the viewers.
fn viewer_origins(call: &Call<'_>) -> Vec<String> {
    let shares = &call.api.shares;
    let roots = [&shares.public_orthanc_root, &shares.public_ohif_root];
    roots.into_iter().flatten().filter_map(|root| browser::origin_of(root)).collect()
}

/// One line for whoever is asked why a link did not open.
fn not_opened(call: &Call<'_>, record: &ShareRecord, reason: impl std::fmt::Display) {
    log::info!("the link {} was not opened from {}: {reason}", record.id, shorten(&call.remote));
}

fn used_up(call: &Call<'_>, record: &ShareRecord, options: &LinkOptions) -> Reply {
    let most = options.max_openings.unwrap_or_default();
    // The record may be older than an opening of this moment.
    not_opened(call, record, format_args!("it was opened {} times, of {most}", record.openings.max(most)));
    sorry(call, Text::LinkUsedUp)
}

fn unavailable(call: &Call<'_>, record: &ShareRecord) -> Reply {
    not_opened(call, record, "none of its studies is here and its maker's to show, or its viewer is not configured");
    sorry(call, Text::LinkUnavailable)
}

/// For a link that is not in force.
fn closed(call: &Call<'_>, record: &ShareRecord, rejection: &Rejection) -> Reply {
    let problem = match rejection {
        Rejection::Link(LinkFault::NotYet { begins }) => {
            not_opened(call, record, format_args!("it is not valid before {}", date::format(*begins)));
            let language = language(call);
            let problem = Text::LinkNotYet.in_language(language).replace("{}", &date::in_words(*begins));
            return sorry_that(call, Text::LinkNotYet, language, &problem);
        }
        Rejection::Link(fault @ LinkFault::Revoked) => {
            not_opened(call, record, fault);
            return sorry(call, Text::LinkRevoked);
        }
        Rejection::Expired => Text::LinkExpired,
        _ => Text::LinkUnavailable,
    };
    not_opened(call, record, rejection);
    sorry(call, problem)
}

fn sorry(call: &Call<'_>, problem: Text) -> Reply {
    let language = language(call);
    sorry_that(call, problem, language, problem.in_language(language))
}

fn sorry_that(call: &Call<'_>, problem: Text, language: Language, sentence: &str) -> Reply {
    let mut page = Page::new(language, &call.api.front.site, Text::LinkClosed.in_language(language));
    page.problem = Some(sentence);
    if problem == Text::LinkForSomebodyElse {
        page.links.push(Link { href: "../logout", text: Text::SignOut.in_language(language) });
    }
    page.reply(&[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_more_links_than_were_ever_given_the_newest_are_looked_at() {
        assert_eq!(last(vec!["1", "2", "3", "4", "5", "6", "7"]), ["3", "4", "5", "6", "7"]);
        assert_eq!(last(vec!["1", "2"]), ["1", "2"]);
        assert!(last(Vec::new()).is_empty());
    }
}
