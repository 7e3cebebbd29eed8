//! One report to both brokers: it is published when both have confirmed it.

use std::sync::Arc;
use std::time::Instant;

use amqp_io::publish::{Address, Message, Publisher};
use amqp_io::received::{context_headers, framed, properties};
use codec::encode::Encoder;
use outbox::{Headers, Outbox, Parcel, SendError};
use service_kit::http::RequestContext;
use service_kit::http::trace::{TRACEPARENT, TRACESTATE, TraceContext};
use tokio::time::timeout;

use crate::limits::PUBLISH_MAX;
use crate::metrics;
use crate::record::WeatherReport;

/// Who has made a message, by its own word.
const APP_ID: &str = "weather";
/// Type of a message that is a report.
const KIND: &str = "WeatherReport";
/// Name of the request that a record follows from.
const REQUEST_ID: &str = "x-request-id";

/// Both brokers.
#[derive(Clone)]
pub(crate) struct Publishing {
    pub(crate) outbox: Outbox,
    pub(crate) rabbitmq: Publisher,
    /// The exchange and routing key of the queue.
    pub(crate) to: Address,
    pub(crate) encoder: Encoder<WeatherReport>,
}

/// Which brokers have not confirmed a report, and why; at least one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Unconfirmed {
    /// Why Kafka did not.
    pub(crate) kafka: Option<String>,
    /// Why RabbitMQ did not.
    pub(crate) rabbitmq: Option<String>,
}

impl Unconfirmed {
    /// Their names.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        let named = [(&self.kafka, "kafka"), (&self.rabbitmq, "rabbitmq")];
        named.into_iter().filter(|(why, _)| why.is_some()).map(|(_, name)| name).collect()
    }

    /// In words.
    pub(crate) fn detail(&self) -> String {
        let words: Vec<&str> =
            [&self.kafka, &self.rabbitmq].into_iter().flatten().map(|it| &**it).collect();
        words.join("; ")
    }
}

impl Publishing {
    /// Publishes a report.
    ///
    /// # Errors
    ///
    /// Says which brokers have not confirmed it. One of them may have it all the same: the report must come again
    /// under its id, which is counted once.
    ///
    /// # Cancel safety
    ///
    /// What was sent may be confirmed.
    pub(crate) async fn publish(
        &self,
        record: &WeatherReport,
        context: &RequestContext,
    ) -> Result<(), Unconfirmed> {
        // What is known to be unavailable keeps the report from being sent to the other one alone.
        let known = Unconfirmed {
            kafka: self.outbox.away().map(|why| format!("Kafka is unavailable: {why}")),
            rabbitmq: self.rabbitmq.away().map(|why| format!("RabbitMQ is unavailable: {why}")),
        };
        if known != Unconfirmed::default() {
            return Err(known);
        }
        let context = context.clone().within(PUBLISH_MAX);
        let deadline = context.deadline.unwrap_or_else(|| Instant::now() + PUBLISH_MAX);
        let body = framed(&self.encoder, record);
        let (kafka, rabbitmq) = tokio::join!(
            self.to_kafka(record, body.clone(), &context, deadline),
            self.to_rabbitmq(record, body, &context, deadline),
        );
        let unconfirmed = Unconfirmed { kafka: kafka.err(), rabbitmq: rabbitmq.err() };
        metrics::published("kafka", unconfirmed.kafka.is_none());
        metrics::published("rabbitmq", unconfirmed.rabbitmq.is_none());
        if unconfirmed == Unconfirmed::default() { Ok(()) } else { Err(unconfirmed) }
    }

    async fn to_kafka(
        &self,
        record: &WeatherReport,
        value: Vec<u8>,
        context: &RequestContext,
        deadline: Instant,
    ) -> Result<(), String> {
        // What comes twice lies in one partition.
        let key = record.message_id.clone().into_bytes();
        let carried = context.trace.child();
        let parcel = Parcel { key, value, headers: Arc::new(headers(context, &carried)) };
        let span = self.outbox.sending(&carried);
        let sent = self.outbox.send(parcel, deadline).await;
        if let Some(span) = span {
            span.end_with(sent.as_ref().err().map(SendError::as_str));
        }
        sent.map_err(|error| error.to_string())
    }

    async fn to_rabbitmq(
        &self,
        record: &WeatherReport,
        body: Vec<u8>,
        context: &RequestContext,
        deadline: Instant,
    ) -> Result<(), String> {
        let request_id = Some(context.request_id.as_str());
        let carried = context.trace.child();
        let headers = context_headers(request_id, &carried);
        let id = record.message_id.as_str();
        let about = properties(APP_ID, KIND, id, request_id, record.created_at_ms);
        let message = Message::new(body, about, headers);
        let published = self.rabbitmq.publish(&self.to, &message);
        let left = deadline.saturating_duration_since(Instant::now());
        let span = self.to.sending(&carried);
        let (result, failure) = match timeout(left, published).await {
            Ok(Ok(())) => (Ok(()), None),
            Ok(Err(error)) => (Err(error.to_string()), Some(error.as_str())),
            Err(_elapsed) => {
                let text = "RabbitMQ did not confirm the message in time";
                (Err(text.to_owned()), Some("unconfirmed"))
            }
        };
        if let Some(span) = span {
            span.end_with(failure);
        }
        result
    }
}

/// Headers of a record that follows from a request.
fn headers(context: &RequestContext, trace: &TraceContext) -> Headers {
    let mut headers: Headers = vec![
        (REQUEST_ID, context.request_id.as_bytes().into()),
        (TRACEPARENT, trace.traceparent().into_bytes().into()),
    ];
    headers.extend(trace.tracestate().map(|state| (TRACESTATE, state.as_bytes().into())));
    headers
}
