//! The only crate that speaks to Kafka.
//!
//! A [`member`] belongs to the group and hears about assignments, a [`reader`] fetches
//! exactly the partitions it is told to, a [`writer`] produces and commits, [`admin`] looks
//! at topics and makes them.

pub mod native;
mod permission;
pub mod access;
pub mod client_config;
pub mod publisher;
pub mod events;
pub mod cluster;
mod coverage;
mod ask_error;
pub mod member;
pub mod reader;
pub mod write_error;
pub mod writer;
pub mod admin;
pub mod ends;
#[cfg(any(test, feature = "mock"))]
pub mod mock;

pub use rdkafka::ClientConfig;
pub use rdkafka::error::{KafkaError, RDKafkaErrorCode};
