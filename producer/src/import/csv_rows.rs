//! Rows of a CSV file.
//!
//! Not the `csv` crate's reader: to it, a quote that is never closed makes one field of the whole
//! rest of the file, in memory, and text behind a closing quote is nothing to speak of. Here a row is
//! read to its end whatever its length, memory stays bounded, and what is inside of quotes never
//! becomes a row.

use std::io::{self, Read};

use memchr::{memchr, memchr2};

use super::lines::{HEAD_BYTES, Lines, Piece, ROW_BYTES_MAX};

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
    /// Its bytes, without the line end; only the start if it is too long, and only the first line if
    /// it has no end.
    pub(super) raw: Vec<u8>,
    /// Why it has no fields, if it has none.
    pub(super) broken: Option<String>,
    /// A line end closes it, and not the end of the input.
    pub(super) is_ended: bool,
}

pub(super) struct CsvRows<R> {
    lines: Lines<R>,
    delimiter: u8,
    /// Fields per row, known from the header on.
    width: Option<usize>,
}

impl<R: Read> CsvRows<R> {
    pub(super) fn new(lines: Lines<R>, delimiter: u8) -> Self {
        Self { lines, delimiter, width: None }
    }

    pub(super) fn set_width(&mut self, width: usize) {
        self.width = Some(width);
    }

    /// Returns the number of the line that is read now.
    pub(super) fn line(&self) -> u64 {
        self.lines.number()
    }

    /// Reads the next row that is not blank, and its fields into `fields`.
    pub(super) fn next(&mut self, fields: &mut Fields) -> io::Result<Option<Row>> {
        let mut raw = Raw::default();
        let mut splitter = Splitter::new(self.delimiter);
        let mut line = self.lines.number();
        fields.clear();
        let is_ended = loop {
            let Some(Piece { bytes, line_end }) = self.lines.next()? else { break false };
            raw.push(bytes);
            splitter.feed(bytes, fields, raw.is_whole);
            let Some(line_end) = line_end else { continue };
            if raw.bytes.is_empty() {
                line = self.lines.number();
                continue;
            }
            if splitter.state != State::Quoted {
                break true;
            }
            splitter.feed(line_end, fields, raw.is_whole);
            raw.end_line(line_end);
            if self.width.is_none() {
                self.lines.forget_line_end();
            }
        };
        if raw.bytes.is_empty() {
            return Ok(None);
        }
        fields.end_field();
        let broken = if splitter.state == State::Quoted {
            raw.keep_first_line();
            Some(self.open_quote(line))
        } else if !raw.is_whole {
            Some(format!("the row is longer than {ROW_BYTES_MAX} bytes"))
        } else if splitter.is_broken {
            Some("text after a closing quote".to_owned())
        } else {
            self.width.filter(|width| *width != fields.len()).map(|width| {
                let hint = if memchr(b'\r', &raw.bytes).is_some() && fields.len() > width {
                    "; a carriage return in it does not end the line, because the header ends with a line feed"
                } else {
                    ""
                };
                format!("{} fields instead of {width}{hint}", fields.len())
            })
        };
        Ok(Some(Row { line, raw: raw.bytes, broken, is_ended }))
    }

    fn open_quote(&self, first: u64) -> String {
        // Nothing is left of the line that is read now.
        let last = self.lines.number() - u64::from(self.lines.is_at_line_start());
        match last > first {
            false => "a quote is opened and never closed".to_owned(),
            true => format!(
                "a quote is opened and never closed: lines {first} to {last} all belong to this row"
            ),
        }
    }
}

/// The bytes of a row as far as they are kept.
struct Raw {
    bytes: Vec<u8>,
    first_line_bytes: Option<usize>,
    is_whole: bool,
}

impl Default for Raw {
    fn default() -> Self {
        Self { bytes: Vec::new(), first_line_bytes: None, is_whole: true }
    }
}

impl Raw {
    fn push(&mut self, bytes: &[u8]) {
        if !self.is_whole {
            return;
        }
        if self.bytes.len() + bytes.len() > ROW_BYTES_MAX {
            let room = HEAD_BYTES.saturating_sub(self.bytes.len()).min(bytes.len());
            self.bytes.extend_from_slice(&bytes[..room]);
            self.bytes.truncate(HEAD_BYTES);
            self.bytes.shrink_to_fit();
            self.is_whole = false;
            return;
        }
        self.bytes.extend_from_slice(bytes);
    }

    fn end_line(&mut self, line_end: &[u8]) {
        self.first_line_bytes.get_or_insert(self.bytes.len());
        self.push(line_end);
    }

    fn keep_first_line(&mut self) {
        if let Some(first) = self.first_line_bytes {
            self.bytes.truncate(first);
            self.bytes.shrink_to_fit();
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    FieldStart,
    Unquoted,
    Quoted,
    /// Behind a quote that closes the field, or is the first of two.
    Closing,
    /// Behind text that follows a closing quote. Another quote opens it again: so the inner lines of
    /// a cell whose own quotes were not doubled stay inside.
    Behind,
}

/// Splits a row as RFC 4180 says; a quote inside an unquoted field is an ordinary character.
struct Splitter {
    delimiter: u8,
    state: State,
    is_broken: bool,
}

impl Splitter {
    fn new(delimiter: u8) -> Self {
        Self { delimiter, state: State::FieldStart, is_broken: false }
    }

    /// Takes a piece; without `keeps` only where the row ends is followed.
    fn feed(&mut self, mut bytes: &[u8], fields: &mut Fields, keeps: bool) {
        if !keeps {
            fields.clear();
        }
        let keep = |fields: &mut Fields, text: &[u8]| {
            if keeps {
                fields.bytes.extend_from_slice(text);
            }
        };
        while let Some(&byte) = bytes.first() {
            match self.state {
                State::FieldStart if byte == b'"' => {
                    self.state = State::Quoted;
                    bytes = &bytes[1..];
                }
                State::FieldStart | State::Unquoted => {
                    let end = bytes.iter().position(|byte| *byte == self.delimiter);
                    let length = end.unwrap_or(bytes.len());
                    keep(fields, &bytes[..length]);
                    bytes = self.end_field(end, State::Unquoted, &bytes[length..], fields, keeps);
                }
                State::Quoted => {
                    let end = memchr(b'"', bytes);
                    let length = end.unwrap_or(bytes.len());
                    keep(fields, &bytes[..length]);
                    bytes = &bytes[length..];
                    if end.is_some() {
                        self.state = State::Closing;
                        bytes = &bytes[1..];
                    }
                }
                State::Closing if byte == b'"' => {
                    keep(fields, b"\"");
                    self.state = State::Quoted;
                    bytes = &bytes[1..];
                }
                State::Closing if byte == self.delimiter => {
                    bytes = self.end_field(Some(0), State::FieldStart, bytes, fields, keeps);
                }
                State::Closing | State::Behind => {
                    self.is_broken = true;
                    let end = memchr2(b'"', self.delimiter, bytes);
                    bytes = &bytes[end.unwrap_or(bytes.len())..];
                    if bytes.first() == Some(&b'"') {
                        self.state = State::Quoted;
                        bytes = &bytes[1..];
                    } else {
                        bytes = self.end_field(end, State::Behind, bytes, fields, keeps);
                    }
                }
            }
        }
    }

    /// Goes on behind the delimiter, or, if there is none yet, in `open`.
    fn end_field<'a>(
        &mut self,
        delimiter: Option<usize>,
        open: State,
        rest: &'a [u8],
        fields: &mut Fields,
        keeps: bool,
    ) -> &'a [u8] {
        if delimiter.is_none() {
            self.state = open;
            return rest;
        }
        self.state = State::FieldStart;
        if keeps {
            fields.end_field();
        }
        &rest[1..]
    }
}

#[cfg(test)]
#[path = "csv_rows_tests.rs"]
mod tests;
