//! The seam between the path of a record and the business.
//!
//! Lanes, retries, dead letters, windows and transactions are the same for every pipeline. A
//! [`Stage`] says how a record is decoded, what one attempt at it does to the state of its
//! partition, what it emits, and how that state is written and read back.

use codec::decode::DecodeError;
use orders::Amount;
use pipeline::averages::Averages;
use pipeline::failure::Failure;

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

impl State for Averages {
    fn is_empty(&self) -> bool {
        self.partials().is_empty()
    }

    fn len(&self) -> usize {
        self.partials().len()
    }

    fn clear_touched(&mut self) {
        Self::clear_touched(self);
    }

    fn touch_any(&mut self) {
        Self::touch_any(self);
    }
}

/// What one pipeline does with its records. Each lane has one of its own.
pub trait Stage: Send + 'static {
    /// A decoded record.
    type Input;
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

    /// What the outcome log and the search for duplicates call the record.
    fn names(&self, input: Self::Input) -> Names;

    /// Whether the record counts for the search for duplicates: it is valid.
    fn is_valid(&self, input: &Self::Input) -> bool;

    /// Handles a record. State and emitted records change only if the answer is `Ok`, and last: a
    /// panic before is a failure of this record, as one that something downstream caused.
    ///
    /// # Errors
    ///
    /// Fails as the business says, and says whom it blames.
    fn handle(
        &mut self,
        input: &Self::Input,
        trial: Trial<'_, '_, Self::State>,
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

/// What is known of a record besides its content, and what an attempt may change.
pub struct Trial<'r, 'a, T> {
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
    pub names: &'a Names,
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

/// What an order is called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// Its id.
    pub order_id: String,
    /// Its product.
    pub product: String,
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

/// Words in which messages and hints name the parts of a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Words {
    /// The program, and what of it must be said to start this pipeline.
    pub program: &'static str,
    /// What its state is, in the plural.
    pub state: &'static str,
    /// Flags of the program that hints propose.
    pub flags: HintFlags,
}

/// Flags that hints propose. An empty one does not exist: a topic without a flag is named after
/// the main topic or the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HintFlags {
    /// Names the group.
    pub group: &'static str,
    /// Names the state topic.
    pub state: &'static str,
    /// Names the retry topic.
    pub retry: &'static str,
    /// Names the dead-letter topic.
    pub dead_letter: &'static str,
    /// Names the outcome log.
    pub outcomes: &'static str,
    /// Names the topic of emitted records.
    pub output: &'static str,
    /// Gives up whatever fails, without a limit.
    pub no_dead_letter_limit: &'static str,
    /// Keeps settled retries.
    pub no_trim: &'static str,
}

/// Count and exact sum of a product.
pub type Total = (u64, Amount);
