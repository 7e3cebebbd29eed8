//! Lots of orders, replays, and what else is to be known.

use super::figures::named;
use super::{Entry, Table, findings, numbers, words};
use crate::cells::Cell;
use crate::results::Results;
use crate::words::number;

fn seconds(value: f64) -> String {
    format!("{value:.1} s")
}

pub(super) fn lots(cells: &[Cell<'_>]) -> Table {
    let row = |cell: &Cell<'_>| {
        cell.runs.iter().find_map(|run| run.drain)?;
        let struck = !cell.is_green();
        let median = |of: &dyn Fn(&crate::results::Drain) -> f64| {
            cell.of_all(|run| run.drain.as_ref().map(of)).map(|spread| spread.median)
        };
        let taken = median(&|drain| drain.orders as f64);
        let is_none = taken == Some(0.0);
        let of_work = |value: Option<f64>, text: fn(f64) -> String| {
            if is_none {
                Entry::not("turned all away")
            } else {
                Entry::of(value, text).struck(struck)
            }
        };
        let [workload, paradigm] = named(cell);
        let remarks = cell.runs.iter().map(|run| run.remarks()).find(|all| !all.is_empty());
        let note = remarks.map(|all| all.join("; "));
        Some(vec![
            workload,
            paradigm,
            Entry::of(taken, number).struck(struck),
            Entry::of(median(&|drain| drain.turned_away as f64), number).struck(struck),
            of_work(median(&|drain| drain.took_s), seconds),
            of_work(median(&|drain| drain.per_s), number),
            note.map_or_else(Entry::none, Entry::text),
        ])
    };
    let columns = vec![
        words("workload"),
        words("paradigm"),
        numbers("taken"),
        numbers("turned away"),
        numbers("all done after"),
        numbers("done per s"),
        words("how"),
    ];
    let caption = "A backlog counts from the start of the service that was away, a batch from its first request: until \
                   the last customer was told. A batch sent one by one is a closed loop: only its total time says something.";
    let caption = findings::before(findings::lots(cells), caption);
    Table {
        id: "lots",
        title: "Backlog and batch",
        caption,
        columns,
        rows: cells.iter().filter_map(row).collect(),
    }
}

pub(super) fn notes(results: &Results) -> Table {
    // Those of a lot of orders stand beside its figures.
    let runs = results.runs.iter().filter(|run| run.drain.is_none());
    let rows = runs.flat_map(|run| {
        run.remarks().into_iter().map(|note| {
            vec![
                Entry::text(run.workload.clone()),
                Entry::text(run.paradigm.title()),
                Entry::number(f64::from(run.round + 1)),
                Entry::text(note),
            ]
        })
    });
    let columns = vec![words("workload"), words("paradigm"), numbers("round"), words("note")];
    let caption = "Waits for outcomes that were given up, what was heard of orders after their run had ended, and of orders \
                   of others."
        .to_owned();
    Table {
        id: "notes",
        title: "Waits that were given up, late and foreign messages",
        caption,
        columns,
        rows: rows.collect(),
    }
}

pub(super) fn replays(cells: &[Cell<'_>]) -> Table {
    let is_replay = |cell: &&Cell<'_>| cell.workload.kind == crate::workload::Kind::Replay;
    let row = |cell: &Cell<'_>| {
        let [_, paradigm] = named(cell);
        if let Some(why) = cell.not_possible() {
            let nothing = [Entry::none(), Entry::none(), Entry::none()];
            return [
                vec![paradigm],
                nothing.to_vec(),
                vec![Entry::text(format!("not possible: {why}"))],
            ]
            .concat();
        }
        let replayed: Vec<_> = cell.runs.iter().filter_map(|run| run.replayed).collect();
        let median = |of: &dyn Fn(&crate::results::Replayed) -> f64| {
            crate::stats::Spread::of(replayed.iter().map(of)).map(|spread| spread.median)
        };
        let is_same = replayed.iter().all(|replayed| replayed.is_same_again);
        vec![
            paradigm,
            Entry::of(median(&|r| r.orders as f64), number),
            Entry::of(median(&|r| r.took_s), seconds),
            Entry::of(median(&|r| r.orders as f64 / r.took_s.max(0.001)), number),
            Entry::text(if is_same { "the same numbers, byte for byte" } else { "other numbers" }),
        ]
    };
    let columns = vec![
        words("paradigm"),
        numbers("decisions"),
        numbers("took"),
        numbers("per s"),
        words("a second replay gave"),
    ];
    let caption = "Everything that was decided so far is counted again from the beginning of the log, by a program that \
                   starts from nothing; its start is part of the time.";
    let caption = findings::before(findings::replays(cells), caption);
    Table {
        id: "replay",
        title: "Replay",
        caption,
        columns,
        rows: cells.iter().filter(is_replay).map(row).collect(),
    }
}
