//! Two results side by side: what got worse, beyond what rounds differ by themselves.

use std::path::Path;

use serde::Serialize;
use service_kit::args::OutputFormat;
use service_kit::exit::{AppError, ExitStatus};
use service_kit::output::{note, result_line, text};
use service_kit::table::{Side, Table};

use crate::cells::{Cell, cells};
use crate::results::Results;
use crate::stats::Spread;
use crate::words::{number, percent, time};
use crate::workload::Kind;

/// A time that grew by less is no finding: one look of the scheduler.
const TIME_FLOOR_US: f64 = 1_000.0;
/// A share of orders that are not accepted may grow by this.
const MISSED_FLOOR: f64 = 0.005;
/// Cost below this is noise: seconds of processor time for 10,000 orders.
const COST_FLOOR_S: f64 = 1.0;

/// What is still no regression.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Share by which a time may grow.
    pub slower_max: f64,
    /// Share by which throughput may shrink, and cost grow.
    pub less_max: f64,
    /// Whether what only the old results have was left out on purpose.
    pub allows_missing: bool,
}

/// A figure of the old results, and the same in the new ones.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// The workload, with its rate in a sweep.
    pub workload: String,
    /// The paradigm.
    pub paradigm: &'static str,
    /// What was measured.
    pub figure: &'static str,
    /// The median before; microseconds for times.
    pub old: f64,
    /// The median after; nothing where the new results do not have it.
    pub new: Option<f64>,
    /// Whether it is worse than it may be.
    pub is_worse: bool,
    #[serde(skip)]
    words: [String; 2],
}

/// Which way is worse.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Worse {
    Greater,
    Less,
}

/// Compares two files, prints the changes, and says whether something is worse.
///
/// # Errors
///
/// Fails if a file is none of results, or they have nothing in common.
pub fn compare_files(
    old: &Path,
    new: &Path,
    limits: Limits,
    form: OutputFormat,
) -> Result<ExitStatus, AppError> {
    for (flag, share) in [("--slower-max", limits.slower_max), ("--less-max", limits.less_max)] {
        service_kit::exit::require(share >= 0.0, || {
            format!("{flag} is {share}: give 0.0 or more")
        })?;
    }
    let (old, new) = (Results::read(old)?, Results::read(new)?);
    if old.environment.cpu != new.environment.cpu || old.environment.cores != new.environment.cores
    {
        note("lab: the two were measured on different machines: what differs may be those");
    }
    let changes = compare(&old, &new, limits);
    if changes.iter().all(|change| change.new.is_none()) {
        return Err(AppError::usage("the two results have no workload and paradigm in common"));
    }
    match form {
        OutputFormat::Table => text(&(table(&changes) + "\n"))?,
        OutputFormat::Json => result_line(&json(&changes)?)?,
        OutputFormat::Jsonl => changes.iter().try_for_each(|change| result_line(&json(change)?))?,
    }
    let worse = changes.iter().filter(|change| change.is_worse).count();
    if worse == 0 {
        note(&format!("lab: none of {} figures is worse", changes.len()));
        return Ok(ExitStatus::Done);
    }
    note(&format!("lab: {worse} of {} figures are worse", changes.len()));
    Ok(ExitStatus::Finding)
}

fn json(value: &impl Serialize) -> Result<String, AppError> {
    serde_json::to_string(value).map_err(|error| AppError::failed(error.to_string()))
}

/// All figures that the old results have, as they are in both.
#[must_use]
pub fn compare(old: &Results, new: &Results, limits: Limits) -> Vec<Change> {
    let (old, new) = (cells(old), cells(new));
    let mut changes = Vec::new();
    for before in &old {
        let is_same = |after: &&Cell<'_>| {
            before.workload.name == after.workload.name
                && before.paradigm == after.paradigm
                && before.rate_per_s == after.rate_per_s
        };
        match new.iter().find(is_same) {
            Some(after) => of_cell(before, after, limits, &mut changes),
            None => changes.push(missing(before, "runs", before.runs.len() as f64, number, limits)),
        }
    }
    changes
}

/// A workload by name, with its rate in a sweep.
fn name_of(cell: &Cell<'_>) -> String {
    let name = &cell.workload.name;
    match cell.workload.kind {
        Kind::Sweep => format!("{name} at {}/s", cell.rate_per_s),
        _ => name.clone(),
    }
}

/// What the new results do not have.
fn missing(
    before: &Cell<'_>,
    figure: &'static str,
    old: f64,
    words: fn(f64) -> String,
    limits: Limits,
) -> Change {
    Change {
        workload: name_of(before),
        paradigm: before.paradigm.name(),
        figure,
        old,
        new: None,
        is_worse: !limits.allows_missing,
        words: [words(old), "missing".to_owned()],
    }
}

/// What is compared of a cell.
struct Figure {
    name: &'static str,
    of: fn(&Cell<'_>) -> Option<Spread>,
    worse: Worse,
    share: fn(Limits) -> f64,
    floor: f64,
    words: fn(f64) -> String,
}

const fn time_of(name: &'static str, of: fn(&Cell<'_>) -> Option<Spread>) -> Figure {
    let share = |limits: Limits| limits.slower_max;
    Figure { name, of, worse: Worse::Greater, share, floor: TIME_FLOOR_US, words: time }
}

const fn alone(value: f64) -> Spread {
    Spread { median: value, min: value, max: value }
}

const FIGURES: [Figure; 9] = [
    time_of("to accept, p50", |cell| cell.accept(|q| q.p50_us)),
    time_of("to accept, p99", |cell| cell.accept(|q| q.p99_us)),
    time_of("to outcome, p50", |cell| cell.outcome(|q| q.p50_us)),
    time_of("to outcome, p99", |cell| cell.outcome(|q| q.p99_us)),
    Figure {
        name: "not accepted",
        of: |cell| cell.missed().map(alone),
        worse: Worse::Greater,
        share: |_| 0.0,
        floor: MISSED_FLOOR,
        words: percent,
    },
    Figure {
        name: "done per s",
        of: |cell| match cell.workload.kind {
            Kind::Load | Kind::Sweep => cell.spread(|run| Some(run.achieved_per_s)),
            Kind::Backlog | Kind::Batch | Kind::Replay => None,
        },
        worse: Worse::Less,
        share: |limits| limits.less_max,
        floor: 0.0,
        words: number,
    },
    Figure {
        name: "drained per s",
        of: |cell| cell.spread(|run| run.drain.map(|drain| drain.per_s)),
        worse: Worse::Less,
        share: |limits| limits.less_max,
        floor: 0.0,
        words: number,
    },
    Figure {
        name: "services, CPU s",
        of: |cell| {
            cell.spread(|run| {
                let cost = run.cost.filter(|cost| cost.orders > 0);
                cost.map(|cost| cost.services_cpu_s * 1e4 / cost.orders as f64)
            })
        },
        worse: Worse::Greater,
        share: |limits| limits.less_max,
        floor: COST_FLOOR_S,
        words: number,
    },
    Figure {
        name: "red audits",
        of: |cell| Some(alone(f64::from(u8::from(!cell.is_green())))),
        worse: Worse::Greater,
        share: |_| 0.0,
        floor: 0.0,
        words: number,
    },
];

fn of_cell(before: &Cell<'_>, after: &Cell<'_>, limits: Limits, changes: &mut Vec<Change>) {
    for figure in &FIGURES {
        let Some(old) = (figure.of)(before) else { continue };
        let Some(new) = (figure.of)(after) else {
            changes.push(missing(before, figure.name, old.median, figure.words, limits));
            continue;
        };
        changes.push(Change {
            workload: name_of(before),
            paradigm: before.paradigm.name(),
            figure: figure.name,
            old: old.median,
            new: Some(new.median),
            is_worse: is_worse(old, new, figure.worse, (figure.share)(limits), figure.floor),
            words: [(figure.words)(old.median), (figure.words)(new.median)],
        });
    }
}

/// Whether the new median is beyond the limit, and the rounds of the two do not overlap.
fn is_worse(old: Spread, new: Spread, worse: Worse, share: f64, floor: f64) -> bool {
    match worse {
        Worse::Greater => new.median > old.median * (1.0 + share) + floor && new.min > old.max,
        Worse::Less => new.median < old.median * (1.0 - share) - floor && new.max < old.min,
    }
}

fn table(changes: &[Change]) -> String {
    let mut table = Table::new(&[
        ("WORKLOAD", Side::Left),
        ("PARADIGM", Side::Left),
        ("FIGURE", Side::Left),
        ("OLD", Side::Right),
        ("NEW", Side::Right),
        ("", Side::Left),
    ]);
    for change in changes {
        let [old, new] = change.words.clone();
        let verdict = if change.is_worse { "worse" } else { "" };
        let words = [change.workload.as_str(), change.paradigm, change.figure].map(str::to_owned);
        table.row(words.into_iter().chain([old, new, verdict.to_owned()]));
    }
    table.text()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(min: f64, median: f64, max: f64) -> Spread {
        Spread { median, min, max }
    }

    #[test]
    fn a_figure_is_worse_beyond_share_and_floor_and_only_where_rounds_do_not_overlap() {
        let old = spread(9_000.0, 10_000.0, 11_000.0);
        let worse = |new| is_worse(old, new, Worse::Greater, 0.25, 1_000.0);
        assert!(!worse(spread(13_000.0, 13_400.0, 14_000.0)), "within a quarter and a millisecond");
        assert!(worse(spread(13_000.0, 13_600.0, 14_000.0)));
        assert!(!worse(spread(10_900.0, 20_000.0, 30_000.0)), "a round was as good as one before");
        let less = |new| is_worse(old, new, Worse::Less, 0.15, 0.0);
        assert!(
            less(spread(8_000.0, 8_100.0, 8_200.0)) && !less(spread(8_000.0, 8_600.0, 8_900.0))
        );
    }
}
