//! JSON with comments, as orthanc-auth-service writes its roles file and its anonymous profile.
//!
//! That service's reader takes `//` and `/* */` comments and a comma before a closing bracket; so do we. A `#` is no
//! comment.

use std::io::Read;

use json_comments::CommentSettings;
use serde_json::Value;

/// Parses JSON with comments.
///
/// # Errors
/// When the text is no JSON. Lines and columns are those of the text as given.
pub fn parse(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str(&strip_comments(text))
}

/// Blanks comments and commas before a closing bracket, and a byte order mark. Lines and columns stay where they
/// were; a text that is broken in another way stays broken.
#[must_use]
pub fn strip_comments(text: &str) -> String {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut plain = String::with_capacity(text.len());
    match CommentSettings::c_style().strip_comments(text.as_bytes()).read_to_string(&mut plain) {
        Ok(_) => without_trailing_commas(&plain, text),
        // A comment that never ends: the parser shall see it and say where.
        Err(_) => text.to_owned(),
    }
}

/// `original` is the text of the same length that still has the line breaks within comments: they are put back.
fn without_trailing_commas(text: &str, original: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for (byte, was) in bytes.iter_mut().zip(original.bytes()) {
        if was == b'\n' && *byte == b' ' {
            *byte = b'\n';
        }
    }
    let mut comma = None;
    let (mut quoted, mut escaped) = (false, false);
    let mut blank = Vec::new();
    for (position, byte) in text.bytes().enumerate() {
        if quoted {
            (quoted, escaped) = (escaped || byte != b'"', !escaped && byte == b'\\');
            continue;
        }
        match byte {
            b',' => comma = Some(position),
            b']' | b'}' => blank.extend(comma.take()),
            b' ' | b'\t' | b'\r' | b'\n' => {}
            _ => {
                comma = None;
                quoted = byte == b'"';
            }
        }
    }
    for position in blank {
        if let Some(byte) = bytes.get_mut(position) {
            *byte = b' ';
        }
    }
    // Only ASCII was written over ASCII.
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn comments_and_trailing_commas_go_and_texts_stay() {
        let text = "\u{feff}// first\n{ \"a\": [1, 2, /* two */ ], // end\n \"b//\": \"/* no */ , ] \\\" ,}\", \"c\": {\"d\": 1,\n},}";
        assert_eq!(parse(text).unwrap(), json!({"a": [1, 2], "b//": "/* no */ , ] \" ,}", "c": {"d": 1}}));
    }

    #[test]
    fn a_comment_may_end_the_text() {
        assert_eq!(parse("{} // end").unwrap(), json!({}));
    }

    #[test]
    fn faults_keep_their_place() {
        let error = parse("{\n  // a comment\n  /* and\n another */ \"a\": oops }").unwrap_err();
        assert_eq!((error.line(), error.column()), (4, 18));
    }

    #[test]
    fn broken_texts_stay_broken() {
        for text in ["{ /* no end", "[,,]", "{,,}", "[1 2]", "{\"a\": \"b}", "# hash\n{}", "\"\\"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
