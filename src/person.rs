//! Who somebody is, whatever credential shows it: tokens, keys, links and sessions of one person meet in this name.
//!
//! Knows nothing of credentials, rights or storage.
#![forbid(unsafe_code)]

/// A person: the issuer that vouches for them and its own, never reused, name for them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Person {
    /// The `iss` of the person's tokens, or [`Person::LOCAL`] for a local account.
    pub issuer: String,
    /// The `sub` of the person's tokens, or the user name of a local account.
    pub subject: String,
}

impl Person {
    /// The issuer of local accounts. No provider can be called this: an OpenID Connect issuer is a URL.
    pub const LOCAL: &str = "local";

    /// The issuer of whoever shows no credential: all of them are one.
    pub const ANONYMOUS: &str = "anonymous";

    /// The issuer of DICOM applications, whose subject is the calling AET.
    pub const DICOM: &str = "aet";

    /// The issuer of links, whose subject is the link's identifier: for what a link itself has brought in.
    pub const LINK: &str = "link";

    /// A local account by its user name.
    #[must_use]
    pub fn local(user: &str) -> Self {
        Self { issuer: Self::LOCAL.to_owned(), subject: user.to_owned() }
    }

    /// Whoever shows no credential.
    #[must_use]
    pub fn anonymous() -> Self {
        Self { issuer: Self::ANONYMOUS.to_owned(), subject: String::new() }
    }

    /// Whoever holds a link, by the link's identifier.
    #[must_use]
    pub fn link(id: &str) -> Self {
        Self { issuer: Self::LINK.to_owned(), subject: id.to_owned() }
    }

    /// A DICOM application by the AET that it calls itself.
    #[must_use]
    pub fn dicom(aet: &str) -> Self {
        Self { issuer: Self::DICOM.to_owned(), subject: aet.to_owned() }
    }
}
