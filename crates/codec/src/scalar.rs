//! How records of the program meet their schemas: field by field, as scalars.

/// Value of one field. Logical types appear as what they stand for: a timestamp is its
/// [`Scalar::Long`], a decimal its unscaled integer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scalar<'a> {
    /// `null`
    Null,
    /// `boolean`
    Boolean(bool),
    /// `int`
    Int(i32),
    /// `long`
    Long(i64),
    /// `float`
    Float(f32),
    /// `double`
    Double(f64),
    /// `bytes`
    Bytes(&'a [u8]),
    /// `string`
    String(&'a str),
    /// `bytes` with logical type `decimal`: the unscaled value.
    Decimal(i128),
    /// `enum`: index into the symbols of [`AvroRecord::SCHEMA`].
    Symbol(usize),
}

/// A schema, and the type whose values are read with it: itself, in most cases. A type of another
/// crate is read by a stand-in for its schema.
///
/// The schema is a record of scalars and nullable scalars. Fields are known by their
/// position in it.
pub trait AvroRecord {
    /// What is read.
    type Value;

    /// Text of the latest schema version.
    const SCHEMA: &'static str;

    /// A value to be filled: each field of the schema is set exactly once afterwards, here as in one that was read
    /// before.
    fn blank() -> Self::Value;

    /// Sets field `index`, counted from 0 in the order of the schema. The scalar is of the
    /// type that the schema says.
    ///
    /// # Errors
    ///
    /// If the value is outside of what the field's type can hold, with a word on what is.
    fn set(record: &mut Self::Value, index: usize, scalar: Scalar<'_>) -> Result<(), OutOfRange>;
}

/// A value that can be written as a record `R`: what is read of it, or a borrowing twin of that.
pub trait Fields<R: AvroRecord> {
    /// Value of field `index` of [`AvroRecord::SCHEMA`].
    fn field(&self, index: usize) -> Scalar<'_>;
}

/// A field's value does not fit the record's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfRange(pub &'static str);
