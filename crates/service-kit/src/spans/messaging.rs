//! Spans of messages, by the semantic conventions: who sends, and who processes.
//!
//! A message carries the context of the span that sent it first, unchanged over retries, dead letters and
//! redrives: that context is the parent of each attempt at it, and linked to as well. So everything that
//! happens to a message is in one trace, and a tool that goes by links alone finds the same.

use super::{Kind, Span};
use crate::http::trace::TraceContext;

/// Which broker, and what of it.
#[derive(Debug, Clone, Copy)]
pub struct Messaging<'a> {
    /// `kafka` or `rabbitmq`.
    pub system: &'static str,
    /// The topic or queue.
    pub destination: &'a str,
}

impl Messaging<'_> {
    fn span(
        self,
        started_ns: u64,
        (kind, operation, kind_of_operation): (Kind, &'static str, &'static str),
        context: &TraceContext,
    ) -> Span {
        let name = format!("{operation} {}", self.destination);
        Span::begun_at(started_ns, kind, context.clone(), name)
            .with("messaging.system", self.system)
            .with("messaging.operation.name", operation)
            .with("messaging.operation.type", kind_of_operation)
            .with("messaging.destination.name", self.destination.to_owned())
    }
}

/// A message is sent; `context` is what it carries. `None` while spans of its trace are not recorded.
pub fn sending(context: &TraceContext, messaging: Messaging<'_>) -> Option<Span> {
    super::records(context).then(|| sent_since(super::now_ns(), context, messaging))
}

/// As [`sending`], begun at this moment and in any case.
#[must_use]
pub fn sent_since(started_ns: u64, context: &TraceContext, to: Messaging<'_>) -> Span {
    to.span(started_ns, (Kind::Producer, "send", "send"), context)
}

/// An attempt at a message is made; `carried` is what the message carries, and `context` the attempt's own.
#[must_use]
pub fn processing(
    started_ns: u64,
    context: &TraceContext,
    carried: &TraceContext,
    from: Messaging<'_>,
) -> Span {
    let span = from.span(started_ns, (Kind::Consumer, "process", "process"), context);
    span.linked_to(carried.clone())
}
