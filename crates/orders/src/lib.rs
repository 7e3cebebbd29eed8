//! What an order is, when it is valid, and what it is worth: the rules that every
//! transport shares.
//!
//! ```text
//! OrderRequest ── place_order ──► Order ── validate ──► Amount (exact, 1/10000) ── sum ──► average
//!                   Menu ▲          │
//!                                   └── decide ──► InventoryOutcome ──► notification_text
//! ```
//!
//! This crate is pure: no I/O, clock, randomness, async runtime or wire format.
//!
//! ```
//! use orders::{Order, average, validate};
//!
//! let order = Order::new("o-1", "burger", 12.35);
//! let amount = validate(&order)?;
//! assert_eq!(amount.to_string(), "12.3500");
//! assert_eq!(average(amount + amount, 2), Some(12.35));
//! # Ok::<(), orders::InvalidOrder>(())
//! ```

mod average;
mod inventory;
mod menu;
mod money;
mod order;
mod place;
mod price;
pub mod simulate;

pub use average::average;
pub use inventory::{
    FailureReason, GOOD_NEWS, InventoryOutcome, SimulatedRefusals, decide, notification_text,
};
pub use menu::{InvalidMenu, MENU_ITEMS_MAX, Menu, MenuItem, Stock};
pub use money::Amount;
pub use order::{InvalidOrder, Order, PRICE_MAX, validate};
pub use place::{
    Blame, OrderRequest, PlaceError, QUANTITY_MAX, TEXT_BYTES_MAX, check_order, check_wish,
    menu_price_loss, place_order,
};
pub use price::{Price, PriceError, PriceFormat};
