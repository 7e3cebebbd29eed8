//! The real program against a real broker.

mod crash;
mod failures;
mod flow;
mod mute;
mod outage;
mod queues;
mod rig;
mod startup;
