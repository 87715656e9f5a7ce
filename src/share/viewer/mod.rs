//! Where a link leads: one file for each viewer knows its URL. Builds texts; asks no viewer and no server.
//!
//! A link to a series or an instance opens its study in the viewer, and a viewer needs either the Orthanc identifier or
//! the UID: so the caller first looks up the studies, with both, and leaves out what the server does not know.

mod meddream;
mod ohif;
mod osimis;
mod stone;
mod volview;

use super::kind::LinkType;
use crate::browser::origin_of;
use crate::config::Shares;

/// A study that a viewer shall open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewerStudy {
    /// Orthanc identifier.
    pub orthanc_id: String,
    /// StudyInstanceUID.
    pub dicom_uid: String,
}

/// A link cannot lead anywhere, for want of a configuration key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Authorization.Shares.{key} is not configured, and {link_type} needs it")]
pub struct MissingRoot {
    /// The type of link.
    pub link_type: LinkType,
    /// The key, below `Authorization.Shares`.
    pub key: &'static str,
}

/// The URL to hand out with a new link: `None` for instant links, whose URL whoever asked builds. With a landing root,
/// publications lead there, and the landing page asks `decode` for the viewer's URL.
///
/// `oe2_root` is [`crate::config::Config::oe2_root`]. Fails also when the link would lead to the landing page and no
/// further.
pub fn public_url(
    link_type: LinkType,
    shares: &Shares,
    oe2_root: &str,
    studies: &[ViewerStudy],
    token: &str,
) -> Result<Option<String>, MissingRoot> {
    let landing = shares.public_landing_root.as_deref();
    match link_type {
        LinkType::ViewerInstant | LinkType::DownloadInstant => Ok(None),
        LinkType::MedDreamInstant => meddream::root(link_type, shares).map(|_| None),
        LinkType::Inbox => {
            let root = need(link_type, shares.public_orthanc_root.as_deref(), "PublicOrthancRoot")?;
            let page = format!("{}{}app/inbox.html", slashed(root), oe2_root.trim_start_matches('/'));
            Ok(Some(with_token(&page, token)))
        }
        LinkType::MedDream => {
            // MedDream's own token is fetched when the link is opened, so such a link cannot skip the landing page.
            meddream::root(link_type, shares)?;
            let landing = need(link_type, landing, "PublicLandingRoot")?;
            Ok(Some(with_token(landing, token)))
        }
        LinkType::Stone | LinkType::Osimis | LinkType::Ohif | LinkType::VolView => {
            let viewer = viewer_url(link_type, shares, studies, token)?;
            Ok(landing.map(|landing| with_token(landing, token)).or(viewer))
        }
    }
}

/// The URL at which a viewer opens the studies, for `decode`'s `RedirectUrl`: `None` for links that open no viewer, and
/// when there is no study to open.
///
/// `token` is the share token, except for MedDream: there it is the one that MedDream's token service gave.
pub fn viewer_url(
    link_type: LinkType,
    shares: &Shares,
    studies: &[ViewerStudy],
    token: &str,
) -> Result<Option<String>, MissingRoot> {
    let orthanc = || need(link_type, shares.public_orthanc_root.as_deref(), "PublicOrthancRoot").map(slashed);
    let url = match link_type {
        LinkType::ViewerInstant | LinkType::MedDreamInstant | LinkType::DownloadInstant | LinkType::Inbox => {
            return Ok(None);
        }
        LinkType::Stone => stone::url(&orthanc()?, studies, token),
        LinkType::Osimis => osimis::url(&orthanc()?, studies, token),
        LinkType::VolView => volview::url(&orthanc()?, studies, token),
        LinkType::Ohif => {
            let root = need(link_type, shares.public_ohif_root.as_deref(), "PublicOhifRoot")?;
            // The document of dicom-json is fetched without any credential, which works on Orthanc's own origin alone.
            ohif::url(&slashed(root), shares.ohif_dicom_json && !is_launched(link_type, shares), studies, token)
        }
        LinkType::MedDream => meddream::url(meddream::root(link_type, shares)?, studies, token),
    };
    Ok((!studies.is_empty()).then_some(url))
}

/// The same without any token, for a browser that holds a cookie for the link. `None` also for MedDream, which no
/// cookie of ours lets in.
pub fn viewer_url_by_cookie(
    link_type: LinkType,
    shares: &Shares,
    studies: &[ViewerStudy],
) -> Result<Option<String>, MissingRoot> {
    if link_type == LinkType::MedDream {
        return Ok(None);
    }
    let url = viewer_url(link_type, shares, studies, "")?;
    Ok(url.and_then(|url| url.strip_suffix("&token=").map(str::to_owned)))
}

/// Whether the viewer is on another origin and launched by authorization code: then no link to it carries a token.
#[must_use]
pub fn is_launched(link_type: LinkType, shares: &Shares) -> bool {
    let origin = |root: &Option<String>| root.as_deref().and_then(origin_of);
    let viewer = origin(&shares.public_ohif_root).filter(|_| link_type == LinkType::Ohif);
    viewer.is_some_and(|viewer| {
        shares.viewers.origins.contains(&viewer) && origin(&shares.public_orthanc_root).as_ref() != Some(&viewer)
    })
}

/// Whether the viewer is on another origin and not launched: what a browser holds of a link never gets there.
#[must_use]
pub fn is_out_of_reach(link_type: LinkType, shares: &Shares) -> bool {
    let origin = |root: &Option<String>| root.as_deref().and_then(origin_of);
    let viewer = origin(&shares.public_ohif_root).filter(|_| link_type == LinkType::Ohif);
    viewer.is_some() && viewer != origin(&shares.public_orthanc_root) && !is_launched(link_type, shares)
}

/// The short form of a link.
pub fn short_url(shares: &Shares, code: &str) -> Option<String> {
    let root = shares.public_orthanc_root.as_deref().filter(|root| !root.is_empty())?;
    Some(format!("{}auth/links/{code}", slashed(root)))
}

fn need<'a>(link_type: LinkType, value: Option<&'a str>, key: &'static str) -> Result<&'a str, MissingRoot> {
    value.filter(|value| !value.is_empty()).ok_or(MissingRoot { link_type, key })
}

fn slashed(root: &str) -> String {
    if root.ends_with('/') { root.to_owned() } else { format!("{root}/") }
}

fn with_token(page: &str, token: &str) -> String {
    let separator = if page.contains('?') { '&' } else { '?' };
    format!("{page}{separator}token={token}")
}

/// The UIDs, each once, in their order, joined by commas.
fn uids(studies: &[ViewerStudy]) -> String {
    joined(studies, |study| encoded(&study.dicom_uid))
}

/// The Orthanc identifiers, each once, in their order, joined by commas.
fn ids(studies: &[ViewerStudy]) -> String {
    joined(studies, |study| encoded(&study.orthanc_id))
}

fn joined(studies: &[ViewerStudy], text: impl Fn(&ViewerStudy) -> String) -> String {
    let mut seen = std::collections::BTreeSet::new();
    let texts: Vec<String> = studies.iter().map(text).filter(|text| seen.insert(text.clone())).collect();
    texts.join(",")
}

/// Percent-encodes what is not unreserved in URLs (RFC 3986, 2.3). Well-formed identifiers stay as they are; a UID that
/// some modality made up must not become another argument.
pub(crate) fn encoded(identifier: &str) -> String {
    let mut text = String::with_capacity(identifier.len());
    for byte in identifier.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'~') {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

#[cfg(test)]
mod tests;
