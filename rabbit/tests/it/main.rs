//! The real program against a real broker. What all three flows promise stands in `conformance`.

mod conformance;
mod duplicates;
mod failures;
mod flow;
mod mute;
mod outage;
mod queues;
mod replicas;
mod rig;
mod startup;
mod tracing;
