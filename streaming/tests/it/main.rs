//! The real program on real servers.

mod rig;

mod batch;
mod crash;
mod delay;
mod failures;
mod flow;
mod outage;
mod replay;
mod replicas;
mod startup;
