//! What a link is made with beyond its resources and its dates: conditions that are asked for when it is opened, kept in
//! its record. Pure.

use serde::{Deserialize, Serialize};

use crate::person::Person;

/// What a link was made with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkOptions {
    /// The identifier of the API key that the maker showed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<String>,
    /// Which key signed it ([`super::token::key_id`]): its short form ends with that key too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<String>,
    /// The argon2id hash of a PIN or password that is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin_hash: Option<String>,
    /// How often it may be opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_openings: Option<u64>,
    /// Who has to log in to open it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<Recipient>,
    /// Neither archive nor media (decision 21).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_download: bool,
    /// Annotations may be brought into its studies.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub annotate: bool,
    /// The labels that its maker gives to what comes in by it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// So many instances may come in by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_instances: Option<u64>,
    /// So many bytes may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
    /// For whom it is, as typed: only shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Written by something newer, or damaged: opens nothing.
    #[serde(skip)]
    pub unreadable: bool,
}

/// Somebody who has to log in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    issuer: String,
    subject: String,
}

impl From<Person> for Recipient {
    fn from(person: Person) -> Self {
        Self { issuer: person.issuer, subject: person.subject }
    }
}

impl Recipient {
    /// Whether this is that person.
    #[must_use]
    pub fn is(&self, person: &Person) -> bool {
        self.issuer == person.issuer && self.subject == person.subject
    }

    /// Who it is.
    #[must_use]
    pub fn person(&self) -> Person {
        Person { issuer: self.issuer.clone(), subject: self.subject.clone() }
    }

    /// The subject, for lists.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }
}

impl LinkOptions {
    /// What the record of a link says.
    #[must_use]
    pub fn read(json: &str) -> Self {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Known {
            api_key: Option<String>,
            signed_by: Option<String>,
            pin_hash: Option<String>,
            max_openings: Option<u64>,
            recipient: Option<Recipient>,
            #[serde(default)]
            no_download: bool,
            #[serde(default)]
            annotate: bool,
            #[serde(default)]
            labels: Vec<String>,
            max_instances: Option<u64>,
            max_bytes: Option<u64>,
            username: Option<String>,
        }
        match serde_json::from_str(json) {
            Ok(Known {
                api_key,
                signed_by,
                pin_hash,
                max_openings,
                recipient,
                no_download,
                annotate,
                labels,
                max_instances,
                max_bytes,
                username,
            }) => Self {
                api_key,
                signed_by,
                pin_hash,
                max_openings,
                recipient,
                no_download,
                annotate,
                labels,
                max_instances,
                max_bytes,
                username,
                unreadable: false,
            },
            // A condition that is not understood is not kept.
            Err(_) => Self { unreadable: true, ..Self::default() },
        }
    }

    /// Whether something is asked for when it is opened: then its token is a code, which opens nothing by itself
    /// (decision 22).
    #[must_use]
    pub const fn asks(&self) -> bool {
        self.pin_hash.is_some() || self.max_openings.is_some() || self.recipient.is_some() || self.unreadable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let full = LinkOptions {
            api_key: Some("k".to_owned()),
            signed_by: Some("s".to_owned()),
            pin_hash: Some("$argon2id$".to_owned()),
            max_openings: Some(3),
            recipient: Some(Person::local("anna").into()),
            no_download: true,
            annotate: true,
            labels: vec!["inbox".to_owned()],
            max_instances: Some(5),
            max_bytes: Some(6),
            username: Some("somebody@example.org".to_owned()),
            unreadable: false,
        };
        assert_eq!(LinkOptions::read(&serde_json::to_string(&full).unwrap()), full);
        let plain = LinkOptions::default();
        assert_eq!(serde_json::to_string(&plain).unwrap(), "{}");
        assert_eq!(LinkOptions::read("{}"), plain);
        assert!(!plain.asks() && full.asks());
        for odd in ["", "null", "[]", r#"{"max_openings": "x"}"#, r#"{"verbs": ["annotate"]}"#] {
            let read = LinkOptions::read(odd);
            assert!(read.unreadable && read.asks(), "{odd}");
        }
    }
}
