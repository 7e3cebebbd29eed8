//! Fetches exactly the given partitions, from exactly the given positions.

mod batch;

use std::cell::RefCell;
use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::Mutex;
use std::time::Duration;

use pipeline::record::{CommitPosition, Offset as RecordOffset, Timestamp};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};

use crate::access::unreadable;
use crate::acquaintance::meet_broker;
use crate::client_config::set_defaults;
use crate::closing::Closing;
use crate::events::Events;
use crate::native::{self, BatchQueue, NativeMessage, RecordHeaders};
use crate::parting::note_made;
use crate::reader::batch::Batch;

/// A fetched record that is still in librdkafka's buffer.
pub struct Fetched<'a> {
    message: NativeMessage,
    /// It has to go before the reader does.
    reader: PhantomData<&'a Reader>,
}

/// A record copied out of librdkafka, which may be kept for any time.
#[derive(Debug)]
pub struct HeldRecord {
    /// Partition it was read from.
    pub partition: i32,
    /// Offset it was read at.
    pub offset: RecordOffset,
    /// When it was written.
    pub timestamp: Timestamp,
    /// Key, byte for byte.
    pub key: Option<Box<[u8]>>,
    /// Value, byte for byte.
    pub value: Option<Box<[u8]>>,
    /// Headers, byte for byte.
    pub headers: Option<RecordHeaders>,
}

impl HeldRecord {
    /// Bytes that the record keeps in memory, about.
    pub fn bytes(&self) -> usize {
        let len = |part: &Option<Box<[u8]>>| part.as_ref().map_or(0, |bytes| bytes.len());
        let headers = self.headers.as_ref().map_or(0, RecordHeaders::bytes);
        len(&self.key) + len(&self.value) + headers + size_of::<Self>()
    }

    /// The last value of a header by name.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.as_ref()?.last(name)
    }
}

impl Fetched<'_> {
    /// Topic as text. Compare [`Self::topic_id`] on the steady path.
    pub fn topic(&self) -> &str {
        self.message.topic()
    }

    /// The same for all records that this reader fetches from one topic.
    pub fn topic_id(&self) -> usize {
        self.message.topic_id()
    }

    /// Partition.
    pub fn partition(&self) -> i32 {
        self.message.partition()
    }

    /// Offset.
    pub fn offset(&self) -> RecordOffset {
        RecordOffset(self.message.offset())
    }

    /// Key; `None` is a null key, not an empty one.
    pub fn key(&self) -> Option<&[u8]> {
        self.message.key()
    }

    /// Value; `None` is a tombstone.
    pub fn value(&self) -> Option<&[u8]> {
        self.message.value()
    }

    /// When it was written.
    pub fn timestamp(&self) -> Timestamp {
        self.message.timestamp()
    }

    /// The last value of a header by name.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        native::last_header(&self.message, name)
    }

    /// Every header in order, name and value as bytes.
    pub fn headers(&self) -> impl ExactSizeIterator<Item = (&[u8], Option<&[u8]>)> {
        native::headers_of(&self.message)
    }

    /// Copies the record out of librdkafka.
    pub fn hold(&self) -> HeldRecord {
        HeldRecord {
            partition: self.partition(),
            offset: self.offset(),
            timestamp: self.timestamp(),
            key: self.key().map(Into::into),
            value: self.value().map(Into::into),
            headers: RecordHeaders::of(&self.message),
        }
    }
}

/// What one poll brought.
pub enum Polled<'a> {
    /// A record.
    Record(Fetched<'a>),
    /// A partition of this number was read to its end; of which topic is not said.
    End(i32),
    /// Nothing within the time.
    Nothing,
    /// The offset to read from does not exist (any more) in a partition.
    OutOfRange,
    /// Something to wait out; librdkafka tries again by itself.
    Away(String),
    /// Access is refused.
    Denied(String),
    /// The topic or partition does not exist.
    Missing(String),
}

/// How is fetched where nobody says otherwise.
const DEFAULTS: [(&str, &str); 5] = [
    ("fetch.wait.max.ms", "100"),
    ("fetch.queue.backoff.ms", "5"),
    ("queued.max.messages.kbytes", "32768"),
    ("fetch.error.backoff.ms", "100"),
    ("check.crcs", "true"),
];

/// Reads partitions under `read_committed`, without being a member of the group.
///
/// It takes records from librdkafka in batches and hands them out one by one. Of a partition that is not read
/// any more nothing is handed out, whatever was taken before.
pub struct Reader {
    /// Declared first: messages go before the client that they came from.
    batch: RefCell<Batch>,
    queue: BatchQueue<Closing<ReaderContext>>,
    consumer: Closing<ReaderContext>,
}

impl Reader {
    /// Makes a reader that reads nothing yet.
    ///
    /// # Errors
    ///
    /// Fails for settings that librdkafka does not accept.
    pub fn new(config: &ClientConfig, group: &str) -> KafkaResult<Self> {
        Self::isolated(config, group, "read_committed")
    }

    /// As [`Self::new`], but a reader that also sees records of transactions that are undecided or
    /// were aborted.
    ///
    /// # Errors
    ///
    /// Fails for settings that librdkafka does not accept.
    pub fn new_uncommitted(config: &ClientConfig, group: &str) -> KafkaResult<Self> {
        Self::isolated(config, group, "read_uncommitted")
    }

    fn isolated(config: &ClientConfig, group: &str, isolation: &str) -> KafkaResult<Self> {
        let mut config = config.clone();
        let log_level = log_level(&config);
        config
            .set("group.id", group) // never joined: librdkafka wants one to assign by hand
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("isolation.level", isolation)
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "error")
            .set_log_level(log_level);
        set_defaults(&mut config, DEFAULTS);
        note_made("reader");
        let consumer = Closing::new(config.create_with_context(ReaderContext::default())?);
        let (batch, queue) = (RefCell::default(), BatchQueue::of(&consumer));
        Ok(Self { batch, queue, consumer })
    }

    /// Learns where the partitions of `topics` are, so that the first [`Self::start`] need not
    /// wait for librdkafka's look around, once a second. Failing to learn costs that second.
    pub fn look_up(&self, topics: &[&str], limit: Duration) {
        meet_broker(self.consumer.client(), limit);
        for topic in topics {
            if let Err(error) = self.consumer.fetch_metadata(Some(topic), limit) {
                tracing::debug!(%error, topic, "partitions not looked up");
            }
        }
    }

    /// Starts to read a partition at `position`.
    ///
    /// # Errors
    ///
    /// Fails when librdkafka refuses, as for a partition that is read already.
    pub fn start(&self, topic: &str, partition: i32, position: CommitPosition) -> KafkaResult<()> {
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition_offset(topic, partition, Offset::Offset(position.0))?;
        self.consumer.incremental_assign(&list)?;
        self.batch.borrow_mut().start(topic, partition);
        Ok(())
    }

    /// Stops reading a partition; what was fetched of it is dropped.
    ///
    /// # Errors
    ///
    /// Fails when it is not read.
    pub fn stop(&self, topic: &str, partition: i32) -> KafkaResult<()> {
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition(topic, partition);
        self.batch.borrow_mut().stop(topic, partition);
        self.consumer.incremental_unassign(&list)
    }

    /// Waits up to `limit` for the next record or event.
    pub fn poll(&self, limit: Duration) -> Polled<'_> {
        let next = self.batch.borrow_mut().next();
        let Some(message) = next.or_else(|| self.refill(limit)) else {
            let trouble = self.consumer.context().take_trouble();
            return trouble.map_or(Polled::Nothing, Polled::Away);
        };
        match message.error() {
            None => Polled::Record(Fetched { message, reader: PhantomData }),
            Some(RDKafkaErrorCode::PartitionEOF) => Polled::End(message.partition()),
            Some(code) => self.event(code),
        }
    }

    /// Takes what there is, or waits for one message, and gives the first one.
    fn refill(&self, limit: Duration) -> Option<NativeMessage> {
        self.queue.serve_logs();
        let mut batch = self.batch.borrow_mut();
        batch.refill(|most, messages| self.queue.take(Duration::ZERO, most, messages));
        if batch.is_empty() && !limit.is_zero() {
            // With time to wait librdkafka does not return before it has all that it was asked for.
            batch.refill(|_, messages| self.queue.take(limit, 1, messages));
        }
        batch.next()
    }

    fn event(&self, code: RDKafkaErrorCode) -> Polled<'_> {
        use RDKafkaErrorCode as E;
        let error = KafkaError::MessageConsumption(code);
        match code {
            E::AutoOffsetReset | E::OffsetOutOfRange => Polled::OutOfRange,
            E::TopicAuthorizationFailed => Polled::Denied(self.denied(&error)),
            E::UnknownTopicOrPartition | E::UnknownTopic | E::UnknownPartition => {
                Polled::Missing(error.to_string())
            }
            _ => Polled::Away(error.to_string()),
        }
    }

    /// Names what may not be read any more: the error itself does not.
    fn denied(&self, error: &KafkaError) -> String {
        let assignment = self.consumer.assignment().unwrap_or_default();
        let elements = assignment.elements();
        let topics = elements.iter().map(|element| element.topic());
        unreadable(self.consumer.client(), topics).unwrap_or_else(|| error.to_string())
    }

    /// Start and end of a partition according to the last fetch response.
    pub fn cached_bounds(&self, topic: &str, partition: i32) -> Option<(i64, i64)> {
        native::cached_bounds(&self.consumer, topic, partition)
    }

    /// Positions of everything that is read: the offset after the last record that was handed out, or the end
    /// that was told after it. Markers and aborted records before an end are passed with it.
    pub fn positions(&self) -> HashMap<(String, i32), i64> {
        self.batch.borrow().positions()
    }
}

/// The facility of librdkafka's lines about what is wrong with a client as a whole.
const CLIENT_ERROR: &str = "ERROR";

#[derive(Default)]
struct ReaderContext {
    events: Events,
    /// What was last heard of the client as a whole, such as that all brokers are down.
    trouble: Mutex<Option<String>>,
}

impl ReaderContext {
    fn take_trouble(&self) -> Option<String> {
        self.trouble.lock().expect("no panic while held").take()
    }
}

impl ClientContext for ReaderContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        if facility == CLIENT_ERROR {
            self.trouble.lock().expect("no panic while held").replace(text.to_owned());
        }
        self.events.log(level, facility, text);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.events.stats_raw(statistics);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.events.error(error, reason);
    }
}

impl ConsumerContext for ReaderContext {}

/// How much librdkafka says to a reader: to who debugs it, everything. Its lines have a queue of their own; other
/// handles would find what they wait for behind thousands of lines.
fn log_level(config: &ClientConfig) -> RDKafkaLogLevel {
    match config.get("debug") {
        Some(_) => RDKafkaLogLevel::Debug,
        None => RDKafkaLogLevel::Info,
    }
}

#[cfg(test)]
mod tests;
