//! The data path of a record, pure: no Kafka client, no HTTP, no clock, no randomness.

pub mod failure;
