//! Appends records to a topic: one thread that owns the producer, and handles for those who wait.
//!
//! A record is sent when the brokers have acknowledged it. Where they do not, its sender is told
//! whether it was surely not sent, or nobody knows.

mod limits;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kafka_io::client_config::KafkaSettings;
use kafka_io::publisher::{Delivery, DeliveryObserver, PublishError, Publisher};
use service_kit::http::trace::TraceContext;
use service_kit::spans::{self, Messaging, Span};
use service_kit::unavailable::{Reporter, Thing, of_process};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{timeout, timeout_at};

use crate::limits::{
    BROKERS_ASK_EVERY, BROKERS_ASK_MAX, BROKERS_LOOK_EVERY, DELIVERY_SLICE, OUTBOX_MAX,
};

pub use crate::limits::DELIVERY_MAX;

/// Why a record is not known to be in the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// It was not sent: the brokers are away.
    #[error("Kafka is unavailable: {0}")]
    Away(String),
    /// It was not sent: there was no room in time.
    #[error("too many records wait to be sent")]
    Full,
    /// The brokers refuse it; it is not in the log.
    #[error("Kafka refuses the record: {0}")]
    Refused(String),
    /// It was sent and not acknowledged: it may be in the log.
    #[error("Kafka did not acknowledge the record: {0}")]
    Unacknowledged(String),
}

impl SendError {
    /// Whether the record may be in the log all the same.
    pub const fn is_unknown(&self) -> bool {
        matches!(self, Self::Unacknowledged(_))
    }

    /// In one word of a closed set.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Away(_) => "away",
            Self::Full => "full",
            Self::Refused(_) => "refused",
            Self::Unacknowledged(_) => "unacknowledged",
        }
    }
}

/// Headers of a record, in their order.
pub type Headers = Vec<(&'static str, Box<[u8]>)>;

type Sent = Result<(), SendError>;

/// A record to be appended.
#[derive(Debug)]
pub struct Parcel {
    /// Its key.
    pub key: Vec<u8>,
    /// Its value.
    pub value: Vec<u8>,
    /// Its headers.
    pub headers: Arc<Headers>,
}

/// Where records are handed in. The thread ends when the last clone is gone.
#[derive(Debug, Clone)]
pub struct Outbox {
    parcels: mpsc::Sender<(Parcel, oneshot::Sender<Sent>)>,
    away: Away,
    topic: Arc<str>,
}

/// Why the brokers are not there, for all to see.
#[derive(Debug, Clone)]
pub struct Away {
    known: Arc<Mutex<Option<String>>>,
    reporter: Arc<Reporter>,
}

impl Away {
    /// `condition` is what `/readyz` calls it.
    pub fn new(condition: &'static str) -> Self {
        let reporter = Arc::new(of_process().reporter(Thing::KAFKA, condition));
        Self { known: Arc::default(), reporter }
    }

    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why they are not there; `None` while they are.
    pub fn reason(&self) -> Option<String> {
        self.lock().clone()
    }

    /// Notes why they are not there, or that they are.
    pub fn set(&self, reason: Option<String>) {
        self.reporter.note(reason.clone());
        *self.lock() = reason;
    }
}

impl Outbox {
    /// Starts the thread, which appends to `topic`.
    ///
    /// # Errors
    ///
    /// Fails if librdkafka refuses the settings.
    pub fn start(
        settings: &KafkaSettings,
        topic: &str,
        runtime: &Handle,
    ) -> Result<(Self, std::thread::JoinHandle<()>), PublishError> {
        let (parcels, incoming) = mpsc::channel(OUTBOX_MAX);
        let away = Away::new("kafka-publish");
        let publisher = Publisher::new(settings, DELIVERY_MAX, Waiting::default())?;
        let sending = Sending {
            settings: settings.clone(),
            topic: topic.to_owned(),
            publisher,
            incoming,
            away: away.clone(),
            runtime: runtime.clone(),
            sequence: 0,
            look_at: Instant::now(),
            asked_at: Instant::now(),
        };
        let thread = std::thread::Builder::new()
            .name("outbox".to_owned())
            .spawn(move || sending.run())
            .map_err(|error| PublishError::Other(error.to_string()))?;
        Ok((Self { parcels, away, topic: topic.into() }, thread))
    }

    /// Why no record can be sent now; `None` while the brokers are there, as far as is known.
    pub fn away(&self) -> Option<String> {
        self.away.reason()
    }

    /// Begins the span of records that carry this context; `None` while spans of its trace are not recorded.
    pub fn sending(&self, carried: &TraceContext) -> Option<Span> {
        spans::sending(carried, Messaging { system: "kafka", destination: &self.topic })
    }

    /// Appends a record, and returns when the brokers have it.
    ///
    /// # Errors
    ///
    /// As [`SendError`], at the latest at `deadline`.
    ///
    /// # Cancel safety
    ///
    /// A record that is waited for no longer may be appended all the same.
    pub async fn send(&self, parcel: Parcel, deadline: Instant) -> Sent {
        if let Some(detail) = self.away.reason() {
            return Err(SendError::Away(detail));
        }
        let (done, sent) = oneshot::channel();
        match timeout_at(deadline.into(), self.parcels.send((parcel, done))).await {
            Ok(Ok(())) => {}
            Ok(Err(_closed)) => return Err(SendError::Away("the service stops".to_owned())),
            Err(_elapsed) => return Err(SendError::Full),
        }
        match timeout_at(deadline.into(), sent).await {
            Ok(Ok(sent)) => sent,
            Ok(Err(_dropped)) => Err(SendError::Unacknowledged("the service stops".to_owned())),
            Err(_elapsed) => {
                Err(SendError::Unacknowledged("no acknowledgement in time".to_owned()))
            }
        }
    }
}

/// Who waits for which delivery.
#[derive(Debug, Default)]
struct Waiting(Mutex<HashMap<usize, oneshot::Sender<Sent>>>);

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, HashMap<usize, oneshot::Sender<Sent>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, sequence: usize, sent: Sent) {
        if let Some(done) = self.lock().remove(&sequence) {
            // Whoever waited may have gone.
            let _ = done.send(sent);
        }
    }
}

impl DeliveryObserver for Waiting {
    fn delivered(&self, delivery: &Delivery<'_>) {
        let sent = match &delivery.outcome {
            Ok(_) => Ok(()),
            Err(detail) if delivery.is_refused => Err(SendError::Refused(detail.clone())),
            Err(detail) => Err(SendError::Unacknowledged(detail.clone())),
        };
        self.tell(delivery.sequence, sent);
    }
}

/// The thread.
struct Sending {
    settings: KafkaSettings,
    topic: String,
    publisher: Publisher<Waiting>,
    incoming: mpsc::Receiver<(Parcel, oneshot::Sender<Sent>)>,
    away: Away,
    runtime: Handle,
    sequence: usize,
    look_at: Instant,
    asked_at: Instant,
}

impl Drop for Sending {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Nobody may take the service for ready then.
            self.away.set(Some("the thread that sends records has ended".to_owned()));
        }
    }
}

impl Sending {
    fn run(mut self) {
        loop {
            // In this order: nothing is in flight while it waits here.
            let incoming = &mut self.incoming;
            let next = async { timeout(BROKERS_LOOK_EVERY, incoming.recv()).await };
            match self.runtime.block_on(next) {
                Ok(Some((parcel, done))) => self.take(&parcel, done),
                Ok(None) => break,
                Err(_elapsed) => self.publisher.poll(Duration::ZERO),
            }
            while self.publisher.counts().in_flight() > 0 {
                while let Ok((parcel, done)) = self.incoming.try_recv() {
                    self.take(&parcel, done);
                }
                self.publisher.poll(DELIVERY_SLICE);
                self.look();
            }
            self.look();
        }
        self.publisher.flush(DELIVERY_MAX);
    }

    /// Hands a record to the client library; what becomes of it, its delivery tells.
    fn take(&mut self, parcel: &Parcel, done: oneshot::Sender<Sent>) {
        if done.is_closed() {
            return; // nobody waits for it, and it is surely not sent
        }
        self.sequence = self.sequence.wrapping_add(1);
        let sequence = self.sequence;
        self.publisher.observer().lock().insert(sequence, done);
        let headers: Vec<(&str, &[u8])> =
            parcel.headers.iter().map(|(name, value)| (*name, &**value)).collect();
        let (key, value) = (Some(parcel.key.as_slice()), Some(parcel.value.as_slice()));
        loop {
            let publisher = &self.publisher;
            let error =
                match publisher.try_publish_with(&self.topic, None, key, value, &headers, sequence)
                {
                    Ok(()) => return,
                    Err(PublishError::QueueFull) if self.away.reason().is_none() => {
                        publisher.poll(DELIVERY_SLICE);
                        self.look();
                        continue;
                    }
                    Err(error) => error,
                };
            let sent = match &error {
                PublishError::QueueFull => SendError::Full,
                PublishError::TooLarge { .. } => SendError::Refused(error.to_string()),
                error => SendError::Away(error.to_string()),
            };
            self.publisher.observer().tell(sequence, Err(sent));
            if matches!(error, PublishError::Fatal(_)) {
                self.renew(&error);
            }
            return;
        }
    }

    /// A producer that cannot keep its promise any more makes room for a new one.
    fn renew(&mut self, error: &PublishError) {
        tracing::error!(%error, "replacing the producer");
        self.publisher.abandon(BROKERS_ASK_MAX);
        match Publisher::new(&self.settings, DELIVERY_MAX, Waiting::default()) {
            Ok(publisher) => self.publisher = publisher,
            Err(error) => tracing::error!(%error, "no new producer"),
        }
    }

    /// Looks whether the brokers are there. An idle client is not told that they hang, nor that
    /// they are back: it asks.
    fn look(&mut self) {
        if Instant::now() < self.look_at {
            return;
        }
        self.look_at = Instant::now() + BROKERS_LOOK_EVERY;
        let told = self.publisher.away();
        let is_idle = self.publisher.counts().in_flight() == 0;
        let asks = is_idle && (told.is_some() || self.asked_at.elapsed() >= BROKERS_ASK_EVERY);
        if !asks {
            self.away.set(told);
            return;
        }
        self.asked_at = Instant::now();
        use kafka_io::publisher::TopicError;
        let away = match self.publisher.partition_count(&self.topic, BROKERS_ASK_MAX) {
            Ok(_) => None,
            // They are there; each order is told why it is refused.
            Err(TopicError::Missing(_) | TopicError::Denied { .. }) => None,
            Err(error) => Some(error.to_string()),
        };
        self.away.set(away);
    }
}
