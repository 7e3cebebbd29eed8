//! The schema that a record type is read with, and the defaults that fill what a writer
//! lacks.

use apache_avro::Schema;
use apache_avro::schema::RecordField;

use crate::scalar::{AvroRecord, Scalar};
use crate::shape::{Node, NodeId, Shape, Shapes};

/// A reader schema: a record of scalars and nullable scalars.
#[derive(Debug)]
pub(crate) struct ReaderSchema {
    pub(crate) shapes: Shapes,
    /// In the order of the schema.
    pub(crate) fields: Box<[ReaderField]>,
}

/// One field that the program reads.
#[derive(Debug)]
pub(crate) struct ReaderField {
    pub(crate) name: String,
    /// Names under which older writers knew it.
    pub(crate) aliases: Vec<String>,
    pub(crate) node: NodeId,
    pub(crate) default: Option<Constant>,
}

/// A default, ready to be set.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Constant {
    Null,
    Boolean(bool),
    Int(i32),
    Long(i64),
    Float(f32),
    Double(f64),
    String(String),
    Symbol(usize),
}

impl ReaderSchema {
    /// The schema of `T`.
    ///
    /// # Errors
    ///
    /// If it is not a record of scalars, or a default is not of its field's type: a mistake in
    /// this program's own schema.
    pub(crate) fn of<T: AvroRecord>() -> Result<Self, String> {
        Self::parse(T::SCHEMA)
    }

    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let schema = Schema::parse_str(text).map_err(|error| error.to_string())?;
        let shapes = Shapes::of(&schema, &[])?;
        let Schema::Record(record) = &schema else {
            return Err("the reader schema is not a record".to_owned());
        };
        let Shape::Record { fields: nodes } = &shapes.node(shapes.root()).shape else {
            return Err("the reader schema is not a record".to_owned());
        };
        let fields = record
            .fields
            .iter()
            .zip(nodes)
            .map(|(field, (_, node))| read_field(&shapes, field, *node))
            .collect::<Result<_, _>>()?;
        Ok(Self { shapes, fields })
    }

    pub(crate) fn root(&self) -> &Node {
        self.shapes.node(self.shapes.root())
    }
}

fn read_field(shapes: &Shapes, field: &RecordField, node: NodeId) -> Result<ReaderField, String> {
    let default = match &field.default {
        Some(json) => Some(constant(shapes, shapes.node(node), json).ok_or_else(|| {
            format!("field {}: {json} is not a scalar default of its type", field.name)
        })?),
        None => None,
    };
    let (name, aliases) = (field.name.clone(), field.aliases.clone());
    Ok(ReaderField { name, aliases, node, default })
}

/// Reads a default; of a union, the first branch that it fits.
fn constant(shapes: &Shapes, node: &Node, json: &serde_json::Value) -> Option<Constant> {
    match &node.shape {
        Shape::Null => json.is_null().then_some(Constant::Null),
        Shape::Boolean => json.as_bool().map(Constant::Boolean),
        Shape::Int => json.as_i64()?.try_into().ok().map(Constant::Int),
        Shape::Long => json.as_i64().map(Constant::Long),
        #[expect(clippy::cast_possible_truncation, reason = "the nearest float is meant")]
        Shape::Float => json.as_f64().map(|double| Constant::Float(double as f32)),
        Shape::Double => json.as_f64().map(Constant::Double),
        Shape::String => json.as_str().map(|text| Constant::String(text.to_owned())),
        Shape::Enum { symbols, .. } => {
            let symbol = json.as_str()?;
            symbols.iter().position(|known| known == symbol).map(Constant::Symbol)
        }
        Shape::Union { branches } => {
            branches.iter().find_map(|branch| constant(shapes, shapes.node(*branch), json))
        }
        _ => None,
    }
}

impl Constant {
    pub(crate) fn scalar(&self) -> Scalar<'_> {
        match self {
            Self::Null => Scalar::Null,
            Self::Boolean(value) => Scalar::Boolean(*value),
            Self::Int(value) => Scalar::Int(*value),
            Self::Long(value) => Scalar::Long(*value),
            Self::Float(value) => Scalar::Float(*value),
            Self::Double(value) => Scalar::Double(*value),
            Self::String(value) => Scalar::String(value),
            Self::Symbol(index) => Scalar::Symbol(*index),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(avro_type: &str, default: &str, expected: Result<Constant, ()>) {
        let schema = format!(
            r#"{{"type":"record","name":"R","fields":[{{"name":"f","type":{avro_type},"default":{default}}}]}}"#
        );
        let found = ReaderSchema::parse(&schema).map(|reader| reader.fields[0].default.clone());
        assert_eq!(found.map_err(drop), expected.map(Some), "{schema}");
    }

    #[test]
    fn a_default_is_read_as_its_fields_type() {
        check(r#""int""#, "1", Ok(Constant::Int(1)));
        check(r#""long""#, "1", Ok(Constant::Long(1)));
        check(r#""double""#, "0.5", Ok(Constant::Double(0.5)));
        check(r#""string""#, r#""""#, Ok(Constant::String(String::new())));
        check(r#"["null","string"]"#, "null", Ok(Constant::Null));
        check(r#"["int","null"]"#, "7", Ok(Constant::Int(7)));
        check(
            r#"{"type":"enum","name":"E","symbols":["A","B"]}"#,
            r#""B""#,
            Ok(Constant::Symbol(1)),
        );
    }

    #[test]
    fn a_default_that_is_not_a_scalar_is_refused() {
        check(r#"{"type":"array","items":"int"}"#, "[]", Err(()));
    }
}
