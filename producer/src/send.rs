//! The sending loop: take, pace, encode, publish, and account for every order.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use codec::encode::Encoder;
use kafka_io::client_config::KafkaSettings;
use kafka_io::publisher::{Counts, Delivery, DeliveryObserver, Placed, PublishError, Publisher};
use orders::Order;
use service_kit::shutdown::Shutdown;

use crate::import::{InputError, RejectedRow};
use crate::pace::{Schedule, Speed};
use crate::source::{Next, Outgoing, Source};

/// Longest pause between two looks at the stop request and the brokers.
const SLICE: Duration = Duration::from_millis(50);
/// How often the listener hears of progress.
const TICK: Duration = Duration::from_millis(250);
/// After a stop request, what is in flight gets so long; the program ends within 10 s.
const STOP_FLUSH_LIMIT: Duration = Duration::from_secs(8);
/// How long the reports of given-up orders may take.
const ABANDON_LIMIT: Duration = Duration::from_millis(500);
/// Beyond the delivery timeout: librdkafka looks for expired records once a second.
const FLUSH_MARGIN: Duration = Duration::from_secs(5);

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
    /// All orders of a product lie in one partition, in order.
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

/// What became of one order.
#[derive(Debug)]
pub struct Delivered<'a> {
    /// Id of the order.
    pub order_id: &'a str,
    /// The record's key.
    pub key: &'a [u8],
    /// Where it was written, or why it was not.
    pub outcome: &'a Result<Placed, String>,
}

/// Numbers of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Sent, acknowledged and failed orders.
    pub counts: Counts,
    /// Rows that could not become an order.
    pub rejected: u64,
}

/// Hears what happens, on the thread that sends.
pub trait Listener: Send + Sync {
    /// One order was acknowledged or has failed.
    fn delivered(&self, _delivered: &Delivered<'_>) {}

    /// A row cannot become an order.
    ///
    /// # Errors
    ///
    /// An error ends the run: a reject that is not kept would be lost.
    fn rejected(&self, _row: &RejectedRow) -> io::Result<()> {
        Ok(())
    }

    /// Called about four times a second; `away` says why no broker is reachable, if that is so.
    fn progressed(&self, _totals: Totals, _away: Option<String>) {}
}

/// A listener that does not care.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Listener for Silent {}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// The numbers; nothing is in flight any more.
    pub totals: Totals,
    /// A stop was asked for before the source had ended.
    pub is_stopped: bool,
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

/// Matches deliveries to orders. It holds as many ids as the publisher's queue holds records.
struct Ledger {
    listener: Arc<dyn Listener>,
    order_ids: Mutex<HashMap<usize, String>>,
}

impl Ledger {
    fn note(&self, sequence: usize, order_id: String) {
        self.order_ids.lock().unwrap_or_else(PoisonError::into_inner).insert(sequence, order_id);
    }

    fn strike(&self, sequence: usize) -> Option<String> {
        self.order_ids.lock().unwrap_or_else(PoisonError::into_inner).remove(&sequence)
    }
}

impl DeliveryObserver for Ledger {
    fn delivered(&self, delivery: &Delivery<'_>) {
        let result = if delivery.outcome.is_ok() { "acknowledged" } else { "failed" };
        metrics::counter!("orders_produced_total", "result" => result).increment(1);
        let order_id = self.strike(delivery.sequence).unwrap_or_default();
        self.listener.delivered(&Delivered {
            order_id: &order_id,
            key: delivery.key.unwrap_or_default(),
            outcome: &delivery.outcome,
        });
    }
}

/// Sends orders to one topic.
pub struct Sender {
    publisher: Publisher<Ledger>,
    encoder: Encoder<Order>,
    settings: SendSettings,
    listener: Arc<dyn Listener>,
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
        encoder: Encoder<Order>,
        settings: SendSettings,
        listener: Arc<dyn Listener>,
    ) -> Result<Self, PublishError> {
        let ledger = Ledger { listener: Arc::clone(&listener), order_ids: Mutex::default() };
        let publisher = Publisher::new(kafka, settings.delivery_timeout, ledger)?;
        Ok(Self { publisher, encoder, settings, listener })
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
        let result = run.send(source);
        self.finish(stop);
        run.totals.counts = self.publisher.counts();
        self.listener.progressed(run.totals, None);
        (Summary { totals: run.totals, is_stopped: run.is_stopped }, result)
    }

    /// Waits for the deliveries; once a stop is asked for, only [`STOP_FLUSH_LIMIT`] longer.
    fn finish(&self, stop: &Shutdown) {
        let start = Instant::now();
        let limit = self.settings.delivery_timeout + FLUSH_MARGIN;
        let mut stopped_at = None;
        while !self.publisher.flush(SLICE) {
            if stop.is_requested() {
                stopped_at.get_or_insert_with(Instant::now);
            }
            let is_over = stopped_at.is_some_and(|at| at.elapsed() >= STOP_FLUSH_LIMIT);
            if is_over || start.elapsed() >= limit {
                tracing::error!(
                    orders = self.publisher.counts().in_flight(),
                    "giving up orders that no broker has acknowledged"
                );
                self.publisher.abandon(ABANDON_LIMIT);
                return;
            }
        }
    }
}

/// The state of one run.
struct Run<'a> {
    sender: &'a Sender,
    stop: &'a Shutdown,
    start: Instant,
    schedule: Schedule,
    ticked_at: Instant,
    totals: Totals,
    is_stopped: bool,
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
            schedule: Schedule::new(sender.settings.speed),
            ticked_at: now,
            totals: Totals::default(),
            is_stopped: false,
            sequence: 0,
            value: Vec::new(),
        }
    }

    fn send(&mut self, source: &mut dyn Source) -> Result<(), SendError> {
        let count_max = self.sender.settings.count_max.unwrap_or(u64::MAX);
        let mut taken = 0;
        while taken < count_max {
            if self.stop.is_requested() {
                self.is_stopped = true;
                break;
            }
            self.tick();
            let wait = self.schedule.wait(self.start.elapsed());
            if !wait.is_zero() {
                self.sender.publisher.poll(wait.min(SLICE));
                continue;
            }
            match source.next(SLICE) {
                Next::Order(outgoing) => {
                    if !self.publish(outgoing)? {
                        self.is_stopped = true;
                        break;
                    }
                    taken += 1;
                }
                Next::Rejected(row) => {
                    metrics::counter!("orders_import_rejected_total").increment(1);
                    self.totals.rejected += 1;
                    taken += 1;
                    self.sender.listener.rejected(&row)?;
                }
                Next::Pending => self.sender.publisher.poll(Duration::ZERO),
                Next::End => break,
                Next::Failed(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Publishes one order; returns false if a stop was asked for while the queue was full.
    fn publish(&mut self, outgoing: Outgoing) -> Result<bool, SendError> {
        let Outgoing { order, defect } = outgoing;
        self.value.clear();
        self.sender.encoder.encode_into(&mut self.value, &order);
        let value = match defect {
            Some(defect) => defect.apply(&mut self.value),
            None => Some(self.value.as_slice()),
        };
        let sequence = self.sequence;
        self.sequence += 1;
        let (key, order_id) = match self.sender.settings.key {
            Key::Product => (order.product, order.order_id),
            Key::OrderId => (order.order_id.clone(), order.order_id),
        };
        let publisher = &self.sender.publisher;
        publisher.observer().note(sequence, order_id);
        let result = publisher.publish(
            &self.sender.settings.topic,
            None,
            Some(key.as_bytes()),
            value,
            sequence,
            || !self.stop.is_requested(),
        );
        match result {
            Ok(()) => {
                self.schedule.take(self.start.elapsed());
                Ok(true)
            }
            Err(error) => {
                publisher.observer().strike(sequence);
                if error == PublishError::QueueFull { Ok(false) } else { Err(error.into()) }
            }
        }
    }

    fn tick(&mut self) {
        if self.ticked_at.elapsed() < TICK {
            return;
        }
        self.ticked_at = Instant::now();
        self.totals.counts = self.sender.publisher.counts();
        self.sender.listener.progressed(self.totals, self.sender.publisher.away());
    }
}
