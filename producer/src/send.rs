//! The sending loop: take, pace, encode, publish, and account for every order.

mod ledger;
mod listener;
mod refused;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use codec::encode::Encoder;
use kafka_io::client_config::{KafkaSettings, Role};
use kafka_io::publisher::{PublishError, Publisher};
use order_schemas::OrderRecord;
use orders::Order;
use service_kit::shutdown::Shutdown;

use self::ledger::{Entry, Ledger};
pub use self::listener::{Delivered, InexactPrices, Listener, Silent, Summary, Totals};
use crate::import::{ImportedRow, InputError, RejectedRow, RowText};
use crate::pace::{Schedule, Speed};
use crate::source::{Defect, Next, Outgoing, Source};

/// Longest pause between two looks at the stop request and the brokers.
const SLICE: Duration = Duration::from_millis(50);
/// How often the listener hears of progress.
const TICK: Duration = Duration::from_millis(250);
/// Without a pace, the clock is looked at before every so many orders.
const TICK_ORDERS: u64 = 64;
/// After a stop request, what is in flight gets so long; the program ends within 10 s.
const STOP_FLUSH_LIMIT: Duration = Duration::from_secs(8);
/// How long the reports of given-up orders may take.
const ABANDON_LIMIT: Duration = Duration::from_millis(500);
/// Beyond the delivery timeout: librdkafka looks for expired records once a second.
const FLUSH_MARGIN: Duration = Duration::from_secs(5);
/// Bytes of imported rows that are kept until their orders are acknowledged; beyond it, reading waits.
const ROWS_IN_FLIGHT_BYTES_MAX: usize = 32 << 20;
/// So long waits for room are.
const ROOM_SLICE: Duration = Duration::from_millis(5);

/// Which field of an order is the record's key.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    clap::ValueEnum,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Key {
    /// All orders of a product are in one partition, in order.
    #[default]
    Product,
    /// Orders are spread evenly.
    OrderId,
}

/// What is sent where, and how fast.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendSettings {
    /// Topic of the orders.
    pub topic: String,
    /// Which field is the key.
    pub key: Key,
    /// How fast.
    pub speed: Speed,
    /// Stop after so many orders and rejected rows; `None` means at the end of the source.
    pub count_max: Option<u64>,
    /// How long one order is tried.
    pub delivery_timeout: Duration,
}

/// Why a run could not go on. What was in flight is accounted for all the same.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The input cannot be read any further.
    #[error(transparent)]
    Input(#[from] InputError),
    /// A rejected row could not be kept.
    #[error("a rejected row cannot be written: {0}")]
    Rejects(#[from] io::Error),
    /// The producer has failed.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// Sends orders to one topic.
pub struct Sender {
    publisher: Publisher<Ledger>,
    encoder: Encoder<OrderRecord>,
    settings: SendSettings,
    listener: Arc<dyn Listener>,
    is_compressed: bool,
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sender").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Sender {
    /// Makes the sender; it connects in the background.
    ///
    /// # Errors
    ///
    /// Fails if librdkafka refuses the settings.
    pub fn new(
        kafka: &KafkaSettings,
        encoder: Encoder<OrderRecord>,
        settings: SendSettings,
        listener: Arc<dyn Listener>,
    ) -> Result<Self, PublishError> {
        let ledger = Ledger::new(Arc::clone(&listener));
        let publisher = Publisher::new(kafka, settings.delivery_timeout, ledger)?;
        let config = kafka.base(Role::Producer);
        let is_compressed = ["compression.type", "compression.codec"]
            .iter()
            .any(|key| config.get(key).is_some_and(|codec| codec != "none"));
        Ok(Self { publisher, encoder, settings, listener, is_compressed })
    }

    /// Learns how many partitions the topic has.
    pub fn note_partitions(&self, partition_count: usize) {
        self.publisher.note_partitions(&self.settings.topic, partition_count);
    }

    /// Sends what `source` has, until it ends, the count is reached, or a stop is asked for, and
    /// waits for the deliveries. Blocks the thread.
    ///
    /// Returns how it ended, together with the error that ended it early, if one did.
    pub fn send_all(
        &self,
        source: &mut dyn Source,
        stop: &Shutdown,
    ) -> (Summary, Result<(), SendError>) {
        let mut run = Run::new(self, stop);
        let sent = run.send(source);
        let finished = run.finish();
        let ledger = self.publisher.observer();
        let totals = ledger.totals();
        self.listener.progressed(totals, None);
        let summary = Summary {
            totals,
            is_stopped: run.is_stopped,
            taken: run.taken,
            inexact: run.inexact,
            undelivered_lines: ledger.undelivered_lines(),
        };
        (summary, sent.and(finished))
    }
}

/// The state of one run.
struct Run<'a> {
    sender: &'a Sender,
    stop: &'a Shutdown,
    start: Instant,
    stopped_at: Option<Instant>,
    schedule: Schedule,
    ticked_at: Instant,
    is_stopped: bool,
    taken: u64,
    inexact: Option<InexactPrices>,
    /// The smallest record that a broker refused alone.
    too_large_bytes: Option<usize>,
    sequence: usize,
    value: Vec<u8>,
}

impl<'a> Run<'a> {
    fn new(sender: &'a Sender, stop: &'a Shutdown) -> Self {
        let now = Instant::now();
        Self {
            sender,
            stop,
            start: now,
            stopped_at: None,
            schedule: Schedule::new(sender.settings.speed),
            ticked_at: now,
            is_stopped: false,
            taken: 0,
            inexact: None,
            too_large_bytes: None,
            sequence: 0,
            value: Vec::new(),
        }
    }

    fn send(&mut self, source: &mut dyn Source) -> Result<(), SendError> {
        let count_max = self.sender.settings.count_max.unwrap_or(u64::MAX);
        let ledger = self.sender.publisher.observer();
        while self.taken < count_max {
            if self.stop.is_requested() {
                self.is_stopped = true;
                break;
            }
            if !self.schedule.is_unlimited() || self.taken.is_multiple_of(TICK_ORDERS) {
                self.tick();
            }
            let look = ledger.look();
            if look.has_refused {
                self.settle_refused()?;
            }
            if look.has_trouble {
                ledger.check()?;
            }
            if look.row_bytes > ROWS_IN_FLIGHT_BYTES_MAX {
                self.sender.publisher.poll(ROOM_SLICE);
                self.tick();
                continue;
            }
            let wait = self.schedule.wait(self.elapsed());
            if !wait.is_zero() {
                self.sender.publisher.poll(wait.min(SLICE));
                continue;
            }
            let is_taken = match source.next(SLICE) {
                Next::Order(Outgoing { order, defect }) => self.publish(order, defect, None)?,
                Next::Row(row) => self.publish_row(row)?,
                Next::Rejected(row) => {
                    ledger.reject(row)?;
                    true
                }
                Next::Pending => {
                    self.sender.publisher.poll(Duration::ZERO);
                    self.tick();
                    continue;
                }
                Next::End => break,
                Next::Failed(error) => return Err(error.into()),
            };
            if !is_taken {
                self.is_stopped = true;
                break;
            }
            self.taken += 1;
        }
        Ok(())
    }

    /// Time since the start, for the schedule; without a pace none is needed, and the clock is not read.
    fn elapsed(&self) -> Duration {
        if self.schedule.is_unlimited() { Duration::ZERO } else { self.start.elapsed() }
    }

    fn publish_row(&mut self, row: ImportedRow) -> Result<bool, SendError> {
        let ImportedRow { order, row, loss } = row;
        let line = row.line;
        let is_taken = self.publish(order, None, Some(row))?;
        if let (true, Some(loss)) = (is_taken, loss) {
            let first = InexactPrices { count: 0, first_line: line, first: loss };
            self.inexact.get_or_insert(first).count += 1;
        }
        Ok(is_taken)
    }

    /// Publishes one order; returns false if a stop was asked for while the queue was full.
    fn publish(
        &mut self,
        order: Order,
        defect: Option<Defect>,
        row: Option<RowText>,
    ) -> Result<bool, SendError> {
        self.value.clear();
        self.sender.encoder.encode_into(&mut self.value, &order);
        let sequence = self.next_sequence();
        let (key, order_id) = match self.sender.settings.key {
            Key::Product => (order.product, order.order_id),
            Key::OrderId => (order.order_id.clone(), order.order_id),
        };
        let bytes = key.len() + self.value.len();
        let is_known_too_large = self.is_too_large(bytes);
        let value = match defect {
            Some(defect) => defect.apply(&mut self.value),
            None => Some(self.value.as_slice()),
        };
        let publisher = &self.sender.publisher;
        let ledger = publisher.observer();
        let is_imported = row.is_some();
        ledger.note(sequence, Entry { order_id, row });
        let result = if is_known_too_large && is_imported {
            Err(PublishError::TooLarge { bytes })
        } else {
            let topic = &self.sender.settings.topic;
            let keep_waiting = || !self.stop.is_requested();
            publisher.publish(topic, None, Some(key.as_bytes()), value, sequence, keep_waiting)
        };
        let Err(error) = result else {
            self.schedule.take(self.elapsed());
            return Ok(true);
        };
        let row = ledger.strike(sequence).and_then(|entry| entry.row);
        match (error, row) {
            (PublishError::QueueFull, _) => Ok(false),
            (PublishError::TooLarge { bytes }, Some(RowText { line, raw })) => {
                let limit = match is_known_too_large {
                    true => "the broker takes (max.message.bytes)",
                    false => "the producer sends (message.max.bytes)",
                };
                let reason = format!("the record of {bytes} bytes is larger than {limit}");
                ledger.reject(RejectedRow { line, reason, raw })?;
                Ok(true)
            }
            (error, _) => Err(error.into()),
        }
    }

    fn next_sequence(&mut self) -> usize {
        self.sequence += 1;
        self.sequence
    }

    /// Waits for the deliveries; once a stop is asked for, only [`STOP_FLUSH_LIMIT`] longer.
    fn finish(&mut self) -> Result<(), SendError> {
        let ledger = self.sender.publisher.observer();
        while self.wait_until_idle() {
            if !ledger.has_refused() {
                return Ok(ledger.check()?);
            }
            self.settle_refused()?;
        }
        tracing::error!(
            orders = ledger.totals().counts.in_flight(),
            "abandoning orders that no broker has acknowledged"
        );
        self.sender.publisher.abandon(ABANDON_LIMIT);
        for refused in ledger.take_refused() {
            ledger.give_up(refused);
        }
        Ok(ledger.check()?)
    }

    /// Waits until nothing is on its way; returns false if that takes longer than it may.
    fn wait_until_idle(&mut self) -> bool {
        let start = Instant::now();
        let limit = self.sender.settings.delivery_timeout + FLUSH_MARGIN;
        while !self.sender.publisher.flush(SLICE) {
            self.tick();
            if self.is_time_up() || start.elapsed() >= limit {
                return false;
            }
        }
        true
    }

    /// Whether a stop was asked for so long ago that nothing may be waited for any more.
    fn is_time_up(&mut self) -> bool {
        if self.stop.is_requested() {
            self.stopped_at.get_or_insert_with(Instant::now);
        }
        self.stopped_at.is_some_and(|at| at.elapsed() >= STOP_FLUSH_LIMIT)
    }

    fn tick(&mut self) {
        if self.ticked_at.elapsed() < TICK {
            return;
        }
        self.ticked_at = Instant::now();
        let totals = self.sender.publisher.observer().totals();
        self.sender.listener.progressed(totals, self.sender.publisher.away());
    }
}
