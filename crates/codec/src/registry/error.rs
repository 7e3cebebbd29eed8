//! What an answer of the registry means.

/// Why a registry did not do what it was asked. Closed: callers match on it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// The registry is not there, not well, does not let us in, or something else answered
    /// in its place. Says nothing about the record or schema; another try may succeed.
    #[error("the schema registry is away: {detail}")]
    Away {
        /// What happened, with the address.
        detail: String,
    },
    /// The registry is well and does not have it.
    #[error("not in the schema registry: {detail}")]
    NotFound {
        /// What was not found.
        detail: String,
    },
    /// The schema breaks the compatibility rule of its subject.
    #[error("incompatible with the registered schema: {detail}")]
    Incompatible {
        /// The registry's words.
        detail: String,
    },
    /// The registry, or this client's limits, refuse the schema itself.
    #[error("the schema is refused: {detail}")]
    Rejected {
        /// The registry's words.
        detail: String,
    },
}

impl RegistryError {
    /// Whether the surroundings are to blame: pause and try again.
    pub const fn is_away(&self) -> bool {
        match self {
            Self::Away { .. } => true,
            Self::NotFound { .. } | Self::Incompatible { .. } | Self::Rejected { .. } => false,
        }
    }
}
