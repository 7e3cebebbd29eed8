//! Tells the story of the pipeline in one process and a few seconds; needs nothing but the build.
//!
//! ```text
//!  in this process
//!  ┌──────────────────────────────────────────────────────────────┐
//!  │ producer ─► mock Kafka ◄─► consumer       mini registry      │
//!  │                 │  orders-outcomes, orders-dlq               │
//!  │                 ▼                                            │
//!  │               Feed ─► Teller ─► Screen (live view or lines)  │
//!  └──────────────────────────────────────────────────────────────┘
//! ```
//!
//! Producer and consumer are the real ones; only their servers are not. What is shown of single
//! orders comes from the topics that any other program would read. At the end the numbers are
//! read back and must add up, or the demo fails.

mod app;
mod dead_letters;
mod feed;
mod report;
mod screen;
mod sending;
mod servers;
mod story;
mod teller;

pub use app::{Flags, run};
pub use story::{ORDERS, Story};
