//! What is told of the service, beside the metrics of the pipeline.

use std::time::Duration;

use crate::verdict::Verdict;

/// Calls of the service, by what came of them.
const CALLS: &str = "push_calls_total";
/// How long they took.
const CALL_SECONDS: &str = "push_call_seconds";

/// What came of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Came {
    /// 2xx.
    Done,
    /// 3xx or 4xx: the record is given up.
    Refused,
    /// 408, 425, 429, 5xx.
    Unavailable,
    /// Nobody listens, or is trusted.
    NoConnection,
    /// The time was over, or the connection broke.
    NoAnswer,
}

impl Came {
    const ALL: [Self; 5] =
        [Self::Done, Self::Refused, Self::Unavailable, Self::NoConnection, Self::NoAnswer];

    /// What an answer came to.
    pub(crate) const fn of(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::Done => Self::Done,
            Verdict::Refused { .. } => Self::Refused,
            Verdict::Unavailable { .. } => Self::Unavailable,
            Verdict::Unreachable { .. } => Self::NoConnection,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
            Self::NoConnection => "no-connection",
            Self::NoAnswer => "no-answer",
        }
    }
}

/// Says what there is to tell, before anything has happened.
pub(crate) fn describe() {
    metrics::describe_counter!(CALLS, "calls of the service, by result");
    metrics::describe_histogram!(
        CALL_SECONDS,
        "time of a call, from its start to the answer's status"
    );
    for came in Came::ALL {
        metrics::counter!(CALLS, "answer" => came.as_str()).increment(0);
    }
}

/// Counts a call.
pub(crate) fn called(came: Came, took: Duration) {
    metrics::counter!(CALLS, "answer" => came.as_str()).increment(1);
    metrics::histogram!(CALL_SECONDS).record(took);
}
