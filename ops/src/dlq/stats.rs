//! `orders dlq stats`: dead letters by cause.

use std::io::Write;

use hashbrown::HashMap;
use serde::Serialize;
use service_kit::args::OutputFormat;
use service_kit::exit::AppError;
use service_kit::live::fit;
use service_kit::table::{Side, Table};

use super::dead_letter::DeadLetter;
use super::dialect::Dialect;
use super::error::DlqError;
use super::moment::Utc;
use super::printed::{LookOn, Source, handled_words, json_line, written};
use super::redrive::Mark;
use super::source::{Taken, Tally};
use crate::progress::Results;

/// Causes that are kept apart; dead letters of further ones are counted together. Each takes less than
/// 1 KiB.
const GROUPS_MAX: usize = 10_000;

/// Longest example of a text that is kept, in characters.
const TEXT_CHARS_MAX: usize = 200;

/// Columns of a line that is not a row of the table.
const COLUMNS: usize = 80;

/// Dead letters of one cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CauseGroup {
    /// What all of them share, in 8 hexadecimal digits.
    pub fingerprint: String,
    /// How many there are; those that are handled only where these are asked for.
    pub count: u64,
    /// How many went back, as the ledger says.
    pub redriven: u64,
    /// How many were discarded, according to the ledger.
    pub discarded: u64,
    /// When the first one was written, in epoch milliseconds; none where none has a time.
    pub first_ms: Option<i64>,
    /// When the last one was written.
    pub last_ms: Option<i64>,
    /// By whose headers they are read.
    pub dialect: &'static str,
    /// Class of the failure.
    pub class: Option<String>,
    /// Reason of the failure.
    pub reason: Option<String>,
    /// What the example says in words.
    pub detail: Option<String>,
    /// Where the first one lies that was read.
    pub example: Place,
}

/// What becomes of dead letters that are handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shown {
    /// They are told beside the others, and do not count.
    #[default]
    Open,
    /// They count as well.
    All,
}

/// Where a dead letter lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Place {
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
}

/// Counts dead letters by cause, in bounded memory.
#[derive(Debug, Default)]
pub struct Stats {
    shown: Shown,
    groups: HashMap<u32, CauseGroup, foldhash::fast::FixedState>,
    other_causes: u64,
}

impl Stats {
    /// Counts nothing yet.
    #[must_use]
    pub fn of(shown: Shown) -> Self {
        Self { shown, ..Self::default() }
    }

    /// Counts one, of which the ledger says this.
    pub fn add(&mut self, letter: &DeadLetter<'_>, mark: Option<Mark>) {
        let counts = mark.is_none() || self.shown == Shown::All;
        let has_room = self.groups.len() < GROUPS_MAX;
        let group = match self.groups.get_mut(&letter.fingerprint) {
            Some(group) => group,
            None if has_room => {
                let group = CauseGroup::of(letter);
                self.groups.entry(letter.fingerprint).or_insert(group)
            }
            None => {
                self.other_causes += u64::from(counts);
                return;
            }
        };
        group.redriven += u64::from(mark == Some(Mark::Redriven));
        group.discarded += u64::from(mark == Some(Mark::Discarded));
        if counts {
            group.count_in(letter);
        }
    }

    /// Causes of dead letters that count, the most frequent first.
    #[must_use]
    pub fn groups(&self) -> Vec<&CauseGroup> {
        let mut groups: Vec<&CauseGroup> =
            self.groups.values().filter(|group| group.count > 0).collect();
        groups.sort_unstable_by(|a, b| {
            b.count.cmp(&a.count).then_with(|| a.fingerprint.cmp(&b.fingerprint))
        });
        groups
    }

    /// Dead letters of causes beyond the first 10,000.
    #[must_use]
    pub const fn other_causes(&self) -> u64 {
        self.other_causes
    }
}

impl CauseGroup {
    fn of(letter: &DeadLetter<'_>) -> Self {
        let text = |text: &std::borrow::Cow<'_, str>| text.chars().take(TEXT_CHARS_MAX).collect();
        let (record, cause) = (&letter.record, &letter.cause);
        Self {
            fingerprint: format!("{:08x}", letter.fingerprint),
            count: 0,
            redriven: 0,
            discarded: 0,
            first_ms: None,
            last_ms: None,
            dialect: letter.dialect.as_str(),
            class: cause.class.as_ref().map(text),
            reason: cause.reason.as_ref().map(text),
            detail: cause.detail.as_ref().map(text),
            example: Place { partition: record.partition, offset: record.offset },
        }
    }

    fn count_in(&mut self, letter: &DeadLetter<'_>) {
        let record = &letter.record;
        if self.count == 0 {
            self.example = Place { partition: record.partition, offset: record.offset };
        }
        self.count += 1;
        let Some(ms) = record.written_ms else { return };
        self.first_ms = Some(self.first_ms.map_or(ms, |first| first.min(ms)));
        self.last_ms = Some(self.last_ms.map_or(ms, |last| last.max(ms)));
    }

    /// The cause in one line.
    fn cause(&self) -> String {
        let named = [&self.class, &self.reason];
        let named: Vec<&str> = named.into_iter().filter_map(|name| name.as_deref()).collect();
        let mut line = named.join("/");
        if self.dialect != Dialect::Orders.as_str() {
            line = format!("{} ({})", line, self.dialect).trim_start().to_owned();
        }
        if let Some(detail) = self.detail.as_deref().filter(|detail| !detail.is_empty()) {
            line = format!("{line}: {detail}");
        }
        let handled = [(self.redriven, "redriven"), (self.discarded, "discarded")];
        let handled = handled.into_iter().filter(|(number, _)| *number > 0);
        let words: Vec<String> = handled.map(|(number, word)| format!("{number} {word}")).collect();
        if words.is_empty() { line } else { format!("{}. {line}", words.join(", ")) }
    }
}

#[derive(Serialize)]
struct Told<'a> {
    topic: &'a str,
    scanned: u64,
    matched: u64,
    redriven: u64,
    discarded: u64,
    groups: Vec<&'a CauseGroup>,
    other_causes: u64,
}

/// Prints causes and counts.
///
/// # Errors
///
/// As [`super::DlqTopic::scan`].
pub(super) fn run(source: &Source) -> Result<Option<Tally>, AppError> {
    let shown = if source.shows_handled { Shown::All } else { Shown::Open };
    let mut stats = Stats::of(shown);
    let (mut redriven, mut discarded) = (0, 0);
    let tally = source.each(source.limit, LookOn::at(Results::AtTheEnd), |letter| {
        let mark = source.mark(letter);
        stats.add(letter, mark);
        redriven += u64::from(mark == Some(Mark::Redriven));
        discarded += u64::from(mark == Some(Mark::Discarded));
        let passed_over = mark.filter(|_| shown == Shown::Open);
        Ok(passed_over.map_or(Taken::Meant, Taken::PassedOver))
    })?;
    let told = Told {
        topic: source.topic.name(),
        scanned: tally.scanned,
        matched: tally.matched,
        redriven,
        discarded,
        groups: stats.groups(),
        other_causes: stats.other_causes(),
    };
    written(|out| {
        print(out, source.settings.output, &told)?;
        Ok(tally)
    })
}

fn print(out: &mut dyn Write, format: OutputFormat, told: &Told<'_>) -> Result<(), DlqError> {
    match format {
        OutputFormat::Table => out.write_all(table(told).as_bytes())?,
        OutputFormat::Json => writeln!(out, "{}", json_line(told)?)?,
        OutputFormat::Jsonl => {
            for group in &told.groups {
                writeln!(out, "{}", json_line(group)?)?;
            }
        }
    }
    Ok(())
}

/// A row for each cause, and below it the cause in words.
fn table(told: &Told<'_>) -> String {
    let mut table = Table::new(&[
        ("FINGERPRINT", Side::Left),
        ("COUNT", Side::Right),
        ("FIRST (UTC)", Side::Left),
        ("LAST (UTC)", Side::Left),
        ("EXAMPLE", Side::Left),
    ]);
    for group in &told.groups {
        table.row([
            group.fingerprint.clone(),
            group.count.to_string(),
            Utc(group.first_ms).to_the_minute(),
            Utc(group.last_ms).to_the_minute(),
            format!("{}:{}", group.example.partition, group.example.offset),
        ]);
    }
    let mut text = String::new();
    let rows = table.text();
    let causes = told.groups.iter().map(|group| Some(format!("    {}", group.cause())));
    for (row, cause) in rows.lines().zip(std::iter::once(None).chain(causes)) {
        text.push_str(row);
        text.push('\n');
        if let Some(cause) = cause {
            text.push_str(&fit(&cause, COLUMNS));
            text.push('\n');
        }
    }
    if let Some(words) = handled_words(told.redriven, told.discarded) {
        text.push_str(&format!("{words}\n"));
    }
    if told.other_causes > 0 {
        text.push_str(&format!("and {} of further causes\n", told.other_causes));
    }
    text
}

#[cfg(test)]
mod tests {
    use service_kit::live::width;

    use super::*;
    use crate::dlq::record::{Header, Record};

    fn letter<'a>(offset: i64, written_ms: i64, class: &'a str, detail: &'a str) -> DeadLetter<'a> {
        let headers: Vec<Header<'a>> = vec![
            (b"dead-letter-topic", Some(b"orders")),
            (b"dead-letter-partition", Some(b"0")),
            (b"dead-letter-exception-class-name", Some(class.as_bytes())),
            (b"dead-letter-reason", Some(detail.as_bytes())),
        ];
        let written_ms = Some(written_ms);
        DeadLetter::read(Record { offset, written_ms, headers, ..Record::default() })
    }

    #[test]
    fn dead_letters_of_one_cause_are_counted_together_the_most_frequent_first() {
        let mut stats = Stats::default();
        for (offset, ms, class) in [(0, 30, "A"), (1, 20, "B"), (2, 10, "A"), (3, 40, "A")] {
            stats.add(&letter(offset, ms, class, "no stock of 12"), None);
        }
        let groups = stats.groups();
        let seen: Vec<_> =
            groups.iter().map(|g| (g.class.as_deref(), g.count, g.first_ms, g.last_ms)).collect();
        let expected = [(Some("A"), 3, Some(10), Some(40)), (Some("B"), 1, Some(20), Some(20))];
        assert_eq!(seen, expected);
    }

    #[test]
    fn those_that_are_handled_are_told_and_count_on_request_only() {
        let marks = [
            ("A", Some(Mark::Redriven)),
            ("A", Some(Mark::Discarded)),
            ("A", None),
            ("B", Some(Mark::Discarded)),
        ];
        let count = |shown| {
            let mut stats = Stats::of(shown);
            for (offset, (class, mark)) in (0..).zip(marks) {
                stats.add(&letter(offset, offset, class, ""), mark);
            }
            let tell =
                |g: &&CauseGroup| (g.count, g.redriven, g.discarded, g.first_ms, g.example.offset);
            stats.groups().iter().map(tell).collect::<Vec<_>>()
        };
        assert_eq!(count(Shown::Open), [(1, 1, 1, Some(2), 2)]);
        assert_eq!(count(Shown::All), [(3, 1, 1, Some(0), 0), (1, 0, 1, Some(3), 3)]);
    }

    #[test]
    fn causes_without_end_are_counted_in_bounded_memory() {
        let mut stats = Stats::default();
        for offset in 0..10_050 {
            stats.add(&letter(offset, 0, &format!("C{offset}"), ""), None);
        }
        assert_eq!(stats.groups().len(), GROUPS_MAX);
        assert_eq!(stats.other_causes(), 50);
        stats.add(&letter(0, 0, "C7", ""), None);
        assert_eq!(stats.groups()[0].count, 2, "a cause that is known is counted on");
    }

    #[test]
    fn the_table_fits_80_columns_also_with_billions_of_records_and_foreign_texts() {
        let long = "a\u{1b}[2J long message, without an end ".repeat(9);
        let mut stats = Stats::of(Shown::All);
        let mut all = letter(9_876_543_210, 1_795_256_952_843, &long, &long);
        all.record.partition = 11;
        stats.add(&all, Some(Mark::Discarded));
        stats.groups.values_mut().for_each(|group| group.count = 9_876_543_210);
        let told = Told {
            topic: "t",
            scanned: 1,
            matched: 1,
            redriven: 3,
            discarded: 9,
            groups: stats.groups(),
            other_causes: 7,
        };
        let text = table(&told);
        assert!(text.lines().all(|line| width(line) <= 80), "{text}");
        assert!(!text.contains('\u{1b}') && text.ends_with("and 7 of further causes\n"), "{text}");
        assert_eq!(text.lines().count(), 5, "{text}");
    }
}
