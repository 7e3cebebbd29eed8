//! Avro records in Confluent's frame: bytes to values, values to bytes, and the schema
//! registry in between.
//!
//! ```text
//! bytes ─► frame ─► schema id ─► plan (one per id) ─► value         Decoder, one per lane
//!                      │ miss        ▲
//!                      ▼             │ compiled once against the reader schema
//!                  SchemaResolver ─► registry                       shared, asks once per id
//!
//! value ─► Encoder (id known since the start) ─► bytes
//! ```
//!
//! Whose fault a failed decode is decides what happens to the record:
//!
//! | what is wrong | answer | class / reason |
//! |---|---|---|
//! | no value | [`DecodeError::Failed`] | `malformed` / `no-value` |
//! | fewer than 5 bytes | [`DecodeError::Failed`] | `malformed` / `too-short` |
//! | the first byte is not 0 | [`DecodeError::Failed`] | `malformed` / `bad-magic` |
//! | the body is no datum of its writer schema | [`DecodeError::Failed`] | `malformed` / `avro-decode` |
//! | bytes are left over | [`DecodeError::Failed`] | `malformed` / `trailing-bytes` |
//! | 404 with `error_code` 40403 for the id or a schema that it refers to, or an id that no registry can give | [`DecodeError::Failed`] | `unknown-schema` / `schema-not-found` |
//! | the schema is Protobuf or JSON Schema, or its layout cannot be read as Avro | [`DecodeError::Failed`] | `incompatible-schema` / `not-avro` |
//! | the writer schema, or the value's branch of it, does not resolve to the reader's | [`DecodeError::Failed`] | `incompatible-schema` / `cannot-resolve` |
//! | the schema is being fetched | [`DecodeError::Unresolved`], `away: None` | none: ask again |
//! | the registry is unavailable: anything else. Nobody listens, no answer in time, 401, 403, 409, 422, 429, 5xx, a 404 of another kind, a redirect, an answer that is no registry's or too large, of the id or of a schema that it refers to | [`DecodeError::Unresolved`], `away: Some` | none: pause |
//!
//! What this crate does not do: it moves no records, retries no records, and never decides
//! where a failed one goes. apache-avro parses our own schemas; writers' schemas and datums are read here,
//! because that library's direct path resolves nothing and its resolving path takes the end
//! of the input for a null, recurses as deep as the bytes say, and allocates for every field.
//!
//! ```
//! use codec::{decode::Decoder, encode::Encoder, resolver::SchemaResolver};
//! use codec::scalar::{AvroRecord, Fields, OutOfRange, Scalar};
//!
//! #[derive(Debug, Default, PartialEq)]
//! struct Click { url: String, at_ms: i64 }
//!
//! impl AvroRecord for Click {
//!     type Value = Self;
//!     const SCHEMA: &'static str = r#"{"type": "record", "name": "Click", "fields": [
//!         {"name": "url", "type": "string"}, {"name": "at", "type": "long"}]}"#;
//!     fn blank() -> Self {
//!         Self::default()
//!     }
//!     fn set(click: &mut Self, index: usize, scalar: Scalar<'_>) -> Result<(), OutOfRange> {
//!         match (index, scalar) {
//!             (0, Scalar::String(url)) => url.clone_into(&mut click.url),
//!             (1, Scalar::Long(at_ms)) => click.at_ms = at_ms,
//!             _ => return Err(OutOfRange("a field of another type than its schema")),
//!         }
//!         Ok(())
//!     }
//! }
//!
//! impl Fields<Self> for Click {
//!     fn field(&self, index: usize) -> Scalar<'_> {
//!         if index == 0 { Scalar::String(&self.url) } else { Scalar::Long(self.at_ms) }
//!     }
//! }
//!
//! let resolver = SchemaResolver::offline();
//! resolver.insert(7, Click::SCHEMA)?;
//! let click = Click { url: "/orders".to_owned(), at_ms: 5 };
//! let mut bytes = Vec::new();
//! Encoder::<Click>::with_id(7).encode_into(&mut bytes, &click);
//! assert_eq!(Decoder::<Click>::new(resolver).decode(Some(&bytes))?, click);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`DecodeError::Failed`]: decode::DecodeError::Failed
//! [`DecodeError::Unresolved`]: decode::DecodeError::Unresolved

pub mod any;
pub mod candidate;
mod datum;
pub mod decode;
mod defaults;
pub mod encode;
pub mod frame;
mod layout;
#[cfg(feature = "mini-registry")]
pub mod mini_registry;
mod plan;
pub mod registry;
pub mod resolver;
pub mod scalar;
mod shape;
pub mod writer_schema;
