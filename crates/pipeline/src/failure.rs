//! Why a record failed, and whose fault it was: closed sets that other programs match on.
//!
//! The names are a wire contract (`x-failure-class`, `x-failure-reason`): never renamed,
//! only added.

/// Why one attempt at a record failed. The reason fixes the class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FailureReason {
    /// The record has no value (a tombstone).
    NoValue,
    /// Fewer bytes than a Confluent frame header (5).
    TooShort,
    /// The first byte is not the Confluent magic byte 0.
    BadMagic,
    /// The body is not an Avro datum of its writer schema.
    AvroDecode,
    /// The datum ends before the value does.
    TrailingBytes,
    /// The registry answered 404 with `error_code` 40403 for the schema id.
    SchemaNotFound,
    /// The registry's schema for the id is not an Avro schema.
    NotAvro,
    /// The writer schema does not resolve to the schema that this program reads.
    CannotResolve,
    /// `orderId` is empty.
    EmptyOrderId,
    /// `product` is empty or only white space.
    EmptyProduct,
    /// `price` is below zero.
    NegativePrice,
    /// `price` is NaN or infinite.
    PriceNotFinite,
    /// `price` is above the limit of one order.
    PriceTooLarge,
    /// A failure that was asked for with `--simulate-failures`.
    Simulated,
    /// The handler failed for this record; a later attempt may succeed.
    Handler,
    /// A record of the same key that came first was dead-lettered.
    PredecessorDead,
    /// The retry topic refuses the record for its size.
    TooLargeToRetry,
}

/// What kind of failure it is; decides between retry and dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FailureClass {
    /// The bytes are not a framed Avro datum.
    Malformed,
    /// The frame names a schema that the registry does not have.
    UnknownSchema,
    /// The writer schema cannot be read by this program.
    IncompatibleSchema,
    /// The order breaks a business rule.
    Invalid,
    /// A later attempt with the same bytes may succeed.
    Transient,
}

impl FailureReason {
    /// Every reason, in the order of the wire contract.
    pub const ALL: [Self; 17] = [
        Self::NoValue,
        Self::TooShort,
        Self::BadMagic,
        Self::AvroDecode,
        Self::TrailingBytes,
        Self::SchemaNotFound,
        Self::NotAvro,
        Self::CannotResolve,
        Self::EmptyOrderId,
        Self::EmptyProduct,
        Self::NegativePrice,
        Self::PriceNotFinite,
        Self::PriceTooLarge,
        Self::Simulated,
        Self::Handler,
        Self::PredecessorDead,
        Self::TooLargeToRetry,
    ];

    /// The class that this reason belongs to.
    pub const fn class(self) -> FailureClass {
        match self {
            Self::NoValue
            | Self::TooShort
            | Self::BadMagic
            | Self::AvroDecode
            | Self::TrailingBytes => FailureClass::Malformed,
            Self::SchemaNotFound => FailureClass::UnknownSchema,
            Self::NotAvro | Self::CannotResolve => FailureClass::IncompatibleSchema,
            Self::EmptyOrderId
            | Self::EmptyProduct
            | Self::NegativePrice
            | Self::PriceNotFinite
            | Self::PriceTooLarge => FailureClass::Invalid,
            Self::Simulated | Self::Handler | Self::PredecessorDead | Self::TooLargeToRetry => {
                FailureClass::Transient
            }
        }
    }

    /// The text of `x-failure-reason`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoValue => "no-value",
            Self::TooShort => "too-short",
            Self::BadMagic => "bad-magic",
            Self::AvroDecode => "avro-decode",
            Self::TrailingBytes => "trailing-bytes",
            Self::SchemaNotFound => "schema-not-found",
            Self::NotAvro => "not-avro",
            Self::CannotResolve => "cannot-resolve",
            Self::EmptyOrderId => "empty-order-id",
            Self::EmptyProduct => "empty-product",
            Self::NegativePrice => "negative-price",
            Self::PriceNotFinite => "price-not-finite",
            Self::PriceTooLarge => "price-too-large",
            Self::Simulated => "simulated",
            Self::Handler => "handler",
            Self::PredecessorDead => "predecessor-dead",
            Self::TooLargeToRetry => "too-large-to-retry",
        }
    }
}

impl FailureClass {
    /// Every class, in the order of the wire contract.
    pub const ALL: [Self; 5] = [
        Self::Malformed,
        Self::UnknownSchema,
        Self::IncompatibleSchema,
        Self::Invalid,
        Self::Transient,
    ];

    /// The text of `x-failure-class` and of metric labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::UnknownSchema => "unknown-schema",
            Self::IncompatibleSchema => "incompatible-schema",
            Self::Invalid => "invalid",
            Self::Transient => "transient",
        }
    }

    /// Whether another attempt with the same bytes could succeed.
    pub const fn is_transient(self) -> bool {
        matches!(self, Self::Transient)
    }
}

/// A failed attempt: the closed reason for programs, the detail for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Why, as a closed set.
    pub reason: FailureReason,
    /// Schema id of the record's frame, where one could be read.
    pub schema_id: Option<u32>,
    /// Free text for people; never holds payload bytes. Cut when it is written to a header.
    pub detail: String,
}

impl Failure {
    /// The class of the reason.
    pub const fn class(&self) -> FailureClass {
        self.reason.class()
    }

    /// Groups failures of one cause: `crc32_ieee("class/reason/schema-id")`, `-` for no id.
    pub fn fingerprint(&self) -> u32 {
        let (class, reason) = (self.class().as_str(), self.reason.as_str());
        let text = match self.schema_id {
            Some(id) => format!("{class}/{reason}/{id}"),
            None => format!("{class}/{reason}/-"),
        };
        crc32fast::hash(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_name_of_its_own_in_kebab_case() {
        let mut names: Vec<_> = FailureReason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert!(names.iter().all(|n| n.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), FailureReason::ALL.len());
    }

    #[test]
    fn the_fingerprint_depends_on_class_reason_and_schema_id_only() {
        let failure = |reason, schema_id, detail: &str| Failure {
            reason,
            schema_id,
            detail: detail.to_owned(),
        };
        let one = failure(FailureReason::AvroDecode, Some(7), "at byte 3");
        assert_eq!(
            one.fingerprint(),
            failure(FailureReason::AvroDecode, Some(7), "").fingerprint()
        );
        assert_eq!(one.fingerprint(), crc32fast::hash(b"malformed/avro-decode/7"));
        let without = failure(FailureReason::NoValue, None, "");
        assert_eq!(without.fingerprint(), crc32fast::hash(b"malformed/no-value/-"));
    }
}
