//! Named faults on real servers: each scenario breaks one thing, and ends when `orders audit` is
//! green, the lag is 0 and no retry waits.
//!
//! ```text
//! cli ─► runner ─► Scenario::run(&mut Run) ─► testkit: servers, programs ─► ending: audit, lag
//!                     └─► Outcome: seed, seconds, verdict, figures ─► table
//! ```
//!
//! A tool for development and tests; nothing of it is part of the product. As in `testkit`, what
//! is not as it must be panics with words: the runner turns that into a verdict.

pub mod cli;
mod ending;
mod load;
mod registry_stub;
mod resident;
mod run;
pub mod runner;
mod scenario;
pub mod scenarios;
mod table;

pub use run::{Figure, Run, Size};
pub use scenario::Scenario;
