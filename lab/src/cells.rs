//! Many runs as a few cells: one for each workload, rate and paradigm, over its rounds.

use crate::audit::Audit;
use crate::results::{Results, Run, WorkloadInfo};
use crate::stats::{Spread, Times};
use crate::workload::{Kind, Paradigm, Workload, WorkloadFile};

/// The rounds of one workload at one rate by one paradigm.
#[derive(Debug, Clone)]
pub struct Cell<'a> {
    /// The workload.
    pub workload: &'a WorkloadInfo,
    /// The same as the workload file has it; nothing where this program cannot read that file.
    pub spec: Option<Workload>,
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
    let file = WorkloadFile::parse(&results.workload_file).ok();
    let spec_of = |name: &str| {
        let found = file.iter().flat_map(|file| &file.workloads).find(|spec| spec.name == name);
        found.cloned()
    };
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
                    let spec = spec_of(&workload.name);
                    cells.push(Cell { workload, spec, rate_per_s, paradigm, runs });
                }
            }
        }
    }
    cells
}

impl<'a> Cell<'a> {
    /// The cell of a single run.
    #[must_use]
    pub fn of_one(workload: &'a WorkloadInfo, run: &'a Run) -> Self {
        let (rate_per_s, paradigm) = (run.rate_per_s, run.paradigm);
        Self { workload, spec: None, rate_per_s, paradigm, runs: vec![run] }
    }
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
        missed(&self.audit()?)
    }

    /// The runs that a figure may show: those that count, or else all that were made.
    fn candidates(&self) -> Vec<&Run> {
        let valid: Vec<&Run> = self.valid().collect();
        if !valid.is_empty() {
            return valid;
        }
        self.runs.iter().copied().filter(|run| run.not_possible.is_none()).collect()
    }

    /// The run that figures and the table beside them show: the one in the middle by its 99th percentile (of an even
    /// number the slower one there), of those that count if there are some.
    #[must_use]
    pub fn typical(&self) -> Option<&Run> {
        let mut runs = self.candidates();
        runs.sort_by_key(|run| run.outcome.quantiles.p99_us);
        runs.get(runs.len() / 2).copied()
    }

    /// Which run that is, in words, and whether it counts: `round 2 of 3`.
    #[must_use]
    pub fn which(&self) -> String {
        let Some(run) = self.typical() else { return "none".to_owned() };
        let made = self.runs.iter().filter(|run| run.not_possible.is_none()).count();
        let round = match made {
            1 => "the only one".to_owned(),
            _ => format!("round {} of {made}", run.round + 1),
        };
        match (run.void.is_some(), self.voids()) {
            (true, 1) => format!("{round}, void"),
            (true, _) => format!("{round}, all void"),
            (false, 0) => round,
            (false, voids) => format!("{round}; {voids} void"),
        }
    }

    /// A figure of the typical run, with the ends of the rounds that it was chosen from.
    pub fn of_typical(&self, of: impl Fn(&Run) -> Option<f64>) -> Option<Spread> {
        let median = of(self.typical()?)?;
        let rounds = Spread::of(self.candidates().into_iter().filter_map(of))?;
        Some(Spread { median, ..rounds })
    }
}

/// Share of the orders that were sent and not accepted.
fn missed(audit: &Audit) -> Option<f64> {
    (audit.sent() > 0).then(|| audit.missed() as f64 / audit.sent() as f64)
}

/// The same of one run.
#[must_use]
pub fn missed_by(run: &Run) -> Option<f64> {
    missed(run.audit.as_ref()?)
}

/// From the end of a fault until no order failed any more; nothing where none failed.
#[must_use]
pub fn recovered_after_s(run: &Run) -> Option<f64> {
    let fault = run.fault.as_ref()?;
    missed_by(run).is_some_and(|missed| missed > 0.0).then_some(fault.recovered_after_s)
}

/// From the end of a fault until what had been accepted was done; nothing where orders were turned away and so none had
/// to wait: that is no quick return.
#[must_use]
pub fn drained_after_s(run: &Run) -> Option<f64> {
    let fault = run.fault.as_ref()?;
    let is_turned_away = missed_by(run).is_some_and(|missed| missed > 0.0);
    (fault.drained_after_s > 0.0 || !is_turned_away).then_some(fault.drained_after_s)
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
    use crate::timeline::FaultTimes;

    fn info() -> WorkloadInfo {
        WorkloadInfo { name: "a".to_owned(), kind: Kind::Load, words: String::new(), rounds: 1 }
    }

    fn run(p99_us: u64) -> Run {
        let mut times = Times::default();
        times.add(p99_us);
        let outcome = Clocked { quantiles: times.quantiles(), buckets: times.buckets() };
        Run { outcome, ..Run::new("a", Paradigm::Rabbit, 0, 10.0, 0.0) }
    }

    fn void(p99_us: u64) -> Run {
        Run { void: Some("x".to_owned()), ..run(p99_us) }
    }

    #[test]
    fn void_runs_are_no_part_of_a_spread_and_red_ones_strike_the_cell() {
        let void = void(9_000_000);
        let red = Run { audit: Some(Audit { lost: 1, ..Audit::default() }), ..run(3_000) };
        let (good, info) = (run(1_000), info());
        let cell = Cell { runs: vec![&void, &red, &good], ..Cell::of_one(&info, &void) };
        let spread = cell.outcome(|q| q.p99_us).unwrap();
        assert!(spread.max < 3_100.0 && spread.min < 1_100.0, "{spread:?}");
        assert_eq!((cell.voids(), cell.is_green()), (1, false));
    }

    #[test]
    fn a_typical_figure_is_that_of_one_run_with_the_ends_of_the_rounds_that_count() {
        let (slow, quick, middle, void) = (run(9_000), run(1_000), run(5_000), void(6_000));
        let info = info();
        let runs = vec![&slow, &quick, &middle, &void];
        let cell = Cell { runs, ..Cell::of_one(&info, &void) };
        let max_us = |run: &Run| Some(run.outcome.quantiles.max_us as f64 / 1e3);
        let Spread { median, min, max } = cell.of_typical(max_us).unwrap();
        assert_eq!([median, min, max].map(f64::round), [5.0, 1.0, 9.0]);
        assert_eq!(cell.which(), "round 1 of 4; 1 void");
        let alone = Cell::of_one(&info, &void);
        assert_eq!(alone.which(), "the only one, void", "better than none");
    }

    #[test]
    fn who_turned_orders_away_and_let_none_wait_has_not_drained_in_no_time() {
        let fault = |drained_after_s| {
            let label = "killed".to_owned();
            FaultTimes { label, from_s: 1.0, to_s: 2.0, recovered_after_s: 0.2, drained_after_s }
        };
        let of = |failed, after_s| {
            let audit = Some(Audit { planned: 10, failed, ..Audit::default() });
            let run = Run { audit, fault: Some(fault(after_s)), ..run(1_000) };
            (drained_after_s(&run), recovered_after_s(&run))
        };
        assert_eq!(of(5, 0.0), (None, Some(0.2)));
        assert_eq!(of(5, 2.0), (Some(2.0), Some(0.2)), "some had been accepted, and waited");
        assert_eq!(of(0, 0.0), (Some(0.0), None), "all were accepted, and none failed");
    }
}
