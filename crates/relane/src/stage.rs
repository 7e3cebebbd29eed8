//! The seam between the path of a record and the business.
//!
//! Lanes, retries, dead letters, windows and transactions are the same for every pipeline. A
//! [`Stage`] says how a record is decoded, what one attempt at it does to the state of its
//! partition, what it emits, and how that state is written and read back.

mod delivery;
mod names;

use codec::decode::DecodeError;
use pipeline::failure::{Failure, FailureClass, FailureReason, ReasonName};

pub use self::delivery::{Delivery, Work, idle_work};
pub use self::names::{SettingNames, Words};

/// State of one partition: kept in memory, and durable in a compacted topic.
pub trait State: Default + std::fmt::Debug + Send {
    /// Whether nothing was ever counted.
    fn is_empty(&self) -> bool;

    /// How many keys it holds.
    fn len(&self) -> usize;

    /// Forgets which keys changed: their values are durable.
    fn clear_touched(&mut self);

    /// Has one key written again as it is, if none changed and there is any: a record of the
    /// state also notes what is settled.
    fn touch_any(&mut self);
}

/// What one pipeline does with its records. Each lane has one of its own.
pub trait Stage: Send + 'static {
    /// A decoded record.
    type Input: Send;
    /// What is kept of each partition.
    type State: State;
    /// What health, gauges and statistics see of the states of a lane.
    type Summary: Clone + Default + Send + std::fmt::Debug + 'static;

    /// Decodes a record.
    ///
    /// # Errors
    ///
    /// As [`codec::decode::Decoder::decode`]: blames the record, or its schema is not known yet.
    fn decode(&mut self, value: Option<&[u8]>) -> Result<Self::Input, DecodeError>;

    /// The id of the schema that a value names, for what a failure says of it; `None` where values name
    /// none.
    fn schema_id(&self, value: Option<&[u8]>) -> Option<u32> {
        codec::frame::schema_id(value)
    }

    /// What the outcome log and the search for duplicates call the record.
    fn name(&self, input: Self::Input) -> RecordId;

    /// Whether the record counts for the search for duplicates: it is valid.
    fn is_valid(&self, input: &Self::Input) -> bool;

    /// Whether handlers wait: each record is given to [`Stage::start`] first. Asked once, when a lane
    /// starts.
    fn waits(&self) -> bool {
        false
    }

    /// Starts the work outside of Kafka that an attempt at a record waits for. It runs on the runtime
    /// while the lane goes on, for as many records at once as the concurrency allows, and with
    /// `--order key` for one record of a key. [`Stage::handle`] is called when it has ended well.
    ///
    /// At least once: it is dropped where it waits when its partition goes to another member, when
    /// the program stops, when the attempt takes longer than the handler timeout, and when a turn is
    /// undone, as at an outage; then, and after a crash, it is started again for the same record, with
    /// the same idempotency key. So is work that has ended in a turn that was not committed.
    fn start(&mut self, input: &Self::Input, delivery: &Delivery<'_>) -> Work {
        let _ = (input, delivery);
        Box::pin(std::future::ready(Ok(())))
    }

    /// Handles a record. State and emitted records change only if the answer is `Ok`, and last: a
    /// panic before is a failure of this record, as one that something downstream caused.
    ///
    /// # Errors
    ///
    /// Fails as the business says, and says whom it blames.
    fn handle(
        &mut self,
        input: &Self::Input,
        context: Context<'_, '_, Self::State>,
    ) -> Result<(), HandleError>;

    /// Writes what changed of a state: key and framed value of each record, through `put`. What is
    /// written again as it is keeps the time of its last change.
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

    /// Takes a state record in that was read back; `false` while its schema is not known.
    ///
    /// # Errors
    ///
    /// Fails with words for a record that no run of this pipeline can have written.
    fn read_state(
        &mut self,
        state: &mut Self::State,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<bool, String>;

    /// What is noted of a record that was handled well, for [`Stage::settled`].
    type Note: Send + std::fmt::Debug + 'static;

    /// Whether [`Stage::settled`] is to be called. If so every attempt is noted until its turn is
    /// committed, which costs allocations for each record.
    fn hears_settled(&self) -> bool {
        false
    }

    /// Notes what is to be told of a record that was handled well just now.
    fn note(&self, input: &Self::Input, state: &Self::State) -> Self::Note;

    /// Hears of the attempts that a turn has settled, in their order, after its commit. What is not
    /// committed is not told. A crash between commit and this call leaves them untold, and so does a
    /// commit whose outcome is found out only later; without transactions, what is repeated after a
    /// crash is told again. The lane stands still meanwhile.
    fn settled<'a>(&mut self, attempts: impl Iterator<Item = Settled<'a, Self::Note>>)
    where
        Self::Note: 'a,
    {
        drop(attempts);
    }

    /// Writes the outcome log's record of an attempt. Without a schema of one's own it is JSON: `id`,
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

    /// Sums the states of a lane up.
    fn summarize<'a>(states: impl Iterator<Item = &'a Self::State>) -> Self::Summary
    where
        Self::State: 'a;
}

/// Why a record could not be handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HandleError {
    /// This attempt at this record failed. Its class decides whether it is tried again.
    Failed(Failure),
    /// Something that the handler asked failed. One record may be to blame; where the records of
    /// many keys meet the same failure, it is an outage.
    Downstream(Failure),
    /// Something that every record needs is away; in words. No record is to blame: the pipeline
    /// waits, and nothing is retried or dead-lettered.
    Away(String),
}

impl HandleError {
    /// This record failed, and no later attempt can succeed: it becomes a dead letter of class
    /// `refused`.
    ///
    /// ```
    /// use relane::{HandleError, ReasonName};
    ///
    /// const BAD_ADDRESS: ReasonName = ReasonName::of("bad-address");
    /// let error = HandleError::permanent(BAD_ADDRESS, "no @ in the address");
    /// assert!(matches!(error, HandleError::Failed(failure) if !failure.class().is_transient()));
    /// ```
    pub fn permanent(reason: ReasonName, detail: impl Into<String>) -> Self {
        Self::Failed(failure(FailureReason::Permanent(reason), detail))
    }

    /// This record failed, and a later attempt may succeed: it is tried again after the retry delays,
    /// and becomes a dead letter of class `transient` when its attempts are used up.
    pub fn transient(reason: ReasonName, detail: impl Into<String>) -> Self {
        Self::Failed(failure(FailureReason::Transient(reason), detail))
    }

    /// Something that the handler asked failed, and may fail for every record: as
    /// [`transient`](Self::transient), but where the records of 20 keys meet it in a row, the
    /// pipeline waits: no attempt is used up from then on.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::Downstream(failure(FailureReason::Handler, detail))
    }

    /// Something that every record needs is away: the pipeline waits at once.
    pub fn away(detail: impl Into<String>) -> Self {
        Self::Away(detail.into())
    }
}

fn failure(reason: FailureReason, detail: impl Into<String>) -> Failure {
    Failure { reason, schema_id: None, detail: detail.into() }
}

/// What is known of a record besides its content, and what an attempt may change.
pub struct Context<'r, 'a, T> {
    /// Number of this attempt; the first is 1.
    pub attempt: u32,
    /// How often the record was redriven from the dead-letter queue.
    pub redrives: u32,
    /// The last value of a header by name.
    pub header: &'a dyn Fn(&str) -> Option<&'r [u8]>,
    /// The value as it was read, for what a failure says of its schema.
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
    /// What it is called; empty where it could not be read.
    pub name: &'a RecordId,
    /// Number of the attempt; the first is 1.
    pub attempt: u32,
    /// What became of it.
    pub fate: Fate<'a, N>,
}

/// What became of an attempt.
#[derive(Debug, Clone, Copy)]
pub enum Fate<'a, N> {
    /// The record was handled well; with what the stage noted of it.
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
    /// The record was given up.
    DeadLettered(&'a Failure),
}

/// What the business calls a record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordId {
    /// Its id: two records with the same one are duplicates.
    pub id: String,
    /// What it is about, such as the product of an order; may be empty.
    pub subject: String,
}

/// What became of an attempt, as the outcome log has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptOutcome<'a> {
    /// What the record is called; empty where it could not be read.
    pub name: &'a RecordId,
    /// Partition of the main topic that the record comes from.
    pub origin_partition: i32,
    /// Its offset there.
    pub origin_offset: i64,
    /// Number of the attempt; the first is 1.
    pub attempt: u32,
    /// What became of it.
    pub outcome: Outcome,
    /// Class of the failure, if it failed.
    pub class: Option<FailureClass>,
    /// When it was settled, in milliseconds since the Unix epoch.
    pub settled_at_ms: i64,
}

/// What may become of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The record was handled well.
    Succeeded,
    /// It was not handled: an earlier record has the same id.
    Duplicate,
    /// It failed, and the record waits for its next attempt.
    Retried,
    /// The record was given up.
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
