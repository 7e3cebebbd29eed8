//! Reads the topics, one partition after the other, into the books.

use std::time::{Duration, Instant};

use codec::decode::{DecodeError, Decoder};
use codec::resolver::SchemaResolver;
use codec::scalar::AvroRecord;
use kafka_io::ClientConfig;
use kafka_io::reader::{Fetched, Polled, Reader};
use order_schemas::{OrderOutcome, OrderRecord, ProductAverage};
use pipeline::record::CommitPosition;

use super::AuditError;
use super::books::Books;
use super::cut::{Bounds, Cut, Cutter, Hanging};
use super::flags::Settings;
use super::orders_read::Value;
use super::report::{At, Invariant, PartitionView, Report, Violation};
use super::surroundings::Surroundings;

/// A partition that is red while its group moved on is looked at again this often: what was
/// compacted or trimmed meanwhile must not pass for a violation.
const TRIES_MAX: usize = 3;

/// Longest time without a record or a move of the position.
const STALL_MAX: Duration = Duration::from_secs(30);

/// Longest wait for the registry's answer about one schema.
const SCHEMA_MAX: Duration = Duration::from_millis(3500);

/// Wait for the next record.
const POLL: Duration = Duration::from_millis(20);

/// Time between two lines of progress.
const TELL_EVERY: Duration = Duration::from_secs(3);

/// Records between two looks at the clock.
const CLOCK_EVERY: u64 = 4096;

/// Everything that reads.
pub(crate) struct Walk<'a, P> {
    settings: &'a Settings,
    surroundings: Surroundings,
    cutter: Cutter,
    reader: Reader,
    orders: Decoder<OrderRecord>,
    averages: Decoder<ProductAverage>,
    outcomes: Decoder<OrderOutcome>,
    progress: P,
    tell_at: Instant,
}

impl<'a, P: FnMut(&str)> Walk<'a, P> {
    pub(crate) fn new(
        settings: &'a Settings,
        config: &ClientConfig,
        surroundings: Surroundings,
        resolver: SchemaResolver,
        progress: P,
    ) -> Result<Self, AuditError> {
        let reader = Reader::new(config, &settings.group)
            .map_err(|error| AuditError::Kafka(error.to_string()))?;
        reader.look_up(&settings.topics.names(), SCHEMA_MAX);
        Ok(Self {
            settings,
            surroundings,
            cutter: Cutter::new(config, &settings.group, &settings.topics)?,
            reader,
            orders: Decoder::new(resolver.clone()),
            averages: Decoder::new(resolver.clone()),
            outcomes: Decoder::new(resolver),
            progress,
            tell_at: Instant::now() + TELL_EVERY,
        })
    }

    /// Audits all partitions.
    pub(crate) fn all(mut self) -> Result<Report, AuditError> {
        let promises = self.settings.promises;
        let mut report =
            Report::new(self.settings.topics.outcomes.is_some(), promises.keeps_key_order);
        for partition in 0..self.surroundings.partitions {
            report.absorb(self.one(partition)?);
        }
        for note in &self.surroundings.notes {
            report.note(Invariant::I1, note.clone());
        }
        Ok(report)
    }

    fn one(&mut self, partition: i32) -> Result<Report, AuditError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let cut = match self.cutter.take(partition)? {
                Ok(cut) => cut,
                Err(hanging) => return Ok(self.hanging(&hanging)),
            };
            let may_repeat = tries < TRIES_MAX;
            let moved = cut.moved();
            match self.books(cut) {
                Ok(report) if !report.ok && moved && may_repeat => {}
                Err(AuditError::CutOff(_)) if may_repeat => {}
                result => return result,
            }
        }
    }

    fn hanging(&self, hanging: &Hanging) -> Report {
        let promises = self.settings.promises;
        let mut report =
            Report::new(self.settings.topics.outcomes.is_some(), promises.keeps_key_order);
        let Hanging { topic, partition, stable_end } = hanging;
        let at = At { topic: topic.clone(), partition: *partition, offset: Some(*stable_end) };
        let what = "a transaction is open here for more than 30 s: readers of committed records stand still";
        let violation = Violation { at, origin: None, product: None, what: what.to_owned() };
        report.violation(Invariant::I8, violation);
        let what = format!("partition {partition} was not read: a transaction hangs in {topic}");
        for invariant in
            [Invariant::I1, Invariant::I2, Invariant::I4, Invariant::I6, Invariant::I10]
        {
            report.unprovable(invariant, what.clone());
        }
        report.partitions.push(PartitionView { partition: *partition, ..PartitionView::default() });
        report
    }

    fn books(&mut self, cut: Cut) -> Result<Report, AuditError> {
        let settings = self.settings;
        let topics = &settings.topics;
        let (p, bounds) = (cut.partition, cut.bounds);
        let mut books = Books::new(settings, &self.surroundings, cut);
        let (averages, orders) = (&mut self.averages, &mut self.orders);
        let mut scan =
            Scan { reader: &self.reader, progress: &mut self.progress, tell_at: &mut self.tell_at };
        scan.read(&topics.averages, p, bounds.averages, |record| {
            let record = record.hold();
            let average = match record.value {
                None => Ok(None),
                Some(_) => resolved(averages, record.value.as_deref())?.map(Some),
            };
            books.take_average(&record, average);
            Ok(())
        })?;
        books.adopt_notes();
        scan.read(&topics.retry, p, bounds.retry, |record| {
            let record = record.hold();
            let mut failed = Ok(());
            books.take_retry(&record, |record| {
                value_of(orders, record.value.as_deref()).unwrap_or_else(|error| {
                    failed = Err(error);
                    Value::SchemaGone
                })
            });
            failed
        })?;
        scan.read(&topics.dead_letter, p, bounds.dead_letter, |record| {
            books.take_dead_letter(&record.hold());
            Ok(())
        })?;
        if let Some(topic) = &topics.outcomes {
            let outcomes = &mut self.outcomes;
            scan.read(topic, p, bounds.outcomes, |record| {
                let told = resolved(outcomes, record.value())?;
                books.take_outcome(&record.hold(), told);
                Ok(())
            })?;
        }
        books.before_orders();
        scan.read(&topics.main, p, bounds.main, |record| {
            let value = value_of(orders, record.value())?;
            books.take_order(record.offset().0, record.key(), &value, || record.hold());
            Ok(())
        })?;
        books.close();
        Ok(books.report)
    }
}

/// Reads one partition of one topic after the other.
struct Scan<'a, P> {
    reader: &'a Reader,
    progress: &'a mut P,
    tell_at: &'a mut Instant,
}

impl<P: FnMut(&str)> Scan<'_, P> {
    /// Hands every committed record within the bounds to `take`.
    fn read(
        &mut self,
        topic: &str,
        partition: i32,
        bounds: Bounds,
        take: impl FnMut(&Fetched<'_>) -> Result<(), AuditError>,
    ) -> Result<(), AuditError> {
        if bounds.low >= bounds.end {
            return Ok(());
        }
        let failed = |error: kafka_io::KafkaError| AuditError::Kafka(error.to_string());
        self.reader.start(topic, partition, CommitPosition(bounds.low)).map_err(failed)?;
        let result = self.read_started(topic, partition, bounds, take);
        self.reader.stop(topic, partition).map_err(failed)?;
        result
    }

    fn read_started(
        &mut self,
        topic: &str,
        partition: i32,
        bounds: Bounds,
        mut take: impl FnMut(&Fetched<'_>) -> Result<(), AuditError>,
    ) -> Result<(), AuditError> {
        let (mut count, mut at) = (0_u64, bounds.low);
        let mut give_up_at = Instant::now() + STALL_MAX;
        loop {
            match self.reader.poll(POLL) {
                Polled::Record(record) => {
                    let offset = record.offset().0;
                    if record.partition() != partition || record.topic() != topic {
                        continue;
                    }
                    if offset >= bounds.end {
                        return Ok(());
                    }
                    take(&record)?;
                    at = offset;
                    count += 1;
                    if count.is_multiple_of(CLOCK_EVERY) {
                        give_up_at = Instant::now() + STALL_MAX;
                        self.tell(topic, partition, at, bounds);
                    }
                    if offset + 1 >= bounds.end {
                        return Ok(());
                    }
                }
                Polled::Denied(text) | Polled::Missing(text) => {
                    return Err(AuditError::Kafka(text));
                }
                Polled::OutOfRange => {
                    return Err(AuditError::CutOff(format!("{topic}/{partition}")));
                }
                Polled::End(_) | Polled::Nothing | Polled::Away(_) => {
                    // Positions pass markers and aborted records, which are never delivered.
                    let positions = self.reader.positions().unwrap_or_default();
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
                        return Err(AuditError::Stalled(place, STALL_MAX.as_secs()));
                    }
                }
            }
        }
    }

    fn tell(&mut self, topic: &str, partition: i32, at: i64, bounds: Bounds) {
        if Instant::now() < *self.tell_at {
            return;
        }
        *self.tell_at = Instant::now() + TELL_EVERY;
        let (done, all) = (at - bounds.low, bounds.end - bounds.low);
        (self.progress)(&format!("{topic}/{partition}: {done} of {all} offsets"));
    }
}

/// Decodes a record, waiting for its schema. The inner error is the record's own.
fn resolved<T: AvroRecord>(
    decoder: &mut Decoder<T>,
    value: Option<&[u8]>,
) -> Result<Result<T::Value, String>, AuditError> {
    decode(decoder, value).map(|decoded| {
        decoded.map_err(|error| match error {
            DecodeError::Failed(failure) => {
                format!("it cannot be read: {}: {}", failure.reason.as_str(), failure.detail)
            }
            DecodeError::Unresolved { schema_id, .. } => format!("schema {schema_id} is not known"),
        })
    })
}

fn value_of(decoder: &mut Decoder<OrderRecord>, value: Option<&[u8]>) -> Result<Value, AuditError> {
    Ok(Value::of(decode(decoder, value)?))
}

fn decode<T: AvroRecord>(
    decoder: &mut Decoder<T>,
    value: Option<&[u8]>,
) -> Result<Result<T::Value, DecodeError>, AuditError> {
    let mut give_up_at = None;
    loop {
        match decoder.decode(value) {
            Err(DecodeError::Unresolved { schema_id, away }) => {
                let give_up_at = *give_up_at.get_or_insert_with(|| Instant::now() + SCHEMA_MAX);
                if Instant::now() >= give_up_at {
                    let detail = away.unwrap_or_else(|| "no answer".to_owned());
                    return Err(AuditError::Registry { schema_id, detail });
                }
                std::thread::sleep(Duration::from_millis(2));
            }
            decoded => return Ok(decoded),
        }
    }
}
