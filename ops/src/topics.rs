//! `orders topics`: keeps topics as a file declares them.
//!
//! ```text
//! config/topics.toml ─► Declared ─┐
//!                                 ├─► Plan ─► apply ─► Plan (nothing is left)
//! brokers ─► TopicDetail ─────────┘ (a value)
//! ```
//!
//! Whatever the file does not name is left as it is: topics, and settings of topics.

mod apply;
mod brokers;
mod cli;
pub mod declared;
mod error;
mod flags;
mod plan;
mod printed;

pub use apply::{Applied, Taken};
pub(crate) use cli::{ABOUT, EXAMPLES};
pub use cli::{ApplyFlags, DescribeFlags, ListFlags, PlanFlags, TopicsCommand, command};
pub use error::TopicsError;
pub use flags::{Connection, DescribeFormat, Output, Which, deletable, is_internal};
pub use plan::{Change, Conflict, KEYS_MOVE, Plan, Step, Summary, TopicPlan};
