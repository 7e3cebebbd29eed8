//! Reader schemas that no type of the program stands for: would they read what was written?

use crate::decode::Decoder;
use crate::defaults::ReaderSchema;
use crate::plan::Plan;
use crate::resolver::SchemaResolver;
use crate::scalar::{AvroRecord, OutOfRange, Scalar};
use crate::writer_schema::WriterSchema;

/// A value of a schema that no type stands for: it is read, and nothing of it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Candidate {}

impl AvroRecord for Candidate {
    type Value = ();

    /// None of its own: [`Decoder::of_schema`] takes one.
    const SCHEMA: &'static str = r#"{"type": "record", "name": "Candidate", "fields": []}"#;

    fn blank() {}

    fn set((): &mut (), _: usize, _: Scalar<'_>) -> Result<(), OutOfRange> {
        Ok(())
    }
}

impl Decoder<Candidate> {
    /// A decoder that reads with this schema, and keeps nothing of what it reads.
    ///
    /// # Errors
    ///
    /// If it is no Avro schema, or no record of scalars and nullable scalars: the programs read no other.
    pub fn of_schema(resolver: SchemaResolver, text: &str) -> Result<Self, String> {
        Ok(Self::with_reader(resolver, ReaderSchema::parse(text)?))
    }
}

/// Whether a reader with the one schema reads what is written with the other, as far as schemas tell.
///
/// # Errors
///
/// Says which part does not resolve, or that the reader's schema is none that the programs read.
pub fn resolves(writer: &WriterSchema, reader: &str) -> Result<(), String> {
    Plan::compile(writer, &ReaderSchema::parse(reader)?).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::DecodeError;

    fn record(fields: &str) -> String {
        format!(r#"{{"type": "record", "name": "Click", "fields": [{fields}]}}"#)
    }

    const URL: &str = r#"{"name": "url", "type": "string"}"#;
    const USER: &str = r#"{"name": "user", "type": "long"}"#;

    #[test]
    fn a_candidate_reads_what_resolves_to_it() {
        let writer = WriterSchema::parse(&record(URL), &[]).expect("a schema");
        assert_eq!(resolves(&writer, &record(URL)), Ok(()));
        let with_default = r#"{"name": "user", "type": "long", "default": 0}"#;
        assert_eq!(resolves(&writer, &record(&format!("{URL}, {with_default}"))), Ok(()));
        let why = resolves(&writer, &record(&format!("{URL}, {USER}"))).expect_err("no default");
        assert!(why.contains("field user"), "{why}");
        assert!(resolves(&writer, r#""string""#).is_err(), "no record");
    }

    #[test]
    fn a_datum_is_read_with_a_candidate_and_blamed_as_by_a_decoder_of_a_type() {
        let resolver = SchemaResolver::offline();
        resolver.insert(7, &record(URL)).expect("a schema");
        let decoder = |fields: &str| Decoder::of_schema(resolver.clone(), &record(fields));
        let whole = [0, 0, 0, 0, 7, 2, b'/'];
        assert_eq!(decoder(URL).expect("a reader").decode(Some(&whole)), Ok(()));
        let reason = |fields: &str, bytes: &[u8]| match decoder(fields)
            .expect("a reader")
            .decode(Some(bytes))
        {
            Err(DecodeError::Failed(failure)) => failure.reason.as_str().to_owned(),
            other => panic!("{other:?}"),
        };
        assert_eq!(reason(USER, &whole), "cannot-resolve");
        assert_eq!(reason(URL, &whole[..6]), "avro-decode");
        assert!(Decoder::of_schema(resolver.clone(), "{").is_err());
    }
}
