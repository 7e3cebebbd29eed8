//! `orders dlq`: looks at dead letters, whichever tool wrote them.
//!
//! ```text
//! DlqTopic ─► Record ─► Dialect ─► DeadLetter ─► Filter ─► list, show, stats, export
//! (source.rs)                                  (a value)
//! ```
//!
//! Nothing is joined, committed or written. Records are read once, in order, up to the ends that the
//! partitions have at the start, and none is kept: memory does not grow with the topic.

mod dead_letter;
mod dialect;
mod error;
mod filter;
mod moment;
mod record;
mod source;
mod value;

pub use dead_letter::{DeadLetter, simple_name};
pub use dialect::{Cause, Dialect, Origin};
pub use error::DlqError;
pub use filter::{Attempts, Criterion, Filter, HeaderTest, Verdict, parse_fingerprint};
pub use moment::{Moment, MomentError, Utc};
pub use record::{Header, Record};
pub use source::{DlqTopic, Selection, Tally};
pub use value::{Reading, ValueReader, hex};
