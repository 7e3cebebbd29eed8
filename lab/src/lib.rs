//! Compares the three paradigms of the order flow so that an expert would believe it.
//!
//! ```text
//! workload ─► plan ─► bench: one run after the other ─► results ─► report, compare
//!  (file)   (shuffled                                  (results.json)
//!            rounds)
//!
//! pure       schedule, asked: what is sent when      audit, timeline, measure, stats: what the traces say
//!            cells, knee, gaps, verdict, tables, report: what is told of many runs
//! in a run   generator ─► client ─► services         book: every order's way, on one clock
//!            listen ◄─ what customers are told       proc: what it costs
//!            patience: how long outcomes are waited for       past: what later runs hear of earlier ones
//! edges      servers (through `stack`), services, programs, environment
//! ```
//!
//! Three rules hold everywhere. Planned times are fixed before a run begins, and times count from them. What was
//! accepted is followed by id to its outcome. A figure stands beside the audit of the run that it comes from.

pub mod workload;
mod quick;
pub mod schedule;
pub mod plan;
pub mod stats;
pub mod asked;
mod past;
pub mod book;
pub mod audit;
pub mod timeline;
pub mod results;
pub mod measure;
pub mod generator;
mod poison;
mod priority;
pub mod client;
pub mod flow;
pub mod listen;
pub mod proc;
mod programs;
mod servers;
mod services;
mod environment;
mod targets;
mod stopping;
mod patience;
pub mod bench;
mod words;
pub mod cells;
pub mod gaps;
pub mod knee;
pub mod verdict;
pub mod tables;
pub mod report;
pub mod compare;
mod progress;
mod kit;
mod session;
mod work_folder;
pub mod cli;
