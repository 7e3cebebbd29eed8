//! Values to bytes.

use std::marker::PhantomData;

use apache_avro::Schema;

use crate::defaults::ReaderSchema;
use crate::frame;
use crate::registry::{Registration, Registry, RegistryError};
use crate::scalar::{AvroRecord, Fields, Scalar};
use crate::shape::{Node, Shape, Shapes};

/// Writes values of record `T` with one schema under one id.
#[derive(Debug, Clone)]
pub struct Encoder<T> {
    header: [u8; frame::HEADER_BYTES],
    /// In the order of the written schema.
    fields: Box<[(usize, Target)]>,
    record: PhantomData<fn(T)>,
}

/// A schema that values of the record type cannot be written with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the record cannot be written with this schema: {0}")]
pub struct SchemaMismatch(String);

/// What a field is written as.
#[derive(Debug, Clone)]
enum Target {
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    /// The written schema's index for each of the record's symbols.
    Symbol(Box<[usize]>),
    Nullable {
        null_index: i64,
        value_index: i64,
        value: Box<Self>,
    },
}

impl<T: AvroRecord> Encoder<T> {
    /// An encoder for the record's latest schema, known to the registry under this id.
    ///
    /// # Panics
    ///
    /// If the schema of `T` is not a record of scalars: a mistake in the program.
    pub fn with_id(schema_id: u32) -> Self {
        Self::with_schema(T::SCHEMA, schema_id).expect("a record can write its own schema")
    }

    /// An encoder for another version of the record's schema: each of its fields must be one
    /// of the latest version's, of the same type.
    ///
    /// # Errors
    ///
    /// If it has a field that the record lacks, or has with another type.
    pub fn with_schema(schema: &str, schema_id: u32) -> Result<Self, SchemaMismatch> {
        let own = ReaderSchema::of::<T>().map_err(SchemaMismatch)?;
        let written = Schema::parse_str(schema).map_err(|e| SchemaMismatch(e.to_string()))?;
        let written = Shapes::of(&written, &[]).map_err(SchemaMismatch)?;
        let Shape::Record { fields } = &written.node(written.root()).shape else {
            return Err(SchemaMismatch("it is not a record".to_owned()));
        };
        let fields = fields.iter().map(|(name, id)| {
            let unknown = || SchemaMismatch(format!("field {name} is not the record's"));
            let index =
                own.fields.iter().position(|field| field.name == *name).ok_or_else(unknown)?;
            let own_node = own.shapes.node(own.fields[index].node);
            let target = target((&written, written.node(*id)), (&own.shapes, own_node))
                .ok_or_else(|| SchemaMismatch(format!("field {name} is of another type")))?;
            Ok((index, target))
        });
        let fields = fields.collect::<Result<_, _>>()?;
        Ok(Self { header: frame::header(schema_id), fields, record: PhantomData })
    }

    /// Looks the record's latest schema up under `subject`, registers it where it is new and
    /// that is wanted, and returns an encoder with its id.
    ///
    /// # Errors
    ///
    /// As [`Registry::find_or_register`] and [`Registry::look_up`].
    pub async fn connect(
        registry: &Registry,
        subject: &str,
        registration: Registration,
    ) -> Result<Self, RegistryError> {
        Self::connect_as(registry, subject, T::SCHEMA, registration).await
    }

    /// As [`Encoder::connect`], with another version of the record's schema.
    ///
    /// # Errors
    ///
    /// As [`Encoder::connect`]; [`RegistryError::Rejected`] if the record cannot be written
    /// with the schema.
    pub async fn connect_as(
        registry: &Registry,
        subject: &str,
        schema: &str,
        registration: Registration,
    ) -> Result<Self, RegistryError> {
        let schema_id = match registration {
            Registration::Register => registry.find_or_register(subject, schema).await?,
            Registration::LookUpOnly => registry.look_up(subject, schema).await?,
        };
        Self::with_schema(schema, schema_id)
            .map_err(|error| RegistryError::Rejected { detail: error.to_string() })
    }

    /// The id that stands in the frames.
    pub fn schema_id(&self) -> u32 {
        let [_, id @ ..] = self.header;
        u32::from_be_bytes(id)
    }

    /// Appends the framed value to `buffer`. Allocates only if the buffer must grow.
    ///
    /// # Panics
    ///
    /// If the record says a field of another type than its schema does: a mistake in the
    /// program.
    pub fn encode_into<F: Fields<T>>(&self, buffer: &mut Vec<u8>, value: &F) {
        buffer.extend_from_slice(&self.header);
        for (index, target) in &self.fields {
            write(buffer, target, value.field(*index));
        }
    }
}

fn target(written: (&Shapes, &Node), own: (&Shapes, &Node)) -> Option<Target> {
    let ((written_shapes, written), (own_shapes, own)) = (written, own);
    if written.logical != own.logical {
        return None;
    }
    Some(match (&written.shape, &own.shape) {
        (Shape::Boolean, Shape::Boolean) => Target::Boolean,
        (Shape::Int, Shape::Int) => Target::Int,
        (Shape::Long, Shape::Long) => Target::Long,
        (Shape::Float, Shape::Float) => Target::Float,
        (Shape::Double, Shape::Double) => Target::Double,
        (Shape::Bytes, Shape::Bytes) => Target::Bytes,
        (Shape::String, Shape::String) => Target::String,
        (Shape::Enum { symbols: theirs, .. }, Shape::Enum { symbols: ours, .. }) => {
            let index = |symbol| theirs.iter().position(|known| known == symbol);
            Target::Symbol(ours.iter().map(index).collect::<Option<_>>()?)
        }
        (Shape::Union { branches: theirs }, Shape::Union { branches: ours }) => {
            let is_null = |shapes: &Shapes, id| shapes.node(id).shape == Shape::Null;
            let null = theirs.iter().position(|id| is_null(written_shapes, *id))?;
            let (value, id) =
                theirs.iter().enumerate().find(|(_, id)| !is_null(written_shapes, **id))?;
            let own_id = ours.iter().find(|id| !is_null(own_shapes, **id))?;
            let own = (own_shapes, own_shapes.node(*own_id));
            let inner = target((written_shapes, written_shapes.node(*id)), own)?;
            Target::Nullable {
                null_index: i64::try_from(null).ok()?,
                value_index: i64::try_from(value).ok()?,
                value: Box::new(inner),
            }
        }
        _ => return None,
    })
}

fn write(buffer: &mut Vec<u8>, target: &Target, scalar: Scalar<'_>) {
    match (target, scalar) {
        (Target::Nullable { null_index, .. }, Scalar::Null) => write_long(buffer, *null_index),
        (Target::Nullable { value_index, value, .. }, scalar) => {
            write_long(buffer, *value_index);
            write(buffer, value, scalar);
        }
        (Target::Boolean, Scalar::Boolean(value)) => buffer.push(u8::from(value)),
        (Target::Int, Scalar::Int(value)) => write_long(buffer, i64::from(value)),
        (Target::Long, Scalar::Long(value)) => write_long(buffer, value),
        (Target::Float, Scalar::Float(value)) => buffer.extend_from_slice(&value.to_le_bytes()),
        (Target::Double, Scalar::Double(value)) => buffer.extend_from_slice(&value.to_le_bytes()),
        (Target::Bytes, Scalar::Bytes(value)) => write_bytes(buffer, value),
        (Target::Bytes, Scalar::Decimal(value)) => write_decimal(buffer, value),
        (Target::String, Scalar::String(value)) => write_bytes(buffer, value.as_bytes()),
        (Target::Symbol(indexes), Scalar::Symbol(symbol)) => {
            write_long(buffer, indexes[symbol].try_into().expect("an enum is small"));
        }
        (target, scalar) => unreachable!("the schema says {target:?}, the record {scalar:?}"),
    }
}

fn write_long(buffer: &mut Vec<u8>, value: i64) {
    let mut zigzag = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while zigzag > 0x7f {
        buffer.push(0x80 | u8::try_from(zigzag & 0x7f).expect("seven bits"));
        zigzag >>= 7;
    }
    buffer.push(u8::try_from(zigzag).expect("seven bits"));
}

fn write_bytes(buffer: &mut Vec<u8>, value: &[u8]) {
    write_long(buffer, value.len().try_into().expect("a slice is shorter than 2^63"));
    buffer.extend_from_slice(value);
}

/// Two's complement, big-endian, in as few bytes as keep the sign: as Java's `BigInteger`.
fn write_decimal(buffer: &mut Vec<u8>, value: i128) {
    let wide = value.to_be_bytes();
    let sign_bits = if value < 0 { value.leading_ones() } else { value.leading_zeros() };
    // One of the leading bits must stay: it is the sign.
    let spare_bytes = usize::try_from((sign_bits - 1) / 8).expect("at most 15");
    write_bytes(buffer, &wide[spare_bytes..]);
}
