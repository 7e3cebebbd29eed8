//! A message as it was read, and the properties of one that follows from it.

use codec::decode::{DecodeError, Decoder};
use codec::encode::Encoder;
use codec::frame;
use codec::resolver::SchemaResolver;
use codec::scalar::{AvroRecord, Fields};
use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::FieldTable;
use pipeline::failure::Failure;
use service_kit::http::trace::{TRACEPARENT, TRACESTATE, TraceContext};
use service_kit::spans::{self, Messaging, Span};

use crate::consume::Trouble;
use crate::limits::REQUEST_ID_BYTES_MAX;
use crate::lineage::{Past, set, text};
use crate::publish::{Address, SYSTEM};

/// Content type of a framed Avro datum, as over HTTP.
pub const CONTENT_TYPE: &str = "avro/binary";
/// Name of the request that a message follows from; also the property `correlation-id`.
const REQUEST_ID: &str = "x-request-id";
/// Deliveries of a message that a quorum queue has seen end without an answer.
const DELIVERY_COUNT: &str = "x-delivery-count";
/// Milliseconds in one unit of the property `timestamp`.
const PER_SECOND: i64 = 1_000;

/// A message as it was read.
#[derive(Debug)]
pub struct Received {
    /// Its value, in its frame.
    pub body: Vec<u8>,
    /// What it says about itself.
    pub properties: BasicProperties,
    /// Its headers.
    pub headers: FieldTable,
    /// Its failed attempts.
    pub past: Past,
    /// Where the attempt at it stands in a trace; `None` while spans are off, and for a message that carries none.
    pub trace: Option<Trace>,
}

/// An attempt's place in a trace, and what its message carries.
#[derive(Debug, Clone)]
pub struct Trace {
    carried: TraceContext,
    attempt: TraceContext,
}

impl Trace {
    /// Reads what a message carries; the attempt is a span below that. While spans are off nothing is read.
    pub fn of(headers: &FieldTable) -> Option<Self> {
        if !spans::is_on() {
            return None;
        }
        let carried = carried(headers)?;
        Some(Self { attempt: carried.child(), carried })
    }

    /// Begins the span of a dead letter that goes back; `None` while spans of its trace are not recorded.
    pub fn redriving(self, to: &Address, redrive_id: &str) -> Option<Span> {
        let Self { carried, attempt } = self;
        let span = to.sending(&attempt)?.linked_to(carried);
        Some(span.with("relane.redrive.id", redrive_id.to_owned()))
    }
}

fn carried(headers: &FieldTable) -> Option<TraceContext> {
    let parent = text(headers, TRACEPARENT)?;
    TraceContext::parse(&parent, text(headers, TRACESTATE).as_deref())
}

impl Received {
    /// Reads what the broker has handed out.
    pub fn of(delivery: &Delivery) -> Self {
        let properties = delivery.properties.clone();
        let headers = properties.headers().clone().unwrap_or_default();
        let past = Past::of(&headers);
        let trace = Trace::of(&headers);
        Self { body: delivery.data.clone(), properties, headers, past, trace }
    }

    /// Number of the attempt that is made now.
    pub const fn attempt(&self) -> u32 {
        self.past.attempts.saturating_add(1)
    }

    /// How often it was handed out before and not answered, by the broker's word.
    pub fn deliveries_before(&self) -> u64 {
        let count = text(&self.headers, DELIVERY_COUNT).and_then(|text| text.parse().ok());
        count.unwrap_or(0)
    }

    /// Its own id.
    pub fn message_id(&self) -> Option<String> {
        let id = self.properties.message_id().as_ref()?.as_str();
        (!id.is_empty()).then(|| id.to_owned())
    }

    /// Reads its value with the schemas that are known already.
    pub fn decode_offline<T: AvroRecord>(&self, resolver: &SchemaResolver) -> Option<T::Value> {
        Decoder::<T>::new(resolver.clone()).decode(Some(&self.body)).ok()
    }

    /// When it was made, by its own word, in milliseconds since the Unix epoch.
    pub fn made_at_ms(&self) -> Option<i64> {
        let seconds = i64::try_from((*self.properties.timestamp())?).ok()?;
        seconds.checked_mul(PER_SECOND)
    }

    /// Reads its value.
    ///
    /// # Errors
    ///
    /// [`Trouble::Failed`] if the message is at fault, [`Trouble::Away`] while the schema registry
    /// is.
    pub async fn decode<T: AvroRecord>(
        &self,
        resolver: &SchemaResolver,
    ) -> Result<T::Value, Trouble> {
        if let Ok(frame) = frame::split(Some(&self.body)) {
            // What became of it, the decoder tells.
            resolver.resolve(frame.schema_id).await;
        }
        match Decoder::<T>::new(resolver.clone()).decode(Some(&self.body)) {
            Ok(value) => Ok(value),
            Err(DecodeError::Failed(failure)) => Err(Trouble::Failed(failure)),
            Err(DecodeError::Unresolved { away, .. }) => {
                let detail = away.unwrap_or_else(|| "it did not answer in time".to_owned());
                Err(Trouble::Away(format!("schema registry: {detail}")))
            }
        }
    }

    /// Schema id of its frame, where there is one.
    pub fn schema_id(&self) -> Option<u32> {
        frame::split(Some(&self.body)).ok().map(|frame| frame.schema_id)
    }

    /// The span of another message that follows from this one. Readers find it there also while spans are off.
    pub fn follow(&self) -> TraceContext {
        match &self.trace {
            Some(trace) => trace.attempt.child(),
            None => carried(&self.headers)
                .map_or_else(TraceContext::unsampled_root, |carried| carried.child()),
        }
    }

    /// The span of this message being sent on, with what it carries; `None` where that has none.
    pub fn sent_on(&self) -> Option<TraceContext> {
        self.trace.as_ref().map(|trace| trace.attempt.child())
    }

    /// Headers of a message that follows from this one: its request, and the span of its sending.
    pub fn passed_on(&self, span: &TraceContext) -> FieldTable {
        context_headers(self.request_id().as_deref(), span)
    }

    /// The span of an attempt that begins now; `None` while spans of its trace are not recorded, and for a
    /// message that carries none.
    pub fn processing(&self, queue: &str) -> Option<Span> {
        let Trace { carried, attempt } = self.trace.as_ref()?;
        if !spans::records(attempt) {
            return None;
        }
        let from = Messaging { system: SYSTEM, destination: queue };
        let mut span = spans::processing(spans::now_ns(), attempt, carried, from)
            .with("relane.attempt", i64::from(self.attempt()))
            .with("relane.redrives", i64::from(self.past.redrive_count));
        if let Some(id) = self.message_id() {
            span.note("messaging.message.id", id);
        }
        Some(span)
    }

    /// Name of the request that it follows from; what is longer than a name of ours is nobody's.
    pub fn request_id(&self) -> Option<String> {
        let id = text(&self.headers, REQUEST_ID)?;
        (id.len() <= REQUEST_ID_BYTES_MAX).then(|| id.into_owned())
    }

    /// A failure of this message.
    pub fn failure(
        &self,
        reason: pipeline::failure::FailureReason,
        detail: impl Into<String>,
    ) -> Failure {
        Failure { reason, schema_id: self.schema_id(), detail: detail.into() }
    }
}

/// Headers that say to which request and trace a message belongs.
pub fn context_headers(request_id: Option<&str>, trace: &TraceContext) -> FieldTable {
    let mut headers = FieldTable::default();
    if let Some(request_id) = request_id {
        set(&mut headers, REQUEST_ID, request_id);
    }
    set(&mut headers, TRACEPARENT, trace.traceparent());
    if let Some(state) = trace.tracestate() {
        set(&mut headers, TRACESTATE, state);
    }
    headers
}

/// Properties of a message of the program `app_id`. Readers drop a message whose id they have seen: of a message about
/// an order it is the order's.
pub fn properties(
    app_id: &'static str,
    kind: &str,
    id: &str,
    request_id: Option<&str>,
    created_at_ms: Option<i64>,
) -> BasicProperties {
    let mut properties = BasicProperties::default()
        .with_content_type(CONTENT_TYPE.into())
        .with_type(kind.into())
        .with_app_id(app_id.into());
    // An id that AMQP cannot hold (255 bytes) is left to the body.
    if id.len() <= 255 {
        properties = properties.with_message_id(id.into());
    }
    if let Some(request_id) = request_id {
        properties = properties.with_correlation_id(request_id.into());
    }
    let seconds = created_at_ms.and_then(|ms| u64::try_from(ms / PER_SECOND).ok());
    match seconds {
        Some(seconds) => properties.with_timestamp(seconds),
        None => properties,
    }
}

/// A value in its frame.
pub fn framed<T: AvroRecord, F: Fields<T>>(encoder: &Encoder<T>, value: &F) -> Vec<u8> {
    let mut bytes = Vec::new();
    encoder.encode_into(&mut bytes, value);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endless_name_of_a_request_is_nobodys_and_is_not_passed_on() {
        let mut headers = FieldTable::default();
        set(&mut headers, REQUEST_ID, "r".repeat(REQUEST_ID_BYTES_MAX + 1));
        let received = Received {
            body: Vec::new(),
            properties: BasicProperties::default(),
            past: Past::of(&headers),
            trace: Trace::of(&headers),
            headers,
        };
        assert_eq!(received.request_id(), None);
        assert!(!received.passed_on(&received.follow()).contains_key(REQUEST_ID));
        let _about = properties("rabbit", "t", "o-1", received.request_id().as_deref(), None);
    }

    #[test]
    fn while_spans_are_off_no_trace_is_read_and_what_follows_is_in_that_of_its_message() {
        // No test of this crate switches them on: that holds for a whole process.
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let mut headers = FieldTable::default();
        set(&mut headers, TRACEPARENT, parent);
        assert!(Trace::of(&headers).is_none());
        let properties = BasicProperties::default();
        let past = Past::of(&headers);
        let received = Received { body: Vec::new(), properties, headers, past, trace: None };
        assert!(received.sent_on().is_none() && received.processing("q").is_none());
        let follows = received.follow().traceparent();
        assert_eq!((&follows[..36], follows != parent), (&parent[..36], true));
        let again = received.follow().traceparent();
        assert_ne!(follows, again, "each message has a span of its own");
    }
}
