//! Tells the rest of the process how a lane is doing.

use std::time::Duration;

use crate::clock::Instant;
use crate::lane::committer::Committer;
use crate::lane::intake::Intake;
use crate::lane::lane_core::Core;
use crate::lane::membership::Membership;
use crate::lane::partition_state::{PartitionState, Phase};
use crate::metrics;
use crate::shared::Counters;
use crate::stage::Stage;

/// Time between two reports of a lane.
const REPORT_EVERY: Duration = Duration::from_millis(250);

/// A stage summarizes a state of many keys for at most this share of a lane's time: one in so many parts.
const SUMMARY_SHARE: u32 = 20;

/// Longest pause between two summaries, also where one took long because the machine stood still.
const SUMMARY_PAUSE_MAX: Duration = Duration::from_secs(5);

/// Tells how a lane is doing, a few times a second.
#[derive(Debug)]
pub(crate) struct Reporter {
    reported_at: Instant,
    summary: SummaryPace,
}

/// When states are summarized again: the later, the longer it took.
#[derive(Debug)]
struct SummaryPace {
    again_at: Instant,
}

impl SummaryPace {
    fn is_due(&self, now: Instant) -> bool {
        now >= self.again_at
    }

    fn took(&mut self, from: Instant, to: Instant) {
        let pause = to.duration_since(from).saturating_mul(SUMMARY_SHARE - 1);
        self.again_at = to + pause.min(SUMMARY_PAUSE_MAX);
    }
}

/// What there is to tell of, besides the core.
pub(crate) struct Parts<'a> {
    pub(crate) membership: &'a Membership,
    pub(crate) intake: &'a Intake,
    pub(crate) committer: &'a Committer,
}

impl Reporter {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self { reported_at: now, summary: SummaryPace { again_at: now } }
    }

    /// Reports if the time has come.
    pub(crate) fn report<S: Stage>(&mut self, core: &mut Core<S>, parts: &Parts<'_>) {
        if self.reported_at.elapsed() >= REPORT_EVERY {
            let summarizes = self.summary.is_due(Instant::now());
            self.tell(core, parts, summarizes);
        }
    }

    /// Reports, with a summary of the states.
    pub(crate) fn report_now<S: Stage>(&mut self, core: &mut Core<S>, parts: &Parts<'_>) {
        self.tell(core, parts, true);
    }

    fn summarize<S: Stage>(&mut self, owned: &[&PartitionState<S::State>]) -> S::Summary {
        let from = Instant::now();
        let summary = S::summarize(owned.iter().map(|owned| &owned.state));
        self.summary.took(from, Instant::now());
        summary
    }

    fn tell<S: Stage>(&mut self, core: &mut Core<S>, parts: &Parts<'_>, summarizes: bool) {
        self.reported_at = Instant::now();
        let Parts { membership, intake, committer } = parts;
        core.probe_if_quiet(committer.last_commit_at);
        let now_ms = crate::clock::now_ms();
        let owned: Vec<&PartitionState<S::State>> = core.processor.iter().collect();
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
        let away = core.brokers.away().cloned();
        // Other groups may still wait for records that this one has passed.
        let own = owned.iter().filter(|owned| !owned.is_shared);
        let committed = own.filter_map(|owned| {
            Some((owned.partition, owned.committed_retry.as_ref()?.position.0))
        });
        let has_assignment = membership.has_assignment();
        let drained = has_assignment
            && owned.iter().all(|owned| owned.is_drained())
            && core.processor.turn.records == 0;
        let (lag, main_left) =
            (core.report_lag(has_assignment, &owned), core.main_left(has_assignment, &owned));
        // A partition that is gone is summarized by its next owner as well.
        let summarizes = summarizes || is_other(&core.view.lock().owned, &owned);
        let summary = summarizes.then(|| self.summarize::<S>(&owned));
        let mut view = core.view.lock();
        view.joined = membership.is_joined();
        view.owned = owned.iter().map(|owned| owned.partition).collect();
        view.waits_for = restoring.clone().filter_map(|owned| owned.waits_for.clone()).collect();
        view.restoring = restoring.map(|owned| owned.partition).collect();
        view.refused = refused.map(|owned| owned.partition).collect();
        view.stopped = stopped.collect();
        view.crowded = intake.is_backpressured();
        view.outage = core.processor.gate.outage().cloned();
        view.is_outage_forgotten = core.processor.gate.is_outage_forgotten();
        view.has_written |= committer.writer.is_some();
        view.limited = core.processor.gate.stopped().cloned();
        let starved = |owned: &&PartitionState<S::State>| {
            owned.awaiting_dedupe.is_some()
                || owned.unresolved.len() >= core.processor.metadata.unresolved_max
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
        view.missing = core.processor.missing;
        view.retry_positions = committed.collect();
        if let Some(summary) = summary {
            view.summary = summary;
        }
    }
}

fn is_other<T>(told: &[i32], owned: &[&PartitionState<T>]) -> bool {
    !told.iter().copied().eq(owned.iter().map(|owned| owned.partition))
}

impl<S: Stage> Core<S> {
    /// Says once of each partition whose records lie in it besides those of this group.
    pub(crate) fn tell_strangers(&mut self) {
        let (topic, group) = (&self.settings.topics.retry, &self.settings.group);
        for owned in self.processor.iter_mut() {
            let Some(stranger) = owned.stranger.as_mut().filter(|it| !it.is_told) else { continue };
            stranger.is_told = true;
            if self.shared.notices.is_first_stranger(topic, owned.partition) {
                tracing::warn!(
                    "{topic}/{} also holds retries of group {:?}: group {group} skips them, and \
                     the topic grows, as neither group may delete from it; give each group its \
                     own retry topic",
                    owned.partition,
                    stranger.group
                );
            }
        }
    }

    /// Sets the gauges of the lag, and returns that of main, once it is known of all partitions.
    fn report_lag(&self, has_assignment: bool, owned: &[&PartitionState<S::State>]) -> Option<u64> {
        let mut main_lag = has_assignment.then_some(0);
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
    fn main_left(&self, has_assignment: bool, owned: &[&PartitionState<S::State>]) -> Option<u64> {
        let ends = self.settings.main_ends.as_ref().filter(|_| has_assignment)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_take_a_twentieth_of_the_time_however_long_one_takes() {
        let from = Instant::now();
        let mut pace = SummaryPace { again_at: from };
        assert!(pace.is_due(from));
        let after = |ms| from + Duration::from_millis(ms);
        pace.took(from, from);
        assert!(pace.is_due(from));
        pace.took(from, after(60));
        assert_eq!([1_199, 1_200].map(|ms| pace.is_due(after(ms))), [false, true]);
        // A process that stood still for a minute does not for twenty.
        pace.took(from, after(60_000));
        assert_eq!([64_999, 65_000].map(|ms| pace.is_due(after(ms))), [false, true]);
    }
}
