//! Where each paradigm loses, in figures: the first workload of each kind, side by side.

use super::{Column, Entry, Table, findings, numbers, words};
use crate::cells::{Cell, baseline, highest_kept, of_kind};
use crate::results::Results;
use crate::words::{mebibytes, number, percent, time};
use crate::workload::{Kind, Paradigm};

/// Which end of a row loses.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Loses {
    Greatest,
    Least,
}

/// What is compared.
struct Row {
    figure: String,
    loses: Loses,
    of: Vec<Option<f64>>,
    text: fn(f64) -> String,
    struck: Vec<bool>,
}

/// The figures of one workload, by paradigm.
struct Side<'c, 'a> {
    shown: &'c [Paradigm],
    cells: Vec<&'c Cell<'a>>,
}

impl<'c, 'a> Side<'c, 'a> {
    fn cell(&self, paradigm: Paradigm) -> Option<&'c Cell<'a>> {
        self.cells.iter().copied().find(|cell| cell.paradigm == paradigm)
    }

    /// A row, where at least one paradigm has the figure.
    fn row(
        &self,
        figure: &str,
        loses: Loses,
        text: fn(f64) -> String,
        of: impl Fn(&Cell<'a>) -> Option<f64>,
    ) -> Option<Row> {
        let name = &self.cells.first()?.workload.name;
        let values: Vec<Option<f64>> =
            self.shown.iter().map(|paradigm| self.cell(*paradigm).and_then(&of)).collect();
        let is_struck = |paradigm: &Paradigm| self.cell(*paradigm).is_some_and(|c| !c.is_green());
        let struck = self.shown.iter().map(is_struck).collect();
        let is_known = values.iter().any(Option::is_some);
        let figure = format!("{name}: {figure}");
        is_known.then_some(Row { figure, loses, of: values, text, struck })
    }
}

fn seconds(value: f64) -> String {
    format!("{value:.1} s")
}

/// The cells of the first workload that is one of these.
fn first<'c, 'a>(
    shown: &'c [Paradigm],
    cells: &'c [Cell<'a>],
    is: impl Fn(&Cell<'a>) -> bool,
) -> Side<'c, 'a> {
    let name = cells.iter().find(|cell| is(cell)).map(|cell| cell.workload.name.as_str());
    let of = cells.iter().filter(|cell| Some(cell.workload.name.as_str()) == name);
    Side { shown, cells: of.collect() }
}

fn rows(shown: &[Paradigm], cells: &[Cell<'_>]) -> Vec<Row> {
    use Loses::{Greatest, Least};
    let median = |spread: Option<crate::stats::Spread>| spread.map(|spread| spread.median);
    let calm = Side { shown, cells: baseline(cells) };
    let has_fault = |cell: &Cell<'_>| cell.runs.iter().any(|run| run.fault.is_some());
    let is_killed = |cell: &Cell<'_>| {
        let of = |run: &&crate::results::Run| {
            run.fault.as_ref().is_some_and(|fault| fault.label.contains("killed"))
        };
        cell.runs.iter().any(of)
    };
    let outage = first(shown, cells, is_killed);
    let burst = first(shown, cells, |cell| {
        let is_timed = cell.runs.iter().any(|run| !run.timeline.is_empty());
        cell.workload.kind == Kind::Load && is_timed && !has_fault(cell)
    });
    let backlog = first(shown, cells, |cell| cell.workload.kind == Kind::Backlog);
    let batch = first(shown, cells, |cell| cell.workload.kind == Kind::Batch);
    let cpu = |cell: &Cell<'_>| {
        let of = |run: &crate::results::Run| {
            let cost = run.cost.filter(|cost| cost.orders > 0)?;
            Some((cost.services_cpu_s + cost.brokers_cpu_s) * 1e4 / cost.orders as f64)
        };
        median(cell.of_all(of))
    };
    let memory = |cell: &Cell<'_>| {
        let of = |run: &crate::results::Run| {
            run.cost.map(|cost| (cost.services_peak_bytes + cost.brokers_peak_bytes) as f64)
        };
        median(cell.of_all(of))
    };
    let drained = |cell: &Cell<'_>| {
        median(cell.of_all(|run| run.fault.as_ref().map(|fault| fault.drained_after_s)))
    };
    let per_s = |cell: &Cell<'_>| median(cell.of_all(|run| run.drain.map(|drain| drain.per_s)));
    let took = |cell: &Cell<'_>| median(cell.of_all(|run| run.drain.map(|drain| drain.took_s)));
    let all = [
        calm.row("half are accepted within", Greatest, time, |c| median(c.accept(|q| q.p50_us))),
        calm.row("half are done within", Greatest, time, |c| median(c.outcome(|q| q.p50_us))),
        calm.row("99 of 100 are done within", Greatest, time, |c| median(c.outcome(|q| q.p99_us))),
        outage.row("not accepted", Greatest, percent, Cell::missed),
        outage.row("all done, after its end", Greatest, seconds, drained),
        burst.row("not accepted", Greatest, percent, Cell::missed),
        burst.row("99 of 100 are done within", Greatest, time, |c| median(c.outcome(|q| q.p99_us))),
        backlog.row("done per s", Least, number, per_s),
        batch.row("all done after", Greatest, seconds, took),
        calm.row("processor time for 10,000 orders", Greatest, seconds, cpu),
        calm.row("memory", Greatest, mebibytes, memory),
    ];
    all.into_iter().flatten().chain(knees(shown, cells)).collect()
}

fn knees(shown: &[Paradigm], cells: &[Cell<'_>]) -> Option<Row> {
    let sweeps: Vec<_> = shown.iter().map(|p| of_kind(cells, Kind::Sweep, *p)).collect();
    let of: Vec<Option<f64>> = sweeps
        .iter()
        .map(|sweep| (!sweep.is_empty()).then(|| highest_kept(sweep).unwrap_or(0.0)))
        .collect();
    let struck = vec![false; shown.len()]; // a red rate is not kept
    let figure = "sweep: highest rate kept, per s".to_owned();
    let is_known = of.iter().any(Option::is_some);
    is_known.then_some(Row { figure, loses: Loses::Least, of, text: number, struck })
}

/// Those whose value is the worst; nobody where all have the same.
fn losers(row: &Row, shown: &[Paradigm]) -> Vec<Paradigm> {
    let known: Vec<f64> = row.of.iter().flatten().copied().collect();
    let order = |a: &f64, b: &f64| a.total_cmp(b);
    let (least, most) = (
        known.iter().copied().min_by(order).unwrap_or(0.0),
        known.iter().copied().max_by(order).unwrap_or(0.0),
    );
    let worst = if row.loses == Loses::Greatest { most } else { least };
    if known.len() < 2 || least == most {
        return Vec::new();
    }
    let is_worst = |(_, value): &(&Paradigm, &Option<f64>)| **value == Some(worst);
    shown.iter().zip(&row.of).filter(is_worst).map(|(paradigm, _)| *paradigm).collect()
}

fn names(paradigms: &[Paradigm]) -> String {
    let names: Vec<&str> = paradigms.iter().map(|paradigm| paradigm.title()).collect();
    if names.is_empty() { "–".to_owned() } else { names.join(", ") }
}

pub(super) fn losses(results: &Results, cells: &[Cell<'_>]) -> Table {
    let shown: Vec<Paradigm> = results.paradigms.iter().map(|info| info.paradigm).collect();
    let row = |row: Row| {
        let mut entries = vec![Entry::text(row.figure.clone())];
        let values = row.of.iter().zip(&row.struck);
        entries.extend(values.map(|(value, struck)| Entry::of(*value, row.text).struck(*struck)));
        entries.push(Entry::text(names(&losers(&row, &shown))));
        entries
    };
    let mut columns: Vec<Column> = vec![words("figure")];
    columns.extend(shown.iter().map(|paradigm| numbers(paradigm.title())));
    columns.push(words("loses"));
    let caption = "The first workload of each kind, medians over its rounds; who has the worst figure stands in the last \
                   column. What one cannot do by its nature is said in the table of qualities.";
    let rows = if shown.len() < 2 { Vec::new() } else { rows(&shown, cells) };
    let lost: Vec<Vec<Paradigm>> = rows.iter().map(|row| losers(row, &shown)).collect();
    let caption = findings::before(findings::losses(&lost, &shown), caption);
    let rows = rows.into_iter().map(row).collect();
    Table { id: "losses", title: "Where each loses", caption, columns, rows }
}
