//! What a service of the order flow must still know after a restart: stock, decisions, answers,
//! and which messages it has seen. One file, one commit per order.
//!
//! ```text
//! change(step) ─► queue ─► writer thread: many steps, one commit, one flush ─► all are told
//! get(key) ──────────────► the state of the last commit
//!
//! reserve_once = a step: stock taken + decision + mark of the order, all or nothing
//! ```
//!
//! What has returned is on the disk, also under `kill -9` and power loss. Tables have a number of
//! rows that they keep; the oldest go first.

pub mod inventory;
pub mod menu_file;
mod rows;
mod store;
mod table;

pub use rows::Rows;
pub use store::{Store, StoreError};
pub use table::Table;
