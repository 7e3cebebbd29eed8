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

pub mod cluster;
pub mod input;
pub mod machine;
pub mod oracle;
pub mod pipeline;
pub mod process;
pub mod reading;
pub mod verify;
pub mod wait;

pub use cluster::{Cluster, Servers};
pub use input::{Header, Input, OrderEncoder};
pub use pipeline::{Pipeline, Role};
pub use process::{Finished, Process};
pub use reading::LogRecord;
pub use stack::Server;
