//! Decoding of a topic's values for a handler.
//!
//! | payload | value of a record | a tombstone |
//! |---|---|---|
//! | [`raw`] | its bytes | `None` |
//! | [`json`] | any `serde` type | `malformed` / `no-value` |
//! | [`avro`] | any `serde` type, from Avro of any schema in Confluent's frame | `malformed` / `no-value` |
//!
//! A value that cannot be decoded becomes a dead letter, byte for byte, and no handler gets it. Formats of your own are types
//! that implement [`Payload`].

mod json_failure;
mod json_path;

use std::marker::PhantomData;

use codec::any::AnyDecoder;
use codec::decode::DecodeError;
use codec::resolver::SchemaResolver;
use pipeline::failure::{Failure, FailureReason};
use serde::de::DeserializeOwned;

/// Decodes a value; `None` is a tombstone. Each lane has its own decoder, which must never block. It fails for a record that
/// cannot be read, which becomes a dead letter, and while a schema is not known, in which case the record waits. A panic
/// is a failure of the record: class `malformed`, reason `avro-decode`, whatever the format is.
pub type Decode<T> = Box<dyn FnMut(Option<&[u8]>) -> Result<T, DecodeError> + Send>;

/// A format of values.
///
/// ```
/// use relane::payload::{Decode, Payload};
/// use relane::{DecodeError, Failure, FailureReason, ReasonName, SchemaResolver};
///
/// const NO_TEXT: ReasonName = ReasonName::of("no-text");
///
/// /// Values of text.
/// struct Text;
///
/// impl Payload for Text {
///     type Value = String;
///
///     fn decoder(&self, _: &SchemaResolver) -> Decode<String> {
///         Box::new(|value| {
///             std::str::from_utf8(value.unwrap_or_default()).map(str::to_owned).map_err(|error| {
///                 DecodeError::Failed(Failure {
///                     reason: FailureReason::Permanent(NO_TEXT),
///                     schema_id: None,
///                     detail: format!("no UTF-8 from byte {} on", error.valid_up_to()),
///                 })
///             })
///         })
///     }
/// }
///
/// let mut decode = Text.decoder(&SchemaResolver::offline());
/// assert_eq!(decode(Some(b"tea")), Ok("tea".to_owned()));
/// assert!(decode(Some(b"\xff")).is_err());
/// ```
pub trait Payload: Send + Sync + 'static {
    /// What a handler gets.
    type Value: Send + Sync + 'static;

    /// Whether values have a schema id, for which the engine asks a registry.
    fn has_schemas(&self) -> bool {
        false
    }

    /// A decoder for one lane. `resolver` knows the schemas of ids; it knows none where [`has_schemas`](Self::has_schemas)
    /// is false.
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

/// Values in JSON. Fields that the type does not have are passed over, unless it says `deny_unknown_fields`.
///
/// What cannot be read is a dead letter of class `malformed`: `json-decode` for what is no JSON, `json-shape` for JSON of another
/// shape. The detail says where, and which field; it quotes nothing of the value.
///
/// ```
/// # #[derive(serde::Deserialize)]
/// # struct Click { url: String }
/// use relane::testing::{self, Route};
/// use relane::{HandleError, Pipeline, Record, payload};
///
/// async fn index(click: Record<Click>) -> Result<(), HandleError> {
///     println!("{}", click.value.url);
///     Ok(())
/// }
///
/// let settings = Pipeline::builder("clicks", testing::kafka());
/// let mut pipeline = testing::with_handler(settings, payload::json::<Click>(), index)?;
/// let good = pipeline.send("ann", r#"{"url": "/tea"}"#);
/// let bad = pipeline.send("ann", r#"{"url": 7}"#);
/// pipeline.settle()?;
/// assert_eq!(pipeline.route(good), Route::Settled { attempts: 1 });
/// assert_eq!(pipeline.route(bad).failure().map(|failure| &*failure.reason), Some("json-shape"));
/// # Ok::<(), relane::Error>(())
/// ```
#[must_use]
pub const fn json<T>() -> Json<T> {
    Json(PhantomData)
}

/// Values in Avro, in Confluent's frame, of any schema that fits `T`. Fields are found by their names, and those that the type does
/// not have are passed over. The schemas come from the registry that [`Builder::registry`](crate::Builder::registry) names.
///
/// What cannot be read is a dead letter: of class `malformed` where the bytes are at fault, `unknown-schema` where the
/// registry has no such schema, `incompatible-schema` where the schema does not fit `T`. While the registry is
/// unavailable, records of schemas that are not known yet wait.
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
            serde_json::from_slice(value).map_err(|error| json_failure::of::<T>(value, &error))
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
    fn raw_values_are_kept_and_a_tombstone_is_none() {
        let mut decode = raw().decoder(&SchemaResolver::offline());
        assert_eq!(decode(Some(&[0, 255])), Ok(Some(Box::from([0, 255]))));
        assert_eq!(decode(None), Ok(None));
    }
}
