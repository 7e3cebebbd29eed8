//! Every limit of the program that no flag sets, beside those of its libraries.

use std::time::Duration;

/// Largest body of one report, in bytes; also over gRPC.
pub(crate) const BODY_BYTES_MAX: usize = 8 * 1024;
/// Longest description, in characters.
pub(crate) const DESCRIPTION_CHARS_MAX: usize = 500;
/// Longest id of a message, in bytes.
pub(crate) const MESSAGE_ID_BYTES_MAX: usize = 64;
/// Longest `Idempotency-Key`, in characters.
pub(crate) const KEY_CHARS_MAX: usize = 255;
/// Longest text of a parser that is handed on: it may repeat what the client sent.
pub(crate) const DETAIL_CHARS_MAX: usize = 200;

/// Message ids that a store remembers, unless said otherwise: a message that comes again after so many others is
/// counted again. A million take some 120 MB.
pub(crate) const SEEN_DEFAULT: u64 = 1_000_000;
/// The most that can be asked for.
pub(crate) const SEEN_MAX: u64 = 100_000_000;
/// Longest time to connect to a store and log in: an error at the start is to come within 5 s.
pub(crate) const STORE_CONNECT_MAX: Duration = Duration::from_secs(4);
/// Longest wait for the answer to one write; whether it was made is unknown then, and its repetition tells.
pub(crate) const STORE_ANSWER_MAX: Duration = Duration::from_secs(3);
/// Longest time for one write with all that it waits for, such as a connection that others make: shorter than the time
/// of an attempt, so that it is the store that is to blame.
pub(crate) const STORE_WRITE_MAX: Duration = Duration::from_secs(8);

/// Time between two looks at the counts by country, which metrics show: at most 249 numbers each.
pub(crate) const SHOW_EVERY: Duration = Duration::from_secs(5);

/// Longest time for both brokers to confirm a report.
pub(crate) const PUBLISH_MAX: Duration = Duration::from_secs(5);
/// Longest time for the publisher's answer over gRPC: it says itself which broker did not confirm.
pub(crate) const CALL_MAX: Duration = Duration::from_secs(7);
/// Longest time for a connection to the publisher.
pub(crate) const CALL_CONNECT_MAX: Duration = Duration::from_secs(2);
/// Time between two signs of life on a connection over gRPC …
pub(crate) const CALL_ALIVE_EVERY: Duration = Duration::from_secs(5);
/// … and the longest wait for the answer to one.
pub(crate) const CALL_ALIVE_MAX: Duration = Duration::from_secs(3);
/// Calls of one connection that are worked on at a time; one more waits.
pub(crate) const CALLS_MAX: usize = 256;
/// Reports of all connections over gRPC that are being published; one more is refused at once.
pub(crate) const PUBLISHING_MAX: usize = 512;
/// When to come again after something was unavailable.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(2);
/// Longest time for what was begun when a stop is asked for.
pub(crate) const DRAIN_MAX: Duration = Duration::from_secs(8);
/// How long reports are gathered into one request to Kafka, in milliseconds.
pub(crate) const LINGER_MS: &str = "1";
/// Time between two looks for a topic that was just made.
pub(crate) const TOPIC_LOOK_EVERY: Duration = Duration::from_millis(100);
/// While something changes there is a line in the log this often …
pub(crate) const LINE_EVERY: Duration = Duration::from_secs(10);
/// … and this often while nothing does.
pub(crate) const IDLE_LINE_EVERY: Duration = Duration::from_secs(60);
