//! Why a question to the brokers has no answer, by what to do about it.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::permission::{Needs, is_denial};

/// Why a question to the brokers has no answer yet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The previous owner's transaction is undecided: ask again.
    #[error("a transaction of the previous owner is still open")]
    Undecided,
    /// The broker did not answer in time or refused for now.
    #[error("the broker does not answer: {0}")]
    Away(String),
    /// The offsets' metadata is longer than the broker takes.
    #[error("the broker refuses offset metadata of this length")]
    MetadataTooLarge,
    /// Another member holds the same instance id.
    #[error("another member uses the instance id: {0}")]
    Fenced(String),
    /// The broker refuses for good.
    #[error("the broker refuses: {0}")]
    Refused(String),
}

impl AskError {
    /// Sorts an error of a broker request by what to do about it.
    pub(crate) fn of(error: &KafkaError) -> Self {
        Self::of_code(error.rdkafka_error_code(), error.to_string())
    }

    /// Like [`Self::of`]; a refusal names the permission that is missing.
    pub(crate) fn about(error: &KafkaError, needs: Needs<'_>) -> Self {
        let (code, text) = (error.rdkafka_error_code(), error.to_string());
        let text = code.map_or_else(|| text.clone(), |code| needs.explain(code, &text));
        Self::of_code(code, text)
    }

    /// Sorts an error code by what to do about it.
    pub(crate) fn of_code(code: Option<RDKafkaErrorCode>, text: String) -> Self {
        use RDKafkaErrorCode as E;
        match code {
            Some(E::UnstableOffsetCommit) => Self::Undecided,
            Some(E::OffsetMetadataTooLarge) => Self::MetadataTooLarge,
            Some(E::FencedInstanceId) => Self::Fenced(text),
            Some(code) if is_denial(code) => Self::Refused(text),
            Some(E::OperationTimedOut | E::RequestTimedOut) => {
                Self::Away("no answer in time".to_owned())
            }
            Some(E::AllBrokersDown | E::BrokerTransportFailure) => {
                Self::Away("no connection to any broker".to_owned())
            }
            _ => Self::Away(text),
        }
    }
}
