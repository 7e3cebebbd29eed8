//! The operator's command line, `orders`: looks at what the pipeline left in its topics.
//!
//! Each subcommand is a module with its flags, its checked settings and a function that does the
//! work and can be called from a test; [`Cli`] only chooses among them.

pub mod audit;
pub mod averages;
mod cli;
mod complete;
mod connected;
pub mod dlq;
pub mod doctor;
pub mod ecommerce;
pub mod lag;
pub mod monitor;
mod progress;
mod scan;
mod tail;
mod group_flags;
pub mod replay;
pub mod schema;
mod standing;
pub mod topics;

pub use cli::Cli;
pub use group_flags::GroupFlags;
