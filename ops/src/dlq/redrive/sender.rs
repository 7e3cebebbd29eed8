//! Handles dead letters: each transaction has the records that go back, and the entries that name what was
//! handled.

use std::ffi::CString;
use std::time::{Duration, Instant};

use kafka_io::client_config::{KafkaSettings, Role, set_defaults};
use kafka_io::native::RecordHeaders;
use kafka_io::write_error::WriteError;
use kafka_io::writer::{Guarantee, NO_TAG, Writer, topic_name};
use service_kit::shutdown::Shutdown;
use service_kit::spans;
use service_kit::units::RateArg;

use super::handled::{Entry, Mark, Ranges, VERSION};
use super::rules::{self, Fate, OwnedHeader, Target};
use super::traced::Back;
use crate::dlq::dead_letter::DeadLetter;
use crate::dlq::error::DlqError;

/// Most dead letters of one transaction.
const BATCH_RECORDS: usize = 1_000;

/// Most bytes of them, about: they are held until the transaction begins, so that it is short.
const BATCH_BYTES: usize = 8 << 20;

/// Longest wait until the transactional id is taken over: a transaction of its last holder, killed in
/// the middle, is decided first.
const TAKE_OVER_MAX: Duration = Duration::from_secs(30);

/// A record that is to be sent.
struct Held {
    place: (i32, i64),
    topic: CString,
    partition: i32,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<OwnedHeader>,
}

/// What every entry of a run says.
pub(super) struct Run {
    pub(super) id: String,
    pub(super) mark: Mark,
    pub(super) dlq_topic: String,
    pub(super) topic_id: Option<String>,
    pub(super) ledger_topic: String,
    pub(super) by: String,
    pub(super) filter: serde_json::Value,
}

/// Transactional id of the runs that work on a topic of dead letters.
pub(crate) fn transactional_id(dlq_topic: &str) -> String {
    format!("orders-redrive-{dlq_topic}")
}

/// Holds the transactional id of a topic of dead letters: no other run can send meanwhile.
pub(super) struct Sender {
    writer: Writer,
    ledger: CString,
    run: Run,
    batch: Batch,
    pace: Pace,
    done: u64,
}

/// What the next transaction is about.
#[derive(Default)]
struct Batch {
    places: Vec<(i32, i64)>,
    records: Vec<Held>,
    bytes: usize,
}

impl Sender {
    /// Takes over the transactional id. Whatever an earlier run has begun is decided afterwards.
    pub(super) fn open(
        kafka: &KafkaSettings,
        run: Run,
        rate: Option<RateArg>,
    ) -> Result<Self, DlqError> {
        let id = transactional_id(&run.dlq_topic);
        let mut config = kafka.base(Role::Producer);
        set_defaults(&mut config, [("linger.ms", "5")]);
        let writer = Writer::open(&config, Guarantee::ExactlyOnce, &id, TAKE_OVER_MAX)
            .map_err(|error| failed(&error, 0))?;
        let ledger = topic_name(&run.ledger_topic);
        let pace = Pace { rate, stop: Shutdown::new(), begun_at: Instant::now() };
        Ok(Self { writer, ledger, run, batch: Batch::default(), pace, done: 0 })
    }

    /// A pause for the rate ends when this asks for it.
    pub(super) fn heed(&mut self, stop: Shutdown) {
        self.pace.stop = stop;
    }

    /// Takes a dead letter in; handles those that are held when they are enough.
    pub(super) fn take(
        &mut self,
        letter: &DeadLetter<'_>,
        fate: Fate<'_>,
        now_ms: i64,
    ) -> Result<(), DlqError> {
        if let Fate::Back(target) = fate {
            let held = self.held(letter, target, now_ms)?;
            self.batch.bytes += held.bytes();
            self.batch.records.push(held);
        }
        self.batch.places.push((letter.record.partition, letter.record.offset));
        let most = self.pace.batch_max();
        if self.batch.places.len() >= most || self.batch.bytes >= BATCH_BYTES {
            self.flush(now_ms)?;
        }
        Ok(())
    }

    fn held(
        &self,
        letter: &DeadLetter<'_>,
        target: Target<'_>,
        now_ms: i64,
    ) -> Result<Held, DlqError> {
        let record = &letter.record;
        let topic = CString::new(target.topic)
            .map_err(|_| DlqError::Ledger("the name of an origin topic is none".to_owned()))?;
        let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
        Ok(Held {
            place: (record.partition, record.offset),
            topic,
            partition: target.partition,
            key: owned(record.key),
            value: owned(record.value),
            headers: rules::headers(letter, &self.run.id, now_ms),
        })
    }

    /// Handles what is held: records that go back, and the entries that name them, in one transaction.
    pub(super) fn flush(&mut self, now_ms: i64) -> Result<(), DlqError> {
        if self.batch.places.is_empty() {
            return Ok(());
        }
        let batch = std::mem::take(&mut self.batch);
        if let Err(error) = self.transact(&batch, now_ms) {
            let error = self.writer.explain(error);
            // What cannot be aborted now, the coordinator or the next run aborts.
            let _ = self.writer.abort();
            return Err(match refused(&error, &batch.records) {
                Some(why) => DlqError::Stopped { done: self.done, why },
                None => failed(&error, self.done),
            });
        }
        self.done += batch.places.len() as u64;
        self.pace.wait(self.done);
        Ok(())
    }

    fn transact(&mut self, batch: &Batch, now_ms: i64) -> Result<(), WriteError> {
        if self.writer.must_be_replaced() {
            let text = "the connection to the transaction coordinator was lost";
            return Err(WriteError::Failed(text.to_owned()));
        }
        let started_ns = spans::is_on().then(spans::now_ns);
        self.writer.begin()?;
        for (tag, held) in batch.records.iter().enumerate() {
            let mut headers = RecordHeaders::new();
            held.headers.iter().for_each(|(name, value)| headers.add(name, value.as_deref()));
            let (key, value) = (held.key.as_deref(), held.value.as_deref());
            self.writer.produce(&held.topic, held.partition, key, value, Some(&headers), tag)?;
        }
        for entry in entries(&self.run, &batch.places, now_ms) {
            let value =
                serde_json::to_vec(&entry).map_err(|e| WriteError::Failed(e.to_string()))?;
            let key = self.run.dlq_topic.as_bytes();
            self.writer.produce(&self.ledger, 0, Some(key), Some(&value), None, NO_TAG)?;
        }
        self.writer.acknowledged()?;
        self.writer.commit_records()?;
        if let Some(started_ns) = started_ns {
            batch.records.iter().for_each(|held| self.tell_span(held, started_ns));
        }
        Ok(())
    }

    fn tell_span(&self, held: &Held, started_ns: u64) {
        let back = Back {
            topic: &held.topic.to_string_lossy(),
            partition: held.partition,
            dead_letter: format!("{}/{}/{}", self.run.dlq_topic, held.place.0, held.place.1),
            redrive_id: &self.run.id,
        };
        back.tell_span(&held.headers, started_ns);
    }

    /// The id of its run.
    pub(super) fn into_id(self) -> String {
        self.run.id
    }

    /// Dead letters that were handled for good.
    pub(super) const fn done(&self) -> u64 {
        self.done
    }
}

impl Held {
    fn bytes(&self) -> usize {
        let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        let headers: usize = self.headers.iter().map(|(n, value)| n.len() + length(value)).sum();
        length(&self.key) + length(&self.value) + headers + size_of::<Self>()
    }
}

/// One entry for each partition of the topic of dead letters that the batch is of.
fn entries(run: &Run, places: &[(i32, i64)], now_ms: i64) -> Vec<Entry> {
    let mut all = Ranges::default();
    places.iter().for_each(|(partition, offset)| all.add(*partition, *offset, *offset));
    let of_partition = |partition| places.iter().filter(move |place| place.0 == partition);
    let entry = |partition| Entry {
        version: VERSION,
        mark: run.mark,
        redrive_id: run.id.clone(),
        dlq_topic: run.dlq_topic.clone(),
        topic_id: run.topic_id.clone(),
        partition,
        ranges: all.ranges(partition),
        count: of_partition(partition).count() as u64,
        at_ms: now_ms,
        by: run.by.clone(),
        filter: run.filter.clone(),
    };
    all.partitions().map(entry).collect()
}

/// Keeps to a rate, batch by batch.
struct Pace {
    rate: Option<RateArg>,
    stop: Shutdown,
    begun_at: Instant,
}

impl Pace {
    /// A slow rate is kept by small transactions, about one a second.
    fn batch_max(&self) -> usize {
        let Some(rate) = self.rate else { return BATCH_RECORDS };
        let a_second = f64::from(rate.count()) / rate.period().as_secs_f64();
        (1..=BATCH_RECORDS).rev().find(|count| *count as f64 <= a_second).unwrap_or(1)
    }

    /// When the next batch is due; at once where there is no rate.
    fn due(&self, done: u64) -> Instant {
        let Some(rate) = self.rate else { return self.begun_at };
        let periods = done as f64 / f64::from(rate.count());
        self.begun_at + rate.period().mul_f64(periods)
    }

    /// Waits until the next batch is due, or a stop is asked for.
    fn wait(&self, done: u64) {
        if self.rate.is_none() {
            return;
        }
        // Who asked for the stop is heard by the scan.
        let _ = self.stop.wait(self.due(done).saturating_duration_since(Instant::now()));
    }
}

/// Which dead letter the broker refuses, and why.
fn refused(error: &WriteError, batch: &[Held]) -> Option<String> {
    let WriteError::Refused(refused) = error else { return None };
    let first = refused.first()?;
    let Held { place: (partition, offset), topic, .. } = batch.get(first.tag)?;
    let topic = topic.to_string_lossy();
    Some(format!("{topic} refuses dead letter {partition}:{offset}: {}", first.code))
}

fn failed(error: &WriteError, done: u64) -> DlqError {
    DlqError::Stopped { done, why: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_kept_by_batches_that_are_due_one_after_the_other() {
        for (rate, batch_max, after_6000_ms) in [
            (None, BATCH_RECORDS, 0),
            (Some("100/s"), 100, 60_000),
            (Some("6000/m"), 100, 60_000),
            (Some("5000/s"), BATCH_RECORDS, 1_200),
            (Some("1/m"), 1, 360_000_000),
        ] {
            let parse = |text: &str| text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
            let begun_at = Instant::now();
            let pace = Pace { rate: rate.map(parse), stop: Shutdown::new(), begun_at };
            assert_eq!(pace.batch_max(), batch_max, "{rate:?}");
            let after = pace.due(6_000) - begun_at;
            assert_eq!(after.as_millis(), after_6000_ms, "{rate:?}");
            assert_eq!(pace.due(0), begun_at);
        }
    }
}
