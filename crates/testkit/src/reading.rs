//! What lies in topics, as a reader of committed records sees it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use codec::decode::Decoder;
use codec::frame;
use codec::resolver::SchemaResolver;
use codec::scalar::AvroRecord;
use kafka_io::client_config::Role as HandleRole;
use kafka_io::reader::{HeldRecord, Polled, Reader};
use order_schemas::{OrderOutcome, ProductAverage};
use pipeline::record::CommitPosition;

use crate::input::Header;
use crate::pipeline::Pipeline;

/// Longest wait for the whole of a topic.
const READ_MAX: Duration = Duration::from_secs(60);

/// A record as it lies in a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRecord {
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// When it was written, in epoch milliseconds.
    pub timestamp_ms: i64,
    /// Who set that time, such as `CreateTime`.
    pub timestamp_type: &'static str,
    /// Key; `None` is a null key.
    pub key: Option<Vec<u8>>,
    /// Value; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// Headers in order.
    pub headers: Vec<Header>,
}

impl LogRecord {
    fn of(record: HeldRecord) -> Self {
        let headers = record.headers.iter().flat_map(|headers| headers.iter());
        let owned =
            |(name, value): (&[u8], Option<&[u8]>)| (name.to_vec(), value.map(<[u8]>::to_vec));
        Self {
            partition: record.partition,
            offset: record.offset.0,
            timestamp_ms: record.timestamp.ms,
            timestamp_type: record.timestamp.kind.as_str(),
            headers: headers.map(owned).collect(),
            key: record.key.map(Into::into),
            value: record.value.map(Into::into),
        }
    }

    /// Partition and offset.
    pub fn coordinates(&self) -> (i32, i64) {
        (self.partition, self.offset)
    }

    /// Values of all headers of a name, in order.
    pub fn headers_named<'a>(&'a self, name: &str) -> Vec<Option<&'a [u8]>> {
        let named = self.headers.iter().filter(|(n, _)| n == name.as_bytes());
        named.map(|(_, value)| value.as_deref()).collect()
    }

    /// The last value of a header; `None` if it is absent or null.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers_named(name).pop().flatten()
    }

    /// The last value of a header that holds text.
    ///
    /// # Panics
    ///
    /// Panics when it is absent or not UTF-8.
    #[track_caller]
    pub fn header_text(&self, name: &str) -> &str {
        let at = self.coordinates();
        let value =
            self.header(name).unwrap_or_else(|| panic!("{at:?} has no header {name}: {self:?}"));
        std::str::from_utf8(value).unwrap_or_else(|_| panic!("{name} of {at:?} is not UTF-8"))
    }

    /// The last value of a header that holds a number as text.
    ///
    /// # Panics
    ///
    /// Panics when it is absent or not a number.
    #[track_caller]
    pub fn header_number(&self, name: &str) -> i64 {
        let text = self.header_text(name);
        text.parse().unwrap_or_else(|_| panic!("{name} of {:?} is {text:?}", self.coordinates()))
    }

    /// Partition and offset on the topic of orders, from the `x-origin-*` headers.
    ///
    /// # Panics
    ///
    /// Panics when they are absent or not numbers.
    #[track_caller]
    pub fn origin(&self) -> (i32, i64) {
        let partition =
            i32::try_from(self.header_number("x-origin-partition")).expect("a partition");
        (partition, self.header_number("x-origin-offset"))
    }
}

/// An entry of the outcome log.
#[derive(Debug, Clone, PartialEq)]
pub struct OutcomeEntry {
    /// Partition of the outcome log.
    pub partition: i32,
    /// Offset there.
    pub offset: i64,
    /// When it was written, in epoch milliseconds.
    pub timestamp_ms: i64,
    /// What it says.
    pub outcome: OrderOutcome,
}

/// A record of the averages topic.
#[derive(Debug, Clone, PartialEq)]
pub struct AverageEntry {
    /// Partition, also that of the orders counted.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// Key.
    pub key: Option<Vec<u8>>,
    /// Headers in order.
    pub headers: Vec<Header>,
    /// What it says.
    pub average: ProductAverage,
}

impl Pipeline {
    /// Everything committed in a topic, by partition and offset, up to the end that a reader
    /// of uncommitted records sees at the time of the call.
    ///
    /// # Panics
    ///
    /// Panics when that end is not reached: a transaction hangs, or the broker is away.
    pub fn records(&self, topic: &str) -> Vec<LogRecord> {
        let config = self.servers.config(HandleRole::Consumer);
        let reader = Reader::new(&config, "testkit").expect("settings are good");
        let mut targets = BTreeMap::new();
        for (partition, (start, end)) in (0..).zip(self.bounds(topic)) {
            if start < end {
                reader.start(topic, partition, CommitPosition(start)).expect("it is not read yet");
                targets.insert(partition, end);
            }
        }
        let ends = targets.clone();
        let give_up_at = Instant::now() + READ_MAX;
        let mut records = Vec::new();
        while !targets.is_empty() {
            assert!(
                Instant::now() < give_up_at,
                "{topic} was not read to {targets:?} within {READ_MAX:?}"
            );
            match reader.poll(Duration::from_millis(20)) {
                Polled::Record(record) => records.push(LogRecord::of(record.hold())),
                Polled::Denied(text) | Polled::Missing(text) => panic!("{topic}: {text}"),
                Polled::OutOfRange => panic!("{topic} was cut while it was read"),
                Polled::End(_) | Polled::Nothing | Polled::Away(_) => {
                    // Positions pass markers and aborted records, which are never delivered.
                    let positions = reader.positions();
                    targets.retain(|partition, end| {
                        positions.get(&(topic.to_owned(), *partition)).is_none_or(|at| at < end)
                    });
                }
            }
        }
        records
            .retain(|record| ends.get(&record.partition).is_some_and(|end| record.offset < *end));
        records.sort_by_key(LogRecord::coordinates);
        records
    }

    /// The whole outcome log.
    pub fn outcomes_log(&self) -> Vec<OutcomeEntry> {
        let records = self.records(&self.outcomes);
        let decoded = decode_all::<OrderOutcome>(&records);
        let entry = |(record, outcome): (LogRecord, OrderOutcome)| OutcomeEntry {
            partition: record.partition,
            offset: record.offset,
            timestamp_ms: record.timestamp_ms,
            outcome,
        };
        records.into_iter().zip(decoded).map(entry).collect()
    }

    /// Everything in the averages topic that compaction has left.
    pub fn averages_log(&self) -> Vec<AverageEntry> {
        let mut records = self.records(&self.averages);
        records.retain(|record| record.value.is_some()); // a note without state has none
        let decoded = decode_all::<ProductAverage>(&records);
        let entry = |(record, average): (LogRecord, ProductAverage)| AverageEntry {
            partition: record.partition,
            offset: record.offset,
            key: record.key,
            headers: record.headers,
            average,
        };
        records.into_iter().zip(decoded).map(entry).collect()
    }
}

/// Decodes records that the consumer wrote: one schema, the program's own.
fn decode_all<T: AvroRecord>(records: &[LogRecord]) -> Vec<T::Value> {
    let resolver = SchemaResolver::offline();
    let ids = records.iter().filter_map(|record| frame::schema_id(record.value.as_deref()));
    for id in ids.collect::<std::collections::BTreeSet<_>>() {
        resolver.insert(id, T::SCHEMA).expect("a schema of ours");
    }
    let mut decoder = Decoder::<T>::new(resolver);
    let decode = |record: &LogRecord| {
        let decoded = decoder.decode(record.value.as_deref());
        decoded.unwrap_or_else(|error| {
            panic!("{:?} is not a record of ours: {error}", record.coordinates())
        })
    };
    records.iter().map(decode).collect()
}
