//! The operator's command line, `orders`: looks at what the pipeline left in its topics.
//!
//! Each subcommand is a module with its flags, its checked settings and a function that does the
//! work and can be called from a test; [`Cli`] only chooses among them.

pub mod audit;
mod cli;
pub mod dlq;
pub mod lag;
pub mod monitor;
mod scan;
mod tail;

pub use cli::Cli;
