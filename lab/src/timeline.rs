//! A run second by second: what was sent, what failed, how long it took, what waits; and how long it takes until all
//! is as before a fault.

use serde::{Deserialize, Serialize};

use crate::book::{Answer, Trace};
use crate::stats::Times;

/// Most points of a timeline.
const POINTS_MAX: u64 = 120;
/// Widths of a point, in microseconds.
const WIDTHS_US: [u64; 6] = [250_000, 500_000, 1_000_000, 2_000_000, 5_000_000, 10_000_000];

/// A stretch of a run. Orders belong to the stretch of their planned time.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Point {
    /// Its begin, in seconds from the end of the warm-up.
    pub at_s: f64,
    /// Orders planned.
    pub planned: u64,
    /// Of them, accepted.
    pub accepted: u64,
    /// Of them, not accepted, for whatever reason.
    pub failed: u64,
    /// Of those done: half took at most this to their outcome.
    pub p50_us: u64,
    /// Of those done: 99 % took at most this.
    pub p99_us: u64,
    /// Accepted and not done, at its end.
    pub waiting: u64,
    /// Outcomes that became known in it.
    pub done: u64,
}

/// A fault, and how it ended; times in seconds from the end of the warm-up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultTimes {
    /// What was done.
    pub label: String,
    /// When it began.
    pub from_s: f64,
    /// When the lab ended it: what was down had been started again.
    pub to_s: f64,
    /// From its end until no order failed any more.
    pub recovered_after_s: f64,
    /// From its end until every order was done that was planned before that.
    pub drained_after_s: f64,
}

/// The timeline of traces; `zero_us` is the end of the warm-up.
#[must_use]
pub fn timeline(traces: &[Trace], zero_us: u64) -> Vec<Point> {
    let last = |trace: &Trace| trace.planned_us.max(trace.outcome_us.unwrap_or(0));
    let end_us = traces.iter().map(last).max().unwrap_or(0).saturating_sub(zero_us);
    let fits = |width: &&u64| end_us / **width < POINTS_MAX;
    let width_us = *WIDTHS_US.iter().find(fits).unwrap_or(&WIDTHS_US[WIDTHS_US.len() - 1]);
    let points = usize::try_from((end_us / width_us + 1).min(POINTS_MAX)).unwrap_or(0);
    let place = |us: u64| {
        us.checked_sub(zero_us)
            .and_then(|us| usize::try_from(us / width_us).ok())
            .filter(|n| *n < points)
    };
    let mut line = vec![Point::default(); points];
    let mut times = vec![Times::default(); points];
    let (mut begun, mut ended) = (vec![0_u64; points + 1], vec![0_u64; points + 1]);
    for trace in traces {
        if let Some(n) = place(trace.planned_us) {
            line[n].planned += 1;
            match trace.answer {
                Answer::Accepted => line[n].accepted += 1,
                Answer::None if !trace.is_sent() => {}
                Answer::Refused => {}
                Answer::Failed | Answer::Unknown | Answer::None => line[n].failed += 1,
            }
            if let Some(outcome_us) = trace.outcome_us {
                times[n].add(outcome_us.saturating_sub(trace.planned_us));
            }
        }
        // What began to wait before the first point waits in it.
        let at = |us: u64| place(us.max(zero_us)).unwrap_or(points);
        if trace.answer == Answer::Accepted
            && let Some(answered_us) = trace.answered_us
        {
            begun[at(answered_us)] += 1;
            if let Some(outcome_us) = trace.outcome_us {
                // An outcome may be heard of before the answer: then nothing has waited.
                ended[at(outcome_us.max(answered_us))] += 1;
            }
        }
        if let Some(n) = trace.outcome_us.and_then(place) {
            line[n].done += 1;
        }
    }
    let mut waiting = 0_u64;
    for (n, point) in line.iter_mut().enumerate() {
        waiting = (waiting + begun[n]).saturating_sub(ended[n]);
        let quantiles = times[n].quantiles();
        point.at_s = seconds(width_us * n as u64);
        (point.waiting, point.p50_us, point.p99_us) = (waiting, quantiles.p50_us, quantiles.p99_us);
    }
    line
}

/// How a fault between two moments ended.
#[must_use]
pub fn recovery(
    traces: &[Trace],
    label: &str,
    from_us: u64,
    to_us: u64,
    zero_us: u64,
) -> FaultTimes {
    let is_failed = |trace: &&Trace| {
        trace.is_sent()
            && !matches!(trace.answer, Answer::Accepted | Answer::Refused)
            && trace.planned_us >= from_us
    };
    let last_failed_us = traces.iter().filter(is_failed).map(|trace| trace.planned_us).max();
    let recovered_us = last_failed_us.unwrap_or(0).max(to_us);
    let before = traces.iter().filter(|trace| trace.planned_us <= recovered_us);
    let drained_us = before.filter_map(|trace| trace.outcome_us).max().unwrap_or(0).max(to_us);
    FaultTimes {
        label: label.to_owned(),
        from_s: seconds(from_us.saturating_sub(zero_us)),
        to_s: seconds(to_us.saturating_sub(zero_us)),
        recovered_after_s: seconds(recovered_us - to_us),
        drained_after_s: seconds(drained_us - to_us),
    }
}

/// Microseconds as seconds.
#[must_use]
pub fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(planned_us: u64, answer: Answer, outcome_us: Option<u64>) -> Trace {
        Trace {
            planned_us,
            sent_us: Some(planned_us),
            answered_us: Some(planned_us + 1_000),
            answer,
            outcome_us,
            outcomes: u32::from(outcome_us.is_some()),
            ..Trace::default()
        }
    }

    #[test]
    fn orders_stand_at_their_planned_time_and_wait_from_answer_to_outcome() {
        let zero = 1_000_000;
        let traces = [
            order(zero + 100_000, Answer::Accepted, Some(zero + 700_000)),
            order(zero + 300_000, Answer::Failed, None),
            order(zero - 500_000, Answer::Accepted, Some(zero + 400_000)),
        ];
        let line = timeline(&traces, zero);
        assert_eq!(line.len(), 3);
        assert_eq!((line[0].planned, line[0].accepted, line[0].failed), (1, 1, 0));
        assert_eq!((line[1].planned, line[1].failed), (1, 1));
        let waiting: Vec<u64> = line.iter().map(|point| point.waiting).collect();
        assert_eq!(waiting, [2, 1, 0]);
        assert_eq!(line.iter().map(|point| point.done).collect::<Vec<_>>(), [0, 1, 1]);
        assert!(line[0].p99_us.abs_diff(600_000) < 1_000, "{}", line[0].p99_us);
    }

    #[test]
    fn a_long_run_has_wider_points_and_not_more() {
        let traces: Vec<Trace> = (0..300)
            .map(|n| order(n * 1_000_000, Answer::Accepted, Some(n * 1_000_000 + 5)))
            .collect();
        let line = timeline(&traces, 0);
        assert!(line.len() as u64 <= POINTS_MAX, "{}", line.len());
        assert_eq!(line.iter().map(|point| point.planned).sum::<u64>(), 300);
    }

    #[test]
    fn recovery_is_the_last_failure_and_draining_the_last_outcome_of_what_came_before_it() {
        let (from, to) = (2_000_000, 5_000_000);
        let traces = [
            order(1_000_000, Answer::Failed, None), // before the fault: not its matter
            order(3_000_000, Answer::Accepted, Some(7_500_000)),
            order(6_000_000, Answer::Failed, None),
            order(6_500_000, Answer::Accepted, Some(9_000_000)),
        ];
        let times = recovery(&traces, "x", from, to, 0);
        assert_eq!((times.recovered_after_s, times.drained_after_s), (1.0, 2.5));
        let calm = recovery(&traces[1..2], "x", from, to, 0);
        assert_eq!((calm.recovered_after_s, calm.drained_after_s), (0.0, 2.5));
    }
}
