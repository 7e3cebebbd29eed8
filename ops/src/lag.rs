//! `orders lag`: how far groups are behind, in records and in seconds, and whether that is wrong.
//!
//! ```text
//! Observer ─► Look ─► Judge ─► verdicts ─► table, JSON, limits
//! (look.rs)  (a value) (over a window)
//! ```
//!
//! Nothing is joined, committed or written. Of a lagging partition one record is read, of a retry topic the
//! headers above the commit position.

mod cli;
mod error;
mod flags;
mod judge;
mod limits;
pub(crate) mod look;
mod oldest;
pub(crate) mod report;
mod run;
mod table;
pub(crate) mod waiting;

pub(crate) use cli::{ABOUT, EXAMPLES};
pub use cli::{CheckFlags, LagCommand, ShowFlags, WatchFlags, command};
pub use error::LagError;
pub(crate) use flags::Settings;
pub use flags::{Connection, Groups, Output};
pub use judge::{History, Observation, Verdict, Word};
