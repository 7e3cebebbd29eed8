//! The program against real brokers, with receivers that do well and that do not. Kafka and the schema registry
//! are those named by `KAFKA_BOOTSTRAP_SERVERS` and `SCHEMA_REGISTRY_URL`.

mod answers;
mod batches;
mod deliveries;
mod examples;
mod outages;
mod pace;
mod receiver;
mod rig;
mod troubles;
