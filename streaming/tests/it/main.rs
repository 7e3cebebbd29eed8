//! The real program on real servers. What all three flows promise stands in `conformance`.

mod rig;

mod batch;
mod conformance;
mod delay;
mod failures;
mod outage;
mod replay;
mod replicas;
mod startup;
mod tracing;
