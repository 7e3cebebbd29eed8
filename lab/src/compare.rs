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
}

/// A figure in both.
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
    /// The median after.
    pub new: f64,
    /// Whether it is worse than it may be.
    pub is_worse: bool,
    #[serde(skip)]
    words: [String; 2],
}

/// A figure of a cell.
type FigureOf = fn(&Cell<'_>) -> Option<Spread>;

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
    if changes.is_empty() {
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

/// All figures that both have.
#[must_use]
pub fn compare(old: &Results, new: &Results, limits: Limits) -> Vec<Change> {
    let (old, new) = (cells(old), cells(new));
    let mut changes = Vec::new();
    for after in &new {
        let is_same = |before: &&Cell<'_>| {
            before.workload.name == after.workload.name
                && before.paradigm == after.paradigm
                && before.rate_per_s == after.rate_per_s
        };
        if let Some(before) = old.iter().find(is_same) {
            of_cell(before, after, limits, &mut changes);
        }
    }
    changes
}

fn of_cell(before: &Cell<'_>, after: &Cell<'_>, limits: Limits, changes: &mut Vec<Change>) {
    let rate = if after.workload.kind == crate::workload::Kind::Sweep {
        format!(" at {}/s", after.rate_per_s)
    } else {
        String::new()
    };
    let workload = format!("{}{rate}", after.workload.name);
    let mut add = |figure,
                   old: Spread,
                   new: Spread,
                   worse,
                   share: f64,
                   floor: f64,
                   words: fn(f64) -> String| {
        let is_worse = is_worse(old, new, worse, share, floor);
        let (workload, paradigm) = (workload.clone(), after.paradigm.name());
        let words = [words(old.median), words(new.median)];
        changes.push(Change {
            workload,
            paradigm,
            figure,
            old: old.median,
            new: new.median,
            is_worse,
            words,
        });
    };
    let both = |of: &dyn Fn(&Cell<'_>) -> Option<Spread>| Some((of(before)?, of(after)?));
    let times: [(&str, FigureOf); 4] = [
        ("to accept, p50", |cell| cell.accept(|q| q.p50_us)),
        ("to accept, p99", |cell| cell.accept(|q| q.p99_us)),
        ("to outcome, p50", |cell| cell.outcome(|q| q.p50_us)),
        ("to outcome, p99", |cell| cell.outcome(|q| q.p99_us)),
    ];
    for (figure, of) in times {
        if let Some((old, new)) = both(&of) {
            add(figure, old, new, Worse::Greater, limits.slower_max, TIME_FLOOR_US, time);
        }
    }
    let alone = |value: f64| Spread { median: value, min: value, max: value };
    if let Some((old, new)) = both(&|cell| cell.missed().map(alone)) {
        add("not accepted", old, new, Worse::Greater, 0.0, MISSED_FLOOR, percent);
    }
    if let Some((old, new)) = both(&|cell| cell.spread(|run| run.drain.map(|drain| drain.per_s))) {
        add("drained per s", old, new, Worse::Less, limits.less_max, 0.0, number);
    }
    let cost = |cell: &Cell<'_>| {
        cell.spread(|run| {
            run.cost
                .filter(|cost| cost.orders > 0)
                .map(|cost| cost.services_cpu_s * 1e4 / cost.orders as f64)
        })
    };
    if let Some((old, new)) = both(&cost) {
        add("services, CPU s", old, new, Worse::Greater, limits.less_max, COST_FLOOR_S, number);
    }
    let red = |cell: &Cell<'_>| alone(f64::from(u8::from(!cell.is_green())));
    add("red audits", red(before), red(after), Worse::Greater, 0.0, 0.0, number);
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
