//! `orders` on real servers: the audit after real runs of the consumer and on logs made by hand, and dead letters.

mod bugs;
mod dlq;
mod planted;
mod program;
mod retention;
mod rig;
mod runs;
mod scale;
