//! The order consumer: exact running averages, durable delayed retry, dead letters.
//!
//! ```text
//!            ┌──────────── lane (one thread) ─────────────┐
//!  orders ──►│ fetch ─► attempt ─► averages │ retry │ dlq  │──► one transaction with the
//!  retry  ──►│   ▲                                         │    offsets of both topics
//!            └───┴─ settled ◄──────────────────────────────┘
//! ```
//!
//! [`App`] checks that everything is there, starts the lanes and waits for the end. A lane
//! owns its partitions alone; `lane.rs` tells the story of a turn.

mod clock;
mod handler;
mod layout;
mod metrics;
mod shared;
mod lane;
mod gauges;
mod statistics;
mod finish;
mod flags;
mod settings;
mod prepare;
mod app;

pub use app::App;
pub use flags::{Flags, GuaranteeArg};
pub use settings::Settings;
pub use statistics::{ProductTotals, Statistics, Totals};
