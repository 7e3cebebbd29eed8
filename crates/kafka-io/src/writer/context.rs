//! What librdkafka tells a writer: delivery reports, refusals, log lines.

use std::sync::Mutex;

use pipeline::record::Offset;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::producer::{DeliveryResult, ProducerContext};

use super::NO_TAG;
use crate::events::Events;
use crate::permission::denied_topic;
use crate::write_error::Refused;

#[derive(Default)]
pub(super) struct WriterContext {
    pub(super) events: Events,
    pub(super) refused: Mutex<Vec<Refused>>,
    /// Topic of a record that was refused for a missing permission.
    pub(super) denied_topic: Mutex<Option<String>>,
    pub(super) delivered: Mutex<Vec<(usize, Offset)>>,
}

impl ClientContext for WriterContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        if let Some(topic) = denied_topic(facility, text) {
            self.denied_topic.lock().expect("no panic while held").replace(topic.to_owned());
        }
        self.events.log(level, facility, text);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.events.stats_raw(statistics);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.events.error(error, reason);
    }
}

impl ProducerContext for WriterContext {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, tag: usize) {
        match result {
            Err((error, record)) => {
                let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
                if code == RDKafkaErrorCode::TopicAuthorizationFailed {
                    let topic = record.topic().to_owned();
                    self.denied_topic.lock().expect("no panic while held").replace(topic);
                }
                self.refused.lock().expect("no panic while held").push(Refused { tag, code });
            }
            // A broker that had the record already does not tell where.
            Ok(message) if tag != NO_TAG && message.offset() >= 0 => {
                let delivered = (tag, Offset(message.offset()));
                self.delivered.lock().expect("no panic while held").push(delivered);
            }
            Ok(_) => {}
        }
    }
}
