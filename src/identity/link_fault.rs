//! Why a link gives nothing. Knows nothing of how that is found out.

use crate::clock::UnixTime;
use crate::share::token::TokenFault;

/// Why a link gives nothing, or what a browser or a viewer was given that opened it. (That it ended is
/// [`super::Rejection::Expired`].)
#[derive(Debug, thiserror::Error)]
pub enum LinkFault {
    /// Its token is none of ours.
    #[error("{0}")]
    Token(#[from] TokenFault),
    /// It is one of the old service, which the site does not accept, or not any more.
    #[error("links without a record are not accepted")]
    UnrecordedRefused,
    /// The state knows nothing of it.
    #[error("it has no record")]
    NoRecord,
    /// It asks for something, so its token does not open it.
    #[error("it is opened by its code only")]
    ByCodeOnly,
    /// Somebody ended it.
    #[error("it was revoked")]
    Revoked,
    /// Its time has not come.
    #[error("it is not valid yet")]
    NotYet {
        /// When it begins.
        begins: UnixTime,
    },
    /// A cookie that was not given here, or whose link is gone.
    #[error("it was not opened here")]
    NotOpenedHere,
    /// Its record is damaged, or was written by something newer.
    #[error("its record cannot be read")]
    UnreadableRecord,
    /// The same of what it was made with ([`crate::share::limits::LinkOptions`]).
    #[error("its conditions cannot be read")]
    UnreadableConditions,
    /// The site has taken its key away.
    #[error("the key that signed it is not used any more")]
    KeyNotUsed,
    /// The server has just started, and may have something else by now in the place of what it opens.
    #[error("whether what it opens was deleted while the plugin was not loaded is not known yet")]
    NotLookedYet,
    /// All of its resources are gone.
    #[error("what it opens was deleted")]
    Deleted,
    /// It brings something in, and there is nowhere to count that.
    #[error("an inbox link needs a record")]
    InboxWithoutRecord,
    /// It gives a label that its maker has lost.
    #[error("its maker may not give the label {0:?} any more")]
    LabelLost(String),
    /// A viewer's token that was not given here, or whose launch is gone.
    #[error("this viewer was not launched here")]
    NotLaunchedHere,
    /// The launch was ended, or never got as far as a token.
    #[error("this launch was ended")]
    LaunchEnded,
    /// The site does not name the viewer's origin any more.
    #[error("its viewer is not registered any more")]
    ViewerNotRegistered,
    /// A viewer's token in a URL, which stands in logs.
    #[error("a viewer's token counts in the header Authorization only")]
    NotInAuthorization,
}
