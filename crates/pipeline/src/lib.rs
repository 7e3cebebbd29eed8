//! The data path of a record, pure: no Kafka client, no HTTP, no clock, and no randomness but the keys of hash tables and of
//! what stands for an id, on which no answer depends.
//!
//! ```text
//!  fetched          attempt            failed               one transaction
//! ┌────────┐      ┌─────────┐      ┌───────────────┐      ┌─────────────────────────────┐
//! │ window │  ──► │ decode, │  ──► │ failure,route │  ──► │ headers (retry, dead letter)│
//! │        │      │ process │      │ retry         │      │ averages                    │
//! └────────┘      └─────────┘      └───────────────┘      │ completion (offsets)        │
//!      ▲               └── counted ───────────────────►   └──────────────┬──────────────┘
//!      └───────────────────────────── settled ───────────────────────────┘
//! ```
//!
//! Everything here is decided from values that are handed in; the programs fetch, wait,
//! write and commit. Modules stand in reading order, and each may use only those above it.

pub mod record;
pub mod failure;
pub mod retry;
pub mod route;
pub mod headers;
pub mod tally;
pub mod completion;
pub mod window;
pub mod keys;
pub mod waiting;
pub mod dedupe;
pub mod breaker;
pub mod unread_schemas;
pub mod dead_letter_limit;
