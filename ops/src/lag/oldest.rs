//! When the oldest record was written that is not committed yet: the timestamp of the first record at the
//! commit position or above it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use kafka_io::client_config::{KafkaSettings, Role, set_defaults};
use kafka_io::reader::{Polled, Reader};
use kafka_io::{KafkaError, Parting};
use pipeline::record::CommitPosition;

use crate::tail::Place;

/// Most partitions that are looked at in one go; the others come with the next one.
const AT_ONCE_MAX: usize = 64;

/// What is fetched of a partition, in bytes: one record is wanted. Brokers send a whole batch at least.
const FETCH_BYTES: &str = "4096";

/// Longest time that a broker keeps a fetch which finds nothing.
const FETCH_WAIT_MS: &str = "10";

/// The name that librdkafka wants of a group. None is joined, and nothing is committed.
const READER_GROUP: &str = "orders-look";

/// One wait for a record.
const POLL: Duration = Duration::from_millis(5);

/// A partition and where its oldest uncommitted record lies at the earliest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Wanted {
    pub(super) place: Place,
    pub(super) position: i64,
}

/// Timestamps of oldest records, as long as their commit positions stay.
pub(super) struct Oldest {
    reader: Parting<Reader>,
    /// By partition: the position, and when the record there was written; none where it has no time.
    known: BTreeMap<Place, (i64, Option<i64>)>,
    looked_up: BTreeSet<String>,
}

impl Oldest {
    /// # Errors
    ///
    /// Fails for settings that librdkafka does not accept.
    pub(super) fn new(kafka: &KafkaSettings) -> Result<Self, KafkaError> {
        let mut config = kafka.base(Role::Consumer);
        let defaults = [
            ("fetch.wait.max.ms", FETCH_WAIT_MS),
            ("fetch.message.max.bytes", FETCH_BYTES),
            ("queued.min.messages", "1"),
            ("queued.max.messages.kbytes", "64"),
        ];
        set_defaults(&mut config, defaults);
        Ok(Self {
            reader: Parting::new(Reader::new(&config, READER_GROUP)?),
            known: BTreeMap::new(),
            looked_up: BTreeSet::new(),
        })
    }

    /// Learns where the partitions of topics are, once for each.
    pub(super) fn look_up(&mut self, topics: &BTreeSet<&str>, limit: Duration) {
        let new: Vec<&str> =
            topics.iter().copied().filter(|topic| !self.looked_up.contains(*topic)).collect();
        self.reader.look_up(&new, limit);
        self.looked_up.extend(new.into_iter().map(str::to_owned));
    }

    /// When the record at this position was written, in epoch milliseconds, as far as it is known.
    pub(super) fn written_ms(&self, wanted: &Wanted) -> Option<i64> {
        let known = self.known.get(&wanted.place);
        known.filter(|(position, _)| *position == wanted.position).and_then(|(_, ms)| *ms)
    }

    /// Reads those that are not known, in at most `limit`; what does not come stays unknown.
    ///
    /// # Errors
    ///
    /// Fails when librdkafka refuses.
    pub(super) fn learn(
        &mut self,
        wanted: &BTreeSet<Wanted>,
        limit: Duration,
    ) -> Result<(), KafkaError> {
        let places: BTreeSet<&Place> = wanted.iter().map(|wanted| &wanted.place).collect();
        self.known.retain(|place, _| places.contains(place));
        let is_new = |wanted: &&Wanted| {
            self.known.get(&wanted.place).is_none_or(|(position, _)| *position != wanted.position)
        };
        let mut open: BTreeMap<Place, i64> = BTreeMap::new();
        for wanted in wanted.iter().filter(is_new).take(AT_ONCE_MAX) {
            open.entry(wanted.place.clone()).or_insert(wanted.position);
        }
        let started = open.clone();
        for ((topic, partition), position) in &open {
            self.reader.start(topic, *partition, CommitPosition(*position))?;
        }
        let give_up_at = Instant::now() + limit;
        while !open.is_empty() && Instant::now() < give_up_at {
            match self.reader.poll(POLL) {
                Polled::Record(record) => {
                    let place = (record.topic().to_owned(), record.partition());
                    if let Some(position) = open.remove(&place) {
                        let ms = record.timestamp().ms;
                        self.known.insert(place, (position, (ms >= 0).then_some(ms)));
                    }
                }
                Polled::Denied(_) | Polled::Missing(_) => break,
                Polled::End(_) | Polled::Nothing | Polled::OutOfRange | Polled::Away(_) => {}
            }
        }
        for (topic, partition) in started.keys() {
            self.reader.stop(topic, *partition)?;
        }
        Ok(())
    }
}
