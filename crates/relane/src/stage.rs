//! The interface between the path of a record and the application.
//!
//! Retries, dead letters, the order of keys and transactions are the same for every pipeline. A [`Stage`] says how a record
//! is decoded, what one attempt at it does to the state of its partition, what it emits, and how that state is written and
//! read back. Work outside of Kafka alone needs no stage: a [`Handler`](crate::Handler) is enough.

mod delivery;
mod handle_error;
mod names;

use std::borrow::Cow;

use codec::decode::DecodeError;
use pipeline::failure::{Failure, FailureClass};

pub use self::delivery::{Delivery, Work, idle_work};
pub use self::handle_error::HandleError;
pub use self::names::{SettingNames, Words};

/// State of one partition: kept in memory, and durable in a compacted topic. [`Table`](crate::table::Table) is one, for values by
/// key; [`NoState`](crate::NoState) is that of a stage without state.
pub trait State: Default + std::fmt::Debug + Send {
    /// Whether the state is empty.
    fn is_empty(&self) -> bool;

    /// How many keys it holds.
    fn len(&self) -> usize;

    /// Forgets which keys changed: their values are durable now.
    fn clear_touched(&mut self);

    /// Where no key changed, marks any one of them to be written again as it is: the engine notes in
    /// the headers of a state record which records are settled. Does nothing while there is no key.
    fn touch_any(&mut self);
}

/// What one pipeline does with its records. Each lane has its own stage, and calls it from its own thread, one call at a time:
/// nothing here may block for long, but for what [`start`](Self::start) returns.
///
/// A panic in [`decode`](Self::decode), [`start`](Self::start) or [`handle`](Self::handle) is a failure of its record. A panic elsewhere
/// ends the run with an error.
///
/// A stage that counts visits by page, and its test without a broker:
///
/// ```
/// use relane::settings::{EngineSettings, Topics};
/// use relane::stage::{Context, RecordId, Stage};
/// use relane::table::Table;
/// use relane::{DecodeError, HandleError, Pipeline, testing};
///
/// #[derive(Default)]
/// struct Visits;
///
/// impl Stage for Visits {
///     type Input = String;
///     type State = Table<Box<str>, u64>;
///     type Summary = u64;
///     type Note = ();
///
///     fn decode(&mut self, value: Option<&[u8]>) -> Result<String, DecodeError> {
///         Ok(String::from_utf8_lossy(value.unwrap_or_default()).into_owned())
///     }
///
///     fn name(&self, page: String) -> RecordId {
///         RecordId { id: page, subject: String::new() }
///     }
///
///     fn is_valid(&self, _: &String) -> bool {
///         true
///     }
///
///     fn handle(
///         &mut self,
///         page: &String,
///         context: Context<'_, '_, Self::State>,
///     ) -> Result<(), HandleError> {
///         *context.state.entry(&**page) += 1;
///         Ok(())
///     }
///
///     fn write_state<E>(
///         &mut self,
///         state: &mut Self::State,
///         _now_ms: i64,
///         mut put: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
///     ) -> Result<(), E> {
///         state.touched().try_for_each(|(page, n)| put(page.as_bytes(), &n.to_be_bytes()))
///     }
///
///     fn read_state(
///         &mut self,
///         state: &mut Self::State,
///         key: Option<&[u8]>,
///         value: Option<&[u8]>,
///     ) -> Result<bool, String> {
///         let page = std::str::from_utf8(key.unwrap_or_default()).map_err(|error| error.to_string())?;
///         let count = value.map(<[u8; 8]>::try_from).transpose();
///         let count = count.map_err(|_| "a count has 8 bytes")?;
///         state.restore(page, count.map(u64::from_be_bytes));
///         Ok(true)
///     }
///
///     fn note(&self, _: &String, _: &Self::State) {}
///
///     fn summarize<'a>(states: impl Iterator<Item = &'a Self::State>) -> u64 {
///         states.flat_map(|state| state.iter().map(|(_, count)| *count)).sum()
///     }
/// }
///
/// let settings = Pipeline::builder("visits", testing::kafka()).partitions(1).settings()?;
/// let topics = Topics { state: Some("visits-state".to_owned()), ..settings.topics.clone() };
/// let settings = EngineSettings { topics, ..settings };
/// let mut pipeline = testing::with_stage(settings, Visits::default)?;
/// pipeline.send("ann", "/tea");
/// pipeline.send("bob", "/tea");
/// pipeline.settle()?;
/// pipeline.restart()?;
/// let state = pipeline.state(0).expect("it was read back");
/// assert_eq!(state.get("/tea"), Some(&2));
/// # Ok::<(), relane::Error>(())
/// ```
///
/// [`Engine`](crate::Engine) shows how it is run on real brokers.
pub trait Stage: Send + 'static {
    /// A decoded record.
    type Input: Send;
    /// State of one partition.
    type State: State;
    /// What [`summarize`](Self::summarize) tells of a lane's states.
    type Summary: Clone + Default + Send + std::fmt::Debug + 'static;

    /// Decodes a record; `None` is a tombstone. A record is decoded again at each attempt.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Failed`] blames the record. Where its class is not transient the record is a dead letter at once.
    /// [`DecodeError::Unresolved`] blames nobody: the record waits until its schema is known.
    fn decode(&mut self, value: Option<&[u8]>) -> Result<Self::Input, DecodeError>;

    /// Takes back a record that is done with, so that its memory can serve to decode the next one. Not every record
    /// comes back. By default it is dropped.
    fn recycle(&mut self, input: Self::Input) {
        drop(input);
    }

    /// The id of the schema in a value, for failures; `None` if values have none. By default it is read from Confluent's
    /// frame.
    fn schema_id(&self, value: Option<&[u8]>) -> Option<u32> {
        codec::frame::schema_id(value)
    }

    /// The record's name in the outcome log and for the search for duplicates.
    fn name(&self, input: Self::Input) -> RecordId;

    /// Whether the search for duplicates counts the record; one that breaks a rule is no original.
    fn is_valid(&self, input: &Self::Input) -> bool;

    /// What the search for duplicates compares within a partition; `None` for the id of its
    /// [`name`](Self::name). Where the input holds this text, it is to be borrowed: then the search makes no copy
    /// of it, and decodes no record twice.
    fn identity<'i>(&self, input: &'i Self::Input, key: Option<&'i [u8]>) -> Option<Cow<'i, str>> {
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
    /// # Cancel safety
    ///
    /// The work runs at least once. The lane drops it when its partition goes to another member,
    /// when the program stops, when the attempt exceeds the handler timeout, and when a
    /// transaction is given up, as at the beginning of an outage. Then, and after a crash, the lane
    /// starts it again for the same record, with the same idempotency key. The same applies to
    /// finished work whose transaction was not committed.
    fn start(&mut self, input: &Self::Input, delivery: &Delivery<'_>) -> Work {
        let _ = (input, delivery);
        Box::pin(std::future::ready(Ok(())))
    }

    /// Handles a record: changes the state, and emits records. Both must be the last that it does, and only where the
    /// result is `Ok`: neither an error nor a panic takes a change of the state back.
    ///
    /// # Errors
    ///
    /// Fails as the application decides; the error says what is at fault. After a panic the record is tried again, as
    /// after a transient failure with the reason `handler`.
    fn handle(
        &mut self,
        input: &Self::Input,
        context: Context<'_, '_, Self::State>,
    ) -> Result<(), HandleError>;

    /// Writes the changed keys of a state: key and value of each record, through `put`. `now_ms` is the time, in
    /// milliseconds since the Unix epoch. Where a record holds the time of its last change, one that is written
    /// again unchanged ([`State::touch_any`]) must keep it.
    ///
    /// # Errors
    ///
    /// Fails as `put` does, and must then not go on.
    fn write_state<E>(
        &mut self,
        state: &mut Self::State,
        now_ms: i64,
        put: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
    ) -> Result<(), E>;

    /// Applies a state record that was read back; of a key the last one counts. Returns `false` while the schema of the
    /// record is not known: then it comes again.
    ///
    /// # Errors
    ///
    /// Fails with a message for a record that no run of this pipeline can have written: the run ends.
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

    /// Called after each commit, with the attempts that it settled, in order. Attempts that are not
    /// committed are not reported. Committed ones are not reported either after a crash between the
    /// commit and this call, or if the outcome of the commit becomes known only later. Without
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

    /// Summarizes the states of a lane, a few times a second, or less often where it takes long (a twentieth of the lane's time,
    /// each 5 s at least), for [`Watcher::summaries`](crate::Watcher::summaries) and
    /// [`Engine::summaries`](crate::Engine::summaries).
    fn summarize<'a>(states: impl Iterator<Item = &'a Self::State>) -> Self::Summary
    where
        Self::State: 'a;
}

/// What an attempt knows of its record besides the content, and what it may change.
pub struct Context<'r, 'a, T> {
    /// Number of this attempt; the first is 1.
    pub attempt: u32,
    /// How often the record was redriven from the dead-letter queue.
    pub redrives: u32,
    /// Finds the last value of a header by its name.
    pub header: &'a dyn Fn(&str) -> Option<&'r [u8]>,
    /// The value as it was read, for the schema id of a failure.
    pub value: Option<&'r [u8]>,
    /// State of the record's partition.
    pub state: &'a mut T,
    /// Records to be written to the output topic in the same transaction.
    pub emitted: &'a mut Vec<Emitted>,
    /// The record's partition. Emitted records should go to the same one, as everything else of it does.
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

/// One record of the outcome log.
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
    /// The word for it in the outcome log.
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
    /// Value, as it is written: in its frame, where it has one.
    pub value: Box<[u8]>,
    /// Headers, in order.
    pub headers: Vec<(&'static str, Box<[u8]>)>,
}
