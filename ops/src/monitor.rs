//! `orders monitor`: a live view of the whole cluster.
//!
//! ```text
//! Watcher (a thread) ─► Picture ─► Grid (sorted, filtered) ─► lines ─► the screen
//!  looks at brokers     (a value)  ▲                          (draw.rs)
//!                                  View ◄─ keys
//! ```
//!
//! Nothing is joined, committed or written.

mod brokers;
mod cli;
mod dead;
mod draw;
mod grid;
mod pages;
mod picture;
mod plain;
mod rates;
mod run;
mod screen;
mod view;
mod watcher;

pub(crate) use cli::EXAMPLES;
pub use cli::{MonitorFlags, command};
pub use screen::Screen;
