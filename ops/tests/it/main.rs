//! `orders audit` on real servers: after real runs of the consumer, and on logs made by hand.

mod bugs;
mod planted;
mod program;
mod retention;
mod rig;
mod runs;
mod scale;
