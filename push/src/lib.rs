//! Any Kafka topic to any HTTP service, with the whole failure path of [`relane`].
//!
//! ```text
//!  topic ──► lane ──► POST ──► service
//!    ▲         │       2xx: done
//!    │         ├─ 408, 425, 429, 5xx, no answer ─► TOPIC-retry, until it is due
//!    │         ├─ any other 4xx, 3xx ────────────► TOPIC-dlq
//!    └─────────┴─ nobody takes anything ─────────► the pipeline waits
//! ```
//!
//! A request is a CloudEvent in binary mode: `headers.rs` has its headers, `body.rs` its body, `verdict.rs` what an
//! answer means. With `--batch-max` it is an array of them: `event.rs`, `batch.rs`. `caller.rs` calls, `evidence.rs`
//! tells an outage from a record that is always refused, and `service.rs` is the engine's handler; [`App`] puts it on
//! the engine. Modules stand in reading order.

mod retry_after;
mod verdict;
mod encoding;
mod body;
mod headers;
mod event;
mod access;
mod metrics;
mod caller;
mod batch;
mod evidence;
mod service;
mod flags;
mod settings;
mod tally;
mod progress;
mod app;

pub use app::App;
pub use body::Form;
pub use flags::Flags;
pub use settings::Settings;
pub use tally::Tally;
