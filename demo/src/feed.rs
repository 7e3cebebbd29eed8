//! What becomes of single orders, read from the outcome log as any other program could.

use std::collections::HashMap;
use std::time::Duration;

use codec::decode::Decoder;
use codec::registry::value_subject;
use codec::resolver::SchemaResolver;
use kafka_io::client_config::{KafkaSettings, Role};
use kafka_io::reader::{Polled, Reader};
use order_schemas::{OrderOutcome, Outcome};
use pipeline::record::CommitPosition;
use service_kit::exit::AppError;
use tokio::runtime::Handle;

use crate::servers::{self, Servers};

/// Entries taken at once: the view is drawn in between.
const ENTRIES_MAX: usize = 1_000;

/// Name of the group that reads without joining it.
const READER_GROUP: &str = "demo-view";

/// Something worth telling about one order; one that is counted at once is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    /// The order's id, or its coordinates if it could not be read.
    pub(crate) order: String,
    /// Its product; empty if it could not be read.
    pub(crate) product: String,
    /// Attempts made.
    pub(crate) attempt: i32,
    /// What came of the last one.
    pub(crate) kind: Kind,
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It failed and waits for the next one.
    Retried,
    /// It was counted, so long after the attempt before.
    Recovered { waited: Duration },
    /// It was given up.
    DeadLettered { class: String },
}

/// Follows the outcome log.
pub(crate) struct Feed {
    reader: Reader,
    decoder: Decoder<OrderOutcome>,
    /// When the last failed attempt of a waiting order was settled, by its coordinates.
    failed_at_ms: HashMap<(i32, i64), i64>,
}

impl Feed {
    /// Starts at the beginning of the log. The consumer has registered its schema.
    pub(crate) fn start(servers: &Servers, runtime: &Handle) -> Result<Self, AppError> {
        let (registry, subject) = (servers.registry()?, value_subject(servers::OUTCOMES));
        let schema = order_schemas::ORDER_OUTCOME_V1;
        let id = runtime
            .block_on(registry.look_up(&subject, schema))
            .map_err(|error| servers::registry_failed(&error))?;
        let resolver = SchemaResolver::offline();
        resolver.insert(id, schema).map_err(|error| AppError::failed(error.to_string()))?;
        let reader = reader(servers)?;
        for partition in 0..servers::PARTITIONS {
            reader
                .start(servers::OUTCOMES, partition, CommitPosition(0))
                .map_err(|error| AppError::failed(error.to_string()))?;
        }
        Ok(Self { reader, decoder: Decoder::new(resolver), failed_at_ms: HashMap::new() })
    }

    /// Takes what is new, without waiting.
    pub(crate) fn drain(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        for _ in 0..ENTRIES_MAX {
            let record = match self.reader.poll(Duration::ZERO) {
                Polled::Record(record) => record,
                Polled::End(_) => continue,
                Polled::Nothing => break,
                Polled::Away(text) | Polled::Denied(text) | Polled::Missing(text) => {
                    tracing::warn!(text, "the outcome log cannot be read");
                    break;
                }
                Polled::OutOfRange => break,
            };
            match self.decoder.decode(record.value()) {
                Ok(entry) => events.extend(told(entry, &mut self.failed_at_ms)),
                Err(error) => tracing::warn!(%error, "skipping an entry of the outcome log"),
            }
        }
        events
    }
}

/// A reader of the servers in this process that reads nothing yet.
pub(crate) fn reader(servers: &Servers) -> Result<Reader, AppError> {
    let settings = KafkaSettings::new("demo", &servers.bootstrap_servers(), Vec::new())
        .map_err(|error| AppError::failed(error.to_string()))?;
    Reader::new(&settings.base(Role::Consumer), READER_GROUP)
        .map_err(|error| AppError::failed(error.to_string()))
}

/// Turns an entry into what is worth telling, and notes when attempts failed.
fn told(entry: OrderOutcome, failed_at_ms: &mut HashMap<(i32, i64), i64>) -> Option<Event> {
    let coordinates = (entry.origin_partition, entry.origin_offset);
    let kind = match entry.outcome {
        Outcome::Retried => {
            failed_at_ms.insert(coordinates, entry.settled_at_ms);
            Kind::Retried
        }
        Outcome::Succeeded => {
            let waited_ms = entry.settled_at_ms - failed_at_ms.remove(&coordinates)?;
            Kind::Recovered { waited: Duration::from_millis(u64::try_from(waited_ms).ok()?) }
        }
        Outcome::DeadLettered => {
            failed_at_ms.remove(&coordinates);
            Kind::DeadLettered { class: entry.failure_class.unwrap_or_default().into_owned() }
        }
        Outcome::Duplicate | Outcome::Unknown => return None,
    };
    let order = if entry.order_id.is_empty() {
        format!("{}/{}@{}", servers::ORDERS, coordinates.0, coordinates.1)
    } else {
        entry.order_id
    };
    Some(Event { order, product: entry.product, attempt: entry.attempt, kind })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(outcome: Outcome, attempt: i32, settled_at_ms: i64) -> OrderOutcome {
        OrderOutcome {
            order_id: "o-1".to_owned(),
            product: "tea".to_owned(),
            origin_partition: 2,
            origin_offset: 14,
            attempt,
            outcome,
            failure_class: None,
            settled_at_ms,
        }
    }

    #[test]
    fn an_order_that_is_counted_at_once_is_not_worth_telling() {
        assert_eq!(told(entry(Outcome::Succeeded, 1, 5), &mut HashMap::new()), None);
    }

    #[test]
    fn an_order_that_recovers_tells_how_long_it_waited() {
        let mut failed = HashMap::new();
        let first = told(entry(Outcome::Retried, 1, 1_000), &mut failed).unwrap();
        assert_eq!((first.order.as_str(), first.kind), ("o-1", Kind::Retried));
        let second = told(entry(Outcome::Succeeded, 2, 2_030), &mut failed).unwrap();
        assert_eq!(second.kind, Kind::Recovered { waited: Duration::from_millis(1_030) });
        assert!(failed.is_empty());
    }

    #[test]
    fn an_order_that_cannot_be_read_is_told_by_its_coordinates() {
        let unread = OrderOutcome {
            order_id: String::new(),
            failure_class: Some("malformed".into()),
            ..entry(Outcome::DeadLettered, 1, 5)
        };
        let event = told(unread, &mut HashMap::new()).unwrap();
        assert_eq!(event.order, "orders/2@14");
        assert_eq!(event.kind, Kind::DeadLettered { class: "malformed".to_owned() });
    }
}
