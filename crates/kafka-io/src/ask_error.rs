//! Why a question to the brokers has no answer, by what to do about it.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::permission::{Needs, is_denial};

/// Ends the words about a topic that is not there. A broker that says so does answer.
const ABSENT: &str = "does not exist";

/// Why a question to the brokers has no answer yet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The previous owner's transaction is undecided: ask again.
    #[error("a transaction of the previous owner is still open")]
    Undecided,
    /// The broker did not answer in time or refused for now.
    #[error("{}", away(.0))]
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

fn away(text: &str) -> String {
    if text.ends_with(ABSENT) {
        return text.to_owned();
    }
    format!("the broker does not answer: {text}")
}

impl AskError {
    /// A topic is not there. It may have been made a moment ago, or come again.
    pub(crate) fn absent(topic: &str) -> Self {
        Self::Away(format!("the topic {topic} {ABSENT}"))
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_that_is_not_there_is_named_and_the_broker_is_not_blamed() {
        assert_eq!(AskError::absent("t-retry").to_string(), "the topic t-retry does not exist");
        let silent = AskError::of_code(Some(RDKafkaErrorCode::OperationTimedOut), String::new());
        assert_eq!(silent.to_string(), "the broker does not answer: no answer in time");
    }
}
