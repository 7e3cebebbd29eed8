//! Reads the topics, one partition after the other, into the books.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use codec::decode::{DecodeError, Decoder};
use codec::resolver::SchemaResolver;
use codec::scalar::AvroRecord;
use order_schemas::{OrderOutcome, OrderRecord, ProductAverage};
use orders::Order;

use super::AuditError;
use super::books::Books;
use super::borrowed::Borrowed;
use super::cut::{Cut, Cutter, Hanging};
use super::flags::Settings;
use super::orders_read::Value;
use super::report::{At, Invariant, PartitionView, Report, Violation};
use super::surroundings::Surroundings;
use crate::connected::Connected;
use crate::progress::Lines;
use crate::replay::Replays;
use crate::scan::{Scan, ScanError};

/// A partition that is red while its group moved on is looked at again this often: what was
/// compacted or trimmed meanwhile must not pass for a violation.
const TRIES_MAX: usize = 3;

/// Every record is looked at.
const GO_ON: Result<ControlFlow<()>, AuditError> = Ok(ControlFlow::Continue(()));

/// Longest wait for the registry's answer about one schema.
pub(crate) const SCHEMA_MAX: Duration = Duration::from_millis(3500);

/// Everything that reads.
pub(crate) struct Walk<'a, P> {
    settings: &'a Settings,
    surroundings: Surroundings,
    /// Where the count begins, by partition.
    replays: Replays,
    cutter: Cutter,
    connected: Connected,
    orders: Decoder<OrderRecord>,
    averages: Decoder<ProductAverage>,
    outcomes: Decoder<OrderOutcome>,
    watch: Lines<P>,
}

impl<'a, P: FnMut(&str)> Walk<'a, P> {
    pub(crate) fn new(
        settings: &'a Settings,
        connected: Connected,
        cutter: Cutter,
        surroundings: Surroundings,
        replays: Replays,
        resolver: SchemaResolver,
        progress: P,
    ) -> Self {
        connected.reader().look_up(&settings.topics.names(), SCHEMA_MAX);
        Self {
            settings,
            surroundings,
            replays,
            cutter,
            connected,
            orders: Decoder::new(resolver.clone()),
            averages: Decoder::new(resolver.clone()),
            outcomes: Decoder::new(resolver),
            watch: Lines::new(progress),
        }
    }

    /// Audits all partitions.
    pub(crate) fn all(mut self) -> Result<Report, AuditError> {
        let promises = self.settings.promises;
        let mut report =
            Report::new(self.settings.topics.outcomes.is_some(), promises.keeps_key_order);
        for partition in 0..self.surroundings.partitions {
            report.absorb(self.one(partition)?);
        }
        for note in self.surroundings.notes.iter().cloned().chain(self.replays.notes()) {
            report.note(Invariant::I1, note);
        }
        Ok(report)
    }

    fn one(&mut self, partition: i32) -> Result<Report, AuditError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let cut = match self.cutter.take(partition)? {
                Ok(cut) => cut.beginning_at(self.replays.begins(partition, &self.settings.topics)),
                Err(hanging) => return Ok(self.hanging(&hanging)),
            };
            let may_repeat = tries < TRIES_MAX;
            let moved = cut.moved();
            match self.books(cut) {
                Ok(report) if !report.ok && moved && may_repeat => {}
                Err(AuditError::Scan(ScanError::CutOff(_))) if may_repeat => {}
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
        let what = "a transaction has been open here for more than 30 s: readers of committed records wait";
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
        let mut scan = Scan { reader: self.connected.reader(), watch: &mut self.watch };
        scan.read(&topics.averages, p, bounds.averages, |record| {
            let average = match record.value() {
                None => Ok(None),
                value => resolved(averages, value)?.map(Some),
            };
            books.take_average(&Borrowed::of(record), average);
            GO_ON
        })?;
        books.adopt_notes();
        scan.read(&topics.retry, p, bounds.retry, |record| {
            let record = record.hold();
            let mut failed = Ok(());
            books.take_retry(&record, |record| {
                let mut order = OrderRecord::blank();
                value_of(orders, record.value.as_deref(), &mut order).unwrap_or_else(|error| {
                    failed = Err(error);
                    Value::SchemaGone
                })
            });
            failed.and(GO_ON)
        })?;
        scan.read(&topics.dead_letter, p, bounds.dead_letter, |record| {
            books.take_dead_letter(&record.hold());
            GO_ON
        })?;
        if let Some(topic) = &topics.outcomes {
            let outcomes = &mut self.outcomes;
            scan.read(topic, p, bounds.outcomes, |record| {
                let told = resolved(outcomes, record.value())?;
                books.take_outcome(&record.hold(), told);
                GO_ON
            })?;
        }
        books.before_orders();
        let mut spare = OrderRecord::blank(); // each order is read into the memory of the one before
        scan.read(&topics.main, p, bounds.main, |record| {
            let value = value_of(orders, record.value(), &mut spare)?;
            books.take_order(record.offset().0, record.key(), &value, || record.hold());
            spare = value.into_order().unwrap_or_else(OrderRecord::blank);
            GO_ON
        })?;
        books.close();
        Ok(books.report)
    }
}

/// Decodes a record, waiting for its schema. The inner error is the record's own.
pub(crate) fn resolved<T: AvroRecord>(
    decoder: &mut Decoder<T>,
    value: Option<&[u8]>,
) -> Result<Result<T::Value, String>, AuditError> {
    let mut read = T::blank();
    decode_into(decoder, value, &mut read).map(|decoded| {
        decoded.map(|()| read).map_err(|error| match error {
            DecodeError::Failed(failure) => {
                format!("it cannot be read: {}: {}", failure.reason.as_str(), failure.detail)
            }
            DecodeError::Unresolved { schema_id, .. } => format!("schema {schema_id} is unknown"),
        })
    })
}

/// Judges the bytes of an order. They are read into `spare`, which is left blank.
fn value_of(
    decoder: &mut Decoder<OrderRecord>,
    value: Option<&[u8]>,
    spare: &mut Order,
) -> Result<Value, AuditError> {
    let decoded = decode_into(decoder, value, spare)?;
    Ok(Value::of(decoded.map(|()| std::mem::replace(spare, OrderRecord::blank()))))
}

/// As [`Decoder::decode_into`], but waits for the schema.
fn decode_into<T: AvroRecord>(
    decoder: &mut Decoder<T>,
    value: Option<&[u8]>,
    read: &mut T::Value,
) -> Result<Result<(), DecodeError>, AuditError> {
    let mut give_up_at = None;
    loop {
        match decoder.decode_into(value, read) {
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
