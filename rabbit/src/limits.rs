//! Every limit of the program that no flag sets, beside those of the path through RabbitMQ (`amqp_io::limits`).

use std::time::Duration;

/// Longest time for one order over HTTP, where the client gives more.
pub(crate) const PLACE_MAX: Duration = Duration::from_secs(5);
/// When to come again after the broker was away or full.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(2);
/// Customers told that are remembered: a decision that comes again after so many others is told
/// again.
pub(crate) const TOLD_MAX: u64 = 1_000_000;
/// Customers who are being told at a time: as many as messages in hand, and those whose channel was
/// lost meanwhile. A message that comes when there are more waits.
pub(crate) const TELLING_MAX: usize = 4_000;
/// Events that are noted in one commit.
pub(crate) const EVENTS_BATCH_MAX: usize = 256;
/// Longest wait for the last event that was read, to see that the stream is still the same one;
/// then all of it is read again, which changes nothing that is known.
pub(crate) const EVENTS_KNOWN_MAX: Duration = Duration::from_secs(5);
/// Pause of a standby between two looks at the folder.
pub(crate) const STANDBY_LOOK_EVERY: Duration = Duration::from_millis(250);
/// Dead letters that one run of `dlq` looks at in each queue.
pub(crate) const DEAD_LETTERS_MAX: usize = 100_000;
