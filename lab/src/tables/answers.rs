//! What clients were told instead of an acceptance.

use std::collections::BTreeMap;

use super::{Entry, Table, findings, numbers, words};
use crate::results::Results;
use crate::words::number;
use crate::workload::Paradigm;

/// Problems of status 409 that are no final no: the order may be sent again.
const NO_REFUSALS: [&str; 2] = ["409 in-progress", "409 of no known type"];

/// Whether an answer is a final no of the business, and not a failure.
pub(crate) fn is_refusal(answer: &str) -> bool {
    answer.starts_with("409 ") && !NO_REFUSALS.contains(&answer)
}

/// How often each answer was given, by workload, paradigm and answer.
type Seen<'r> = BTreeMap<(usize, Paradigm, &'r str), u64>;

pub(super) fn answers(results: &Results) -> Table {
    let mut seen: Seen<'_> = BTreeMap::new();
    for run in &results.runs {
        let place = results.workloads.iter().position(|workload| workload.name == run.workload);
        for (what, count) in &run.failures {
            *seen.entry((place.unwrap_or(0), run.paradigm, what)).or_default() += count;
        }
    }
    let rows = seen.iter().map(|((place, paradigm, what), count)| {
        let workload = results.workloads.get(*place).map_or("", |workload| &workload.name);
        let kind = if is_refusal(what) { "refusal by the business" } else { "failure" };
        vec![
            Entry::text(workload),
            Entry::text(paradigm.title()),
            Entry::text(*what),
            Entry::text(kind),
            Entry::number(*count as f64),
        ]
    });
    let columns = vec![
        words("workload"),
        words("paradigm"),
        words("answer"),
        words("is a"),
        numbers("orders"),
    ];
    let caption = "What clients were told instead of an acceptance, over all runs: the status and the kind of the problem. \
                   A refusal (409) is a decision and no failure; by a queue such an order is accepted, and its customer \
                   told of the refusal later.";
    let caption = findings::before(found(&seen), caption);
    let rows = rows.collect();
    Table { id: "failures", title: "What clients saw", caption, columns, rows }
}

/// Who failed how often, mostly how; and how many answers were refusals.
fn found(seen: &Seen<'_>) -> Option<String> {
    let mut parts = Vec::new();
    for paradigm in Paradigm::ALL {
        let own = seen.iter().filter(|((_, of, _), _)| *of == paradigm);
        let mut failures: BTreeMap<&str, u64> = BTreeMap::new();
        for ((_, _, what), count) in own.filter(|((_, _, what), _)| !is_refusal(what)) {
            *failures.entry(what).or_default() += count;
        }
        let Some((most, _)) = failures.iter().max_by_key(|(_, count)| **count) else { continue };
        let all: u64 = failures.values().sum();
        let mostly = if failures.len() > 1 { "mostly " } else { "" };
        parts.push(format!("{} {} ({mostly}{most})", paradigm.title(), number(all as f64)));
    }
    let refusals: u64 =
        seen.iter().filter(|((_, _, what), _)| is_refusal(what)).map(|(_, count)| count).sum();
    let failed = (!parts.is_empty()).then(|| format!("Failures: {}.", parts.join(", ")));
    let refused = (refusals > 0).then(|| match refusals {
        1 => "One answer was a refusal.".to_owned(),
        n => format!("{} answers were refusals.", number(n as f64)),
    });
    let all: Vec<String> = failed.into_iter().chain(refused).collect();
    (!all.is_empty()).then(|| all.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_by_the_business_is_no_failure_and_a_conflict_of_another_kind_is_one() {
        let all = ["409 out-of-stock", "409 simulated", "409 in-progress", "503 overloaded"];
        assert_eq!(all.map(is_refusal), [true, true, false, false]);
        let seen: Seen<'_> = [
            ((0, Paradigm::SyncRest, "409 simulated"), 8),
            ((0, Paradigm::SyncRest, "503 overloaded"), 3),
            ((1, Paradigm::SyncRest, "503 downstream-away"), 1_500),
            ((1, Paradigm::Streaming, "503 kafka-away"), 2),
        ]
        .into();
        let words = "Failures: HTTP 1,503 (mostly 503 downstream-away), Kafka 2 (503 kafka-away). 8 answers were refusals.";
        assert_eq!(found(&seen).unwrap(), words);
    }
}
