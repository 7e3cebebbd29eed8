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
            serde_json::from_slice(value).map_err(|error| {
                // Its own words may quote the value.
                let what = match error.classify() {
                    serde_json::error::Category::Data => "JSON of another type",
                    _ => "not JSON",
                };
                let (line, column) = (error.line(), error.column());
                let detail = format!("{what} at line {line}, column {column}");
                failed(FailureReason::JsonDecode, detail)
            })
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
    fn json_that_cannot_be_read_says_where_and_never_quotes_it() {
        let mut decode = json::<u8>().decoder(&SchemaResolver::offline());
        assert_eq!(decode(Some(b" 7 ")), Ok(7));
        assert_eq!(reason(decode(None)).0, FailureReason::NoValue);
        for (value, told) in [
            (&b""[..], "not JSON at line 1, column 0"),
            (b"x", "not JSON at line 1, column 1"),
            (b"{\"a\"", "JSON of another type at line 1, column 0"),
            (b"\"s3cret\"", "JSON of another type at line 1, column 8"),
            (b"300", "JSON of another type at line 1, column 3"),
            (b"7 x", "not JSON at line 1, column 3"),
            (b"\xff", "not JSON at line 1, column 1"),
        ] {
            let read = reason(decode(Some(value)));
            assert_eq!(read, (FailureReason::JsonDecode, told.to_owned()));
        }
    }

    #[test]
    fn raw_values_are_kept_and_a_tombstone_is_none() {
        let mut decode = raw().decoder(&SchemaResolver::offline());
        assert_eq!(decode(Some(&[0, 255])), Ok(Some(Box::from([0, 255]))));
        assert_eq!(decode(None), Ok(None));
    }
}
