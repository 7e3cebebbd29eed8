//! The order flow over RabbitMQ.
//!
//! ```text
//! POST /order ─► order ──order.placed──► inventory ──inventory.decided──► notification
//!                          │                 │           (quorum queues, confirmed, mandatory)
//! GET /orders/{id} ◄── order ◄──a stream─────┘
//! ```
//!
//! A message is acknowledged when what it asks for is done and durable, or when it lies in a retry
//! queue or among the dead letters; and whatever is published is confirmed and has found a queue.
//! So nothing is lost; what comes twice is found by its order id, and done once.

mod app;
mod dlq;
mod events;
mod failures;
mod flags;
mod former;
mod inventory;
mod limits;
mod metrics;
mod notification;
mod order;
mod owner;
mod settings;
mod topology;
mod web;

pub use app::run;
pub use dlq::{list, redrive};
pub use flags::{
    BrokerArgs, Cli, Command, DlqCommand, DlqFlags, RedriveFlags, ServiceFlags, TopologyFlags,
};
pub use settings::{Broker, Services, Settings};
pub use topology::{Topology, WorkQueue};
