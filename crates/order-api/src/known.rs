//! The orders that this service knows: what was asked for, and what became of it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use order_store::{Rows, Store, StoreError, Table};
use orders::{InventoryOutcome, Order};
use serde::{Deserialize, Serialize};
use service_kit::http::{Problem, StatusCode};

use crate::asked::is_fingerprint_of;
use crate::idempotency;
use crate::metrics;
use crate::news::{News, Progress};
use crate::paradigm::{NewOrder, Placed};
use crate::unfinished::{UNFINISHED, Unfinished};

/// Orders that are known: the horizon of keys. A retry that comes after so many other orders is
/// taken for a new order here; inventory still knows it as long as its own horizon reaches.
pub const ORDERS_KNOWN_MAX: u64 = 1_000_000;

/// Orders by their id.
pub(crate) const ORDERS: Table = Table::bounded("orders", ORDERS_KNOWN_MAX);
/// Ids of orders by the key that their client gave them.
const KEYS: Table = Table::bounded("keys", ORDERS_KNOWN_MAX);

/// What became of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OrderStatus {
    /// It is safely on its way.
    Pending,
    /// Everything was done.
    Confirmed,
    /// Inventory said no, for good; or its message became a dead letter.
    Failed,
}

/// An order with what became of it, as it is stored and answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KnownOrder {
    /// Its id.
    pub order_id: String,
    /// What became of it.
    pub status: OrderStatus,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Where its message became a dead letter: the class of that failure. Nothing was decided
    /// then; a decision that comes later, after a redrive, takes its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// What was asked for; `None` where only the outcome is known so far.
    #[serde(flatten)]
    pub wish: Option<Wish>,
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Wish {
    /// Who asked.
    pub user_id: Option<String>,
    /// What for.
    pub item: String,
    /// How many.
    pub quantity: i32,
    /// Price of one.
    pub price: f32,
    /// When, in milliseconds since the Unix epoch.
    pub created_at_ms: Option<i64>,
    /// What became of the price, if the record cannot carry the one that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

impl Wish {
    /// What this order asks for.
    #[must_use]
    pub fn of(order: &Order) -> Self {
        Self {
            user_id: order.user_id.clone(),
            item: order.product.clone(),
            quantity: order.quantity,
            price: order.price,
            created_at_ms: order.created_at_ms,
            warning: None,
        }
    }
}

/// A row: the order, and what tells it from another under the same name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) order: KnownOrder,
    /// `None` where another instance has taken the order, or only its outcome is known so far.
    pub(crate) fingerprint: Option<String>,
}

/// The orders that this service knows. Clones share them.
#[derive(Debug, Clone)]
pub struct Orders {
    pub(crate) store: Store,
}

impl Orders {
    /// Those in this store.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// The order of this id. One that was begun, and may still be placed, is pending.
    ///
    /// # Errors
    ///
    /// 500 if the store fails.
    pub fn find(&self, order_id: &str) -> Result<Option<KnownOrder>, Problem> {
        let row: Option<Row> = self.store.get(ORDERS, order_id).map_err(|error| failed(&error))?;
        if let Some(row) = row {
            return Ok(Some(row.order));
        }
        let begun = self.unfinished(order_id).map_err(|error| failed(&error))?;
        let on_its_way = begun.filter(Unfinished::may_be_placed);
        Ok(on_its_way.map(|begun| known(&begun.order(), Placed::Accepted)))
    }

    /// What became of an order that was placed before, under this id and key.
    ///
    /// # Errors
    ///
    /// 422 if the id or the key belongs to another order, 500 if the store fails.
    pub fn known(
        &self,
        order: &NewOrder,
        key: Option<&str>,
    ) -> Result<Option<KnownOrder>, Problem> {
        self.look_up(&order.order.order_id, key, &order.fingerprint)
    }

    pub(crate) fn look_up(
        &self,
        order_id: &str,
        key: Option<&str>,
        fingerprint: &str,
    ) -> Result<Option<KnownOrder>, Problem> {
        if let Some(key) = key {
            let owner: Option<String> =
                self.store.get(KEYS, key).map_err(|error| failed(&error))?;
            if owner.is_some_and(|owner| owner != order_id) {
                return Err(idempotency::reused(order_id));
            }
        }
        let row: Option<Row> = self.store.get(ORDERS, order_id).map_err(|error| failed(&error))?;
        match row {
            Some(Row { fingerprint: Some(known), .. }) if known != fingerprint => {
                Err(idempotency::reused(order_id))
            }
            Some(Row { order: KnownOrder { wish: Some(wish), .. }, fingerprint: None })
                if !is_fingerprint_of(fingerprint, &wish) =>
            {
                Err(idempotency::reused(order_id))
            }
            // What came first was news of it: the answer that accepts the order is still owed here.
            Some(Row { fingerprint: None, .. }) | None => Ok(None),
            Some(Row { order, .. }) => Ok(Some(order)),
        }
    }

    /// Stores an order that its paradigm has placed, in one commit. An outcome that came before is
    /// kept.
    ///
    /// # Errors
    ///
    /// 500 if the store fails; whether the order is stored is not known then.
    pub async fn placed(
        &self,
        order: &NewOrder,
        placed: Placed,
        key: Option<&str>,
        received_at: Instant,
    ) -> Result<KnownOrder, Problem> {
        let (row, key) = (Row::of(order, placed), key.map(str::to_owned));
        let step = move |rows: &Rows<'_>| row.store(rows, key.as_deref());
        let stored = self.store.change(step).await;
        let stored = stored.map_err(|error| outcome_unknown(failed(&error)))?;
        Ok(stored.counted(placed, received_at))
    }

    /// As [`Orders::placed`], for many orders that were accepted under no key of their own, in one
    /// commit; the answers are in the order of `orders`.
    ///
    /// # Errors
    ///
    /// As [`Orders::placed`].
    pub async fn accepted(
        &self,
        orders: &[NewOrder],
        received_at: Instant,
    ) -> Result<Vec<KnownOrder>, Problem> {
        let all: Vec<Row> = orders.iter().map(|order| Row::of(order, Placed::Accepted)).collect();
        let step = move |rows: &Rows<'_>| {
            all.into_iter().map(|row| row.store(rows, None)).collect::<Result<Vec<_>, _>>()
        };
        let stored = self.store.change(step).await;
        let stored = stored.map_err(|error| outcome_unknown(failed(&error)))?;
        Ok(stored.into_iter().map(|one| one.counted(Placed::Accepted, received_at)).collect())
    }

    /// Notes the outcome of an order that was accepted, whichever of the two comes first here. The
    /// first decision counts: another one of the same order changes nothing, and is answered false.
    ///
    /// # Errors
    ///
    /// If the store fails: the outcome must be handed in again.
    pub async fn settle(
        &self,
        order_id: &str,
        outcome: InventoryOutcome,
        created_at_ms: Option<i64>,
    ) -> Result<bool, StoreError> {
        let (order_id, progress) = (order_id.to_owned(), Progress::Decided(outcome));
        let news = News { order_id, progress, wish: None, created_at_ms };
        Ok(self.note_all(vec![news], |_| Ok(())).await? > 0)
    }

    /// As [`Orders::settle`], for much news in one commit, together with what `also` writes, such
    /// as how far it was read. Returns how many outcomes were the first of their order.
    ///
    /// # Errors
    ///
    /// As [`Orders::settle`]; nothing is stored then.
    pub async fn note_all(
        &self,
        news: Vec<News>,
        also: impl FnOnce(&Rows<'_>) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<usize, StoreError> {
        let step = move |rows: &Rows<'_>| {
            let mut first = Vec::new();
            for one in news {
                if one.store(rows)? {
                    first.push(one);
                }
            }
            also(rows)?;
            Ok(first)
        };
        let first = self.store.change(step).await?;
        for News { progress, created_at_ms, .. } in &first {
            progress.measured(*created_at_ms);
        }
        Ok(first.len())
    }
}

impl Row {
    fn of(order: &NewOrder, placed: Placed) -> Self {
        Self { order: known(order, placed), fingerprint: Some(order.fingerprint.clone()) }
    }

    fn store(mut self, rows: &Rows<'_>, key: Option<&str>) -> Result<Stored, StoreError> {
        let before: Option<Self> = rows.get(ORDERS, &self.order.order_id)?;
        let is_first = before.as_ref().is_none_or(|before| before.fingerprint.is_none());
        let is_settled = |before: &Self| before.order.status != OrderStatus::Pending;
        if let Some(before) = before.filter(is_settled) {
            let KnownOrder { status, reason, class, .. } = before.order;
            (self.order.status, self.order.reason, self.order.class) = (status, reason, class);
        }
        if let Some(key) = key {
            rows.put(KEYS, key, &self.order.order_id)?;
        }
        rows.put(ORDERS, &self.order.order_id, &self)?;
        if self.order.status != OrderStatus::Pending {
            rows.remove(UNFINISHED, &self.order.order_id);
        }
        Ok(Stored { order: self.order, is_first })
    }
}

/// An order that was stored.
struct Stored {
    order: KnownOrder,
    /// Whether it was not placed before, in the foreground or in the background.
    is_first: bool,
}

impl Stored {
    /// Counts it, once.
    fn counted(self, placed: Placed, received_at: Instant) -> KnownOrder {
        if self.is_first {
            metrics::placed(placed, received_at.elapsed());
        }
        self.order
    }
}

fn known(NewOrder { order, warning, .. }: &NewOrder, placed: Placed) -> KnownOrder {
    let (status, reason) = words(placed);
    let wish = Some(Wish { warning: warning.clone(), ..Wish::of(order) });
    let order_id = order.order_id.clone();
    KnownOrder { order_id, status, reason, class: None, wish }
}

pub(crate) fn words(placed: Placed) -> (OrderStatus, Option<String>) {
    match placed {
        Placed::Accepted => (OrderStatus::Pending, None),
        Placed::Settled(InventoryOutcome::Reserved) => (OrderStatus::Confirmed, None),
        Placed::Settled(InventoryOutcome::Failed(reason)) => {
            (OrderStatus::Failed, Some(reason.as_str().to_owned()))
        }
    }
}

/// Time since an order was made; nothing where that is not known, or lies ahead.
pub(crate) fn age(created_at_ms: Option<i64>) -> Option<Duration> {
    let created_at = Duration::from_millis(u64::try_from(created_at_ms?).ok()?);
    SystemTime::now().duration_since(UNIX_EPOCH).ok()?.checked_sub(created_at)
}

/// Says that something may have been done.
#[must_use]
pub fn outcome_unknown(problem: Problem) -> Problem {
    problem.with("outcome", "unknown")
}

pub(crate) fn failed(error: &StoreError) -> Problem {
    tracing::error!(%error, "an order could not be stored or found");
    let detail =
        "the service cannot reach what it stores; its log has the reason under the request's id";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "The service failed", detail)
}

#[cfg(test)]
#[path = "known_tests.rs"]
mod tests;
