//! Sends dead letters back: each transaction has records and the entry that names them.

use std::ffi::CString;
use std::time::{Duration, Instant};

use kafka_io::client_config::{KafkaSettings, Role};
use kafka_io::native::RecordHeaders;
use kafka_io::write_error::WriteError;
use kafka_io::writer::{Guarantee, NO_TAG, Writer, topic_name};
use service_kit::units::RateArg;

use super::handled::{Entry, Handled, VERSION};
use super::rules::{self, OwnedHeader, Target};
use crate::dlq::dead_letter::DeadLetter;
use crate::dlq::error::DlqError;

/// Most records of one transaction.
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
    pub(super) dlq_topic: String,
    pub(super) ledger_topic: String,
    pub(super) by: String,
    pub(super) filter: serde_json::Value,
}

/// Holds the transactional id of a topic of dead letters: no other run can send meanwhile.
pub(super) struct Sender {
    writer: Writer,
    ledger: CString,
    run: Run,
    batch: Vec<Held>,
    batch_bytes: usize,
    pace: Pace,
    sent: u64,
}

impl Sender {
    /// Takes over the transactional id. Whatever an earlier run has begun is decided afterwards.
    pub(super) fn open(
        kafka: &KafkaSettings,
        run: Run,
        rate: Option<RateArg>,
    ) -> Result<Self, DlqError> {
        let id = format!("orders-redrive-{}", run.dlq_topic);
        let mut config = kafka.base(Role::Producer);
        config.set("linger.ms", "5");
        let writer = Writer::open(&config, Guarantee::ExactlyOnce, &id, TAKE_OVER_MAX)
            .map_err(|error| failed(&error, 0))?;
        let ledger = topic_name(&run.ledger_topic);
        let pace = Pace { rate, begun_at: Instant::now() };
        Ok(Self { writer, ledger, run, batch: Vec::new(), batch_bytes: 0, pace, sent: 0 })
    }

    /// Takes a dead letter in; sends those that are held when they are enough.
    pub(super) fn take(
        &mut self,
        letter: &DeadLetter<'_>,
        target: Target<'_>,
        now_ms: i64,
    ) -> Result<(), DlqError> {
        let record = &letter.record;
        let topic = CString::new(target.topic)
            .map_err(|_| DlqError::Ledger("the name of an origin topic is none".to_owned()))?;
        let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
        let held = Held {
            place: (record.partition, record.offset),
            topic,
            partition: target.partition,
            key: owned(record.key),
            value: owned(record.value),
            headers: rules::headers(letter, &self.run.id, now_ms),
        };
        self.batch_bytes += held.bytes();
        self.batch.push(held);
        let most = self.pace.batch_max();
        if self.batch.len() >= most || self.batch_bytes >= BATCH_BYTES {
            self.flush(now_ms)?;
        }
        Ok(())
    }

    /// Sends what is held, in one transaction with the entries that name it.
    pub(super) fn flush(&mut self, now_ms: i64) -> Result<(), DlqError> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let batch = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        if let Err(error) = self.transact(&batch, now_ms) {
            let error = self.writer.explain(error);
            // What cannot be aborted now, the coordinator or the next run aborts.
            let _ = self.writer.abort();
            return Err(match refused(&error, &batch) {
                Some(why) => DlqError::Stopped { sent: self.sent, why },
                None => failed(&error, self.sent),
            });
        }
        self.sent += batch.len() as u64;
        self.pace.wait(self.sent);
        Ok(())
    }

    fn transact(&mut self, batch: &[Held], now_ms: i64) -> Result<(), WriteError> {
        if self.writer.must_be_replaced() {
            let text = "the connection to the transaction coordinator was lost";
            return Err(WriteError::Failed(text.to_owned()));
        }
        self.writer.begin()?;
        for (tag, held) in batch.iter().enumerate() {
            let mut headers = RecordHeaders::new();
            held.headers.iter().for_each(|(name, value)| headers.add(name, value.as_deref()));
            let (key, value) = (held.key.as_deref(), held.value.as_deref());
            self.writer.produce(&held.topic, held.partition, key, value, Some(&headers), tag)?;
        }
        for entry in entries(&self.run, batch, now_ms) {
            let value =
                serde_json::to_vec(&entry).map_err(|e| WriteError::Failed(e.to_string()))?;
            let key = self.run.dlq_topic.as_bytes();
            self.writer.produce(&self.ledger, 0, Some(key), Some(&value), None, NO_TAG)?;
        }
        self.writer.acknowledged()?;
        self.writer.commit_records()
    }

    /// Records that went back for good.
    pub(super) const fn sent(&self) -> u64 {
        self.sent
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
fn entries(run: &Run, batch: &[Held], now_ms: i64) -> Vec<Entry> {
    let mut sent = Handled::default();
    batch.iter().for_each(|Held { place: (partition, offset), .. }| {
        sent.add(*partition, *offset, *offset);
    });
    let of_partition = |partition| batch.iter().filter(move |held| held.place.0 == partition);
    let entry = |partition| Entry {
        version: VERSION,
        redrive_id: run.id.clone(),
        dlq_topic: run.dlq_topic.clone(),
        partition,
        ranges: sent.ranges(partition),
        count: of_partition(partition).count() as u64,
        at_ms: now_ms,
        by: run.by.clone(),
        filter: run.filter.clone(),
    };
    sent.partitions().map(entry).collect()
}

/// Keeps to a rate, batch by batch.
struct Pace {
    rate: Option<RateArg>,
    begun_at: Instant,
}

impl Pace {
    /// A slow rate is kept by small transactions, about one a second.
    fn batch_max(&self) -> usize {
        let Some(rate) = self.rate else { return BATCH_RECORDS };
        let a_second = f64::from(rate.count()) / rate.period().as_secs_f64();
        (1..=BATCH_RECORDS).rev().find(|count| *count as f64 <= a_second).unwrap_or(1)
    }

    fn wait(&self, sent: u64) {
        let Some(rate) = self.rate else { return };
        let periods = sent as f64 / f64::from(rate.count());
        let due = self.begun_at + rate.period().mul_f64(periods);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}

/// Which dead letter the broker refuses, and why.
fn refused(error: &WriteError, batch: &[Held]) -> Option<String> {
    let WriteError::Refused(refused) = error else { return None };
    let first = refused.first()?;
    let Held { place: (partition, offset), topic, .. } = batch.get(first.tag)?;
    let topic = topic.to_string_lossy();
    Some(format!("{topic} does not take {partition}:{offset}: {}", first.code))
}

fn failed(error: &WriteError, sent: u64) -> DlqError {
    DlqError::Stopped { sent, why: error.to_string() }
}
