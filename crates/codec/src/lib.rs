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
//! | the schema is Protobuf or JSON Schema, or no Avro that can be parsed | [`DecodeError::Failed`] | `incompatible-schema` / `not-avro` |
//! | the writer schema, or the value's branch of it, does not resolve to the reader's | [`DecodeError::Failed`] | `incompatible-schema` / `cannot-resolve` |
//! | the schema is being fetched | [`DecodeError::Unresolved`], `away: None` | none: ask again |
//! | the registry is unavailable: anything else. Nobody listens, no answer in time, 401, 403, 409, 422, 429, 5xx, a 404 of another kind, a redirect, an answer that is no registry's or too large, of the id or of a schema that it refers to | [`DecodeError::Unresolved`], `away: Some` | none: pause |
//!
//! What this crate does not do: it moves no records, retries no records, and never decides
//! where a failed one goes. apache-avro parses schemas; datums are read and written here,
//! because that library's direct path resolves nothing and its resolving path takes the end
//! of the input for a null, recurses as deep as the bytes say, and allocates for every field.
//!
//! ```
//! use codec::{decode::Decoder, encode::Encoder, resolver::SchemaResolver, schemas};
//! use orders::Order;
//!
//! let resolver = SchemaResolver::offline();
//! resolver.insert(7, schemas::ORDER_V1)?;
//! let encoder = Encoder::<Order>::with_schema(schemas::ORDER_V1, 7)?;
//! let mut bytes = Vec::new();
//! encoder.encode_into(&mut bytes, &Order::new("o-1", "burger", 12.5));
//!
//! let order = Decoder::<Order>::new(resolver).decode(Some(&bytes))?;
//! assert_eq!((order.price, order.quantity), (12.5, 1));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`DecodeError::Failed`]: decode::DecodeError::Failed
//! [`DecodeError::Unresolved`]: decode::DecodeError::Unresolved

mod datum;
pub mod decode;
mod defaults;
pub mod encode;
pub mod frame;
#[cfg(feature = "mini-registry")]
pub mod mini_registry;
mod plan;
pub mod registry;
pub mod resolver;
pub mod scalar;
pub mod schemas;
mod shape;
pub mod wire;
pub mod writer_schema;
