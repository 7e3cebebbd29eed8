//! The real programs against real servers: Kafka and the schema registry named by
//! `KAFKA_BOOTSTRAP_SERVERS` and `SCHEMA_REGISTRY_URL`, or servers that a test starts for itself.
//!
//! Each test has topics and a group of its own. A test that measures time has the machine to
//! itself (`testkit::machine::alone`), the others share it (`testkit::machine::shared`).

mod bad_input;
mod concurrency;
mod crash;
mod dedupe;
mod dlq_limit;
mod evolution;
mod exactness;
mod import;
mod order;
mod outage;
mod output;
mod rebalance;
mod security;
mod shutdown;
mod startup;
mod state;
mod timing;
mod unavailable;
mod unknown_outcomes;
mod windows;
