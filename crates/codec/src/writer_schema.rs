//! A schema that records were written with.

use apache_avro::Schema;

use crate::shape::Shapes;

/// A writer schema as the registry gave it, parsed.
#[derive(Debug)]
pub struct WriterSchema {
    text: String,
    pub(crate) shapes: Shapes,
}

/// A schema that is not Avro, or none that can be parsed. Never worth another try: schemas of
/// an id do not change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an Avro schema: {0}")]
pub struct NotAvro(pub String);

impl WriterSchema {
    /// Parses a schema; `references` define what it names without defining it, in any order.
    ///
    /// # Errors
    ///
    /// If a text is no Avro schema, or a name stays undefined.
    pub fn parse(text: &str, references: &[String]) -> Result<Self, NotAvro> {
        let parsed = if references.is_empty() {
            Schema::parse_str(text).map(|schema| (schema, Vec::new()))
        } else {
            Schema::parse_str_with_list(text, references)
        };
        let (schema, references) = parsed.map_err(|error| NotAvro(error.to_string()))?;
        let shapes = Shapes::of(&schema, &references).map_err(NotAvro)?;
        Ok(Self { text: text.to_owned(), shapes })
    }

    /// The schema as the registry has it, references not expanded.
    pub fn text(&self) -> &str {
        &self.text
    }
}
