//! Messages out: each is confirmed by the broker, and has found a queue.
//!
//! A broker may keep silent about a message for ever: its queue has no leader, or has lost one
//! message and takes none after it from the same channel. So a channel whose confirmations do not
//! come is given up, and the message goes out again under its id through a new one.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use lapin::options::BasicPublishOptions;
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation, ErrorKind, PublisherConfirm};
use service_kit::http::trace::TraceContext;
use service_kit::spans::{self, Messaging, Span};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{sleep, timeout};

use crate::limits::{BACKOFF_MAX, BACKOFF_MIN, CONFIRM_MAX, UNCONFIRMED_MAX};
use crate::lineage::without;
use crate::link::{Link, Live, State, jittered};
use crate::metrics;
use crate::patience::Patience;

/// Where a message goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The exchange; empty for a queue by its name.
    pub exchange: String,
    /// The routing key, or the queue's name.
    pub key: String,
}

impl Address {
    /// An exchange's subscribers.
    pub fn exchange(exchange: &str, key: &str) -> Self {
        Self { exchange: exchange.to_owned(), key: key.to_owned() }
    }

    /// One queue.
    pub fn queue(name: impl Into<String>) -> Self {
        Self { exchange: String::new(), key: name.into() }
    }

    /// Begins the span of a message that goes there and carries this context; `None` while spans of its
    /// trace are not recorded.
    pub fn sending(&self, carried: &TraceContext) -> Option<Span> {
        if !spans::records(carried) {
            return None;
        }
        // As the semantic conventions write it.
        let name = match self.exchange.as_str() {
            "" => self.key.clone(),
            exchange => format!("{exchange}:{}", self.key),
        };
        let to = Messaging { system: SYSTEM, destination: &name };
        let key = self.key.clone();
        Some(spans::sending(carried, to)?.with("messaging.rabbitmq.destination.routing_key", key))
    }
}

/// A message.
#[derive(Debug, Clone)]
pub struct Message {
    /// Its value, in its frame.
    pub body: Vec<u8>,
    /// What it says about itself, its headers among it.
    pub properties: BasicProperties,
    /// The span of its sending, where that has one.
    pub span: Option<TraceContext>,
}

/// As the semantic conventions call it.
pub(crate) const SYSTEM: &str = "rabbitmq";

/// Mode 2: it survives a restart of the broker.
const PERSISTENT: u8 = 2;

impl Message {
    /// A message with these headers, kept by the broker across restarts.
    pub fn new(body: Vec<u8>, properties: BasicProperties, headers: FieldTable) -> Self {
        let properties = properties.with_headers(headers).with_delivery_mode(PERSISTENT);
        Self { body, properties, span: None }
    }

    /// The same, sent in this span, if there is one.
    #[must_use]
    pub fn sent_in(self, span: impl Into<Option<TraceContext>>) -> Self {
        Self { span: span.into(), ..self }
    }

    /// A message that was read, sent on with these headers. What it says about itself goes with
    /// it; what it asks of the broker does not: a life time, copies for other queues, a priority,
    /// or a user that the broker would compare with ours.
    pub fn sent_on(body: Vec<u8>, read: &BasicProperties, headers: &FieldTable) -> Self {
        let mut properties = BasicProperties::default();
        let texts: [(&Option<ShortString>, With); 6] = [
            (read.content_type(), BasicProperties::with_content_type),
            (read.content_encoding(), BasicProperties::with_content_encoding),
            (read.kind(), BasicProperties::with_type),
            (read.message_id(), BasicProperties::with_message_id),
            (read.correlation_id(), BasicProperties::with_correlation_id),
            (read.app_id(), BasicProperties::with_app_id),
        ];
        for (value, with) in texts {
            if let Some(value) = value {
                properties = with(properties, value.clone());
            }
        }
        if let Some(seconds) = read.timestamp() {
            properties = properties.with_timestamp(*seconds);
        }
        Self::new(body, properties, without(headers, &COPIES))
    }
}

/// Sets one property.
type With = fn(BasicProperties, ShortString) -> BasicProperties;

/// Headers by which a message asks for copies of itself in other queues.
const COPIES: [&str; 2] = ["CC", "BCC"];

/// Why a message is not known to lie in a queue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// There is no connection; nothing was sent.
    #[error("RabbitMQ is unavailable: {0}")]
    Away(String),
    /// The broker is short of memory or disk; nothing was sent.
    #[error("RabbitMQ accepts no messages: {0}")]
    Blocked(String),
    /// No queue is bound to take it; the broker gave it back.
    #[error("no queue is bound for it: {0}")]
    Unroutable(String),
    /// It was sent, and the broker refused it: a queue is full, or failed.
    #[error("RabbitMQ refused the message: a queue is full, or has failed")]
    Refused,
    /// It was sent, and nobody knows what became of it.
    #[error("RabbitMQ did not confirm the message: {0}")]
    Unconfirmed(String),
}

impl PublishError {
    /// Whether a setting of the broker is to blame, and no outage.
    pub const fn is_unroutable(&self) -> bool {
        matches!(self, Self::Unroutable(_))
    }

    /// Whether the message may lie in a queue all the same.
    pub const fn is_unknown(&self) -> bool {
        matches!(self, Self::Refused | Self::Unconfirmed(_))
    }

    /// Label of metrics.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Away(_) => "away",
            Self::Blocked(_) => "blocked",
            Self::Unroutable(_) => "unroutable",
            Self::Refused => "refused",
            Self::Unconfirmed(_) => "unconfirmed",
        }
    }
}

/// Publishes over one link. Clones share it.
#[derive(Debug, Clone)]
pub struct Publisher {
    link: Link,
    /// For messages that the broker has said nothing of.
    room: Arc<Semaphore>,
    patience: Arc<Mutex<Patience>>,
}

impl Publisher {
    /// One over this link, which has a channel with confirmations.
    pub fn new(link: Link) -> Self {
        Self { link, room: Arc::new(Semaphore::new(UNCONFIRMED_MAX)), patience: Arc::default() }
    }

    /// Why nothing can be published now; `None` while the broker takes messages, as far as is known.
    pub fn away(&self) -> Option<String> {
        match self.link.state() {
            State::Up(_) => None,
            State::Away(why) => Some(why),
            State::Blocked(why) => Some(format!("it accepts no messages: {why}")),
        }
    }

    /// Publishes once, and returns when the message lies in a queue.
    ///
    /// # Errors
    ///
    /// If that is not known.
    ///
    /// # Cancel safety
    ///
    /// What was sent may lie in a queue.
    pub async fn publish(&self, to: &Address, message: &Message) -> Result<(), PublishError> {
        let result = self.publish_once(to, message).await;
        metrics::published(result.as_ref().err().map_or("confirmed", PublishError::as_str));
        result
    }

    async fn publish_once(&self, to: &Address, message: &Message) -> Result<(), PublishError> {
        let room = Arc::clone(&self.room).acquire_owned().await.expect("it is never closed");
        self.leave_given_up().await;
        let live = match self.link.state() {
            State::Up(live) => live,
            State::Away(why) => return Err(PublishError::Away(why)),
            State::Blocked(why) => return Err(PublishError::Blocked(why)),
        };
        let sent_at = Instant::now();
        let sent = tokio::select! {
            biased;
            sent = start(&live.channel, to, message) => sent,
            // A blocked connection writes nothing until it is unblocked.
            state = self.link.leaves(live.generation) => {
                return Err(PublishError::Unconfirmed(format!("{state:?}")));
            }
            () = sleep(CONFIRM_MAX) => {
                self.note_overdue(&live, sent_at);
                return Err(unanswered());
            }
        };
        let (answer, heard) = oneshot::channel();
        tokio::spawn(self.clone().listen(live, sent_at, sent?, room, answer));
        heard.await.unwrap_or_else(|_| Err(PublishError::Unconfirmed("stopped".to_owned())))
    }

    /// Waits for the broker's word on a message, also when nobody asks any more: until then, or
    /// until its channel is gone, the message takes up room.
    async fn listen(
        self,
        live: Live,
        sent_at: Instant,
        confirmation: PublisherConfirm,
        _room: OwnedSemaphorePermit,
        answer: oneshot::Sender<Result<(), PublishError>>,
    ) {
        let generation = live.generation;
        let mut word = std::pin::pin!(word_on(confirmation));
        let mut leaves = std::pin::pin!(self.link.leaves(generation));
        let result = tokio::select! {
            biased;
            result = &mut word => {
                self.patience().note_answer(generation, Instant::now());
                result
            }
            state = &mut leaves => Err(PublishError::Unconfirmed(format!("{state:?}"))),
            () = sleep(CONFIRM_MAX) => {
                self.note_overdue(&live, sent_at);
                // Whoever asked may have gone.
                let _ = answer.send(Err(unanswered()));
                tokio::select! {
                    _ = &mut word => self.patience().note_answer(generation, Instant::now()),
                    _ = &mut leaves => {}
                }
                return;
            }
        };
        let _ = answer.send(result);
    }

    /// A message has had no answer for too long; perhaps its channel is of no use.
    fn note_overdue(&self, live: &Live, sent_at: Instant) {
        let is_over = self.patience().is_over(live.generation, sent_at);
        if is_over {
            self.link.report_broken(live.generation);
        }
    }

    fn patience(&self) -> std::sync::MutexGuard<'_, Patience> {
        self.patience.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Publishes until the message lies in a queue, however long the broker is away. It may then
    /// lie there more than once; its id tells.
    ///
    /// # Cancel safety
    ///
    /// As [`Publisher::publish`].
    pub async fn publish_until_confirmed(&self, to: &Address, message: &Message) {
        let span = message.span.as_ref().and_then(|carried| to.sending(carried));
        let mut wait = BACKOFF_MIN;
        while let Err(error) = self.publish(to, message).await {
            let State::Up(live) = self.link.state() else {
                self.link.up().await;
                continue;
            };
            tracing::warn!(%error, "a message is published again");
            if error.is_unroutable() {
                // A new connection declares what is missing.
                self.link.report_broken(live.generation);
            }
            sleep(jittered(wait)).await;
            wait = (wait * 2).min(BACKOFF_MAX);
        }
        if let Some(span) = span {
            span.end();
        }
    }

    /// Waits until the broker is there again, even if it takes no messages, but not longer than
    /// this.
    pub async fn wait_until_there(&self, limit: Duration) {
        let there = async {
            self.leave_given_up().await;
            self.link.is_there().await;
        };
        // Whether it is there, the next try tells.
        let _ = timeout(limit, there).await;
    }

    /// Waits until a channel that was given up is gone: what is sent over it waits in vain once more.
    async fn leave_given_up(&self) {
        let State::Up(live) = self.link.state() else { return };
        if self.patience().has_given_up(live.generation) {
            let _ = timeout(CONFIRM_MAX, self.link.leaves(live.generation)).await;
        }
    }
}

/// Sends a message and waits for the broker's word on it, for so long as is usual.
pub async fn send(channel: &Channel, to: &Address, message: &Message) -> Result<(), PublishError> {
    let all = async { word_on(start(channel, to, message).await?).await };
    timeout(CONFIRM_MAX, all).await.unwrap_or_else(|_elapsed| Err(unanswered()))
}

fn unanswered() -> PublishError {
    PublishError::Unconfirmed(format!("no answer within {CONFIRM_MAX:?}"))
}

/// Sends a message.
async fn start(
    channel: &Channel,
    to: &Address,
    message: &Message,
) -> Result<PublisherConfirm, PublishError> {
    let options = BasicPublishOptions { mandatory: true, immediate: false };
    let (exchange, key) = (to.exchange.as_str().into(), to.key.as_str().into());
    let properties = message.properties.clone();
    let sent = channel.basic_publish(exchange, key, options, &message.body, properties).await;
    sent.map_err(|error| {
        if is_before_sending(error.kind()) {
            PublishError::Away(error.to_string())
        } else {
            PublishError::Unconfirmed(error.to_string())
        }
    })
}

/// Waits for the broker's word on a message that was sent.
async fn word_on(confirmation: PublisherConfirm) -> Result<(), PublishError> {
    match confirmation.await {
        Ok(Confirmation::Ack(None)) => Ok(()),
        Ok(Confirmation::Ack(Some(returned)) | Confirmation::Nack(Some(returned))) => {
            Err(PublishError::Unroutable(returned.reply_text.to_string()))
        }
        Ok(Confirmation::Nack(None)) => Err(PublishError::Refused),
        Ok(Confirmation::NotRequested) => {
            Err(PublishError::Unconfirmed("the channel has no confirmations".to_owned()))
        }
        Err(error) => Err(PublishError::Unconfirmed(error.to_string())),
    }
}

const fn is_before_sending(kind: &ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::InvalidChannelState(..)
            | ErrorKind::InvalidConnectionState(_)
            | ErrorKind::InvalidChannel(_)
    )
}
