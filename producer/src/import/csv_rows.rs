//! Rows of a CSV file.
//!
//! Not the `csv` crate's reader: to it, a quote that is never closed makes one field of the whole
//! rest of the file. Here it costs the row it stands in, and memory stays bounded.

use std::collections::VecDeque;
use std::io::{self, Read};

use super::lines::{Line, Lines, ROW_BYTES_MAX, without_line_end};

/// A quoted field may span so many lines; then its quote counts as never closed.
const ROW_LINES_MAX: usize = 100;

/// The fields of one row, one after the other.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Fields {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Fields {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn get(&self, index: usize) -> Option<&[u8]> {
        let end = *self.ends.get(index)?;
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        Some(&self.bytes[start..end])
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    fn end_field(&mut self) {
        self.ends.push(self.bytes.len());
    }
}

/// One row as it stands in the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// Number of its first line, from 1.
    pub(super) line: u64,
    /// Its bytes, without the line end.
    pub(super) raw: Vec<u8>,
    /// Why it has no fields, if it has none.
    pub(super) broken: Option<String>,
}

pub(super) struct CsvRows<R> {
    lines: Lines<R>,
    /// Lines that were read ahead for a row that turned out to end earlier.
    unread: VecDeque<Line>,
    delimiter: u8,
    /// Fields per row, known from the header on.
    width: Option<usize>,
}

impl<R: Read> CsvRows<R> {
    pub(super) fn new(lines: Lines<R>, delimiter: u8) -> Self {
        Self { lines, unread: VecDeque::new(), delimiter, width: None }
    }

    pub(super) fn set_width(&mut self, width: usize) {
        self.width = Some(width);
    }

    pub(super) fn line(&self) -> u64 {
        self.lines.number()
    }

    /// Reads the next row that is not blank, and its fields into `fields`.
    pub(super) fn next(&mut self, fields: &mut Fields) -> io::Result<Option<Row>> {
        let first = loop {
            match self.next_line()? {
                None => return Ok(None),
                Some(line) if without_line_end(&line.bytes).is_empty() => {}
                Some(line) => break line,
            }
        };
        if first.is_cut {
            let reason = format!("the row is longer than {ROW_BYTES_MAX} bytes");
            return Ok(Some(broken(first, reason)));
        }
        let mut following: Vec<Line> = Vec::new();
        let mut joined: Vec<u8> = Vec::new();
        let reason = loop {
            let text = if following.is_empty() { &first.bytes } else { &joined };
            match split(without_line_end(text), self.delimiter, fields) {
                Ok(()) => match self.width {
                    Some(width) if width != fields.len() => {
                        break format!("{} fields instead of {width}", fields.len());
                    }
                    _ => {
                        let raw = without_line_end(text).to_vec();
                        return Ok(Some(Row { line: first.number, raw, broken: None }));
                    }
                },
                Err(Broken::TextAfterQuote) => break "text after a closing quote".to_owned(),
                Err(Broken::OpenQuote) => {
                    let Some(line) = self.following_line(following.len(), text.len())? else {
                        break "a quote is opened and never closed".to_owned();
                    };
                    if following.is_empty() {
                        joined.extend_from_slice(&first.bytes);
                    }
                    joined.extend_from_slice(&line.bytes);
                    following.push(line);
                }
            }
        };
        // Only the first line is given up: the others may be whole rows that an open quote swallowed.
        for line in following.into_iter().rev() {
            self.unread.push_front(line);
        }
        Ok(Some(broken(first, reason)))
    }

    /// Returns the next line if the row may grow by it.
    fn following_line(&mut self, following: usize, bytes: usize) -> io::Result<Option<Line>> {
        if following + 1 >= ROW_LINES_MAX {
            return Ok(None);
        }
        let Some(line) = self.next_line()? else { return Ok(None) };
        if line.is_cut || bytes + line.bytes.len() > ROW_BYTES_MAX {
            self.unread.push_front(line);
            return Ok(None);
        }
        Ok(Some(line))
    }

    fn next_line(&mut self) -> io::Result<Option<Line>> {
        match self.unread.pop_front() {
            Some(line) => Ok(Some(line)),
            None => self.lines.next(),
        }
    }
}

fn broken(line: Line, reason: String) -> Row {
    let raw = without_line_end(&line.bytes).to_vec();
    Row { line: line.number, raw, broken: Some(reason) }
}

#[derive(Debug, PartialEq, Eq)]
enum Broken {
    OpenQuote,
    TextAfterQuote,
}

/// Splits a row as RFC 4180 says; a quote inside an unquoted field is an ordinary character.
fn split(row: &[u8], delimiter: u8, fields: &mut Fields) -> Result<(), Broken> {
    fields.clear();
    let mut rest = row;
    loop {
        let after = match rest.strip_prefix(b"\"") {
            Some(quoted) => take_quoted(quoted, &mut fields.bytes)?,
            None => {
                let end = rest.iter().position(|byte| *byte == delimiter);
                let (field, after) = rest.split_at(end.unwrap_or(rest.len()));
                fields.bytes.extend_from_slice(field);
                after
            }
        };
        fields.end_field();
        match after.split_first() {
            None => return Ok(()),
            Some((byte, next)) if *byte == delimiter => rest = next,
            Some(_) => return Err(Broken::TextAfterQuote),
        }
    }
}

/// Takes a field up to its closing quote and returns what follows that.
fn take_quoted<'a>(mut rest: &'a [u8], field: &mut Vec<u8>) -> Result<&'a [u8], Broken> {
    loop {
        let quote = rest.iter().position(|byte| *byte == b'"').ok_or(Broken::OpenQuote)?;
        field.extend_from_slice(&rest[..quote]);
        rest = &rest[quote + 1..];
        match rest.strip_prefix(b"\"") {
            Some(after_escaped) => {
                field.push(b'"');
                rest = after_escaped;
            }
            None => return Ok(rest),
        }
    }
}

#[cfg(test)]
#[path = "csv_rows_tests.rs"]
mod tests;
