//! Counts a committed turn.

use std::sync::atomic::Ordering;

use crate::clock::Instant;
use crate::lane::ages::AgeBuckets;
use crate::lane::lane_core::Core;
use crate::lane::outbound::Destination;
use crate::lane::processor::Processor;
use crate::stage::Stage;
use pipeline::failure::Failure;

/// A turn adds at most about this many samples to a histogram: each one costs a clock call.
const SAMPLES_MAX: usize = 64;

/// Bytes of a failure's detail in the log; the dead letter has all of it.
const DETAIL_BYTES_MAX: usize = 200;

/// Says of the first dead letter of each cause that there is one, and what shows the rest.
fn tell_first<S: Stage>(core: &Core<S>, failure: &Failure) {
    if !core.shared.notices.is_first_dead_letter(failure.fingerprint()) {
        return;
    }
    let detail = &failure.detail[..failure.detail.floor_char_boundary(DETAIL_BYTES_MAX)];
    let topic = &core.settings.topics.dead_letter;
    tracing::warn!(
        class = failure.class().as_str(),
        reason = failure.reason.as_str(),
        detail,
        "first dead letter of this cause; {topic} has all of them"
    );
}

/// Counts a committed turn and empties it.
pub(crate) fn count_committed<S: Stage>(core: &mut Core<S>, started: Instant) {
    let turn = &core.processor.turn;
    let (metrics, counters) = (&core.metrics, &core.shared.counters);
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
        match forward.destination {
            Destination::Retry { .. } => {
                retried += 1;
                metrics.retry(forward.pending.attempt);
            }
            Destination::DeadLetter => {
                dead_lettered += 1;
                if let Some(failure) = &forward.failure {
                    tell_first(core, failure);
                    metrics.dead_letter(failure.class());
                    counters.count_dead_letter(failure.class());
                }
                ages.note(now_ms.saturating_sub(forward.pending.origin.timestamp.ms));
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
        lane = core.index,
        records = turn.records,
        counted = turn.succeeded,
        retried,
        dead_lettered,
        commit_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        "turn committed"
    );
    let Processor { stage, turn, .. } = &mut core.processor;
    if stage.hears_settled() {
        stage.settled(turn.settled());
    }
    core.processor.tell_spans(&core.settings.topics);
    core.processor.gate.commit();
    core.processor.turn.restart();
}
