//! How to read the datums of one writer schema as a record of the program: compiled once per
//! schema id, by the Avro specification's rules of schema resolution.
//!
//! | writer | reader | |
//! |---|---|---|
//! | field | same name, or an alias of the reader's | read |
//! | field | none | skipped, nothing allocated |
//! | none | field with a default | the default |
//! | none | field without | cannot be resolved |
//! | int | long, float, double | widened |
//! | long | float, double | widened |
//! | float | double | widened |
//! | string | bytes, and the reverse | as it stands; bytes must be UTF-8 |
//! | enum | same name | by symbol; an unknown one becomes the reader's default |
//! | union | any | branch by branch, when a value comes |
//! | any | union | the first branch of the same type, else the first that it widens to |
//!
//! Records, enums and fixed types match by their unqualified name. Beyond the specification,
//! two different logical types do not resolve (a microsecond read as a millisecond is wrong
//! in silence), and a decimal is only read from a decimal of the same precision and scale or
//! from plain bytes.
//!
//! It stays own: apache-avro reads a datum into a tree of values first, takes a cut-off nullable
//! field for null, and overflows the stack on a hostile recursive schema.

use crate::datum::{Cursor, Malformed, Skipper};
use crate::defaults::{Constant, ReaderField, ReaderSchema};
use crate::scalar::{AvroRecord, OutOfRange, Scalar};
use crate::shape::{Logical, Node, NodeId, Shape, Shapes};
use crate::writer_schema::WriterSchema;

/// Reads datums of one writer schema.
#[derive(Debug)]
pub(crate) struct Plan {
    /// One per branch of the writer's top-level union, `None` where a branch is not our
    /// record; a single one where there is no union.
    branches: Box<[Option<RecordPlan>]>,
    is_union: bool,
}

#[derive(Debug)]
struct RecordPlan {
    /// In the order of the writer's fields.
    steps: Box<[Step]>,
    /// Reader fields that the writer lacks.
    defaults: Box<[(usize, Constant)]>,
}

#[derive(Debug)]
enum Step {
    Skip(NodeId),
    Read { field: usize, from: Source },
}

/// What the writer wrote, and what the reader is to see.
#[derive(Debug)]
enum Source {
    Null,
    Boolean,
    Int,
    IntAsLong,
    IntAsFloat,
    IntAsDouble,
    Long,
    LongAsFloat,
    LongAsDouble,
    Float,
    FloatAsDouble,
    Double,
    Bytes,
    String,
    Fixed(usize),
    Decimal,
    FixedDecimal(usize),
    /// The reader's symbol for each of the writer's.
    Symbol(Box<[Option<usize>]>),
    Union(Box<[Option<Self>]>),
}

/// Why a datum could not be read although its schema could be resolved.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ReadError {
    /// The bytes are wrong.
    Malformed(Malformed),
    /// The bytes are right, but this value has no counterpart in the reader schema.
    Unresolvable(&'static str),
    /// This many bytes are left over.
    Trailing(usize),
}

impl From<Malformed> for ReadError {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

impl Plan {
    /// Resolves a writer schema to the reader's.
    ///
    /// # Errors
    ///
    /// Says which part does not resolve.
    pub(crate) fn compile(writer: &WriterSchema, reader: &ReaderSchema) -> Result<Self, String> {
        let shapes = &writer.shapes;
        let root = shapes.node(shapes.root());
        let Shape::Union { branches } = &root.shape else {
            let plan = record_plan(shapes, root, reader)?;
            return Ok(Self { branches: Box::new([Some(plan)]), is_union: false });
        };
        let plans: Vec<_> =
            branches.iter().map(|id| record_plan(shapes, shapes.node(*id), reader)).collect();
        if plans.iter().all(Result::is_err) {
            let reasons: Vec<_> = plans.into_iter().filter_map(Result::err).collect();
            return Err(format!("no branch of the writer's union: {}", reasons.join("; ")));
        }
        Ok(Self { branches: plans.into_iter().map(Result::ok).collect(), is_union: true })
    }

    /// Reads one datum, all of it, and so sets every field of `value`.
    pub(crate) fn read<T: AvroRecord>(
        &self,
        writer: &WriterSchema,
        datum: &[u8],
        value: &mut T::Value,
    ) -> Result<(), ReadError> {
        let mut cursor = Cursor::new(datum);
        let branch = if self.is_union { cursor.index(self.branches.len())? } else { 0 };
        let Some(plan) = &self.branches[branch] else {
            return Err(ReadError::Unresolvable(
                "the branch of the writer's union is another type",
            ));
        };
        let mut skipper = Skipper::new(&writer.shapes);
        for step in &plan.steps {
            match step {
                Step::Skip(node) => skipper.skip(&mut cursor, *node)?,
                Step::Read { field, from } => {
                    let scalar = from.read(&mut cursor)?;
                    set::<T>(value, *field, scalar, &cursor)?;
                }
            }
        }
        for (field, constant) in &plan.defaults {
            set::<T>(value, *field, constant.scalar(), &cursor)?;
        }
        match cursor.rest_bytes() {
            0 => Ok(()),
            left => Err(ReadError::Trailing(left)),
        }
    }
}

fn set<T: AvroRecord>(
    value: &mut T::Value,
    field: usize,
    scalar: Scalar<'_>,
    cursor: &Cursor<'_>,
) -> Result<(), ReadError> {
    T::set(value, field, scalar).map_err(|OutOfRange(what)| cursor.malformed(what).into())
}

fn record_plan(shapes: &Shapes, node: &Node, reader: &ReaderSchema) -> Result<RecordPlan, String> {
    let Shape::Record { fields } = &node.shape else {
        return Err(format!("the writer's {} is not a record", kind(node)));
    };
    same_name(node, reader.root())?;
    let sources: Vec<_> = reader.fields.iter().map(|field| source_of(field, fields)).collect();
    let steps = fields.iter().enumerate().map(|(position, (name, id))| {
        let Some(field) = sources.iter().position(|source| *source == Some(position)) else {
            return Ok(Step::Skip(*id));
        };
        let wanted = reader.shapes.node(reader.fields[field].node);
        match resolve((shapes, shapes.node(*id)), (&reader.shapes, wanted)) {
            Ok(from) => Ok(Step::Read { field, from }),
            Err(reason) => Err(format!("field {name}: {reason}")),
        }
    });
    let steps = steps.collect::<Result<_, String>>()?;
    let missing = reader.fields.iter().enumerate().zip(&sources).filter(|(_, from)| from.is_none());
    let defaults = missing.map(|((index, field), _)| match &field.default {
        Some(constant) => Ok((index, constant.clone())),
        None => Err(format!("field {}: the writer lacks it and it has no default", field.name)),
    });
    Ok(RecordPlan { steps, defaults: defaults.collect::<Result<_, _>>()? })
}

/// Position of the writer's field that a reader's field is read from: by name, then by alias.
fn source_of(field: &ReaderField, written: &[(String, NodeId)]) -> Option<usize> {
    std::iter::once(&field.name)
        .chain(&field.aliases)
        .find_map(|wanted| written.iter().position(|(name, _)| name == wanted))
}

type In<'a> = (&'a Shapes, &'a Node);

fn resolve(writer: In<'_>, reader: In<'_>) -> Result<Source, String> {
    let ((shapes, written), (reader_shapes, wanted)) = (writer, reader);
    match (&written.shape, &wanted.shape) {
        (Shape::Union { branches }, _) => {
            let sources: Box<[_]> = branches
                .iter()
                .map(|branch| resolve((shapes, shapes.node(*branch)), reader).ok())
                .collect();
            if sources.iter().all(Option::is_none) {
                return Err(format!("no branch of the writer's union is a {}", kind(wanted)));
            }
            Ok(Source::Union(sources))
        }
        (_, Shape::Union { branches }) => {
            let branches = || branches.iter().map(|branch| reader_shapes.node(*branch));
            let same = branches().filter(|branch| kind(branch) == kind(written));
            same.chain(branches())
                .find_map(|branch| resolve(writer, (reader_shapes, branch)).ok())
                .ok_or_else(|| format!("a {} is in none of the reader's branches", kind(written)))
        }
        _ => resolve_plain(written, wanted),
    }
}

fn resolve_plain(written: &Node, wanted: &Node) -> Result<Source, String> {
    let mismatch = || Err(format!("a {} cannot be read as a {}", kind(written), kind(wanted)));
    if let (Some(theirs), Some(ours)) = (written.logical, wanted.logical)
        && theirs != ours
    {
        return Err(format!("{theirs:?} cannot be read as {ours:?}"));
    }
    if let Some(Logical::Decimal { .. }) = wanted.logical {
        return match (&written.shape, written.logical) {
            (Shape::Bytes, _) => Ok(Source::Decimal),
            (Shape::Fixed { bytes }, Some(Logical::Decimal { .. })) => {
                Ok(Source::FixedDecimal(*bytes))
            }
            _ => mismatch(),
        };
    }
    Ok(match (&written.shape, &wanted.shape) {
        (Shape::Null, Shape::Null) => Source::Null,
        (Shape::Boolean, Shape::Boolean) => Source::Boolean,
        (Shape::Int, Shape::Int) => Source::Int,
        (Shape::Int, Shape::Long) => Source::IntAsLong,
        (Shape::Int, Shape::Float) => Source::IntAsFloat,
        (Shape::Int, Shape::Double) => Source::IntAsDouble,
        (Shape::Long, Shape::Long) => Source::Long,
        (Shape::Long, Shape::Float) => Source::LongAsFloat,
        (Shape::Long, Shape::Double) => Source::LongAsDouble,
        (Shape::Float, Shape::Float) => Source::Float,
        (Shape::Float, Shape::Double) => Source::FloatAsDouble,
        (Shape::Double, Shape::Double) => Source::Double,
        (Shape::Bytes | Shape::String, Shape::Bytes) => Source::Bytes,
        (Shape::Bytes | Shape::String, Shape::String) => Source::String,
        (Shape::Fixed { bytes: theirs }, Shape::Fixed { bytes: ours }) if theirs == ours => {
            same_name(written, wanted)?;
            Source::Fixed(*theirs)
        }
        (Shape::Enum { symbols: theirs, .. }, Shape::Enum { symbols: ours, default }) => {
            same_name(written, wanted)?;
            Source::Symbol(symbols(theirs, ours, default.as_deref())?)
        }
        _ => return mismatch(),
    })
}

fn symbols(
    theirs: &[String],
    ours: &[String],
    default: Option<&str>,
) -> Result<Box<[Option<usize>]>, String> {
    let position = |symbol: &str| ours.iter().position(|known| known == symbol);
    let found: Box<[_]> = theirs
        .iter()
        .map(|symbol| position(symbol).or_else(|| default.and_then(position)))
        .collect();
    if found.iter().all(Option::is_none) {
        return Err("the enums have no symbol in common".to_owned());
    }
    Ok(found)
}

fn same_name(written: &Node, wanted: &Node) -> Result<(), String> {
    if written.name == wanted.name {
        return Ok(());
    }
    let name = |node: &Node| node.name.clone().unwrap_or_default();
    Err(format!("the writer's type is {}, the reader's {}", name(written), name(wanted)))
}

/// The type's name in a schema.
const fn kind(node: &Node) -> &'static str {
    match node.shape {
        Shape::Null => "null",
        Shape::Boolean => "boolean",
        Shape::Int => "int",
        Shape::Long => "long",
        Shape::Float => "float",
        Shape::Double => "double",
        Shape::Bytes => "bytes",
        Shape::String => "string",
        Shape::Fixed { .. } => "fixed",
        Shape::Enum { .. } => "enum",
        Shape::Array { .. } => "array",
        Shape::Map { .. } => "map",
        Shape::Union { .. } => "union",
        Shape::Record { .. } => "record",
    }
}

impl Source {
    /// Reads what most fields are in place, without a call.
    #[inline(always)]
    fn read<'a>(&self, cursor: &mut Cursor<'a>) -> Result<Scalar<'a>, ReadError> {
        Ok(match self {
            Self::Long => Scalar::Long(cursor.long()?),
            Self::Float => Scalar::Float(cursor.float()?),
            Self::Double => Scalar::Double(cursor.double()?),
            Self::String => Scalar::String(cursor.string()?),
            _ => return self.read_any(cursor),
        })
    }

    fn read_any<'a>(&self, cursor: &mut Cursor<'a>) -> Result<Scalar<'a>, ReadError> {
        Ok(match self {
            Self::Null => Scalar::Null,
            Self::Boolean => Scalar::Boolean(cursor.boolean()?),
            Self::Int => Scalar::Int(cursor.int()?),
            Self::IntAsLong => Scalar::Long(cursor.int()?.into()),
            #[expect(clippy::cast_precision_loss, reason = "widening as the specification says")]
            Self::IntAsFloat => Scalar::Float(cursor.int()? as f32),
            Self::IntAsDouble => Scalar::Double(cursor.int()?.into()),
            Self::Long => Scalar::Long(cursor.long()?),
            #[expect(clippy::cast_precision_loss, reason = "widening as the specification says")]
            Self::LongAsFloat => Scalar::Float(cursor.long()? as f32),
            #[expect(clippy::cast_precision_loss, reason = "widening as the specification says")]
            Self::LongAsDouble => Scalar::Double(cursor.long()? as f64),
            Self::Float => Scalar::Float(cursor.float()?),
            Self::FloatAsDouble => Scalar::Double(cursor.float()?.into()),
            Self::Double => Scalar::Double(cursor.double()?),
            Self::Bytes => Scalar::Bytes(cursor.bytes()?),
            Self::String => Scalar::String(cursor.string()?),
            Self::Fixed(bytes) => Scalar::Bytes(cursor.take(*bytes)?),
            Self::Decimal => decimal(cursor.bytes()?, cursor)?,
            Self::FixedDecimal(bytes) => decimal(cursor.take(*bytes)?, cursor)?,
            Self::Symbol(ours) => match ours[cursor.index(ours.len())?] {
                Some(symbol) => Scalar::Symbol(symbol),
                None => return Err(ReadError::Unresolvable("an enum symbol the reader lacks")),
            },
            Self::Union(branches) => match &branches[cursor.index(branches.len())?] {
                Some(source) => source.read_any(cursor)?,
                None => {
                    return Err(ReadError::Unresolvable("a union branch the reader lacks"));
                }
            },
        })
    }
}

/// Unscaled value of a decimal: two's complement, big-endian, of any width.
fn decimal<'a>(bytes: &[u8], cursor: &Cursor<'_>) -> Result<Scalar<'a>, Malformed> {
    const WIDTH: usize = size_of::<i128>();
    let Some(first) = bytes.first() else {
        return Err(cursor.malformed("a decimal of no bytes"));
    };
    let sign = if *first & 0x80 == 0 { 0x00 } else { 0xff };
    let (extension, value) = bytes.split_at(bytes.len().saturating_sub(WIDTH));
    let mut wide = [sign; WIDTH];
    wide[WIDTH - value.len()..].copy_from_slice(value);
    let value = i128::from_be_bytes(wide);
    let is_extension = extension.iter().all(|byte| *byte == sign);
    if !is_extension || (value < 0) != (sign == 0xff) {
        return Err(cursor.malformed("a decimal of more than 128 bits"));
    }
    Ok(Scalar::Decimal(value))
}
