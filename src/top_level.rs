//! One text out of a JSON object, without building the rest and without descending into it: for large texts, and for
//! host threads, whose stacks are small. Knows nothing of what the texts mean.
#![forbid(unsafe_code)]

use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use std::collections::HashSet;

/// The text members of these names, in their order; null counts as an empty text, and `None` is one that is not there.
///
/// # Errors
/// As [`text`].
pub fn texts<const N: usize>(json: &[u8], names: [&str; N]) -> Result<[Option<String>; N], serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let found = deserializer.deserialize_map(AllWanted(names))?;
    deserializer.end()?;
    Ok(found)
}

struct AllWanted<'a, const N: usize>([&'a str; N]);

impl<'de, const N: usize> Visitor<'de> for AllWanted<'_, N> {
    type Value = [Option<String>; N];

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut found = [const { None }; N];
        let mut seen = HashSet::new();
        while let Some(member) = members.next_key::<String>()? {
            let wanted = self.0.iter().zip(found.iter_mut()).find(|(name, _)| **name == member);
            match wanted {
                Some((_, place)) => *place = Some(members.next_value::<Option<String>>()?.unwrap_or_default()),
                None => drop(members.next_value::<IgnoredAny>()?),
            }
            if !seen.insert(member) {
                return Err(A::Error::custom("a member appears twice"));
            }
        }
        Ok(found)
    }
}

/// Whether there is a member of this name, whatever it holds.
///
/// # Errors
/// What is not a JSON object.
pub fn holds(json: &[u8], name: &str) -> Result<bool, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let found = deserializer.deserialize_map(Held(name))?;
    deserializer.end()?;
    Ok(found)
}

struct Held<'a>(&'a str);

impl<'de> Visitor<'de> for Held<'_> {
    type Value = bool;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut found = false;
        while let Some((member, IgnoredAny)) = members.next_entry::<String, IgnoredAny>()? {
            found |= member == self.0;
        }
        Ok(found)
    }
}

/// The text member of this name; `None` when there is none.
///
/// # Errors
/// What is not a JSON object, an object with a member twice (which one counts is not ours to guess), a member of this name
/// that is no text.
pub fn text(json: &[u8], name: &str) -> Result<Option<String>, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let found = deserializer.deserialize_map(Wanted(name))?;
    deserializer.end()?;
    Ok(found)
}

struct Wanted<'a>(&'a str);

impl<'de> Visitor<'de> for Wanted<'_> {
    type Value = Option<String>;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let (mut found, mut seen) = (None, HashSet::new());
        while let Some(member) = members.next_key::<String>()? {
            if member == self.0 {
                found = Some(members.next_value::<String>()?);
            } else {
                // serde_json skips a value in a loop, not by recursion.
                members.next_value::<IgnoredAny>()?;
            }
            if !seen.insert(member) {
                return Err(A::Error::custom("a member appears twice"));
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Option<Option<String>> {
        text(json.as_bytes(), "Parent").ok()
    }

    #[test]
    fn the_member_is_found_at_the_top_only() {
        assert_eq!(read(r#"{"Tags": {"Parent": "inner"}, "Parent": "outer"}"#), Some(Some("outer".to_owned())));
        assert_eq!(read(r#"{"\u0050arent": "escaped"}"#), Some(Some("escaped".to_owned())));
        assert_eq!(read(r#"{"Tags": {"Parent": "inner"}, "parent": "other"}"#), Some(None));
        assert_eq!(read("{}"), Some(None));
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_an_error() {
        for json in [
            r#"{"Parent": "a", "Parent": "b"}"#,
            r#"{"Tags": 1, "Tags": 2, "Parent": "a"}"#,
            r#"{"Parent": 5}"#,
            r#"{"Parent": null}"#,
            r#"{"Parent": ["a"]}"#,
            r#"{"Tags": 1} {"Parent": "a"}"#,
            r#"{"Tags": 1, /* "Parent": */ "x": 1}"#,
            r#"{"Tags": 1,}"#,
            r#"["Parent"]"#,
            "",
        ] {
            assert_eq!(read(json), None, "{json}");
        }
    }

    #[test]
    fn depth_costs_no_stack() {
        let deep = format!(r#"{{"Tags": {}1{}, "Parent": "a"}}"#, "[".repeat(1_000_000), "]".repeat(1_000_000));
        let read =
            std::thread::Builder::new().stack_size(64 * 1024).spawn(move || read(&deep)).unwrap().join().unwrap();
        assert_eq!(read, Some(Some("a".to_owned())));
    }
}
