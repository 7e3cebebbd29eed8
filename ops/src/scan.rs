//! Reads one partition of a topic from one offset to another, as a reader of committed records.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use kafka_io::KafkaError;
use kafka_io::reader::{Fetched, Polled, Reader};
use pipeline::record::CommitPosition;

/// Longest time without a record or a move of the position.
const STALL_MAX: Duration = Duration::from_secs(30);

/// Wait for the next record.
const POLL: Duration = Duration::from_millis(20);

/// Records between two looks at the clock.
const CLOCK_EVERY: u64 = 4096;

/// Records between two times that whoever looks on is told, at most: each is a look at the clock.
const TELL_EVERY_MAX: u32 = 64;

/// Where these many take longer, fewer are read before the next time.
const TELL_WITHIN: Duration = Duration::from_millis(10);

/// First and end offset of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Bounds {
    pub(crate) low: i64,
    pub(crate) end: i64,
}

/// Why a partition was not read to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScanError {
    #[error("{0}")]
    Kafka(String),
    #[error("{0} was not read to its end: no record arrived within {1} s")]
    Stalled(String, u64),
    #[error("retention deleted records of {0} while they were being read")]
    CutOff(String),
}

impl From<KafkaError> for ScanError {
    fn from(error: KafkaError) -> Self {
        Self::Kafka(error.to_string())
    }
}

/// Who looks on while a partition is read.
pub(crate) trait Watch {
    /// So many of all offsets of a partition are read.
    fn at(&mut self, place: Place<'_>, done: u64, all: u64);

    /// Whether somebody wants the reading to end. It does then, as if the partition had.
    fn wants_stop(&self) -> bool {
        false
    }
}

/// A partition that is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) topic: &'a str,
    pub(crate) partition: i32,
}

/// When to tell who looks on: seldom where records are read fast, and after each one where they are not.
struct Pace {
    every: u32,
    left: u32,
    told_at: Instant,
}

impl Pace {
    fn new() -> Self {
        Self { every: 1, left: 1, told_at: Instant::now() }
    }

    /// Whether to tell after this record.
    fn is_due(&mut self) -> bool {
        self.left -= 1;
        if self.left > 0 {
            return false;
        }
        let now = Instant::now();
        let is_fast = now - std::mem::replace(&mut self.told_at, now) < TELL_WITHIN;
        self.every = if is_fast { (self.every * 2).min(TELL_EVERY_MAX) } else { 1 };
        self.left = self.every;
        true
    }
}

/// Reads one partition of one topic after the other.
pub(crate) struct Scan<'a, W> {
    pub(crate) reader: &'a Reader,
    pub(crate) watch: &'a mut W,
}

impl<W: Watch> Scan<'_, W> {
    /// Hands every committed record within the bounds to `take`, until it wants no more.
    ///
    /// # Errors
    ///
    /// Fails as `take` does, and where records do not come.
    pub(crate) fn read<E: From<ScanError>>(
        &mut self,
        topic: &str,
        partition: i32,
        bounds: Bounds,
        take: impl FnMut(&Fetched<'_>) -> Result<ControlFlow<()>, E>,
    ) -> Result<(), E> {
        if bounds.low >= bounds.end {
            return Ok(());
        }
        let failed = |error: KafkaError| E::from(error.into());
        self.reader.start(topic, partition, CommitPosition(bounds.low)).map_err(failed)?;
        let result = self.read_started(topic, partition, bounds, take);
        self.reader.stop(topic, partition).map_err(failed)?;
        result
    }

    fn read_started<E: From<ScanError>>(
        &mut self,
        topic: &str,
        partition: i32,
        bounds: Bounds,
        mut take: impl FnMut(&Fetched<'_>) -> Result<ControlFlow<()>, E>,
    ) -> Result<(), E> {
        let (mut count, mut at) = (0_u64, bounds.low);
        let mut pace = Pace::new();
        let mut give_up_at = Instant::now() + STALL_MAX;
        let all = offsets(bounds.low, bounds.end);
        let place = Place { topic, partition };
        let mut topic_id = None;
        loop {
            if self.watch.wants_stop() {
                return Ok(());
            }
            match self.reader.poll(POLL) {
                Polled::Record(record) => {
                    let offset = record.offset().0;
                    // Names are compared once: all records of a topic have the same id.
                    let is_of_topic =
                        topic_id == Some(record.topic_id()) || record.topic() == topic;
                    if !is_of_topic || record.partition() != partition {
                        continue;
                    }
                    topic_id = Some(record.topic_id());
                    if offset >= bounds.end || take(&record)?.is_break() {
                        return Ok(());
                    }
                    at = offset;
                    count += 1;
                    if count.is_multiple_of(CLOCK_EVERY) {
                        give_up_at = Instant::now() + STALL_MAX;
                    }
                    let is_last = offset + 1 >= bounds.end;
                    if is_last || pace.is_due() {
                        self.watch.at(place, offsets(bounds.low, at + 1), all);
                    }
                    if is_last {
                        return Ok(());
                    }
                }
                Polled::Denied(text) | Polled::Missing(text) => {
                    return Err(ScanError::Kafka(text).into());
                }
                Polled::OutOfRange => {
                    return Err(ScanError::CutOff(format!("{topic}/{partition}")).into());
                }
                Polled::End(_) | Polled::Nothing | Polled::Away(_) => {
                    // Positions pass markers and aborted records, which are never delivered.
                    let positions = self.reader.positions();
                    let position = positions.get(&(topic.to_owned(), partition)).copied();
                    let position = position.unwrap_or(at);
                    if position >= bounds.end {
                        return Ok(());
                    }
                    let now = Instant::now();
                    if position > at {
                        (at, give_up_at) = (position, now + STALL_MAX);
                    } else if now >= give_up_at {
                        let place = format!("{topic}/{partition}@{position}");
                        return Err(ScanError::Stalled(place, STALL_MAX.as_secs()).into());
                    }
                }
            }
        }
    }
}

/// How many offsets lie from one to another, that one excluded.
pub(crate) fn offsets(from: i64, to: i64) -> u64 {
    u64::try_from(to.saturating_sub(from)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_looks_on_is_told_of_each_slow_record_and_of_some_fast_ones() {
        let mut pace = Pace::new();
        let told: Vec<u32> = (1..=200).filter(|_| pace.is_due()).collect();
        assert_eq!(told, [1, 3, 7, 15, 31, 63, 127, 191]);
        pace.left = 1;
        for _ in 0..3 {
            pace.told_at -= TELL_WITHIN;
            assert!(pace.is_due());
        }
    }
}
