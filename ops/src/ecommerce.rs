//! `orders ecommerce`: shows what keys are for, on three topics about the same purchases.
//!
//! ```text
//! Event (orders, payments, inventory) ─► brokers ─► reader ─► a worker per partition ─► Verdict
//! ```
//!
//! Each topic is keyed by what must keep its order: orders by customer, payments by order, inventory by product.
//! [`Verdict`] says whether the records of a key were all read by one worker, in the order in which they were sent.

mod cli;
mod events;
mod exchange;
mod verdict;

pub(crate) use cli::EXAMPLES;
pub use cli::{EcommerceFlags, command};
pub use events::{Event, Topic, of_purchases};
pub use verdict::{Row, Seen, Verdict, Violation};
