//! The notification service: tells the customer of each order what became of it, once.
//!
//! ```text
//! message ─► told before? ─yes──────────────────────────────────► acknowledged
//!               │ no
//!               ▼
//!            being told now? ─yes─► waits for that ─► acknowledged
//!               │ no
//!               ▼
//!            a task of its own: published, confirmed, noted ────► acknowledged
//! ```
//!
//! One service at a time works with the notes, so two messages of one order meet here. The task
//! outlives the channel of its message; only the end of the process between the confirmation and
//! the note makes a customer be told again, under the same message id.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use amqp_io::consume::{Done, Trouble, Work};
use amqp_io::publish::{Address, Message, Publisher};
use amqp_io::received::{Received, framed, properties};
use codec::encode::Encoder;
use codec::resolver::SchemaResolver;
use order_schemas::{InventoryResult, Notification};
use order_store::{Store, StoreError, Table};
use orders::InventoryOutcome;
use pipeline::failure::FailureReason;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::failures::{Failures, store_trouble};
use crate::limits::{TELLING_MAX, TOLD_MAX};
use crate::order::APP_ID;
use service_kit::clock::now_ms;

/// Customers told, by order id.
pub(crate) const TOLD: Table = Table::bounded("told", TOLD_MAX);

/// What a customer was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Told {
    pub(crate) order_id: String,
    pub(crate) user_id: Option<String>,
    pub(crate) text: String,
    pub(crate) told_at_ms: i64,
}

/// Tells customers.
pub(crate) struct Notifications {
    pub(crate) failures: Failures,
    pub(crate) resolver: SchemaResolver,
    pub(crate) encoder: Encoder<Notification>,
    pub(crate) teller: Teller,
}

impl Work for Notifications {
    async fn work(&self, received: &Received) -> Result<Done, Trouble> {
        let result = received.decode::<InventoryResult>(&self.resolver).await?;
        let outcome = outcome_of(&result, received)?;
        if self.teller.has_told(&result.order_id).map_err(store_trouble)? {
            return Ok(Done::Before);
        }
        self.failures.simulated(&result.order_id, received)?;
        let notification = Notification::new(&result.order(), outcome);
        let request_id = received.request_id();
        let (id, created_at_ms) = (result.order_id.as_str(), result.created_at_ms);
        let about = properties(APP_ID, "Notification", id, request_id.as_deref(), created_at_ms);
        let body = framed(&self.encoder, &notification);
        let span = received.follow();
        let message = Message::new(body, about, received.passed_on(&span)).sent_in(span);
        self.teller.tell(notification, message).await
    }
}

/// Tells each customer once.
#[derive(Clone)]
pub(crate) struct Teller {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    /// Injected time before each message.
    delay: Duration,
    publisher: Publisher,
    sent: Address,
    /// Orders whose customers are being told, and how that ended.
    telling: Mutex<HashMap<String, watch::Receiver<Option<Ended>>>>,
}

/// Whether the customer was told now, or before.
type Ended = Result<Done, StoreError>;

impl Teller {
    pub(crate) fn new(store: Store, delay: Duration, publisher: Publisher, sent: Address) -> Self {
        let telling = Mutex::default();
        Self { inner: Arc::new(Inner { store, delay, publisher, sent, telling }) }
    }

    fn has_told(&self, order_id: &str) -> Result<bool, StoreError> {
        self.inner.has_told(order_id)
    }

    /// Tells a customer, unless that was done, or is being done.
    ///
    /// # Cancel safety
    ///
    /// What has begun goes on.
    async fn tell(&self, notification: Notification, message: Message) -> Result<Done, Trouble> {
        let Some((mut end, is_ours)) = self.begin(notification, message) else {
            return Err(Trouble::Away(format!("{TELLING_MAX} customers are being notified")));
        };
        // The borrow of the channel must not last over anything that waits.
        let ended = end.wait_for(Option::is_some).await.map(|ended| ended.clone());
        match ended {
            Ok(Some(Ok(done))) => Ok(if is_ours { done } else { Done::Before }),
            Ok(Some(Err(error))) => Err(store_trouble(error)),
            Ok(None) | Err(_) => {
                Err(Trouble::Away("notifying the customer was interrupted".to_owned()))
            }
        }
    }

    /// The end of what tells this customer, and whether it began now; `None` when too many are
    /// being told.
    fn begin(
        &self,
        notification: Notification,
        message: Message,
    ) -> Option<(watch::Receiver<Option<Ended>>, bool)> {
        let mut telling = self.inner.telling();
        if let Some(end) = telling.get(&notification.order_id) {
            return Some((end.clone(), false));
        }
        if telling.len() >= TELLING_MAX {
            return None;
        }
        let (ended, end) = watch::channel(None);
        telling.insert(notification.order_id.clone(), end.clone());
        let inner = Arc::clone(&self.inner);
        tokio::spawn(async move {
            let over = Over { inner: Arc::clone(&inner), order_id: notification.order_id.clone() };
            let result = inner.tell(notification, &message).await;
            // The note is made: who comes from here on finds it.
            drop(over);
            ended.send_replace(Some(result));
        });
        Some((end, true))
    }
}

impl Inner {
    fn has_told(&self, order_id: &str) -> Result<bool, StoreError> {
        Ok(self.store.get::<Told>(TOLD, order_id)?.is_some())
    }

    async fn tell(&self, notification: Notification, message: &Message) -> Ended {
        // Whoever told it may have ended between the first look and now.
        if self.has_told(&notification.order_id)? {
            return Ok(Done::Before);
        }
        if !self.delay.is_zero() {
            sleep(self.delay).await;
        }
        self.publisher.publish_until_confirmed(&self.sent, message).await;
        let Notification { order_id, user_id, text, .. } = notification;
        let told = Told { order_id, user_id, text, told_at_ms: now_ms() };
        self.store.change(move |rows| rows.put(TOLD, &told.order_id, &told)).await?;
        Ok(Done::Now)
    }

    fn telling(&self) -> MutexGuard<'_, HashMap<String, watch::Receiver<Option<Ended>>>> {
        self.telling.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes an order out of those being told, also when that panics.
struct Over {
    inner: Arc<Inner>,
    order_id: String,
}

impl Drop for Over {
    fn drop(&mut self) {
        self.inner.telling().remove(&self.order_id);
    }
}

/// What was decided, where this version knows it.
pub(crate) fn outcome_of(
    result: &InventoryResult,
    received: &Received,
) -> Result<InventoryOutcome, Trouble> {
    result.outcome().ok_or_else(|| {
        let detail = "inventory sent a decision that only a later version knows";
        Trouble::Failed(received.failure(FailureReason::CannotResolve, detail))
    })
}
