//! The averages: partials that only grow, and end where the orders say.

use std::collections::BTreeMap;

use super::{Fates, Findings, Logs};
use crate::oracle::{End, decimal4, nearest_average};
use crate::reading::AverageEntry;

/// Partition and product.
type Key = (i32, String);

pub(super) fn check(fates: &Fates<'_>, logs: &Logs, findings: &mut Findings) {
    let mut expected: BTreeMap<Key, (u64, i128)> = BTreeMap::new();
    for (origin, order) in fates {
        if let (End::Counted(amount), Some((_, product))) = (order.fate.end, &order.fate.order) {
            let entry = expected.entry((origin.0, product.clone())).or_default();
            *entry = (entry.0 + 1, entry.1 + amount);
        }
    }
    let mut last: BTreeMap<Key, &AverageEntry> = BTreeMap::new();
    for entry in &logs.averages {
        let at = format!("average {}/{}", entry.partition, entry.offset);
        if let Err(what) = well_formed(entry, &logs.group) {
            findings.add(&at, what);
        }
        let key = (entry.partition, entry.average.product.clone());
        if let Some(before) = last.insert(key, entry)
            && (before.average.count > entry.average.count
                || (before.average.count == entry.average.count
                    && before.average.sum != entry.average.sum))
        {
            findings.add(&at, format!("count falls: {before:?}, then {entry:?}"));
        }
    }
    for (key, entry) in &last {
        let actual = entry.average.sum.ten_thousandths();
        let told = (u64::try_from(entry.average.count).unwrap_or(0), actual);
        let wanted = expected.remove(key).unwrap_or((0, 0));
        if told != wanted {
            let text = |(count, sum): (u64, i128)| format!("{count} orders of {}", decimal4(sum));
            findings.add(
                format!("average of {key:?}"),
                format!("{} instead of {}", text(told), text(wanted)),
            );
        }
    }
    for (key, (count, _)) in expected {
        findings.add(format!("average of {key:?}"), format!("absent instead of {count} orders"));
    }
}

fn well_formed(entry: &AverageEntry, group: &str) -> Result<(), String> {
    let average = &entry.average;
    if entry.key.as_deref() != Some(average.product.as_bytes()) {
        return Err(format!("the key is not the product {:?}", average.product));
    }
    let count = u64::try_from(average.count).map_err(|_| format!("count {}", average.count))?;
    let nearest = nearest_average(average.sum.ten_thousandths(), count.max(1));
    if count == 0 || average.average.to_bits() != nearest.to_bits() {
        return Err(format!("the average is {}, not {nearest}", average.average));
    }
    let of =
        |name: &[u8]| entry.headers.iter().find(|(n, _)| n == name).and_then(|(_, v)| v.as_deref());
    if of(b"x-group") != Some(group.as_bytes()) || of(b"x-main-offset").is_none() {
        return Err(format!("the headers are {:?}", entry.headers));
    }
    Ok(())
}
