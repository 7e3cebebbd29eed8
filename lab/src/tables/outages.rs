//! Faults: what was turned away, what waited, and how long it took until all was well again.

use super::figures::named;
use super::{Entry, Table, findings, numbers, words};
use crate::cells::{Cell, drained_after_s, missed_by, recovered_after_s};
use crate::results::Run;
use crate::words::{number, percent};

fn seconds(value: f64) -> String {
    format!("{value:.1} s")
}

fn row(cell: &Cell<'_>) -> Option<Vec<Entry>> {
    let label = cell.typical()?.fault.as_ref()?.label.clone();
    let struck = !cell.is_green();
    let of = |of: &dyn Fn(&Run) -> Option<f64>, words: fn(f64) -> String| {
        Entry::spread(cell.of_typical(of), words).struck(struck)
    };
    let or = |entry: Entry, why: &str| {
        if entry.value.is_some() { entry } else { Entry::not(why) }
    };
    let lasted = |run: &Run| run.fault.as_ref().map(|fault| fault.to_s - fault.from_s);
    let waiting = |run: &Run| run.timeline.iter().map(|p| p.waiting as f64).reduce(f64::max);
    let [workload, paradigm] = named(cell);
    Some(vec![
        workload,
        paradigm,
        Entry::text(label),
        of(&lasted, seconds),
        of(&missed_by, percent),
        of(&waiting, number),
        or(of(&recovered_after_s, seconds), "none failed"),
        or(of(&drained_after_s, seconds), "none waited"),
        Entry::text(cell.which()),
    ])
}

pub(super) fn faults(cells: &[Cell<'_>]) -> Table {
    let columns = vec![
        words("workload"),
        words("paradigm"),
        words("fault"),
        numbers("fault lasted"),
        numbers("not accepted"),
        numbers("waiting at most"),
        numbers("no failure after"),
        numbers("all done after"),
        words("run"),
    ];
    let is_void = |run: &Run| run.fault.is_some() && run.void.is_some();
    let void = if cells.iter().any(|cell| cell.typical().is_some_and(is_void)) {
        " A run is void when the generator was late: how many orders were not accepted counts all the same, its times do \
         not."
    } else {
        ""
    };
    let caption = format!(
        "Each row is one run, the same that the figure below it draws: the one in the middle by its 99th percentile, with \
         the least and the greatest of the rounds where there are more. A fault lasts until the service was started again, \
         or the broker answered again, and times count from there. They are those of accepted orders alone: what was \
         turned away is in none of them.{void}"
    );
    let caption = findings::before(findings::faults(cells), &caption);
    let rows = cells.iter().filter_map(row).collect();
    Table { id: "faults", title: "Outages", caption, columns, rows }
}
