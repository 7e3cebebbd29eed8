//! Follows partitions: hands over what was written since the last look, and never waits for more.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use kafka_io::client_config::{KafkaSettings, Role, set_defaults};
use kafka_io::reader::{Fetched, Polled, Reader};
use kafka_io::{KafkaError, Parting};
use pipeline::record::CommitPosition;

use crate::connected::END_WAIT_MS;

/// The name that librdkafka wants of a group. None is joined, and nothing is committed.
const READER_GROUP: &str = "orders-look";

/// Longest time that a broker keeps a fetch which finds nothing, where what comes is waited for.
const FETCH_WAIT_MS: &str = "500";

/// What is fetched ahead, in kilobytes and in records.
const QUEUED_KB: &str = "4096";
const QUEUED_RECORDS: &str = "5000";

/// How a follower waits at the end of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// It is told of the end at once, and fetches nothing between two looks.
    None,
    /// It has the brokers wait for what comes.
    Long,
}

/// Records between two looks at the clock.
const CLOCK_EVERY: usize = 256;

/// A place in the cluster: topic and partition.
pub(crate) type Place = (String, i32);

/// Partitions that are followed.
pub(crate) struct Tail {
    reader: Parting<Reader>,
    patience: Patience,
    /// The next offset of each.
    positions: BTreeMap<Place, i64>,
    /// Those of them that are not read at present.
    resting: BTreeSet<Place>,
}

/// What came of one look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Drained {
    /// Nothing more was there.
    All,
    /// The time was up; there may be more.
    Some,
    /// Records were deleted that were to be read: start anew from the partitions' first offsets.
    CutOff,
    /// A topic may not be read, or is gone.
    Refused(String),
}

impl Tail {
    /// Makes a handle that follows nothing yet.
    ///
    /// # Errors
    ///
    /// Fails for settings that librdkafka does not accept.
    pub(crate) fn new(kafka: &KafkaSettings, patience: Patience) -> Result<Self, KafkaError> {
        let mut config = kafka.base(Role::Consumer);
        let wait_ms = match patience {
            Patience::None => END_WAIT_MS,
            Patience::Long => FETCH_WAIT_MS,
        };
        let defaults = [
            ("fetch.wait.max.ms", wait_ms),
            ("queued.max.messages.kbytes", QUEUED_KB),
            ("queued.min.messages", QUEUED_RECORDS),
        ];
        set_defaults(&mut config, defaults);
        let reader = Parting::new(Reader::new(&config, READER_GROUP)?);
        Ok(Self { reader, patience, positions: BTreeMap::new(), resting: BTreeSet::new() })
    }

    /// Reads nothing until it is to [go on](Self::go_on), if it is one that does not wait at ends.
    ///
    /// # Errors
    ///
    /// Fails when librdkafka refuses.
    pub(crate) fn rest(&mut self) -> Result<(), KafkaError> {
        if self.patience == Patience::Long {
            return Ok(());
        }
        for place in self.positions.keys() {
            if self.resting.insert(place.clone()) {
                self.reader.stop(&place.0, place.1)?;
            }
        }
        Ok(())
    }

    /// Reads on after a [rest](Self::rest), from where it was.
    ///
    /// # Errors
    ///
    /// Fails when librdkafka refuses.
    pub(crate) fn go_on(&mut self) -> Result<(), KafkaError> {
        while let Some(place) = self.resting.pop_first() {
            if let Some(next) = self.positions.get(&place) {
                self.reader.start(&place.0, place.1, CommitPosition(*next))?;
            }
        }
        Ok(())
    }

    /// Learns where the partitions of topics are.
    pub(crate) fn look_up(&self, topics: &[&str], limit: Duration) {
        self.reader.look_up(topics, limit);
    }

    /// Follows a partition from an offset on, also one that is followed already.
    ///
    /// # Errors
    ///
    /// Fails when librdkafka refuses.
    pub(crate) fn follow(&mut self, place: &Place, from: i64) -> Result<(), KafkaError> {
        let (topic, partition) = (place.0.as_str(), place.1);
        if self.positions.remove(place).is_some() && !self.resting.remove(place) {
            self.reader.stop(topic, partition)?;
        }
        self.reader.start(topic, partition, CommitPosition(from))?;
        self.positions.insert(place.clone(), from);
        Ok(())
    }

    /// The next offset of a partition, if it is followed.
    pub(crate) fn position(&self, place: &Place) -> Option<i64> {
        self.positions.get(place).copied()
    }

    /// Everything that is followed, with its next offset.
    pub(crate) fn positions(&self) -> &BTreeMap<Place, i64> {
        &self.positions
    }

    /// Hands over what is there, for at most `limit`. Waits for the first record at most `patience`.
    pub(crate) fn drain(
        &mut self,
        patience: Duration,
        limit: Duration,
        mut take: impl FnMut(&Place, &Fetched<'_>),
    ) -> Drained {
        if self.positions.is_empty() {
            return Drained::All;
        }
        let (give_up_at, mut count, mut wait) = (Instant::now() + limit, 0_usize, patience);
        let mut place: Place = (String::new(), -1);
        let drained = loop {
            match self.reader.poll(wait) {
                Polled::Record(record) => {
                    if place.0 != record.topic() || place.1 != record.partition() {
                        place = (record.topic().to_owned(), record.partition());
                    }
                    if let Some(position) = self.positions.get_mut(&place) {
                        *position = record.offset().0 + 1;
                        take(&place, &record);
                    }
                    count += 1;
                }
                Polled::End(_) => count += 1,
                Polled::Nothing | Polled::Away(_) => break Drained::All,
                Polled::OutOfRange => break Drained::CutOff,
                Polled::Denied(text) | Polled::Missing(text) => break Drained::Refused(text),
            }
            wait = Duration::ZERO;
            if count.is_multiple_of(CLOCK_EVERY) && Instant::now() >= give_up_at {
                break Drained::Some;
            }
        };
        // Positions pass markers and aborted records, which are never delivered.
        for (place, position) in self.reader.positions() {
            if let Some(known) = self.positions.get_mut(&place) {
                *known = position.max(*known);
            }
        }
        drained
    }
}
