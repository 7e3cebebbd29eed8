//! Pipelines of topics that hold no orders, against real servers: Kafka and the schema registry named by
//! `KAFKA_BOOTSTRAP_SERVERS` and `SCHEMA_REGISTRY_URL`.

mod any_payload;
mod fates;
mod handlers;
mod kit;
mod names;
mod rig;
