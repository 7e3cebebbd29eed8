//! A datum as a source of `serde` values: read from the slice, nothing allocated before it is there.

use serde::de::value::{BorrowedStrDeserializer, SeqDeserializer, StrDeserializer};
use serde::de::{self, DeserializeOwned, DeserializeSeed, IntoDeserializer as _, Visitor};
use serde::forward_to_deserialize_any;

use crate::datum::{Cursor, DEPTH_MAX, Malformed, Skipper};
use crate::shape::{NodeId, Shape, Shapes};

/// Most values of one datum. Those without bytes (null, empty records) cost nothing to write in any
/// number, and memory to read.
const VALUES_MAX: u32 = 1 << 20;

/// Why a datum could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum AnyError {
    /// The bytes are no datum of the schema.
    #[error("{}", .0.what)]
    Malformed(Malformed),
    /// Bytes are left over.
    #[error("{0} bytes are left")]
    Trailing(usize),
    /// The datum does not fit the type that it is read into; never holds parts of the datum.
    #[error("{0}")]
    Unfit(String),
}

impl From<Malformed> for AnyError {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

/// `serde` names types and fields, and quotes values: only the former may be told.
impl de::Error for AnyError {
    fn custom<D: std::fmt::Display>(_: D) -> Self {
        Self::Unfit("the value is not one that the program's type takes".to_owned())
    }

    fn invalid_type(unexpected: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::Unfit(format!("{} where {expected} is expected", kind(&unexpected)))
    }

    fn invalid_value(unexpected: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::Unfit(format!("{} that is not {expected}", kind(&unexpected)))
    }

    fn invalid_length(length: usize, expected: &dyn de::Expected) -> Self {
        Self::Unfit(format!("{length} values where {expected} is expected"))
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::Unfit(format!("a symbol that is none of {expected:?}"))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::Unfit(format!("the schema has no field {field}"))
    }
}

/// The kind of a value, without the value.
fn kind(unexpected: &de::Unexpected<'_>) -> &'static str {
    use de::Unexpected as U;
    match unexpected {
        U::Bool(_) => "a boolean",
        U::Unsigned(_) | U::Signed(_) => "an integer",
        U::Float(_) => "a floating-point number",
        U::Char(_) | U::Str(_) => "a string",
        U::Bytes(_) => "bytes",
        U::Unit | U::Option => "null",
        U::Seq => "an array",
        U::Map => "a record or map",
        U::Enum | U::UnitVariant | U::NewtypeVariant | U::TupleVariant | U::StructVariant => {
            "an enum"
        }
        U::NewtypeStruct | U::Other(_) => "another type",
    }
}

/// Reads one datum, all of it.
pub(super) fn read<T: DeserializeOwned>(shapes: &Shapes, datum: &[u8]) -> Result<T, AnyError> {
    let mut cursor = Cursor::new(datum);
    let skipper = Skipper::new(shapes);
    let mut reading = Reading { shapes, cursor: &mut cursor, values_left: VALUES_MAX, skipper };
    let value = T::deserialize(Datum { reading: &mut reading, node: shapes.root(), depth: 0 })?;
    match cursor.rest_bytes() {
        0 => Ok(value),
        left => Err(AnyError::Trailing(left)),
    }
}

struct Reading<'c, 'de> {
    shapes: &'c Shapes,
    cursor: &'c mut Cursor<'de>,
    values_left: u32,
    /// One for the datum, so that its limit is one.
    skipper: Skipper<'c>,
}

impl Reading<'_, '_> {
    fn skip(&mut self, node: NodeId) -> Result<(), AnyError> {
        Ok(self.skipper.skip(self.cursor, node)?)
    }
}

/// One value of it.
struct Datum<'r, 'c, 'de> {
    reading: &'r mut Reading<'c, 'de>,
    node: NodeId,
    depth: u32,
}

impl<'c, 'de> Datum<'_, 'c, 'de> {
    /// Its shape; counts it.
    fn shape(&mut self) -> Result<&'c Shape, AnyError> {
        let cursor = &self.reading.cursor;
        if self.depth > DEPTH_MAX {
            return Err(cursor.malformed("a value nested more than 64 deep").into());
        }
        let left = self.reading.values_left.checked_sub(1);
        let too_many = || cursor.malformed("more values than one record may have");
        self.reading.values_left = left.ok_or_else(too_many)?;
        Ok(&self.reading.shapes.node(self.node).shape)
    }

    fn branch(self, branches: &[NodeId]) -> Result<Self, AnyError> {
        let node = branches[self.reading.cursor.index(branches.len())?];
        Ok(Self { node, depth: self.depth + 1, ..self })
    }
}

impl<'de> de::Deserializer<'de> for Datum<'_, '_, 'de> {
    type Error = AnyError;

    fn deserialize_any<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, AnyError> {
        let shape = self.shape()?;
        if let Shape::Union { branches } = shape {
            return self.branch(branches)?.deserialize_any(visitor);
        }
        let Self { reading, depth, .. } = self;
        let cursor = &mut *reading.cursor;
        let depth = depth + 1;
        match shape {
            Shape::Null => visitor.visit_unit(),
            Shape::Boolean => visitor.visit_bool(cursor.boolean()?),
            Shape::Int => visitor.visit_i32(cursor.int()?),
            Shape::Long => visitor.visit_i64(cursor.long()?),
            Shape::Float => visitor.visit_f32(cursor.float()?),
            Shape::Double => visitor.visit_f64(cursor.double()?),
            Shape::Bytes => visitor.visit_borrowed_bytes(cursor.bytes()?),
            Shape::String => visitor.visit_borrowed_str(cursor.string()?),
            Shape::Fixed { bytes } => visitor.visit_borrowed_bytes(cursor.take(*bytes)?),
            Shape::Enum { symbols, .. } => {
                visitor.visit_str(&symbols[cursor.index(symbols.len())?])
            }
            Shape::Array { items } => {
                let mut blocks = Blocks { reading, item: *items, depth, left: 0, is_over: false };
                let value = visitor.visit_seq(&mut blocks)?;
                blocks.end(value)
            }
            Shape::Map { values } => {
                let mut blocks = Blocks { reading, item: *values, depth, left: 0, is_over: false };
                let value = visitor.visit_map(&mut blocks)?;
                blocks.end(value)
            }
            Shape::Union { .. } => unreachable!("its branch was read above"),
            Shape::Record { fields } => {
                let mut record = Record { reading, fields: fields.iter(), node: None, depth };
                let value = visitor.visit_map(&mut record)?;
                record.end(value)
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, AnyError> {
        match self.shape()? {
            Shape::Null => visitor.visit_none(),
            Shape::Union { branches } => {
                let datum = self.branch(branches)?;
                match datum.reading.shapes.node(datum.node).shape {
                    Shape::Null => visitor.visit_none(),
                    _ => visitor.visit_some(datum),
                }
            }
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        mut self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, AnyError> {
        match self.shape()? {
            Shape::Enum { symbols, .. } => {
                let symbol = &symbols[self.reading.cursor.index(symbols.len())?];
                let symbol: StrDeserializer<'_, AnyError> = symbol.as_str().into_deserializer();
                visitor.visit_enum(symbol)
            }
            Shape::String => {
                let text = self.reading.cursor.string()?;
                visitor.visit_enum(BorrowedStrDeserializer::new(text))
            }
            Shape::Union { branches } => {
                self.branch(branches)?.deserialize_enum(name, variants, visitor)
            }
            _ => Err(AnyError::Unfit(format!("no enum where {name} is expected"))),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, AnyError> {
        let node = self.reading.shapes.node(self.node);
        let bytes = match &node.shape {
            Shape::Bytes => self.reading.cursor.bytes()?,
            Shape::Fixed { bytes } => self.reading.cursor.take(*bytes)?,
            Shape::Union { branches } => {
                self.shape()?;
                return self.branch(branches)?.deserialize_seq(visitor);
            }
            _ => return self.deserialize_any(visitor),
        };
        // `Vec<u8>` and `[u8; N]` ask for a list of numbers.
        let mut numbers = SeqDeserializer::<_, AnyError>::new(bytes.iter().copied());
        let value = visitor.visit_seq(&mut numbers)?;
        numbers.end()?;
        Ok(value)
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, AnyError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, AnyError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, AnyError> {
        self.reading.skip(self.node)?;
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct tuple_struct map struct identifier
    }
}

/// Arrays and maps: blocks of a count and that many items, ended by a count of 0. A negative count is
/// followed by the block's size in bytes.
struct Blocks<'r, 'c, 'de> {
    reading: &'r mut Reading<'c, 'de>,
    item: NodeId,
    depth: u32,
    /// Items of this block.
    left: u64,
    /// The count of 0 was read.
    is_over: bool,
}

impl<'c, 'de> Blocks<'_, 'c, 'de> {
    fn has_next(&mut self) -> Result<bool, AnyError> {
        if self.left == 0 && !self.is_over {
            let count = self.reading.cursor.long()?;
            if count < 0 {
                self.reading.cursor.long()?;
            }
            self.left = count.unsigned_abs();
            self.is_over = count == 0;
        }
        let has_next = self.left > 0;
        self.left = self.left.saturating_sub(1);
        Ok(has_next)
    }

    fn datum(&mut self) -> Datum<'_, 'c, 'de> {
        Datum { node: self.item, depth: self.depth, reading: self.reading }
    }

    /// All of them must have been read: a tuple stops after as many as it has.
    fn end<V>(&mut self, value: V) -> Result<V, AnyError> {
        if self.has_next()? {
            return Err(AnyError::Unfit("more values than the program's type takes".to_owned()));
        }
        Ok(value)
    }
}

impl<'de> de::SeqAccess<'de> for Blocks<'_, '_, 'de> {
    type Error = AnyError;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, AnyError> {
        if self.has_next()? { seed.deserialize(self.datum()).map(Some) } else { Ok(None) }
    }
}

impl<'de> de::MapAccess<'de> for Blocks<'_, '_, 'de> {
    type Error = AnyError;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, AnyError> {
        if !self.has_next()? {
            return Ok(None);
        }
        seed.deserialize(BorrowedStrDeserializer::new(self.reading.cursor.string()?)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, AnyError> {
        seed.deserialize(self.datum())
    }
}

struct Record<'r, 'c, 'de> {
    reading: &'r mut Reading<'c, 'de>,
    fields: std::slice::Iter<'c, (String, NodeId)>,
    /// The value of the field whose name was given.
    node: Option<NodeId>,
    depth: u32,
}

impl Record<'_, '_, '_> {
    /// Passes over what was not asked for.
    fn end<V>(&mut self, value: V) -> Result<V, AnyError> {
        while let Some(node) =
            self.node.take().or_else(|| self.fields.next().map(|(_, node)| *node))
        {
            self.reading.skip(node)?;
        }
        Ok(value)
    }
}

impl<'de> de::MapAccess<'de> for Record<'_, '_, 'de> {
    type Error = AnyError;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, AnyError> {
        let Some((name, node)) = self.fields.next() else { return Ok(None) };
        self.node = Some(*node);
        let name: StrDeserializer<'_, AnyError> = name.as_str().into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, AnyError> {
        let no_name = || AnyError::Unfit("a value without a name".to_owned());
        let node = self.node.take().ok_or_else(no_name)?;
        seed.deserialize(Datum { node, depth: self.depth, reading: self.reading })
    }
}
