//! Records whose schema id stands in a header: this framing is not read, and their dead letters say so.

use pipeline::failure::{Failure, FailureReason};

/// Where Confluent's clients of version 8 put the id of the value's schema, if told to
/// (`HeaderSchemaIdSerializer`): a
/// byte 1 and a GUID, or a byte 0 and an id. The value is then the bare datum.
const VALUE_SCHEMA_ID: &str = "__value_schema_id";

/// What such a record fails with. To be asked of a value that could not be read: what its first
/// bytes are taken for means
/// nothing then, and a registry need not be asked for it.
pub(super) fn framed_in_header<'r>(header: &dyn Fn(&str) -> Option<&'r [u8]>) -> Option<Failure> {
    header(VALUE_SCHEMA_ID)?;
    let detail = format!(
        "the schema id is in the header {VALUE_SCHEMA_ID}, a framing that is not supported: let the producer write \
         it before the value (value.schema.id.serializer=io.confluent.kafka.serializers.schema.id.PrefixSchemaIdSerializer)"
    );
    Some(Failure { reason: FailureReason::BadMagic, schema_id: None, detail })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_with_its_schema_id_in_a_header_fails_for_its_framing_and_no_other_does() {
        let fails = |present: &'static str| {
            let header = |name: &str| (name == present).then_some(&b"\x01sixteen bytes id"[..]);
            framed_in_header(&header)
        };
        let failure = fails("__value_schema_id").expect("it is framed in a header");
        assert_eq!((failure.reason, failure.schema_id), (FailureReason::BadMagic, None));
        assert!(failure.detail.contains("__value_schema_id, a framing that is not supported"));
        assert_eq!(fails("__key_schema_id"), None);
    }
}
