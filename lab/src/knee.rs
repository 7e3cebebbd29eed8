//! How much a paradigm can take: the highest offered rate of a sweep that was kept, within one limit that is the same
//! for all of them.

use std::time::Duration;

use crate::cells::Cell;
use crate::words::{number, time};

/// At a rate that is kept, 99 % of the orders have their outcome within this time, whoever works on them.
pub const OUTCOME_P99_MAX: Duration = Duration::from_millis(100);

/// The limit in words.
#[must_use]
pub fn limit_words() -> String {
    format!("{} ms", OUTCOME_P99_MAX.as_millis())
}

/// Whether 99 % of a cell's orders had their outcome within the limit; the median over its rounds counts.
#[must_use]
pub fn is_quick_enough(cell: &Cell<'_>) -> bool {
    let limit_us = OUTCOME_P99_MAX.as_micros() as f64;
    cell.outcome(|q| q.p99_us).is_some_and(|p99| p99.median <= limit_us)
}

/// Whether all came in that was offered, however long it took.
fn is_borne(cell: &Cell<'_>) -> bool {
    cell.outcome(|q| q.p99_us).is_some() && !cell.is_saturated() && cell.is_green()
}

/// The highest rate of a sweep that was kept: it is not saturated, and 99 % were done within the limit. One that was not
/// kept below one that was has met a disturbance.
#[must_use]
pub fn highest_kept(sweep: &[&Cell<'_>]) -> Option<f64> {
    let is_kept = |cell: &&&Cell<'_>| is_borne(cell) && is_quick_enough(cell);
    sweep.iter().rfind(is_kept).map(|cell| cell.rate_per_s)
}

/// The highest rate that is not saturated, without the limit.
#[must_use]
pub fn highest_borne(sweep: &[&Cell<'_>]) -> Option<f64> {
    sweep.iter().rfind(|cell| is_borne(cell)).map(|cell| cell.rate_per_s)
}

/// The knee of a sweep: the highest rate that was kept, where a higher one was not.
#[must_use]
pub fn knee(sweep: &[&Cell<'_>]) -> Option<f64> {
    let highest = sweep.last()?.rate_per_s;
    highest_kept(sweep).filter(|rate| *rate < highest)
}

/// The highest rate that was kept, in words; the highest of all says nothing of what is above it.
#[must_use]
pub fn kept_words(sweep: &[&Cell<'_>]) -> String {
    match (highest_kept(sweep), knee(sweep)) {
        (None, _) => "none".to_owned(),
        (Some(rate), None) => format!("{} or more", number(rate)),
        (Some(rate), Some(_)) => number(rate),
    }
}

/// What the limit hides: a higher rate that was borne by taking longer, with the time that 99 % took there.
#[must_use]
pub fn slower_words(sweep: &[&Cell<'_>]) -> Option<String> {
    let borne = highest_borne(sweep)?;
    let is_more = highest_kept(sweep).is_none_or(|kept| kept < borne);
    let cell = sweep.iter().find(|cell| cell.rate_per_s == borne).filter(|_| is_more)?;
    let p99 = cell.outcome(|q| q.p99_us)?.median;
    Some(format!("{} a second (99 of 100 within {})", number(borne), time(p99)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{Clocked, Run, WorkloadInfo};
    use crate::stats::Times;
    use crate::workload::{Kind, Paradigm};

    fn run(rate_per_s: f64, p99_us: u64, is_saturated: bool) -> Run {
        let mut times = Times::default();
        times.add(p99_us);
        let outcome = Clocked { quantiles: times.quantiles(), buckets: times.buckets() };
        Run { outcome, is_saturated, ..Run::new("a", Paradigm::Rabbit, 0, rate_per_s, 0.0) }
    }

    fn of_sweep<T>(runs: &[Run], of: impl Fn(&[&Cell<'_>]) -> T) -> T {
        let info = WorkloadInfo {
            name: "a".to_owned(),
            kind: Kind::Sweep,
            words: String::new(),
            rounds: 1,
        };
        let cell = |run| Cell::of_one(&info, run);
        let cells: Vec<Cell<'_>> = runs.iter().map(cell).collect();
        of(&cells.iter().collect::<Vec<_>>())
    }

    #[test]
    fn a_rate_is_kept_within_one_limit_that_does_not_depend_on_the_lowest_rate() {
        let kept = |runs: &[Run]| of_sweep(runs, highest_kept);
        let quick = |rate| run(rate, 30_000, false);
        assert_eq!(kept(&[quick(10.0), quick(20.0), quick(30.0)]), Some(30.0));
        // Slow from the lowest rate on: five times as long would have been allowed before.
        assert_eq!(kept(&[run(10.0, 61_000, false), run(20.0, 162_000, false)]), Some(10.0));
        assert_eq!(kept(&[run(10.0, 2_000, false), run(20.0, 99_000, false)]), Some(20.0));
        assert_eq!(kept(&[run(10.0, 101_000, false)]), None);
    }

    #[test]
    fn a_rate_that_is_not_kept_below_one_that_is_does_not_count_and_a_saturated_one_is_not_kept() {
        let kept = |runs: &[Run]| of_sweep(runs, highest_kept);
        let quick = |rate| run(rate, 30_000, false);
        assert_eq!(kept(&[quick(10.0), run(20.0, 151_000, false), quick(30.0)]), Some(30.0));
        assert_eq!(kept(&[quick(10.0), quick(20.0), run(30.0, 30_000, true)]), Some(20.0));
        assert_eq!(kept(&[run(10.0, 2_000, true)]), None);
    }

    #[test]
    fn a_knee_is_named_only_where_a_higher_rate_was_not_kept() {
        let two = [run(10.0, 3_000, false), run(20.0, 4_000, false)];
        assert_eq!(of_sweep(&two, knee), None);
        assert_eq!(of_sweep(&two, kept_words), "20 or more");
        let three = [run(10.0, 3_000, false), run(20.0, 4_000, false), run(30.0, 4_000, true)];
        assert_eq!(
            (of_sweep(&three, knee), of_sweep(&three, kept_words)),
            (Some(20.0), "20".into())
        );
    }

    #[test]
    fn what_was_borne_by_taking_longer_is_told_beside_the_limit() {
        let slow =
            [run(10.0, 61_000, false), run(20.0, 162_000, false), run(30.0, 9_000_000, true)];
        assert_eq!(of_sweep(&slow, slower_words).unwrap(), "20 a second (99 of 100 within 162 ms)");
        assert_eq!(of_sweep(&slow[..1], slower_words), None);
    }
}
