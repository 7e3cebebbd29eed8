//! The span of a call, as the semantic conventions for a client of HTTP have it.

use reqwest::Method;
use service_kit::spans::Span;

/// The first status that means that a call has failed, whoever is at fault.
const FAILURE: u16 = 400;
const NOT_FOUND: u16 = 404;

/// Ends it, with the status of the answer if there was one.
pub(super) fn end(span: Span, service: &'static str, method: &Method, status: Option<u16>) {
    let mut span =
        span.with("http.request.method", method.to_string()).with("peer.service", service);
    match status {
        Some(status) => {
            // That nothing is there yet is what a question may be answered.
            let is_answer = method == Method::GET && status == NOT_FOUND;
            span.note_status(status, status >= FAILURE && !is_answer);
            span.end();
        }
        None => span.end_with(Some("no-answer")),
    }
}
