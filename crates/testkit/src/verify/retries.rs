//! The retry topic: one record for each failed attempt that was not the last.

use std::collections::BTreeMap;

use super::{Fates, Findings, Logs, Origin};
use crate::reading::LogRecord;

pub(super) fn check(fates: &Fates<'_>, logs: &Logs, findings: &mut Findings) {
    if logs.retries_trimmed {
        return; // what was settled may be gone
    }
    let mut waits: BTreeMap<(Origin, i64), Vec<&LogRecord>> = BTreeMap::new();
    for record in &logs.retries {
        waits.entry((record.origin(), record.header_number("x-attempt"))).or_default().push(record);
    }
    for (origin, expected) in fates {
        for attempt in 1..i64::from(expected.fate.attempts) {
            let Some(copies) = waits.remove(&(*origin, attempt)) else {
                findings
                    .add(format!("retry of {origin:?}"), format!("none after attempt {attempt}"));
                continue;
            };
            let order = expected.record;
            let first = copies[0].header("x-due-at-ms");
            for copy in copies {
                // A copy that was moved to the tail keeps its due time.
                let is_same = copy.partition == origin.0
                    && (&copy.key, &copy.value) == (&order.key, &order.value)
                    && copy.header("x-due-at-ms") == first;
                if !is_same {
                    let at = format!("retry {:?} of {origin:?}", copy.coordinates());
                    findings.add(at, "it is not the order that came in, or is due at another time");
                }
            }
        }
    }
    for ((origin, attempt), records) in waits {
        let follows = fates.get(&origin).is_some_and(|expected| {
            attempt == 0 && records.iter().all(|record| record.value == expected.record.value)
        });
        if follows {
            continue; // it waited behind another one of its key
        }
        let what = format!("after attempt {attempt} of {origin:?}: no such attempt had to fail");
        findings.add(format!("retry {:?}", records[0].coordinates()), what);
    }
}
