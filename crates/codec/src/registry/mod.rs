//! A client for Confluent-compatible schema registries that says whose fault a failure is.
//!
//! It stays own: an error of `schema_registry_converter`, the field's crate, knows whether to try
//! again, and neither who is to blame nor why nobody was reached (name, address, certificate), on
//! which retry, dead letter and the hint to the user depend.

mod access;
mod address;
mod answer;
mod canonical;
mod client;
mod error;
mod references;
mod settings;
mod subjects;
mod transport;
mod unreachable;
mod versions;

pub use access::BadRegistryAccess;
pub use address::BadRegistryUrl;
pub use client::{FetchedSchema, Registry};
pub(crate) use error::reason;
pub use error::{AwayCause, RegistryError};
pub use settings::RegistrySettings;
pub use unreachable::root_cause;
pub use versions::SubjectVersion;

/// Whether a program may add its schemas to the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Registration {
    /// Register at start what the subject does not hold yet; the registry may refuse an
    /// incompatible schema.
    #[default]
    Register,
    /// Only look up: somebody else registers.
    LookUpOnly,
}

/// Subject of a topic's values by TopicNameStrategy.
pub fn value_subject(topic: &str) -> String {
    format!("{topic}-value")
}
