//! A model of Kafka in memory, on a clock that moves only when somebody moves it: logs, transactions with
//! epochs and markers, a group with generations. Lanes speak to it through the same handles as to brokers.
//!
//! It is there for the engine's own tests and with the feature `testing`; no release has it. Modules stand in reading
//! order.

pub(crate) mod fault;
pub(crate) mod log;
pub(crate) mod group;
pub(crate) mod request;
pub(crate) mod broker;
pub(crate) mod world;
pub(crate) mod handles;
pub(crate) mod writer;
