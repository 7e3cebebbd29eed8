//! Values of any Avro schema, as `serde` types: nested records, arrays, maps, unions, enums, fixed and
//! logical types, as the writer's schema has them.
//!
//! | Avro | `serde` |
//! |---|---|
//! | record | struct or map; fields that the type does not have are passed over |
//! | union with null | `Option`; without, the value of its branch, as an `untagged` enum reads it |
//! | enum | unit variant of that name, or string |
//! | fixed, bytes, decimal, duration | bytes; big-endian two's complement for a decimal |
//! | date, times, timestamps | the number that was written |
//! | uuid | string, or bytes where it is fixed |
//!
//! ```
//! use codec::any::AnyDecoder;
//! use codec::resolver::SchemaResolver;
//!
//! #[derive(serde::Deserialize)]
//! struct Click { url: String, tags: Vec<String> }
//!
//! let resolver = SchemaResolver::offline();
//! resolver.insert(7, r#"{"type": "record", "name": "Click", "fields": [
//!     {"name": "url", "type": "string"}, {"name": "tags", "type": {"type": "array", "items": "string"}}]}"#)?;
//! let framed = [0, 0, 0, 0, 7, 2, b'/', 2, 4, b'e', b'u', 0];
//! let click: Click = AnyDecoder::new(resolver).decode(Some(&framed))?;
//! assert_eq!((click.url.as_str(), click.tags.as_slice()), ("/", &["eu".to_owned()][..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod datum;
mod json;

use std::marker::PhantomData;
use std::sync::Arc;

use hashbrown::HashMap;
use pipeline::failure::{Failure, FailureReason};
use serde::de::DeserializeOwned;

use self::datum::{AnyError, read};
pub use self::json::{AsJson, JsonForm};
use crate::decode::DecodeError;
use crate::frame::{self, Frame};
use crate::resolver::SchemaResolver;
use crate::writer_schema::WriterSchema;

/// Most schemas that a decoder keeps at hand. Beyond it all are asked for again.
const SCHEMAS_MAX: usize = 1_000;

/// Reads framed values of any schema into `T`; one per lane. A schema that is known takes no lock.
#[derive(Debug, Clone)]
pub struct AnyDecoder<T> {
    resolver: SchemaResolver,
    known: HashMap<u32, Arc<WriterSchema>, foldhash::fast::FixedState>,
    /// The schema of the last value: most topics carry one at a time.
    last: Option<(u32, Arc<WriterSchema>)>,
    value: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> AnyDecoder<T> {
    /// A decoder that asks this resolver for the schemas it meets.
    #[must_use]
    pub fn new(resolver: SchemaResolver) -> Self {
        Self { resolver, known: HashMap::default(), last: None, value: PhantomData }
    }

    /// Reads one value; `None` is a tombstone. Never blocks.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Failed`] blames the record: as the table of the crate has it, and
    /// `cannot-resolve` for a datum that does not fit `T`. [`DecodeError::Unresolved`] blames nobody
    /// yet.
    pub fn decode(&mut self, value: Option<&[u8]>) -> Result<T, DecodeError> {
        let Frame { schema_id, body } = frame::split(value).map_err(DecodeError::Failed)?;
        let writer = match &self.last {
            Some((id, writer)) if *id == schema_id => writer,
            _ => {
                let writer = self.schema(schema_id)?;
                &self.last.insert((schema_id, writer)).1
            }
        };
        read(&writer.shapes, body).map_err(|error| {
            let (reason, detail) = match error {
                AnyError::Malformed(malformed) => (
                    FailureReason::AvroDecode,
                    format!("{} at byte {} of the datum", malformed.what, malformed.at_byte),
                ),
                AnyError::Trailing(bytes) => (
                    FailureReason::TrailingBytes,
                    format!("{bytes} bytes are left after the datum"),
                ),
                AnyError::Unfit(detail) => (FailureReason::CannotResolve, detail),
            };
            DecodeError::Failed(Failure { reason, schema_id: Some(schema_id), detail })
        })
    }

    fn schema(&mut self, schema_id: u32) -> Result<Arc<WriterSchema>, DecodeError> {
        if let Some(writer) = self.known.get(&schema_id) {
            return Ok(Arc::clone(writer));
        }
        let writer = self.resolver.get(schema_id).into_schema(schema_id)?;
        if self.known.len() >= SCHEMAS_MAX {
            self.known.clear();
        }
        self.known.insert(schema_id, Arc::clone(&writer));
        Ok(writer)
    }
}
