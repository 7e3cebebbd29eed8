//! A schema that records were written with.

use crate::shape::Shapes;

/// A writer schema as the registry gave it, parsed.
#[derive(Debug)]
pub struct WriterSchema {
    text: String,
    pub(crate) shapes: Shapes,
}

/// A schema that is not Avro, or whose layout cannot be read. Never worth another try: schemas of
/// an id do not change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an Avro schema: {0}")]
pub struct NotAvro(pub String);

impl WriterSchema {
    /// Reads the layout of a schema; `references` define what it names without defining it, in any order. Names,
    /// defaults and logical types are not judged: what a registry delivers was written with.
    ///
    /// # Errors
    ///
    /// If the layout cannot be read, or a name stays undefined.
    pub fn parse(text: &str, references: &[String]) -> Result<Self, NotAvro> {
        let shapes = Shapes::read(text, references).map_err(NotAvro)?;
        Ok(Self { text: text.to_owned(), shapes })
    }

    /// The schema as the registry has it, references not expanded.
    pub fn text(&self) -> &str {
        &self.text
    }
}
