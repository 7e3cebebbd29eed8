//! Messages through RabbitMQ: connections that come back by themselves, confirmed publishing, and consuming with
//! retries, dead letters and acknowledgements.
//!
//! ```text
//! Publisher ──confirmed, mandatory──► queue Q ──► Consuming ─► Work ─┬─ done ───────────────────► acknowledged
//!     ▲                                 ▲                            ├─ failed ─► Q.retry.<ms> ─► acknowledged
//!     └─ a channel that says nothing    └── expires ─────────────────┤        └─► Q.dlq ────────► acknowledged
//!        is given up                                                 └─ unavailable: stays in hand
//! ```
//!
//! A message is acknowledged when what it asks for is done and durable, or when it lies in a retry queue or among the
//! dead letters. What comes twice must be found by the [`Work`](consume::Work) itself.
//!
//! What it does not do: it knows no order and no store. What a message means is its program's.

pub mod address;
pub mod consume;
pub mod declare;
pub mod failing;
pub mod limits;
pub mod lineage;
pub mod link;
pub mod metrics;
mod patience;
pub mod publish;
pub mod received;
pub mod topology;
