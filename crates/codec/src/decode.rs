//! Bytes to values.

use std::sync::Arc;
use std::time::Instant;

use hashbrown::HashMap;
use pipeline::failure::{Failure, FailureReason};

use crate::defaults::ReaderSchema;
use crate::frame::{self, Frame};
use crate::plan::{Plan, ReadError};
use crate::resolver::SchemaResolver;
use crate::scalar::AvroRecord;
use crate::writer_schema::WriterSchema;

/// Most plans that a decoder keeps. Beyond it all are dropped and compiled again as they are
/// needed: a plan costs some microseconds, and no healthy topic has this many schemas.
const PLANS_MAX: usize = 1_000;

/// Why a record could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The record is at fault, or its schema is: no later attempt will read it.
    #[error("the record is at fault: {}: {}", .0.reason.as_str(), .0.detail)]
    Failed(Failure),
    /// The schema is not known yet: nothing is said about the record. Ask again when
    /// [`SchemaResolver::generation`] has changed, or after a while.
    #[error("schema {schema_id} is not known yet: {}", .away.as_deref().unwrap_or("the registry is being asked for it"))]
    Unresolved {
        /// The id that the registry was asked for.
        schema_id: u32,
        /// Why the registry could not answer; `None` while it is being asked.
        away: Option<String>,
    },
}

/// Reads framed values of the record `T`; one per lane.
///
/// A value of a known schema takes no lock and allocates only what it owns itself.
#[derive(Debug)]
pub struct Decoder<T> {
    resolver: SchemaResolver,
    reader: ReaderSchema,
    plans: HashMap<u32, Arc<Planned>, foldhash::fast::FixedState>,
    /// The plan of the last value: most topics carry one schema at a time.
    last: Option<(u32, Arc<Planned>)>,
    record: std::marker::PhantomData<fn() -> T>,
}

#[derive(Debug)]
struct Planned {
    writer: Arc<WriterSchema>,
    /// The error says why the writer schema does not resolve.
    plan: Result<Plan, String>,
    made_at: Instant,
}

impl<T: AvroRecord> Decoder<T> {
    /// A decoder that asks this resolver for the schemas it meets.
    ///
    /// # Panics
    ///
    /// If the schema of `T` is not a record of scalars: a mistake in the program.
    pub fn new(resolver: SchemaResolver) -> Self {
        let reader = ReaderSchema::of::<T>().expect("a record's own schema is one of scalars");
        Self::with_reader(resolver, reader)
    }

    pub(crate) fn with_reader(resolver: SchemaResolver, reader: ReaderSchema) -> Self {
        Self {
            resolver,
            reader,
            plans: HashMap::default(),
            last: None,
            record: std::marker::PhantomData,
        }
    }

    /// Reads one value; `None` is a tombstone. Never blocks.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Failed`] blames the record, [`DecodeError::Unresolved`] nobody yet. The
    /// table in the crate's documentation has all cases.
    pub fn decode(&mut self, value: Option<&[u8]>) -> Result<T::Value, DecodeError> {
        let mut read = T::blank();
        self.decode_into(value, &mut read).map(|()| read)
    }

    /// As [`Self::decode`], but in place of a value that was read before and is done with: nothing is allocated
    /// where it has room.
    ///
    /// # Errors
    ///
    /// As [`Self::decode`]. Some of the fields may be those of the new value then.
    pub fn decode_into(
        &mut self,
        value: Option<&[u8]>,
        spare: &mut T::Value,
    ) -> Result<(), DecodeError> {
        let Frame { schema_id, body } = frame::split(value).map_err(DecodeError::Failed)?;
        let planned = match &self.last {
            Some((id, planned)) if *id == schema_id && planned.plan.is_ok() => planned,
            _ => {
                let planned = self.planned(schema_id)?;
                &self.last.insert((schema_id, planned)).1
            }
        };
        let failed = |reason, detail| {
            DecodeError::Failed(Failure { reason, schema_id: Some(schema_id), detail })
        };
        match &planned.plan {
            Ok(plan) => plan.read::<T>(&planned.writer, body, spare).map_err(|error| {
                let (reason, detail) = blame(&error);
                failed(reason, detail)
            }),
            Err(detail) => Err(failed(FailureReason::CannotResolve, detail.clone())),
        }
    }

    fn planned(&mut self, schema_id: u32) -> Result<Arc<Planned>, DecodeError> {
        if let Some(planned) = self.plans.get(&schema_id) {
            if planned.plan.is_ok() || planned.made_at.elapsed() < self.resolver.unusable_ttl() {
                return Ok(Arc::clone(planned));
            }
            // That it does not resolve is no reason to believe so for ever.
            self.resolver.doubt(schema_id, &planned.writer);
            self.plans.remove(&schema_id);
        }
        let writer = self.resolver.get(schema_id).into_schema(schema_id)?;
        let plan = Plan::compile(&writer, &self.reader);
        let planned = Arc::new(Planned { writer, plan, made_at: Instant::now() });
        if self.plans.len() >= PLANS_MAX {
            self.plans.clear();
        }
        self.plans.insert(schema_id, Arc::clone(&planned));
        Ok(planned)
    }
}

/// Whose fault a datum is that could not be read.
fn blame(error: &ReadError) -> (FailureReason, String) {
    match error {
        ReadError::Malformed(malformed) => (
            FailureReason::AvroDecode,
            format!("{} at byte {} of the datum", malformed.what, malformed.at_byte),
        ),
        ReadError::Unresolvable(what) => (FailureReason::CannotResolve, (*what).to_owned()),
        ReadError::Trailing(bytes) => {
            (FailureReason::TrailingBytes, format!("{bytes} bytes are left after the datum"))
        }
    }
}
