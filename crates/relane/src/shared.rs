//! What lanes share with the rest of the process: the stop signal, counters, and a view of
//! each lane for health and metrics. Nothing here is on the path of a record.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use pipeline::failure::FailureClass;
use service_kit::health::{HealthReport, HealthSource, Reason};
use service_kit::shutdown::Shutdown;
use service_kit::unavailable;

use crate::clock::Instant;
use crate::gaps::Missing;
use crate::notices::Notices;

/// What cannot be finished this long after a stop was requested is left uncommitted.
const ABANDON_AFTER: Duration = Duration::from_secs(8);

/// A lane that has not turned for this long waits for a broker.
const SILENCE_READY_MAX: Duration = Duration::from_secs(3);

/// A lane that has not turned for this long hangs. Longer than any bounded wait of a turn.
const SILENCE_LIVE_MAX: Duration = Duration::from_secs(60);

/// Counts of this run, moved after each commit.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) consumed: AtomicU64,
    pub(crate) succeeded: AtomicU64,
    pub(crate) retried: AtomicU64,
    pub(crate) dead_lettered: AtomicU64,
    pub(crate) duplicates: AtomicU64,
    /// Dead letters by class, in the order of [`FailureClass::ALL`].
    pub(crate) dead_letters: [AtomicU64; FailureClass::ALL.len()],
}

impl Counters {
    pub(crate) fn read(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }

    pub(crate) fn count_dead_letter(&self, class: FailureClass) {
        self.dead_letters[class as usize].fetch_add(1, Ordering::Relaxed);
    }
}

/// A lane as seen from outside, written by the lane a few times a second.
#[derive(Debug, Clone, Default)]
pub(crate) struct View<T> {
    pub(crate) beat_at: Option<Instant>,
    pub(crate) joined: bool,
    pub(crate) owned: Vec<i32>,
    pub(crate) restoring: Vec<i32>,
    /// Partitions whose offsets, topics and state do not agree: the lane is about to end.
    pub(crate) refused: Vec<i32>,
    /// What restores that are overdue wait for, in words.
    pub(crate) waits_for: Vec<String>,
    /// Partitions that stand still: number, label of the reason, words.
    pub(crate) stopped: Vec<(i32, &'static str, String)>,
    pub(crate) crowded: bool,
    /// What every record needs and is away, in words.
    pub(crate) outage: Option<String>,
    /// The last outage ended with nothing left to try.
    pub(crate) is_outage_forgotten: bool,
    /// It has had a writer: its start is over.
    pub(crate) has_written: bool,
    /// Why the lane has stopped giving up records, in words.
    pub(crate) limited: Option<String>,
    /// Partitions that are not read because too many of their records wait for a schema.
    pub(crate) starved: usize,
    pub(crate) unresolved: usize,
    pub(crate) waiting: usize,
    pub(crate) parked_keys: usize,
    /// Partitions that are not read because a key has as many followers as it may.
    pub(crate) full: usize,
    pub(crate) oldest_overdue_ms: i64,
    /// When the first and the last of the records that wait are due.
    pub(crate) next_due_at_ms: Option<i64>,
    pub(crate) last_due_at_ms: Option<i64>,
    /// Offsets of main that are not settled; `None` while they are not known.
    pub(crate) lag: Option<u64>,
    /// Offsets of main that are left below the end of this run.
    pub(crate) main_left: Option<u64>,
    pub(crate) away: Option<String>,
    pub(crate) is_drained: bool,
    /// Offsets of main without a record, in what the lane has read.
    pub(crate) missing: Missing,
    pub(crate) retry_positions: Vec<(i32, i64)>,
    /// What the stage tells of its state.
    pub(crate) summary: T,
}

impl<T> View<T> {
    /// Why the brokers are away for this lane: it had no answer, or is waiting for one.
    pub(crate) fn brokers_away(&self) -> Option<String> {
        let silence = self.beat_at.map_or(Duration::ZERO, |beat_at| beat_at.elapsed());
        let waits = || format!("a request has had no answer for {} s", silence.as_secs());
        self.away.clone().or_else(|| (silence > SILENCE_READY_MAX).then(waits))
    }
}

/// View of one lane.
#[derive(Debug, Default)]
pub(crate) struct LaneView<T>(Mutex<View<T>>);

impl<T> LaneView<T> {
    pub(crate) fn lock(&self) -> MutexGuard<'_, View<T>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Shared<T> {
    pub(crate) stop: Shutdown,
    stopped_at: OnceLock<Instant>,
    /// Random once per process; part of the transactional id where no instance is named.
    pub(crate) process_id: String,
    pub(crate) counters: Counters,
    pub(crate) notices: Arc<Notices>,
    views: Vec<Arc<LaneView<T>>>,
}

impl<T: Clone + Default> Shared<T> {
    pub(crate) fn new(stop: Shutdown, process_id: String, lanes: usize) -> Self {
        let views = (0..lanes).map(|_| Arc::default()).collect();
        let (stopped_at, counters) = (OnceLock::new(), Counters::default());
        let notices = Arc::default();
        Self { stop, stopped_at, process_id, counters, notices, views }
    }

    pub(crate) fn view(&self, index: usize) -> Arc<LaneView<T>> {
        Arc::clone(&self.views[index])
    }

    pub(crate) fn views(&self) -> impl Iterator<Item = View<T>> + '_ {
        self.views.iter().map(|view| view.lock().clone())
    }

    /// Looks at the view of each lane, without a copy.
    pub(crate) fn each_view(&self, mut look: impl FnMut(&View<T>)) {
        self.views.iter().for_each(|view| look(&view.lock()));
    }

    /// Whether every lane has its partitions, and none of these is still to be read back.
    pub(crate) fn are_restored(&self) -> bool {
        self.views.iter().all(|view| {
            let view = view.lock();
            view.joined && view.restoring.is_empty()
        })
    }

    /// Whether the time to finish what is in flight is over.
    pub(crate) fn must_abandon(&self) -> bool {
        self.stop.is_requested()
            && self.stopped_at.get_or_init(Instant::now).elapsed() >= ABANDON_AFTER
    }

    /// How long ago the stop was first noticed.
    pub(crate) fn stopping_for(&self) -> Duration {
        if !self.stop.is_requested() {
            return Duration::ZERO;
        }
        self.stopped_at.get_or_init(Instant::now).elapsed()
    }
}

fn reason(condition: &str, detail: impl Into<String>) -> Reason {
    Reason { condition: condition.to_owned(), detail: detail.into() }
}

impl<T: Clone + Default + Send + std::fmt::Debug> HealthSource for Shared<T> {
    fn live(&self) -> HealthReport {
        let mut reasons = Vec::new();
        for (index, view) in self.views().enumerate() {
            if let Some(beat) = view.beat_at
                && beat.elapsed() > SILENCE_LIVE_MAX
            {
                let seconds = beat.elapsed().as_secs();
                let detail = format!("lane {index} has made no progress for {seconds} s");
                reasons.push(reason("lane", detail));
            }
        }
        HealthReport { reasons }
    }

    fn ready(&self) -> HealthReport {
        let mut reasons = Vec::new();
        for (index, view) in self.views().enumerate() {
            let lane = format!("lane {index}");
            if view.beat_at.is_none() || !view.has_written {
                reasons.push(reason("starting", lane.clone()));
            }
            if !view.joined {
                reasons.push(reason("group", format!("{lane} has not joined the group")));
            }
            if !view.restoring.is_empty() {
                let what = format!("{lane} is restoring partitions {:?}", view.restoring);
                let detail = std::iter::once(what).chain(view.waits_for).collect::<Vec<_>>();
                reasons.push(reason("restoring", detail.join("; ")));
            }
            if !view.refused.is_empty() {
                let detail = format!("{lane} cannot restore partitions {:?}", view.refused);
                reasons.push(reason("restoring", detail));
            }
            if let Some(limited) = &view.limited {
                reasons.push(reason("dlq-limit", format!("{lane}: {limited}")));
            }
            for (partition, label, words) in &view.stopped {
                reasons.push(reason(label, format!("partition {partition}: {words}")));
            }
        }
        reasons.extend(unavailable::of_process().reasons());
        if let Some(problems) = self.notices.topic_problems() {
            reasons.push(reason("topic-settings", problems));
        }
        if self.stop.is_requested() {
            reasons.push(reason("stopping", "a stop was requested"));
        }
        HealthReport { reasons }
    }
}
