//! The real program against a real broker.

mod crash;
mod duplicates;
mod failures;
mod flow;
mod mute;
mod outage;
mod queues;
mod replicas;
mod rig;
mod startup;
