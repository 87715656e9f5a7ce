//! Texts of strangers as the log may show them.
#![forbid(unsafe_code)]

/// A text of a stranger's for the log: bounded, and without control characters.
#[must_use]
pub fn shorten(text: &str) -> String {
    text.chars().take(200).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
