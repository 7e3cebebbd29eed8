//! Lines that fit the terminal they are printed on.
//!
//! A terminal breaks a long line in the middle of a word, and hides where the next one begins. What
//! is for people is broken at blanks instead, and goes on below, indented. Where no terminal reads, a
//! line stays a line: programs count on that.

use std::borrow::Cow;

use console::Term;
use textwrap::{Options, WordSplitter, WrapAlgorithm};

use crate::live::width;

/// Width that is taken for a terminal that does not say its own.
const COLUMNS_UNKNOWN: usize = 80;

/// On a narrower terminal lines are broken as if it had so many columns.
const COLUMNS_MIN: usize = 20;

/// How far a line that goes on is indented, where nothing in it suggests more.
const INDENT: usize = 4;

/// One of the two streams that a program prints on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Results.
    Stdout,
    /// Logs, progress and errors.
    Stderr,
}

/// Returns how many columns the terminal behind `stream` has; none if it is no terminal.
#[must_use]
pub fn columns(stream: Stream) -> Option<usize> {
    let term = match stream {
        Stream::Stdout => Term::stdout(),
        Stream::Stderr => Term::stderr(),
    };
    let size = || term.size_checked().map_or(COLUMNS_UNKNOWN, |(_, columns)| columns.into());
    term.is_term().then(size)
}

/// Returns `text` as `stream` takes it: folded to the terminal's width, or as it is.
#[must_use]
pub fn for_stream(text: &str, stream: Stream) -> Cow<'_, str> {
    match columns(stream) {
        Some(columns) => Cow::Owned(folded(text, columns)),
        None => Cow::Borrowed(text),
    }
}

/// Returns `text` with each line that is wider than `columns` broken at blanks. It goes on in the
/// column in which its last cell begins, if the line is one of a table and there is room; otherwise a
/// little to the right of its beginning.
///
/// ```
/// # use service_kit::fold::folded;
/// let line = "kafka     silent: no answer within 5 s";
/// assert_eq!(folded(line, 30), "kafka     silent: no answer\n          within 5 s");
/// ```
#[must_use]
pub fn folded(text: &str, columns: usize) -> String {
    let mut folded = String::with_capacity(text.len());
    for (index, line) in text.split('\n').enumerate() {
        if index > 0 {
            folded.push('\n');
        }
        folded.push_str(&folded_line(line, columns, indent_of(line, columns)));
    }
    folded
}

/// Returns one line, broken at blanks where it is wider than `columns`; it goes on `indent` columns
/// to the right.
#[must_use]
pub fn folded_line(line: &str, columns: usize, indent: usize) -> Cow<'_, str> {
    let columns = columns.max(COLUMNS_MIN);
    if width(line) <= columns {
        return Cow::Borrowed(line);
    }
    let indent = " ".repeat(indent.min(columns * 2 / 3));
    let options = Options::new(columns)
        .subsequent_indent(&indent)
        .word_splitter(WordSplitter::NoHyphenation)
        .wrap_algorithm(WrapAlgorithm::FirstFit);
    Cow::Owned(textwrap::wrap(line, options).join("\n"))
}

/// Where a line goes on.
fn indent_of(line: &str, columns: usize) -> usize {
    let leading = line.len() - line.trim_start_matches(' ').len();
    let mark = [("- ", 2), ("! ", 2), ("? ", 2)];
    let marked = mark.iter().find(|(mark, _)| line[leading..].starts_with(mark));
    if let Some((_, width)) = marked {
        return leading + width;
    }
    let Some(gap) = line.rfind("  ").filter(|gap| *gap >= leading) else {
        return leading + INDENT;
    };
    let (before, cell) = line.split_at(gap + 2);
    let (begin, longest) = (width(before), cell.split(' ').map(width).max().unwrap_or(0));
    if begin <= columns * 2 / 3 && begin + longest <= columns { begin } else { leading + INDENT }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_fits(text: &str, columns: usize) {
        assert!(text.lines().all(|line| width(line) <= columns), "{columns}:\n{text}");
    }

    #[test]
    fn what_fits_is_as_it_was() {
        for text in ["", "a\n\n  b  \n", "producer: error: no broker", "\u{1b}[1mbold\u{1b}[0m"] {
            assert_eq!(folded(text, 30), text);
        }
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_no_word_is_lost() {
        let long = "x".repeat(150);
        for text in [
            "hint: is Kafka running there? name it with --bootstrap-server or its variable",
            "      - without --outcomes-topic only sums per partition and product are compared",
            "orders.inventory    order.placed    queue-type=quorum overflow=reject-publish",
            "日本茶 日本茶 日本茶 日本茶 日本茶 日本茶 日本茶 日本茶 日本茶 日本茶 日本茶",
            "\u{1b}[2m14:12:46\u{1b}[0m \u{1b}[33mWARN\u{1b}[0m  the broker is unavailable for the moment",
            &long,
        ] {
            for columns in [20, 40, 79] {
                let folded = folded(text, columns);
                assert_fits(&folded, columns);
                let words = |text: &str| text.split_whitespace().collect::<String>();
                assert_eq!(words(&folded), words(text));
            }
        }
    }

    #[test]
    fn a_line_goes_on_where_its_last_cell_begins_or_a_little_to_the_right() {
        let cell = folded("I1  green  every settled order is counted or waits", 30);
        assert_eq!(cell, "I1  green  every settled order\n           is counted or waits");
        let mark = folded("   - one two three four five six", 20);
        assert_eq!(mark, "   - one two three\n     four five six");
        let plain = folded("one two three four five six seven", 20);
        assert_eq!(plain, "one two three four\n    five six seven");
    }

    #[test]
    fn a_terminal_of_no_width_is_no_reason_to_hang() {
        assert_fits(&folded(&"one two three ".repeat(9), 0), COLUMNS_MIN);
    }
}
