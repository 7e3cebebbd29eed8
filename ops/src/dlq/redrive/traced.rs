//! The span of a dead letter that goes back: below the span that it carries, and linked to it. What it
//! carries goes back unchanged, so its next attempt is in the same trace.

use service_kit::http::trace::{TRACEPARENT, TRACESTATE, TraceContext};
use service_kit::spans::{self, Messaging};

use super::rules::OwnedHeader;

/// A dead letter on its way back.
pub(super) struct Back<'a> {
    pub(super) topic: &'a str,
    pub(super) partition: i32,
    /// Topic, partition and offset.
    pub(super) dead_letter: String,
    pub(super) redrive_id: &'a str,
}

impl Back<'_> {
    /// Tells its span, which ends now, if its trace is sampled.
    pub(super) fn tell_span(self, headers: &[OwnedHeader], started_ns: u64) {
        let last = |wanted: &str| {
            let named = headers.iter().rev().find(|(name, _)| name == wanted.as_bytes());
            named.and_then(|(_, value)| std::str::from_utf8(value.as_deref()?).ok())
        };
        let carried =
            last(TRACEPARENT).and_then(|parent| TraceContext::parse(parent, last(TRACESTATE)));
        let Some(carried) = carried.filter(TraceContext::is_taken) else { return };
        let to = Messaging { system: "kafka", destination: self.topic };
        spans::sent_since(started_ns, &carried.child(), to)
            .with("messaging.destination.partition.id", self.partition.to_string())
            .with("relane.dead_letter", self.dead_letter)
            .with("relane.redrive.id", self.redrive_id.to_owned())
            .linked_to(carried)
            .end();
    }
}
