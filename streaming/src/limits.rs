//! Every limit of the program that no flag sets.

use std::time::Duration;

/// Longest time for one order, or one batch, over HTTP, where the client gives more.
pub(crate) const PLACE_MAX: Duration = Duration::from_secs(7);
/// When to come again after Kafka was away or slow.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(2);
/// How long orders are gathered into one request, in milliseconds.
pub(crate) const LINGER_MS: &str = "1";

/// Orders of one batch.
pub(crate) const BATCH_ITEMS_MAX: usize = 10_000;
/// Largest body of a batch, in bytes.
pub(crate) const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Outcomes that are stored in one commit. No more than these are ever in memory, beside what the
/// client library has fetched ahead (32 MiB).
pub(crate) const OUTCOMES_MAX: usize = 1_000;
/// Longest wait for an outcome before the stop signal is looked at.
pub(crate) const OUTCOME_WAIT: Duration = Duration::from_millis(50);
/// How long outcomes are gathered into one commit.
pub(crate) const OUTCOMES_LINGER: Duration = Duration::from_millis(5);
/// Pause before outcomes are read again after something was away.
pub(crate) const OUTCOMES_PAUSE: Duration = Duration::from_millis(500);
/// Time between two looks for new partitions of the outcomes.
pub(crate) const PARTITIONS_LOOK_EVERY: Duration = Duration::from_secs(10);
/// An instance that reads placed orders for the first time begins so many offsets before the end: what
/// is older is decided, or has waited for long.
pub(crate) const PLACED_LOOK_BACK: i64 = 100_000;
/// Longest wait for the bounds of a partition.
pub(crate) const BOUNDS_ASK: Duration = Duration::from_secs(5);

/// Offsets of one partition over which an order's id is looked for, unless said otherwise.
pub(crate) const DEDUPE_DEFAULT: u32 = 100_000;
/// Largest order that inventory decides about, in bytes: what follows from it must be no larger
/// than a broker takes.
pub(crate) const ORDER_BYTES_MAX: usize = 64 * 1024;
/// Longest name of a request that is passed on, in bytes.
pub(crate) const REQUEST_ID_BYTES_MAX: usize = 64;

/// Minutes of event time that analytics keeps one by one: a day. What is older counts in the
/// totals only.
pub(crate) const MINUTES_KEPT: i64 = 1_440;
/// Latest minutes that a report lists.
pub(crate) const MINUTES_SHOWN: i64 = 10;
/// An order made later than this after its decision has a clock that is wrong: it counts at the
/// time of the decision.
pub(crate) const CLOCK_AHEAD_MAX: Duration = Duration::from_secs(60);
/// Time between two reports, unless said otherwise.
pub(crate) const REPORT_INTERVAL_DEFAULT: Duration = Duration::from_secs(30);
/// Longest wait for the brokers to say which partitions a topic has.
pub(crate) const PARTITIONS_ASK_MAX: Duration = Duration::from_secs(1);
