//! Why a turn was not committed, sorted by what to do next.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::native::NativeError;
use crate::permission::{Needs, is_denial};

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
    #[error("the group has a new generation: {0}")]
    StaleMember(String),
    /// The transaction failed and nothing of it is visible. Redo the turn.
    #[error("the transaction failed: {0}")]
    Failed(String),
    /// Whether the turn is visible is unknown. Make a new writer, read offsets and state again.
    #[error("{0}; whether the turn was written is unknown")]
    Unknown(String),
    /// The producer is fenced: by another one with this transactional id, as far as is known.
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

/// Whether another producer with this transactional id came after this one, or the coordinator has
/// given its transaction up.
pub(crate) const fn is_fence(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as E;
    matches!(code, E::ProducerFenced | E::InvalidProducerEpoch | E::Fenced)
}

/// Whether the transaction has to be aborted after this.
pub(crate) fn requires_abort(error: &KafkaError) -> bool {
    matches!(error, KafkaError::Transaction(error) if error.txn_requires_abort())
}

/// Sorts an error by what to do next; a refusal names which of `needs` is missing.
pub(crate) fn sort(error: &KafkaError, needs: Needs<'_>) -> WriteError {
    match error {
        KafkaError::Transaction(native) => {
            let text = native.string();
            sort_code(native.code(), &text, native.is_fatal(), needs)
        }
        other => sort_code(
            other.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown),
            &other.to_string(),
            false,
            needs,
        ),
    }
}

/// Sorts an error of a native call.
pub(crate) fn sort_native(error: &NativeError, needs: Needs<'_>) -> WriteError {
    sort_code(error.code, &error.text, error.is_fatal, needs)
}

/// Sorts an error by its code.
pub(crate) fn sort_code(
    code: RDKafkaErrorCode,
    text: &str,
    is_fatal: bool,
    needs: Needs<'_>,
) -> WriteError {
    use RDKafkaErrorCode as E;
    let text = needs.explain(code, text);
    match code {
        E::OffsetMetadataTooLarge => WriteError::MetadataTooLarge,
        E::IllegalGeneration
        | E::UnknownMemberId
        | E::RebalanceInProgress
        | E::FencedInstanceId => WriteError::StaleMember(text),
        fence if is_fence(fence) => WriteError::Fenced(text),
        denied if is_denial(denied) => WriteError::Denied(text),
        // The client's own words are about its calls, such as to call it again.
        E::OperationTimedOut | E::MessageTimedOut => {
            WriteError::Unknown("the broker does not answer in time".to_owned())
        }
        E::BrokerTransportFailure | E::AllBrokersDown => {
            WriteError::Unknown("there is no connection to the broker".to_owned())
        }
        _ if is_fatal => WriteError::Unknown(text),
        _ => WriteError::Failed(text),
    }
}
