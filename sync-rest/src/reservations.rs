//! Reservations and stock, kept in one file; each decision is one commit.

use std::sync::Arc;

use order_store::inventory::{StockLevel, give_back, left, levels, take};
use order_store::{Rows, Store, StoreError, Table};
use orders::{FailureReason, InventoryOutcome, Menu, Order, SimulatedRefusals, decide};
use serde::{Deserialize, Serialize};

use crate::reservation::{self, DecidedFor, Known, Release, ReservationState, Reserve};

/// Decisions that are kept: an order that comes again after so many others is decided anew.
const RESERVATIONS_MAX: u64 = 1_000_000;

/// Decisions by order id.
const RESERVATIONS: Table = Table::bounded("reservations", RESERVATIONS_MAX);

/// The decisions of this inventory.
#[derive(Debug, Clone)]
pub(crate) struct Reservations {
    store: Store,
    shop: Arc<Shop>,
}

/// What decisions go by.
#[derive(Debug)]
struct Shop {
    menu: Menu,
    refusals: SimulatedRefusals,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ask {
    /// The order: its id, item and quantity.
    pub(crate) order: Order,
    /// The attempt that asks.
    pub(crate) attempt: u64,
}

/// The answer to an ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answered {
    /// It is decided, now or before.
    Decided(InventoryOutcome, DecidedFor),
    /// The attempt was released before it came.
    TooLate,
    /// The order's id belongs to another order.
    Other,
}

/// A row, as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Row {
    item: String,
    quantity: i32,
    first_attempt: u64,
    attempt: u64,
    state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Reservations {
    /// Those in this store, for the items of this menu.
    pub(crate) fn new(store: Store, menu: Menu, refusals: SimulatedRefusals) -> Self {
        Self { store, shop: Arc::new(Shop { menu, refusals }) }
    }

    /// Decides about an order, once.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub(crate) async fn reserve(&self, ask: Ask) -> Result<Answered, StoreError> {
        let shop = Arc::clone(&self.shop);
        self.store.change(move |rows| reserve(rows, &ask, &shop)).await
    }

    /// Gives back what an attempt, or one before it, reserved; says what is known then.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub(crate) async fn release(
        &self,
        order_id: &str,
        attempt: u64,
    ) -> Result<ReservationState, StoreError> {
        let order_id = order_id.to_owned();
        self.store.change(move |rows| release(rows, &order_id, attempt)).await
    }

    /// What was decided about an order.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub(crate) fn find(&self, order_id: &str) -> Result<Option<ReservationState>, StoreError> {
        let row: Option<Row> = self.store.get(RESERVATIONS, order_id)?;
        Ok(row.map(|row| Known::from(row).state))
    }

    /// How many of each item of the menu are taken and left.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub(crate) fn stock(&self) -> Result<Vec<StockLevel>, StoreError> {
        levels(&self.store, &self.shop.menu)
    }
}

fn reserve(rows: &Rows<'_>, ask: &Ask, shop: &Shop) -> Result<Answered, StoreError> {
    let Ask { order, attempt } = ask;
    let known: Option<Row> = rows.get(RESERVATIONS, &order.order_id)?;
    let known = known.map(Known::from);
    match reservation::reserve(known.as_ref(), &order.product, order.quantity, *attempt) {
        Reserve::TooLate => Ok(Answered::TooLate),
        Reserve::Other => Ok(Answered::Other),
        Reserve::Repeat(outcome, decided_for) => {
            if let Some(known) = known.filter(|known| known.attempt < *attempt) {
                // From now on the release of an earlier attempt takes nothing away.
                let known = Known { attempt: *attempt, ..known };
                rows.put(RESERVATIONS, &order.order_id, &Row::from(known))?;
            }
            Ok(Answered::Decided(outcome, decided_for))
        }
        Reserve::Decide => {
            Ok(Answered::Decided(decide_now(rows, ask, shop)?, DecidedFor::ThisAttempt))
        }
    }
}

fn decide_now(rows: &Rows<'_>, ask: &Ask, shop: &Shop) -> Result<InventoryOutcome, StoreError> {
    let Ask { order, attempt } = ask;
    let left = left(rows, &shop.menu, &order.product)?;
    let outcome = decide(order, &shop.menu, left, shop.refusals);
    let state = match outcome {
        InventoryOutcome::Reserved => ReservationState::Reserved,
        InventoryOutcome::Failed(reason) => ReservationState::Failed(reason),
    };
    if outcome == InventoryOutcome::Reserved {
        take(rows, &order.product, order.quantity)?;
    }
    let (item, quantity, attempt) = (order.product.clone(), order.quantity, *attempt);
    let known = Known { item, quantity, first_attempt: attempt, attempt, state };
    rows.put(RESERVATIONS, &order.order_id, &Row::from(known))?;
    Ok(outcome)
}

fn release(rows: &Rows<'_>, order_id: &str, attempt: u64) -> Result<ReservationState, StoreError> {
    let known: Option<Row> = rows.get(RESERVATIONS, order_id)?;
    let known = known.map(Known::from);
    let decision = reservation::release(known.as_ref(), attempt);
    let state = ReservationState::Released;
    let blank = Known { item: String::new(), quantity: 0, first_attempt: attempt, attempt, state };
    let known = known.unwrap_or(blank);
    match decision {
        Release::Nothing => return Ok(known.state),
        Release::Note => {}
        Release::GiveBack => give_back(rows, &known.item, known.quantity)?,
    }
    rows.put(RESERVATIONS, order_id, &Row::from(Known { attempt, state, ..known }))?;
    Ok(state)
}

impl From<Row> for Known {
    fn from(row: Row) -> Self {
        let Row { item, quantity, first_attempt, attempt, state, reason } = row;
        let reason = reason.as_deref().and_then(FailureReason::parse);
        let state = match (state.as_str(), reason) {
            ("released", _) => ReservationState::Released,
            ("failed", reason) => {
                ReservationState::Failed(reason.unwrap_or(FailureReason::Simulated))
            }
            _ => ReservationState::Reserved,
        };
        Self { item, quantity, first_attempt, attempt, state }
    }
}

impl From<Known> for Row {
    fn from(known: Known) -> Self {
        let Known { item, quantity, first_attempt, attempt, state } = known;
        let (state, reason) = state.words();
        let (state, reason) = (state.to_owned(), reason.map(str::to_owned));
        Self { item, quantity, first_attempt, attempt, state, reason }
    }
}

impl ReservationState {
    /// Its words in rows and answers: the state and, where it failed, why.
    pub(crate) fn words(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Reserved => ("reserved", None),
            Self::Released => ("released", None),
            Self::Failed(reason) => ("failed", Some(reason.as_str())),
        }
    }
}
