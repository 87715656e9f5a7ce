//! Who somebody is, whichever credential shows it. Knows nothing of credentials.

/// A person: the same issuer and subject are the same person.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Person {
    /// The issuer that vouches for the person; [`Person::LOCAL`] for a local account.
    pub issuer: String,
    /// The issuer's subject; the user name of a local account.
    pub subject: String,
}

impl Person {
    /// The issuer of local accounts.
    pub const LOCAL: &'static str = "local";
}
