//! What librdkafka tells the publisher: deliveries and connection trouble.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::ProducerContext;

use super::{Delivery, DeliveryObserver, Placed};
use crate::events::Events;
use crate::permission::Needs;

pub(super) struct Context<O> {
    observer: O,
    events: Events,
    acknowledged: AtomicU64,
    failed: AtomicU64,
    /// Why all brokers are down, until one acknowledges again.
    all_down: Mutex<Option<String>>,
    /// Whether `all_down` says so.
    is_all_down: AtomicBool,
    start: Instant,
    /// Milliseconds after `start` of the last delivery that was noticed, or of the first record after a pause.
    heard_at_ms: AtomicU64,
    /// A broker has acknowledged a record since somebody asked: then the clock is read, and not for each record.
    has_heard: AtomicBool,
}

impl<O> Context<O> {
    pub(super) fn new(observer: O) -> Self {
        Self {
            observer,
            events: Events::default(),
            acknowledged: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            all_down: Mutex::new(None),
            is_all_down: AtomicBool::new(false),
            start: Instant::now(),
            heard_at_ms: AtomicU64::new(0),
            has_heard: AtomicBool::new(false),
        }
    }

    pub(super) fn observer(&self) -> &O {
        &self.observer
    }

    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    pub(super) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    pub(super) fn all_down(&self) -> Option<String> {
        self.lock_all_down().clone()
    }

    /// From now on an acknowledgement is expected.
    pub(super) fn start_listening(&self) {
        self.heard_at_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    /// Returns for how long no acknowledgement came. One that came since the last call counts as of now.
    pub(super) fn silence(&self) -> Duration {
        if self.has_heard.swap(false, Ordering::Relaxed) {
            self.start_listening();
        }
        let heard_at_ms = self.heard_at_ms.load(Ordering::Relaxed);
        Duration::from_millis(self.now_ms().saturating_sub(heard_at_ms))
    }

    /// A broker has answered.
    pub(super) fn heard_of_brokers(&self) {
        if self.is_all_down.swap(false, Ordering::Relaxed) {
            self.lock_all_down().take();
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn lock_all_down(&self) -> MutexGuard<'_, Option<String>> {
        self.all_down.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<O: DeliveryObserver> ClientContext for Context<O> {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        self.events.log(level, facility, text);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.events.stats_raw(statistics);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
            let why = self.events.trouble().unwrap_or_else(|| reason.to_owned());
            *self.lock_all_down() = Some(why);
            self.is_all_down.store(true, Ordering::Relaxed);
        }
        self.events.error(error, reason);
    }
}

impl<O: DeliveryObserver> ProducerContext for Context<O> {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, sequence: usize) {
        let delivery = match result {
            Ok(message) => {
                self.acknowledged.fetch_add(1, Ordering::Relaxed);
                self.has_heard.store(true, Ordering::Relaxed);
                self.heard_of_brokers();
                let placed = Placed { partition: message.partition(), offset: message.offset() };
                Delivery {
                    sequence,
                    key: message.key(),
                    value: message.payload(),
                    outcome: Ok(placed),
                    is_refused: false,
                    is_too_large: false,
                }
            }
            Err((error, message)) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                let (code, text) = (error.rdkafka_error_code(), error.to_string());
                let needs = Needs::topic("Write", message.topic());
                let text = code.map_or_else(|| text.clone(), |code| needs.explain(code, &text));
                Delivery {
                    sequence,
                    key: message.key(),
                    value: message.payload(),
                    outcome: Err(text),
                    is_refused: code.is_some_and(is_refusal),
                    is_too_large: code.is_some_and(is_size_refusal),
                }
            }
        };
        self.observer.delivered(&delivery);
    }
}

/// Refusals for size: of the record, or of what was sent with it.
const fn is_size_refusal(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as E;
    matches!(code, E::MessageSizeTooLarge | E::MessageBatchTooLarge)
}

/// Refusals of the record itself, also when it was sent for the first time.
const fn is_refusal(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as E;
    matches!(
        code,
        E::MessageSizeTooLarge
            | E::MessageBatchTooLarge
            | E::InvalidRecord
            | E::TopicAuthorizationFailed
            | E::UnknownTopic
            | E::UnknownPartition
            | E::PolicyViolation
    )
}
