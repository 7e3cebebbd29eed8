//! Handlers: work outside of Kafka, one record at a time.

use std::borrow::Cow;
use std::sync::Arc;

use codec::decode::DecodeError;
use codec::frame;
use codec::resolver::SchemaResolver;
use pipeline::headers;

use crate::payload::{Decode, Payload};
use crate::stage::{Context, Delivery, HandleError, RecordId, Stage, State, Work};

/// Name and value of a header; Kafka knows headers without a value.
pub type Header = (Box<[u8]>, Option<Box<[u8]>>);

/// A decoded record, as the handler gets it.
#[derive(Debug)]
pub struct Record<T> {
    /// Its value. Attempts at one record that overlap, as at a rebalance, share it.
    pub value: Arc<T>,
    /// Its key.
    pub key: Option<Box<[u8]>>,
    /// Its headers, in order, with those that retries and redrives have added: see [`own_headers`](Self::own_headers).
    pub headers: Vec<Header>,
    /// The main topic from which it was read first.
    pub topic: String,
    /// Its partition there.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
    /// `topic/partition/offset` of the record's first appearance: the same for every attempt at
    /// this record, also after retries and redrives, and unique to it. A service that accepts each
    /// key once makes the handler's work happen once.
    pub idempotency_key: String,
    /// When it was written first, in milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
    /// When it was written to the topic that it was read from now, in milliseconds since the Unix epoch: for a retry,
    /// when the attempt before this one failed.
    pub written_at_ms: i64,
    /// Number of this attempt; the first is 1.
    pub attempt: u32,
    /// How often it was redriven from the dead-letter queue.
    pub redrives: u32,
}

impl<T> Record<T> {
    fn new(value: Arc<T>, delivery: &Delivery<'_>) -> Self {
        let headers = delivery.headers.into_iter().flat_map(|headers| headers.iter());
        Self {
            value,
            key: delivery.key.map(Into::into),
            headers: headers.map(|(name, value)| (name.into(), value.map(Into::into))).collect(),
            topic: delivery.topic.to_owned(),
            partition: delivery.partition,
            offset: delivery.offset,
            idempotency_key: delivery.idempotency_key(),
            timestamp_ms: delivery.timestamp_ms,
            written_at_ms: delivery.written_at_ms,
            attempt: delivery.attempt,
            redrives: delivery.redrives,
        }
    }

    /// Its headers without those that retries and redrives have added: the same at each attempt.
    pub fn own_headers(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        let all = self.headers.iter().map(|(name, value)| (&**name, value.as_deref()));
        all.filter(|(name, _)| !headers::is_of_the_path(name))
    }

    /// Since when attempts at it fail, in milliseconds since the Unix epoch; `None` at the first one. Of a record
    /// that was redriven it is when the attempt before this one failed: its first failure may be long ago.
    #[must_use]
    pub fn failing_since_ms(&self) -> Option<i64> {
        if self.attempt <= 1 {
            return None;
        }
        if self.redrives > 0 {
            return Some(self.written_at_ms);
        }
        let name = headers::FIRST_FAILED_AT_MS.as_bytes();
        let (_, value) = self.headers.iter().rev().find(|(of, _)| **of == *name)?;
        std::str::from_utf8(value.as_deref()?).ok()?.parse().ok()
    }
}

/// Processes each record. All lanes share the handler, and many of its futures run at once: see
/// [`Builder::concurrency`](crate::Builder::concurrency).
///
/// The engine calls it at least once per record and skips none: a record is settled when its
/// handler has succeeded, or when the record has become a dead letter. A panic and a timeout are
/// failures of their record, which is tried again: class `transient`, reason `handler`. So calls of a
/// service need their own, shorter limit, so that the handler can return
/// [`unavailable`](HandleError::unavailable).
///
/// It must not block its thread, because the timeout cannot end code that never awaits. Do blocking
/// work in `tokio::task::spawn_blocking`.
///
/// Every `Fn(Record<T>) -> Future` is one. A type is better where the handler has something to keep, such as a
/// client with its connections:
///
/// ```
/// use relane::{HandleError, Handler, Record};
///
/// #[derive(serde::Deserialize)]
/// struct Click { url: String }
///
/// # struct Client;
/// # impl Client {
/// #     async fn put(&self, _key: &str, _url: &str) -> Result<(), String> { Ok(()) }
/// # }
/// struct Index { client: Client }
///
/// impl Handler<Click> for Index {
///     async fn handle(&self, click: Record<Click>) -> Result<(), HandleError> {
///         let put = self.client.put(&click.idempotency_key, &click.value.url);
///         put.await.map_err(HandleError::unavailable)
///     }
/// }
/// ```
pub trait Handler<T>: Send + Sync + 'static {
    /// Handles one record.
    ///
    /// # Errors
    ///
    /// The error says what is at fault, which decides what happens to the record: see
    /// [`HandleError`].
    ///
    /// # Cancel safety
    ///
    /// The engine may drop the future at each `await`: when its partition goes to another member, when the program stops, when
    /// a transaction is given up, as at the beginning of an outage, and when the handler timeout is over. It then calls the handler again for the same record, with the same
    /// idempotency key; `attempt` is the next one only after a timeout. What was done until then must be safe to do again. The
    /// same is true of a handler that has succeeded, where its transaction was not committed.
    fn handle(&self, record: Record<T>) -> impl Future<Output = Result<(), HandleError>> + Send;
}

impl<T, F, R> Handler<T> for F
where
    F: Fn(Record<T>) -> R + Send + Sync + 'static,
    R: Future<Output = Result<(), HandleError>> + Send,
{
    fn handle(&self, record: Record<T>) -> impl Future<Output = Result<(), HandleError>> + Send {
        self(record)
    }
}

/// What tells the records of one partition apart, by value and key; see [`HandlerStage::identified_by`]. A panic in it ends the
/// run with an error.
pub type Identity<T> = fn(&T, Option<&[u8]>) -> String;

/// A stage without state that leaves the work to a handler, for programs that build their own
/// [`Engine`](crate::Engine). [`Builder::run`](crate::Builder::run) makes one by itself.
pub struct HandlerStage<T, H> {
    decode: Decode<T>,
    has_schemas: bool,
    handler: Arc<H>,
    identity: Option<Identity<T>>,
}

impl<T, H> HandlerStage<T, H> {
    /// The stage of one lane, with a decoder of its own. All lanes share the handler.
    pub fn new<P: Payload<Value = T>>(
        payload: &P,
        resolver: &SchemaResolver,
        handler: Arc<H>,
    ) -> Self {
        let (decode, has_schemas) = (payload.decoder(resolver), payload.has_schemas());
        Self { decode, has_schemas, handler, identity: None }
    }

    /// Says which records are duplicates of each other: those of one identity. Without it all of them are:
    /// [`EngineSettings::dedupe`](crate::settings::EngineSettings::dedupe) must be `None` then.
    #[must_use]
    pub fn identified_by(mut self, identity: Identity<T>) -> Self {
        self.identity = Some(identity);
        self
    }
}

/// The state of a stage that keeps none; [`EngineSettings::topics`](crate::settings::EngineSettings::topics) then names no topic for it.
#[derive(Debug, Default)]
pub struct NoState;

impl State for NoState {
    fn is_empty(&self) -> bool {
        true
    }

    fn len(&self) -> usize {
        0
    }

    fn clear_touched(&mut self) {}

    fn touch_any(&mut self) {}
}

impl<T: Send + Sync + 'static, H: Handler<T>> Stage for HandlerStage<T, H> {
    type Input = Arc<T>;
    type State = NoState;
    type Summary = ();
    type Note = ();

    fn decode(&mut self, value: Option<&[u8]>) -> Result<Arc<T>, DecodeError> {
        (self.decode)(value).map(Arc::new)
    }

    fn schema_id(&self, value: Option<&[u8]>) -> Option<u32> {
        frame::schema_id(value).filter(|_| self.has_schemas)
    }

    fn name(&self, _: Arc<T>) -> RecordId {
        RecordId::default()
    }

    fn is_valid(&self, _: &Arc<T>) -> bool {
        true
    }

    fn identity<'i>(&self, value: &'i Arc<T>, key: Option<&'i [u8]>) -> Option<Cow<'i, str>> {
        self.identity.map(|identity| Cow::Owned(identity(value, key)))
    }

    fn waits(&self) -> bool {
        true
    }

    fn start(&mut self, value: &Arc<T>, delivery: &Delivery<'_>) -> Work {
        let record = Record::new(Arc::clone(value), delivery);
        let handler = Arc::clone(&self.handler);
        let schema_id = self.schema_id(delivery.value);
        Box::pin(async move {
            handler.handle(record).await.map_err(|mut error| {
                if let Some(failure) = error.failure_mut() {
                    failure.schema_id = failure.schema_id.or(schema_id);
                }
                error
            })
        })
    }

    fn handle(&mut self, _: &Arc<T>, _: Context<'_, '_, NoState>) -> Result<(), HandleError> {
        Ok(())
    }

    fn write_state<E>(
        &mut self,
        _: &mut NoState,
        _: i64,
        _: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        Ok(())
    }

    fn read_state(
        &mut self,
        _: &mut NoState,
        _: Option<&[u8]>,
        _: Option<&[u8]>,
    ) -> Result<bool, String> {
        Err("the topic holds state, but this pipeline keeps none".to_owned())
    }

    fn note(&self, _: &Arc<T>, _: &NoState) {}

    fn summarize<'a>(_: impl Iterator<Item = &'a NoState>) {}
}
