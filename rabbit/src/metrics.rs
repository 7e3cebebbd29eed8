//! Where the lines of the log and the table at the end find what the broker's side counts; what the front counts,
//! `order_api` names.

use amqp_io::metrics::{DEAD_LETTERED, DELIVERIES, RETRIES};
use order_api::status::Sources;

/// What the lines of the log and the table at the end say.
pub(crate) const STATUS: Sources = Sources {
    settled: (DELIVERIES, "result"),
    retries: RETRIES,
    dead_letters: Some(DEAD_LETTERED),
    waiting: None,
};
