//! Lines of an input, in pieces of bounded length.

use std::io::{self, Read};

use memchr::{memchr, memchr2};

/// Longest row, in bytes; a longer one is rejected. No broker takes an order of this size by default.
pub(super) const ROW_BYTES_MAX: usize = 1 << 20;

/// What is kept of a row that is too long.
pub(super) const HEAD_BYTES: usize = 1_024;

/// Bytes that are read at once. This is also how far the start of an input is looked at.
const BUFFER_BYTES: usize = 128 * 1_024;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A piece of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    /// Its bytes, without the line end.
    pub(super) bytes: &'a [u8],
    /// The line end, if the line ends with this piece; empty at the end of the input.
    pub(super) line_end: Option<&'a [u8]>,
}

/// What ends a line: known from the first line end of the input on, since a carriage return may also
/// stand inside a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LineEnd {
    Unknown,
    /// A line feed, or a carriage return and a line feed.
    Feed,
    /// A carriage return alone as well: files of old programs.
    Return,
}

/// Reads lines, skipping a byte-order mark at the start.
pub(super) struct Lines<R> {
    input: R,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    is_at_end: bool,
    is_started: bool,
    line_end: LineEnd,
    /// Lines that have ended.
    ended: u64,
    is_at_line_start: bool,
}

impl<R: Read> Lines<R> {
    pub(super) fn new(input: R) -> Self {
        Self::with_capacity(input, BUFFER_BYTES)
    }

    /// `bytes` is how far it can look ahead.
    pub(super) fn with_capacity(input: R, bytes: usize) -> Self {
        Self {
            input,
            buffer: vec![0; bytes.max(BYTE_ORDER_MARK.len())].into_boxed_slice(),
            start: 0,
            end: 0,
            is_at_end: false,
            is_started: false,
            line_end: LineEnd::Unknown,
            ended: 0,
            is_at_line_start: true,
        }
    }

    /// Returns the number of the line that is read now, from 1.
    pub(super) fn number(&self) -> u64 {
        self.ended + 1
    }

    /// Returns whether nothing of that line has been read yet.
    pub(super) fn is_at_line_start(&self) -> bool {
        self.is_at_line_start
    }

    /// Returns what was read ahead. It is at least the first bytes of the input, as far as they are
    /// there, and grows with [`read_ahead`](Self::read_ahead).
    pub(super) fn ahead(&mut self) -> io::Result<&[u8]> {
        self.start()?;
        Ok(&self.buffer[self.start..self.end])
    }

    /// Reads more behind [`ahead`](Self::ahead); returns false if there is no more, or no room for it.
    pub(super) fn read_ahead(&mut self) -> io::Result<bool> {
        if self.is_at_end {
            return Ok(false);
        }
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.buffer.len() {
            return Ok(false);
        }
        let length = loop {
            match self.input.read(&mut self.buffer[self.end..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        self.end += length;
        self.is_at_end = length == 0;
        Ok(length > 0)
    }

    /// The line end that was seen was none: it stood inside a cell.
    pub(super) fn forget_line_end(&mut self) {
        self.line_end = LineEnd::Unknown;
    }

    /// Returns the next piece; at the end of the input, nothing.
    pub(super) fn next(&mut self) -> io::Result<Option<Piece<'_>>> {
        self.start()?;
        loop {
            let unread = &self.buffer[self.start..self.end];
            if unread.is_empty() {
                if self.read_ahead()? {
                    continue;
                }
                return Ok(None);
            }
            let (length, end_length) = match find(unread, self.line_end) {
                Found::End { at, length } => (at, Some(length)),
                // Whether a line feed follows is not known yet.
                Found::ReturnAtEnd if self.is_at_end => (unread.len() - 1, Some(1)),
                Found::ReturnAtEnd if unread.len() > 1 => (unread.len() - 1, None),
                Found::ReturnAtEnd => {
                    self.read_ahead()?;
                    continue;
                }
                Found::Nothing => (unread.len(), None),
            };
            return Ok(Some(self.take(length, end_length)));
        }
    }

    fn take(&mut self, length: usize, end_length: Option<usize>) -> Piece<'_> {
        let taken = self.start;
        self.start += length + end_length.unwrap_or(0);
        let (bytes, rest) = self.buffer[taken..self.start].split_at(length);
        let line_end = end_length.map(|_| rest);
        self.is_at_line_start = line_end.is_some();
        if let Some(line_end) = line_end {
            self.ended += 1;
            if self.line_end == LineEnd::Unknown {
                let is_return = line_end == b"\r";
                self.line_end = if is_return { LineEnd::Return } else { LineEnd::Feed };
            }
        }
        Piece { bytes, line_end }
    }

    /// Reads the first bytes, and skips the mark.
    fn start(&mut self) -> io::Result<()> {
        /// The longest magic number that is looked for.
        const FIRST_BYTES: usize = 16;
        if self.is_started {
            return Ok(());
        }
        while self.end < FIRST_BYTES.min(self.buffer.len())
            && memchr2(b'\n', b'\r', &self.buffer[..self.end]).is_none()
            && self.read_ahead()?
        {}
        if self.buffer[..self.end].starts_with(BYTE_ORDER_MARK) {
            self.start = BYTE_ORDER_MARK.len();
        }
        self.is_started = true;
        Ok(())
    }
}

enum Found {
    /// So many bytes before a line end of this length.
    End {
        at: usize,
        length: usize,
    },
    /// The last byte is a carriage return, and no line end comes before it.
    ReturnAtEnd,
    Nothing,
}

fn find(bytes: &[u8], line_end: LineEnd) -> Found {
    let at = match line_end {
        LineEnd::Feed => memchr(b'\n', bytes),
        LineEnd::Unknown | LineEnd::Return => memchr2(b'\n', b'\r', bytes),
    };
    match at {
        None if bytes.last() == Some(&b'\r') => Found::ReturnAtEnd,
        None => Found::Nothing,
        Some(at) if bytes[at] == b'\n' => {
            let has_return = at > 0 && bytes[at - 1] == b'\r';
            let at = at - usize::from(has_return);
            Found::End { at, length: 1 + usize::from(has_return) }
        }
        Some(at) => match bytes.get(at + 1) {
            None => Found::ReturnAtEnd,
            Some(b'\n') => Found::End { at, length: 2 },
            Some(_) => Found::End { at, length: 1 },
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a few bytes at a time, as a pipe may.
    struct Drops<'a>(&'a [u8], usize);

    impl Read for Drops<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = self.1.min(buffer.len()).min(self.0.len());
            buffer[..length].copy_from_slice(&self.0[..length]);
            self.0 = &self.0[length..];
            Ok(length)
        }
    }

    /// The lines with their numbers and ends; in drops of `bytes`, and with a buffer of `capacity`.
    fn all(input: &[u8], bytes: usize, capacity: usize) -> Vec<(u64, Vec<u8>, Vec<u8>)> {
        let mut lines = Lines::with_capacity(Drops(input, bytes), capacity);
        let mut seen = Vec::new();
        let mut line = Vec::new();
        loop {
            let number = lines.number();
            match lines.next().unwrap() {
                None if line.is_empty() => return seen,
                None => {
                    seen.push((number, std::mem::take(&mut line), Vec::new()));
                }
                Some(Piece { bytes, line_end }) => {
                    line.extend_from_slice(bytes);
                    if let Some(line_end) = line_end {
                        seen.push((number, std::mem::take(&mut line), line_end.to_vec()));
                    }
                }
            }
        }
    }

    #[track_caller]
    fn check(input: &[u8], expected: &[(u64, &[u8], &[u8])]) {
        for bytes in 1..=input.len() + 1 {
            for capacity in [3, 4, 5, 7, 100] {
                let seen = all(input, bytes, capacity);
                let seen: Vec<_> =
                    seen.iter().map(|(n, line, end)| (*n, &line[..], &end[..])).collect();
                assert_eq!(seen, expected, "{bytes} bytes at a time, a buffer of {capacity}");
            }
        }
    }

    #[test]
    fn lines_are_numbered_and_a_byte_order_mark_is_skipped() {
        let text = b"\xef\xbb\xbfa\r\nb\n\nc";
        check(text, &[(1, b"a", b"\r\n"), (2, b"b", b"\n"), (3, b"", b"\n"), (4, b"c", b"")]);
    }

    #[test]
    fn a_carriage_return_ends_lines_where_it_ends_the_first_one() {
        check(
            b"a\rb\r\rc\r",
            &[(1, b"a", b"\r"), (2, b"b", b"\r"), (3, b"", b"\r"), (4, b"c", b"\r")],
        );
        check(b"a\rb\r\nc\n", &[(1, b"a", b"\r"), (2, b"b", b"\r\n"), (3, b"c", b"\n")]);
        check(b"a\nb\rc\n", &[(1, b"a", b"\n"), (2, b"b\rc", b"\n")]);
        check(b"a\nb\r", &[(1, b"a", b"\n"), (2, b"b", b"\r")]);
    }

    #[test]
    fn a_line_longer_than_the_buffer_comes_in_pieces() {
        let line = vec![b'x'; 3 * BUFFER_BYTES];
        let text = [&line[..], b"\nnext"].concat();
        let seen = all(&text, 50_000, BUFFER_BYTES);
        assert_eq!(seen, [(1, line, b"\n".to_vec()), (2, b"next".to_vec(), vec![])]);
    }
}
