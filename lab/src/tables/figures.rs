//! Times, rates, and audits.

use super::{Column, Entry, Table, findings, numbers, offered, words};
use crate::cells::{Cell, missed_by, of_kind};
use crate::knee::{is_quick_enough, knee, limit_words};
use crate::results::{ParadigmInfo, Results};
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

/// Share of orders that were not accepted; of a fault that of the run that is told of it elsewhere.
fn missed(cell: &Cell<'_>) -> Entry {
    if cell.runs.iter().any(|run| run.fault.is_some()) {
        return Entry::spread(cell.of_typical(missed_by), percent);
    }
    Entry::of(cell.missed(), percent)
}

pub(super) fn headline(cells: &[Cell<'_>]) -> Table {
    let of_load = cells.iter().filter(|cell| cell.workload.kind == Kind::Load);
    let rows = of_load.map(|cell| {
        let struck = !cell.is_green();
        let [workload, paradigm] = named(cell);
        if let Some(why) = cell.not_possible() {
            let mut row = vec![workload, paradigm, offered(cell)];
            row.resize(8, Entry::none());
            row.push(Entry::text(format!("not possible: {why}")));
            return row;
        }
        vec![
            workload,
            paradigm,
            offered(cell),
            Entry::time(cell.accept(|q| q.p50_us)).struck(struck),
            Entry::time(cell.accept(|q| q.p99_us)).struck(struck),
            Entry::time(cell.outcome(|q| q.p50_us)).struck(struck),
            Entry::time(cell.outcome(|q| q.p99_us)).struck(struck),
            missed(cell).struck(struck),
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
        "Times from the planned moment of sending: the median over up to {rounds} rounds and, where they read differently, the \
         least and the greatest. HTTP answers when all is done: its two clocks are one, and its acceptance is no like of a \
         queue's. An order that inventory refuses is decided as well: no failure, and not among those not accepted."
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
            let is_slow = cell.outcome(|q| q.p99_us).is_some() && !is_quick_enough(cell);
            let mark = if Some(cell.rate_per_s) == knee {
                "the knee; ".to_owned()
            } else if is_slow {
                format!("more than {}; ", limit_words())
            } else {
                String::new()
            };
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
    let caption = format!(
        "A rate is kept when it is not saturated and 99 % of its orders are done within {0}: one limit for all. The knee is \
         the highest that is kept, where a higher one is not; without a knee the sweep ends too early, or begins too late.",
        limit_words()
    );
    let caption = findings::before(findings::rates(cells), &caption);
    Table { id: "sweep", title: "Throughput against latency", caption, columns, rows }
}

pub(super) fn audits(results: &Results, cells: &[Cell<'_>]) -> Table {
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
    let order = if keeps_order(results) {
        "Kafka keeps that order here (`--order key`); RabbitMQ works on up to 64 orders side by side, and does not promise it"
    } else {
        "As it is run here nobody promises that order: RabbitMQ and Kafka work on up to 64 orders side by side, and Kafka \
         keeps it only with `--order key`"
    };
    let caption = format!(
        "{finding}: each order is followed by its id from the answer to the message that its customer gets, over all \
         rounds. A refusal by the business is a decision, told in the answer (refused) or later, and no failure. An order is \
         out of order when it was sent after another one of its item was accepted, and done before it. {order}. HTTP keeps \
         one message an order, so that it cannot be done twice is its store's word."
    );
    Table { id: "audit", title: "Delivery audit, by id", caption, columns, rows }
}

/// Whether the services of Kafka were told to keep the order of each item: what they promise says so.
fn keeps_order(results: &Results) -> bool {
    let is_kafka = |info: &&ParadigmInfo| info.paradigm == Paradigm::Streaming;
    let says_so = |line: &String| line.contains("--order key");
    results.paradigms.iter().filter(is_kafka).flat_map(|info| &info.durability).any(says_so)
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
