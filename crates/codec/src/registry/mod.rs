//! A client for Confluent-compatible schema registries that says whose fault a failure is.

mod access;
mod answer;
mod client;
mod error;
mod settings;

pub use access::BadRegistryAccess;
pub use client::{FetchedSchema, Registry};
pub use error::RegistryError;
pub use reqwest::Url;
pub use settings::{BadRegistryUrl, RegistrySettings};

/// Whether a program may add its schemas to the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Registration {
    /// Register at start; the registry may refuse an incompatible schema.
    #[default]
    Register,
    /// Only look up: somebody else registers.
    LookUpOnly,
}

/// Subject of a topic's values by TopicNameStrategy.
pub fn value_subject(topic: &str) -> String {
    format!("{topic}-value")
}
