//! The order consumer: exact running averages, durable delayed retry, dead letters.
//!
//! ```text
//!            ┌──────────── lane (one thread) ─────────────┐
//!  orders ──►│ fetch ─► attempt ─► averages │ retry │ dlq  │──► one transaction with the
//!  retry  ──►│   ▲                                         │    offsets of both topics
//!            └───┴─ settled ◄──────────────────────────────┘
//! ```
//!
//! [`App`] checks that everything is there, starts the lanes and waits for the end. Lanes,
//! retries and transactions are those of [`engine`]; `stage.rs` says what an order does.

mod averages;
mod handler;
mod products;
mod troubles;
mod rest;
mod view;
mod progress;
mod printer;
mod settled_lines;
mod stage;
#[cfg(feature = "failpoints")]
mod faulty;
mod statistics;
mod flags;
mod settings;
mod registry;
mod app;

pub use app::{App, Run, Running};
pub use engine_args::{EngineArgs, GuaranteeArg, OrderArgs};
pub use flags::Flags;
pub use progress::Progress;
pub use settings::Settings;
pub use statistics::{ProductTotals, Statistics, Totals};
