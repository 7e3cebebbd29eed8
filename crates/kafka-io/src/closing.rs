//! A consumer with a group that ends as soon as it is closed.
//!
//! The safe crate closes a consumer by polls of 100 ms each, and the event that says that it is closed does not end such a
//! poll: whoever drops a consumer waits for the rest of it.

use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use tracing::subscriber::{NoSubscriber, with_default};

use crate::parting::Parting;

/// How often a consumer that closes is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Longest wait until a consumer is closed: it waits for its group's coordinator. One with an instance id that is closed
/// while it joins is never closed (librdkafka 2.12).
const CLOSE_MAX: Duration = Duration::from_secs(10);

/// A consumer that has a group id, which it may share. Its last clone closes it and waits until it is closed.
pub(crate) struct Closing<C: ConsumerContext + 'static>(Arc<Open<C>>);

struct Open<C: ConsumerContext + 'static>(Option<BaseConsumer<C>>);

impl<C: ConsumerContext + 'static> Closing<C> {
    /// Wraps a consumer.
    pub(crate) fn new(consumer: BaseConsumer<C>) -> Self {
        Self(Arc::new(Open(Some(consumer))))
    }
}

impl<C: ConsumerContext + 'static> Clone for Closing<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C: ConsumerContext + 'static> Deref for Closing<C> {
    type Target = BaseConsumer<C>;

    fn deref(&self) -> &BaseConsumer<C> {
        self.0.0.as_ref().expect("it is taken only when it is dropped")
    }
}

impl<C: ConsumerContext + 'static> Drop for Open<C> {
    fn drop(&mut self) {
        let Some(consumer) = self.0.take() else { return };
        if consumer.close_queue().is_err() {
            return; // the safe crate asks as well, and says why
        }
        let give_up_at = Instant::now() + CLOSE_MAX;
        while !consumer.closed() {
            consumer.poll(LOOK_EVERY);
            if Instant::now() >= give_up_at {
                tracing::warn!("a consumer did not close within {CLOSE_MAX:?}; it is left behind");
                drop(Parting::new(consumer)); // whoever drops it waits without a limit
                return;
            }
        }
        // That it is closed is what the safe crate would call a failure to close it.
        with_default(NoSubscriber::default(), || drop(consumer));
    }
}
