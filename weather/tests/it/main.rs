//! The services as processes, on real brokers and stores. Kafka, the schema registry and RabbitMQ are those named by
//! `KAFKA_BOOTSTRAP_SERVERS`, `SCHEMA_REGISTRY_URL` and `RABBITMQ_URL`; the stores are the tests' own, as they are killed.

mod kills;
mod loading;
mod relay;
mod rig;
mod script;
mod stores;
mod tls_front;
mod tracing;
mod unavailable;
