//! `orders dlq list`: one line for each dead letter that is meant.

use std::borrow::Cow;
use std::io::Write;

use service_kit::args::OutputFormat;
use service_kit::exit::AppError;
use service_kit::live::{fill, fit, stdout_columns};

use super::dead_letter::DeadLetter;
use super::error::DlqError;
use super::moment::Utc;
use super::printed::{Line, Source, json_line};
use super::source::Tally;
use super::value::hex;
use super::view::Summary;

/// A line for people is at least so wide.
const COLUMNS_MIN: usize = 80;

/// A wider terminal gives more room to the words of a failure, up to this.
const COLUMNS_MAX: usize = 200;

/// Columns of `WRITTEN (UTC)`, `TRIES`, `CAUSE` and `KEY`.
const WRITTEN: usize = 19;
const TRIES: usize = 5;
const FINGERPRINT: usize = 11;
const CAUSE: usize = 18;

/// Shortest part of a detail that is worth its columns.
const DETAIL_MIN: usize = 20;

/// Columns of a key where the words of a failure stand behind it.
const KEY_BESIDE_DETAIL: usize = 16;

/// Prints the dead letters that are meant.
///
/// # Errors
///
/// As [`super::DlqTopic::scan`].
pub(super) fn run(source: &Source) -> Result<Option<Tally>, AppError> {
    let layout = Layout::of(source.topic.place_columns(), stdout_columns());
    let format = source.settings.output;
    source.each_written(
        |out| match format {
            OutputFormat::Table => Ok(writeln!(out, "{}", layout.heading())?),
            OutputFormat::Json => Ok(write!(out, "[")?),
            OutputFormat::Jsonl => Ok(()),
        },
        |out, shown| line(out, format, &layout, shown),
        |out| match format {
            OutputFormat::Json => Ok(writeln!(out, "\n]")?),
            _ => Ok(()),
        },
    )
}

fn line(
    out: &mut dyn Write,
    format: OutputFormat,
    layout: &Layout,
    shown: &Line<'_>,
) -> Result<(), DlqError> {
    let json = || json_line(&Summary::of(shown.topic, shown.letter).marked(shown.mark));
    match format {
        OutputFormat::Table => writeln!(out, "{}", layout.row(shown.letter))?,
        OutputFormat::Json => {
            let before = if shown.is_first { "\n" } else { ",\n" };
            write!(out, "{before}{}", json()?)?;
        }
        OutputFormat::Jsonl => writeln!(out, "{}", json()?)?,
    }
    Ok(())
}

/// Where the columns of a line stand. It is known before the first record, so that no record is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Layout {
    place: usize,
    key: usize,
    detail: usize,
}

impl Layout {
    /// `place` is what `PARTITION:OFFSET` takes at most, `terminal` the columns of one, if there is one.
    fn of(place: usize, terminal: Option<usize>) -> Self {
        let place = place.max("PLACE".len());
        let columns = terminal.unwrap_or(COLUMNS_MIN).clamp(COLUMNS_MIN, COLUMNS_MAX);
        let fixed = place + WRITTEN + TRIES + FINGERPRINT + CAUSE + 5 * 2;
        let rest = columns.saturating_sub(fixed);
        match rest.checked_sub(KEY_BESIDE_DETAIL + 2).filter(|left| *left >= DETAIL_MIN) {
            Some(detail) => Self { place, key: KEY_BESIDE_DETAIL, detail },
            None => Self { place, key: rest.max(3), detail: 0 },
        }
    }

    fn heading(&self) -> String {
        self.line(["PLACE", "WRITTEN (UTC)", "TRIES", "FINGERPRINT", "CAUSE", "KEY", "DETAIL"])
    }

    fn row(&self, letter: &DeadLetter<'_>) -> String {
        let record = &letter.record;
        self.line([
            &format!("{}:{}", record.partition, record.offset),
            &Utc(record.written_ms).to_the_second(),
            &letter.attempts.map_or_else(|| "-".to_owned(), |attempts| attempts.to_string()),
            &format!("{:08x}", letter.fingerprint),
            letter.cause_in_short(),
            &bytes_in_short(record.key),
            letter.cause.detail.as_deref().unwrap_or_default(),
        ])
    }

    fn line(&self, cells: [&str; 7]) -> String {
        let widths = [self.place, WRITTEN, TRIES, FINGERPRINT, CAUSE, self.key, self.detail];
        let mut line = String::with_capacity(COLUMNS_MIN);
        for (cell, columns) in cells.into_iter().zip(widths).filter(|(_, columns)| *columns > 0) {
            if !line.is_empty() {
                line.push_str("  ");
            }
            push_filled(&mut line, cell, columns);
        }
        line.truncate(line.trim_end().len());
        line
    }
}

/// Adds a cell of just so many columns. Most of them are plain: what measuring takes is left out then.
fn push_filled(line: &mut String, cell: &str, columns: usize) {
    let is_plain = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
    if cell.len() <= columns && cell.bytes().all(is_plain) {
        line.push_str(cell);
        line.extend(std::iter::repeat_n(' ', columns - cell.len()));
    } else {
        line.push_str(&fill(cell, columns));
    }
}

/// A key for people: text as it is, other bytes in hexadecimal.
pub(super) fn bytes_in_short(bytes: Option<&[u8]>) -> Cow<'_, str> {
    let Some(bytes) = bytes else { return Cow::Borrowed("-") };
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(fit(&format!("0x{}", hex(bytes)), COLUMNS_MAX)),
    }
}

#[cfg(test)]
mod tests {
    use service_kit::live::width;

    use super::*;
    use crate::dlq::record::Record;

    fn letter() -> DeadLetter<'static> {
        DeadLetter::read(Record {
            partition: 11,
            offset: 9_876_543_210,
            written_ms: Some(1_795_256_952_843),
            key: Some("日本茶と\u{1b}[2Jcoffee from a far place".as_bytes()),
            value: None,
            headers: vec![
                (b"x-origin-topic", Some(b"orders")),
                (b"x-origin-partition", Some(b"0")),
                (b"x-attempt", Some(b"4")),
                (b"x-failure-class", Some(b"transient")),
                (b"x-failure-reason", Some(b"too-large-to-retry")),
                (b"x-failure-detail", Some(b"the topic refuses it\nfor its size")),
                (b"x-fingerprint", Some(b"d0186006")),
            ],
        })
    }

    #[test]
    fn lines_fit_80_columns_also_with_billions_of_records_and_foreign_keys() {
        for (place, terminal) in [(3, None), (13, None), (13, Some(40)), (3, Some(80))] {
            let layout = Layout::of(place, terminal);
            for line in [layout.heading(), layout.row(&letter())] {
                assert!(width(&line) <= 80, "{line}");
                assert!(!line.contains(char::is_control), "{line:?}");
            }
        }
    }

    #[test]
    fn what_is_copied_into_the_next_command_is_never_cut() {
        let row = Layout::of(13, None).row(&letter());
        for whole in ["11:9876543210", "2026-11-21 10:29:12", "d0186006", "too-large-to-retry"] {
            assert!(row.contains(whole), "{row}");
        }
    }

    #[test]
    fn a_wide_terminal_shows_the_words_of_the_failure_as_well() {
        let row = Layout::of(13, Some(200)).row(&letter());
        assert!(row.ends_with("the topic refuses it\\nfor its size"), "{row}");
        assert!(width(&row) <= 200);
    }

    #[test]
    fn a_key_that_is_no_text_is_in_hexadecimal() {
        assert_eq!(bytes_in_short(Some(&[0xff, 0x01])), "0xff01");
        assert_eq!((bytes_in_short(None), bytes_in_short(Some(b""))), ("-".into(), "".into()));
    }
}
