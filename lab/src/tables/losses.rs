//! Where each paradigm loses, in figures: the first workload of each kind, side by side. A loss is named only where it
//! is beyond what rounds differ by themselves, and only among figures that mean the same.

use super::apart::is_apart;
use super::{Column, Entry, Table, findings, numbers, words};
use crate::cells::{Cell, baseline, drained_after_s, missed_by, of_kind};
use crate::knee::{highest_kept, limit_words};
use crate::results::{Results, Run};
use crate::stats::Spread;
use crate::words::{mebibytes, number, percent, time};
use crate::workload::{Kind, Paradigm};

/// Which end of a row loses.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Loses {
    Greatest,
    Least,
}

/// A figure that is compared.
#[derive(Clone, Copy)]
struct Figure {
    spread: Spread,
    rounds: usize,
    is_struck: bool,
}

/// What a paradigm has in a row.
#[derive(Clone, Copy)]
enum Has {
    Figure(Figure),
    /// It has none that compares, and why.
    Not(&'static str),
    Nothing,
}

/// A row, with what each paradigm has in it.
struct Row {
    workload: String,
    figure: &'static str,
    loses: Loses,
    of: Vec<(Paradigm, Has)>,
    text: fn(f64) -> String,
}

impl Row {
    fn figures(&self) -> impl Iterator<Item = (Paradigm, Figure)> {
        self.of.iter().filter_map(|(paradigm, has)| match has {
            Has::Figure(figure) if !figure.is_struck => Some((*paradigm, *figure)),
            _ => None,
        })
    }

    /// Whether `a` is worse than `b` beyond what rounds differ.
    fn is_worse(&self, a: Figure, b: Figure) -> bool {
        let (less, more) = if self.loses == Loses::Greatest { (b, a) } else { (a, b) };
        let reads_the_same = (self.text)(less.spread.median) == (self.text)(more.spread.median);
        let rounds = less.rounds.min(more.rounds);
        !reads_the_same && is_apart(less.spread, more.spread, rounds)
    }

    /// The worst one, with those that it cannot be told from; nobody where no other is better than all of these.
    fn losers(&self) -> Vec<Paradigm> {
        let figures: Vec<(Paradigm, Figure)> = self.figures().collect();
        let by_median =
            |a: &&(_, Figure), b: &&(_, Figure)| a.1.spread.median.total_cmp(&b.1.spread.median);
        let worst = match self.loses {
            Loses::Greatest => figures.iter().max_by(by_median),
            Loses::Least => figures.iter().min_by(by_median),
        };
        let Some((_, worst)) = worst else { return Vec::new() };
        let (better, losers): (Vec<_>, Vec<_>) =
            figures.iter().partition(|(_, figure)| self.is_worse(*worst, *figure));
        let is_below_all = |(_, figure): &(Paradigm, Figure)| {
            losers.iter().all(|(_, loser)| self.is_worse(*loser, *figure))
        };
        if !better.iter().any(is_below_all) {
            return Vec::new();
        }
        losers.into_iter().map(|(paradigm, _)| paradigm).collect()
    }

    fn entries(&self) -> Vec<Entry> {
        let mut entries = vec![Entry::text(format!("{}: {}", self.workload, self.figure))];
        entries.extend(self.of.iter().map(|(_, has)| match has {
            Has::Figure(figure) => {
                Entry::spread(Some(figure.spread), self.text).struck(figure.is_struck)
            }
            Has::Not(why) => Entry::not(why),
            Has::Nothing => Entry::none(),
        }));
        let losers: Vec<&str> = self.losers().iter().map(|paradigm| paradigm.title()).collect();
        entries.push(match (losers.is_empty(), self.figures().count()) {
            (false, _) => Entry::text(losers.join(", ")),
            (true, 0 | 1) => Entry::none(),
            (true, _) => Entry::text("no clear difference"),
        });
        entries
    }
}

/// The figures of one workload, by paradigm.
struct Side<'c, 'a> {
    shown: &'c [Paradigm],
    cells: Vec<&'c Cell<'a>>,
}

impl<'c, 'a> Side<'c, 'a> {
    /// A row, where at least one paradigm has the figure.
    fn row(
        &self,
        figure: &'static str,
        loses: Loses,
        text: fn(f64) -> String,
        of: impl Fn(&Cell<'a>) -> Has,
    ) -> Option<Row> {
        let workload = self.cells.first()?.workload.name.clone();
        let has = |&paradigm: &Paradigm| {
            let cell = self.cells.iter().find(|cell| cell.paradigm == paradigm);
            (paradigm, cell.map_or(Has::Nothing, |cell| of(cell)))
        };
        let of: Vec<(Paradigm, Has)> = self.shown.iter().map(has).collect();
        let is_known = of.iter().any(|(_, has)| matches!(has, Has::Figure(_)));
        is_known.then_some(Row { workload, figure, loses, of, text })
    }
}

fn has(cell: &Cell<'_>, spread: Option<Spread>) -> Has {
    let rounds = cell.valid().count();
    if rounds == 0 && spread.is_some() {
        return Has::Not("void");
    }
    spread.map_or(Has::Nothing, |spread| {
        Has::Figure(Figure { spread, rounds, is_struck: !cell.is_green() })
    })
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

/// Half are accepted within: of those alone whose answer comes before the work is done.
fn accepted(cell: &Cell<'_>) -> Has {
    if cell.paradigm.answers_when_done() {
        return Has::Not("its answer is the outcome");
    }
    has(cell, cell.accept(|q| q.p50_us))
}

fn drained(cell: &Cell<'_>) -> Has {
    let is_known = cell.typical().is_some_and(|run| run.fault.is_some());
    match has(cell, cell.of_typical(drained_after_s)) {
        Has::Nothing if is_known => Has::Not("turned away, none waited"),
        has => has,
    }
}

fn turned_away(run: &Run) -> Option<f64> {
    let drain = run.drain.filter(|drain| drain.orders + drain.turned_away > 0)?;
    Some(drain.turned_away as f64 / (drain.orders + drain.turned_away) as f64)
}

/// A figure of a lot of orders, where some were taken.
fn of_lot(cell: &Cell<'_>, of: impl Fn(&crate::results::Drain) -> f64) -> Has {
    let is_none = cell.typical().and_then(turned_away) == Some(1.0);
    if is_none {
        return Has::Not("turned all away");
    }
    has(cell, cell.of_all(|run| run.drain.as_ref().map(&of)))
}

fn rows(shown: &[Paradigm], cells: &[Cell<'_>]) -> Vec<Row> {
    use Loses::{Greatest, Least};
    let calm = Side { shown, cells: baseline(cells) };
    let has_fault = |cell: &Cell<'_>| cell.runs.iter().any(|run| run.fault.is_some());
    let outage = first(shown, cells, |cell| {
        cell.runs.iter().any(|run| run.fault.as_ref().is_some_and(|f| f.label.contains("killed")))
    });
    let burst = first(shown, cells, |cell| {
        let is_timed = cell.runs.iter().any(|run| !run.timeline.is_empty());
        cell.workload.kind == Kind::Load && is_timed && !has_fault(cell)
    });
    let backlog = first(shown, cells, |cell| cell.workload.kind == Kind::Backlog);
    let batch = first(shown, cells, |cell| cell.workload.kind == Kind::Batch);
    let cpu = |run: &Run| {
        let cost = run.cost.filter(|cost| cost.orders > 0)?;
        Some((cost.services_cpu_s + cost.brokers_cpu_s) * 1e4 / cost.orders as f64)
    };
    let memory = |run: &Run| {
        run.cost.map(|cost| (cost.services_peak_bytes + cost.brokers_peak_bytes) as f64)
    };
    let missed = |cell: &Cell<'_>| has(cell, cell.of_typical(missed_by));
    let p99 = |cell: &Cell<'_>| has(cell, cell.outcome(|q| q.p99_us));
    let all = [
        calm.row("half are accepted within", Greatest, time, accepted),
        calm.row("half are done within", Greatest, time, |c| has(c, c.outcome(|q| q.p50_us))),
        calm.row("99 of 100 are done within", Greatest, time, p99),
        outage.row("not accepted", Greatest, percent, missed),
        outage.row("all that was accepted is done, after its end", Greatest, seconds, drained),
        burst.row("not accepted", Greatest, percent, missed),
        burst.row("99 of 100 are done within", Greatest, time, p99),
        backlog.row("not accepted", Greatest, percent, |c| has(c, c.of_all(turned_away))),
        backlog.row("done per s", Least, number, |c| of_lot(c, |drain| drain.per_s)),
        batch.row("all done after", Greatest, seconds, |c| of_lot(c, |drain| drain.took_s)),
        calm.row("processor time for 10,000 orders", Greatest, seconds, |c| has(c, c.of_all(cpu))),
        calm.row("memory", Greatest, mebibytes, |c| has(c, c.of_all(memory))),
    ];
    all.into_iter().flatten().chain(knees(shown, cells)).collect()
}

fn knees(shown: &[Paradigm], cells: &[Cell<'_>]) -> Option<Row> {
    let of = |&paradigm: &Paradigm| {
        let sweep = of_kind(cells, Kind::Sweep, paradigm);
        if sweep.is_empty() {
            return (paradigm, Has::Nothing);
        }
        let kept = highest_kept(&sweep).unwrap_or(0.0);
        let spread = Spread { median: kept, min: kept, max: kept };
        (paradigm, Has::Figure(Figure { spread, rounds: 1, is_struck: false })) // a red rate is not kept
    };
    let of: Vec<(Paradigm, Has)> = shown.iter().map(of).collect();
    let workload =
        cells.iter().find(|cell| cell.workload.kind == Kind::Sweep)?.workload.name.clone();
    let figure = "highest rate kept, per s";
    Some(Row { workload, figure, loses: Loses::Least, of, text: number })
}

/// What each loses, in words: `RabbitMQ loses batch (all done after 9.2 s)`.
fn found(rows: &[Row], paradigm: Paradigm) -> String {
    let mut by_workload: Vec<(&str, Vec<String>)> = Vec::new();
    for row in rows.iter().filter(|row| row.losers().contains(&paradigm)) {
        let own = row.figures().find(|(of, _)| *of == paradigm);
        let value = own.map_or_else(String::new, |(_, own)| (row.text)(own.spread.median));
        let words = format!("{} {value}", row.figure);
        match by_workload.iter_mut().find(|(name, _)| *name == row.workload) {
            Some((_, all)) => all.push(words),
            None => by_workload.push((&row.workload, vec![words])),
        }
    }
    let parts: Vec<String> =
        by_workload.iter().map(|(name, all)| format!("{name} ({})", all.join(", "))).collect();
    if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") }
}

pub(super) fn losses(results: &Results, cells: &[Cell<'_>]) -> Table {
    let shown: Vec<Paradigm> = results.paradigms.iter().map(|info| info.paradigm).collect();
    let rows = if shown.len() < 2 { Vec::new() } else { rows(&shown, cells) };
    let mut columns: Vec<Column> = vec![words("figure")];
    columns.extend(shown.iter().map(|paradigm| numbers(paradigm.title())));
    columns.push(words("loses"));
    let found: Vec<String> = shown
        .iter()
        .map(|&paradigm| format!("{} loses {}.", paradigm.title(), found(&rows, paradigm)))
        .collect();
    let caption = format!(
        "The first workload of each kind, medians over its rounds, with both ends. The worst of a row is named, with those \
         that it cannot be told from, where its rounds do not reach into those of a better one; where one has a single \
         round, where it is worse by more than a third. An answer that is the outcome is not compared with an acceptance, \
         nor an outage in which orders were turned away with one in which they waited. The highest rate is that with 99 of \
         100 done within {}. What one cannot do by its nature is said in the table of qualities.",
        limit_words()
    );
    let caption = findings::before((!rows.is_empty()).then(|| found.join(" ")), &caption);
    let rows = rows.iter().map(Row::entries).collect();
    Table { id: "losses", title: "Where each loses", caption, columns, rows }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Paradigm; 3] = Paradigm::ALL;

    fn figure(rounds: usize, min: f64, median: f64, max: f64) -> Has {
        Has::Figure(Figure { spread: Spread { median, min, max }, rounds, is_struck: false })
    }

    fn row(loses: Loses, of: [Has; 3]) -> Row {
        let of = ALL.into_iter().zip(of).collect();
        Row { workload: "a".to_owned(), figure: "b", loses, of, text: number }
    }

    fn losers(of: [Has; 3]) -> Vec<&'static str> {
        row(Loses::Greatest, of).losers().iter().map(|paradigm| paradigm.title()).collect()
    }

    fn once(value: f64) -> Has {
        figure(1, value, value, value)
    }

    #[test]
    fn rounds_that_reach_into_those_of_all_others_are_no_loss() {
        let [a, b] = [figure(5, 40.0, 44.0, 46.0), figure(5, 40.0, 42.0, 52.0)];
        assert!(losers([a, b, Has::Nothing]).is_empty());
        assert_eq!(losers([a, b, figure(5, 60.0, 61.0, 62.0)]), ["Kafka"]);
        let words = row(Loses::Greatest, [a, b, Has::Nothing]).entries();
        assert_eq!(words.last().unwrap().text, "no clear difference");
    }

    #[test]
    fn two_that_cannot_be_told_apart_lose_together_where_a_third_is_better() {
        let better = figure(2, 10.0, 11.0, 12.0);
        let two = [figure(2, 20.0, 25.0, 30.0), figure(2, 22.0, 24.0, 29.0)];
        assert_eq!(losers([better, two[0], two[1]]), ["RabbitMQ", "Kafka"]);
        // The middle one reaches into both: nobody is better than all of the worst.
        let middle = figure(2, 11.0, 16.0, 22.0);
        assert!(losers([better, middle, two[0]]).is_empty());
    }

    #[test]
    fn a_single_round_loses_only_by_more_than_a_third() {
        assert!(losers([once(100.0), once(130.0), Has::Nothing]).is_empty());
        assert_eq!(losers([once(100.0), once(140.0), Has::Nothing]), ["RabbitMQ"]);
        assert!(losers([once(0.0), once(0.0), once(0.0)]).is_empty(), "a tie is no loss");
        let least = row(Loses::Least, [once(1_200.0), once(800.0), once(100.0)]);
        assert_eq!(least.losers(), [Paradigm::Streaming]);
    }

    #[test]
    fn what_does_not_compare_neither_loses_nor_makes_others_lose() {
        let row = row(Loses::Least, [Has::Not("turned all away"), once(1_000.0), once(9_000.0)]);
        assert_eq!(row.losers(), [Paradigm::Rabbit]);
        assert_eq!(row.entries()[1].text, "– turned all away");
        let struck = Figure {
            spread: Spread { median: 9.0, min: 9.0, max: 9.0 },
            rounds: 1,
            is_struck: true,
        };
        assert!(losers([Has::Figure(struck), once(1.0), Has::Nothing]).is_empty());
    }
}
