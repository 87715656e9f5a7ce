//! The targets on the committed inputs, and on a fixed number of changed ones: the same in each run.
//!
//! `GATEHOUSE_FUZZ` is how many inputs each target gets, `GATEHOUSE_SEED` where their series begins. The input that a
//! target is at stands in `target/fuzz/`, in case the process ends with it.

use std::path::{Path, PathBuf};

use crate::testing::Random;

/// The committed inputs of a target.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 5, "{} inputs in {}", files.len(), folder.display());
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

/// Shows the input when a target panics.
struct Shown<'a>(&'a str, u64, u64, &'a [u8]);

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self(target, seed, number, input) = self;
            eprintln!("target {target}, seed {seed}, input {number}:\n{}", input.escape_ascii());
        }
    }
}

fn run(target: &str, check: fn(&[u8]), usual: u64, words: &[&str]) {
    let number =
        |name: &str, usual| std::env::var(name).map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name}")));
    let (count, seed) = (number("GATEHOUSE_FUZZ", usual), number("GATEHOUSE_SEED", 1));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/fuzz");
    std::fs::create_dir_all(&folder).unwrap();
    let at = folder.join(target);
    let inputs = corpus(target);
    let mut random = Random(seed);
    let all = inputs.len() as u64;
    for number in 0..all + count {
        let input = match inputs.get(number as usize) {
            Some(input) => input.clone(),
            None => changed(&inputs, words, &mut random),
        };
        std::fs::write(&at, &input).unwrap();
        let _shown = Shown(target, seed, number, &input);
        check(&input);
    }
    std::fs::remove_file(&at).unwrap();
}

/// One of the inputs, changed in up to six places.
fn changed(inputs: &[Vec<u8>], words: &[&str], random: &mut Random) -> Vec<u8> {
    let mut input = inputs[random.below(inputs.len())].clone();
    for _ in 0..1 + random.below(6) {
        let at = random.below(input.len() + 1);
        let end = (at + random.below(24)).min(input.len());
        match random.below(11) {
            0 => drop(input.drain(at..end)),
            1 => input.insert(at, random.next() as u8),
            2 if at < input.len() => input[at] ^= 1 << random.below(8),
            3 => {
                let piece = input[at..end].to_vec();
                let to = random.below(input.len() + 1);
                input.splice(to..to, piece);
            }
            // Again and again: depth and length.
            4 if random.chance(30) => {
                let piece = input[at..end.min(at + 6)].repeat(random.below(400));
                input.splice(at..at, piece);
            }
            5 => {
                let other = &inputs[random.below(inputs.len())];
                let from = random.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            // Another word where one stands.
            6 | 7 => {
                let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
                let begin = input[..at].iter().rposition(|byte| !is_letter(byte)).map_or(0, |before| before + 1);
                let end = input[at..].iter().position(|byte| !is_letter(byte)).map_or(input.len(), |after| at + after);
                input.splice(begin..end, random.pick(words).bytes());
            }
            _ => {
                input.splice(at..at, random.pick(words).bytes());
            }
        }
    }
    input.truncate(1 << 16);
    input
}

const NAMES: [&str; 22] = [
    "{a1}",
    "{a1x}",
    "{a1x1}",
    "{b1}",
    "{b1x}",
    "{b1x1}",
    "{c1}",
    "{c2}",
    "{pa}",
    "{pb}",
    "{pc}",
    "{f1}",
    "{g1}",
    "{none}",
    "{a1.uid}",
    "{a1x.uid}",
    "{a1x1.uid}",
    "{b1.uid}",
    "{b1x.uid}",
    "{c2x1.uid}",
    "{f1.uid}",
    "{e1}",
];

#[test]
fn paths() {
    let words = [
        "/",
        "//",
        "..",
        "%2e",
        "studies",
        "series",
        "instances",
        "patients",
        "dicom-web",
        "labels",
        "metadata",
        "ext",
        "\0",
        "\u{202e}",
        "GET",
        "DELETE",
        "PUT",
        "POST",
        "auth",
        "archive",
        "attachments",
        "ui",
        "app",
    ];
    run("path", super::path, 4_000, &[&NAMES[..], &words].concat());
}

#[test]
fn arguments() {
    let words = [
        "&",
        "=",
        ",",
        "\\",
        ";",
        "resources",
        "objectUID",
        "studyUID",
        "StudyInstanceUID",
        "0020000D",
        "includefield",
        "requestedTags",
        "0020,1200",
        "%2c",
        " ",
        "*",
        "expand",
        "?",
        "GET",
        "PatientID",
    ];
    run("arguments", super::arguments, 4_000, &[&NAMES[..], &words].concat());
}

#[test]
fn bodies() {
    let words = [
        "\"",
        "[",
        "{",
        "]",
        "}",
        ",",
        ":",
        "null",
        "true",
        "1e999",
        "\\u0000",
        "\"Resources\": ",
        "\"Level\"",
        "\"Query\"",
        "\"Replace\"",
        "\"Keep\"",
        "\"StudyInstanceUID\"",
        "\"PatientID\"",
        "/*",
        "*/",
        "//",
        "\n",
        "[[[[[[[[",
        "{\"a\":",
        "\u{feff}",
        "\"Labels\"",
        "\"Parent\"",
        "\"Instances\"",
        "\"Series\"",
        "Any",
        "None",
        "Study",
    ];
    run("bodies", super::bodies, 4_000, &[&NAMES[..], &words].concat());
}

#[test]
fn credentials() {
    let words = [
        "[ext]",
        "[int]",
        "[viewer]",
        "[labelled]",
        "[link]",
        "[links]",
        "Bearer ",
        "Basic ",
        "Authorization: ",
        "token: ",
        "api-key: ",
        "x-key: ",
        "?token=",
        "?auth=",
        "\n",
        " ",
        "\t",
        "\0",
        "cookie: ",
        "ZXh0OmNvcnJlY3QgaG9yc2U=",
        ".",
        "eyJhbGciOiJub25lIn0",
    ];
    run("credentials", super::credentials, 1_500, &words);
}

#[test]
fn configurations() {
    let words = [
        "\"",
        "[",
        "{",
        "]",
        "}",
        ",",
        ":",
        "null",
        "true",
        "-1",
        "1e99",
        "\\n",
        "\"Authorization\"",
        "\"SecretKey\"",
        "\"PasswordHash\"",
        "\"Keycloak\"",
        "\"Users\"",
        "\"Shares\"",
        "http://a/",
        "@",
        "\u{2028}",
        "$argon2id$",
        "(",
        "^/(.*)$",
    ];
    run("configuration", super::configuration, 4_000, &words);
}

#[test]
fn key_sets() {
    let words = [
        "\"",
        "[",
        "{",
        "]",
        "}",
        ",",
        ":",
        "null",
        "\"RSA\"",
        "\"EC\"",
        "\"OKP\"",
        "\"oct\"",
        "AQAB",
        "AQ",
        "AA",
        "\"sig\"",
        "\"enc\"",
        "RS256",
        "HS256",
        "none",
        "ES256",
        "\"kid\": ",
        "\"use\": ",
        "\"key_ops\": ",
        "\"alg\": ",
    ];
    run("jwks", super::jwks, 20_000, &words);
}

#[test]
fn dicom_files() {
    let words = ["SQ", "UN", "OB", "OW", "UI", "UL", "UT", "DICM", "1.2.840.10008.1.2", "\0\0", "\0\0\0\0", "@\x000"];
    run("files", super::files, 20_000, &words);
}
