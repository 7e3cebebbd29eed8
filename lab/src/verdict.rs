//! The verdict: one paragraph, made of the numbers and nothing else. A sentence is there only where its numbers are.

use crate::cells::{Cell, baseline, drained_after_s, missed_by, of_kind};
use crate::knee::{highest_borne, highest_kept, kept_words, limit_words, slower_words};
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

/// Who tells customers how soon. Acceptances are compared among those alone whose answer comes before the work is done.
fn calm(cells: &[Cell<'_>]) -> Option<String> {
    let base = baseline(cells);
    let rate = number(base.first()?.rate_per_s);
    let by = |(paradigm, us): &(Paradigm, f64)| format!("{} by {}", time(*us), paradigm.title());
    let outcome = |cell: &&Cell<'_>| Some((cell.paradigm, cell.outcome(|q| q.p50_us)?.median));
    let accept = |cell: &&Cell<'_>| Some((cell.paradigm, cell.accept(|q| q.p50_us)?.median));
    let told: Vec<(Paradigm, f64)> = base.iter().filter_map(outcome).collect();
    if told.len() < 2 {
        return None;
    }
    let fastest = told.iter().min_by(|a, b| a.1.total_cmp(&b.1))?.0;
    let mut words = format!(
        "At {rate} orders a second, with everything well, half of the customers are told within {}: to the outcome {} is \
         the fastest.",
        list(&told.iter().map(by).collect::<Vec<_>>()),
        fastest.title()
    );
    let early = base.iter().filter(|cell| !cell.paradigm.answers_when_done());
    let accepted: Vec<String> = early.filter_map(accept).map(|one| by(&one)).collect();
    if !accepted.is_empty() {
        words.push_str(&format!(
            " Half of the orders are accepted, which is no outcome yet, within {}.",
            list(&accepted)
        ));
    }
    Some(words)
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
        let missed = missed_by(cell.typical()?)?;
        parts.push(if !cell.is_green() {
            format!("the audit of {title} is red")
        } else if missed == 0.0 {
            let drained = drained_after_s(cell.typical()?)?;
            format!("{title} accepts every order and has done all of them {drained:.1} s after its return")
        } else {
            format!("{title} does not accept {} of the orders", percent(missed))
        });
    }
    Some(format!("With {words}, {}.", list(&parts)))
}

/// The highest rates within the one limit, and what they were for those who went on beyond it.
fn limits(cells: &[Cell<'_>]) -> Option<String> {
    let sweeps = || {
        Paradigm::ALL
            .into_iter()
            .map(|paradigm| (paradigm, of_kind(cells, Kind::Sweep, paradigm)))
            .filter(|(_, sweep)| highest_borne(sweep).is_some())
    };
    let kept: Vec<String> = sweeps()
        .map(|(paradigm, sweep)| {
            let per_s = if highest_kept(&sweep).is_some() { " a second" } else { "" };
            format!("{}{per_s} by {}", kept_words(&sweep), paradigm.title())
        })
        .collect();
    let slower: Vec<String> = sweeps()
        .filter_map(|(paradigm, sweep)| {
            Some(format!("{} keeps up with {}", paradigm.title(), slower_words(&sweep)?))
        })
        .collect();
    let besides = if slower.is_empty() {
        String::new()
    } else {
        format!("; without that limit, {}", list(&slower))
    };
    (!kept.is_empty()).then(|| {
        format!(
            "With 99 of 100 customers told within {}, the highest offered rate that was kept was {}{besides}.",
            limit_words(),
            list(&kept)
        )
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
        let dead: u64 = audits.iter().map(|(_, audit)| audit.dead_lettered).sum();
        let dead = match dead {
            0 => String::new(),
            1 => "; 1 is a dead letter, after every attempt had failed".to_owned(),
            n => format!("; {} are dead letters, after every attempt had failed", number(n as f64)),
        };
        format!(
            "Of {} accepted orders none was lost and none done twice, by id{dead}.",
            number(accepted as f64)
        )
    } else {
        format!("The audit by id failed for {}: those figures are struck out.", list(&red))
    }
}
