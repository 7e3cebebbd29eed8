//! What a table finds, in a sentence: the beginning of its caption. Made of the numbers, and nothing where there are none.

use crate::cells::{Cell, baseline, missed_by, of_kind};
use crate::knee::{kept_words, limit_words};
use crate::words::{number, percent, time};
use crate::workload::{Kind, Paradigm};

/// Names paradigms with what is said of each: `HTTP 6 ms, Kafka 16 ms`.
fn of_each(parts: impl IntoIterator<Item = (Paradigm, String)>) -> Option<String> {
    let all: Vec<String> =
        parts.into_iter().map(|(paradigm, what)| format!("{} {what}", paradigm.title())).collect();
    (!all.is_empty()).then(|| all.join(", "))
}

/// A finding in front of a caption.
pub(super) fn before(finding: Option<String>, caption: &str) -> String {
    finding.map_or_else(|| caption.to_owned(), |finding| format!("{finding} {caption}"))
}

pub(super) fn times(cells: &[Cell<'_>]) -> Option<String> {
    let base = baseline(cells);
    let name = &base.first()?.workload.name;
    let told = base
        .iter()
        .filter_map(|cell| Some((cell.paradigm, time(cell.outcome(|q| q.p99_us)?.median))));
    let told = of_each(told)?;
    Some(format!("In {name}, 99 of 100 customers are told within: {told}."))
}

pub(super) fn rates(cells: &[Cell<'_>]) -> Option<String> {
    let kept = Paradigm::ALL.into_iter().filter_map(|paradigm| {
        let sweep = of_kind(cells, Kind::Sweep, paradigm);
        (!sweep.is_empty()).then(|| (paradigm, kept_words(&sweep)))
    });
    Some(format!(
        "The highest rate that was kept, with 99 of 100 done within {}, orders per second: {}.",
        limit_words(),
        of_each(kept)?
    ))
}

/// Whom faults hit: the greatest share of orders that were not accepted in one workload, and which.
pub(super) fn faults(cells: &[Cell<'_>]) -> Option<String> {
    let has_fault = |cell: &&Cell<'_>| cell.runs.iter().any(|run| run.fault.is_some());
    let most = |paradigm: Paradigm| {
        let of = cells.iter().filter(has_fault).filter(|cell| cell.paradigm == paradigm);
        let (name, most) = of
            .filter_map(|cell| Some((&cell.workload.name, missed_by(cell.typical()?)?)))
            .max_by(|(_, a), (_, b)| a.total_cmp(b))?;
        let of = if most > 0.0 { format!(" of {name}") } else { String::new() };
        Some((paradigm, format!("{}{of}", percent(most))))
    };
    let most = of_each(Paradigm::ALL.into_iter().filter_map(most))?;
    Some(format!("Not accepted, in the worst of these: {most}."))
}

/// Who is done first with each lot of orders.
pub(super) fn lots(cells: &[Cell<'_>]) -> Option<String> {
    let per_s = |cell: &Cell<'_>| {
        let done = cell.of_all(|run| run.drain.filter(|d| d.orders > 0).map(|d| d.per_s))?;
        Some(done.median)
    };
    let mut names: Vec<&str> = cells
        .iter()
        .filter(|cell| cell.runs.iter().any(|run| run.drain.is_some()))
        .map(|cell| cell.workload.name.as_str())
        .collect();
    names.dedup();
    let first = |name: &str| {
        let of = cells.iter().filter(|cell| cell.workload.name == name);
        let fastest = of
            .filter_map(|cell| Some((cell, per_s(cell)?)))
            .max_by(|(_, a), (_, b)| a.total_cmp(b))?;
        let (cell, per_s) = fastest;
        Some(format!("{} with the {name} ({} a second)", cell.paradigm.title(), number(per_s)))
    };
    let all: Vec<String> = names.into_iter().filter_map(first).collect();
    (!all.is_empty()).then(|| format!("Done first: {}.", all.join(", ")))
}

/// How much is read again, and who cannot.
pub(super) fn replays(cells: &[Cell<'_>]) -> Option<String> {
    let of = || cells.iter().filter(|cell| cell.workload.kind == Kind::Replay);
    let counted = of().filter_map(|cell| {
        let replayed = cell.typical()?.replayed?;
        let (orders, per_s) =
            (replayed.orders as f64, replayed.orders as f64 / replayed.took_s.max(0.001));
        Some(format!(
            "{} counts {} decisions again in {:.1} s, {} a second",
            cell.paradigm.title(),
            number(orders),
            replayed.took_s,
            number(per_s)
        ))
    });
    let unable: Vec<&str> = of()
        .filter(|cell| cell.not_possible().is_some())
        .map(|cell| cell.paradigm.title())
        .collect();
    let unable = (!unable.is_empty())
        .then(|| format!("{} cannot read anything again", unable.join(" and ")));
    let all: Vec<String> = counted.chain(unable).collect();
    (!all.is_empty()).then(|| format!("{}.", all.join("; ")))
}

/// Processor time of services and brokers for 10,000 orders of the first plain workload.
pub(super) fn costs(cells: &[Cell<'_>]) -> Option<String> {
    let base = baseline(cells);
    let name = &base.first()?.workload.name;
    let cpu = base.iter().filter_map(|cell| {
        let cost = cell.of_all(|run| {
            let cost = run.cost.filter(|cost| cost.orders > 0)?;
            Some((cost.services_cpu_s + cost.brokers_cpu_s) * 1e4 / cost.orders as f64)
        })?;
        Some((cell.paradigm, format!("{:.1} s", cost.median)))
    });
    Some(format!("10,000 orders of {name} take: {} of a processor.", of_each(cpu)?))
}

/// Whether the generator was up to it.
pub(super) fn voids(cells: &[Cell<'_>]) -> String {
    let runs =
        || cells.iter().filter(|cell| matches!(cell.workload.kind, Kind::Load | Kind::Sweep));
    let all: usize = runs().map(|cell| cell.runs.len()).sum();
    match runs().map(Cell::voids).sum::<usize>() {
        0 => format!("The generator was up to all of {all} runs."),
        voids => format!("{voids} of {all} runs are void: the generator was not up to them."),
    }
}
