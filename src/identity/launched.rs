//! Access tokens of viewers on other origins: from a launch to a token of minutes, and from the token to the link that
//! it opens, as that link is today.
//!
//! The token is sealed and names the launch, whose record says whether it goes on: so it ends at once with the launch,
//! with the link, and with the right of whoever made the link. Knows nothing of codes and refresh tokens.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Identity;
use super::link_fault::LinkFault;
use super::links::OpenedLink;
use super::verify::{Rejection, Verifiers};
use crate::clock::UnixTime;
use crate::seal::Unsealable;
use crate::store::LaunchRecord;

/// What every access token begins with: no API key, and no JWT.
const PREFIX: &str = "gatehouse-viewer_";

/// The place that access tokens are sealed for.
const ACCESS: &str = "viewer access token";

/// Whether a text can only be an access token of ours.
#[must_use]
pub fn is_access_token(text: &str) -> bool {
    text.starts_with(PREFIX)
}

impl Verifiers {
    /// A new access token for a launch, good until then at most.
    ///
    /// # Errors
    /// No random numbers.
    pub fn viewer_token(&self, launch: &str, until: UnixTime) -> Result<String, Unsealable> {
        let sealed = self.links.viewer_tokens.seal(ACCESS, format!("{} {launch}", until.0).as_bytes())?;
        Ok(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(sealed)))
    }

    /// The identity of a viewer that shows an access token.
    pub(super) fn launched(&self, text: &str, now: UnixTime) -> Result<Identity, Rejection> {
        let unknown = || Rejection::from(LinkFault::NotLaunchedHere);
        let sealed =
            text.strip_prefix(PREFIX).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok()).ok_or_else(unknown)?;
        let opened = self.links.viewer_tokens.open(ACCESS, &sealed).map_err(|_| unknown())?;
        let (until, launch) =
            std::str::from_utf8(&opened).ok().and_then(|text| text.split_once(' ')).ok_or_else(unknown)?;
        let until = until.parse().map(UnixTime).map_err(|_| unknown())?;
        if until <= now {
            return Err(Rejection::Expired);
        }
        let launch = self.store.launch(launch)?.ok_or_else(unknown)?;
        let identity = self.launched_link(&launch, now)?;
        let end = identity.expires_at.map_or(until, |end| end.min(until));
        Ok(Identity { expires_at: Some(end), ..identity })
    }

    /// The identity behind a launch that goes on, with what its link gives today.
    pub fn launched_link(&self, launch: &LaunchRecord, now: UnixTime) -> Result<Identity, Rejection> {
        if launch.revoked_at.is_some() || launch.refresh_hash.is_none() {
            return Err(LinkFault::LaunchEnded.into());
        }
        if !self.links.viewer_origins.contains(&launch.client) {
            return Err(LinkFault::ViewerNotRegistered.into());
        }
        self.opened_identity(&opened(launch), now)
    }
}

/// What the browser held that a viewer was launched from.
#[must_use]
pub fn opened(launch: &LaunchRecord) -> OpenedLink {
    OpenedLink { link: launch.link.clone(), at: launch.opened_at, until: launch.until, session: launch.session.clone() }
}
