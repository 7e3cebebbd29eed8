//! Produces the records of one turn and commits them together with the source offsets.

mod context;
mod offsets;

use std::ffi::{CStr, CString};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pipeline::record::Offset;
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaResult, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, Producer};

use crate::acquaintance::meet_broker;
use crate::client_config::set_defaults;
use crate::member::{AskError, Member, OffsetCommit};
use crate::native::{self, Outgoing, RecordHeaders};
use crate::permission::{Needs, missing};
use crate::reports::take_reports;
pub use crate::write_error::{Refused, WriteError};
use crate::write_error::{is_fence, is_size, requires_abort, sort, sort_code, sort_native};

use self::context::WriterContext;
use self::offsets::{OffsetsThread, chunks};

/// Largest record that the producer itself lets through, in bytes: above any broker's limit,
/// so that the broker decides.
const MESSAGE_BYTES_MAX: &str = "104857600";

/// Timeout of a transaction at the coordinator. It is short, because the open transaction of a dead
/// writer holds up every reader for this long.
pub const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest wait for the acknowledgements of one turn.
const ACKNOWLEDGE_MAX: Duration = Duration::from_secs(8);

/// Longest wait for an answer of the transaction coordinator.
const COORDINATOR_MAX: Duration = Duration::from_secs(8);

/// Events read at one go.
const EVENTS_MAX: usize = 256;

/// Pause between looks at the delivery reports.
const ACKNOWLEDGE_PAUSE: Duration = Duration::from_micros(200);

/// Wait for the report about the record that failed a transaction.
const REPORTS_MAX: Duration = Duration::from_millis(50);

/// Tag of a record whose delivery nobody asks about.
pub const NO_TAG: usize = usize::MAX;

/// How records and offsets become durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guarantee {
    /// Records and offsets in one transaction: a crash repeats nothing that was written.
    ExactlyOnce,
    /// Records first, then offsets: after a crash between the two, records are written again.
    AtLeastOnce,
}

/// Producer of one lane.
pub struct Writer {
    /// Before the producer, which it holds as well: the last one to be dropped ends it.
    offsets: Option<OffsetsThread>,
    producer: Arc<BaseProducer<WriterContext>>,
    guarantee: Guarantee,
    transactional_id: String,
    in_transaction: bool,
    /// When the last transaction was begun.
    begun_at: Instant,
}

impl Writer {
    /// Makes a writer. With [`Guarantee::ExactlyOnce`] it takes over `transactional_id`:
    /// an open transaction of the id is aborted, and its other holders are fenced.
    ///
    /// # Errors
    ///
    /// Fails with [`WriteError::Unknown`] while the brokers do not answer (`limit`), else for
    /// settings or permissions.
    pub fn open(
        config: &ClientConfig,
        guarantee: Guarantee,
        transactional_id: &str,
        limit: Duration,
    ) -> Result<Self, WriteError> {
        let producer = Self::create(config, guarantee, transactional_id)
            .map_err(|error| WriteError::Denied(error.to_string()))?;
        let producer = Arc::new(producer);
        let mut offsets = None;
        if guarantee == Guarantee::ExactlyOnce {
            let needs = Needs::transactional_id(transactional_id);
            let begun_at = Instant::now();
            meet_broker(producer.client(), limit);
            let limit = limit.saturating_sub(begun_at.elapsed());
            producer.init_transactions(limit).map_err(|error| sort(&error, needs))?;
            let thread = OffsetsThread::start(Arc::clone(&producer));
            offsets = Some(thread.map_err(|error| WriteError::Unknown(error.to_string()))?);
        }
        let transactional_id = transactional_id.to_owned();
        let begun_at = Instant::now();
        Ok(Self { offsets, producer, guarantee, transactional_id, in_transaction: false, begun_at })
    }

    fn create(
        config: &ClientConfig,
        guarantee: Guarantee,
        transactional_id: &str,
    ) -> KafkaResult<BaseProducer<WriterContext>> {
        let mut config = config.clone();
        let timeout_ms = TRANSACTION_TIMEOUT.as_millis().to_string();
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("message.max.bytes", MESSAGE_BYTES_MAX)
            .set("queue.buffering.max.messages", "1000000")
            .set("retry.backoff.ms", "2") // else each back-to-back transaction waits 100 ms
            .set("retry.backoff.max.ms", "100")
            .set("log.connection.close", "true") // else that line is not written
            .set_log_level(RDKafkaLogLevel::Info); // the lost coordinator is told at Info
        set_defaults(&mut config, [("linger.ms", "0"), ("message.timeout.ms", &timeout_ms)]);
        if guarantee == Guarantee::ExactlyOnce {
            config
                .set("message.timeout.ms", &timeout_ms)
                .set("transactional.id", transactional_id)
                .set("transaction.timeout.ms", &timeout_ms);
        }
        config.create_with_context(WriterContext::default())
    }

    /// Whether the writer must be replaced before its next turn: a request to the coordinator
    /// may have been lost, and its late arrival could commit another transaction half-way.
    pub fn must_be_replaced(&self) -> bool {
        self.read_events();
        self.guarantee == Guarantee::ExactlyOnce
            && self.producer.context().events.coordinator_lost()
    }

    /// Reads what librdkafka has reported. Log lines wait in a queue until they are read, and
    /// neither a commit nor an abort reads them.
    fn read_events(&self) {
        for _ in 0..EVENTS_MAX {
            if self.producer.in_flight_count() == 0 {
                break; // it counts events that were not read as well
            }
            self.producer.poll(Duration::ZERO);
        }
    }

    /// Where the records with a tag were written since the last call.
    pub fn take_delivered(&self) -> Vec<(usize, Offset)> {
        std::mem::take(&mut *self.producer.context().delivered.lock().expect("not poisoned"))
    }

    /// Opens the turn's transaction.
    ///
    /// # Errors
    ///
    /// Fails as librdkafka says.
    pub fn begin(&mut self) -> Result<(), WriteError> {
        self.producer.context().refused.lock().expect("no panic while held").clear();
        self.producer.context().delivered.lock().expect("no panic while held").clear();
        if self.guarantee == Guarantee::ExactlyOnce {
            self.producer.begin_transaction().map_err(|error| sort(&error, self.needs()))?;
        }
        self.in_transaction = true;
        self.begun_at = Instant::now();
        Ok(())
    }

    /// What an error of this writer was about. Whatever fails in the wake of a fence does not tell
    /// of it, and a fence does not tell whose doing it was.
    pub fn explain(&self, error: WriteError) -> WriteError {
        let fence = match (self.producer.client().fatal_error(), &error) {
            (Some((code, text)), _) if is_fence(code) => text,
            (_, WriteError::Fenced(text)) => text.clone(),
            _ => return error,
        };
        if self.begun_at.elapsed() < TRANSACTION_TIMEOUT {
            return WriteError::Fenced(fence);
        }
        // The coordinator gives such a transaction up and fences its producer, by itself.
        WriteError::Unknown(format!(
            "the transaction exceeded its {} s: {fence}",
            TRANSACTION_TIMEOUT.as_secs()
        ))
    }

    /// Produces one record. Waits for room when the queue is full, at most
    /// the time that acknowledgements may take.
    ///
    /// # Errors
    ///
    /// Fails when the transaction has failed meanwhile.
    pub fn produce(
        &self,
        topic: &CStr,
        partition: i32,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: Option<&RecordHeaders>,
        tag: usize,
    ) -> Result<(), WriteError> {
        let mut full_since = None; // the clock is read only where there is no room
        loop {
            let headers = headers.cloned();
            let record = Outgoing { topic, partition, key, value, headers };
            match native::produce(&self.producer, record, tag) {
                Ok(()) => return Ok(()),
                Err(error)
                    if error.code == RDKafkaErrorCode::QueueFull
                        && full_since.get_or_insert_with(Instant::now).elapsed()
                            < ACKNOWLEDGE_MAX =>
                {
                    self.producer.poll(Duration::ZERO);
                    std::thread::sleep(ACKNOWLEDGE_PAUSE);
                }
                Err(error) if is_size(error.code) => {
                    let mut refused = self.producer.context().refused.lock().expect("not poisoned");
                    refused.push(Refused { tag, code: error.code });
                    return Ok(());
                }
                Err(error) => return Err(self.blame(sort_native(&error, self.needs()))),
            }
        }
    }

    /// A refused record fails its transaction at once, and everything after it: blames the
    /// record, not what followed.
    fn blame(&self, error: WriteError) -> WriteError {
        if self.guarantee == Guarantee::AtLeastOnce || !matches!(error, WriteError::Failed(_)) {
            return error;
        }
        self.producer.poll(REPORTS_MAX);
        let refused = std::mem::take(
            &mut *self.producer.context().refused.lock().expect("no panic while held"),
        );
        if refused.iter().any(Refused::is_size) {
            return WriteError::Refused(refused);
        }
        match (self.denied(), refused.first()) {
            (Some(denied), _) => denied,
            (None, Some(first)) => {
                sort_code(first.code, &first.code.to_string(), false, self.needs())
            }
            (None, None) => error,
        }
    }

    fn needs(&self) -> Needs<'_> {
        Needs::transactional_id(&self.transactional_id)
    }

    /// The permission that a record met the lack of. In a transaction the record itself does not
    /// tell: it was only purged with all others.
    fn denied(&self) -> Option<WriteError> {
        let topic = self.producer.context().denied_topic.lock().expect("not poisoned").take()?;
        Some(WriteError::Denied(missing("Write", "topic", &topic)))
    }

    /// Waits until every produced record is acknowledged or refused.
    ///
    /// # Errors
    ///
    /// Fails with the refused records, or when the acknowledgements do not come in time.
    pub fn acknowledged(&self) -> Result<(), WriteError> {
        self.acknowledged_within(ACKNOWLEDGE_MAX)
    }

    /// As [`Self::acknowledged`], with a limit of the caller's. Records are given up after `message.timeout.ms`, however:
    /// 10 s, unless the settings of a writer without transactions have another.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn acknowledged_within(&self, limit: Duration) -> Result<(), WriteError> {
        let give_up_at = Instant::now() + limit;
        let left = || u64::try_from(self.producer.in_flight_count()).unwrap_or_default();
        loop {
            if take_reports(&self.producer, left) == 0 {
                break;
            }
            if Instant::now() >= give_up_at {
                return Err(WriteError::Unknown("acknowledgements did not come in time".into()));
            }
            std::thread::sleep(ACKNOWLEDGE_PAUSE);
        }
        let refused = std::mem::take(
            &mut *self.producer.context().refused.lock().expect("no panic while held"),
        );
        if let Some(denied) = self.denied() {
            return Err(denied);
        }
        match refused.first() {
            None => Ok(()),
            // The others failed in its wake.
            Some(_) if refused.iter().any(Refused::is_size) => Err(WriteError::Refused(refused)),
            Some(other) => Err(sort_code(other.code, &other.code.to_string(), false, self.needs())),
        }
    }

    /// Makes the turn durable: offsets, then commit; `offsets_are_sent` is called in between.
    ///
    /// # Errors
    ///
    /// Fails as [`WriteError`] says; after anything but [`WriteError::Unknown`] and
    /// [`WriteError::Fenced`] call [`Self::abort`].
    pub fn commit(
        &mut self,
        member: &Member,
        offsets: &[OffsetCommit],
        offsets_are_sent: impl FnOnce(),
    ) -> Result<(), WriteError> {
        match self.guarantee {
            Guarantee::ExactlyOnce => {
                for chunk in chunks(offsets) {
                    self.send_offsets(member, chunk)?;
                }
                offsets_are_sent();
                self.commit_transaction()?;
            }
            Guarantee::AtLeastOnce => {
                for chunk in chunks(offsets) {
                    member.commit(chunk).map_err(|error| match error {
                        AskError::MetadataTooLarge => WriteError::MetadataTooLarge,
                        AskError::Refused(text) => WriteError::Denied(text),
                        AskError::Undecided => WriteError::Unknown(error.to_string()),
                        AskError::Away(text) | AskError::Fenced(text) => {
                            WriteError::StaleMember(text)
                        }
                    })?;
                }
            }
        }
        self.in_transaction = false;
        Ok(())
    }

    /// Makes records durable that belong to no offsets: all of them, or none.
    ///
    /// # Errors
    ///
    /// As [`Self::commit`].
    pub fn commit_records(&mut self) -> Result<(), WriteError> {
        if self.guarantee == Guarantee::ExactlyOnce {
            self.commit_transaction()?;
        }
        self.in_transaction = false;
        Ok(())
    }

    fn commit_transaction(&self) -> Result<(), WriteError> {
        self.producer.commit_transaction(COORDINATOR_MAX).map_err(|error| {
            match sort(&error, self.needs()) {
                // An answer that did not come, or came as "try again", leaves it open.
                WriteError::Failed(text) if !requires_abort(&error) => WriteError::Unknown(text),
                sorted => sorted,
            }
        })
    }

    /// Gives up the turn's transaction, if one is open.
    ///
    /// # Errors
    ///
    /// Fails when the outcome is unknown; the writer must then be replaced.
    pub fn abort(&mut self) -> Result<(), WriteError> {
        if !std::mem::take(&mut self.in_transaction) || self.guarantee == Guarantee::AtLeastOnce {
            return Ok(());
        }
        self.producer.abort_transaction(COORDINATOR_MAX).map_err(|error| {
            match sort(&error, self.needs()) {
                WriteError::Fenced(text) => WriteError::Fenced(text),
                other => WriteError::Unknown(other.to_string()),
            }
        })
    }
}

/// Name of a topic in the form that producing takes, made once.
///
/// # Panics
///
/// Panics for a name with a NUL byte, which settings refuse.
pub fn topic_name(topic: &str) -> CString {
    CString::new(topic).expect("topic names hold no NUL")
}
