//! The verdict: one paragraph, made of the numbers and nothing else. A sentence is there only where its numbers are.

use crate::cells::{Cell, baseline, highest_kept, kept_words, of_kind};
use crate::results::{Results, Run};
use crate::words::{number, percent, time};
use crate::workload::{Kind, Paradigm};

/// The verdict in sentences.
#[must_use]
pub fn verdict(results: &Results, cells: &[Cell<'_>]) -> String {
    let mut sentences = Vec::new();
    if results.is_quick {
        sentences.push(
            "This was a quick run: it shows that everything works, not how fast it is.".to_owned(),
        );
    } else if !results.is_complete {
        sentences.push(format!(
            "Only {} runs were made: what is missing here was not reached.",
            results.runs.len()
        ));
    }
    sentences.extend(calm(cells));
    sentences.extend(outage(cells));
    sentences.extend(limits(cells));
    sentences.extend(replay(results));
    sentences.push(audits(cells));
    sentences.join(" ")
}

/// Joins what is said of each: `a, b and c`.
fn list(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

fn calm(cells: &[Cell<'_>]) -> Option<String> {
    let base = baseline(cells);
    let rate = number(base.first()?.rate_per_s);
    let of = |cell: &&Cell<'_>| {
        let (accept, outcome) =
            (cell.accept(|q| q.p50_us)?.median, cell.outcome(|q| q.p50_us)?.median);
        Some((cell.paradigm, accept, outcome))
    };
    let medians: Vec<(Paradigm, f64, f64)> = base.iter().filter_map(of).collect();
    let accepted: Vec<String> = medians
        .iter()
        .map(|(p, accept, _)| format!("{} by {}", time(*accept), p.title()))
        .collect();
    let done: Vec<String> = medians
        .iter()
        .map(|(p, _, outcome)| format!("{} by {}", time(*outcome), p.title()))
        .collect();
    let fastest = medians.iter().min_by(|a, b| a.2.total_cmp(&b.2))?;
    (medians.len() > 1).then(|| {
        format!(
            "At {rate} orders a second, with everything well, half of the orders are accepted within {}, and their \
             customers told within {}: to the outcome {} is the fastest.",
            list(&accepted),
            list(&done),
            fastest.0.title()
        )
    })
}

/// The first workload in which a service is killed.
fn outage(cells: &[Cell<'_>]) -> Option<String> {
    let is_outage = |cell: &&Cell<'_>| {
        cell.runs
            .iter()
            .any(|run| run.fault.as_ref().is_some_and(|fault| fault.label.contains("killed")))
    };
    let first = cells.iter().find(is_outage)?;
    let words = first.typical()?.fault.as_ref()?.label.clone();
    let mut parts = Vec::new();
    for cell in cells.iter().filter(|cell| cell.workload.name == first.workload.name) {
        let title = cell.paradigm.title();
        let missed = cell.missed()?;
        parts.push(if !cell.is_green() {
            format!("the audit of {title} is red")
        } else if missed == 0.0 {
            let drained = cell.of_all(|run| run.fault.as_ref().map(|f| f.drained_after_s))?.median;
            format!("{title} accepts every order and has done all of them {drained:.1} s after its return")
        } else {
            format!("{title} does not accept {} of the orders", percent(missed))
        });
    }
    Some(format!("With {words}, {}.", list(&parts)))
}

fn limits(cells: &[Cell<'_>]) -> Option<String> {
    let knees = Paradigm::ALL.iter().filter_map(|&paradigm| {
        let sweep = of_kind(cells, Kind::Sweep, paradigm);
        highest_kept(&sweep)?;
        Some(format!("{} a second by {}", kept_words(&sweep), paradigm.title()))
    });
    let knees: Vec<String> = knees.collect();
    (!knees.is_empty()).then(|| {
        format!("Of the offered rates, the highest that was kept up with was {}.", list(&knees))
    })
}

fn replay(results: &Results) -> Option<String> {
    let run = results.runs.iter().find(|run| run.replayed.is_some())?;
    let Run { paradigm, replayed: Some(replayed), .. } = run else { return None };
    Some(format!(
        "{} counts {} decisions once more in {:.1} s{}; the other two keep nothing that could be read again.",
        paradigm.title(),
        number(replayed.orders as f64),
        replayed.took_s,
        if replayed.is_same_again {
            ", with the same numbers each time"
        } else {
            ", with other numbers each time"
        }
    ))
}

fn audits(cells: &[Cell<'_>]) -> String {
    let audits: Vec<_> = cells.iter().filter_map(|cell| Some((cell, cell.audit()?))).collect();
    let accepted: u64 = audits.iter().map(|(_, audit)| audit.accepted).sum();
    let red: Vec<String> = audits
        .iter()
        .filter(|(_, audit)| !audit.is_green())
        .map(|(cell, audit)| {
            format!(
                "{} in {} ({})",
                cell.paradigm.title(),
                cell.workload.name,
                list(&audit.findings())
            )
        })
        .collect();
    if red.is_empty() {
        format!(
            "Of {} accepted orders none was lost and none done twice, by id.",
            number(accepted as f64)
        )
    } else {
        format!("The audit by id failed for {}: those figures are struck out.", list(&red))
    }
}
