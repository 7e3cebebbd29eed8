//! Every limit of the program that no flag sets.

use std::time::Duration;

/// Longest wait for a connection and its handshake: an error at the start is to come within 5 s.
pub(crate) const CONNECT_MAX: Duration = Duration::from_secs(4);
/// Longest wait for exchange and queues to be there: a busy broker takes seconds to make them.
pub(crate) const DECLARE_MAX: Duration = Duration::from_secs(30);
/// Longest wait for a broker that was just started to serve the queues and the stream that it has:
/// a stream is there a second or two after the broker takes connections …
pub(crate) const RECOVER_MAX: Duration = Duration::from_secs(30);
/// … and the pause between two looks.
pub(crate) const RECOVER_LOOK_EVERY: Duration = Duration::from_millis(500);
/// Time between two heartbeats in seconds: after twice as long the connection counts as lost.
pub(crate) const HEARTBEAT_S: u16 = 4;
/// First wait between two tries to connect; doubled each time …
pub(crate) const BACKOFF_MIN: Duration = Duration::from_millis(100);
/// … up to this; then it goes on like that for as long as the broker is away.
pub(crate) const BACKOFF_MAX: Duration = Duration::from_secs(2);
/// Pause between two looks at a connection that says nothing.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Longest wait for the goodbye of a connection.
pub(crate) const CLOSE_MAX: Duration = Duration::from_secs(1);
/// Time for which a queue that was just made is given no message. RabbitMQ notes on disk where a
/// quorum queue keeps its messages only half a second to a second after the queue is made; killed
/// before that, it forgets what it has confirmed, and the queue never has a leader again.
pub(crate) const SETTLE: Duration = Duration::from_secs(2);
/// Longest wait for the confirmation of one message; what became of it is unknown then. Shorter
/// than [`PLACE_MAX`], so that an order has a second try.
pub(crate) const CONFIRM_MAX: Duration = Duration::from_secs(3);

/// An answer to another message that comes later than this after a message was sent shows that the channel is
/// alive, though the message itself has none.
pub(crate) const ANSWER_TO_OTHERS: Duration = Duration::from_secs(1);
/// Messages of one channel without confirmation in all that time, while others have theirs; then
/// the channel is given up.
pub(crate) const OVERDUE_MAX: u32 = 8;
/// Messages of a publisher that the broker has said nothing of; one more waits for room.
pub(crate) const UNCONFIRMED_MAX: usize = 512;
/// Longest time for one order over HTTP, where the client gives more.
pub(crate) const PLACE_MAX: Duration = Duration::from_secs(5);
/// When to come again after the broker was away or full.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(2);
/// Longest time for what was begun when a stop is asked for; the rest stays in its queue.
pub(crate) const DRAIN_MAX: Duration = Duration::from_secs(8);
/// Customers told that are remembered: a decision that comes again after so many others is told
/// again.
pub(crate) const TOLD_MAX: u64 = 1_000_000;
/// Customers who are being told at a time: as many as messages in hand, and those whose channel was
/// lost meanwhile. A message that comes when there are more waits.
pub(crate) const TELLING_MAX: usize = 4_000;
/// Deliveries of one message that ended without an answer, before it becomes a dead letter here,
/// where its order learns of it: fewer than those after which the broker makes it one.
pub(crate) const DELIVERIES_MAX: u64 = 40;
/// Events that are noted in one commit.
pub(crate) const EVENTS_BATCH_MAX: usize = 256;
/// Longest wait for the last event that was read, to see that the stream is still the same one;
/// then all of it is read again, which changes nothing that is known.
pub(crate) const EVENTS_KNOWN_MAX: Duration = Duration::from_secs(5);
/// Pause of a standby between two looks at the folder.
pub(crate) const STANDBY_LOOK_EVERY: Duration = Duration::from_millis(250);
/// Longest name of a request, as over HTTP.
pub(crate) const REQUEST_ID_BYTES_MAX: usize = 64;
/// Largest number of messages that a consumer can be given at a time.
pub(crate) const PREFETCH_MAX: u16 = 2_000;
/// Delays that a plan of retries can have: each is a queue.
pub(crate) const DELAYS_MAX: usize = 8;
/// Dead letters that one run of `dlq` looks at in each queue.
pub(crate) const DEAD_LETTERS_MAX: usize = 100_000;
