//! The order flow over Kafka.
//!
//! ```text
//! POST /order, /orders ─► order ──order-events──► inventory ──inventory-events──► analytics
//! GET /orders/{id} ◄───── order ◄──────────────────────────────────┤              notification
//!                                                                  └ any other group
//! ```
//!
//! An order is accepted when Kafka has acknowledged it. Inventory, analytics and notification are
//! pipelines on the engine: what they read, keep and write is one transaction each time, so every
//! order has one outcome, is counted once, and its customer is told once. What the API sends twice
//! is found by its order id and decided once.

mod limits;
mod flags;
mod settings;
mod trail;
mod stock;
mod inventory;
mod tally;
mod report;
mod decisions;
mod outcomes;
mod items;
mod batch;
mod order;
mod web;
mod pipelines;
mod app;

pub use app::run;
pub use flags::{Cli, Command, ServiceFlags};
pub use settings::{Service, Services, Settings};
