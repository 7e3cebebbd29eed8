//! What a run does not show, told by its own results: what another run mends goes by itself.

use crate::cells::{Cell, of_kind};
use crate::knee::{highest_kept, knee, limit_words};
use crate::results::{Results, Run};
use crate::words::{mebibytes, number, of_warm_up, time};
use crate::workload::{Kind, Paradigm};

/// Orders of a round below which fewer than ten are left beyond 99 of 100.
const ORDERS_FOR_P99: u64 = 1_000;
/// Factor between the medians of two rounds from which on they are told to differ.
const ROUNDS_APART: f64 = 1.5;
/// Factor by which a broker's memory has to grow, from its first run to its last, to be told.
const MEMORY_GROWN: f64 = 1.5;

/// Something that is not shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// What is missing.
    pub title: &'static str,
    /// Where, and why, in sentences.
    pub words: String,
}

/// All that these results do not show.
#[must_use]
pub fn gaps(results: &Results, cells: &[Cell<'_>]) -> Vec<Gap> {
    let all = [
        single_rounds(results, cells),
        voids(cells),
        rare_times(results, cells),
        rounds_apart(cells),
        cold_brokers(results),
        ends_of_sweeps(results, cells),
        memory(results),
    ];
    all.into_iter().flatten().collect()
}

fn gap(title: &'static str, words: String) -> Gap {
    Gap { title, words }
}

/// The cells of each workload, those that cannot be left out.
fn by_workload<'c, 'a>(
    results: &'a Results,
    cells: &'c [Cell<'a>],
) -> impl Iterator<Item = (&'a str, Vec<&'c Cell<'a>>)> {
    results.workloads.iter().map(move |workload| {
        let is_of =
            |cell: &&Cell<'_>| cell.workload.name == workload.name && cell.not_possible().is_none();
        (workload.name.as_str(), cells.iter().filter(is_of).collect())
    })
}

fn single_rounds(results: &Results, cells: &[Cell<'_>]) -> Option<Gap> {
    let is_single = |cell: &&&Cell<'_>| cell.valid().count() == 1;
    let names: Vec<&str> = by_workload(results, cells)
        .filter(|(_, of)| of.iter().any(|cell| cell.workload.kind != Kind::Replay))
        .filter(|(_, of)| of.iter().filter(is_single).count() * 2 >= of.len().max(1))
        .map(|(name, _)| name)
        .collect();
    (!names.is_empty()).then(|| {
        let words = format!(
            "One round has no spread, and a difference of less than a third says nothing there: {}.",
            names.join(", ")
        );
        gap("Spread.", words)
    })
}

fn voids(cells: &[Cell<'_>]) -> Option<Gap> {
    let void = |cell: &Cell<'_>| {
        let (voids, all) = (cell.voids(), cell.runs.len());
        let rate = match cell.workload.kind {
            Kind::Sweep => format!(" at {} a second", number(cell.rate_per_s)),
            _ => String::new(),
        };
        let of = format!("{} in {}{rate}", cell.paradigm.title(), cell.workload.name);
        (voids > 0).then(|| match all - voids {
            0 => format!("{of} (no run counts)"),
            _ => format!("{of} ({voids} of {all})"),
        })
    };
    let all: Vec<String> = cells.iter().filter_map(void).collect();
    (!all.is_empty()).then(|| {
        let words = format!(
            "The generator was late, and the run is void: {}. How many orders were not accepted counts all the same.",
            all.join(", ")
        );
        gap("Times of void runs.", words)
    })
}

fn rare_times(results: &Results, cells: &[Cell<'_>]) -> Option<Gap> {
    let fewest = |of: &[&Cell<'_>]| {
        let is_timed = |cell: &&&Cell<'_>| matches!(cell.workload.kind, Kind::Load | Kind::Sweep);
        let counts = of.iter().filter(is_timed).flat_map(|cell| cell.valid());
        counts.map(|run| run.outcome.quantiles.count).filter(|count| *count > 0).min()
    };
    let few: Vec<String> = by_workload(results, cells)
        .filter_map(|(name, of)| Some((name, fewest(&of)?)))
        .filter(|(_, count)| *count < ORDERS_FOR_P99)
        .map(|(name, count)| format!("{name} ({})", number(count as f64)))
        .collect();
    (!few.is_empty()).then(|| {
        let words = format!(
            "99 of 100 rests on fewer than ten orders where a round has fewer than {}: {}.",
            number(ORDERS_FOR_P99 as f64),
            few.join(", ")
        );
        gap("Rare times.", words)
    })
}

fn rounds_apart(cells: &[Cell<'_>]) -> Option<Gap> {
    let apart = |cell: &Cell<'_>| {
        let spread = cell.outcome(|q| q.p50_us).filter(|s| s.max > s.min * ROUNDS_APART)?;
        let by_time = |a: &&Run, b: &&Run| a.began_s.total_cmp(&b.began_s);
        let first = cell.valid().min_by(by_time)?;
        let is_first = first.outcome.quantiles.p50_us as f64 >= spread.max;
        Some(format!(
            "{} in {} ({} to {}{})",
            cell.paradigm.title(),
            cell.workload.name,
            time(spread.min),
            time(spread.max),
            if is_first { ", the first round the slowest" } else { "" }
        ))
    };
    let all: Vec<String> = cells.iter().filter_map(apart).collect();
    (!all.is_empty()).then(|| {
        let words = format!(
            "Rounds of the same differ by more than half in what half of the orders took: {}. A first round that is the \
             slowest had a broker that was not warm yet, and workloads with one round may have had the same.",
            all.join(", ")
        );
        gap("A steady state.", words)
    })
}

fn cold_brokers(results: &Results) -> Option<Gap> {
    let cold = results.environment.warm_ups.iter().filter(|warm_up| !warm_up.is_flat);
    let all: Vec<String> = cold.map(of_warm_up).collect();
    let words =
        format!("What an order costs a broker may have fallen further: {}.", all.join("; "));
    (!all.is_empty()).then(|| gap("Warm brokers.", words))
}

fn ends_of_sweeps(results: &Results, cells: &[Cell<'_>]) -> Option<Gap> {
    let end = |paradigm: Paradigm| {
        let sweep = of_kind(cells, Kind::Sweep, paradigm);
        let (lowest, highest) = (sweep.first()?.rate_per_s, sweep.last()?.rate_per_s);
        match (highest_kept(&sweep), knee(&sweep)) {
            (None, _) => {
                Some(format!("{} kept none, from {} a second on", paradigm.title(), number(lowest)))
            }
            (Some(_), None) => {
                Some(format!("{} kept all, up to {} a second", paradigm.title(), number(highest)))
            }
            (Some(kept), Some(_)) if kept == lowest => Some(format!(
                "{} kept the lowest, {} a second, alone",
                paradigm.title(),
                number(lowest)
            )),
            _ => None,
        }
    };
    let all: Vec<String> = results.paradigms.iter().filter_map(|info| end(info.paradigm)).collect();
    (!all.is_empty()).then(|| {
        let words = format!(
            "With {} as the limit, of the offered rates: {}.",
            limit_words(),
            all.join("; ")
        );
        gap("Rates beyond those of the sweep.", words)
    })
}

fn memory(results: &Results) -> Option<Gap> {
    let grown = |paradigm: Paradigm| {
        let is_of = |run: &&Run| run.paradigm == paradigm;
        let mut peaks: Vec<(f64, f64)> = results
            .runs
            .iter()
            .filter(is_of)
            .filter_map(|run| Some((run.began_s, run.cost?.brokers_peak_bytes as f64)))
            .filter(|(_, bytes)| *bytes > 0.0)
            .collect();
        peaks.sort_by(|a, b| a.0.total_cmp(&b.0));
        let ((_, first), (_, last)) = (peaks.first()?, peaks.last()?);
        (*last > first * MEMORY_GROWN).then(|| {
            format!(
                "the broker of {} grew from {} in its first run to {} in its last",
                paradigm.title(),
                mebibytes(*first),
                mebibytes(*last)
            )
        })
    };
    let all: Vec<String> =
        results.paradigms.iter().filter_map(|info| grown(info.paradigm)).collect();
    (!all.is_empty()).then(|| {
        let words =
            format!("A broker keeps what it once took: {}, whatever was run.", all.join(", "));
        gap("Memory of a single workload.", words)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{Clocked, Cost, Environment, ParadigmInfo, SCHEMA, WarmUp, WorkloadInfo};
    use crate::stats::Times;

    fn run(round: u32, orders: u64, us: u64) -> Run {
        let mut times = Times::default();
        (0..orders).for_each(|_| times.add(us));
        let outcome = Clocked { quantiles: times.quantiles(), buckets: times.buckets() };
        let cost = Some(Cost { brokers_peak_bytes: 200 << 20, ..Cost::default() });
        let began_s = f64::from(round);
        Run { outcome, cost, ..Run::new("a", Paradigm::Rabbit, round, 100.0, began_s) }
    }

    fn gaps_of(runs: Vec<Run>) -> Vec<&'static str> {
        gaps_in(Environment::default(), runs)
    }

    fn gaps_in(environment: Environment, runs: Vec<Run>) -> Vec<&'static str> {
        let (name, words) = ("a".to_owned(), String::new());
        let info = WorkloadInfo { name, kind: Kind::Load, words, rounds: 2 };
        let paradigm = ParadigmInfo { paradigm: Paradigm::Rabbit, durability: Vec::new() };
        let results = Results {
            schema: SCHEMA.to_owned(),
            name: String::new(),
            started_at: String::new(),
            ended_at: String::new(),
            is_complete: true,
            is_quick: false,
            seed: 1,
            command: String::new(),
            workload_file: String::new(),
            environment,
            workloads: vec![info],
            paradigms: vec![paradigm],
            runs,
        };
        let cells = crate::cells::cells(&results);
        gaps(&results, &cells).iter().map(|gap| gap.title).collect()
    }

    #[test]
    fn a_gap_is_told_only_while_the_results_have_it() {
        let good = || run(0, 1_000, 5_000);
        assert_eq!(gaps_of(vec![good(), run(1, 1_000, 5_100)]), [""; 0]);
        assert_eq!(gaps_of(vec![good()]), ["Spread."]);
        assert_eq!(gaps_of(vec![good(), run(1, 999, 5_000)]), ["Rare times."]);
        assert_eq!(gaps_of(vec![good(), run(1, 1_000, 9_000)]), ["A steady state."]);
        let void = Run { void: Some("late".to_owned()), ..run(2, 1_000, 5_000) };
        assert_eq!(gaps_of(vec![good(), run(1, 1_000, 5_000), void]), ["Times of void runs."]);
        let cost = Some(Cost { brokers_peak_bytes: 400 << 20, ..Cost::default() });
        let grown = Run { cost, ..run(1, 1_000, 5_000) };
        assert_eq!(gaps_of(vec![good(), grown]), ["Memory of a single workload."]);
        let (paradigm, broker_cpu_s) = (Paradigm::Streaming, vec![90.0, 60.0]);
        let (began_s, took_s, is_flat) = (0.0, 10.0, false);
        let warm_ups = vec![WarmUp { paradigm, began_s, took_s, is_flat, broker_cpu_s }];
        let cold = Environment { warm_ups, ..Environment::default() };
        assert_eq!(gaps_in(cold, vec![good(), run(1, 1_000, 5_100)]), ["Warm brokers."]);
    }
}
