//! The engine of a pipeline on Kafka: lanes that fetch, retry, dead-letter, keep state and
//! commit all of it in one transaction.
//!
//! ```text
//!            ┌──────────── lane (one thread) ────────────┐
//!  main   ──►│ fetch ─► stage ─► state │ retry │ dlq     │──► one transaction with the
//!  retry  ──►│   ▲                                       │    offsets of both topics
//!            └───┴─ settled ◄────────────────────────────┘
//! ```
//!
//! A program brings a [`stage::Stage`], which says what its records mean; [`Engine`] checks that
//! the topics fit together, starts the lanes and waits for the end. A lane owns its partitions
//! alone; `lane.rs` tells the story of a turn.

mod clock;
mod advice;
pub mod stage;
mod layout;
mod metrics;
mod notices;
mod shared;
mod snapshot;
mod lane;
pub mod settings;
mod gauges;
pub mod outages;
mod finish;
mod gaps;
mod topic_watch;
mod prepare;
mod engine;

pub use engine::{Ended, Engine, Surroundings};
pub use lane::Connections;

/// Where tests plant a bug in what a stage writes; without them it changes nothing.
pub mod planted {
    pub use crate::lane::hooks::{downstream_failure, handler_meets, told_sum};
}
pub use prepare::{BROKER_HINT, START_MAX, connect};
pub use settings::EngineSettings;
pub use snapshot::{Snapshot, Watcher};
