//! The outcome log: each order's attempts in sequence, then one end.

use std::collections::BTreeMap;

use order_schemas::Outcome;

use super::{Expected, Fates, Findings, Origin};
use crate::oracle::End;
use crate::reading::OutcomeEntry;

pub(super) fn check(fates: &Fates<'_>, outcomes: &[OutcomeEntry], findings: &mut Findings) {
    let mut by_origin: BTreeMap<Origin, Vec<&OutcomeEntry>> = BTreeMap::new();
    for entry in outcomes {
        let origin = (entry.outcome.origin_partition, entry.outcome.origin_offset);
        by_origin.entry(origin).or_default().push(entry);
        if entry.partition != origin.0 {
            let at = format!("outcome {}/{}", entry.partition, entry.offset);
            findings.add(at, format!("tells of an order of partition {}", origin.0));
        }
        if !fates.contains_key(&origin) {
            findings.add(format!("outcome of {origin:?}"), "no such order came in");
        }
    }
    for (origin, expected) in fates {
        let told = by_origin.get(origin).map_or(&[][..], Vec::as_slice);
        if let Err(what) = compare(expected, told) {
            findings.add(format!("outcomes of order {origin:?}"), what);
        }
    }
}

fn compare(expected: &Expected<'_>, told: &[&OutcomeEntry]) -> Result<(), String> {
    let fate = &expected.fate;
    let steps: Vec<_> = told.iter().map(|e| (e.outcome.attempt, e.outcome.outcome)).collect();
    let attempts = i32::try_from(fate.attempts).expect("few attempts");
    let (end, end_class) = match fate.end {
        End::Counted(_) => (Outcome::Succeeded, None),
        End::Dead { class, .. } => (Outcome::DeadLettered, Some(class)),
    };
    let mut wanted: Vec<_> = (1..attempts).map(|attempt| (attempt, Outcome::Retried)).collect();
    wanted.push((attempts, end));
    if steps != wanted {
        return Err(format!("{steps:?} instead of {wanted:?}"));
    }
    let (order_id, product) = fate.order.clone().unwrap_or_default();
    for entry in told {
        let outcome = &entry.outcome;
        if (&outcome.order_id, &outcome.product) != (&order_id, &product) {
            return Err(format!("tell of {:?}, {:?}", outcome.order_id, outcome.product));
        }
        let class = if outcome.outcome == Outcome::Retried { Some("transient") } else { end_class };
        if outcome.failure_class.as_deref() != class {
            return Err(format!(
                "attempt {} is of class {:?}",
                outcome.attempt, outcome.failure_class
            ));
        }
    }
    let times: Vec<i64> = told.iter().map(|entry| entry.outcome.settled_at_ms).collect();
    if times.is_sorted() { Ok(()) } else { Err(format!("run back in time: {times:?}")) }
}
