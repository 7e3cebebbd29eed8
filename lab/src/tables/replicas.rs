//! What more than one order service brought: the same orders at the same rate with one, side by side.

use std::time::Duration;

use super::apart::is_apart;
use super::{Entry, Table, findings, numbers, offered, words};
use crate::cells::Cell;
use crate::stats::Spread;
use crate::words::{number, time};
use crate::workload::{Kind, Workload};

/// Share by which what is done in a second has to differ: it is a count over the whole of a run, and steadier than times.
const DONE_MARGIN: f64 = 0.05;

/// A workload without all that cells with more order services may differ by from those with one.
fn likeness(spec: &Workload) -> Workload {
    Workload {
        name: String::new(),
        kind: if spec.kind == Kind::Sweep { Kind::Load } else { spec.kind },
        rates_per_s: Vec::new(),
        length: Duration::ZERO,
        rounds: 1,
        order_replicas: 1,
        is_quick: true,
        ..spec.clone()
    }
}

fn instances(cell: &Cell<'_>) -> u32 {
    cell.spec.as_ref().map_or(1, |spec| spec.order_replicas)
}

/// The cell with a single order service that is else the same; of several the one most like it in kind, length and rounds.
fn partner<'c, 'a>(cells: &'c [Cell<'a>], more: &Cell<'_>) -> Option<&'c Cell<'a>> {
    let like = |cell: &Cell<'_>| cell.spec.as_ref().map(likeness);
    let length = |cell: &Cell<'_>| cell.spec.as_ref().map(|spec| spec.length);
    let is_partner = |one: &&Cell<'_>| {
        one.paradigm == more.paradigm
            && one.rate_per_s == more.rate_per_s
            && instances(one) == 1
            && like(one) == like(more)
    };
    cells.iter().filter(is_partner).min_by_key(|one| {
        let is_other_kind = one.workload.kind != more.workload.kind;
        (is_other_kind, length(one) != length(more), one.runs.len().abs_diff(more.runs.len()))
    })
}

/// Cells with more than one order service, behind those that they compare with.
fn pairs<'c, 'a>(cells: &'c [Cell<'a>]) -> Vec<(&'c Cell<'a>, &'c Cell<'a>)> {
    let several = cells.iter().filter(|cell| instances(cell) > 1);
    several.filter_map(|more| Some((partner(cells, more)?, more))).collect()
}

/// What more of them brought, in words.
fn brought(one: &Cell<'_>, more: &Cell<'_>) -> String {
    let rounds = one.valid().count().min(more.valid().count());
    if !one.is_green() || !more.is_green() {
        return "not told: an audit failed".to_owned();
    }
    if !one.is_saturated() {
        let rate = number(one.rate_per_s);
        let enough = format!("nothing: at {rate} a second one is enough");
        let p99 = one.outcome(|q| q.p99_us).zip(more.outcome(|q| q.p99_us));
        return match p99 {
            Some((one, more)) if is_apart(more, one, rounds) => {
                format!(
                    "no more orders, but 99 of 100 in {} and not {}",
                    time(more.median),
                    time(one.median)
                )
            }
            Some((one, more)) if is_apart(one, more, rounds) => {
                format!(
                    "{enough}, and 99 of 100 take {} and not {}",
                    time(more.median),
                    time(one.median)
                )
            }
            _ => enough,
        };
    }
    let Some((of_one, of_more)) = done(one).zip(done(more)) else { return "not known".to_owned() };
    let ratio = of_more.median / of_one.median.max(f64::MIN_POSITIVE);
    let overlaps =
        rounds > 1 && !is_apart(of_one, of_more, rounds) && !is_apart(of_more, of_one, rounds);
    if overlaps || (ratio - 1.0).abs() <= DONE_MARGIN {
        "nothing: both do as much".to_owned()
    } else {
        format!("{ratio:.2} times as many done")
    }
}

fn done(cell: &Cell<'_>) -> Option<Spread> {
    cell.spread(|run| Some(run.achieved_per_s))
}

pub(super) fn replicas(cells: &[Cell<'_>]) -> Table {
    let pairs = pairs(cells);
    let row = |(one, more): &(&Cell<'_>, &Cell<'_>)| {
        let per_s = |cell: &Cell<'_>| Entry::spread(done(cell), number).struck(!cell.is_green());
        let p99 =
            |cell: &Cell<'_>| Entry::time(cell.outcome(|q| q.p99_us)).struck(!cell.is_green());
        vec![
            Entry::text(format!("{} beside {}", more.workload.name, one.workload.name)),
            Entry::text(more.paradigm.title()),
            offered(more),
            per_s(one),
            per_s(more),
            p99(one),
            p99(more),
            Entry::text(brought(one, more)),
        ]
    };
    let columns = vec![
        words("workload"),
        words("paradigm"),
        numbers("offered per s"),
        numbers("done per s, one"),
        numbers("done per s, more"),
        numbers("to outcome, p99, one"),
        numbers("to outcome, p99, more"),
        words("more of them brought"),
    ];
    let mut found: Vec<(String, Vec<&str>)> = Vec::new();
    for (one, more) in &pairs {
        let (words, title) = (brought(one, more), more.paradigm.title());
        match found.iter_mut().find(|(known, _)| *known == words) {
            Some((_, titles)) => titles.push(title),
            None => found.push((words, vec![title])),
        }
    }
    let found: Vec<String> =
        found.iter().map(|(words, titles)| format!("{} {words}", titles.join(", "))).collect();
    let caption = "The same orders at the same rate, with one order service and with more; a request goes to each in turn. \
                   Where one is not saturated, more of them can only change how long orders take.";
    let finding = (!found.is_empty())
        .then(|| format!("More than one order service brought: {}.", found.join("; ")));
    let caption = findings::before(finding, caption);
    let rows = pairs.iter().map(row).collect();
    Table { id: "replicas", title: "More than one order service", caption, columns, rows }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{Clocked, Run, WorkloadInfo};
    use crate::stats::Times;
    use crate::workload::Paradigm;

    fn info(name: &str, kind: Kind) -> WorkloadInfo {
        WorkloadInfo { name: name.to_owned(), kind, words: String::new(), rounds: 1 }
    }

    fn run(rate_per_s: f64, achieved_per_s: f64, p99_us: u64) -> Run {
        let mut times = Times::default();
        times.add(p99_us);
        let outcome = Clocked { quantiles: times.quantiles(), buckets: times.buckets() };
        let is_saturated = achieved_per_s < rate_per_s * 0.98;
        let plain = Run::new("a", Paradigm::Rabbit, 0, rate_per_s, 0.0);
        Run { outcome, is_saturated, achieved_per_s, ..plain }
    }

    fn cell<'a>(info: &'a WorkloadInfo, run: &'a Run, order_replicas: u32) -> Cell<'a> {
        let plain = Workload::plain(&info.name, run.rate_per_s, Duration::from_secs(8));
        let spec = Some(Workload { kind: info.kind, order_replicas, ..plain });
        Cell { spec, ..Cell::of_one(info, run) }
    }

    #[test]
    fn a_pair_has_the_same_rate_and_differs_by_its_replicas_alone() {
        let (one, two) = (info("one", Kind::Load), info("two", Kind::Load));
        let (sweep, slow) = (info("sweep", Kind::Sweep), info("slow", Kind::Load));
        let at = |rate| run(rate, rate, 5_000);
        let (low, high) = (at(100.0), at(800.0));
        let delayed = |cell: Cell<'_>| -> Option<Workload> {
            Some(Workload { inventory_delay: Duration::from_secs(2), ..cell.spec? })
        };
        let slow_cell = cell(&slow, &high, 1);
        let slow_cell = Cell { spec: delayed(slow_cell.clone()), ..slow_cell };
        let cells = [slow_cell, cell(&one, &low, 1), cell(&sweep, &high, 1), cell(&two, &high, 2)];
        let found: Vec<(&str, &str)> = pairs(&cells)
            .iter()
            .map(|(one, more)| (one.workload.name.as_str(), more.workload.name.as_str()))
            .collect();
        assert_eq!(found, [("sweep", "two")]);
        let same = info("same", Kind::Load);
        let cells = [cell(&sweep, &high, 1), cell(&same, &high, 1), cell(&two, &high, 2)];
        assert_eq!(pairs(&cells)[0].0.workload.name, "same", "rather one of the same kind");
        assert!(pairs(&cells[..2]).is_empty());
    }

    #[test]
    fn what_a_replica_brought_is_a_ratio_or_nothing_where_one_is_enough() {
        let info = info("a", Kind::Load);
        let brought = |one: Run, more: Run| brought(&cell(&info, &one, 1), &cell(&info, &more, 2));
        let enough = brought(run(100.0, 99.0, 7_750), run(100.0, 99.0, 7_450));
        assert_eq!(enough, "nothing: at 100 a second one is enough");
        let more = brought(run(1_800.0, 1_000.0, 3_000_000), run(1_800.0, 1_290.0, 2_000_000));
        assert_eq!(more, "1.29 times as many done");
        let same = brought(run(1_800.0, 1_000.0, 3_000_000), run(1_800.0, 1_030.0, 2_000_000));
        assert_eq!(same, "nothing: both do as much");
        let quicker = brought(run(800.0, 800.0, 90_000), run(800.0, 800.0, 30_000));
        assert!(quicker.starts_with("no more orders, but 99 of 100 in 30.0 ms"), "{quicker}");
    }
}
