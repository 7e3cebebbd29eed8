//! Starts, stalls, kills and stops the real servers of the pipeline on this machine, without containers.
//!
//! ```text
//! Programs + Jars ─► KafkaServer::start(config) ─► Node: spawn ─► Probe answers ─► handle
//!   (what is there)   RegistryServer, RabbitServer,                 (each server's own    stop, kill_9, pause,
//!                     RedisServer, PrometheusServer                  protocol, no client)  resume, restart
//! ```
//!
//! Two callers share it. Tests own a server by value: it dies with its handle, and with the test process even when that
//! is killed (see [`process`]). The program `stack` leaves servers running and writes down what it started (see
//! [`state`]), so that `stack down` stops exactly that.
//!
//! What it does not do: talk to the servers beyond asking whether they answer. Topics, schemas and queues belong to
//! their clients.
//!
//! ```no_run
//! use stack::{KafkaConfig, KafkaServer, Server as _};
//!
//! # fn main() -> Result<(), stack::StackError> {
//! let dir = std::env::temp_dir().join("kafka-example");
//! let mut kafka = KafkaServer::start(KafkaConfig::in_dir(dir))?;
//! println!("brokers at {}", kafka.bootstrap_servers());
//! kafka.kill_9();
//! kafka.restart()?; // same ports, same data
//! # Ok(())
//! # }
//! ```

mod class_archive;
pub mod error;
pub mod jars;
pub mod java;
pub mod kafka;
pub mod node;
pub mod owned;
pub mod port_book;
pub mod ports;
pub mod revive;
pub mod probe;
pub mod process;
pub mod program;
pub mod prometheus;
pub mod rabbit;
pub mod redis;
pub mod registry;
pub mod state;
pub mod tools;
pub mod ledger;

pub use error::StackError;
pub use jars::{FetchStep, Jars};
pub use java::JavaTools;
pub use kafka::{KafkaConfig, KafkaServer, Listener};
pub use ledger::Ledger;
pub use node::{Node, Server};
pub use owned::OwnedProcess;
pub use port_book::PortBook;
pub use ports::Ports;
pub use probe::Probe;
pub use process::Lifetime;
pub use program::{Program, Programs};
pub use prometheus::{PrometheusConfig, PrometheusServer};
pub use rabbit::{RabbitConfig, RabbitServer};
pub use redis::{RedisConfig, RedisServer};
pub use registry::{RegistryConfig, RegistryServer};
