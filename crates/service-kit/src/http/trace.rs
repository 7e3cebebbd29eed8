//! W3C trace context: which request of which caller this work belongs to.
//!
//! It stays own: what reads it for tower or tracing brings OpenTelemetry along, and here the ids are
//! passed on, logged, and given to [`spans`](crate::spans).

use std::fmt;

use axum::http::HeaderMap;

use crate::spans;

/// Header with the ids.
pub const TRACEPARENT: &str = "traceparent";
/// Header with what tracing systems add for themselves; passed on as it is.
pub const TRACESTATE: &str = "tracestate";

/// Length of a `traceparent` of version 00.
const TRACEPARENT_CHARS: usize = 55;
/// The version that is written, and the only one whose length is known.
const VERSION: &str = "00";
/// The one version that is no version.
const VERSION_INVALID: &str = "ff";
/// Longest `tracestate` that is passed on; a longer one is dropped, as the recommendation allows.
const TRACESTATE_CHARS_MAX: usize = 512;
/// The bit that says whether the caller records the trace.
const FLAG_SAMPLED: u8 = 1;

/// Where a piece of work stands in a trace. The same text travels in HTTP headers, AMQP properties
/// and Kafka headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: u128,
    span_id: u64,
    parent_span_id: Option<u64>,
    flags: u8,
    tracestate: Option<String>,
}

impl TraceContext {
    /// The first span of a new trace.
    #[must_use]
    pub fn root() -> Self {
        let root = Self::unsampled_root();
        Self { flags: u8::from(spans::samples(root.trace_id, None)), ..root }
    }

    /// Begins a trace of which nothing is recorded: of a message that carries none.
    #[must_use]
    pub fn unsampled_root() -> Self {
        let trace_id = nonzero(rand::random::<u128>);
        let span_id = nonzero(rand::random::<u64>);
        Self { trace_id, span_id, parent_span_id: None, flags: 0, tracestate: None }
    }

    /// Reads the caller's span from what it sent; `None` where it is not valid. What stands in
    /// `tracestate` is kept only beside a valid `traceparent`.
    #[must_use]
    pub fn parse(traceparent: &str, tracestate: Option<&str>) -> Option<Self> {
        let version = traceparent.get(..2)?;
        let ids = traceparent.get(2..TRACEPARENT_CHARS)?;
        let rest = traceparent.get(TRACEPARENT_CHARS..)?;
        let has_known_length = rest.is_empty() || (version != VERSION && rest.starts_with('-'));
        if !is_lower_hex(version) || version == VERSION_INVALID || !has_known_length {
            return None;
        }
        let mut parts = ids.strip_prefix('-')?.split('-');
        let (trace_id, span_id, flags) = (parts.next()?, parts.next()?, parts.next()?);
        let lengths = (trace_id.len(), span_id.len(), flags.len());
        if lengths != (32, 16, 2) || ![trace_id, span_id, flags].into_iter().all(is_lower_hex) {
            return None;
        }
        let trace_id = u128::from_str_radix(trace_id, 16).ok().filter(|id| *id != 0)?;
        let span_id = u64::from_str_radix(span_id, 16).ok().filter(|id| *id != 0)?;
        let flags = u8::from_str_radix(flags, 16).ok()? & FLAG_SAMPLED;
        let is_passable = |state: &&str| {
            let is_printable = state.bytes().all(|b| (b' '..=b'~').contains(&b));
            !state.is_empty() && state.len() <= TRACESTATE_CHARS_MAX && is_printable
        };
        let tracestate = tracestate.filter(is_passable).map(str::to_owned);
        Some(Self { trace_id, span_id, parent_span_id: None, flags, tracestate })
    }

    /// The span of this work: a child of the caller's, or the first of a new trace.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let mut parents = headers.get_all(TRACEPARENT).iter();
        let parent = parents.next().and_then(|value| value.to_str().ok());
        let states: Option<Vec<&str>> =
            headers.get_all(TRACESTATE).iter().map(|value| value.to_str().ok()).collect();
        let state = states.map(|states| states.join(","));
        let caller = match (parent, parents.next()) {
            (Some(parent), None) => Self::parse(parent, state.as_deref()),
            _ => None,
        };
        caller.map_or_else(Self::root, |caller| caller.child())
    }

    /// A new span below this one.
    #[must_use]
    pub fn child(&self) -> Self {
        let span_id = nonzero(rand::random::<u64>);
        let flags = u8::from(spans::samples(self.trace_id, Some(self.is_sampled())));
        Self { span_id, parent_span_id: Some(self.span_id), flags, ..self.clone() }
    }

    /// The same span below another one of its trace.
    #[must_use]
    pub fn below(self, parent: &Self) -> Self {
        Self { parent_span_id: Some(parent.span_id), ..self }
    }

    /// Whether its trace is recorded, by the caller's word or the sampler's.
    #[must_use]
    pub const fn is_sampled(&self) -> bool {
        self.flags & FLAG_SAMPLED != 0
    }

    /// Whether what follows from this span is recorded here, if spans are at all.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        spans::is_on() && spans::samples(self.trace_id, Some(self.is_sampled()))
    }

    /// What to send as `traceparent`.
    #[must_use]
    pub fn traceparent(&self) -> String {
        let Self { trace_id, span_id, flags, .. } = self;
        format!("{VERSION}-{trace_id:032x}-{span_id:016x}-{flags:02x}")
    }

    /// What to send as `tracestate`, if anything.
    #[must_use]
    pub fn tracestate(&self) -> Option<&str> {
        self.tracestate.as_deref()
    }

    /// The id of the whole trace, for logs.
    #[must_use]
    pub fn trace_id(&self) -> impl fmt::Display {
        format!("{:032x}", self.trace_id)
    }

    /// The id of this work's span, for logs.
    #[must_use]
    pub fn span_id(&self) -> impl fmt::Display {
        format!("{:016x}", self.span_id)
    }

    /// The id of the caller's span, for logs.
    #[must_use]
    pub fn parent_span_id(&self) -> Option<impl fmt::Display> {
        self.parent_span_id.map(|id| format!("{id:016x}"))
    }
}

/// Ids of zero mean that there is none.
fn nonzero<T: PartialEq + Default>(mut random: impl FnMut() -> T) -> T {
    loop {
        let id = random();
        if id != T::default() {
            return id;
        }
    }
}

fn is_lower_hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn the_callers_trace_goes_on_in_a_span_of_ours() {
        let sent = headers(&[(TRACEPARENT, PARENT), (TRACESTATE, "a=1"), (TRACESTATE, "b=2")]);
        let ours = TraceContext::of(&sent);
        let text = ours.traceparent();
        assert!(text.starts_with("00-0af7651916cd43dd8448eb211c80319c-"), "{text}");
        assert!(text.ends_with("-01") && !text.contains("b7ad6b7169203331"), "{text}");
        assert_eq!(ours.parent_span_id().unwrap().to_string(), "b7ad6b7169203331");
        assert_eq!(ours.tracestate(), Some("a=1,b=2"));
    }

    #[test]
    fn what_is_written_reads_back() {
        let ours = TraceContext::root();
        let read = TraceContext::parse(&ours.traceparent(), None).unwrap();
        assert_eq!(read, ours);
    }

    #[test]
    fn a_later_version_may_be_longer_and_the_known_one_may_not() {
        let with = |version: &str, tail: &str| format!("{version}{}{tail}", &PARENT[2..]);
        assert!(TraceContext::parse(&with("cc", ""), None).is_some());
        assert!(TraceContext::parse(&with("cc", "-more"), None).is_some());
        assert!(TraceContext::parse(&with("cc", ".more"), None).is_none());
        assert!(TraceContext::parse(&with("00", "-more"), None).is_none());
        assert!(TraceContext::parse(&with("ff", ""), None).is_none());
    }

    #[test]
    fn what_is_not_valid_starts_a_new_trace() {
        let wrong = [
            "",
            "00",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0x",
            "00-0af7651916cd43dd8448eb211c8031-9c-b7ad6b7169203331-01",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "0é-af7651916cd43dd8448eb211c80319cb-b7ad6b7169203331-01",
        ];
        for text in wrong {
            assert_eq!(TraceContext::parse(text, Some("a=1")), None, "{text}");
        }
        let twice = TraceContext::of(&headers(&[(TRACEPARENT, PARENT), (TRACEPARENT, PARENT)]));
        assert!(twice.parent_span_id().is_none());
        let none = TraceContext::of(&headers(&[(TRACESTATE, "a=1")]));
        assert_eq!((none.parent_span_id().is_none(), none.tracestate()), (true, None));
    }

    #[test]
    fn a_tracestate_that_is_too_long_is_dropped_and_the_trace_goes_on() {
        let long = format!("a={}", "x".repeat(TRACESTATE_CHARS_MAX));
        let read = TraceContext::parse(PARENT, Some(&long)).unwrap();
        assert_eq!(read.tracestate(), None);
    }
}
