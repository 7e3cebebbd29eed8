//! Every limit of the path through RabbitMQ that no flag sets.

use std::time::Duration;

/// Longest wait for a connection and its handshake: an error at the start is to come within 5 s.
pub const CONNECT_MAX: Duration = Duration::from_secs(4);
/// Longest wait for exchange and queues to be there: a busy broker takes seconds to make them.
pub const DECLARE_MAX: Duration = Duration::from_secs(30);
/// Longest wait for a broker that was just started to serve the queues and the stream that it has:
/// a stream is there a second or two after the broker takes connections …
pub(crate) const RECOVER_MAX: Duration = Duration::from_secs(30);
/// … and the pause between two looks.
pub(crate) const RECOVER_LOOK_EVERY: Duration = Duration::from_millis(500);
/// Time between two heartbeats in seconds: after twice as long the connection counts as lost.
pub(crate) const HEARTBEAT_S: u16 = 4;
/// First wait between two tries to connect; doubled each time …
pub const BACKOFF_MIN: Duration = Duration::from_millis(100);
/// … up to this; then it goes on like that for as long as the broker is away.
pub const BACKOFF_MAX: Duration = Duration::from_secs(2);
/// Pause between two looks at a connection that says nothing.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Longest wait for the goodbye of a connection.
pub const CLOSE_MAX: Duration = Duration::from_secs(1);
/// Time for which a queue that was just made is given no message. RabbitMQ notes on disk where a
/// quorum queue keeps its messages only half a second to a second after the queue is made; killed
/// before that, it forgets what it has confirmed, and the queue never has a leader again.
pub(crate) const SETTLE: Duration = Duration::from_secs(2);
/// Longest wait for the confirmation of one message; what became of it is unknown then. Shorter
/// than an order may take, so that it has a second try.
pub const CONFIRM_MAX: Duration = Duration::from_secs(3);
/// An answer to another message that comes later than this after a message was sent shows that the channel is
/// alive, though the message itself has none.
pub(crate) const ANSWER_TO_OTHERS: Duration = Duration::from_secs(1);
/// Messages of one channel without confirmation in all that time, while others have theirs; then
/// the channel is given up.
pub(crate) const OVERDUE_MAX: u32 = 8;
/// Messages of a publisher that the broker has said nothing of; one more waits for room.
pub(crate) const UNCONFIRMED_MAX: usize = 512;
/// Longest time for what was begun when a stop is asked for; the rest stays in its queue.
pub const DRAIN_MAX: Duration = Duration::from_secs(8);
/// Deliveries of one message that ended without an answer, before it becomes a dead letter here,
/// where its order learns of it: fewer than those after which the broker makes it one.
pub(crate) const DELIVERIES_MAX: u64 = 40;
/// Longest name of a request, as over HTTP.
pub const REQUEST_ID_BYTES_MAX: usize = 64;
/// Largest number of messages that a consumer can be given at a time.
pub const PREFETCH_MAX: u16 = 2_000;
/// Delays that a plan of retries can have: each is a queue.
pub const DELAYS_MAX: usize = 8;
