//! Fetches exactly the given partitions, from exactly the given positions.

use std::collections::HashMap;
use std::time::Duration;

use pipeline::record::{CommitPosition, Offset as RecordOffset, Timestamp, TimestampType};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};

use crate::access::unreadable;
use crate::client_config::set_defaults;
use crate::events::Events;
use crate::native::{self, RecordHeaders};
use crate::parting::note_made;

/// A fetched record that is still in librdkafka's buffer.
pub struct Fetched<'a>(BorrowedMessage<'a>);

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
        self.0.topic()
    }

    /// The same for all records that this reader fetches from one topic.
    pub fn topic_id(&self) -> usize {
        self.0.topic_ptr() as usize
    }

    /// Partition.
    pub fn partition(&self) -> i32 {
        self.0.partition()
    }

    /// Offset.
    pub fn offset(&self) -> RecordOffset {
        RecordOffset(self.0.offset())
    }

    /// Key; `None` is a null key, not an empty one.
    pub fn key(&self) -> Option<&[u8]> {
        self.0.key()
    }

    /// Value; `None` is a tombstone.
    pub fn value(&self) -> Option<&[u8]> {
        self.0.payload()
    }

    /// When it was written.
    pub fn timestamp(&self) -> Timestamp {
        use rdkafka::Timestamp as T;
        match self.0.timestamp() {
            T::CreateTime(ms) => Timestamp { ms, kind: TimestampType::CreateTime },
            T::LogAppendTime(ms) => Timestamp { ms, kind: TimestampType::LogAppendTime },
            T::NotAvailable => Timestamp { ms: -1, kind: TimestampType::NoTimestampType },
        }
    }

    /// The last value of a header by name.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        native::last_header(&self.0, name)
    }

    /// Every header in order, name and value as bytes.
    pub fn headers(&self) -> impl ExactSizeIterator<Item = (&[u8], Option<&[u8]>)> {
        native::headers_of(&self.0)
    }

    /// Copies the record out of librdkafka.
    pub fn hold(&self) -> HeldRecord {
        HeldRecord {
            partition: self.partition(),
            offset: self.offset(),
            timestamp: self.timestamp(),
            key: self.key().map(Into::into),
            value: self.value().map(Into::into),
            headers: RecordHeaders::of(&self.0),
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
pub struct Reader {
    consumer: BaseConsumer<ReaderContext>,
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
        config
            .set("group.id", group) // never joined: librdkafka wants one to assign by hand
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("isolation.level", isolation)
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "error")
            .set_log_level(RDKafkaLogLevel::Info);
        set_defaults(&mut config, DEFAULTS);
        note_made("reader");
        Ok(Self { consumer: config.create_with_context(ReaderContext::default())? })
    }

    /// Learns where the partitions of `topics` are, so that the first [`Self::start`] need not
    /// wait for librdkafka's look around, once a second. Failing to learn costs that second.
    pub fn look_up(&self, topics: &[&str], limit: Duration) {
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
        self.consumer.incremental_assign(&list)
    }

    /// Stops reading a partition; what was fetched of it is dropped.
    ///
    /// # Errors
    ///
    /// Fails when it is not read.
    pub fn stop(&self, topic: &str, partition: i32) -> KafkaResult<()> {
        self.consumer.incremental_unassign(&one(topic, partition))
    }

    /// Stops fetching a partition until [`Self::resume`]; the position is kept.
    ///
    /// # Errors
    ///
    /// Fails when it is not read.
    pub fn pause(&self, topic: &str, partition: i32) -> KafkaResult<()> {
        self.consumer.pause(&one(topic, partition))
    }

    /// Goes on fetching a paused partition.
    ///
    /// # Errors
    ///
    /// Fails when it is not read.
    pub fn resume(&self, topic: &str, partition: i32) -> KafkaResult<()> {
        self.consumer.resume(&one(topic, partition))
    }

    /// Waits up to `limit` for the next record or event.
    pub fn poll(&self, limit: Duration) -> Polled<'_> {
        use RDKafkaErrorCode as E;
        let error = match self.consumer.poll(limit) {
            None => return Polled::Nothing,
            Some(Ok(message)) => return Polled::Record(Fetched(message)),
            Some(Err(KafkaError::PartitionEOF(partition))) => return Polled::End(partition),
            Some(Err(error)) => error,
        };
        match error.rdkafka_error_code() {
            Some(E::AutoOffsetReset | E::OffsetOutOfRange) => Polled::OutOfRange,
            Some(E::TopicAuthorizationFailed) => Polled::Denied(self.denied(&error)),
            Some(E::UnknownTopicOrPartition | E::UnknownTopic | E::UnknownPartition) => {
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

    /// Positions of everything that is read: the offset after the last record or marker that
    /// was passed.
    ///
    /// # Errors
    ///
    /// Fails as librdkafka says.
    pub fn positions(&self) -> KafkaResult<HashMap<(String, i32), i64>> {
        let positions = self.consumer.position()?;
        let known = positions.elements().into_iter().filter_map(|element| {
            let Offset::Offset(offset) = element.offset() else { return None };
            Some(((element.topic().to_owned(), element.partition()), offset))
        });
        Ok(known.collect())
    }
}

fn one(topic: &str, partition: i32) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(1);
    list.add_partition(topic, partition);
    list
}

#[derive(Default)]
struct ReaderContext(Events);

impl ClientContext for ReaderContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        self.0.log(level, facility, text);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.0.stats_raw(statistics);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.error(error, reason);
    }
}

impl ConsumerContext for ReaderContext {}
