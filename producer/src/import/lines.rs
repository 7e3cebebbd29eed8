//! Lines of bounded length.

use std::io::{self, BufRead, BufReader, Read};

/// Longest row, in bytes; a longer one is rejected. No broker takes an order of this size by default.
pub(super) const ROW_BYTES_MAX: usize = 1 << 20;

/// What is kept of a line that is too long.
const HEAD_BYTES: usize = 1_024;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// One line of the input.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Its number, from 1.
    pub(super) number: u64,
    /// Its bytes, with the line end if there is one.
    pub(super) bytes: Vec<u8>,
    /// It is longer than [`ROW_BYTES_MAX`]; `bytes` is only its start.
    pub(super) is_cut: bool,
}

/// Reads lines, skipping a byte-order mark at the start.
pub(super) struct Lines<R> {
    input: BufReader<R>,
    number: u64,
}

impl<R: Read> Lines<R> {
    pub(super) fn new(input: R) -> Self {
        const BUFFER_BYTES: usize = 128 * 1_024;
        Self { input: BufReader::with_capacity(BUFFER_BYTES, input), number: 0 }
    }

    /// Returns the number of the last line that was read.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn next(&mut self) -> io::Result<Option<Line>> {
        let mut bytes = Vec::new();
        let limit = ROW_BYTES_MAX as u64 + 1;
        self.input.by_ref().take(limit).read_until(b'\n', &mut bytes)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        self.number += 1;
        if self.number == 1 && bytes.starts_with(BYTE_ORDER_MARK) {
            bytes.drain(..BYTE_ORDER_MARK.len());
        }
        let is_cut = bytes.len() > ROW_BYTES_MAX && !bytes.ends_with(b"\n");
        if is_cut {
            self.skip_to_line_end()?;
            bytes.truncate(HEAD_BYTES);
            bytes.shrink_to_fit();
        }
        Ok(Some(Line { number: self.number, bytes, is_cut }))
    }

    fn skip_to_line_end(&mut self) -> io::Result<()> {
        loop {
            let buffer = self.input.fill_buf()?;
            if buffer.is_empty() {
                return Ok(());
            }
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let length = end.map_or(buffer.len(), |end| end + 1);
            self.input.consume(length);
            if end.is_some() {
                return Ok(());
            }
        }
    }
}

/// Removes the line end.
pub(super) fn without_line_end(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    bytes.strip_suffix(b"\r").unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(input: &[u8]) -> Vec<Line> {
        let mut lines = Lines::new(input);
        std::iter::from_fn(|| lines.next().unwrap()).collect()
    }

    #[test]
    fn lines_are_numbered_and_a_byte_order_mark_is_skipped() {
        let lines = all(b"\xef\xbb\xbfa\r\nb\n\nc");
        let seen: Vec<(u64, &[u8])> =
            lines.iter().map(|line| (line.number, line.bytes.as_slice())).collect();
        assert_eq!(seen, [(1, b"a\r\n".as_slice()), (2, b"b\n"), (3, b"\n"), (4, b"c")]);
    }

    #[test]
    fn a_line_that_is_too_long_is_cut_and_the_next_one_is_whole() {
        let mut input = vec![b'x'; 3 * ROW_BYTES_MAX];
        input.extend_from_slice(b"\nnext\n");
        let lines = all(&input);
        assert_eq!((lines.len(), lines[0].is_cut), (2, true));
        assert_eq!(lines[0].bytes.len(), HEAD_BYTES);
        assert_eq!(lines[1], Line { number: 2, bytes: b"next\n".to_vec(), is_cut: false });
    }

    #[test]
    fn line_ends_of_both_kinds_are_removed() {
        assert_eq!(without_line_end(b"a\r\n"), b"a");
        assert_eq!(without_line_end(b"a\n"), b"a");
        assert_eq!(without_line_end(b"a"), b"a");
    }
}
