//! Stock, and the one decision about each order.

use orders::{FailureReason, InventoryOutcome, Menu, Order, SimulatedRefusals, Stock, decide};
use serde::{Deserialize, Serialize};

use crate::rows::Rows;
use crate::store::{Store, StoreError};
use crate::table::Table;

/// Decisions that are kept: the horizon of [`reserve_once`]. An order that comes again after so
/// many others is taken for a new one.
pub const DECISIONS_MAX: u64 = 1_000_000;

/// Pieces taken from the menu's stock, by item; as few as items that were ever on the menu.
const TAKEN: Table = Table::named("stock.taken");
/// Decisions by order id.
const DECISIONS: Table = Table::bounded("decisions", DECISIONS_MAX);

/// What is kept of a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Decided {
    item: String,
    quantity: i32,
    /// `None`: the pieces were reserved.
    failed: Option<String>,
    at_ms: i64,
}

/// A decision about an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// What was decided, the first time.
    pub outcome: InventoryOutcome,
    /// When, in milliseconds since the Unix epoch.
    pub decided_at_ms: i64,
    /// Whether it was decided now.
    pub is_first: bool,
    /// Whether an earlier order of the same id was for something else: this one gets nothing,
    /// and `outcome` is that of the earlier one.
    pub is_other_order: bool,
}

/// Decides about an order, once: who asks again gets the same answer, and nothing is taken again.
/// Stock and decision change together.
///
/// # Errors
///
/// If the store fails, or a row of it is a later version's.
pub fn reserve_once(
    rows: &Rows<'_>,
    menu: &Menu,
    refusals: SimulatedRefusals,
    order: &Order,
    now_ms: i64,
) -> Result<Decision, StoreError> {
    if let Some(before) = rows.get::<Decided>(DECISIONS, &order.order_id)? {
        let is_other_order = before.item != order.product || before.quantity != order.quantity;
        return repeated(&before, &order.order_id, is_other_order);
    }
    let outcome = decide(order, menu, left(rows, menu, &order.product)?, refusals);
    let failed = match outcome {
        InventoryOutcome::Reserved => {
            take(rows, &order.product, order.quantity)?;
            None
        }
        InventoryOutcome::Failed(reason) => Some(reason.as_str().to_owned()),
    };
    let (item, quantity) = (order.product.clone(), order.quantity);
    let decided = Decided { item, quantity, failed, at_ms: now_ms };
    rows.put(DECISIONS, &order.order_id, &decided)?;
    Ok(Decision { outcome, decided_at_ms: now_ms, is_first: true, is_other_order: false })
}

/// The decision about the order of this id, as of the last commit.
///
/// # Errors
///
/// If the store fails, or a row of it is a later version's.
pub fn decision(store: &Store, order_id: &str) -> Result<Option<Decision>, StoreError> {
    let decided: Option<Decided> = store.get(DECISIONS, order_id)?;
    decided.map(|decided| repeated(&decided, order_id, false)).transpose()
}

/// Number of decisions that are kept.
///
/// # Errors
///
/// If the store fails.
pub fn decisions(store: &Store) -> Result<u64, StoreError> {
    store.len(DECISIONS)
}

/// How much of an item is left: the menu's stock less what was taken. An item that is not on the
/// menu has none.
///
/// # Errors
///
/// If the store fails.
pub fn left(rows: &Rows<'_>, menu: &Menu, item: &str) -> Result<Stock, StoreError> {
    let taken = rows.get(TAKEN, item)?.unwrap_or(0);
    Ok(less(menu, item, taken))
}

/// Takes pieces of an item; whoever calls has seen that they are there.
///
/// # Errors
///
/// If the store fails.
pub fn take(rows: &Rows<'_>, item: &str, quantity: i32) -> Result<(), StoreError> {
    let taken: u64 = rows.get(TAKEN, item)?.unwrap_or(0);
    rows.put(TAKEN, item, &taken.saturating_add(pieces(quantity)))
}

/// Gives pieces back that were taken.
///
/// # Errors
///
/// If the store fails.
pub fn give_back(rows: &Rows<'_>, item: &str, quantity: i32) -> Result<(), StoreError> {
    let taken: u64 = rows.get(TAKEN, item)?.unwrap_or(0);
    rows.put(TAKEN, item, &taken.saturating_sub(pieces(quantity)))
}

/// Stock of one item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StockLevel {
    /// The item.
    pub item: String,
    /// What the menu says; `None` for unlimited.
    pub initial: Option<u32>,
    /// Pieces that orders have.
    pub reserved: u64,
    /// What is left; `None` for unlimited.
    pub left: Option<u32>,
}

/// Stock of all items of the menu, as of the last commit.
///
/// # Errors
///
/// If the store fails.
pub fn levels(store: &Store, menu: &Menu) -> Result<Vec<StockLevel>, StoreError> {
    let number = |stock| match stock {
        Stock::Unlimited => None,
        Stock::Pieces(pieces) => Some(pieces),
    };
    menu.items()
        .map(|(name, on_menu)| {
            let reserved = store.get(TAKEN, name)?.unwrap_or(0);
            let (initial, left) = (number(on_menu.stock), number(less(menu, name, reserved)));
            Ok(StockLevel { item: name.to_owned(), initial, reserved, left })
        })
        .collect()
}

fn repeated(
    decided: &Decided,
    order_id: &str,
    is_other_order: bool,
) -> Result<Decision, StoreError> {
    let outcome = match decided.failed.as_deref() {
        None => InventoryOutcome::Reserved,
        Some(name) => {
            let unknown = || StoreError::Row {
                table: DECISIONS.name,
                key: order_id.to_owned(),
                detail: format!("unknown reason '{name}'"),
            };
            InventoryOutcome::Failed(FailureReason::parse(name).ok_or_else(unknown)?)
        }
    };
    Ok(Decision { outcome, decided_at_ms: decided.at_ms, is_first: false, is_other_order })
}

fn less(menu: &Menu, item: &str, taken: u64) -> Stock {
    match menu.item(item).map_or(Stock::Pieces(0), |on_menu| on_menu.stock) {
        Stock::Unlimited => Stock::Unlimited,
        Stock::Pieces(initial) => {
            Stock::Pieces(initial.saturating_sub(u32::try_from(taken).unwrap_or(u32::MAX)))
        }
    }
}

/// Nothing for a quantity below 0.
fn pieces(quantity: i32) -> u64 {
    u64::try_from(quantity).unwrap_or(0)
}
