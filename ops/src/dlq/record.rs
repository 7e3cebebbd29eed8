//! A record of a dead-letter topic as bytes, borrowed from wherever it lies.

use std::borrow::Cow;

/// Name and value of a header; a value may be null.
pub type Header<'a> = (&'a [u8], Option<&'a [u8]>);

/// A record as it lies in the topic.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record<'a> {
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// When it was written, in epoch milliseconds; none where the record has no time.
    pub written_ms: Option<i64>,
    /// Key, byte for byte.
    pub key: Option<&'a [u8]>,
    /// Value, byte for byte.
    pub value: Option<&'a [u8]>,
    /// Headers in order, byte for byte.
    pub headers: Vec<Header<'a>>,
}

impl<'a> Record<'a> {
    /// The last value of a header by name; none where it is absent or null.
    #[must_use]
    pub fn last(&self, name: &str) -> Option<&'a [u8]> {
        let mut from_the_end = self.headers.iter().rev();
        from_the_end.find(|(found, _)| *found == name.as_bytes()).and_then(|(_, value)| *value)
    }

    /// The last value of a header as text. What is no UTF-8 is replaced by `U+FFFD`.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        // Most are text: this check of it is the faster one.
        let text = |bytes| match std::str::from_utf8(bytes) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => String::from_utf8_lossy(bytes),
        };
        self.last(name).map(text)
    }

    /// The first of these headers that is there and not empty, as text.
    #[must_use]
    pub fn first_text(&self, names: &[&str]) -> Option<Cow<'a, str>> {
        names.iter().filter_map(|name| self.text(name)).find(|text| !text.is_empty())
    }

    /// A header that is a number in decimal text.
    #[must_use]
    pub fn decimal(&self, name: &str) -> Option<i64> {
        decimal(self.last(name)?)
    }

    /// A header that is a number in `N` big-endian bytes, or in decimal text.
    ///
    /// Digits that happen to fill `N` bytes are text: as a binary number they would be a partition
    /// above 800 million or an offset above 3 · 10^18, which no topic has.
    #[must_use]
    pub fn binary<const N: usize>(&self, name: &str) -> Option<i64> {
        let value = self.last(name)?;
        let is_text = value.iter().all(u8::is_ascii_digit);
        match <[u8; N]>::try_from(value) {
            Ok(bytes) if !is_text => Some(big_endian(&bytes)),
            _ => decimal(value),
        }
    }
}

/// Digits that cannot overflow a number.
const DIGITS_MAX: usize = 18;

fn decimal(value: &[u8]) -> Option<i64> {
    // As nearly all of them are written.
    if (1..=DIGITS_MAX).contains(&value.len()) && value.iter().all(u8::is_ascii_digit) {
        return Some(value.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')));
    }
    std::str::from_utf8(value).ok()?.trim().parse().ok()
}

/// A signed number, its sign extended from the first byte.
fn big_endian(bytes: &[u8]) -> i64 {
    let sign = if bytes.first().is_some_and(|first| first & 0x80 != 0) { -1 } else { 0 };
    bytes.iter().fold(sign, |number, byte| (number << 8) | i64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record<'a>(headers: &[Header<'a>]) -> Record<'a> {
        Record { headers: headers.to_vec(), ..Record::default() }
    }

    #[test]
    fn the_last_value_of_a_header_counts_and_a_null_one_is_none() {
        let twice = record(&[(b"a", Some(b"1")), (b"b", None), (b"a", Some(b"2"))]);
        assert_eq!(twice.last("a"), Some(b"2".as_slice()));
        assert_eq!((twice.last("b"), twice.last("c")), (None, None));
    }

    #[test]
    fn numbers_are_read_in_binary_and_in_text() {
        for (bytes, expected) in [
            (&[0, 0, 0, 7][..], Some(7)),
            (&[0xff, 0xff, 0xff, 0xff], Some(-1)),
            (b"7", Some(7)),
            (b"1234", Some(1234)), // four digits, and no binary number
            (b"12345", Some(12345)),
            (b"999999999999999999", Some(999_999_999_999_999_999)),
            (b"9223372036854775807", Some(i64::MAX)),
            (b"9223372036854775808", None),
            (b" -12345 ", Some(-12345)),
            (b"", None),
            (b"seven", None),
            (&[0, 7], None),
        ] {
            let headers = [(b"n".as_slice(), Some(bytes))];
            assert_eq!(record(&headers).binary::<4>("n"), expected, "{bytes:?}");
        }
        let offset = 1_795_256_952_843_i64.to_be_bytes();
        let headers = [(b"n".as_slice(), Some(offset.as_slice()))];
        assert_eq!(record(&headers).binary::<8>("n"), Some(1_795_256_952_843));
    }
}
