//! Launches of viewers on other origins, as the state keeps them.

use crate::clock::UnixTime;

/// One launch: from the code that a browser carries to a viewer, to the last token that the viewer was given for it.
/// Neither code nor tokens are anywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaunchRecord {
    /// Its identifier; a part of its refresh tokens, and shown nowhere. Unique.
    pub id: String,
    /// The link that it opens.
    pub link: String,
    /// The client that it is for (`client_id`).
    pub client: String,
    /// Where the code was sent to.
    pub redirect_uri: String,
    /// `code_challenge`, of the method S256.
    pub challenge: String,
    /// The `nonce` to repeat in the ID token.
    pub nonce: Option<String>,
    /// When the browser opened the link.
    pub opened_at: UnixTime,
    /// The session that it was opened with, for a link that is for one person.
    pub session: Option<String>,
    /// Until when what the browser holds of the link counts: the end of all tokens of this launch.
    pub until: UnixTime,
    /// SHA-256 of the code. Unique.
    pub code_hash: [u8; 32],
    /// Until when the code counts.
    pub code_until: UnixTime,
    /// SHA-256 of the refresh token that counts; `None` before there is one.
    pub refresh_hash: Option<[u8; 32]>,
    /// When it was ended.
    pub revoked_at: Option<UnixTime>,
}
