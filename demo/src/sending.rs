//! The producer, on a thread of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use codec::encode::Encoder;
use codec::registry::{Registration, value_subject};
use kafka_io::client_config::KafkaSettings;
use order_schemas::OrderVersion;
use producer::generate::Generator;
use producer::pace::Speed;
use producer::send::{Delivered, Key, Listener, SendSettings, Sender, Summary};
use service_kit::exit::AppError;
use service_kit::shutdown::Shutdown;
use service_kit::units::RateArg;
use tokio::runtime::Handle;

use crate::servers::{self, Servers};
use crate::story::{ORDERS, ORDERS_PER_SECOND, Story};

/// How long one order is tried: the brokers are in this process.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(20);

/// A running producer.
pub(crate) struct Sending {
    acknowledged: Arc<Acknowledged>,
    thread: Option<JoinHandle<Result<Summary, AppError>>>,
}

/// Counts deliveries as they are reported.
#[derive(Default)]
struct Acknowledged(AtomicU64);

impl Listener for Acknowledged {
    fn delivered(&self, delivered: &Delivered<'_>) {
        if delivered.outcome.is_ok() {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Sending {
    /// Starts to send the orders of the story.
    pub(crate) fn start(
        servers: &Servers,
        story: &Story,
        runtime: &Handle,
        stop: &Shutdown,
    ) -> Result<Self, AppError> {
        let failed = |error: &dyn std::fmt::Display| AppError::failed(error.to_string());
        let kafka = KafkaSettings::new("producer", &servers.bootstrap_servers(), Vec::new())
            .map_err(|error| failed(&error))?;
        let (registry, subject) = (servers.registry()?, value_subject(servers::ORDERS));
        let schema = OrderVersion::V1.schema();
        let connect = Encoder::connect_as(&registry, &subject, schema, Registration::Register);
        let encoder =
            runtime.block_on(connect).map_err(|error| servers::registry_failed(&error))?;
        let rate = RateArg::new(ORDERS_PER_SECOND, Duration::from_secs(1));
        let settings = SendSettings {
            topic: servers::ORDERS.to_owned(),
            key: Key::Product,
            speed: rate.map_or(Speed::Unlimited, Speed::Paced),
            count_max: Some(ORDERS),
            delivery_timeout: DELIVERY_TIMEOUT,
        };
        let acknowledged = Arc::new(Acknowledged::default());
        let listener = Arc::clone(&acknowledged);
        let sender = Sender::new(&kafka, encoder, settings, listener).map_err(|e| failed(&e))?;
        let (mut generator, stop) = (Generator::new(story.generator()), stop.clone());
        let send = move || {
            let (summary, result) = sender.send_all(&mut generator, &stop);
            result.map(|()| summary).map_err(|error| AppError::failed(error.to_string()))
        };
        let thread = thread::Builder::new().name("producer".to_owned()).spawn(send);
        let thread = Some(thread.map_err(|error| failed(&error))?);
        Ok(Self { acknowledged, thread })
    }

    /// Orders that Kafka has acknowledged so far.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged.0.load(Ordering::Relaxed)
    }

    /// Returns whether the producer has ended.
    ///
    /// # Errors
    ///
    /// Fails if it did not deliver every order that it took.
    pub(crate) fn has_ended(&mut self) -> Result<bool, AppError> {
        if self.thread.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return Ok(false);
        }
        let Some(thread) = self.thread.take() else { return Ok(true) };
        let summary = thread.join().map_err(|_| AppError::failed("the producer panicked"))??;
        match summary.totals.counts.failed {
            0 => Ok(true),
            failed => Err(AppError::failed(format!("{failed} orders were not delivered"))),
        }
    }
}
