//! Confluent's frame: a zero byte, the schema id as four bytes big-endian, the datum.

use pipeline::failure::{Failure, FailureReason};

/// Bytes before the datum.
pub const HEADER_BYTES: usize = 5;
/// First byte of every frame.
const MAGIC: u8 = 0;

/// A framed value taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Id under which the registry knows the writer schema.
    pub schema_id: u32,
    /// The Avro datum.
    pub body: &'a [u8],
}

/// Takes a record's value apart.
///
/// # Errors
///
/// `no-value` for a tombstone, `too-short` below [`HEADER_BYTES`], `bad-magic` if the first
/// byte is not 0; an empty value is too short. A short value is too short whatever its first
/// byte is.
#[inline]
pub fn split(value: Option<&[u8]>) -> Result<Frame<'_>, Failure> {
    framed(value).ok_or_else(|| malformed(value))
}

#[inline]
fn framed(value: Option<&[u8]>) -> Option<Frame<'_>> {
    match value?.split_first_chunk::<HEADER_BYTES>()? {
        (&[MAGIC, id @ ..], body) => Some(Frame { schema_id: u32::from_be_bytes(id), body }),
        _ => None,
    }
}

#[cold]
fn malformed(value: Option<&[u8]>) -> Failure {
    let (reason, detail) = match value {
        None => (FailureReason::NoValue, "the record has no value".to_owned()),
        Some([magic, _, _, _, _, ..]) => (
            FailureReason::BadMagic,
            format!("first byte is {magic:#04x}: a Confluent frame begins with 0x00"),
        ),
        Some(short) => (
            FailureReason::TooShort,
            format!("{} bytes: a frame header has {HEADER_BYTES}", short.len()),
        ),
    };
    Failure { reason, schema_id: None, detail }
}

/// The bytes that stand before a datum written with the schema of this id.
pub fn header(schema_id: u32) -> [u8; HEADER_BYTES] {
    let mut header = [MAGIC; HEADER_BYTES];
    header[1..].copy_from_slice(&schema_id.to_be_bytes());
    header
}

/// The schema id of a value, where it is framed.
#[inline]
pub fn schema_id(value: Option<&[u8]>) -> Option<u32> {
    framed(value).map(|frame| frame.schema_id)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(value: Option<&[u8]>, reason: FailureReason) {
        let failure = split(value).unwrap_err();
        assert_eq!((failure.reason, failure.schema_id), (reason, None));
        assert_eq!(schema_id(value), None);
    }

    #[test]
    fn a_value_that_is_no_frame_is_malformed() {
        check(None, FailureReason::NoValue);
        check(Some(&[]), FailureReason::TooShort);
        check(Some(&[0, 0, 0, 1]), FailureReason::TooShort);
        check(Some(&[1, 0, 0, 1]), FailureReason::TooShort);
        check(Some(&[1, 0, 0, 0, 1]), FailureReason::BadMagic);
        check(Some(b"{\"json\":1}"), FailureReason::BadMagic);
    }

    proptest! {
        #[test]
        fn a_frame_comes_apart_as_it_was_joined(schema_id: u32, body: Vec<u8>) {
            let value = [header(schema_id).as_slice(), &body].concat();
            prop_assert_eq!(split(Some(&value)), Ok(Frame { schema_id, body: &body }));
        }
    }
}
