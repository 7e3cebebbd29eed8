//! The real program against the real Kafka and registry named by `KAFKA_BOOTSTRAP_SERVERS` and
//! `SCHEMA_REGISTRY_URL`. Each test has topics of its own.

mod harness;
mod failures;
mod import;
mod observe;
mod send;
mod stop;
