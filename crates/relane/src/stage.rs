//! The interface between the path of a record and the application.
//!
//! Lanes, retries, dead letters, windows and transactions are the same for every pipeline. A
//! [`Stage`] says how a record is decoded, what one attempt at it does to the state of its
//! partition, what it emits, and how that state is written and read back.

mod delivery;
mod handle_error;
mod names;

use codec::decode::DecodeError;
use pipeline::failure::{Failure, FailureClass};

pub use self::delivery::{Delivery, Work, idle_work};
pub use self::handle_error::HandleError;
pub use self::names::{SettingNames, Words};

/// State of one partition: kept in memory, and durable in a compacted topic.
pub trait State: Default + std::fmt::Debug + Send {
    /// Whether the state is empty.
    fn is_empty(&self) -> bool;

    /// How many keys it holds.
    fn len(&self) -> usize;

    /// Forgets which keys changed, because their values are durable now.
    fn clear_touched(&mut self);

    /// Marks one key to be written again unchanged, if none changed and there is one: a state
    /// record also lists the settled records.
    fn touch_any(&mut self);
}

/// What one pipeline does with its records. Each lane has its own stage.
pub trait Stage: Send + 'static {
    /// A decoded record.
    type Input: Send;
    /// State of one partition.
    type State: State;
    /// Summary of a lane's states for health, gauges and statistics.
    type Summary: Clone + Default + Send + std::fmt::Debug + 'static;

    /// Decodes a record.
    ///
    /// # Errors
    ///
    /// As [`codec::decode::Decoder::decode`]: blames the record, or its schema is not known yet.
    fn decode(&mut self, value: Option<&[u8]>) -> Result<Self::Input, DecodeError>;

    /// Takes back a record that is done with: its memory may serve to decode the next one. Where it is needed
    /// longer it is not given back.
    fn recycle(&mut self, input: Self::Input) {
        drop(input);
    }

    /// The id of the schema in a value, for failures; `None` if values have none.
    fn schema_id(&self, value: Option<&[u8]>) -> Option<u32> {
        codec::frame::schema_id(value)
    }

    /// The record's name in the outcome log and for the detection of duplicates.
    fn name(&self, input: Self::Input) -> RecordId;

    /// Whether the record is valid, and so counts for the detection of duplicates.
    fn is_valid(&self, input: &Self::Input) -> bool;

    /// What the search for duplicates compares within a partition; `None` for the id of its
    /// [`name`](Self::name).
    fn identity(&self, input: &Self::Input, key: Option<&[u8]>) -> Option<String> {
        let _ = (input, key);
        None
    }

    /// Whether the stage has asynchronous work: then the lane calls [`Stage::start`] for each
    /// record first. Called once, when a lane starts.
    fn waits(&self) -> bool {
        false
    }

    /// Starts the work outside of Kafka for an attempt at a record. It runs on the async runtime
    /// while the lane continues, for as many records at once as the concurrency allows, and with
    /// key order for one record of a key. The lane calls [`Stage::handle`] after the work has
    /// succeeded.
    ///
    /// The work runs at least once. The lane drops it when its partition goes to another member,
    /// when the program stops, when the attempt exceeds the handler timeout, and when a turn is
    /// undone, as in an outage. Then, and after a crash, the lane starts it again for the same
    /// record, with the same idempotency key. The same applies to finished work of a turn that was
    /// not committed.
    fn start(&mut self, input: &Self::Input, delivery: &Delivery<'_>) -> Work {
        let _ = (input, delivery);
        Box::pin(std::future::ready(Ok(())))
    }

    /// Handles a record. State and emitted records must change last, and only if the result is
    /// `Ok`: a panic before that is a failure of this record, like a failure of something
    /// downstream.
    ///
    /// # Errors
    ///
    /// Fails as the application decides; the error says what is at fault.
    fn handle(
        &mut self,
        input: &Self::Input,
        context: Context<'_, '_, Self::State>,
    ) -> Result<(), HandleError>;

    /// Writes the changed keys of a state: key and framed value of each record, through `put`. A
    /// record that is written again unchanged keeps the time of its last change.
    ///
    /// # Errors
    ///
    /// Fails as `put` does.
    fn write_state<E>(
        &mut self,
        state: &mut Self::State,
        now_ms: i64,
        put: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
    ) -> Result<(), E>;

    /// Applies a state record that was read back; `false` while its schema is not known.
    ///
    /// # Errors
    ///
    /// Fails with a message for a record that no run of this pipeline can have written.
    fn read_state(
        &mut self,
        state: &mut Self::State,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<bool, String>;

    /// The stage's own data about a successfully handled record, for [`Stage::settled`].
    type Note: Send + std::fmt::Debug + 'static;

    /// Whether the lane calls [`Stage::settled`]. If so it keeps every attempt until its turn is
    /// committed, which costs allocations for each record.
    fn hears_settled(&self) -> bool {
        false
    }

    /// Returns the data about a record that was just handled successfully.
    fn note(&self, input: &Self::Input, state: &Self::State) -> Self::Note;

    /// Called after the commit of a turn, with the attempts that it settled, in order. Attempts
    /// that are not committed are not reported. They are also not reported after a crash between
    /// the commit and this call, or if the outcome of the commit becomes known only later. Without
    /// transactions, attempts that are repeated after a crash are reported again. The lane waits
    /// during this call.
    fn settled<'a>(&mut self, attempts: impl Iterator<Item = Settled<'a, Self::Note>>)
    where
        Self::Note: 'a,
    {
        drop(attempts);
    }

    /// Writes the outcome log's record of an attempt. The default is JSON: `id`,
    /// `subject`, `origin_partition`, `origin_offset`, `attempt`, `outcome`, `failure_class` and
    /// `settled_at_ms`.
    fn write_outcome(&mut self, outcome: &AttemptOutcome<'_>, value: &mut Vec<u8>) {
        let AttemptOutcome { name, attempt, settled_at_ms, .. } = outcome;
        let record = serde_json::json!({
            "id": name.id,
            "subject": name.subject,
            "origin_partition": outcome.origin_partition,
            "origin_offset": outcome.origin_offset,
            "attempt": attempt,
            "outcome": outcome.outcome.as_str(),
            "failure_class": outcome.class.map(FailureClass::as_str),
            "settled_at_ms": settled_at_ms,
        });
        value.extend_from_slice(record.to_string().as_bytes());
    }

    /// Summarizes the states of a lane.
    fn summarize<'a>(states: impl Iterator<Item = &'a Self::State>) -> Self::Summary
    where
        Self::State: 'a;
}

/// A record's context besides its content, and what an attempt may change.
pub struct Context<'r, 'a, T> {
    /// Number of this attempt; the first is 1.
    pub attempt: u32,
    /// How often the record was redriven from the dead-letter queue.
    pub redrives: u32,
    /// The last value of a header by name.
    pub header: &'a dyn Fn(&str) -> Option<&'r [u8]>,
    /// The value as it was read, for the schema id of a failure.
    pub value: Option<&'r [u8]>,
    /// State of the record's partition.
    pub state: &'a mut T,
    /// Records to be written to the output topic in the same transaction.
    pub emitted: &'a mut Vec<Emitted>,
    /// The partition; emitted records go to the same one.
    pub partition: i32,
}

/// An attempt that is settled.
#[derive(Debug, Clone, Copy)]
pub struct Settled<'a, N> {
    /// Partition of the main topic that the record comes from.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its name; empty if it could not be read.
    pub name: &'a RecordId,
    /// Number of the attempt; the first is 1.
    pub attempt: u32,
    /// Its outcome.
    pub fate: Fate<'a, N>,
}

/// The outcome of an attempt.
#[derive(Debug, Clone, Copy)]
pub enum Fate<'a, N> {
    /// The record was handled successfully; with the stage's data about it.
    Succeeded(&'a N),
    /// The record was not handled: an earlier one has the same id.
    Duplicate,
    /// It failed, and the record waits for its next attempt.
    Retried {
        /// Why it failed.
        failure: &'a Failure,
        /// When the next attempt is due, in epoch milliseconds.
        due_at_ms: i64,
    },
    /// The record was dead-lettered.
    DeadLettered(&'a Failure),
}

/// The application's name of a record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordId {
    /// Its id: two records with the same one are duplicates.
    pub id: String,
    /// What it is about, such as the product of an order; may be empty.
    pub subject: String,
}

/// The outcome of an attempt, as the outcome log has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptOutcome<'a> {
    /// Its name; empty if it could not be read.
    pub name: &'a RecordId,
    /// Partition of the main topic that the record comes from.
    pub origin_partition: i32,
    /// Its offset there.
    pub origin_offset: i64,
    /// Number of the attempt; the first is 1.
    pub attempt: u32,
    /// Its outcome.
    pub outcome: Outcome,
    /// Class of the failure, if it failed.
    pub class: Option<FailureClass>,
    /// When it was settled, in milliseconds since the Unix epoch.
    pub settled_at_ms: i64,
}

/// Possible outcomes of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The record was handled successfully.
    Succeeded,
    /// It was not handled: an earlier record has the same id.
    Duplicate,
    /// It failed, and the record waits for its next attempt.
    Retried,
    /// The record was dead-lettered.
    DeadLettered,
}

impl Outcome {
    /// As the outcome log writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Duplicate => "duplicate",
            Self::Retried => "retried",
            Self::DeadLettered => "dead-lettered",
        }
    }
}

/// A record that a stage emits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emitted {
    /// Partition of the output topic.
    pub partition: i32,
    /// Key.
    pub key: Box<[u8]>,
    /// Value, framed.
    pub value: Box<[u8]>,
    /// Headers, in order.
    pub headers: Vec<(&'static str, Box<[u8]>)>,
}
