//! Keeps librdkafka from turning in a loop while brokers do not answer.
//!
//! An idempotent producer has one request a partition under way. While records wait behind it whose
//! `linger.ms` is over, librdkafka's thread asks without a pause whether they may be sent by now, which takes
//! a whole processor for as long as the answer takes. A partition that is paused is not asked about. So
//! sending is held back while nothing is heard, and let go now and then: what was under way may have been
//! put back, and is to be sent again.
//!
//! Records that are held back are no reason for librdkafka to connect either, and a thread without a connection
//! looks at them once a second only, by itself. So each time sending is let go, every thread has to be woken.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::producer::{Producer as _, PurgeConfig};

use super::{DeliveryObserver, Publisher};
use crate::native;

/// Without an acknowledgement for so long, sending is held back: longer than brokers far away take.
const SILENCE_BEFORE: Duration = Duration::from_millis(500);

/// It is held back for so long at a time, and let go for so long in between: a tenth of the time.
const HOLD_FOR: Duration = Duration::from_millis(100);
const LET_GO_FOR: Duration = Duration::from_millis(10);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Brake {
    /// Topics whose number of partitions is known.
    topics: Mutex<Vec<(String, usize)>>,
    /// Whether it was pulled since the last acknowledgement, so that it is to be looked after.
    is_pulled: AtomicBool,
    hold: Mutex<Hold>,
}

#[derive(Debug, Clone, Copy, Default)]
enum Hold {
    #[default]
    Free,
    Held {
        until: Instant,
    },
    LetGo {
        until: Instant,
    },
}

impl Brake {
    /// Learns how many partitions a topic has; those of others are never held back.
    pub(super) fn note_partitions(&self, topic: &str, count: usize) {
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        match topics.iter_mut().find(|(known, _)| known == topic) {
            Some((_, known)) => *known = count,
            None => topics.push((topic.to_owned(), count)),
        }
    }

    /// Whether it was pulled since the last acknowledgement.
    pub(super) fn is_pulled(&self) -> bool {
        self.is_pulled.load(Ordering::Relaxed)
    }

    fn hold(&self) -> MutexGuard<'_, Hold> {
        self.hold.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<O: DeliveryObserver> Publisher<O> {
    /// Holds sending back or lets it go, by what was heard of the brokers.
    pub(super) fn mind_brake(&self) {
        let context = self.producer.context();
        let is_silent = self.counts().in_flight() > 0 && context.silence() >= SILENCE_BEFORE;
        if !is_silent && !self.brake.is_pulled() {
            return;
        }
        let now = Instant::now();
        let mut hold = self.brake.hold();
        let next = match *hold {
            Hold::Held { .. } | Hold::LetGo { .. } if !is_silent => Hold::Free,
            Hold::LetGo { until } if now < until => return,
            Hold::Held { until } if now < until => return,
            Hold::Held { .. } => Hold::LetGo { until: now + LET_GO_FOR },
            Hold::Free | Hold::LetGo { .. } => Hold::Held { until: now + HOLD_FOR },
        };
        let sends = !matches!(next, Hold::Held { .. });
        for (topic, count) in
            self.brake.topics.lock().unwrap_or_else(PoisonError::into_inner).iter()
        {
            native::set_sending(&self.producer, topic, *count, sends);
        }
        if sends {
            self.wake();
        }
        self.brake.is_pulled.store(!matches!(next, Hold::Free), Ordering::Relaxed);
        *hold = next;
    }

    /// Has all threads of librdkafka look what there is to send, and connect if there is something.
    fn wake(&self) {
        // What purges nothing reaches all of them; a flush only those that have a connection.
        self.producer.purge(PurgeConfig::default().non_blocking());
    }
}
