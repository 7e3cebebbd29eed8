//! What this paradigm measures beside what all three do; docs/paradigms.md explains it.

use std::time::Duration;

use order_api::status::Sources;

use crate::breaker::Trouble;

/// Time of one call to another service, by service and result.
const CALL_SECONDS: &str = "sync_call_seconds";
/// 1 while the breaker in front of a service is not closed.
const BREAKER_OPEN: &str = "sync_breaker_open";
/// Orders answered with an error and seen to afterwards, by result: `released` or
/// `completed`.
const SEEN_TO: &str = "sync_orders_seen_to_total";
/// Orders begun and without an outcome, at the last look.
const UNFINISHED: &str = "sync_orders_unfinished";

/// What the lines of the log and the table at the end say.
pub(crate) const STATUS: Sources = Sources {
    settled: (service_kit::http::REQUESTS, "status"),
    retries: SEEN_TO,
    dead_letters: None,
    waiting: Some(UNFINISHED),
};

/// How a call went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallResult {
    /// It was answered.
    Answered,
    /// The deadline passed.
    Overdue,
    /// The service is in trouble.
    Trouble(Trouble),
}

impl CallResult {
    fn label(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Overdue => "overdue",
            Self::Trouble(trouble) => trouble.word(),
        }
    }
}

/// A call is over.
pub(crate) fn called(service: &'static str, result: CallResult, elapsed: Duration) {
    metrics::histogram!(CALL_SECONDS, "service" => service, "result" => result.label())
        .record(elapsed.as_secs_f64());
}

/// The state of a breaker was looked at.
pub(crate) fn breaker(service: &'static str, is_open: bool) {
    metrics::gauge!(BREAKER_OPEN, "service" => service).set(f64::from(u8::from(is_open)));
}

/// An order that was answered with an error was seen to, or could not be.
pub(crate) fn seen_to(result: &'static str) {
    metrics::counter!(SEEN_TO, "result" => result).increment(1);
}

/// So many orders are unfinished.
pub(crate) fn unfinished(orders: u64) {
    metrics::gauge!(UNFINISHED).set(orders as f64);
}

/// Describes what is measured, and lets counters begin at 0.
pub(crate) fn start() {
    metrics::describe_histogram!(CALL_SECONDS, "one call to another service, by result");
    metrics::describe_gauge!(BREAKER_OPEN, "1 while the breaker before a service is not closed");
    metrics::describe_counter!(
        SEEN_TO,
        "orders answered with an error and completed or released afterwards"
    );
    metrics::describe_gauge!(UNFINISHED, "orders started and without an outcome");
    for service in ["inventory", "notification"] {
        breaker(service, false);
    }
    for result in ["released", "completed"] {
        metrics::counter!(SEEN_TO, "result" => result).increment(0);
    }
    unfinished(0);
}
