//! `POST /auth/tokens/decode`: a share link read, for the landing page and the inbox page.

use super::super::{Answer, Call, ok};
use super::{meddream_token, studies_today};
use crate::identity::{Identity, Rejection};
use crate::resource::Level;
use crate::share::code;
use crate::share::decode::{self, DecodeOutcome};
use crate::share::kind::LinkType;
use crate::share::token::ShareClaims;
use crate::share::viewer;

/// `POST /auth/tokens/decode`: always 200 for a body that can be read.
pub fn answer(call: &Call<'_>) -> Answer {
    let outcome = match decode::token_value(call.rest.body)? {
        Some(token) => outcome(call, token.expose()),
        None => DecodeOutcome::Invalid,
    };
    Ok(ok(&decode::answer(&outcome)))
}

fn outcome(call: &Call<'_>, token: &str) -> DecodeOutcome {
    let verifiers = call.api.gate.identities.verifiers();
    if code::is_well_formed(token) {
        return by_code(call, token);
    }
    let Ok(claims) = verifiers.link_claims(token) else { return DecodeOutcome::Invalid };
    match verifiers.link(&claims, call.now) {
        Ok(identity) => opened(call, &claims, &identity, token),
        Err(Rejection::Expired) => DecodeOutcome::Expired(claims.link_type),
        Err(rejection) => {
            log::info!("a link of type {} was decoded as invalid: {rejection}", claims.link_type.as_str());
            DecodeOutcome::Invalid
        }
    }
}

/// A code says where to open the link, and nothing of what is in it: something may still be asked for.
fn by_code(call: &Call<'_>, token: &str) -> DecodeOutcome {
    let verifiers = call.api.gate.identities.verifiers();
    let record = match verifiers.share_by_code(&code::hash(token)) {
        Ok(Some(record)) => record,
        Ok(None) => return DecodeOutcome::Invalid,
        Err(error) => {
            log::error!("a link could not be read: {error}");
            return DecodeOutcome::Invalid;
        }
    };
    let Some(link_type) = LinkType::parse(&record.kind) else { return DecodeOutcome::Invalid };
    match verifiers.link_of_record(record, call.now) {
        Ok(_) => DecodeOutcome::Valid {
            link_type,
            studies: Vec::new(),
            redirect_url: viewer::short_url(&call.api.shares, token),
        },
        Err(Rejection::Expired) => DecodeOutcome::Expired(link_type),
        Err(_) => DecodeOutcome::Invalid,
    }
}

/// Whether nothing more may come in by a link.
fn is_used_up(call: &Call<'_>, identity: &Identity) -> bool {
    let uploads = identity.link.as_ref().and_then(|link| link.uploads.as_ref());
    let (Some(uploads), Some(id)) = (uploads, identity.id.as_deref()) else { return false };
    let used = call.api.gate.identities.verifiers().store.uploaded(id).unwrap_or_default();
    uploads.most_instances.is_some_and(|most| used.instances >= most)
        || uploads.most_bytes.is_some_and(|most| used.bytes >= most)
}

/// The short form of a link that has one.
fn short_form(call: &Call<'_>, claims: &ShareClaims) -> Option<String> {
    let verifiers = call.api.gate.identities.verifiers();
    let code = verifiers.links.codes.of(&claims.registered.as_ref()?.jti);
    let record = verifiers.store.share_by_code(&code::hash(&code)).ok()?;
    record.and_then(|_| viewer::short_url(&call.api.shares, &code))
}

fn opened(call: &Call<'_>, claims: &ShareClaims, identity: &Identity, token: &str) -> DecodeOutcome {
    if identity.link.as_ref().is_some_and(|link| !link.maker_may()) {
        log::info!("a link of type {} is not opened: its maker may not make one any more", claims.link_type);
        return DecodeOutcome::Unknown(claims.link_type);
    }
    // The inbox page then offers no upload.
    if claims.link_type == LinkType::Inbox && is_used_up(call, identity) {
        return DecodeOutcome::Expired(claims.link_type);
    }
    // An old link: none is made any more.
    if !claims.link_type.opens_parts() && claims.resources.iter().any(|resource| resource.level != Level::Study) {
        log::info!("a link of type {} to a part of a study is not opened", claims.link_type);
        return DecodeOutcome::Unknown(claims.link_type);
    }
    let studies = studies_today(call, &claims.resources, identity);
    if studies.is_empty() && claims.link_type != LinkType::Inbox {
        return DecodeOutcome::Unknown(claims.link_type);
    }
    let meddreams;
    let token = if claims.link_type == LinkType::MedDream {
        // Asked for each time: it lasts minutes. Ours is none of MedDream's business.
        match meddream_token(call, &studies) {
            Ok(token) => meddreams = viewer::encoded(&token),
            Err(error) => {
                log::warn!("a link cannot be opened: {error}");
                return DecodeOutcome::Unknown(claims.link_type);
            }
        }
        &meddreams
    } else {
        token
    };
    // A link of ours is opened by its short form where that keeps the token out of the viewer's URL.
    if viewer::is_launched(claims.link_type, &call.api.shares)
        && let Some(redirect_url) = short_form(call, claims)
    {
        return DecodeOutcome::Valid { link_type: claims.link_type, studies, redirect_url: Some(redirect_url) };
    }
    match viewer::viewer_url(claims.link_type, &call.api.shares, &studies, token) {
        Ok(redirect_url) => DecodeOutcome::Valid { link_type: claims.link_type, studies, redirect_url },
        Err(missing) => {
            log::warn!("a link cannot be opened: {missing}");
            DecodeOutcome::Unknown(claims.link_type)
        }
    }
}
