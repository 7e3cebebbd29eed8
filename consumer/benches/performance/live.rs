//! Orders that come in at their time, whatever becomes of them, and readers of what is committed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use codec::decode::Decoder;
use codec::frame;
use codec::resolver::SchemaResolver;
use codec::scalar::AvroRecord;
use kafka_io::client_config::{KafkaSettings, Role as HandleRole};
use kafka_io::publisher::{DELIVERY_TIMEOUT_DEFAULT, Delivery, DeliveryObserver, Publisher};
use kafka_io::reader::{Polled, Reader};
use pipeline::record::CommitPosition;
use testkit::Pipeline;

use crate::orders_log::{price, product};

/// Longest wait of the program for what it has sent.
const SEND_MAX: Duration = Duration::from_secs(10);

/// Longest nap of a reader.
const LOOK_MAX: Duration = Duration::from_millis(50);

/// Orders that are sent in an open loop: each at its time, also when those before it are late.
pub(crate) struct OpenLoop {
    /// Number of orders in a second.
    rate: u32,
    begun_at: Instant,
    stop: Arc<AtomicBool>,
    sender: Option<JoinHandle<u64>>,
}

struct Unheard;

impl DeliveryObserver for Unheard {
    fn delivered(&self, delivery: &Delivery<'_>) {
        assert!(delivery.outcome.is_ok(), "an order was not taken: {:?}", delivery.outcome);
    }
}

impl OpenLoop {
    /// Begins to send; order `n` is of product `n % products`, on partition `n % partitions`.
    pub(crate) fn start(pipeline: &Pipeline, rate: u32, products: u64) -> Self {
        let (begun_at, stop) = (Instant::now(), Arc::new(AtomicBool::new(false)));
        let (pipeline, until) = (pipeline.clone(), Arc::clone(&stop));
        let sender = thread::spawn(move || {
            let publisher = Publisher::new(&settings(&pipeline), DELIVERY_TIMEOUT_DEFAULT, Unheard);
            let publisher = publisher.expect("settings are good");
            let encoder = pipeline.orders_v1();
            let mut sent = 0;
            while !until.load(Ordering::Relaxed) {
                let wait = (begun_at + at(sent, rate)).saturating_duration_since(Instant::now());
                thread::sleep(wait);
                let product = product(sent, products);
                let partitions = u64::from(pipeline.partitions.unsigned_abs());
                let partition = i32::try_from(sent % partitions).expect("small");
                let id = format!("order-{sent:08}");
                let input = encoder.input(partition, &id, &product, price(sent));
                let (key, value) = (input.key.as_deref(), input.value.as_deref());
                publisher
                    .try_publish(&pipeline.orders, Some(partition), key, value, 0)
                    .expect("there is room");
                sent += 1;
            }
            assert!(publisher.flush(SEND_MAX), "the brokers take all orders");
            sent
        });
        Self { rate, begun_at, stop, sender: Some(sender) }
    }

    /// When an order was to be sent.
    pub(crate) fn planned(&self, order: u64) -> Instant {
        self.begun_at + at(order, self.rate)
    }

    /// Ends it, and says how many orders were sent.
    pub(crate) fn stop(&mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.sender.take().expect("it is stopped once").join().expect("it sends")
    }
}

fn at(order: u64, rate: u32) -> Duration {
    Duration::from_secs(order) / rate
}

fn settings(pipeline: &Pipeline) -> KafkaSettings {
    let quick = [("linger.ms", "0")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    KafkaSettings::new("bench", &pipeline.servers.bootstrap_servers, quick.to_vec())
        .expect("brokers are named")
}

/// A reader of the committed records of a topic, from where it ends now.
pub(crate) struct Watch {
    reader: Reader,
}

impl Watch {
    pub(crate) fn start(pipeline: &Pipeline, topic: &str) -> Self {
        let config = settings(pipeline).base(HandleRole::Consumer);
        let reader = Reader::new(&config, "bench-watch").expect("settings are good");
        reader.look_up(&[topic], SEND_MAX);
        for (partition, end) in (0..).zip(pipeline.ends(topic)) {
            reader.start(topic, partition, CommitPosition(end)).expect("it is not read yet");
        }
        Self { reader }
    }

    /// Gives each record as it becomes visible, until `see` says that it has seen enough.
    ///
    /// # Panics
    ///
    /// Panics when that takes longer than `limit`.
    pub(crate) fn until<T: AvroRecord>(
        &self,
        limit: Duration,
        mut see: impl FnMut(i32, T::Value, Instant) -> bool,
    ) {
        let resolver = SchemaResolver::offline();
        let mut decoder = Decoder::<T>::new(resolver.clone());
        let mut known = None;
        let give_up_at = Instant::now() + limit;
        loop {
            assert!(Instant::now() < give_up_at, "not enough was seen within {limit:?}");
            let Polled::Record(record) = self.reader.poll(LOOK_MAX) else { continue };
            let seen_at = Instant::now();
            let Some(value) = record.value() else { continue };
            let id = frame::schema_id(Some(value));
            if let Some(id) = id.filter(|_| known != id) {
                resolver.insert(id, T::SCHEMA).expect("a schema of ours");
                known = Some(id);
            }
            let value = decoder.decode(Some(value)).expect("a record of ours");
            if see(record.partition(), value, seen_at) {
                return;
            }
        }
    }
}
