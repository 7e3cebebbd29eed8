//! What end-to-end tests stand on: real servers, real programs, and an independent opinion
//! about what must come out.
//!
//! ```text
//! Cluster ─► Pipeline (topics, group) ─► send ─► Process (the real program) ─► records, offsets
//!                                          └──────────► oracle ─────────────────────┴─► verify
//! ```
//!
//! Servers, topics and programs that fail to do what they always do are not what a test is
//! about: everything here panics then, with words. The [`oracle`] computes fates, money and
//! averages anew from the contract, with none of the product's code for them.

pub mod asking;
pub mod cluster;
pub mod collector;
pub mod conformance;
pub mod http;
pub mod input;
pub mod ledger;
pub mod lone_broker;
pub mod machine;
pub mod oracle;
pub mod order_flow;
pub mod pipeline;
pub mod process;
pub mod promtool;
pub mod proxy;
pub mod reading;
pub mod security;
pub mod services;
pub mod settings_file;
pub mod terminal;
pub mod verify;
pub mod wait;

pub use cluster::{Cluster, Servers};
pub use collector::{Collector, Takes};
pub use http::HttpAnswer;
pub use input::{Header, Input, OrderEncoder};
pub use ledger::Ledger;
pub use pipeline::{Pipeline, Role};
pub use process::{Finished, Process, fail_at};
pub use proxy::KafkaProxy;
pub use reading::LogRecord;
pub use services::Services;
pub use stack::Server;
