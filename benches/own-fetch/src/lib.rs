//! Reads partitions of Kafka without librdkafka: requests and responses by `kafka-protocol`, record batches by hand
//! and without a copy. An experiment: docs/performance.md says what it brought and what it lacks.

pub mod batch;
pub mod cluster;
pub mod connection;
pub mod reader;

mod aborted;
mod asker;
mod chunk;
mod compression;
mod record;
