//! Decoding of a topic's values for a handler.
//!
//! | payload | value of a record | a tombstone |
//! |---|---|---|
//! | [`raw`] | its bytes | `None` |
//! | [`json`] | any `serde` type | `malformed` / `no-value` |
//! | [`avro`] | any `serde` type, from Avro of any schema in Confluent's frame | `malformed` / `no-value` |
//!
//! A value that cannot be decoded becomes a dead letter, byte for byte, and no handler gets it.

use std::marker::PhantomData;

use codec::any::AnyDecoder;
use codec::decode::DecodeError;
use codec::resolver::SchemaResolver;
use pipeline::failure::{Failure, FailureReason};
use serde::de::DeserializeOwned;
use serde_json::error::Category;

/// Decodes a value; `None` is a tombstone. Each lane has its own decoder, which never blocks. It fails for a record that
/// cannot be read, which becomes a dead letter, and while a schema is not known, in which case the record waits.
pub type Decode<T> = Box<dyn FnMut(Option<&[u8]>) -> Result<T, DecodeError> + Send>;

/// A format of values.
pub trait Payload: Send + Sync + 'static {
    /// What a handler gets.
    type Value: Send + Sync + 'static;

    /// Whether values have a schema id, for which the engine asks a registry.
    fn has_schemas(&self) -> bool {
        false
    }

    /// A decoder for one lane.
    fn decoder(&self, resolver: &SchemaResolver) -> Decode<Self::Value>;
}

/// Values as they are; `None` is a tombstone.
#[derive(Debug, Clone, Copy, Default)]
pub struct Raw;

/// See [`json`].
#[derive(Debug)]
pub struct Json<T>(PhantomData<fn() -> T>);

/// See [`avro`].
#[derive(Debug)]
pub struct Avro<T>(PhantomData<fn() -> T>);

/// Values as they are.
#[must_use]
pub const fn raw() -> Raw {
    Raw
}

/// Values in JSON.
#[must_use]
pub const fn json<T>() -> Json<T> {
    Json(PhantomData)
}

/// Values in Avro, in Confluent's frame, of any schema that fits `T`.
#[must_use]
pub const fn avro<T>() -> Avro<T> {
    Avro(PhantomData)
}

impl Payload for Raw {
    type Value = Option<Box<[u8]>>;

    fn decoder(&self, _: &SchemaResolver) -> Decode<Self::Value> {
        Box::new(|value| Ok(value.map(Into::into)))
    }
}

impl<T: DeserializeOwned + Send + Sync + 'static> Payload for Json<T> {
    type Value = T;

    fn decoder(&self, _: &SchemaResolver) -> Decode<T> {
        Box::new(|value| {
            let value = value.ok_or_else(|| failed(FailureReason::NoValue, "no value".into()))?;
            serde_json::from_slice(value).map_err(|error| json_failure(&error))
        })
    }
}

impl<T: DeserializeOwned + Send + Sync + 'static> Payload for Avro<T> {
    type Value = T;

    fn has_schemas(&self) -> bool {
        true
    }

    fn decoder(&self, resolver: &SchemaResolver) -> Decode<T> {
        let mut decoder = AnyDecoder::new(resolver.clone());
        Box::new(move |value| decoder.decode(value))
    }
}

/// Why a value is not the JSON that was expected, and where; none of it is quoted.
fn json_failure(error: &serde_json::Error) -> DecodeError {
    let (line, column) = (error.line(), error.column());
    let at = format!("at line {line}, column {column}");
    match error.classify() {
        Category::Data => {
            let what = what_differs(&error.to_string());
            failed(FailureReason::JsonShape, format!("JSON of another shape {at}: {what}"))
        }
        Category::Eof => failed(FailureReason::JsonDecode, format!("JSON that is cut off {at}")),
        _ => failed(FailureReason::JsonDecode, format!("not JSON {at}")),
    }
}

/// What serde and `serde_json` call what stands in a value. Types may put other words in this place, the value among
/// them.
const KINDS: [&str; 8] =
    ["boolean", "integer", "floating point", "string", "null", "sequence", "map", "unit"];

/// What serde says of a shape, without what it quotes of the value: names of fields that the type has, and kinds.
fn what_differs(told: &str) -> String {
    let field = |start| told.strip_prefix(start).and_then(|rest| rest.split_once('`'));
    if let Some((name, _)) = field("missing field `") {
        return format!("field {name} is missing");
    }
    if let Some((name, _)) = field("duplicate field `") {
        return format!("field {name} is there twice");
    }
    let kind = told.strip_prefix("invalid type: ").or_else(|| told.strip_prefix("invalid value: "));
    // The type's words come last; before them stands the value, which may have the same words in it.
    let expected = told.rsplit_once(", expected ").map(|(_, expected)| expected);
    let kind = kind.and_then(|told| KINDS.into_iter().find(|kind| told.starts_with(kind)));
    match (kind, expected) {
        (Some(kind), Some(expected)) => {
            let expected = expected.rsplit_once(" at line ").map_or(expected, |(words, _)| words);
            format!("{kind} where {expected} is expected")
        }
        _ => "it does not fit the type".to_owned(),
    }
}

const fn failed(reason: FailureReason, detail: String) -> DecodeError {
    DecodeError::Failed(Failure { reason, schema_id: None, detail })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(decoded: Result<u8, DecodeError>) -> (FailureReason, String) {
        match decoded {
            Err(DecodeError::Failed(failure)) => (failure.reason, failure.detail),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn json_that_cannot_be_read_says_what_is_wrong_and_where_and_never_quotes_it() {
        let mut decode = json::<u8>().decoder(&SchemaResolver::offline());
        assert_eq!(decode(Some(b" 7 ")), Ok(7));
        assert_eq!(reason(decode(None)).0, FailureReason::NoValue);
        for (value, told) in [
            (&b""[..], "JSON that is cut off at line 1, column 0"),
            (b"x", "not JSON at line 1, column 1"),
            (b"7 x", "not JSON at line 1, column 3"),
            (b"\xff", "not JSON at line 1, column 1"),
        ] {
            let read = reason(decode(Some(value)));
            assert_eq!(read, (FailureReason::JsonDecode, told.to_owned()));
        }
        for (value, told) in [
            (&b"{\"a\""[..], "at line 1, column 0: map where u8 is expected"),
            (b"\"s3cret\"", "at line 1, column 8: string where u8 is expected"),
            (b"\", expected s3cret\"", "at line 1, column 19: string where u8 is expected"),
            (b"300", "at line 1, column 3: integer where u8 is expected"),
        ] {
            let read = reason(decode(Some(value)));
            assert_eq!(read, (FailureReason::JsonShape, format!("JSON of another shape {told}")));
        }
    }

    #[test]
    fn words_of_a_type_that_may_be_the_value_are_left_out() {
        let told = "invalid value: 4711, expected one of: 1, 2 at line 1 column 4";
        assert_eq!(what_differs(told), "it does not fit the type");
    }

    #[test]
    fn json_without_a_field_or_with_one_of_another_type_says_which_in_the_words_of_the_type() {
        #[derive(Debug, PartialEq, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Parcel {
            grams: u32,
        }
        let mut decode = json::<Parcel>().decoder(&SchemaResolver::offline());
        let mut told = |value: &str| match decode(Some(value.as_bytes())) {
            Err(DecodeError::Failed(failure)) => failure.detail,
            other => panic!("{other:?}"),
        };
        for (value, what) in [
            ("{}", "field grams is missing"),
            (r#"{"grams": 1, "grams": 2}"#, "field grams is there twice"),
            (r#"{"grams": "s3cret"}"#, "string where u32 is expected"),
            (r#"{"s3cret": 1}"#, "it does not fit the type"),
        ] {
            let told = told(value);
            assert!(told.ends_with(what), "{told}");
            assert!(!told.contains("s3cret"), "{told}");
        }
    }

    #[test]
    fn raw_values_are_kept_and_a_tombstone_is_none() {
        let mut decode = raw().decoder(&SchemaResolver::offline());
        assert_eq!(decode(Some(&[0, 255])), Ok(Some(Box::from([0, 255]))));
        assert_eq!(decode(None), Ok(None));
    }
}
