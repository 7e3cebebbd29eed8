//! Why a record failed, and whose fault it was: sets that other programs match on. The classes are
//! closed; users add reasons of their own.
//!
//! The names are a wire contract (`x-failure-class`, `x-failure-reason`): never renamed,
//! only added.

/// Why one attempt at a record failed. The reason fixes the class. Reasons about an order, its product and its price are those
/// of the order pipeline; a handler has its own, as a [`ReasonName`].
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
    /// A failure that a program was asked to simulate.
    Simulated,
    /// The handler failed for this record, or did not end in time; a later attempt may succeed.
    Handler,
    /// A record of the same key that came first was dead-lettered.
    PredecessorDead,
    /// The retry topic refuses the record for its size.
    TooLargeToRetry,
    /// The value is not JSON.
    JsonDecode,
    /// The value is JSON of another shape than the type that the program reads.
    JsonShape,
    /// A reason of the user's own: no later attempt can succeed.
    Permanent(ReasonName),
    /// A reason of the user's own: a later attempt may succeed.
    Transient(ReasonName),
}

/// What a user calls a reason of their own: the text of `x-failure-reason`, a part of the failure's
/// fingerprint and the label of a metric.
///
/// ```
/// use pipeline::failure::ReasonName;
///
/// const BAD_ADDRESS: ReasonName = ReasonName::of("bad-address");
/// assert_eq!(BAD_ADDRESS.as_str(), "bad-address");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReasonName(&'static str);

impl ReasonName {
    /// Longest name, in bytes.
    pub const BYTES_MAX: usize = 64;

    /// Takes a name: lower-case letters, digits and single hyphens between them.
    ///
    /// # Panics
    ///
    /// Panics for any other text, for one above [`Self::BYTES_MAX`], and for one that
    /// [`FailureReason::ALL`] has: as a constant it does not compile.
    #[must_use]
    pub const fn of(name: &'static str) -> Self {
        assert!(
            Self::is_one(name),
            "a reason has 1 to 64 lower-case letters, digits and single hyphens between them, and \
             is none that the engine has"
        );
        Self(name)
    }

    /// Whether a text can be the name of a reason of somebody's own.
    #[must_use]
    pub const fn is_one(name: &str) -> bool {
        let text = name.as_bytes();
        let mut at = 0;
        while at < text.len() {
            let is_hyphen_inside =
                text[at] == b'-' && at > 0 && at + 1 < text.len() && text[at - 1] != b'-';
            if !(text[at].is_ascii_lowercase() || text[at].is_ascii_digit() || is_hyphen_inside) {
                return false;
            }
            at += 1;
        }
        let mut known = 0;
        while known < FailureReason::ALL.len() {
            if is_equal(text, FailureReason::ALL[known].as_str().as_bytes()) {
                return false;
            }
            known += 1;
        }
        !text.is_empty() && text.len() <= Self::BYTES_MAX
    }

    /// The name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

const fn is_equal(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let mut at = 0;
    while at < one.len() {
        if one[at] != other[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// What kind of failure it is; decides between retry and dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FailureClass {
    /// The bytes are not a framed Avro datum, or not JSON where JSON is read.
    Malformed,
    /// The frame names a schema that the registry does not have.
    UnknownSchema,
    /// The writer schema cannot be read by this program.
    IncompatibleSchema,
    /// The record breaks a rule of the business.
    Invalid,
    /// A later attempt with the same bytes may succeed.
    Transient,
    /// A handler refuses the record for good, for a reason of its own.
    Refused,
}

impl FailureReason {
    /// Every reason but users' own, in the order of the wire contract.
    pub const ALL: [Self; 19] = [
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
        Self::JsonDecode,
        Self::JsonShape,
    ];

    /// The class that this reason belongs to.
    pub const fn class(self) -> FailureClass {
        match self {
            Self::NoValue
            | Self::TooShort
            | Self::BadMagic
            | Self::AvroDecode
            | Self::TrailingBytes
            | Self::JsonDecode
            | Self::JsonShape => FailureClass::Malformed,
            Self::SchemaNotFound => FailureClass::UnknownSchema,
            Self::NotAvro | Self::CannotResolve => FailureClass::IncompatibleSchema,
            Self::EmptyOrderId
            | Self::EmptyProduct
            | Self::NegativePrice
            | Self::PriceNotFinite
            | Self::PriceTooLarge => FailureClass::Invalid,
            Self::Permanent(_) => FailureClass::Refused,
            Self::Simulated
            | Self::Handler
            | Self::PredecessorDead
            | Self::TooLargeToRetry
            | Self::Transient(_) => FailureClass::Transient,
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
            Self::JsonDecode => "json-decode",
            Self::JsonShape => "json-shape",
            Self::Permanent(name) | Self::Transient(name) => name.as_str(),
        }
    }
}

impl FailureClass {
    /// Every class, in the order of the wire contract.
    pub const ALL: [Self; 6] = [
        Self::Malformed,
        Self::UnknownSchema,
        Self::IncompatibleSchema,
        Self::Invalid,
        Self::Transient,
        Self::Refused,
    ];

    /// The text of `x-failure-class` and of metric labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::UnknownSchema => "unknown-schema",
            Self::IncompatibleSchema => "incompatible-schema",
            Self::Invalid => "invalid",
            Self::Transient => "transient",
            Self::Refused => "refused",
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
    /// Why.
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
        fingerprint(self.class().as_str(), self.reason.as_str(), self.schema_id)
    }
}

/// The fingerprint of a failure by the texts of its headers; see [`Failure::fingerprint`].
pub fn fingerprint(class: &str, reason: &str, schema_id: Option<u32>) -> u32 {
    let text = match schema_id {
        Some(id) => format!("{class}/{reason}/{id}"),
        None => format!("{class}/{reason}/-"),
    };
    crc32fast::hash(text.as_bytes())
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
    fn a_reason_of_the_users_own_has_the_class_that_decides_what_becomes_of_its_record() {
        let name = ReasonName::of("bad-address-2");
        for (reason, class) in [
            (FailureReason::Permanent(name), FailureClass::Refused),
            (FailureReason::Transient(name), FailureClass::Transient),
        ] {
            assert_eq!((reason.class(), reason.as_str()), (class, "bad-address-2"));
        }
    }

    #[test]
    fn a_reason_that_is_no_name_or_is_taken_is_refused() {
        let long = "x".repeat(ReasonName::BYTES_MAX + 1);
        let long: &'static str = long.leak();
        for name in ["", "Bad", "bad address", "-bad", "bad-", "a--b", "ü", "handler", long] {
            assert!(std::panic::catch_unwind(|| ReasonName::of(name)).is_err(), "{name:?}");
        }
        assert_eq!(ReasonName::of(&long[..64]).as_str().len(), 64);
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
