//! Takes in the delivery reports of a producer.

use std::time::Duration;

use rdkafka::producer::{BaseProducer, ProducerContext};

/// Events that are taken in at one go.
const EVENTS_MAX: usize = 1_024;

/// Takes in what has come, and returns how many records are `left` then. rdkafka takes one event with each call, which may be the
/// delivery of a single record. It never waits here: it waits whole milliseconds, and turns in a loop for the rest of one.
pub(crate) fn take_reports<C: ProducerContext>(
    producer: &BaseProducer<C>,
    left: impl Fn() -> u64,
) -> u64 {
    let mut now = left();
    for _ in 0..EVENTS_MAX {
        producer.poll(Duration::ZERO);
        let before = std::mem::replace(&mut now, left());
        if now == 0 || now >= before {
            break;
        }
    }
    now
}
