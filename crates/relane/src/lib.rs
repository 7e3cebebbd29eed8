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
//! A program supplies a [`stage::Stage`], which defines what its records mean. [`Engine`] checks
//! that the topics fit together, starts the lanes and waits for the end. Each partition belongs to
//! one lane; `lane.rs` has the steps of a turn. The modules are in reading order, and each may use
//! only those above it.

mod clock;
mod advice;
mod kafka_commands;
mod error;
mod kafka;
mod signals;
pub mod stage;
pub mod settings;
pub mod payload;
pub mod table;
mod handler;
mod metrics;
mod layout;
mod gaps;
mod notices;
mod shared;
mod snapshot;
#[cfg(any(test, feature = "testing"))]
mod model;
mod lane;
mod gauges;
pub mod outages;
mod finish;
mod prepare;
mod topic_watch;
mod engine;
mod report;
mod builder;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use builder::{Builder, Pipeline};
pub use engine::{Ended, Engine, Resources};
pub use error::Error;
pub use handler::{Handler, HandlerStage, Header, Identity, NoState, Record};
pub use kafka::Kafka;
pub use lane::Connections;

/// Bugs that tests plant.
#[cfg(any(test, feature = "failpoints"))]
pub mod faulty {
    pub use crate::lane::faulty::Bug;
    #[cfg(not(test))]
    pub use crate::lane::faulty::planted;
}

pub use codec::decode::DecodeError;
pub use kafka_io::writer::Guarantee;
pub use pipeline::failure::{Failure, FailureClass, FailureReason, ReasonName};
pub use prepare::{START_MAX, connect};
pub use report::Report;
pub use service_kit::shutdown::Shutdown;
pub use settings::EngineSettings;
pub use snapshot::{Snapshot, Watcher};
pub use stage::HandleError;
