//! The only crate that connects to Kafka.
//!
//! A [`member`] belongs to the group and gets assignments, a [`reader`] fetches exactly the given
//! partitions, a [`writer`] produces and commits, [`admin`] describes and creates topics.

pub mod native;
mod parting;
mod closing;
mod acquaintance;
mod reports;
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

pub use parting::Parting;
/// The version of librdkafka that is linked in.
#[must_use]
pub fn librdkafka_version() -> String {
    rdkafka::util::get_rdkafka_version().1
}

pub use rdkafka::ClientConfig;
pub use rdkafka::error::{KafkaError, RDKafkaErrorCode};
