//! Tells the rest of the process how a lane is doing.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::clock::Instant;
use crate::lane::Lane;
use crate::lane::ages::AgeBuckets;
use crate::lane::outbound::Destination;
use crate::lane::partition_state::{PartitionState, Phase};
use crate::lane::processor::Processor;
use crate::metrics;
use crate::shared::Counters;
use crate::stage::Stage;

/// Time between two reports of a lane.
const REPORT_EVERY: Duration = Duration::from_millis(250);

/// A turn adds at most about this many samples to a histogram: each one costs a clock call.
const SAMPLES_MAX: usize = 64;

impl<S: Stage> Lane<S> {
    /// Tells that the lane turns.
    pub(crate) fn heartbeat(&self) {
        self.view.lock().beat_at = Some(Instant::now());
    }

    /// Counts a committed turn and empties it.
    pub(crate) fn count_committed(&mut self, started: Instant) {
        let turn = &self.processor.turn;
        let (metrics, counters) = (&self.metrics, &self.shared.counters);
        metrics.transaction("committed");
        metrics.transaction_seconds.record(started.elapsed().as_secs_f64());
        if turn.records > 0 {
            let each = started.duration_since(turn.started_at).as_secs_f64() / turn.records as f64;
            metrics.processing_seconds.record_many(each, turn.records.min(SAMPLES_MAX));
        }
        let (mut retried, mut dead_lettered, mut followers) = (0, 0, 0);
        let mut ages = AgeBuckets::default();
        let now_ms = crate::clock::now_ms();
        for forward in &turn.outbound {
            let Some(parts) = &forward.hop else { continue };
            match forward.destination {
                Destination::Retry { .. } => {
                    retried += 1;
                    metrics.retry(parts.attempt);
                }
                Destination::DeadLetter => {
                    dead_lettered += 1;
                    if let Some(failure) = &parts.failure {
                        metrics.dead_letter(failure.class());
                        counters.count_dead_letter(failure.class());
                    }
                    ages.note(now_ms.saturating_sub(parts.origin.timestamp.ms));
                }
                Destination::Behind { .. } => followers += 1,
                Destination::Repark => {}
            }
        }
        for timestamp_ms in &turn.ended {
            ages.note(now_ms.saturating_sub(*timestamp_ms));
        }
        for (seconds, count) in ages.samples(SAMPLES_MAX) {
            metrics.end_to_end_seconds.record_many(seconds, count);
        }
        for (counter, total, count) in [
            (&metrics.consumed_main, Some(&counters.consumed), turn.consumed_main),
            (&metrics.consumed_retry, None, turn.consumed_retry),
            (&metrics.succeeded, Some(&counters.succeeded), turn.succeeded),
            (&metrics.duplicates, Some(&counters.duplicates), turn.duplicates),
            (&metrics.retried, Some(&counters.retried), retried),
            (&metrics.dead_lettered, Some(&counters.dead_lettered), dead_lettered),
            (&metrics.foreign, None, turn.foreign),
            (&metrics.reparked, None, turn.reparked),
            (&metrics.followers, None, followers),
        ] {
            counter.increment(count);
            if let Some(total) = total {
                total.fetch_add(count, Ordering::Relaxed);
            }
        }
        tracing::debug!(
            lane = self.index,
            records = turn.records,
            counted = turn.succeeded,
            retried,
            dead_lettered,
            commit_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "turn committed"
        );
        let Processor { stage, turn, .. } = &mut self.processor;
        if stage.hears_settled() {
            stage.settled(turn.settled());
        }
        self.processor.gate.commit();
        self.processor.turn.restart();
    }

    /// Reports if the time has come.
    pub(crate) fn report(&mut self) {
        if self.reported_at.elapsed() >= REPORT_EVERY {
            self.report_now();
        }
    }

    pub(crate) fn report_now(&mut self) {
        self.reported_at = Instant::now();
        self.probe_if_quiet();
        let now_ms = crate::clock::now_ms();
        let owned: Vec<&PartitionState<S::State>> = self.processor.iter().collect();
        let active = owned.iter().filter(|owned| owned.is_active());
        let next_due = active.clone().filter_map(|owned| owned.waiting.next_due_at_ms()).min();
        let last_due = active.filter_map(|owned| owned.waiting.last_due_at_ms()).max();
        let stopped = owned.iter().filter_map(|owned| match &owned.phase {
            Phase::Stopped { reason, detail } => {
                Some((owned.partition, reason.as_str(), detail.clone()))
            }
            _ => None,
        });
        let restoring = owned.iter().filter(|owned| owned.is_restoring());
        let refused = owned.iter().filter(|owned| matches!(owned.phase, Phase::Refused));
        let away = self.away.clone().or_else(|| self.reader_away.clone());
        // Other groups may still wait for records that this one has passed.
        let own = owned.iter().filter(|owned| !owned.is_shared);
        let committed = own.filter_map(|owned| {
            Some((owned.partition, owned.committed_retry.as_ref()?.position.0))
        });
        let drained = self.has_assignment
            && owned.iter().all(|owned| owned.is_drained())
            && self.processor.turn.records == 0;
        let (lag, main_left) = (self.report_lag(&owned), self.main_left(&owned));
        let mut view = self.view.lock();
        view.joined =
            self.member.membership().is_joined() && self.has_assignment && !self.stands_aside;
        view.owned = owned.iter().map(|owned| owned.partition).collect();
        view.waits_for = restoring.clone().filter_map(|owned| owned.waits_for.clone()).collect();
        view.restoring = restoring.map(|owned| owned.partition).collect();
        view.refused = refused.map(|owned| owned.partition).collect();
        view.stopped = stopped.collect();
        view.crowded = self.is_backpressured;
        view.outage = self.processor.gate.outage().cloned();
        view.is_outage_forgotten = self.processor.gate.is_outage_forgotten();
        view.has_written |= self.writer.is_some();
        view.limited = self.processor.gate.stopped().cloned();
        let starved = |owned: &&PartitionState<S::State>| {
            owned.awaiting_dedupe.is_some()
                || owned.unresolved.len() >= self.processor.unresolved_max
        };
        view.starved = owned.iter().copied().filter(starved).count();
        let held = |owned: &&PartitionState<S::State>| {
            owned.unresolved.len() + usize::from(owned.awaiting_dedupe.is_some())
        };
        view.unresolved = owned.iter().map(held).sum();
        view.parked_keys = owned.iter().map(|owned| owned.waiting.parked_keys()).sum();
        view.full = owned.iter().filter(|owned| owned.is_full).count();
        view.waiting = owned.iter().map(|owned| owned.waits()).sum();
        (view.next_due_at_ms, view.last_due_at_ms) = (next_due, last_due);
        (view.lag, view.main_left) = (lag, main_left);
        view.oldest_overdue_ms = next_due.map_or(0, |due| now_ms.saturating_sub(due).max(0));
        view.away = away;
        view.is_drained = drained;
        view.missing = self.processor.missing;
        view.retry_positions = committed.collect();
        view.summary = S::summarize(owned.iter().map(|owned| &owned.state));
    }

    /// Says once of each partition whose records lie in it besides those of this group.
    pub(crate) fn tell_strangers(&mut self) {
        let (topic, group) = (&self.settings.topics.retry, &self.settings.group);
        for owned in self.processor.iter_mut() {
            let Some(stranger) = owned.stranger.as_mut().filter(|it| !it.is_told) else { continue };
            stranger.is_told = true;
            if self.shared.notices.is_first_stranger(topic, owned.partition) {
                tracing::warn!(
                    "{topic}/{} also holds retries of group {:?}: group {group} skips them, and \
                     does not delete what it has settled there; give each group a retry topic of \
                     its own",
                    owned.partition,
                    stranger.group
                );
            }
        }
    }

    /// The partition's next owner tells its lag: a stale one here would be counted twice.
    pub(crate) fn forget_lag(&self, partition: i32) {
        let topics = &self.settings.topics;
        for topic in [&topics.main, &topics.retry] {
            metrics::forget_lag(&self.settings.group, topic, partition);
        }
    }

    /// Sets the gauges of the lag, and returns that of main, once it is known of all partitions.
    fn report_lag(&self, owned: &[&PartitionState<S::State>]) -> Option<u64> {
        let mut main_lag = self.has_assignment.then_some(0);
        let topics = &self.settings.topics;
        for owned in owned {
            for (topic, last) in
                [(&topics.main, &owned.committed_main), (&topics.retry, &owned.committed_retry)]
            {
                let bounds = self.reader.cached_bounds(topic, owned.partition);
                let known = last.as_ref().zip(bounds);
                if let Some((last, bounds)) = known {
                    let group = &self.settings.group;
                    metrics::lag(group, topic, owned.partition, last.position.0, bounds);
                }
                if *topic == topics.main {
                    let behind = known.map(|(last, (_, high))| offsets(last.position.0, high));
                    main_lag = main_lag.zip(behind).map(|(all, one)| all + one);
                }
            }
        }
        main_lag
    }

    /// Offsets of main up to the ends of this run, once they are known of all partitions.
    fn main_left(&self, owned: &[&PartitionState<S::State>]) -> Option<u64> {
        let ends = self.settings.main_ends.as_ref().filter(|_| self.has_assignment)?;
        let left = |owned: &&PartitionState<S::State>| {
            let end = ends.get(usize::try_from(owned.partition).ok()?)?;
            Some(offsets(owned.committed_main.as_ref()?.position.0, *end))
        };
        owned.iter().map(left).sum()
    }
}

/// Offsets from one to another, none if it lies behind.
fn offsets(from: i64, to: i64) -> u64 {
    u64::try_from(to.saturating_sub(from)).unwrap_or(0)
}

impl Counters {
    /// Consumed, succeeded, retried, dead-lettered.
    pub(crate) fn snapshot(&self) -> [u64; 4] {
        [&self.consumed, &self.succeeded, &self.retried, &self.dead_lettered].map(Self::read)
    }
}
