//! Why a turn was not committed, sorted by what to do next.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::native::NativeError;

/// A record that the broker refused, by its tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// Tag given to [`Writer::produce`].
    pub tag: usize,
    /// Why.
    pub code: RDKafkaErrorCode,
}

impl Refused {
    /// Whether the record, or the batch that it was in, is too large.
    pub const fn is_size(&self) -> bool {
        is_size(self.code)
    }
}

/// Why a turn was not committed, sorted by what to do next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The broker refused records; nothing of the turn is visible. Redo it without them.
    #[error("the broker refused {} records, first: {}", .0.len(), .0[0].code)]
    Refused(Vec<Refused>),
    /// The offsets' metadata is too long for the broker; nothing of the turn is visible.
    #[error("the broker refuses offset metadata of this length")]
    MetadataTooLarge,
    /// The group has moved on; nothing of the turn is visible. Read ownership again.
    #[error("the group has moved on: {0}")]
    StaleMember(String),
    /// The transaction failed and nothing of it is visible. Redo the turn.
    #[error("the transaction failed: {0}")]
    Failed(String),
    /// Whether the turn is visible is unknown. Make a new writer, read offsets and state again.
    #[error("the outcome is unknown: {0}")]
    Unknown(String),
    /// Another producer has taken this transactional id.
    #[error("the transactional id was taken by another producer: {0}")]
    Fenced(String),
    /// The broker refuses for good, such as for a missing permission.
    #[error("the broker refuses: {0}")]
    Denied(String),
}

/// Whether a refusal is about the size of the record or of its batch.
pub(crate) const fn is_size(code: RDKafkaErrorCode) -> bool {
    matches!(code, RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::InvalidMessageSize)
        || matches!(code, RDKafkaErrorCode::MessageBatchTooLarge)
}

/// Whether the transaction has to be aborted after this.
pub(crate) fn requires_abort(error: &KafkaError) -> bool {
    matches!(error, KafkaError::Transaction(error) if error.txn_requires_abort())
}

/// Sorts an error by what to do next.
pub(crate) fn sort(error: &KafkaError) -> WriteError {
    match error {
        KafkaError::Transaction(native) => {
            let text = native.string();
            sort_code(native.code(), &text, native.is_fatal())
        }
        other => sort_code(
            other.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown),
            &other.to_string(),
            false,
        ),
    }
}

/// Sorts an error of a native call.
pub(crate) fn sort_native(error: &NativeError) -> WriteError {
    sort_code(error.code, &error.text, error.is_fatal)
}

/// Sorts an error by its code.
pub(crate) fn sort_code(code: RDKafkaErrorCode, text: &str, is_fatal: bool) -> WriteError {
    use RDKafkaErrorCode as E;
    let text = text.to_owned();
    match code {
        E::OffsetMetadataTooLarge => WriteError::MetadataTooLarge,
        E::IllegalGeneration
        | E::UnknownMemberId
        | E::RebalanceInProgress
        | E::FencedInstanceId => WriteError::StaleMember(text),
        E::ProducerFenced | E::InvalidProducerEpoch | E::Fenced => WriteError::Fenced(text),
        E::TopicAuthorizationFailed
        | E::GroupAuthorizationFailed
        | E::ClusterAuthorizationFailed
        | E::TransactionalIdAuthorizationFailed => WriteError::Denied(text),
        E::OperationTimedOut
        | E::MessageTimedOut
        | E::BrokerTransportFailure
        | E::AllBrokersDown => WriteError::Unknown(text),
        _ if is_fatal => WriteError::Unknown(text),
        _ => WriteError::Failed(text),
    }
}
