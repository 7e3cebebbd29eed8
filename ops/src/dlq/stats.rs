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
use super::printed::{Source, json_line, written};
use super::redrive::Handled;
use super::source::Tally;

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
    /// How many there are.
    pub count: u64,
    /// How many of them went back, as the ledger says.
    pub redriven: u64,
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
    groups: HashMap<u32, CauseGroup, foldhash::fast::FixedState>,
    other_causes: u64,
}

impl Stats {
    /// Counts one; `went_back` as the ledger says.
    pub fn add(&mut self, letter: &DeadLetter<'_>, went_back: bool) {
        let has_room = self.groups.len() < GROUPS_MAX;
        match self.groups.get_mut(&letter.fingerprint) {
            Some(group) => {
                group.add(letter.record.written_ms);
                group.redriven += u64::from(went_back);
            }
            None if has_room => {
                let redriven = u64::from(went_back);
                let group = CauseGroup { redriven, ..CauseGroup::of(letter) };
                self.groups.insert(letter.fingerprint, group);
            }
            None => self.other_causes += 1,
        }
    }

    /// Causes, the most frequent first.
    #[must_use]
    pub fn groups(&self) -> Vec<&CauseGroup> {
        let mut groups: Vec<&CauseGroup> = self.groups.values().collect();
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
            count: 1,
            redriven: 0,
            first_ms: record.written_ms,
            last_ms: record.written_ms,
            dialect: letter.dialect.as_str(),
            class: cause.class.as_ref().map(text),
            reason: cause.reason.as_ref().map(text),
            detail: cause.detail.as_ref().map(text),
            example: Place { partition: record.partition, offset: record.offset },
        }
    }

    fn add(&mut self, written_ms: Option<i64>) {
        self.count += 1;
        let Some(ms) = written_ms else { return };
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
        match self.redriven {
            0 => line,
            redriven => format!("{redriven} went back. {line}"),
        }
    }
}

#[derive(Serialize)]
struct Told<'a> {
    topic: &'a str,
    scanned: u64,
    matched: u64,
    groups: Vec<&'a CauseGroup>,
    other_causes: u64,
}

/// Prints causes and counts.
///
/// # Errors
///
/// As [`super::DlqTopic::scan`].
pub(super) fn run(source: &Source, handled: &Handled) -> Result<Option<Tally>, AppError> {
    let mut stats = Stats::default();
    let tally = source.each(|letter| {
        let record = &letter.record;
        stats.add(letter, handled.has(record.partition, record.offset));
        Ok(())
    })?;
    let told = Told {
        topic: source.topic.name(),
        scanned: tally.scanned,
        matched: tally.matched,
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
            stats.add(&letter(offset, ms, class, "no stock of 12"), offset == 2);
        }
        let groups = stats.groups();
        let seen: Vec<_> = groups
            .iter()
            .map(|g| (g.class.as_deref(), g.count, g.redriven, g.first_ms, g.last_ms))
            .collect();
        let expected =
            [(Some("A"), 3, 1, Some(10), Some(40)), (Some("B"), 1, 0, Some(20), Some(20))];
        assert_eq!(seen, expected);
    }

    #[test]
    fn causes_without_end_are_counted_in_bounded_memory() {
        let mut stats = Stats::default();
        for offset in 0..10_050 {
            stats.add(&letter(offset, 0, &format!("C{offset}"), ""), false);
        }
        assert_eq!(stats.groups().len(), GROUPS_MAX);
        assert_eq!(stats.other_causes(), 50);
        stats.add(&letter(0, 0, "C7", ""), false);
        assert_eq!(stats.groups()[0].count, 2, "a cause that is known is counted on");
    }

    #[test]
    fn the_table_fits_80_columns_also_with_billions_of_records_and_foreign_texts() {
        let long = "a\u{1b}[2J long message, without an end ".repeat(9);
        let mut stats = Stats::default();
        let mut all = letter(9_876_543_210, 1_795_256_952_843, &long, &long);
        all.record.partition = 11;
        stats.add(&all, true);
        stats.groups.values_mut().for_each(|group| group.count = 9_876_543_210);
        let told =
            Told { topic: "t", scanned: 1, matched: 1, groups: stats.groups(), other_causes: 7 };
        let text = table(&told);
        assert!(text.lines().all(|line| width(line) <= 80), "{text}");
        assert!(!text.contains('\u{1b}') && text.ends_with("and 7 of further causes\n"), "{text}");
        assert_eq!(text.lines().count(), 4, "{text}");
    }
}
