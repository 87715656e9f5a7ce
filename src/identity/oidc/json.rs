//! The members of a JSON object, borrowed from its text and told apart: a name that comes twice is seen.
//!
//! Two parsers that differ in which of two equal names counts are a way to smuggle a claim past one of them (RFC 8725,
//! 2.4 and RFC 7519, 4 leave the choice to the reader), so the caller refuses such an object.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The members of an object in their order, values not yet read.
#[derive(Debug)]
pub(super) struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

/// Why a text is no object of distinct members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MembersFault {
    /// It is not a JSON object, or something follows it.
    NotAnObject,
    /// A name comes twice, after its escapes are resolved.
    Duplicate,
    /// More members than the limit.
    TooMany,
}

impl<'a> Members<'a> {
    /// Reads an object of at most `limit` members; the limit keeps the search for equal names cheap.
    pub(super) fn parse(json: &'a [u8], limit: usize) -> Result<Self, MembersFault> {
        let text = std::str::from_utf8(json).map_err(|_| MembersFault::NotAnObject)?;
        let all: AllMembers<'a> = serde_json::from_str(text).map_err(|_| MembersFault::NotAnObject)?;
        if all.0.len() > limit {
            return Err(MembersFault::TooMany);
        }
        let mut rest = all.0.as_slice();
        while let [(name, _), tail @ ..] = rest {
            if tail.iter().any(|(other, _)| other == name) {
                return Err(MembersFault::Duplicate);
            }
            rest = tail;
        }
        Ok(Self(all.0))
    }

    /// The JSON text of a member's value.
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.get())
    }

    /// Whether there is such a member, whatever its value, `null` included.
    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// A member that must be a string if it is there. `Err`: it is something else.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, ()> {
        self.get(name).map(|json| serde_json::from_str(json).map_err(|_| ())).transpose()
    }
}

struct AllMembers<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for AllMembers<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = AllMembers<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(24);
                while let Some(Name(name)) = map.next_key()? {
                    members.push((name, map.next_value()?));
                }
                Ok(AllMembers(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}
