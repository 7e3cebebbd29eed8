//! `orders dlq list`: one line for each dead letter that is meant.

mod groups;

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::io::Write;

use service_kit::args::OutputFormat;
use service_kit::exit::AppError;
use service_kit::live::{fill, fit, stdout_columns};

use self::groups::Groups;
use super::dead_letter::DeadLetter;
use super::error::DlqError;
use super::moment::Utc;
use super::printed::{Line, Source, json_line};
use super::redrive::Mark;
use super::source::Tally;
use super::value::hex;
use super::view::Summary;

/// A line for people is at least so wide.
const COLUMNS_MIN: usize = 80;

/// A wider terminal gives more room to the words of a failure, up to this.
const COLUMNS_MAX: usize = 200;

/// Columns of `WRITTEN (UTC)`, `TRIES`, `FINGERPRINT` and `CAUSE`.
const WRITTEN: usize = 19;
const TRIES: usize = 5;
const FINGERPRINT: usize = 11;
const CAUSE: usize = 18;

/// Columns of `HANDLED`. Where those that are handled are shown it stands in the place of `TRIES`, and the
/// time has no seconds.
const HANDLED: usize = 9;
const WRITTEN_TO_THE_MINUTE: usize = 16;

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
    let (place, shows_handled) = (source.topic.place_columns(), source.shows_handled);
    let layout = Layout::of(place, stdout_columns(), shows_handled);
    let (mut rows, mut groups) = (Rows::of(layout), Groups::of(layout.columns));
    let format = source.settings.output;
    source.each_written(
        |out| match format {
            OutputFormat::Table => Ok(writeln!(out, "{}", layout.heading())?),
            OutputFormat::Json => Ok(write!(out, "[")?),
            OutputFormat::Jsonl => Ok(()),
        },
        |out, shown| line(out, format, (&mut rows, &mut groups), shown),
        |out| match format {
            OutputFormat::Json => Ok(writeln!(out, "\n]")?),
            _ => Ok(()),
        },
    )
}

fn line(
    out: &mut dyn Write,
    format: OutputFormat,
    (rows, groups): (&mut Rows, &mut Groups),
    shown: &Line<'_>,
) -> Result<(), DlqError> {
    let json = || json_line(&Summary::of(shown.topic, shown.letter).marked(shown.mark));
    match format {
        OutputFormat::Table => {
            let origin = shown.letter.origin.as_ref();
            if let Some(told) =
                groups.line_before(origin.and_then(|origin| origin.group.as_deref()))
            {
                writeln!(out, "{told}")?;
            }
            out.write_all(rows.row(shown.letter, shown.mark).as_bytes())?;
        }
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
    /// Of a whole line.
    columns: usize,
    place: usize,
    key: usize,
    detail: usize,
    /// Whether those that are handled are shown, and so marked.
    shows_handled: bool,
}

impl Layout {
    /// `place` is what `PARTITION:OFFSET` takes at most, `terminal` the columns of one, if there is one.
    fn of(place: usize, terminal: Option<usize>, shows_handled: bool) -> Self {
        let place = place.max("PLACE".len());
        let columns = terminal.unwrap_or(COLUMNS_MIN).clamp(COLUMNS_MIN, COLUMNS_MAX);
        let [written, third] = Self::written_and_third(shows_handled);
        let fixed = place + written + third + FINGERPRINT + CAUSE + 5 * 2;
        let rest = columns.saturating_sub(fixed);
        match rest.checked_sub(KEY_BESIDE_DETAIL + 2).filter(|left| *left >= DETAIL_MIN) {
            Some(detail) => Self { columns, place, key: KEY_BESIDE_DETAIL, detail, shows_handled },
            None => Self { columns, place, key: rest.max(3), detail: 0, shows_handled },
        }
    }

    /// Columns of the time, and of what stands behind it.
    const fn written_and_third(shows_handled: bool) -> [usize; 2] {
        if shows_handled { [WRITTEN_TO_THE_MINUTE, HANDLED] } else { [WRITTEN, TRIES] }
    }

    fn heading(&self) -> String {
        let third = if self.shows_handled { "HANDLED" } else { "TRIES" };
        self.line(["PLACE", "WRITTEN (UTC)", third, "FINGERPRINT", "CAUSE", "KEY", "DETAIL"])
    }

    fn widths(&self) -> [usize; 7] {
        let [written, third] = Self::written_and_third(self.shows_handled);
        [self.place, written, third, FINGERPRINT, CAUSE, self.key, self.detail]
    }

    fn line(&self, cells: [&str; 7]) -> String {
        let mut line = String::with_capacity(COLUMNS_MIN);
        for (cell, columns) in cells.into_iter().zip(self.widths()) {
            push_cell(&mut line, cell, columns);
        }
        line.truncate(line.trim_end().len());
        line
    }
}

/// Makes a row of each dead letter, in memory that is used again: there are millions of them.
struct Rows {
    layout: Layout,
    row: String,
    cell: String,
    /// The last second that was printed, and its text: many dead letters share it.
    second: Option<i64>,
    written: String,
}

impl Rows {
    fn of(layout: Layout) -> Self {
        let written = Utc(None).to_the_second();
        Self { layout, row: String::new(), cell: String::new(), second: None, written }
    }

    /// The row of a dead letter, with its line's end.
    fn row(&mut self, letter: &DeadLetter<'_>, mark: Option<Mark>) -> &str {
        let [place, written, third, fingerprint, cause, key, detail] = self.layout.widths();
        let record = &letter.record;
        self.tell_time(record.written_ms);
        let Self { layout, row, cell, written: time, .. } = self;
        row.clear();
        push_told(row, cell, place, format_args!("{}:{}", record.partition, record.offset));
        push_cell(row, time, written);
        match (layout.shows_handled, letter.attempts) {
            (true, _) => push_cell(row, mark.map_or("-", Mark::as_str), third),
            (false, Some(attempts)) => push_told(row, cell, third, format_args!("{attempts}")),
            (false, None) => push_cell(row, "-", third),
        }
        push_told(row, cell, fingerprint, format_args!("{:08x}", letter.fingerprint));
        push_cell(row, letter.cause_in_short(), cause);
        push_cell(row, &bytes_in_short(record.key), key);
        push_cell(row, letter.cause.detail.as_deref().unwrap_or_default(), detail);
        row.truncate(row.trim_end_matches(' ').len());
        row.push('\n');
        row
    }

    fn tell_time(&mut self, written_ms: Option<i64>) {
        let second = written_ms.map(|ms| ms.div_euclid(1_000));
        if second == self.second {
            return;
        }
        let time = Utc(written_ms);
        self.written = match self.layout.shows_handled {
            true => time.to_the_minute(),
            false => time.to_the_second(),
        };
        self.second = second;
    }
}

/// Adds what is written by numbers as a cell.
fn push_told(row: &mut String, cell: &mut String, columns: usize, told: fmt::Arguments<'_>) {
    cell.clear();
    let _ = cell.write_fmt(told); // a String takes all
    push_cell(row, cell, columns);
}

/// Adds a cell behind the others; one without columns is left out.
fn push_cell(line: &mut String, cell: &str, columns: usize) {
    if columns == 0 {
        return;
    }
    if !line.is_empty() {
        line.push_str("  ");
    }
    push_filled(line, cell, columns);
}

/// Blanks that are added at once.
const BLANKS: &str = "                                ";

/// Adds a cell of just so many columns. Most of them are plain: what measuring takes is left out then.
fn push_filled(line: &mut String, cell: &str, columns: usize) {
    let is_plain = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
    if cell.len() <= columns && cell.bytes().all(is_plain) {
        line.push_str(cell);
        let mut blanks = columns - cell.len();
        while blanks > 0 {
            let some = blanks.min(BLANKS.len());
            line.push_str(&BLANKS[..some]);
            blanks -= some;
        }
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

    /// The row of that dead letter, without its line's end.
    fn row(layout: Layout, mark: Option<Mark>) -> String {
        let mut rows = Rows::of(layout);
        let row = rows.row(&letter(), mark).to_owned();
        assert_eq!(rows.row(&letter(), mark), row, "what is kept of the last row changes no other");
        row.strip_suffix('\n').expect("a whole line").to_owned()
    }

    #[test]
    fn each_row_has_its_own_time_also_where_it_has_none() {
        let mut rows = Rows::of(Layout::of(13, None, false));
        for (written_ms, expected) in [
            (None, "  -  "),
            (Some(1_795_256_952_843), "2026-11-21 10:29:12"),
            (Some(1_795_256_952_999), "2026-11-21 10:29:12"),
            (Some(1_795_256_953_000), "2026-11-21 10:29:13"),
            (None, "  -  "),
            (Some(-1), "1969-12-31 23:59:59"),
        ] {
            let mut letter = letter();
            letter.record.written_ms = written_ms;
            let row = rows.row(&letter, None);
            assert!(row.contains(expected), "{written_ms:?}: {row}");
        }
    }

    #[test]
    fn lines_fit_80_columns_also_with_billions_of_records_and_foreign_keys() {
        for (place, terminal) in [(3, None), (13, None), (13, Some(40)), (3, Some(80))] {
            for (shows_handled, mark) in [(false, None), (true, Some(Mark::Discarded))] {
                let layout = Layout::of(place, terminal, shows_handled);
                for line in [layout.heading(), row(layout, mark)] {
                    assert!(width(&line) <= 80, "{line}");
                    assert!(!line.contains(char::is_control), "{line:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_copied_into_the_next_command_is_never_cut() {
        let row = row(Layout::of(13, None, false), None);
        for whole in ["11:9876543210", "2026-11-21 10:29:12", "d0186006", "too-large-to-retry"] {
            assert!(row.contains(whole), "{row}");
        }
    }

    #[test]
    fn where_handled_ones_are_shown_each_row_says_whether_it_is_one() {
        let layout = Layout::of(13, None, true);
        assert!(layout.heading().contains("  HANDLED    FINGERPRINT"), "{}", layout.heading());
        for (mark, word) in
            [(None, "-"), (Some(Mark::Redriven), "redriven"), (Some(Mark::Discarded), "discarded")]
        {
            let row = row(layout, mark);
            let expected = format!("11:9876543210  2026-11-21 10:29  {word:9}  d0186006");
            assert!(row.starts_with(&expected), "{row}");
        }
    }

    #[test]
    fn a_wide_terminal_shows_the_words_of_the_failure_as_well() {
        let row = row(Layout::of(13, Some(200), false), None);
        assert!(row.ends_with("the topic refuses it\\nfor its size"), "{row}");
        assert!(width(&row) <= 200);
    }

    #[test]
    fn a_key_that_is_no_text_is_in_hexadecimal() {
        assert_eq!(bytes_in_short(Some(&[0xff, 0x01])), "0xff01");
        assert_eq!((bytes_in_short(None), bytes_in_short(Some(b""))), ("-".into(), "".into()));
    }
}
