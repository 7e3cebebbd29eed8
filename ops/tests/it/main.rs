//! `orders` on real servers: the audit after real runs of the consumer and on logs made by hand, dead letters, topics, lag and the live view.

mod bugs;
mod completions;
mod dlq;
mod doctor;
mod lag;
mod monitor;
mod group;
mod planted;
mod program;
mod retention;
mod rig;
mod runs;
mod scale;
mod topics;
mod waits;
mod schema;
