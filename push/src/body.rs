//! What is sent of a record's value.
//!
//! | value | `--as raw` | `--as json` | without `--as` |
//! |---|---|---|---|
//! | Avro in Confluent's frame | as it is | JSON | JSON |
//! | JSON | as it is | as it is, as JSON | as it is, as JSON |
//! | anything else | as it is | `malformed` / `json-decode` | as it is |
//! | a tombstone | no body | no body | no body |

mod avro_json;

use bytes::Bytes;
use clap::ValueEnum;
use codec::any::AnyDecoder;
use codec::decode::DecodeError;
use codec::frame;
use codec::resolver::SchemaResolver;
use relane::payload::{Decode, Payload};
use relane::{Failure, FailureReason};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use self::avro_json::Datum;

/// In which form values are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// As they are: application/octet-stream.
    Raw,
    /// As JSON: what is neither JSON nor Avro is given up.
    Json,
}

/// What a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// `application/json`.
    Json,
    /// `application/octet-stream`.
    Bytes,
    /// The record has no value: its key was deleted.
    Tombstone,
}

/// A body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Body {
    pub(crate) content: Content,
    pub(crate) bytes: Bytes,
}

impl Body {
    fn new(content: Content, bytes: impl Into<Bytes>) -> Self {
        Self { content, bytes: bytes.into() }
    }

    /// What records are told apart by in the search for duplicates: key and value. A length stands before the key, so that
    /// no key and value read as another pair.
    pub(crate) fn identity(&self, key: Option<&[u8]>) -> String {
        let mut digest = Sha256::new();
        digest.update(key.map_or(u64::MAX, |key| key.len() as u64).to_be_bytes());
        digest.update(key.unwrap_or_default());
        digest.update([self.content as u8]);
        digest.update(&self.bytes);
        format!("{:x}", digest.finalize())
    }
}

/// Makes bodies of values; `None` sends each value as what it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bodies(pub(crate) Option<Form>);

impl Payload for Bodies {
    type Value = Body;

    fn has_schemas(&self) -> bool {
        self.0 != Some(Form::Raw)
    }

    fn decoder(&self, resolver: &SchemaResolver) -> Decode<Body> {
        let Self(form) = *self;
        let mut avro = AnyDecoder::<Datum>::new(resolver.clone());
        Box::new(move |value| {
            let Some(bytes) = value else { return Ok(Body::new(Content::Tombstone, Bytes::new())) };
            let raw = || Body::new(Content::Bytes, Bytes::copy_from_slice(bytes));
            if form == Some(Form::Raw) {
                return Ok(raw());
            }
            if frame::schema_id(value).is_some() {
                return Ok(Body::new(
                    Content::Json,
                    avro.decode(value)?.into_value().to_string().into_bytes(),
                ));
            }
            match (check_json(bytes), form) {
                (Ok(()), _) => Ok(Body::new(Content::Json, Bytes::copy_from_slice(bytes))),
                (Err(_), None) => Ok(raw()),
                (Err(whereabouts), Some(_)) => Err(no_json(&whereabouts)),
            }
        })
    }
}

/// Whether bytes are JSON, which is UTF-8; where they are not.
fn check_json(bytes: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| format!("no UTF-8 at byte {}", error.valid_up_to()))?;
    let checked = serde_json::from_str::<IgnoredAny>(text);
    checked.map_err(|error| format!("line {}, column {}", error.line(), error.column()))?;
    Ok(())
}

fn no_json(whereabouts: &str) -> DecodeError {
    let detail = format!("neither JSON nor Avro in Confluent's frame: {whereabouts}");
    DecodeError::Failed(Failure { reason: FailureReason::JsonDecode, schema_id: None, detail })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = r#"{"type": "record", "name": "Click", "fields": [
        {"name": "url", "type": "string"}, {"name": "ms", "type": ["null", "long"]}]}"#;
    /// A click on `/` after 3 ms.
    const CLICK: [u8; 9] = [0, 0, 0, 0, 7, 2, b'/', 2, 6];

    fn body(form: Option<Form>, value: Option<&[u8]>) -> Result<(Content, String), FailureReason> {
        let resolver = SchemaResolver::offline();
        resolver.insert(7, SCHEMA).expect("a schema");
        match Bodies(form).decoder(&resolver)(value) {
            Ok(body) => Ok((body.content, String::from_utf8_lossy(&body.bytes).into_owned())),
            Err(DecodeError::Failed(failure)) => Err(failure.reason),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_value_is_sent_as_what_it_is_unless_a_form_is_asked_for() {
        use Content::{Bytes, Json, Tombstone};
        let text = |content, text: &str| Ok((content, text.to_owned()));
        let click = String::from_utf8_lossy(&CLICK).into_owned();
        let json_decode = Err(FailureReason::JsonDecode);
        for (value, unasked, raw, json) in [
            (
                Some(&b" {\"a\": 1.0} "[..]),
                text(Json, " {\"a\": 1.0} "),
                text(Bytes, " {\"a\": 1.0} "),
                text(Json, " {\"a\": 1.0} "),
            ),
            (Some(b"7"), text(Json, "7"), text(Bytes, "7"), text(Json, "7")),
            (Some(b"tea"), text(Bytes, "tea"), text(Bytes, "tea"), json_decode.clone()),
            (Some(b"{\"a\":"), text(Bytes, "{\"a\":"), text(Bytes, "{\"a\":"), json_decode.clone()),
            (
                Some(b"\"\xff\""),
                text(Bytes, "\"\u{fffd}\""),
                text(Bytes, "\"\u{fffd}\""),
                json_decode.clone(),
            ),
            (Some(b""), text(Bytes, ""), text(Bytes, ""), json_decode),
            (
                Some(&CLICK),
                text(Json, r#"{"url":"/","ms":3}"#),
                text(Bytes, &click),
                text(Json, r#"{"url":"/","ms":3}"#),
            ),
            (
                Some(&CLICK[..8]),
                Err(FailureReason::AvroDecode),
                Ok((Bytes, String::from_utf8_lossy(&CLICK[..8]).into_owned())),
                Err(FailureReason::AvroDecode),
            ),
            (None, text(Tombstone, ""), text(Tombstone, ""), text(Tombstone, "")),
        ] {
            assert_eq!(body(None, value), unasked, "{value:?}");
            assert_eq!(body(Some(Form::Raw), value), raw, "{value:?}");
            assert_eq!(body(Some(Form::Json), value), json, "{value:?}");
        }
    }

    #[test]
    fn only_records_of_one_key_and_value_are_duplicates() {
        let body = |content, bytes: &'static str| Body::new(content, bytes);
        let all = [
            body(Content::Json, "1").identity(Some(b"a")),
            body(Content::Bytes, "1").identity(Some(b"a")),
            body(Content::Json, "2").identity(Some(b"a")),
            body(Content::Json, "1").identity(Some(b"b")),
            body(Content::Json, "1").identity(Some(b"")),
            body(Content::Json, "1").identity(None),
            body(Content::Json, "").identity(Some(b"a1")),
            body(Content::Tombstone, "").identity(Some(b"a")),
        ];
        for (at, one) in all.iter().enumerate() {
            assert_eq!(all.iter().position(|other| other == one), Some(at));
        }
        assert_eq!(all[0], body(Content::Json, "1").identity(Some(b"a")));
    }
}
