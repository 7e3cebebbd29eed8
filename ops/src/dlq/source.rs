//! Reads a dead-letter topic up to the ends that it has at the start.

use std::ops::ControlFlow;
use std::time::Duration;

use kafka_io::client_config::{AwayReason, BROKER_PROBE_LIMIT, KafkaSettings};
use kafka_io::cluster::Edge;
use kafka_io::member::AskError;
use kafka_io::reader::Fetched;

use super::dead_letter::DeadLetter;
use super::error::DlqError;
use super::filter::{Filter, Verdict};
use super::record::Record;
use super::redrive::Mark;
use super::value::ValueReader;
use crate::connected::{Connected, END_WAIT_MS, places};
use crate::progress::Lines;
use crate::scan::{Bounds, Scan, Watch, offsets};

/// Longest wait for one answer about a partition.
const ASK: Duration = Duration::from_secs(4);

/// How records are fetched, where the user says nothing else. A fetch brings up to 4 MB: the time until it comes
/// is spent once for thousands of records. Up to 12 MB and 30,000 records wait, of which each takes some hundred
/// bytes besides its own; more makes reading no faster.
const FETCH: [(&str, &str); 4] = [
    ("fetch.wait.max.ms", END_WAIT_MS),
    ("fetch.message.max.bytes", "4194304"),
    ("queued.max.messages.kbytes", "12288"),
    ("queued.min.messages", "30000"),
];

/// The name that librdkafka wants of a group. None is joined, and nothing is committed.
const READER_GROUP: &str = "orders-dlq-reader";

/// A dead-letter topic with the bounds that its partitions had when it was opened.
///
/// What is written later is not read: two looks at one `DlqTopic` see the same records, but for those
/// that retention takes between them.
pub struct DlqTopic {
    name: String,
    id: Option<String>,
    connected: Connected,
    /// By partition.
    bounds: Vec<Bounds>,
}

/// How many dead letters were looked at, and how many of them were meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Looked at.
    pub scanned: u64,
    /// Meant.
    pub matched: u64,
    /// Meant, but passed over: they went back before.
    pub redriven: u64,
    /// Meant, but passed over: they were discarded.
    pub discarded: u64,
    /// As many as were asked for were found, and the rest was not looked at.
    pub is_limited: bool,
}

/// What became of a dead letter that was handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It counts as one that is meant.
    Meant,
    /// It does, and no more are wanted.
    Last,
    /// It is passed over, since it is handled.
    PassedOver(Mark),
}

/// Which dead letters are handed out, and how many of them.
pub struct Selection<'a> {
    /// What they must be like.
    pub filter: &'a Filter,
    /// Most that are handed out.
    pub limit: Option<u64>,
    /// Reads order ids, where the filter asks for them.
    pub values: Option<&'a mut ValueReader>,
}

impl DlqTopic {
    /// Asks where the topic begins and ends.
    ///
    /// # Errors
    ///
    /// Fails within 5 s for brokers that are not there, and for a topic that does not exist.
    pub fn open(kafka: &KafkaSettings, topic: &str) -> Result<Self, DlqError> {
        let connected =
            Connected::open(kafka, &FETCH, READER_GROUP).map_err(|error| match error.reason {
                AwayReason::Settings => DlqError::Settings(error.to_string()),
                _ => DlqError::Kafka { hint: error.hint(), detail: error.to_string() },
            })?;
        Self::of(connected, kafka.bootstrap_servers(), topic)
    }

    /// As [`Self::open`], through handles that are there.
    ///
    /// # Errors
    ///
    /// Fails for a topic that does not exist, and without an answer in time.
    pub(crate) fn of(connected: Connected, servers: &str, topic: &str) -> Result<Self, DlqError> {
        let away = |error: AskError| refused(error.to_string());
        let admin = connected.cluster().admin();
        let found = admin.partitions(&[topic], BROKER_PROBE_LIMIT).map_err(away)?;
        // Before its bounds: records of a topic that is made anew meanwhile are not taken for its own.
        let id = admin.topic_id(topic, BROKER_PROBE_LIMIT).map_err(away)?;
        let no_topic =
            || DlqError::NoTopic { topic: topic.to_owned(), servers: servers.to_owned() };
        let partitions = found.get(topic).ok_or_else(no_topic)?.partitions;
        connected.reader().look_up(&[topic], ASK);
        let asked = places(topic, partitions);
        let bounds = connected.cluster().bounds(&asked, Edge::StableEnd, ASK).map_err(away)?;
        let bounds = bounds.into_iter().map(|(low, end)| Bounds { low, end }).collect();
        Ok(Self { name: topic.to_owned(), id, connected, bounds })
    }

    /// The handles that it is read with.
    pub(crate) const fn connected(&self) -> &Connected {
        &self.connected
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The id that it was made with, where the brokers tell.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Offsets of the partitions that a filter means, those without a record among them.
    #[must_use]
    pub fn offsets(&self, filter: &Filter) -> u64 {
        let meant = (0..).zip(&self.bounds).filter(|(number, _)| filter.wants_partition(*number));
        meant.map(|(_, bounds)| offsets(bounds.low, bounds.end)).sum()
    }

    /// Columns that `PARTITION:OFFSET` takes at most.
    #[must_use]
    pub fn place_columns(&self) -> usize {
        let last = self.bounds.iter().map(|bounds| bounds.end).max().unwrap_or(0);
        let digits = |number: String| number.len();
        digits((self.bounds.len().saturating_sub(1)).to_string()) + 1 + digits(last.to_string())
    }

    /// Hands every dead letter that is meant to `take`, by partition and offset, until it wants no more.
    /// `watch` looks on, and may end it. Nothing is kept.
    ///
    /// # Errors
    ///
    /// Fails as `take` does, for partitions that do not exist, where records do not come, and where the
    /// registry is unavailable that a filter needs.
    pub(crate) fn scan<W: Watch>(
        &self,
        selection: Selection<'_>,
        watch: &mut W,
        mut take: impl FnMut(&DeadLetter<'_>) -> Result<Taken, DlqError>,
    ) -> Result<Tally, DlqError> {
        let Selection { filter, limit, mut values } = selection;
        for partition in &filter.partitions {
            self.bounds_of(*partition)?;
        }
        let mut tally = Tally { is_limited: limit == Some(0), ..Tally::default() };
        let mut scan = Scan { reader: self.connected.reader(), watch };
        for (partition, bounds) in (0..).zip(&self.bounds) {
            if tally.is_limited || !filter.wants_partition(partition) {
                continue;
            }
            scan.read(&self.name, partition, *bounds, |fetched| {
                tally.scanned += 1;
                let letter = DeadLetter::read(record_of(fetched));
                if is_meant(filter, values.as_deref_mut(), &letter)? {
                    let taken = take(&letter)?;
                    match taken {
                        Taken::Meant | Taken::Last => tally.matched += 1,
                        Taken::PassedOver(Mark::Redriven) => tally.redriven += 1,
                        Taken::PassedOver(Mark::Discarded) => tally.discarded += 1,
                    }
                    let is_last = limit.is_some_and(|limit| tally.matched >= limit);
                    tally.is_limited = taken == Taken::Last || is_last;
                }
                let go_on = ControlFlow::Continue(());
                Ok::<_, DlqError>(if tally.is_limited { ControlFlow::Break(()) } else { go_on })
            })?;
        }
        Ok(tally)
    }

    /// Hands the dead letter at one place to `take`.
    ///
    /// # Errors
    ///
    /// Fails where there is none, and as `take` does.
    pub fn one<T>(
        &self,
        partition: i32,
        offset: i64,
        take: impl FnOnce(&DeadLetter<'_>) -> Result<T, DlqError>,
    ) -> Result<T, DlqError> {
        let bounds = self.bounds_of(partition)?;
        let none = |why: String| {
            let topic = self.name.clone();
            DlqError::NoRecord { topic, partition, offset, why }
        };
        if bounds.low >= bounds.end {
            return Err(none("the partition is empty".to_owned()));
        }
        if !(bounds.low..bounds.end).contains(&offset) {
            let Bounds { low, end } = bounds;
            return Err(none(format!("its offsets go from {low} to {}", end - 1)));
        }
        let (mut take, mut result) = (Some(take), None);
        let mut watch = Lines::new(|_: &str| ());
        let mut scan = Scan { reader: self.connected.reader(), watch: &mut watch };
        let only = Bounds { low: offset, end: offset + 1 };
        scan.read(&self.name, partition, only, |fetched| {
            if let Some(take) = take.take() {
                result = Some(take(&DeadLetter::read(record_of(fetched)))?);
            }
            Ok::<_, DlqError>(ControlFlow::Break(()))
        })?;
        result.ok_or_else(|| {
            none(
                "a transaction's marker, or a record that was aborted or compacted away".to_owned(),
            )
        })
    }

    fn bounds_of(&self, partition: i32) -> Result<Bounds, DlqError> {
        let found = usize::try_from(partition).ok().and_then(|index| self.bounds.get(index));
        found.copied().ok_or_else(|| DlqError::NoPartition {
            topic: self.name.clone(),
            partition,
            count: i32::try_from(self.bounds.len()).unwrap_or(i32::MAX),
        })
    }
}

fn refused(detail: String) -> DlqError {
    DlqError::Kafka { detail, hint: None }
}

fn is_meant(
    filter: &Filter,
    values: Option<&mut ValueReader>,
    letter: &DeadLetter<'_>,
) -> Result<bool, DlqError> {
    match (filter.judge(letter), values) {
        (Verdict::Matches, _) => Ok(true),
        (Verdict::Misses(_), _) | (Verdict::DependsOnOrderId, None) => Ok(false),
        (Verdict::DependsOnOrderId, Some(values)) => {
            Ok(filter.wants_order(values.order_id(letter.record.value)?.as_deref()))
        }
    }
}

fn record_of<'a>(fetched: &'a Fetched<'_>) -> Record<'a> {
    let ms = fetched.timestamp().ms;
    Record {
        partition: fetched.partition(),
        offset: fetched.offset().0,
        written_ms: (ms >= 0).then_some(ms),
        key: fetched.key(),
        value: fetched.value(),
        headers: fetched.headers().collect(),
    }
}
