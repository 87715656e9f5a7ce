//! `POST /auth/tokens/decode`: its body, and its answer. The landing page and the inbox page of Orthanc Explorer 2 tell
//! states apart by which members are there, so members are left out, never null.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::kind::LinkType;
use super::viewer::ViewerStudy;
use super::{BadRequest, bad};
use crate::json::Unique;
use crate::secret::Secret;

/// What became of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecodeOutcome {
    /// It may be used.
    Valid {
        /// Its type.
        link_type: LinkType,
        /// The studies of its resources, as the server knows them today; those that it does not know are left out.
        studies: Vec<ViewerStudy>,
        /// Where a publication opens: [`super::viewer::viewer_url`].
        redirect_url: Option<String>,
    },
    /// It was good once.
    Expired(LinkType),
    /// It is none of ours, revoked, or without its record.
    Invalid,
    /// It is good, but leads nowhere: the viewer is not configured any more, or the server does not know the studies.
    Unknown(LinkType),
}

/// The answer. Identifiers are sorted, each once, as the C++ plugin has them.
///
/// A publication without anywhere to go answers as unknown, for the landing page would stay blank. Instant links and
/// inbox links have no `RedirectUrl`.
#[must_use]
pub fn answer(outcome: &DecodeOutcome) -> Value {
    match outcome {
        DecodeOutcome::Valid { link_type, redirect_url: None, .. } if link_type.is_publication() => {
            refusal(Some(*link_type), "unknown")
        }
        DecodeOutcome::Valid { link_type, studies, redirect_url } => {
            let mut answer = lists(Some(*link_type), studies);
            if let Some(url) = redirect_url {
                answer.insert("RedirectUrl".to_owned(), url.as_str().into());
            }
            Value::Object(answer)
        }
        DecodeOutcome::Expired(link_type) => refusal(Some(*link_type), "expired"),
        DecodeOutcome::Invalid => refusal(None, "invalid"),
        DecodeOutcome::Unknown(link_type) => refusal(Some(*link_type), "unknown"),
    }
}

/// The token in a body `{"TokenKey", "TokenValue"}`, without a `Bearer ` before it; the old service's spellings
/// (`token-value`) are read too. `None` when there is none, which is answered as an invalid token.
pub fn token_value(body: &[u8]) -> Result<Option<Secret>, BadRequest> {
    let Unique(body) = crate::json::from_slice(body).map_err(|error| bad("body", format_args!("not JSON: {error}")))?;
    let body = body.as_object().ok_or_else(|| bad("body", "an object is expected"))?;
    let mut values = ["TokenValue", "token-value", "token_value"].into_iter().filter_map(|name| body.get(name));
    let value = values.next();
    if values.next().is_some() {
        return Err(bad("TokenValue", "appears twice, in two spellings"));
    }
    let Some(text) = value.and_then(Value::as_str) else { return Ok(None) };
    let text = match text.split_once(' ') {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("bearer") => rest,
        _ => text,
    };
    let text = text.trim();
    Ok((!text.is_empty()).then(|| Secret::new(text.to_owned())))
}

fn refusal(link_type: Option<LinkType>, code: &str) -> Value {
    let mut answer = lists(link_type, &[]);
    answer.insert("ErrorCode".to_owned(), code.into());
    Value::Object(answer)
}

fn lists(link_type: Option<LinkType>, studies: &[ViewerStudy]) -> Map<String, Value> {
    let sorted = |of: fn(&ViewerStudy) -> &str| -> Value {
        studies.iter().map(of).collect::<BTreeSet<&str>>().into_iter().collect()
    };
    let mut answer = Map::new();
    answer.insert("ResourcesDicomIds".to_owned(), sorted(|study| &study.dicom_uid));
    answer.insert("ResourcesOrthancIds".to_owned(), sorted(|study| &study.orthanc_id));
    if let Some(link_type) = link_type {
        answer.insert("TokenType".to_owned(), link_type.as_str().into());
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn studies() -> Vec<ViewerStudy> {
        // In the order of the token: the answer sorts each list by itself.
        vec![
            ViewerStudy { orthanc_id: "4a94".to_owned(), dicom_uid: "1.3".to_owned() },
            ViewerStudy { orthanc_id: "44e5".to_owned(), dicom_uid: "1.4".to_owned() },
            ViewerStudy { orthanc_id: "44e5".to_owned(), dicom_uid: "1.4".to_owned() },
        ]
    }

    #[test]
    fn members_are_left_out_never_null() {
        let valid = |link_type, studies, redirect_url: Option<&str>| DecodeOutcome::Valid {
            link_type,
            studies,
            redirect_url: redirect_url.map(str::to_owned),
        };
        let nothing = |code: &str| json!({"ErrorCode": code, "ResourcesDicomIds": [], "ResourcesOrthancIds": []});
        let nothing_of = |code: &str, link_type: &str| {
            let mut answer = nothing(code);
            answer["TokenType"] = json!(link_type);
            answer
        };
        for (outcome, expected) in [
            (
                valid(LinkType::Stone, studies(), Some("http://host/?token=t")),
                json!({
                    "RedirectUrl": "http://host/?token=t",
                    "ResourcesDicomIds": ["1.3", "1.4"],
                    "ResourcesOrthancIds": ["44e5", "4a94"],
                    "TokenType": "stone-viewer-publication"
                }),
            ),
            (
                valid(LinkType::ViewerInstant, studies(), None),
                json!({
                    "ResourcesDicomIds": ["1.3", "1.4"],
                    "ResourcesOrthancIds": ["44e5", "4a94"],
                    "TokenType": "viewer-instant-link"
                }),
            ),
            (
                valid(LinkType::Inbox, vec![], None),
                json!({"ResourcesDicomIds": [], "ResourcesOrthancIds": [], "TokenType": "inbox-link"}),
            ),
            (valid(LinkType::Ohif, studies(), None), nothing_of("unknown", "ohif-viewer-publication")),
            (DecodeOutcome::Expired(LinkType::Stone), nothing_of("expired", "stone-viewer-publication")),
            (DecodeOutcome::Unknown(LinkType::Stone), nothing_of("unknown", "stone-viewer-publication")),
            (DecodeOutcome::Invalid, nothing("invalid")),
        ] {
            assert_eq!(answer(&outcome), expected, "{outcome:?}");
        }
    }

    #[test]
    fn the_token_in_a_body() {
        for (body, expected) in [
            (r#"{"TokenKey": "token", "TokenValue": "a.b.c"}"#, Some("a.b.c")),
            (r#"{"TokenKey": "token", "TokenValue": "Bearer a.b.c"}"#, Some("a.b.c")),
            (r#"{"TokenKey": "Authorization", "TokenValue": "bearer  a.b.c "}"#, Some("a.b.c")),
            (r#"{"token-key": "token", "token-value": "a.b.c"}"#, Some("a.b.c")),
            (r#"{"TokenValue": "garbage", "Other": 1}"#, Some("garbage")),
            (r#"{"TokenKey": "token", "TokenValue": ""}"#, None),
            (r#"{"TokenKey": "token", "TokenValue": "Bearer "}"#, None),
            (r#"{"TokenKey": "token", "TokenValue": null}"#, None),
            (r#"{"TokenKey": "token", "TokenValue": 5}"#, None),
            ("{}", None),
        ] {
            let token = token_value(body.as_bytes()).unwrap();
            assert_eq!(token.as_ref().map(Secret::expose), expected, "{body}");
        }
    }

    #[test]
    fn a_body_that_is_none() {
        for (body, expected) in [
            ("{", "body: not JSON: EOF while parsing an object at line 1 column 1"),
            ("", "body: not JSON: EOF while parsing a value at line 1 column 0"),
            ("[]", "body: an object is expected"),
            (r#"{"TokenValue": "a", "token-value": "b"}"#, "TokenValue: appears twice, in two spellings"),
        ] {
            assert_eq!(token_value(body.as_bytes()).unwrap_err().message, expected);
        }
        let twice = token_value(br#"{"TokenValue": "a", "TokenValue": "b"}"#).unwrap_err().message;
        assert!(twice.contains(r#"the member "TokenValue" appears twice"#), "{twice}");
    }
}
