//! Request ids and W3C trace context in Kafka headers: the same names as over HTTP.

use service_kit::http::RequestContext;
use service_kit::http::trace::{TRACEPARENT, TRACESTATE, TraceContext};

use crate::limits::REQUEST_ID_BYTES_MAX;

/// Name of the request that a record follows from.
const REQUEST_ID: &str = "x-request-id";

/// Headers that say to which request and trace a record belongs.
pub(crate) type Trail = outbox::Headers;

/// The trail of an order that came over HTTP, which carries this span.
pub(crate) fn begun_by(context: &RequestContext, carried: &TraceContext) -> Trail {
    trail(Some(context.request_id.as_bytes()), carried)
}

/// The trail of what follows from a record with these headers, in a span of its own.
pub(crate) fn followed_from<'r>(header: &dyn Fn(&str) -> Option<&'r [u8]>) -> Trail {
    let text = |name| header(name).and_then(|value| std::str::from_utf8(value).ok());
    let trace = text(TRACEPARENT)
        .and_then(|parent| TraceContext::parse(parent, text(TRACESTATE)))
        .map_or_else(TraceContext::unsampled_root, |caller| caller.child());
    trail(header(REQUEST_ID).filter(|id| id.len() <= REQUEST_ID_BYTES_MAX), &trace)
}

fn trail(request_id: Option<&[u8]>, trace: &TraceContext) -> Trail {
    let mut trail = Trail::with_capacity(3);
    trail.extend(request_id.map(|id| (REQUEST_ID, id.into())));
    trail.push((TRACEPARENT, trace.traceparent().into_bytes().into()));
    trail.extend(trace.tracestate().map(|state| (TRACESTATE, state.as_bytes().into())));
    trail
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &[u8] = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn what_follows_from_a_record_stays_in_its_trace_and_request() {
        let header = |name: &str| match name {
            TRACEPARENT => Some(PARENT),
            TRACESTATE => Some(&b"a=1"[..]),
            REQUEST_ID => Some(&b"r-1"[..]),
            _ => None,
        };
        let trail = followed_from(&header);
        let names: Vec<&str> = trail.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, [REQUEST_ID, TRACEPARENT, TRACESTATE]);
        let parent = std::str::from_utf8(&trail[1].1).unwrap();
        assert!(parent.starts_with("00-0af7651916cd43dd8448eb211c80319c-"), "{parent}");
        assert_ne!(parent.as_bytes(), PARENT, "a span of its own");
    }

    #[test]
    fn a_record_without_a_trail_or_with_an_endless_one_begins_a_new_one() {
        let long = [b'x'; 65];
        let header = |name: &str| (name == REQUEST_ID).then_some(&long[..]);
        let names: Vec<&str> = followed_from(&header).iter().map(|(name, _)| *name).collect();
        assert_eq!(names, [TRACEPARENT]);
    }
}
