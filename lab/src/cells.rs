//! Many runs as a few cells: one for each workload, rate and paradigm, over its rounds.

use crate::audit::Audit;
use crate::results::{Results, Run, WorkloadInfo};
use crate::stats::{Spread, Times};
use crate::words::number;
use crate::workload::{Kind, Paradigm};

/// The rounds of one workload at one rate by one paradigm.
#[derive(Debug, Clone)]
pub struct Cell<'a> {
    /// The workload.
    pub workload: &'a WorkloadInfo,
    /// Rate that was offered, per second.
    pub rate_per_s: f64,
    /// Who was measured.
    pub paradigm: Paradigm,
    /// Its runs, void ones among them.
    pub runs: Vec<&'a Run>,
}

/// The cells of results, by workload, rate and paradigm.
#[must_use]
pub fn cells(results: &Results) -> Vec<Cell<'_>> {
    let mut cells = Vec::new();
    for workload in &results.workloads {
        let of_workload: Vec<&Run> =
            results.runs.iter().filter(|run| run.workload == workload.name).collect();
        let mut rates: Vec<f64> = of_workload.iter().map(|run| run.rate_per_s).collect();
        rates.sort_by(f64::total_cmp);
        rates.dedup();
        for rate_per_s in rates {
            for paradigm in Paradigm::ALL {
                let is_of = |run: &&&Run| run.rate_per_s == rate_per_s && run.paradigm == paradigm;
                let runs: Vec<&Run> = of_workload.iter().filter(is_of).copied().collect();
                if !runs.is_empty() {
                    cells.push(Cell { workload, rate_per_s, paradigm, runs });
                }
            }
        }
    }
    cells
}

impl Cell<'_> {
    /// Why this paradigm cannot do it; nothing where it can.
    #[must_use]
    pub fn not_possible(&self) -> Option<&str> {
        self.runs.iter().find_map(|run| run.not_possible.as_deref())
    }

    /// Runs whose times count.
    pub fn valid(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter().copied().filter(|run| run.is_valid())
    }

    /// How many runs are void.
    #[must_use]
    pub fn voids(&self) -> usize {
        self.runs.iter().filter(|run| run.void.is_some()).count()
    }

    /// Whether the audit of every run is green: else its figures are struck out.
    #[must_use]
    pub fn is_green(&self) -> bool {
        self.runs.iter().all(|run| run.is_green())
    }

    /// Whether orders came faster than they were worked on, in most rounds.
    #[must_use]
    pub fn is_saturated(&self) -> bool {
        2 * self.runs.iter().filter(|run| run.is_saturated).count() > self.runs.len()
    }

    /// A figure over the rounds that count.
    pub fn spread(&self, of: impl Fn(&Run) -> Option<f64>) -> Option<Spread> {
        Spread::of(self.valid().filter_map(of))
    }

    /// A figure over all rounds that were made: one for which a late generator does not matter.
    pub fn of_all(&self, of: impl Fn(&Run) -> Option<f64>) -> Option<Spread> {
        Spread::of(self.runs.iter().filter_map(|run| of(run)))
    }

    /// A time to acceptance, in microseconds.
    pub fn accept(&self, of: impl Fn(&crate::stats::Quantiles) -> u64) -> Option<Spread> {
        self.spread(|run| quantile(&run.accept.quantiles, &of))
    }

    /// A time to outcome, in microseconds.
    pub fn outcome(&self, of: impl Fn(&crate::stats::Quantiles) -> u64) -> Option<Spread> {
        self.spread(|run| quantile(&run.outcome.quantiles, &of))
    }

    /// All times to outcome of the rounds that count.
    #[must_use]
    pub fn outcomes(&self) -> Times {
        merged(self.valid().map(|run| &run.outcome.buckets[..]))
    }

    /// All times to acceptance.
    #[must_use]
    pub fn accepts(&self) -> Times {
        merged(self.valid().map(|run| &run.accept.buckets[..]))
    }

    /// The audits of all runs, added up.
    #[must_use]
    pub fn audit(&self) -> Option<Audit> {
        self.runs.iter().filter_map(|run| run.audit).reduce(Audit::plus)
    }

    /// Share of the orders that were sent and not accepted, over all runs.
    #[must_use]
    pub fn missed(&self) -> Option<f64> {
        let audit = self.audit().filter(|audit| audit.sent() > 0)?;
        Some(audit.missed() as f64 / audit.sent() as f64)
    }

    /// The run that a figure shows: the one in the middle by its 99th percentile, of those that count if there are some.
    #[must_use]
    pub fn typical(&self) -> Option<&Run> {
        let mut runs: Vec<&Run> = self.valid().collect();
        if runs.is_empty() {
            runs = self.runs.iter().copied().filter(|run| run.not_possible.is_none()).collect();
        }
        runs.sort_by_key(|run| run.outcome.quantiles.p99_us);
        runs.get(runs.len() / 2).copied()
    }
}

fn quantile(
    quantiles: &crate::stats::Quantiles,
    of: &impl Fn(&crate::stats::Quantiles) -> u64,
) -> Option<f64> {
    (quantiles.count > 0).then(|| of(quantiles) as f64)
}

fn merged<'a>(all: impl Iterator<Item = &'a [(u64, u64)]>) -> Times {
    all.fold(Times::default(), |mut sum, buckets| {
        sum.merge(&Times::of_buckets(buckets));
        sum
    })
}

/// How many times longer than at the lowest rate 99 % may take, and how long in any case, before a rate is too high.
const KNEE_FACTOR: f64 = 5.0;
const KNEE_FLOOR_US: f64 = 100_000.0;

/// The highest rate of a sweep that was kept. A rate is kept when it is not saturated and 99 % took at most 5 times as
/// long as at the lowest rate, or 100 ms. One that was not kept below one that was has met a disturbance.
#[must_use]
pub fn highest_kept(sweep: &[&Cell<'_>]) -> Option<f64> {
    let lowest = sweep.first()?.outcome(|q| q.p99_us)?.median;
    let is_kept = |cell: &&&Cell<'_>| {
        let p99 = cell.outcome(|q| q.p99_us).map(|spread| spread.median);
        let limit = (lowest * KNEE_FACTOR).max(KNEE_FLOOR_US);
        !cell.is_saturated() && cell.is_green() && p99.is_some_and(|p99| p99 <= limit)
    };
    sweep.iter().rfind(is_kept).map(|cell| cell.rate_per_s)
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

/// The cells of the first plain workload: orders at a rate, and nothing broken meanwhile.
#[must_use]
pub fn baseline<'c, 'a>(cells: &'c [Cell<'a>]) -> Vec<&'c Cell<'a>> {
    let is_plain = |cell: &&Cell<'_>| {
        cell.workload.kind == Kind::Load && cell.runs.iter().all(|run| run.timeline.is_empty())
    };
    let Some(first) = cells.iter().find(is_plain) else { return Vec::new() };
    cells.iter().filter(|cell| cell.workload.name == first.workload.name).collect()
}

/// The cells of a kind of workload and a paradigm, by rate.
#[must_use]
pub fn of_kind<'c, 'a>(cells: &'c [Cell<'a>], kind: Kind, paradigm: Paradigm) -> Vec<&'c Cell<'a>> {
    cells.iter().filter(|cell| cell.workload.kind == kind && cell.paradigm == paradigm).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Clocked;

    fn info() -> WorkloadInfo {
        WorkloadInfo { name: "a".to_owned(), kind: Kind::Sweep, words: String::new(), rounds: 1 }
    }

    fn run(rate_per_s: f64, p99_us: u64, is_saturated: bool) -> Run {
        let mut times = Times::default();
        times.add(p99_us);
        let outcome = Clocked { quantiles: times.quantiles(), buckets: times.buckets() };
        Run { outcome, is_saturated, ..Run::new("a", Paradigm::Rabbit, 0, rate_per_s, 0.0) }
    }

    fn kept_of(runs: &[Run]) -> Option<f64> {
        let info = info();
        let cell = |run| Cell {
            workload: &info,
            rate_per_s: 0.0,
            paradigm: Paradigm::Rabbit,
            runs: vec![run],
        };
        let cells: Vec<Cell<'_>> =
            runs.iter().map(|run| Cell { rate_per_s: run.rate_per_s, ..cell(run) }).collect();
        highest_kept(&cells.iter().collect::<Vec<_>>())
    }

    #[test]
    fn a_rate_that_is_not_kept_below_one_that_is_does_not_count() {
        let kept = |rate| run(rate, 30_000, false);
        assert_eq!(kept_of(&[kept(10.0), kept(20.0), kept(30.0)]), Some(30.0));
        assert_eq!(kept_of(&[kept(10.0), run(20.0, 151_000, false), kept(30.0)]), Some(30.0));
        assert_eq!(kept_of(&[kept(10.0), run(20.0, 151_000, false)]), Some(10.0));
        assert_eq!(kept_of(&[kept(10.0), kept(20.0), run(30.0, 30_000, true)]), Some(20.0));
        assert_eq!(kept_of(&[run(10.0, 2_000, false), run(20.0, 99_000, false)]), Some(20.0));
        assert_eq!(kept_of(&[run(10.0, 2_000, true)]), None);
    }

    #[test]
    fn void_runs_are_no_part_of_a_spread_and_red_ones_strike_the_cell() {
        let void = Run { void: Some("x".to_owned()), ..run(10.0, 9_000_000, false) };
        let red =
            Run { audit: Some(Audit { lost: 1, ..Audit::default() }), ..run(10.0, 3_000, false) };
        let (good, info) = (run(10.0, 1_000, false), info());
        let runs = vec![&void, &red, &good];
        let cell = Cell { workload: &info, rate_per_s: 10.0, paradigm: Paradigm::Rabbit, runs };
        let spread = cell.outcome(|q| q.p99_us).unwrap();
        assert!(spread.max < 3_100.0 && spread.min < 1_100.0, "{spread:?}");
        assert_eq!((cell.voids(), cell.is_green()), (1, false));
    }
}
