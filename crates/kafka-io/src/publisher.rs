//! A producer without transactions: idempotent, acknowledged by all in-sync replicas, bounded.

mod brake;
mod context;
mod topic;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, PurgeConfig};

use self::brake::Brake;
use self::context::Context;
use self::topic::partition_count_seen_by;
pub use self::topic::{TopicError, partition_count};
use crate::client_config::{KafkaSettings, Role, set_defaults};
use crate::reports::take_reports;

/// Default time after which librdkafka stops trying to deliver a record.
pub const DELIVERY_TIMEOUT_DEFAULT: Duration = Duration::from_secs(300);

/// Records that may wait in the queue; beyond it publishing waits. A user may change both limits.
const QUEUE_RECORDS_MAX: &str = "50000";
/// Kibibytes that may wait in the queue.
const QUEUE_KBYTES_MAX: &str = "65536";
/// How long records are gathered into one request.
const LINGER_MS: &str = "5";
/// Waiting for room in the queue happens in slices of this length.
const QUEUE_FULL_SLICE: Duration = Duration::from_millis(5);
/// Deliveries are handled with each record while fewer are in flight, and else with one of so many: it costs as much as to
/// take a record.
const REPORTS_EVERY: u64 = 16;

/// Pause between two looks for delivery reports, while some are awaited, and while none is.
const REPORT_EVERY: Duration = Duration::from_millis(1);
const QUIET_EVERY: Duration = Duration::from_millis(5);
/// Without an acknowledgement for this long while records are in flight, the brokers hang.
pub const SILENCE_MAX: Duration = Duration::from_secs(3);
/// `poll` of the client library never returns early, so flushing looks this often.
const FLUSH_SLICE: Duration = Duration::from_millis(5);

/// Where a record was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// Partition of the topic.
    pub partition: i32,
    /// Offset in the partition.
    pub offset: i64,
}

/// The result of one record.
#[derive(Debug)]
pub struct Delivery<'a> {
    /// The number that the record was published with.
    pub sequence: usize,
    /// The record's key.
    pub key: Option<&'a [u8]>,
    /// The record's value.
    pub value: Option<&'a [u8]>,
    /// Where it was written, or why it was not.
    pub outcome: Result<Placed, String>,
    /// The broker has refused the record itself: it is certainly not written. After any other
    /// failure it may be.
    pub is_refused: bool,
    /// The broker has refused the request for its size. All records in it are refused, also those that
    /// it would take without the others.
    pub is_too_large: bool,
}

/// Hears about every delivery, inside [`Publisher::publish`], [`Publisher::poll`] and
/// [`Publisher::flush`], on the thread that calls them.
pub trait DeliveryObserver: Send + Sync {
    /// Called exactly once for each record that was published.
    fn delivered(&self, delivery: &Delivery<'_>);
}

/// Why a record was not taken, or a publisher could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The queue is full: the brokers are slower than the caller, or unavailable.
    #[error("the queue of records to send is full")]
    QueueFull,
    /// The record is larger than a broker would take.
    #[error("a record of {bytes} bytes is too large")]
    TooLarge {
        /// Length of key and value.
        bytes: usize,
    },
    /// librdkafka cannot keep its promise any more; the publisher is of no further use.
    #[error("the producer has failed permanently: {0}")]
    Fatal(String),
    /// Anything else.
    #[error("the record cannot be sent: {0}")]
    Other(String),
}

/// Exact numbers of records: `sent = acknowledged + failed +` those still in flight.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Taken into the queue.
    pub sent: u64,
    /// Acknowledged by all in-sync replicas.
    pub acknowledged: u64,
    /// Given up, refused by the broker, or abandoned.
    pub failed: u64,
}

impl Counts {
    /// Returns how many are neither acknowledged nor failed.
    #[must_use]
    pub const fn in_flight(self) -> u64 {
        self.sent.saturating_sub(self.acknowledged).saturating_sub(self.failed)
    }
}

/// An idempotent producer with a bounded queue. One thread drives it.
///
/// Keys are placed as Java's default partitioner places them (murmur2).
pub struct Publisher<O: DeliveryObserver> {
    producer: BaseProducer<Context<O>>,
    sent: AtomicU64,
    brake: Brake,
}

impl<O: DeliveryObserver> std::fmt::Debug for Publisher<O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publisher").field("counts", &self.counts()).finish_non_exhaustive()
    }
}

impl<O: DeliveryObserver> Publisher<O> {
    /// Makes the producer; it connects in the background. Ask
    /// [`probe_brokers`](crate::client_config::probe_brokers) first whether anyone is there.
    ///
    /// # Errors
    ///
    /// Fails if librdkafka refuses the settings.
    pub fn new(
        settings: &KafkaSettings,
        delivery_timeout: Duration,
        observer: O,
    ) -> Result<Self, PublishError> {
        let mut config = settings.base(Role::Producer);
        let defaults = [
            ("queue.buffering.max.messages", QUEUE_RECORDS_MAX),
            ("queue.buffering.max.kbytes", QUEUE_KBYTES_MAX),
            ("linger.ms", LINGER_MS),
        ];
        set_defaults(&mut config, defaults);
        // Delivery depends on these, so they are set even where they are the default.
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("partitioner", "murmur2_random")
            .set("message.timeout.ms", delivery_timeout.as_millis().to_string());
        let context = Context::new(observer);
        let producer = config
            .create_with_context(context)
            .map_err(|error| PublishError::Other(error.to_string()))?;
        Ok(Self { producer, sent: AtomicU64::new(0), brake: Brake::default() })
    }

    /// Returns the number of partitions of `topic`; see [`partition_count`]. An answer also ends
    /// what [`away`](Self::away) says of brokers that were not reachable.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn partition_count(&self, topic: &str, limit: Duration) -> Result<usize, TopicError> {
        let count = partition_count_seen_by(self.producer.client(), topic, limit);
        if let Ok(count) = count {
            self.brake.note_partitions(topic, count);
        }
        if !matches!(count, Err(TopicError::Away { .. })) {
            self.producer.context().heard_of_brokers();
        }
        count
    }

    /// Learns how many partitions a topic has, as [`partition_count`](Self::partition_count) does. While
    /// brokers do not answer, records of a topic of which that is known cost no processor time.
    pub fn note_partitions(&self, topic: &str, partition_count: usize) {
        self.brake.note_partitions(topic, partition_count);
    }

    /// Takes one record into the queue if there is room, and handles deliveries that are ready (with one
    /// record of 16 while more than that are in flight). `partition: None` places the record by its key. `sequence` comes back with the delivery.
    ///
    /// # Errors
    ///
    /// Fails if the queue did not accept the record, which is then not counted. After
    /// [`PublishError::QueueFull`] the caller may poll and try again; after [`PublishError::Fatal`]
    /// it must stop.
    pub fn try_publish(
        &self,
        topic: &str,
        partition: Option<i32>,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        sequence: usize,
    ) -> Result<(), PublishError> {
        self.try_publish_with(topic, partition, key, value, &[], sequence)
    }

    /// As [`try_publish`](Self::try_publish), with headers, in their order.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn try_publish_with(
        &self,
        topic: &str,
        partition: Option<i32>,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&str, &[u8])],
        sequence: usize,
    ) -> Result<(), PublishError> {
        let mut record: BaseRecord<'_, [u8], [u8], usize> =
            BaseRecord::with_opaque_to(topic, sequence);
        record.partition = partition;
        record.key = key;
        record.payload = value;
        record.headers = (!headers.is_empty()).then(|| {
            let all = OwnedHeaders::new_with_capacity(headers.len());
            headers
                .iter()
                .fold(all, |all, (key, value)| all.insert(Header { key, value: Some(*value) }))
        });
        let counts = self.counts();
        if counts.in_flight() == 0 {
            self.producer.context().start_listening();
        }
        let result = self.producer.send(record).map_err(|(error, _record)| error);
        if counts.in_flight() < REPORTS_EVERY || counts.sent.is_multiple_of(REPORTS_EVERY) {
            self.take_reports();
        }
        if self.brake.is_pulled() {
            self.mind_brake();
        }
        match result {
            Ok(()) => {
                self.sent.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => Err(self.refusal(&error, key, value)),
        }
    }

    /// Like [`try_publish`](Self::try_publish), but waits for room in the queue as long as
    /// `keep_waiting` says so.
    ///
    /// # Errors
    ///
    /// As there; [`PublishError::QueueFull`] means that `keep_waiting` returned false.
    pub fn publish(
        &self,
        topic: &str,
        partition: Option<i32>,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        sequence: usize,
        keep_waiting: impl Fn() -> bool,
    ) -> Result<(), PublishError> {
        loop {
            match self.try_publish(topic, partition, key, value, sequence) {
                Err(PublishError::QueueFull) if keep_waiting() => {
                    self.poll(QUEUE_FULL_SLICE);
                }
                result => return result,
            }
        }
    }

    fn refusal(
        &self,
        error: &KafkaError,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> PublishError {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::QueueFull) => PublishError::QueueFull,
            Some(RDKafkaErrorCode::MessageSizeTooLarge) => PublishError::TooLarge {
                bytes: key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len),
            },
            Some(RDKafkaErrorCode::Fatal) => PublishError::Fatal(self.fatal_detail()),
            _ => PublishError::Other(error.to_string()),
        }
    }

    fn fatal_detail(&self) -> String {
        let known = self.producer.client().fatal_error();
        known.map_or_else(|| "no detail".to_owned(), |(code, detail)| format!("{code}: {detail}"))
    }

    /// Handles deliveries for exactly `duration`.
    pub fn poll(&self, duration: Duration) {
        let until = Instant::now() + duration;
        loop {
            self.take_reports();
            self.mind_brake();
            let rest = until.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                return;
            }
            let is_awaited = self.counts().in_flight() > 0;
            std::thread::sleep(rest.min(if is_awaited { REPORT_EVERY } else { QUIET_EVERY }));
        }
    }

    /// Handles the deliveries that have come.
    fn take_reports(&self) {
        take_reports(&self.producer, || self.counts().in_flight());
    }

    /// Waits until nothing is in flight any more, at most for `limit`; returns whether that is so.
    pub fn flush(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        while self.counts().in_flight() > 0 {
            if Instant::now() >= deadline {
                return false;
            }
            self.poll(FLUSH_SLICE);
        }
        true
    }

    /// Gives up what is in flight: it counts as failed, although a broker may have written it.
    pub fn abandon(&self, limit: Duration) {
        self.producer.purge(PurgeConfig::default().queue().inflight());
        self.flush(limit);
    }

    /// Returns the numbers so far.
    pub fn counts(&self) -> Counts {
        let context = self.producer.context();
        Counts {
            sent: self.sent.load(Ordering::Relaxed),
            acknowledged: context.acknowledged(),
            failed: context.failed(),
        }
    }

    /// Returns the observer.
    pub fn observer(&self) -> &O {
        self.producer.context().observer()
    }

    /// Returns why the brokers cannot be trusted to take records now: none is reachable, or records
    /// are in flight and nothing was heard for [`SILENCE_MAX`]. `None` while all is well, as far as
    /// is known.
    pub fn away(&self) -> Option<String> {
        let context = self.producer.context();
        context.all_down().or_else(|| {
            let silence = context.silence();
            let is_silent = self.counts().in_flight() > 0 && silence > SILENCE_MAX;
            is_silent.then(|| format!("no acknowledgement for {} s", silence.as_secs()))
        })
    }
}

#[cfg(test)]
mod tests;
