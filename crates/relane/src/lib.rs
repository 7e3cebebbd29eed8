//! Handles the records of a Kafka topic, with a failure path as trustworthy as the happy path.
//!
//! ```text
//!  payments ──► your handler ──► Ok                                done
//!     ▲             │
//!     │             ├── transient, unavailable ──► payments-retry ──► due: the handler again
//!     │             ├── permanent, exhausted ────► payments-dlq ────► redriven by an operator
//!     └─────────────┴── what all need is away ───► the pipeline waits, and is not ready
//! ```
//!
//! # What it promises
//!
//! - **Nothing is lost or skipped.** A record is settled when its handler has succeeded, or when it is in the retry or the
//!   dead-letter topic, byte for byte. One transaction has the offsets of both topics and the record that goes on. A handler
//!   runs at least once; [`Record::idempotency_key`] is the same each time, and unique to the record.
//! - **Retries are durable.** They wait in a topic until they are due, across restarts and rebalances, and hold up no other record.
//! - **The order of a key is kept** across retries, where [`Builder::order_by_key`] asks for it.
//! - **An outage makes no dead letters.** While what the handler calls is unavailable, the pipeline waits, and probes.
//! - **State is exactly once**: with a [`stage::Stage`] instead of a handler, state changes in the same transaction.
//!
//! In return, a transaction is committed every few milliseconds to 100 ms, and three topics have the same number of partitions.
//!
//! # A complete program
//!
//! It stands in `examples/payments`, with a program that sends it records, and with its tests.
//!
#![doc = concat!("```no_run\n", include_str!("../../../examples/payments/src/main.rs"), "```")]
//!
//! # Where to go on
//!
//! | you want | see |
//! |---|---|
//! | a handler, step by step | `docs/your-own-topic.md` |
//! | the settings | [`Builder`] |
//! | other formats of values | [`payload`] |
//! | to say what went wrong | [`HandleError`] |
//! | to test a handler without a broker | `testing`, with the feature of that name |
//! | state inside of the transaction | [`stage::Stage`], [`table::Table`], [`Engine`] |
//! | views and health of an own program | [`Engine::watcher`], [`Engine::start`], [`health`] |
//!
//! Most programs need [`Pipeline`], [`Builder`], [`Kafka`], [`Handler`], [`Record`], [`HandleError`], [`ReasonName`] and
//! [`payload`], and nothing else.
//!
//! # Units, errors, panics, cancellation
//!
//! - **Units.** Times are [`Duration`](std::time::Duration)s. A name that ends in `_ms` is milliseconds; of a moment they count from the
//!   Unix epoch. Offsets and partitions are Kafka's. Sizes say their unit in their name.
//! - **Errors.** A function that returns a `Result` says under *Errors* when it fails. An [`Error`] says what to do next, where that is known.
//! - **Panics.** A panic of a decoder, of a handler, or of [`Stage::start`](stage::Stage::start) and [`Stage::handle`](stage::Stage::handle) is
//!   a failure of its record. A panic of a stage's other functions ends the run with an error; nothing is committed that was not settled.
//! - **Cancellation.** The futures of users are those of [`Handler::handle`] and [`stage::Work`]: both say when the engine drops them. Of the
//!   engine's own functions only [`Shutdown::requested`] and [`SchemaResolver::resolve`] are asynchronous: nothing is lost when they are
//!   dropped. What takes long blocks its thread, and says for how long.
//!
//! # Inside
//!
//! ```text
//!            ┌──────────── lane (one thread) ────────────┐
//!  main   ──►│ fetch ─► stage ─► state │ retry │ dlq     │──► one transaction with the
//!  retry  ──►│   ▲                                       │    offsets of both topics
//!            └───┴─ settled ◄────────────────────────────┘
//! ```
//!
//! A handler is made a [`stage::Stage`], which defines what records mean. [`Engine`] checks
//! that the topics fit together, starts the lanes and waits for the end. Each partition belongs to
//! one lane; `lane.rs` has the steps of a turn. The modules are in reading order, and each may use
//! only those above it.

#![warn(clippy::missing_errors_doc, clippy::missing_panics_doc)]

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
mod outages;
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

/// Whether a pipeline is alive and ready, and why not: what `/livez` and `/readyz` tell.
pub mod health {
    pub use service_kit::health::{HealthReport, HealthSource, Reason};
}

pub use codec::decode::DecodeError;
pub use codec::resolver::SchemaResolver;
pub use kafka_io::writer::Guarantee;
pub use pipeline::failure::{Failure, FailureClass, FailureReason, ReasonName};
pub use prepare::{START_MAX, connect};
pub use report::Report;
pub use service_kit::exit::AppError;
pub use service_kit::shutdown::Shutdown;
pub use settings::{EngineSettings, OnDeadLetter};
pub use snapshot::{Snapshot, Watcher};
pub use stage::HandleError;
