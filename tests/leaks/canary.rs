//! Unique strings in everything that is stored, and how they are found again. It must not know who may see what.
use crate::unpack;
use std::collections::{BTreeSet, HashMap};
use testbed::random::Random;

/// Where a string was put.
#[derive(Clone, Debug)]
pub struct Canary {
    /// The set of resources that it belongs to, one of [`crate::world`]'s.
    pub set: &'static str,
    /// The tag, metadata, … that it stands in.
    pub place: String,
    pub kind: Kind,
    /// Orthanc makes it from these texts: whoever has sent them all can make it too.
    pub made_of: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Never sent by anybody but the administrator: in an answer it is a leak.
    Content,
    /// An identifier, which attackers know and send: an answer may repeat it, and must not tell it.
    Name,
}

/// All of them, by their text in lower case.
#[derive(Debug)]
pub struct Canaries {
    prefix: String,
    rng: Random,
    by_text: HashMap<String, Canary>,
    /// Answers of which the administrator got exactly these bytes for something foreign: images, which hold no text.
    digests: HashMap<u64, Canary>,
}

const LENGTH: usize = 14;

impl Canaries {
    pub fn new(seed: u64) -> Self {
        let mut rng = Random::new(seed);
        let prefix = format!("Q{}X", letters(&mut rng, 3));
        Self { prefix, rng, by_text: HashMap::new(), digests: HashMap::new() }
    }

    /// A new one, of capital letters, 14 characters: it fits into every text VR, and into a label.
    pub fn content(&mut self, set: &'static str, place: &str) -> String {
        self.fresh(set, place, Kind::Content)
    }

    /// The same for an identifier that attackers know.
    pub fn name(&mut self, set: &'static str, place: &str) -> String {
        self.fresh(set, place, Kind::Name)
    }

    fn fresh(&mut self, set: &'static str, place: &str, kind: Kind) -> String {
        let text = format!("{}{}", self.prefix, letters(&mut self.rng, LENGTH - self.prefix.len()));
        self.insert(&text, set, place, kind);
        text
    }

    /// A new UID below 2.25.
    pub fn uid(&mut self, set: &'static str, place: &str) -> String {
        let uid = format!("2.25.{}{:018}", 1 + self.rng.next() % 9, self.rng.next() % 1_000_000_000_000_000_000);
        self.insert(&uid, set, place, Kind::Name);
        uid
    }

    /// One that came from elsewhere: an Orthanc id, the id of a job. The first one to be said of a text holds.
    pub fn insert(&mut self, text: &str, set: &'static str, place: &str, kind: Kind) {
        let canary = Canary { set, place: place.to_owned(), kind, made_of: Vec::new() };
        self.by_text.entry(text.to_ascii_lowercase()).or_insert(canary);
    }

    /// An Orthanc id, which is made of DICOM's identifiers from the patient's down.
    pub fn insert_id(&mut self, id: &str, set: &'static str, place: &str, made_of: &[String]) {
        let made_of = made_of.iter().map(|text| text.to_ascii_lowercase()).collect();
        let canary = Canary { set, place: place.to_owned(), kind: Kind::Name, made_of };
        self.by_text.entry(id.to_ascii_lowercase()).or_insert(canary);
    }

    /// Remembers the bytes of an answer as those of something foreign.
    pub fn insert_digest(&mut self, body: &[u8], set: &'static str, place: &str) {
        let canary =
            Canary { set, place: format!("the same bytes as of {place}"), kind: Kind::Content, made_of: Vec::new() };
        self.digests.insert(digest(body), canary);
    }

    /// Takes an answer's bytes out again, as they say nothing of whom they are about.
    pub fn forget_digest(&mut self, body: &[u8]) {
        self.digests.remove(&digest(body));
    }

    pub fn len(&self) -> usize {
        self.by_text.len()
    }

    /// The texts that stand in these bytes, in whatever of the ways that a server packs them, and what they are.
    pub fn find(&self, bytes: &[u8]) -> Vec<(String, &Canary)> {
        let mut found = BTreeSet::new();
        for view in unpack::views(bytes) {
            self.scan(&view, &mut found);
        }
        let mut found: Vec<_> = found.into_iter().map(|text| (text.clone(), &self.by_text[&text])).collect();
        if let Some(canary) = self.digests.get(&digest(bytes)).filter(|_| bytes.len() >= 32) {
            found.push(("(bytes)".to_owned(), canary));
        }
        found
    }

    fn scan(&self, view: &[u8], found: &mut BTreeSet<String>) {
        let prefix = self.prefix.to_ascii_lowercase();
        let view = view.to_ascii_lowercase();
        for (at, byte) in view.iter().enumerate() {
            let rest = &view[at..];
            let text = match byte {
                b'q' if rest.starts_with(prefix.as_bytes()) => rest.get(..LENGTH),
                b'2' if rest.starts_with(b"2.25.") => {
                    let end = rest.iter().position(|byte| !byte.is_ascii_digit() && *byte != b'.');
                    Some(&rest[..end.unwrap_or(rest.len())])
                }
                // What stands before a hyphen may be the beginning of an Orthanc id or of a job's.
                b'-' if at >= 8 => {
                    let start = &view[at - 8..];
                    let end = start.iter().position(|byte| !byte.is_ascii_hexdigit() && *byte != b'-');
                    Some(&start[..end.unwrap_or(start.len())])
                }
                _ => None,
            };
            let Some(text) = text.and_then(|text| std::str::from_utf8(text).ok()) else { continue };
            let text = text.trim_end_matches('.');
            if self.by_text.contains_key(text) {
                found.insert(text.to_owned());
            } else if let Some(start) = text.get(..44).filter(|start| self.by_text.contains_key(*start)) {
                found.insert(start.to_owned());
            }
        }
    }
}

fn letters(rng: &mut Random, count: usize) -> String {
    (0..count).map(|_| char::from(b'A' + rng.below(26) as u8)).collect()
}

/// FNV-1a: nobody here chooses bytes to collide.
fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
