//! Avro's binary encoding, read from a slice: nothing is allocated, and no length is
//! believed that the slice does not hold.

use ascii::AsciiStr;

use crate::shape::{NodeId, Shape, Shapes};

/// Deepest nesting that is read or skipped; a recursive type could otherwise nest once per byte and
/// exhaust the stack.
pub(crate) const DEPTH_MAX: u32 = 64;
/// Most values skipped within one record. Values without bytes (null, empty records) cost
/// nothing to write in any number; those with bytes are at most 1 Mi in a record.
const SKIP_VALUES_MAX: u32 = 4 << 20;
/// Most bytes of an Avro varint.
const VARINT_BYTES_MAX: u32 = 10;
/// Payload bits of each varint byte.
const VARINT_BITS: u32 = 7;

/// The bytes are not a datum of the writer schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed {
    /// Where, counted from the start of the datum.
    pub(crate) at_byte: usize,
    pub(crate) what: &'static str,
}

/// What is left of a datum.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
    datum_bytes: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) const fn new(datum: &'a [u8]) -> Self {
        Self { rest: datum, datum_bytes: datum.len() }
    }

    pub(crate) const fn rest_bytes(&self) -> usize {
        self.rest.len()
    }

    pub(crate) const fn malformed(&self, what: &'static str) -> Malformed {
        Malformed { at_byte: self.datum_bytes - self.rest.len(), what }
    }

    #[inline]
    pub(crate) fn take(&mut self, bytes: usize) -> Result<&'a [u8], Malformed> {
        let Some((taken, rest)) = self.rest.split_at_checked(bytes) else {
            return Err(self.malformed("the datum ends before its value does"));
        };
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let Some((taken, rest)) = self.rest.split_first_chunk() else {
            return Err(self.malformed("the datum ends before its value does"));
        };
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn boolean(&mut self) -> Result<bool, Malformed> {
        match self.array()? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(self.malformed("a boolean that is neither 0 nor 1")),
        }
    }

    #[inline(always)]
    pub(crate) fn long(&mut self) -> Result<i64, Malformed> {
        // Lengths and small numbers take one byte.
        if let Some((&byte @ ..0x80, rest)) = self.rest.split_first() {
            self.rest = rest;
            return Ok(i64::from(byte >> 1) ^ -i64::from(byte & 1));
        }
        self.wide_long()
    }

    fn wide_long(&mut self) -> Result<i64, Malformed> {
        let mut zigzag = 0_u64;
        for index in 0..VARINT_BYTES_MAX {
            let [byte] = self.array()?;
            if index == VARINT_BYTES_MAX - 1 && byte > 1 {
                break;
            }
            zigzag |= u64::from(byte & 0x7f) << (index * VARINT_BITS);
            if byte & 0x80 == 0 {
                return Ok((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed());
            }
        }
        Err(self.malformed("an integer of more than 64 bits"))
    }

    pub(crate) fn int(&mut self) -> Result<i32, Malformed> {
        i32::try_from(self.long()?).map_err(|_| self.malformed("an int of more than 32 bits"))
    }

    #[inline]
    pub(crate) fn float(&mut self) -> Result<f32, Malformed> {
        Ok(f32::from_le_bytes(self.array()?))
    }

    pub(crate) fn double(&mut self) -> Result<f64, Malformed> {
        Ok(f64::from_le_bytes(self.array()?))
    }

    #[inline]
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(self.long()?)
            .map_err(|_| self.malformed("a length that is negative"))?;
        self.take(length)
    }

    #[inline]
    pub(crate) fn string(&mut self) -> Result<&'a str, Malformed> {
        let bytes = self.bytes()?;
        // Most texts are short and of ASCII, which is seen at a glance; the standard library looks at
        // each byte of a short one.
        match AsciiStr::from_ascii(bytes) {
            Ok(ascii) => Ok(ascii.as_str()),
            Err(_) => {
                str::from_utf8(bytes).map_err(|_| self.malformed("a string that is not UTF-8"))
            }
        }
    }

    /// Position in a list of `count` branches or symbols.
    pub(crate) fn index(&mut self, count: usize) -> Result<usize, Malformed> {
        usize::try_from(self.long()?)
            .ok()
            .filter(|index| *index < count)
            .ok_or_else(|| self.malformed("an index that the schema does not have"))
    }
}

/// Passes over values that nobody reads; one per record, so that its limit is per record.
#[derive(Debug)]
pub(crate) struct Skipper<'s> {
    shapes: &'s Shapes,
    values_left: u32,
}

impl<'s> Skipper<'s> {
    pub(crate) const fn new(shapes: &'s Shapes) -> Self {
        Self { shapes, values_left: SKIP_VALUES_MAX }
    }

    pub(crate) fn skip(&mut self, cursor: &mut Cursor<'_>, id: NodeId) -> Result<(), Malformed> {
        self.skip_nested(cursor, id, 0)
    }

    fn skip_nested(
        &mut self,
        cursor: &mut Cursor<'_>,
        id: NodeId,
        depth: u32,
    ) -> Result<(), Malformed> {
        if depth > DEPTH_MAX {
            return Err(cursor.malformed("a value nested more than 64 deep"));
        }
        self.values_left = self
            .values_left
            .checked_sub(1)
            .ok_or_else(|| cursor.malformed("more values than one record may have"))?;
        match &self.shapes.node(id).shape {
            Shape::Null => {}
            Shape::Boolean => drop(cursor.boolean()?),
            Shape::Int => drop(cursor.int()?),
            Shape::Long => drop(cursor.long()?),
            Shape::Float => drop(cursor.float()?),
            Shape::Double => drop(cursor.double()?),
            Shape::Bytes | Shape::String => drop(cursor.bytes()?),
            Shape::Fixed { bytes } => drop(cursor.take(*bytes)?),
            Shape::Enum { symbols, .. } => drop(cursor.index(symbols.len())?),
            Shape::Array { items } => self.skip_blocks(cursor, None, *items, depth)?,
            Shape::Map { values } => self.skip_blocks(cursor, Some(()), *values, depth)?,
            Shape::Union { branches } => {
                let branch = branches[cursor.index(branches.len())?];
                self.skip_nested(cursor, branch, depth + 1)?;
            }
            Shape::Record { fields } => {
                for (_, field) in fields {
                    self.skip_nested(cursor, *field, depth + 1)?;
                }
            }
        }
        Ok(())
    }

    /// Arrays and maps: blocks of a count and that many items, ended by a count of 0. A
    /// negative count is followed by the block's size in bytes.
    fn skip_blocks(
        &mut self,
        cursor: &mut Cursor<'_>,
        key: Option<()>,
        item: NodeId,
        depth: u32,
    ) -> Result<(), Malformed> {
        loop {
            let count = cursor.long()?;
            if count < 0 {
                cursor.bytes()?;
                continue;
            }
            if count == 0 {
                return Ok(());
            }
            for _ in 0..count {
                if key.is_some() {
                    cursor.bytes()?;
                }
                self.skip_nested(cursor, item, depth + 1)?;
            }
        }
    }
}
