//! Makes a new client known to a broker, so that its first question need not wait.
//!
//! A client of librdkafka (2.12) leaves the address that it began with as soon as it knows the same broker by its number.
//! What it asked through that address fails then, inside: who looks for a coordinator or a leader tries again half a
//! second later, at about every other start. Once a broker has answered that is known by its number, that is over.

use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::client::Client;

use crate::native;

/// Wait for the first answer; twice as long each time that there is none.
const FIRST_WAIT: Duration = Duration::from_millis(50);

/// Answers through the first address, at most: one is usual.
const ASKS_MAX: usize = 8;

/// Longest wait in all. Brokers that are farther away cost round trips, and the half second counts for less there.
const MEET_MAX: Duration = Duration::from_millis(300);

/// Waits until a broker has answered that is known by its number, at most for `limit`, and not long. Where none does,
/// whoever asks next finds out why.
pub(crate) fn meet_broker<C: ClientContext>(client: &Client<C>, limit: Duration) {
    let give_up_at = Instant::now() + limit.min(MEET_MAX);
    let mut wait = FIRST_WAIT;
    for _ in 0..ASKS_MAX {
        let left = give_up_at.saturating_duration_since(Instant::now());
        match native::answering_broker(client, wait.min(left)) {
            Some(number) if number >= 0 => return,
            Some(_) => {}
            None if wait >= left => return,
            None => wait *= 2,
        }
    }
}
