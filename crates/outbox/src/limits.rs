//! Every limit of the outbox.

use std::time::Duration;

/// How long the client library tries to deliver a record; what became of it is unknown then.
pub const DELIVERY_MAX: Duration = Duration::from_secs(5);
/// Records that wait for the thread that sends them; one more waits for room, until
/// its deadline, and is surely not sent if it finds none.
pub(crate) const OUTBOX_MAX: usize = 10_000;
/// How long deliveries are awaited between two looks for new records.
pub(crate) const DELIVERY_SLICE: Duration = Duration::from_millis(1);
/// Time between two looks whether the brokers are there.
pub(crate) const BROKERS_LOOK_EVERY: Duration = Duration::from_millis(500);
/// A publisher that has nothing to send asks this often.
pub(crate) const BROKERS_ASK_EVERY: Duration = Duration::from_secs(3);
/// Longest wait for the answer.
pub(crate) const BROKERS_ASK_MAX: Duration = Duration::from_secs(1);
