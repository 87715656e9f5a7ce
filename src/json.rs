//! JSON from elsewhere, read within the little stack that the server's HTTP threads have.
//!
//! Those have about 100 kB (the server's HTTP library asks for no more), and a stack that ends ends the server. The
//! JSON library goes down to 128 levels, each of which takes a piece of it, so depth is counted before anything is
//! read.
#![forbid(unsafe_code)]

use serde::de::{DeserializeOwned, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::map::Entry;
use serde_json::{Map, Value};

/// More levels of lists and objects than this are in nothing that we read. A tag of a DICOM sequence takes two for each
/// level of the sequence.
const DEEPEST: usize = 16;

/// Reads JSON of at most 16 levels. The error is the library's, also for more of them.
pub fn from_slice<T: DeserializeOwned>(json: &[u8]) -> Result<T, serde_json::Error> {
    if is_too_deep(json) {
        return Err(serde_json::Error::custom(format_args!("more than {DEEPEST} levels of lists and objects")));
    }
    serde_json::from_slice(json)
}

/// JSON in which no object has a member twice.
pub struct Unique(pub Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueVisitor).map(Self)
    }
}

/// JSON as Orthanc lays it out: three spaces.
#[must_use]
pub fn pretty(value: &Value) -> Vec<u8> {
    let mut text = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"   ");
    // Writing a JSON value into memory does not fail.
    let _ = value.serialize(&mut serde_json::Serializer::with_formatter(&mut text, formatter));
    text
}

/// JSON on one line. What cannot be written is nothing, which is no JSON; texts and what came of JSON always can.
#[must_use]
pub fn written(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// Whether JSON has more levels than we read.
#[must_use]
pub fn is_too_deep(json: &[u8]) -> bool {
    is_deeper(json, DEEPEST)
}

/// Whether JSON is so deep that Orthanc itself would run out of stack on an HTTP thread: 1.12.7 does at 300 levels.
#[must_use]
pub fn is_too_deep_for_the_core(json: &[u8]) -> bool {
    is_deeper(json, 64)
}

fn is_deeper(json: &[u8], most: usize) -> bool {
    // With so few brackets it cannot be, and most bodies have few: these are counted many at a time.
    let brackets = json.iter().filter(|byte| matches!(byte, b'[' | b'{')).count();
    brackets > most && depth(json) > most
}

/// Where in a text the count is.
#[derive(Clone, Copy)]
enum Place {
    Outside,
    Text,
    /// Behind a backslash in a text.
    Escape,
    /// Behind a slash outside of texts.
    Slash,
    LineComment,
    BlockComment,
    /// Behind an asterisk in a comment.
    Star,
}

/// How deep lists and objects lie in each other at most. For a text that is no JSON: at least as deep as a reader gets
/// before it notices. The core's reader takes comments, and a quotation mark in one of them begins no text.
fn depth(json: &[u8]) -> usize {
    let (mut now, mut deepest) = (0_usize, 0);
    let mut place = Place::Outside;
    for byte in json {
        place = match (place, byte) {
            (Place::Text, b'\\') => Place::Escape,
            (Place::Text, b'"') => Place::Outside,
            (Place::Text | Place::Escape, _) => Place::Text,
            (Place::Slash, b'/') => Place::LineComment,
            (Place::Slash, b'*') => Place::BlockComment,
            (Place::LineComment, b'\n' | b'\r') => Place::Outside,
            (Place::LineComment, _) => Place::LineComment,
            (Place::Star, b'/') => Place::Outside,
            (Place::BlockComment | Place::Star, b'*') => Place::Star,
            (Place::BlockComment | Place::Star, _) => Place::BlockComment,
            (Place::Outside | Place::Slash, b'"') => Place::Text,
            (Place::Outside, b'/') => Place::Slash,
            (Place::Outside | Place::Slash, b'[' | b'{') => {
                now += 1;
                deepest = deepest.max(now);
                Place::Outside
            }
            (Place::Outside | Place::Slash, b']' | b'}') => {
                now = now.saturating_sub(1);
                Place::Outside
            }
            (Place::Outside | Place::Slash, _) => Place::Outside,
        };
    }
    deepest
}

struct UniqueVisitor;

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Unique(element)) = elements.next_element()? {
            list.push(element);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let Unique(value) = members.next_value()?;
            match object.entry(name) {
                Entry::Vacant(member) => _ = member.insert(value),
                Entry::Occupied(member) => {
                    let twice = format_args!("the member {:?} appears twice", member.key());
                    return Err(A::Error::custom(twice));
                }
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_counted_outside_of_texts() {
        for (json, expected) in [
            ("", 0),
            ("1", 0),
            ("[]", 1),
            ("[[],[[]],{}]", 3),
            (r#"{"a": {"b": [1, 2]}}"#, 3),
            (r#""[[[[""#, 0),
            (r#"["[[\"[[\\", "]", [[]]]"#, 3),
            (r#"["\\", [[]]]"#, 3),
            ("]]]][", 1),
            (r#"["a\"[[[[["#, 1),
            // Comments, as the core's reader has them.
            (r#"/* " */ [[]]"#, 2),
            (r#"[ /* ] "/ * **/ [] ]"#, 2),
            ("// \"\n[[]]", 2),
            ("[// [[[\r[]]", 2),
            (r#"["/*", [[]], "*/"]"#, 3),
            ("/*/ [[[ */ []", 1),
            ("/[[ / [", 3),
        ] {
            assert_eq!(depth(json.as_bytes()), expected, "{json}");
        }
    }

    #[test]
    fn what_is_too_deep_is_not_read() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(from_slice::<Value>(nested(DEEPEST).as_bytes()).is_ok());
        let error = from_slice::<Value>(nested(DEEPEST + 1).as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), "more than 16 levels of lists and objects");
        // Longer than any stack: counting must not go down itself.
        assert!(from_slice::<Value>("[".repeat(1_000_000).as_bytes()).is_err());
    }
}
