//! `orders schema`: subjects and versions, and whether what lies in the topics stays readable.

mod check;
mod cli;
mod diff;
mod parked;
mod registry;

pub(crate) use cli::{ABOUT, EXAMPLES};
pub use cli::{SchemaCommand, command};
pub use diff::{Change, changes};
pub use parked::{Group, Parked, Reading};
