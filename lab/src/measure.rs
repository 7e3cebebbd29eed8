//! What a run says, made of its traces.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::audit::Audit;
use crate::book::{Answer, Others, Trace};
use crate::generator::UNDER_WAY_MAX;
use crate::results::{Clocked, Run};
use crate::stats::Times;

/// Share of the shorter median, to acceptance or to outcome, that the generator may take for itself.
const SEND_DELAY_SHARE_MAX: f64 = 0.1;
/// Delay of a sender that no figure is void for: what waking up costs on a busy machine.
const SEND_DELAY_FLOOR: Duration = Duration::from_millis(2);
/// Time after a fault in which a late sender says nothing of the generator: what was down starts beside it.
const AFTER_FAULT: Duration = Duration::from_secs(5);
/// Share of the orders by which those that wait may grow before a run counts as saturated.
const GROWTH_SHARE_MAX: f64 = 0.01;
/// The same growth, in standard deviations of what waits by chance.
const GROWTH_DEVIATIONS_MAX: f64 = 4.0;

/// The planned times that are measured, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// End of the warm-up.
    pub from_us: u64,
    /// End of sending.
    pub to_us: u64,
    /// Begin and end of the fault that happens meanwhile.
    pub fault: Option<(u64, u64)>,
}

impl Window {
    fn has(&self, us: u64) -> bool {
        (self.from_us..self.to_us).contains(&us)
    }

    /// Whether a sender that is late at this time may be so because of the fault.
    fn is_disturbed(&self, us: u64) -> bool {
        let after_us = u64::try_from(AFTER_FAULT.as_micros()).unwrap_or(u64::MAX);
        self.fault
            .is_some_and(|(from_us, to_us)| (from_us..to_us.saturating_add(after_us)).contains(&us))
    }

    fn length_s(&self) -> f64 {
        self.to_us.saturating_sub(self.from_us) as f64 / 1e6
    }
}

/// Fills in what the traces say. The audit is of the whole run, figures are of the window.
pub fn measure(
    run: &mut Run,
    traces: &[Trace],
    others: &Others,
    dead_letters: Option<u64>,
    window: Window,
) {
    let (mut accept, mut outcome) = (Times::default(), Times::default());
    let (mut delay, mut judged) = (Times::default(), Times::default());
    for trace in traces.iter().filter(|trace| window.has(trace.planned_us)) {
        let since_planned = |us: u64| us.saturating_sub(trace.planned_us);
        if let (Answer::Accepted | Answer::Refused, Some(answered_us)) =
            (trace.answer, trace.answered_us)
        {
            accept.add(since_planned(answered_us));
        }
        if let Some(outcome_us) = trace.outcome_us {
            outcome.add(since_planned(outcome_us));
        }
        if let Some(sent_us) = trace.sent_us {
            delay.add(since_planned(sent_us));
            if !window.is_disturbed(trace.planned_us) {
                judged.add(since_planned(sent_us));
            }
        }
    }
    run.length_s = window.length_s();
    let is_done_in_it = |trace: &&Trace| trace.outcome_us.is_some_and(|us| window.has(us));
    let done = traces.iter().filter(is_done_in_it).count() as f64;
    run.achieved_per_s = if run.length_s > 0.0 { done / run.length_s } else { 0.0 };
    run.is_saturated = is_saturated(traces, window);
    let is_unsent = |trace: &&Trace| window.has(trace.planned_us) && !trace.is_sent();
    let not_sent = traces.iter().filter(is_unsent).count();
    run.void = no_room(not_sent).or_else(|| bottleneck(&[&accept, &outcome], &judged));
    run.send_delay = delay.quantiles();
    run.accept = Clocked { quantiles: accept.quantiles(), buckets: accept.buckets() };
    run.outcome = Clocked { quantiles: outcome.quantiles(), buckets: outcome.buckets() };
    run.failures =
        others.failures.iter().map(|(what, n)| (what.clone(), *n)).collect::<BTreeMap<_, _>>();
    if others.foreign > 0 {
        run.notes.push(format!(
            "{} messages were about orders that the lab did not place",
            others.foreign
        ));
    }
    run.audit = Some(Audit::of(traces, others, dead_letters));
}

/// Why the times are void: some orders have none, as the generator could not send them.
fn no_room(not_sent: usize) -> Option<String> {
    (not_sent > 0).then(|| {
        format!(
            "the generator was the bottleneck: {not_sent} orders were not sent, as {UNDER_WAY_MAX} requests were under way"
        )
    })
}

/// Why the times are void: the generator itself was late by a good part of the shortest of them.
fn bottleneck(clocks: &[&Times], delay: &Times) -> Option<String> {
    let known = clocks.iter().filter(|times| times.count() > 0);
    let median_us = known.map(|times| times.at(0.5)).min()?;
    let delay_us = delay.at(0.99);
    let floor_us = SEND_DELAY_FLOOR.as_micros() as f64;
    let allowed_us = (median_us as f64 * SEND_DELAY_SHARE_MAX).max(floor_us);
    (delay_us as f64 > allowed_us).then(|| {
        format!(
            "the generator was the bottleneck: 1 % of its requests began {:.1} ms or more after their planned time, \
             and {:.1} ms are allowed",
            delay_us as f64 / 1e3,
            allowed_us / 1e3
        )
    })
}

/// Whether orders came faster than they were worked on: what is under way grew in the second half of the window, or
/// more than a hundredth failed.
fn is_saturated(traces: &[Trace], window: Window) -> bool {
    let planned = traces.iter().filter(|trace| window.has(trace.planned_us)).count() as f64;
    let is_failed = |trace: &&Trace| {
        window.has(trace.planned_us) && !matches!(trace.answer, Answer::Accepted | Answer::Refused)
    };
    let failed = traces.iter().filter(is_failed).count() as f64;
    let under_way = |at_us: u64| {
        let is_under_way = |trace: &&Trace| {
            let end_us = trace.outcome_us.or(trace.answered_us).unwrap_or(u64::MAX);
            trace.planned_us < at_us && end_us >= at_us && trace.answer != Answer::Failed
        };
        traces.iter().filter(is_under_way).count() as f64
    };
    let middle_us = u64::midpoint(window.from_us, window.to_us);
    let before = under_way(middle_us);
    let growth = under_way(window.to_us) - before;
    let by_chance = GROWTH_DEVIATIONS_MAX * (before + 1.0).sqrt();
    failed > planned * GROWTH_SHARE_MAX || growth > (planned * GROWTH_SHARE_MAX).max(by_chance)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Paradigm;

    const WINDOW: Window = Window { from_us: 1_000_000, to_us: 11_000_000, fault: None };

    /// 100 orders a second for 11 s, each done after `latency_us(n)`, sent after `delay_us`.
    fn traces(delay_us: u64, latency_us: impl Fn(u64) -> u64) -> Vec<Trace> {
        let one = |n: u64| {
            let planned_us = n * 10_000;
            let outcome_us = Some(planned_us + latency_us(n));
            Trace {
                planned_us,
                sent_us: Some(planned_us + delay_us),
                answered_us: outcome_us,
                answer: Answer::Accepted,
                outcome_us,
                outcomes: 1,
                ..Trace::default()
            }
        };
        (0..1_100).map(one).collect()
    }

    fn run_in(window: Window, traces: &[Trace]) -> Run {
        let mut run = Run::new("a", Paradigm::Rabbit, 0, 100.0, 0.0);
        measure(&mut run, traces, &Others::default(), Some(0), window);
        run
    }

    fn run_of(traces: &[Trace]) -> Run {
        run_in(WINDOW, traces)
    }

    #[test]
    fn times_count_from_the_planned_time_and_the_warm_up_does_not_count() {
        let run = run_of(&traces(1_000, |n| if n < 100 { 900_000 } else { 5_000 }));
        assert_eq!(run.outcome.quantiles.count, 1_000);
        assert!(run.outcome.quantiles.max_us < 5_100, "{:?}", run.outcome.quantiles);
        assert_eq!((run.void.clone(), run.is_saturated), (None, false));
        assert!((run.achieved_per_s - 100.0).abs() < 10.0, "{}", run.achieved_per_s);
        assert_eq!(run.audit.map(|audit| audit.done_once), Some(1_100));
    }

    #[test]
    fn a_run_is_void_when_the_generator_was_late_by_a_tenth_of_the_median() {
        assert!(run_of(&traces(1_900, |_| 5_000)).void.is_none(), "waking up takes its time");
        let late = run_of(&traces(2_500, |_| 5_000)).void.expect("void");
        assert!(late.contains("2.5 ms") && late.contains("2.0 ms are allowed"), "{late}");
        assert!(run_of(&traces(2_500, |_| 30_000)).void.is_none(), "a tenth of 30 ms is 3 ms");
    }

    #[test]
    fn the_generator_is_judged_by_the_shorter_of_the_two_clocks() {
        let mut late = traces(5_000, |_| 200_000);
        assert!(run_of(&late).void.is_none(), "a tenth of 200 ms is 20 ms");
        late.iter_mut().for_each(|trace| trace.answered_us = Some(trace.planned_us + 9_000));
        assert!(run_of(&late).void.is_some_and(|why| why.contains("2.0 ms are allowed")));
    }

    /// Sends that are late between two times of the run, and at no other.
    fn late_between(from_us: u64, to_us: u64) -> Vec<Trace> {
        let mut some = traces(0, |_| 5_000);
        let is_late = |trace: &&mut Trace| (from_us..to_us).contains(&trace.planned_us);
        for trace in some.iter_mut().filter(is_late) {
            trace.sent_us = Some(trace.planned_us + 80_000);
        }
        some
    }

    #[test]
    fn a_sender_that_is_late_during_a_fault_and_just_after_it_makes_no_run_void() {
        let fault = Window { fault: Some((3_000_000, 4_500_000)), ..WINDOW };
        let late = late_between(3_000_000, 9_500_000);
        let run = run_in(fault, &late);
        assert_eq!(run.void, None);
        assert!(run.send_delay.p99_us > 70_000, "it is told all the same: {:?}", run.send_delay);
        assert!(run_of(&late).void.is_some(), "without a fault it is the generator");
    }

    #[test]
    fn a_generator_that_is_late_before_a_fault_or_long_after_it_makes_the_run_void() {
        let fault = Window { fault: Some((3_000_000, 4_500_000)), ..WINDOW };
        for (from_us, to_us) in [(1_000_000, 1_500_000), (9_500_000, 10_000_000), (0, 11_000_000)] {
            let void = run_in(fault, &late_between(from_us, to_us)).void.expect("void");
            assert!(void.contains("80."), "{from_us}: {void}");
        }
    }

    #[test]
    fn an_order_that_was_not_sent_makes_the_run_void_also_during_a_fault() {
        let mut some = traces(0, |_| 5_000);
        some[350] = Trace { planned_us: some[350].planned_us, ..Trace::default() };
        let fault = Window { fault: Some((3_000_000, 4_500_000)), ..WINDOW };
        assert!(
            run_in(fault, &some).void.is_some_and(|why| why.contains("1 orders were not sent"))
        );
    }

    #[test]
    fn a_run_is_saturated_when_more_and_more_waits_and_not_when_all_take_long() {
        assert!(!run_of(&traces(0, |_| 2_000_000)).is_saturated);
        assert!(run_of(&traces(0, |n| 5_000 + n * 1_000)).is_saturated);
    }

    #[test]
    fn a_run_is_saturated_when_a_hundredth_fails() {
        let mut some = traces(0, |_| 5_000);
        for trace in some.iter_mut().step_by(50) {
            (trace.answer, trace.outcome_us, trace.outcomes) = (Answer::Failed, None, 0);
        }
        assert!(run_of(&some).is_saturated);
    }
}
