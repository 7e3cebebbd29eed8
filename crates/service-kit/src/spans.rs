//! Spans of a trace: what this program did for a request or a message, for a collector of traces.
//!
//! Off until [`install`]: then every call here ends at one look at a flag, without a clock and without
//! memory. Names of spans and of their attributes follow the OpenTelemetry semantic conventions for HTTP
//! (stable) and for messaging (1.37, in development), and stand in this module and the next alone.

mod messaging;
mod sampler;

use std::borrow::Cow;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc;

use crate::http::trace::TraceContext;

pub use messaging::{Messaging, processing, sending, sent_since};
pub use sampler::Sampler;

/// Spans that wait to be sent to the collector. What comes beyond that is dropped and counted.
pub const QUEUE_MAX: usize = 2_048;

/// Spans that no collector has taken, by reason.
pub const DROPPED: &str = "trace_spans_dropped_total";

/// Counts beside the metric, which cannot be read back.
static DROPPED_SO_FAR: AtomicU64 = AtomicU64::new(0);

/// Where ended spans go. There is none while tracing is off.
static RECORDER: OnceLock<Recorder> = OnceLock::new();

#[derive(Debug)]
struct Recorder {
    sampler: Sampler,
    queue: mpsc::Sender<Span>,
}

/// Spans that have ended, for the one who sends them.
pub type Ended = mpsc::Receiver<Span>;

/// Switches spans on for this process, for the traces that the sampler takes. `None` if they are on already.
pub fn install(sampler: Sampler) -> Option<Ended> {
    let (queue, ended) = mpsc::channel(QUEUE_MAX);
    RECORDER.set(Recorder { sampler, queue }).ok().map(|()| ended)
}

/// Counts spans that were not made, or found no room in the queue.
pub fn note_dropped(spans: usize) {
    note_dropped_for("queue-full", spans as u64);
}

/// Counts spans that no collector has taken, for this reason.
pub fn note_dropped_for(reason: &'static str, spans: u64) {
    if spans > 0 {
        DROPPED_SO_FAR.fetch_add(spans, Ordering::Relaxed);
        metrics::counter!(DROPPED, "reason" => reason).increment(spans);
    }
}

/// Spans of this process that no collector has taken, so far: for programs whose metrics nobody reads.
#[must_use]
pub fn dropped_so_far() -> u64 {
    DROPPED_SO_FAR.load(Ordering::Relaxed)
}

/// Whether spans are recorded at all.
#[must_use]
#[inline]
pub fn is_on() -> bool {
    RECORDER.get().is_some()
}

/// Whether a trace is sampled here; `caller` is what the caller said. While spans are off, what the
/// caller said is passed on.
pub(crate) fn samples(trace_id: u128, caller: Option<bool>) -> bool {
    match RECORDER.get() {
        Some(recorder) => recorder.sampler.takes(trace_id, caller),
        None => caller.unwrap_or(false),
    }
}

/// Whether spans of this trace are recorded.
#[must_use]
pub fn records(context: &TraceContext) -> bool {
    is_on() && context.is_sampled()
}

/// What a span stands for; the numbers are those of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Work that nobody outside asked for.
    Internal = 1,
    /// The answer to a request.
    Server = 2,
    /// A request and the wait for its answer.
    Client = 3,
    /// A message is sent.
    Producer = 4,
    /// A message is processed.
    Consumer = 5,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Text.
    Text(Cow<'static, str>),
    /// A whole number.
    Number(i64),
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

/// A piece of work of a trace.
#[derive(Debug, Clone)]
pub struct Span {
    /// What is done to what: few names in all, without ids.
    pub name: String,
    /// What it stands for.
    pub kind: Kind,
    /// Its place in its trace; what it carries is the span that it is.
    pub context: TraceContext,
    /// Spans of this or other traces that it follows from.
    pub links: Vec<TraceContext>,
    /// When it began, in nanoseconds since the Unix epoch.
    pub started_ns: u64,
    /// When it ended, in nanoseconds since the Unix epoch.
    pub ended_ns: u64,
    /// What is to be known of it.
    pub attributes: Vec<(&'static str, Value)>,
    /// Why it failed, in words that have no secret and no payload.
    pub error: Option<Cow<'static, str>>,
}

impl Span {
    /// Begins one; `None` while spans of this trace are not recorded.
    pub fn begin(
        kind: Kind,
        context: &TraceContext,
        name: impl FnOnce() -> String,
    ) -> Option<Self> {
        records(context).then(|| Self::begun_at(now_ns(), kind, context.clone(), name()))
    }

    /// One that began at this moment, in nanoseconds since the Unix epoch.
    #[must_use]
    pub fn begun_at(started_ns: u64, kind: Kind, context: TraceContext, name: String) -> Self {
        let (links, attributes) = (Vec::new(), Vec::new());
        let ended_ns = started_ns;
        Self { name, kind, context, links, started_ns, ended_ns, attributes, error: None }
    }

    /// Notes what is to be known of it.
    pub fn note(&mut self, name: &'static str, value: impl Into<Value>) {
        self.attributes.push((name, value.into()));
    }

    /// The same with an attribute.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.note(name, value);
        self
    }

    /// The same, following from another span.
    #[must_use]
    pub fn linked_to(mut self, other: TraceContext) -> Self {
        self.links.push(other);
        self
    }

    /// Notes that it failed: a word of a closed set, and what more is to be said.
    pub fn fail(&mut self, kind: impl Into<Value>, detail: impl Into<Cow<'static, str>>) {
        self.note("error.type", kind);
        self.error = Some(detail.into());
    }

    /// Notes the status of an HTTP response, and whether it means that the span failed: of a server every 5xx, of a client
    /// every 4xx as well.
    pub fn note_status(&mut self, status: u16, is_failure: bool) {
        self.note("http.response.status_code", i64::from(status));
        if is_failure {
            self.fail(status.to_string(), format!("HTTP status {status}"));
        }
    }

    /// Ends it now.
    pub fn end(mut self) {
        self.ended_ns = now_ns().max(self.started_ns);
        self.record();
    }

    /// Ends it now, as failed where there is a word for why.
    pub fn end_with(mut self, failure: Option<&'static str>) {
        if let Some(failure) = failure {
            self.fail(failure, failure);
        }
        self.end();
    }

    /// Hands it over as it is. Where too many wait it is dropped, and counted.
    pub fn record(self) {
        let Some(recorder) = RECORDER.get() else { return };
        if recorder.queue.try_send(self).is_err() {
            note_dropped(1);
        }
    }
}

/// Nanoseconds since the Unix epoch; 0 before it.
#[must_use]
pub fn now_ns() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn while_spans_are_off_none_begins_and_what_a_caller_said_is_passed_on() {
        // No test of this crate switches them on: that holds for a whole process.
        let sampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let caller = TraceContext::parse(sampled, None).unwrap();
        assert!(caller.is_sampled() && caller.child().is_sampled() && !is_on());
        assert!(!TraceContext::root().is_sampled());
        let begun = Span::begin(Kind::Server, &caller, || unreachable!("no name is made"));
        assert!(begun.is_none());
    }
}
