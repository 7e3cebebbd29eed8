//! Every limit of the export. That of the queue is [`service_kit::spans::QUEUE_MAX`].

use std::time::Duration;

/// Most spans of one request.
pub(crate) const BATCH_MAX: usize = 512;
/// How long the first span of a request waits for others.
pub(crate) const GATHER_MAX: Duration = Duration::from_secs(1);
/// Longest time to connect.
pub(crate) const CONNECT_MAX: Duration = Duration::from_secs(2);
/// Longest wait for an answer.
pub(crate) const ANSWER_MAX: Duration = Duration::from_secs(5);
/// Longest answer that is read, in bytes: it may say how many spans were refused.
pub(crate) const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Attempts at a request; its spans are dropped after the last one.
pub(crate) const ATTEMPTS_MAX: u32 = 3;
/// Wait before the second attempt; it doubles from then on.
pub(crate) const RETRY_WAIT: Duration = Duration::from_secs(1);
/// How long the end of the program waits for the last spans to be taken: what else it waits for leaves that
/// much of the 10 s of a stop.
pub(crate) const FLUSH_MAX: Duration = Duration::from_millis(500);
