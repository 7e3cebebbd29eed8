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
        last_of(&self.headers, name.as_bytes())
    }

    /// Its headers, for who looks up many of them.
    #[must_use]
    pub fn named(&self) -> Named<'_, 'a> {
        Named::of(&self.headers)
    }
}

/// Headers of which many are looked up by name: their lengths tell most of them apart.
#[derive(Debug)]
pub struct Named<'r, 'a> {
    headers: &'r [Header<'a>],
    /// By length of a name: the last header with such a name.
    last: [u8; LENGTHS],
    /// By header: the one before it whose name is as long.
    before: [u8; INDEXED_MAX],
}

/// Lengths that are told apart; longer names count as the longest.
const LENGTHS: usize = 48;

/// Of records with more headers each header is looked at. There are fewer than [`NONE`].
const INDEXED_MAX: usize = 48;

/// Stands for no header.
const NONE: u8 = u8::MAX;

const fn slot_of(name: &[u8]) -> usize {
    if name.len() < LENGTHS { name.len() } else { LENGTHS - 1 }
}

impl<'r, 'a> Named<'r, 'a> {
    fn of(headers: &'r [Header<'a>]) -> Self {
        let (mut last, mut before) = ([NONE; LENGTHS], [NONE; INDEXED_MAX]);
        if headers.len() <= INDEXED_MAX {
            for ((at, (name, _)), before) in (0..).zip(headers).zip(&mut before) {
                *before = std::mem::replace(&mut last[slot_of(name)], at);
            }
        }
        Self { headers, last, before }
    }

    /// All of them, in order.
    #[must_use]
    pub const fn all(&self) -> &'r [Header<'a>] {
        self.headers
    }

    /// The last value of a header by name; none where it is absent or null.
    #[must_use]
    pub fn last(&self, name: &str) -> Option<&'a [u8]> {
        let name = name.as_bytes();
        if self.headers.len() > INDEXED_MAX {
            return last_of(self.headers, name);
        }
        let mut at = self.last[slot_of(name)];
        while let Some((found, value)) = self.headers.get(usize::from(at)) {
            if *found == name {
                return *value;
            }
            at = self.before[usize::from(at)];
        }
        None
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

fn last_of<'a>(headers: &[Header<'a>], name: &[u8]) -> Option<&'a [u8]> {
    let mut from_the_end = headers.iter().rev();
    from_the_end.find(|(found, _)| *found == name).and_then(|(_, value)| *value)
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
            assert_eq!(record(&headers).named().binary::<4>("n"), expected, "{bytes:?}");
        }
        let offset = 1_795_256_952_843_i64.to_be_bytes();
        let headers = [(b"n".as_slice(), Some(offset.as_slice()))];
        assert_eq!(record(&headers).named().binary::<8>("n"), Some(1_795_256_952_843));
    }

    #[test]
    fn however_many_headers_there_are_each_is_found_by_its_name_and_the_last_one_counts() {
        for count in [0, 1, 30, INDEXED_MAX, INDEXED_MAX + 1, 300] {
            let names: Vec<String> = (0..count).map(|n| "x".repeat(n % 60)).collect();
            let values: Vec<String> = (0..count).map(|n| n.to_string()).collect();
            let value = |n: usize| (!n.is_multiple_of(7)).then(|| values[n].as_bytes());
            let headers: Vec<_> = (0..count).map(|n| (names[n].as_bytes(), value(n))).collect();
            let record = record(&headers);
            let named = record.named();
            for name in (0..70).map(|length| "x".repeat(length)).chain(["xy".to_owned()]) {
                assert_eq!(named.last(&name), record.last(&name), "{name} of {count}");
            }
        }
    }
}
