//! Times, audits, and what clients saw.

use std::collections::BTreeMap;

use super::{Column, Entry, Table, findings, numbers, words};
use crate::cells::{Cell, knee, of_kind};
use crate::results::Results;
use crate::words::{number, percent};
use crate::workload::{Kind, Paradigm};

/// The first two columns of most tables.
pub(super) fn named(cell: &Cell<'_>) -> [Entry; 2] {
    [Entry::text(cell.workload.name.clone()), Entry::text(cell.paradigm.title())]
}

/// How a cell stands: what is to be known before one believes its figures.
fn standing(cell: &Cell<'_>) -> String {
    let mut notes = Vec::new();
    if !cell.is_green() {
        notes.push("audit failed".to_owned());
    }
    if cell.is_saturated() {
        notes.push("saturated".to_owned());
    }
    if cell.runs.iter().any(|run| run.gave_up.is_some()) {
        notes.push("wait given up".to_owned());
    }
    match cell.voids() {
        0 => {}
        voids if voids == cell.runs.len() => notes.push("void".to_owned()),
        voids => notes.push(format!("{voids} of {} void", cell.runs.len())),
    }
    if notes.is_empty() { "green".to_owned() } else { notes.join(", ") }
}

pub(super) fn headline(cells: &[Cell<'_>]) -> Table {
    let of_load = cells.iter().filter(|cell| cell.workload.kind == Kind::Load);
    let rows = of_load.map(|cell| {
        let struck = !cell.is_green();
        let [workload, paradigm] = named(cell);
        if let Some(why) = cell.not_possible() {
            let mut row = vec![workload, paradigm, Entry::number(cell.rate_per_s)];
            row.resize(8, Entry::none());
            row.push(Entry::text(format!("not possible: {why}")));
            return row;
        }
        vec![
            workload,
            paradigm,
            Entry::number(cell.rate_per_s),
            Entry::time(cell.accept(|q| q.p50_us)).struck(struck),
            Entry::time(cell.accept(|q| q.p99_us)).struck(struck),
            Entry::time(cell.outcome(|q| q.p50_us)).struck(struck),
            Entry::time(cell.outcome(|q| q.p99_us)).struck(struck),
            Entry::of(cell.missed(), percent).struck(struck),
            Entry::text(standing(cell)),
        ]
    });
    let columns = vec![
        words("workload"),
        words("paradigm"),
        numbers("offered per s"),
        numbers("to accept, p50"),
        numbers("to accept, p99"),
        numbers("to outcome, p50"),
        numbers("to outcome, p99"),
        numbers("not accepted"),
        words("audit"),
    ];
    let rounds = cells.iter().map(|cell| cell.runs.len()).max().unwrap_or(0);
    let caption = format!(
        "Times from the planned moment of sending: the median over up to {rounds} rounds, and the least and the greatest \
         round. HTTP answers when all is done, so its two clocks are one."
    );
    let caption = findings::before(findings::times(cells), &caption);
    Table {
        id: "headline",
        title: "Times of every workload",
        caption,
        columns,
        rows: rows.collect(),
    }
}

pub(super) fn sweep(cells: &[Cell<'_>]) -> Table {
    let mut rows = Vec::new();
    for paradigm in Paradigm::ALL {
        let sweep = of_kind(cells, Kind::Sweep, paradigm);
        let knee = knee(&sweep);
        for cell in sweep {
            let struck = !cell.is_green();
            let achieved = cell.spread(|run| Some(run.achieved_per_s)).map(|spread| spread.median);
            let mark = if Some(cell.rate_per_s) == knee { "the knee; " } else { "" };
            rows.push(vec![
                Entry::text(paradigm.title()),
                Entry::number(cell.rate_per_s),
                Entry::of(achieved, number).struck(struck),
                Entry::time(cell.outcome(|q| q.p50_us)).struck(struck),
                Entry::time(cell.outcome(|q| q.p99_us)).struck(struck),
                Entry::of(cell.missed(), percent).struck(struck),
                Entry::text(format!("{mark}{}", standing(cell))),
            ]);
        }
    }
    let columns = vec![
        words("paradigm"),
        numbers("offered per s"),
        numbers("done per s"),
        numbers("to outcome, p50"),
        numbers("to outcome, p99"),
        numbers("not accepted"),
        words("audit"),
    ];
    let caption = "A rate is not kept when it is saturated, or 99 % took more than 5 times as long as at the lowest \
                   rate, and more than 100 ms. The knee is the highest that is kept, where a higher one is not.";
    let caption = findings::before(findings::rates(cells), caption);
    Table { id: "sweep", title: "Throughput against latency", caption, columns, rows }
}

pub(super) fn audits(cells: &[Cell<'_>]) -> Table {
    let row = |cell: &Cell<'_>| {
        let audit = cell.audit()?;
        let rate = if cell.workload.kind == Kind::Sweep {
            format!(" at {}/s", cell.rate_per_s)
        } else {
            String::new()
        };
        let [workload, paradigm] = named(cell);
        let counts = [
            audit.planned,
            audit.accepted,
            audit.refused,
            audit.failed,
            audit.unknown,
            audit.not_sent,
            audit.done_once,
            audit.lost,
            audit.duplicated,
            audit.done_despite_no,
            audit.out_of_order,
        ];
        let mut row = vec![Entry::text(format!("{}{rate}", workload.text)), paradigm];
        row.push(Entry::text(if audit.is_green() { "green" } else { "RED" }));
        row.extend(counts.map(|count| Entry::number(count as f64)));
        row.push(Entry::text(besides(&audit)));
        Some(row)
    };
    let mut columns: Vec<Column> = vec![words("workload"), words("paradigm"), words("verdict")];
    columns.extend(
        [
            "orders",
            "accepted",
            "refused",
            "not accepted",
            "not known",
            "not sent",
            "done once",
            "lost",
            "done twice",
            "done despite a no",
            "out of order",
        ]
        .map(numbers),
    );
    columns.push(words("besides"));
    let rows: Vec<Vec<Entry>> = cells.iter().filter_map(row).collect();
    let red = cells.iter().filter(|cell| !cell.is_green()).count();
    let finding = match red {
        0 => "Every promise was kept".to_owned(),
        1 => "One row is red".to_owned(),
        n => format!("{n} rows are red"),
    };
    let caption = format!(
        "{finding}: each order is followed by its id from the answer to the message that its customer gets, over all \
         rounds. An order is out of order when it was sent after another one of its item was accepted, and done before it. \
         As it is run here nobody promises that order: RabbitMQ and Kafka work on up to 64 orders side by side, and Kafka \
         keeps it only with `--order key`. HTTP keeps one message an order, so that it cannot be done twice is its store's \
         word."
    );
    Table { id: "audit", title: "Delivery audit, by id", caption, columns, rows }
}

/// Requests that were no first ones of an order, and what became of them.
fn besides(audit: &crate::audit::Audit) -> String {
    let mut parts = Vec::new();
    if audit.repeats > 0 {
        let (repeats, taken) = (number(audit.repeats as f64), audit.repeats_accepted);
        parts.push(format!("{repeats} sent twice: {} taken as the first", number(taken as f64)));
    }
    if audit.poison > 0 {
        let of = [
            (audit.poison_turned_away, "rejected"),
            (audit.poison_dead_lettered, "dead-lettered"),
            (audit.poison_unknown, "not told of"),
        ];
        let of = of.into_iter().filter(|(count, _)| *count > 0);
        let of: Vec<String> = of.map(|(count, words)| format!("{count} {words}")).collect();
        parts.push(format!("{} invalid: {}", audit.poison, of.join(", ")));
    }
    for (count, words) in
        [(audit.rejected, "told that it does not come"), (audit.dead_lettered, "dead-lettered")]
    {
        if count > 0 {
            parts.push(format!("{} {words}", number(count as f64)));
        }
    }
    if parts.is_empty() { "–".to_owned() } else { parts.join("; ") }
}

pub(super) fn failures(results: &Results) -> Table {
    let mut seen: BTreeMap<(usize, Paradigm, &str), u64> = BTreeMap::new();
    for run in &results.runs {
        let place = results.workloads.iter().position(|workload| workload.name == run.workload);
        for (what, count) in &run.failures {
            *seen.entry((place.unwrap_or(0), run.paradigm, what)).or_default() += count;
        }
    }
    let rows = seen.into_iter().map(|((place, paradigm, what), count)| {
        let workload = results.workloads.get(place).map_or("", |workload| &workload.name);
        vec![
            Entry::text(workload),
            Entry::text(paradigm.title()),
            Entry::text(what),
            Entry::number(count as f64),
        ]
    });
    let columns = vec![words("workload"), words("paradigm"), words("answer"), numbers("orders")];
    let caption =
        "What clients were told instead of an acceptance: the status and the kind of the problem."
            .to_owned();
    Table { id: "failures", title: "What clients saw", caption, columns, rows: rows.collect() }
}
