//! What a redrive or a discard would do, or has done, in numbers.

use std::collections::BTreeMap;

use serde::Serialize;

use super::as_word;
use super::rules::{Fate, Skip};
use crate::dlq::dead_letter::DeadLetter;
use crate::dlq::moment::Utc;
use service_kit::live::fit;

/// Names that are told apart in each of the lists; further ones are counted as `other`.
const NAMES_MAX: usize = 1_000;

/// Columns of a line.
const COLUMNS: usize = 80;

/// Columns of a number.
const NUMBER_COLUMNS: usize = 10;

/// Numbers of a run. The same for the same dead letters and the same ledger.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Plan {
    /// Dead letters that were looked at.
    pub scanned: u64,
    /// Those that the filter means.
    pub matched: u64,
    /// Those of them that go back, or are discarded.
    #[serde(skip)]
    pub to_do: u64,
    /// These, by class and reason.
    pub by_reason: BTreeMap<String, u64>,
    /// These, by the topic that they go to; none where they are discarded.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub targets: BTreeMap<String, u64>,
    /// These, by schema id; `-` where the value has no frame.
    pub schema_ids: BTreeMap<String, u64>,
    /// When the oldest of these was written, in epoch milliseconds.
    pub oldest_ms: Option<i64>,
    /// When the newest of these was written.
    pub newest_ms: Option<i64>,
    /// Those that stay although they are meant, by why.
    pub skipped: BTreeMap<Skip, u64>,
    /// Of these, those of other groups, by group.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub other_groups: BTreeMap<String, u64>,
}

impl Plan {
    /// Counts a dead letter that is meant.
    pub fn add(&mut self, letter: &DeadLetter<'_>, decision: Result<Fate<'_>, Skip>) {
        self.matched += 1;
        let fate = match decision {
            Ok(fate) => fate,
            Err(skip) => {
                *self.skipped.entry(skip).or_default() += 1;
                let origin = letter.origin.as_ref().filter(|_| skip == Skip::OtherGroup);
                if let Some(group) = origin.and_then(|origin| origin.group.as_deref()) {
                    count(&mut self.other_groups, group);
                }
                return;
            }
        };
        self.to_do += 1;
        let cause = &letter.cause;
        let class = cause.class.as_deref().unwrap_or(letter.dialect.as_str());
        let reason = match cause.reason.as_deref() {
            Some(reason) => format!("{class}/{reason}"),
            None => class.to_owned(),
        };
        count(&mut self.by_reason, &reason);
        if let Fate::Back(target) = fate {
            count(&mut self.targets, target.topic);
        }
        let schema = letter.schema_id.map_or_else(|| "-".to_owned(), |id| id.to_string());
        count(&mut self.schema_ids, &schema);
        let Some(ms) = letter.record.written_ms else { return };
        self.oldest_ms = Some(self.oldest_ms.map_or(ms, |oldest| oldest.min(ms)));
        self.newest_ms = Some(self.newest_ms.map_or(ms, |newest| newest.max(ms)));
    }

    /// Those that stay, and not because they were handled before: somebody has to look at them.
    #[must_use]
    pub fn left_behind(&self) -> u64 {
        let is_handled =
            |skip: &Skip| matches!(skip, Skip::AlreadyRedriven | Skip::Discarded | Skip::Replayed);
        let others = self.skipped.iter().filter(|(skip, _)| !is_handled(skip));
        others.map(|(_, count)| count).sum()
    }

    /// The numbers for people, at most 80 columns wide. `done` says what becomes of those that are
    /// not skipped: *would be sent back*, *sent*, *discarded*.
    #[must_use]
    pub fn page(&self, done: &str) -> String {
        let mut page = String::new();
        let mut line = |number: u64, words: &str| {
            page.push_str(&fit(&format!("{number:>NUMBER_COLUMNS$}  {words}"), COLUMNS));
            page.push('\n');
        };
        line(self.scanned, "dead letters read");
        line(self.matched, "of them match");
        for (skip, count) in &self.skipped {
            line(*count, &format!("skipped: {skip}"));
            let groups = self.other_groups.iter().filter(|_| *skip == Skip::OtherGroup);
            for (group, count) in groups {
                line(*count, &format!("  of {word}: --group-id {word}", word = as_word(group)));
            }
        }
        let span = match self.to_do {
            0 => String::new(),
            _ => format!(", written {}", span(Utc(self.oldest_ms), Utc(self.newest_ms))),
        };
        line(self.to_do, &format!("{done}{span}"));
        for (lists, before) in
            [(&self.targets, "to"), (&self.by_reason, "of"), (&self.schema_ids, "of schema")]
        {
            for (name, count) in lists {
                line(*count, &format!("  {before} {name}"));
            }
        }
        page
    }
}

/// From one time to another: the second one without its day where that is the same, and both without seconds where it is another.
fn span(oldest: Utc, newest: Utc) -> String {
    let (from, to) = (oldest.to_the_second(), newest.to_the_second());
    match (from.split_once(' '), to.split_once(' ')) {
        (Some((day, _)), Some((same, time))) if day == same => format!("{from} to {time}"),
        _ => format!("{} to {}", oldest.to_the_minute(), newest.to_the_minute()),
    }
}

fn count(counts: &mut BTreeMap<String, u64>, name: &str) {
    let has_room = counts.len() < NAMES_MAX;
    match counts.get_mut(name) {
        Some(count) => *count += 1,
        None if has_room => {
            counts.insert(name.to_owned(), 1);
        }
        None => *counts.entry("other".to_owned()).or_default() += 1,
    }
}

#[cfg(test)]
mod tests {
    use service_kit::live::width;

    use super::*;
    use crate::dlq::record::Record;
    use crate::dlq::redrive::Target;

    fn letter(written_ms: i64, reason: &str) -> DeadLetter<'_> {
        DeadLetter::read(Record {
            written_ms: Some(written_ms),
            value: Some(&[0, 0, 0, 0, 7]),
            headers: vec![
                (b"x-origin-topic", Some(b"orders")),
                (b"x-origin-partition", Some(b"0")),
                (b"x-failure-class", Some(b"transient")),
                (b"x-failure-reason", Some(reason.as_bytes())),
            ],
            ..Record::default()
        })
    }

    #[test]
    fn a_plan_counts_what_goes_back_where_and_what_stays_and_why() {
        let target = Fate::Back(Target { topic: "orders-retry", partition: 0 });
        let mut plan = Plan { scanned: 9, ..Plan::default() };
        plan.add(&letter(2_000, "handler"), Ok(target));
        plan.add(&letter(1_000, "simulated"), Ok(target));
        plan.add(&letter(9_000, "handler"), Err(Skip::AlreadyRedriven));
        plan.add(&letter(9_000, "handler"), Err(Skip::Discarded));
        assert_eq!(plan.left_behind(), 0);
        plan.add(&letter(9_000, "handler"), Err(Skip::Replayed));
        assert_eq!(plan.left_behind(), 0);
        plan.add(&letter(9_000, "handler"), Err(Skip::TooManyRedrives));
        let counts = |list: &[(&str, u64)]| -> BTreeMap<String, u64> {
            list.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
        };
        let expected = Plan {
            scanned: 9,
            matched: 6,
            to_do: 2,
            by_reason: counts(&[("transient/handler", 1), ("transient/simulated", 1)]),
            targets: counts(&[("orders-retry", 2)]),
            schema_ids: counts(&[("7", 2)]),
            oldest_ms: Some(1_000),
            newest_ms: Some(2_000),
            skipped: BTreeMap::from([
                (Skip::AlreadyRedriven, 1),
                (Skip::Discarded, 1),
                (Skip::Replayed, 1),
                (Skip::TooManyRedrives, 1),
            ]),
            other_groups: BTreeMap::new(),
        };
        assert_eq!(plan, expected);
        assert_eq!(plan.left_behind(), 1);
    }

    #[test]
    fn the_page_fits_80_columns_with_foreign_names_and_billions() {
        let long = "a\u{1b}[2J".repeat(60);
        let mut plan = Plan { scanned: 9_876_543_210, ..Plan::default() };
        let target = Fate::Back(Target { topic: "orders-retry", partition: 0 });
        plan.add(&letter(1_795_256_952_843, &long), Ok(target));
        for skip in Skip::ALL {
            plan.skipped.insert(skip, 9_876_543_210);
        }
        plan.newest_ms = Some(1_795_256_952_843 + 86_400_000);
        let page = plan.page("would be sent back");
        assert!(page.contains("2026-11-21 10:29 to 2026-11-22 10:29"), "{page}");
        let sent = page.lines().find(|line| line.contains("sent back")).expect("it is there");
        assert!(!sent.contains('…'), "none of the times is cut: {sent}");
        assert!(page.lines().all(|line| width(line) <= 80), "{page}");
        assert!(!page.contains('\u{1b}') && !page.contains("…\n         9876543210"), "{page}");
        let words: Vec<&str> = plan.skipped.keys().map(|skip| skip.why()).collect();
        assert!(words.iter().all(|why| page.contains(why)), "none is cut: {page}");
    }

    #[test]
    fn whose_dead_letters_are_skipped_stands_below_with_the_flag_that_takes_them() {
        let mut plan = Plan::default();
        let mut letter = letter(0, "handler");
        letter.record.headers.push((b"x-origin-group", Some(b"push-invoices")));
        let letter = DeadLetter::read(letter.record);
        plan.add(&letter, Err(Skip::OtherGroup));
        plan.add(&letter, Err(Skip::Discarded));
        let page = plan.page("would be sent back");
        let lines: Vec<&str> = page.lines().map(str::trim_start).collect();
        let at =
            lines.iter().position(|line| *line == "1  skipped: dead-lettered by another group");
        let at = at.expect("it is there");
        assert_eq!(lines[at + 1], "1    of push-invoices: --group-id push-invoices", "{page}");
    }

    #[test]
    fn names_without_end_are_counted_in_bounded_memory() {
        let mut plan = Plan::default();
        let target = Fate::Back(Target { topic: "orders-retry", partition: 0 });
        for n in 0..1_010 {
            plan.add(&letter(0, &format!("r{n}")), Ok(target));
        }
        assert_eq!(plan.by_reason.len(), NAMES_MAX + 1);
        assert_eq!(plan.by_reason["other"], 10);
    }
}
