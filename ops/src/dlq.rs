//! `orders dlq`: looks at dead letters, whichever tool wrote them.
//!
//! ```text
//! DlqTopic ─► Record ─► Dialect ─► DeadLetter ─► Filter ─► list, show, stats, export, redrive, discard
//! (source.rs)                                  (a value)
//! ```
//!
//! No group is joined and no offset committed; only `redrive` and `discard` write. Records are read once, in order, up to the ends that the
//! partitions have at the start, and none is kept: memory does not grow with the topic.

mod cli;
mod dead_letter;
mod dialect;
mod error;
mod export;
mod filter;
mod flags;
mod list;
mod moment;
mod printed;
mod record;
pub mod redrive;
mod show;
mod source;
mod stats;
mod value;
mod view;

pub(crate) use cli::{ABOUT, EXAMPLES};
pub use cli::{DlqCommand, ExportFlags, ListFlags, ShowFlags, StatsFlags, command};
pub use dead_letter::{DeadLetter, simple_name};
pub use dialect::{Cause, Dialect, Origin};
pub(crate) use error::BROKER_HINT;
pub use error::DlqError;
pub use filter::{Attempts, Criterion, Filter, HeaderTest, Verdict, parse_fingerprint};
pub use flags::{Connection, Group, LedgerFlags, Output, Settings, Which};
pub use moment::{Moment, MomentError, Utc};
pub use record::{Header, Record};
pub use show::PlaceArg;
pub use source::{DlqTopic, Selection, Taken, Tally};
pub use stats::{CauseGroup, Place, Shown, Stats};
pub use value::{Reading, ValueReader, hex};
