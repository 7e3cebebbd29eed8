//! Gauges that are computed from the views of all lanes, twice a second.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use metrics::gauge;

use crate::metrics::{
    PARKED_KEYS, PARTITIONS_PAUSED, RETRY_OLDEST_OVERDUE_SECONDS, RETRY_WAITING, UNRESOLVED_RECORDS,
};
use crate::settings::PipelineName;
use crate::shared::View;

/// Every label of the partitions that are paused.
const REASONS: [&str; 8] = [
    "waiting",
    "followers",
    "outage",
    "broker",
    "registry",
    "dlq-limit",
    "retention-gap",
    "missing-partition",
];

/// What one pipeline adds to the gauges.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Told {
    waiting: usize,
    parked_keys: usize,
    oldest_overdue_ms: i64,
    paused: [usize; REASONS.len()],
    unresolved: usize,
}

/// By name and pipeline: a process may run several under one name, and each gauge is told once.
static TOLD: Mutex<BTreeMap<(String, usize), Told>> = Mutex::new(BTreeMap::new());

/// The gauges' share of one pipeline, until it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    name: PipelineName,
    number: usize,
}

impl Share {
    pub(crate) fn new(name: &PipelineName) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        Self { name: name.clone(), number: NEXT.fetch_add(1, Ordering::Relaxed) }
    }

    fn key(&self) -> (String, usize) {
        (self.name.as_str().to_owned(), self.number)
    }

    /// Sets the gauges to the sum over all pipelines of this name in the process.
    pub(crate) fn set<T>(&self, views: &[View<T>]) {
        let told = Told {
            waiting: views.iter().map(|view| view.waiting).sum(),
            parked_keys: views.iter().map(|view| view.parked_keys).sum(),
            oldest_overdue_ms: views.iter().map(|view| view.oldest_overdue_ms).max().unwrap_or(0),
            paused: REASONS.map(|reason| paused(views, reason)),
            unresolved: views.iter().map(|view| view.unresolved).sum(),
        };
        let mut all = lock();
        all.insert(self.key(), told);
        let of_name = all.iter().filter(|((name, _), _)| name == self.name.as_str());
        tell(&self.name, sum(of_name.map(|(_, told)| told)));
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        lock().remove(&self.key());
    }
}

fn lock() -> MutexGuard<'static, BTreeMap<(String, usize), Told>> {
    TOLD.lock().unwrap_or_else(PoisonError::into_inner)
}

fn sum<'a>(all: impl Iterator<Item = &'a Told>) -> Told {
    all.fold(Told::default(), |mut sum, told| {
        sum.waiting += told.waiting;
        sum.parked_keys += told.parked_keys;
        sum.oldest_overdue_ms = sum.oldest_overdue_ms.max(told.oldest_overdue_ms);
        for (sum, paused) in sum.paused.iter_mut().zip(told.paused) {
            *sum += paused;
        }
        sum.unresolved += told.unresolved;
        sum
    })
}

fn tell(name: &PipelineName, told: Told) {
    gauge!(name.metric(RETRY_WAITING)).set(told.waiting as f64);
    gauge!(name.metric(PARKED_KEYS)).set(told.parked_keys as f64);
    let overdue_seconds = told.oldest_overdue_ms as f64 / 1000.0;
    gauge!(name.metric(RETRY_OLDEST_OVERDUE_SECONDS)).set(overdue_seconds);
    for (reason, paused) in REASONS.into_iter().zip(told.paused) {
        gauge!(name.metric(PARTITIONS_PAUSED), "reason" => reason).set(paused as f64);
    }
    gauge!(name.metric(UNRESOLVED_RECORDS)).set(told.unresolved as f64);
}

fn paused<T>(views: &[View<T>], reason: &str) -> usize {
    let of = |view: &View<T>| match reason {
        "waiting" if view.crowded => view.owned.len(),
        "waiting" => 0,
        "followers" => view.full,
        "outage" if view.outage.is_some() => view.owned.len(),
        "outage" => 0,
        "broker" if view.brokers_away().is_some() => view.owned.len(),
        "broker" => 0,
        "registry" => view.starved,
        "dlq-limit" if view.limited.is_some() => view.owned.len(),
        "dlq-limit" => 0,
        other => view.stopped.iter().filter(|(_, label, _)| *label == other).count(),
    };
    views.iter().map(of).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn while_the_brokers_of_a_lane_are_away_its_partitions_are_told_paused() {
        let away = Some("no answer".to_owned());
        let views = [
            View::<()> { owned: vec![0, 2], away, ..View::default() },
            View { owned: vec![1], ..View::default() },
        ];
        let told = REASONS.map(|reason| (reason, paused(&views, reason)));
        assert_eq!(told.iter().find(|(reason, _)| *reason == "broker"), Some(&("broker", 2)));
        assert_eq!(told.iter().map(|(_, paused)| paused).sum::<usize>(), 2);
    }

    #[test]
    fn pipelines_of_one_process_add_up() {
        let one = Told { waiting: 3, oldest_overdue_ms: 5, ..Told::default() };
        let mut other = Told { waiting: 4, ..Told::default() };
        other.paused[0] = 2;
        let all = sum([&one, &other].into_iter());
        assert_eq!((all.waiting, all.oldest_overdue_ms), (7, 5));
        assert_eq!((all.paused[0], all.paused[1]), (2, 0));
    }
}
