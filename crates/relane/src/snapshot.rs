//! Progress of a pipeline, for views.
//!
//! A watcher reads what the lanes publish anyway, so that it does not slow them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use pipeline::failure::FailureClass;
use service_kit::health::{HealthSource as _, Reason};

use crate::shared::{Counters, Shared};

/// Watches a pipeline, from any thread; made by [`Engine::watcher`](crate::Engine::watcher). What it tells is up to half a second old. After the
/// run it tells how that ended.
#[derive(Debug)]
pub struct Watcher<T>(Arc<Shared<T>>);

/// A pipeline at one moment. Counts are those of this run and of this process, and move after each commit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Records of the main topic that are settled there: handled, sent to the retry topic, or dead-lettered.
    pub consumed: u64,
    /// Records that were handled successfully.
    pub succeeded: u64,
    /// Records that were found to be duplicates.
    pub duplicates: u64,
    /// Failed attempts that were sent to retry.
    pub retried: u64,
    /// Dead letters by class.
    pub dead_lettered: Vec<(FailureClass, u64)>,
    /// Records that wait in retry.
    pub waiting: u64,
    /// When the first of them is due, in epoch milliseconds.
    pub next_due_at_ms: Option<i64>,
    /// When the last of them is due, in epoch milliseconds.
    pub last_due_at_ms: Option<i64>,
    /// Offsets of the main topic that are not settled yet; `None` while they are not known.
    pub lag: Option<u64>,
    /// If the run has an end: remaining offsets of the main topic below it.
    pub main_left: Option<u64>,
    /// Why the pipeline is not ready, as `/readyz` says.
    pub reasons: Vec<Reason>,
}

impl Snapshot {
    /// Dead letters of all classes.
    #[must_use]
    pub fn dead_letters(&self) -> u64 {
        self.dead_lettered.iter().map(|(_, count)| count).sum()
    }

    /// Whether nothing has happened since an earlier snapshot: no count and no condition is another one. The words of a
    /// condition may be.
    #[must_use]
    pub fn is_idle_since(&self, before: &Self) -> bool {
        let conditions = |it: &Self| {
            let conditions = it.reasons.iter().map(|reason| reason.condition.clone());
            conditions.collect::<Vec<_>>()
        };
        let counts = |it: &Self| {
            (it.consumed, it.succeeded, it.duplicates, it.retried, it.dead_letters(), it.waiting)
        };
        counts(before) == counts(self) && conditions(before) == conditions(self)
    }
}

impl<T: Clone + Default + Send + std::fmt::Debug> Watcher<T> {
    pub(crate) const fn new(shared: Arc<Shared<T>>) -> Self {
        Self(shared)
    }

    /// Takes a snapshot.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let counters = &self.0.counters;
        let class = |class| (class, counters.dead_letters[class as usize].load(Ordering::Relaxed));
        let mut now = Snapshot {
            consumed: Counters::read(&counters.consumed),
            succeeded: Counters::read(&counters.succeeded),
            duplicates: Counters::read(&counters.duplicates),
            retried: Counters::read(&counters.retried),
            dead_lettered: FailureClass::ALL.map(class).to_vec(),
            lag: Some(0),
            main_left: Some(0),
            reasons: self.0.ready().reasons,
            ..Snapshot::default()
        };
        self.0.each_view(|view| {
            now.waiting += view.waiting as u64;
            now.next_due_at_ms = now.next_due_at_ms.into_iter().chain(view.next_due_at_ms).min();
            now.last_due_at_ms = now.last_due_at_ms.max(view.last_due_at_ms);
            now.lag = now.lag.zip(view.lag).map(|(all, lane)| all + lane);
            now.main_left = now.main_left.zip(view.main_left).map(|(all, lane)| all + lane);
        });
        now
    }

    /// The stages' summaries of their states, one for each lane.
    #[must_use]
    pub fn summaries(&self) -> Vec<T> {
        let mut all = Vec::new();
        self.0.each_view(|view| all.push(view.summary.clone()));
        all
    }
}

#[cfg(test)]
mod tests {
    use service_kit::shutdown::Shutdown;

    use super::*;

    #[test]
    fn a_look_adds_up_the_lanes_and_what_one_does_not_know_is_not_known() {
        let shared = Shared::<u8>::new(Shutdown::new(), String::new(), 2);
        let shared = Arc::new(shared);
        for (lane, due) in [(0, 700), (1, 300)] {
            let view = shared.view(lane);
            let mut view = view.lock();
            view.waiting = 4;
            (view.next_due_at_ms, view.last_due_at_ms) = (Some(due), Some(due + 1));
            (view.lag, view.main_left) = (Some(10), (lane == 0).then_some(5));
        }
        shared.counters.count_dead_letter(FailureClass::Invalid);
        let now = Watcher::new(Arc::clone(&shared)).snapshot();
        assert_eq!((now.waiting, now.lag, now.main_left), (8, Some(20), None));
        assert_eq!((now.next_due_at_ms, now.last_due_at_ms), (Some(300), Some(701)));
        assert_eq!(now.dead_lettered[3], (FailureClass::Invalid, 1));
        assert_eq!(now.dead_letters(), 1);
        assert!(!now.reasons.is_empty(), "it has not started");
    }
}
