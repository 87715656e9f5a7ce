//! A login under way: what this server has to know again when the browser comes back from the provider. It travels in a
//! sealed cookie, so that beginning logins costs the state nothing.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::bytes::{self, NoRandom};
use crate::clock::UnixTime;
use crate::seal::{SealKey, Unsealable};

/// How long somebody may take to log in, in seconds.
pub(super) const LIFE: i64 = 900;

/// A login under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    /// Comes back with the browser.
    pub state: String,
    /// Comes back in the ID token.
    pub nonce: String,
    /// Shown when the code is exchanged (RFC 7636, 4.1).
    pub code_verifier: String,
    /// Where the code is sent to, which the exchange has to repeat.
    pub redirect_uri: String,
    /// The configured issuer of the provider.
    pub issuer: String,
    /// The page that was wanted.
    pub return_path: String,
    /// When it is over, in seconds since 1970.
    pub expires_at: i64,
}

/// The `code_challenge` of a verifier (RFC 7636, 4.2).
#[must_use]
pub fn code_challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()))
}

impl Transaction {
    /// A new one.
    ///
    /// # Errors
    /// No random numbers.
    pub fn begin(issuer: String, redirect_uri: String, return_path: String, now: UnixTime) -> Result<Self, NoRandom> {
        let random = || bytes::random::<32>().map(|bytes| bytes::hex(&bytes));
        Ok(Self {
            state: random()?,
            nonce: random()?,
            code_verifier: random()?,
            redirect_uri,
            issuer,
            return_path,
            expires_at: now.plus(LIFE).0,
        })
    }

    pub(super) fn sealed(&self, key: &SealKey) -> Result<String, Unsealable> {
        let text = serde_json::to_vec(self).map_err(|_| Unsealable)?;
        Ok(URL_SAFE_NO_PAD.encode(key.seal(&self.state, &text)?))
    }

    pub(super) fn opened(key: &SealKey, state: &str, sealed: &str, now: UnixTime) -> Option<Self> {
        let sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let opened = key.open(state, &sealed).ok()?;
        let transaction: Self = serde_json::from_slice(&opened).ok()?;
        (transaction.state == state && now.0 < transaction.expires_at).then_some(transaction)
    }
}
