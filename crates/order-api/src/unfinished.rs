//! Orders that were begun and have no outcome yet. They are noted before anything is asked of another
//! service, and the note goes in the commit that stores the outcome: so whatever a crash leaves half
//! done is found by the next start.
//!
//! ```text
//! begin ──► begun ──placed──► (gone)
//!             ├──nothing_done──► (gone)
//!             └──leave(Release | Complete)──► left ──released, placed──► (gone)
//! ```

use std::time::Duration;

use order_store::{Rows, StoreError, Table};
use orders::{Order, OrderRequest};
use serde::{Deserialize, Serialize};
use service_kit::http::{Problem, StatusCode};

use crate::known::{Orders, failed};
use crate::paradigm::NewOrder;

/// Orders that may be unfinished at a time. New orders are answered 503 beyond it: nothing of what
/// is noted may be forgotten.
pub const UNFINISHED_MAX: u64 = 100_000;

/// When to come again then.
const FULL_RETRY_AFTER: Duration = Duration::from_secs(5);

/// Unfinished orders, by order id.
pub(crate) const UNFINISHED: Table = Table::named("unfinished");

/// What is left to be done of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rest {
    /// Its client was told that it is not placed, or that nobody knows: what may have been reserved
    /// is given back.
    Release,
    /// Its customer may have been told: it is placed.
    Complete,
}

/// What earlier attempts have left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// The latest of them.
    pub attempt: u64,
    /// What is left.
    pub rest: Rest,
}

/// An order without an outcome.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Unfinished {
    order_id: String,
    user_id: String,
    item: String,
    quantity: i32,
    price_asked: Option<f32>,
    price: f32,
    created_at_ms: Option<i64>,
    #[serde(default)]
    warning: Option<String>,
    fingerprint: String,
    /// The attempt that works on it, or died over it.
    begun: Option<u64>,
    left: Option<Left>,
}

impl Unfinished {
    fn of(order: &NewOrder) -> Self {
        let NewOrder { request, order, warning, fingerprint } = order;
        Self {
            order_id: order.order_id.clone(),
            user_id: request.user_id.clone(),
            item: request.item.clone(),
            quantity: request.quantity,
            price_asked: request.price,
            price: order.price,
            created_at_ms: order.created_at_ms,
            warning: warning.clone(),
            fingerprint: fingerprint.clone(),
            begun: None,
            left: None,
        }
    }

    /// The order itself.
    pub fn order(&self) -> NewOrder {
        let request = OrderRequest {
            user_id: self.user_id.clone(),
            item: self.item.clone(),
            quantity: self.quantity,
            price: self.price_asked,
        };
        let order = Order {
            user_id: Some(self.user_id.clone()),
            quantity: self.quantity,
            created_at_ms: self.created_at_ms,
            ..Order::new(&self.order_id, &self.item, self.price)
        };
        let (warning, fingerprint) = (self.warning.clone(), self.fingerprint.clone());
        NewOrder { request, order, warning, fingerprint }
    }

    /// What is left to be done in the background, if anything. An attempt before `first_attempt`,
    /// the first one of this process, died over its order: its customer may have been told.
    pub fn left(&self, first_attempt: u64) -> Option<Left> {
        let died = self.begun.filter(|begun| *begun < first_attempt);
        let died = died.map(|attempt| Left { attempt, rest: Rest::Complete });
        merged(self.left, died)
    }

    /// Whether it may still be placed; if not, it is given back.
    pub(crate) fn may_be_placed(&self) -> bool {
        self.begun.is_some() || self.left.is_some_and(|left| left.rest == Rest::Complete)
    }
}

/// Whoever may have told the customer decides for all.
fn merged(one: Option<Left>, other: Option<Left>) -> Option<Left> {
    let (Some(one), Some(other)) = (one, other) else { return one.or(other) };
    Some(Left { attempt: one.attempt.max(other.attempt), rest: one.rest.max(other.rest) })
}

impl Orders {
    /// Notes that `attempt` begins an order; says what earlier attempts have left of it.
    ///
    /// # Errors
    ///
    /// 503 where [`UNFINISHED_MAX`] are unfinished, 500 if the store fails. Nothing may be begun then.
    pub async fn begin(&self, order: &NewOrder, attempt: u64) -> Result<Option<Left>, Problem> {
        if self.store.len(UNFINISHED).map_err(|error| failed(&error))? >= UNFINISHED_MAX {
            return Err(too_many());
        }
        let row = Unfinished::of(order);
        let step = move |rows: &Rows<'_>| {
            let before: Option<Unfinished> = rows.get(UNFINISHED, &row.order_id)?;
            let left = before.and_then(|before| before.left(attempt));
            let row = Unfinished { begun: Some(attempt), left, ..row };
            rows.put(UNFINISHED, &row.order_id, &row)?;
            Ok(left)
        };
        self.store.change(step).await.map_err(|error| failed(&error))
    }

    /// Notes that an attempt has surely done nothing.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn nothing_done(&self, order_id: &str, attempt: u64) -> Result<(), StoreError> {
        self.change_unfinished(order_id, attempt, |_| {}).await
    }

    /// Notes that an attempt, with all before it, was given back.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn released(&self, order_id: &str, attempt: u64) -> Result<(), StoreError> {
        let release = move |row: &mut Unfinished| {
            row.left =
                row.left.filter(|left| left.rest == Rest::Complete || left.attempt > attempt);
        };
        self.change_unfinished(order_id, attempt, release).await
    }

    /// Notes what an attempt leaves to be done.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn leave(&self, order_id: &str, attempt: u64, rest: Rest) -> Result<(), StoreError> {
        let leave = move |row: &mut Unfinished| {
            row.left = merged(row.left, Some(Left { attempt, rest }));
        };
        self.change_unfinished(order_id, attempt, leave).await
    }

    /// Ends an attempt, and drops the note where nothing is left.
    async fn change_unfinished(
        &self,
        order_id: &str,
        attempt: u64,
        change: impl FnOnce(&mut Unfinished) + Send + 'static,
    ) -> Result<(), StoreError> {
        let order_id = order_id.to_owned();
        let step = move |rows: &Rows<'_>| {
            let Some(mut row) = rows.get::<Unfinished>(UNFINISHED, &order_id)? else {
                return Ok(());
            };
            row.begun = row.begun.filter(|begun| *begun != attempt);
            change(&mut row);
            if row.begun.is_none() && row.left.is_none() {
                rows.remove(UNFINISHED, &order_id);
                return Ok(());
            }
            rows.put(UNFINISHED, &order_id, &row)
        };
        self.store.change(step).await
    }

    /// The note about an order.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub fn unfinished(&self, order_id: &str) -> Result<Option<Unfinished>, StoreError> {
        self.store.get(UNFINISHED, order_id)
    }

    /// Up to `orders_max` notes, with the ids of their orders.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub fn all_unfinished(
        &self,
        orders_max: usize,
    ) -> Result<Vec<(String, Unfinished)>, StoreError> {
        self.store.rows(UNFINISHED, orders_max)
    }

    /// How many orders are unfinished.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub fn unfinished_len(&self) -> Result<u64, StoreError> {
        self.store.len(UNFINISHED)
    }
}

fn too_many() -> Problem {
    let detail = format!(
        "{UNFINISHED_MAX} orders wait for an unavailable service; nothing was done for this one"
    );
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", "The service is full", detail)
        .retry_after(FULL_RETRY_AFTER)
}

#[cfg(test)]
#[path = "unfinished_tests.rs"]
mod tests;
