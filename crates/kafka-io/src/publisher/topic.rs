//! Whether a topic is there, may be written, and how many partitions it has.

use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::client::Client;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, Producer as _};

use crate::access::{MissingPermissions, Operation, Want, missing_permissions};
use crate::ask_error::AskError;
use crate::client_config::{KafkaSettings, Role};
use crate::events::Events;

/// Why the partitions of a topic are not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TopicError {
    /// The brokers answered and know no such topic.
    #[error("topic '{0}' does not exist")]
    Missing(String),
    /// The brokers do not let this client write to it.
    #[error("{missing}")]
    Denied {
        /// What is missing.
        missing: MissingPermissions,
    },
    /// The brokers did not answer.
    #[error("the brokers do not return metadata of topic '{topic}': {detail}")]
    Away {
        /// The topic.
        topic: String,
        /// What librdkafka says.
        detail: String,
    },
}

impl TopicError {
    pub(super) fn away(topic: &str, error: &KafkaError) -> Self {
        Self::Away { topic: topic.to_owned(), detail: error.to_string() }
    }
}

/// Asks the brokers for the number of partitions of `topic`, and whether it may be written.
///
/// It looks through the list of all topics: asking for the one would make a broker that creates
/// topics on demand create it.
///
/// # Errors
///
/// Fails if the topic does not exist or may not be written, or if no broker answers within `limit`.
pub fn partition_count(
    settings: &KafkaSettings,
    topic: &str,
    limit: Duration,
) -> Result<usize, TopicError> {
    let handle: BaseProducer<Events> = settings
        .base(Role::Admin)
        .create_with_context(Events::default())
        .map_err(|error| TopicError::away(topic, &error))?;
    let wants = [Want { topic, operations: vec![Operation::Write] }];
    let missing = missing_permissions(handle.client(), &wants, limit).map_err(|error| {
        let detail = match error {
            AskError::Away(text) => text,
            error => error.to_string(),
        };
        TopicError::Away { topic: topic.to_owned(), detail }
    })?;
    if !missing.is_empty() {
        return Err(TopicError::Denied { missing });
    }
    partition_count_seen_by(handle.client(), topic, limit)
}

pub(super) fn partition_count_seen_by<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    limit: Duration,
) -> Result<usize, TopicError> {
    let metadata =
        client.fetch_metadata(None, limit).map_err(|error| TopicError::away(topic, &error))?;
    let found = metadata.topics().iter().find(|known| known.name() == topic);
    match found.map(|known| known.partitions().len()) {
        Some(count) if count > 0 => Ok(count),
        _ => Err(TopicError::Missing(topic.to_owned())),
    }
}
