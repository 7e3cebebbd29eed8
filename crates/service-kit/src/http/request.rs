//! What is known of a request besides what it asks: its name, its place in a trace, its deadline.
//!
//! It stays own: tower-http's request ids take any id that is sent, and this one also travels where
//! no HTTP is, to a broker and back.

use std::fmt;
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, StatusCode};

use super::problem::Problem;
use super::trace::TraceContext;

/// Header with the name of one request; taken from the caller if it is sane, else made.
pub const REQUEST_ID_HEADER: &str = "x-request-id";

/// Header with the time that is left for the answer, in milliseconds.
pub const DEADLINE_HEADER: &str = "x-deadline-ms";

/// Longest request id that is taken from a caller.
const REQUEST_ID_CHARS_MAX: usize = 64;

/// Longest time that a caller can give; more is taken as this.
const DEADLINE_MAX: Duration = Duration::from_secs(3_600);

/// Where a request belongs, and until when its answer is of use.
#[derive(Debug, Clone)]
pub struct RequestContext {
    /// Name of the request: printable, without spaces, at most 64 characters.
    pub request_id: String,
    /// Its place in a trace.
    pub trace: TraceContext,
    /// When it came.
    pub received_at: Instant,
    /// When its answer is of no use any more; `None` where the caller named no time.
    pub deadline: Option<Instant>,
}

impl RequestContext {
    /// Reads it from the headers of a request that came at `received_at`.
    ///
    /// # Errors
    ///
    /// A problem for the caller if the deadline is no number of milliseconds.
    pub fn read(headers: &HeaderMap, received_at: Instant) -> Result<Self, Problem> {
        let deadline = match headers.get(DEADLINE_HEADER) {
            None => None,
            Some(value) => {
                let left_ms = value.to_str().ok().and_then(|text| text.parse::<u64>().ok());
                let left_ms = left_ms.ok_or_else(bad_deadline)?;
                Some(received_at + Duration::from_millis(left_ms).min(DEADLINE_MAX))
            }
        };
        let (request_id, trace) = (request_id(headers), TraceContext::of(headers));
        Ok(Self { request_id, trace, received_at, deadline })
    }

    /// One for work that no request asked for.
    #[must_use]
    pub fn internal() -> Self {
        let (request_id, trace) = (made_request_id(), TraceContext::root());
        Self { request_id, trace, received_at: Instant::now(), deadline: None }
    }

    /// The same with a deadline that is not later than `limit` after the request came.
    #[must_use]
    pub fn within(mut self, limit: Duration) -> Self {
        let latest = self.received_at + limit;
        self.deadline = Some(self.deadline.map_or(latest, |deadline| deadline.min(latest)));
        self
    }

    /// Whether its time is over.
    #[must_use]
    pub fn is_over(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// The time that is left; `None` where there is no deadline.
    #[must_use]
    pub fn left(&self, now: Instant) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(now))
    }
}

fn bad_deadline() -> Problem {
    let detail = format!("{DEADLINE_HEADER} is no number of milliseconds; send for example 5000");
    Problem::new(StatusCode::BAD_REQUEST, "bad-deadline", "The deadline cannot be read", detail)
}

fn request_id(headers: &HeaderMap) -> String {
    let sent = headers.get(REQUEST_ID_HEADER).and_then(|value| value.to_str().ok());
    sent.filter(|id| is_sane(id)).map_or_else(made_request_id, str::to_owned)
}

/// Such an id can stand in a log line, a header and a URL.
fn is_sane(id: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.:/+=".contains(&b);
    !id.is_empty() && id.len() <= REQUEST_ID_CHARS_MAX && id.bytes().all(is_allowed)
}

fn made_request_id() -> String {
    format!("{:032x}", rand::random::<u128>())
}

impl fmt::Display for RequestContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "request {} of trace {}", self.request_id, self.trace.trace_id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&'static str, &str)]) -> Result<RequestContext, Problem> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        RequestContext::read(&headers, Instant::now())
    }

    #[test]
    fn a_sane_request_id_is_kept_and_any_other_is_replaced() {
        let id = |sent: &str| read(&[(REQUEST_ID_HEADER, sent)]).unwrap().request_id;
        assert_eq!(id("9b1d:checkout/7"), "9b1d:checkout/7");
        for sent in ["", "a b", "a\tb", "<script>", &"x".repeat(65)] {
            let made = id(sent);
            assert!(made.len() == 32 && made != sent, "{sent:?} gave {made:?}");
        }
        assert_ne!(read(&[]).unwrap().request_id, read(&[]).unwrap().request_id);
    }

    #[test]
    fn a_deadline_is_what_is_left_of_the_callers_time_and_never_longer_than_ours() {
        let sent = read(&[(DEADLINE_HEADER, "250")]).unwrap();
        let deadline_after = |c: &RequestContext| c.deadline.unwrap() - c.received_at;
        assert_eq!(deadline_after(&sent), Duration::from_millis(250));
        assert_eq!(deadline_after(&sent.clone().within(Duration::from_secs(5))).as_millis(), 250);
        assert_eq!(deadline_after(&sent.clone().within(Duration::from_millis(9))).as_millis(), 9);
        assert!(sent.is_over(sent.received_at + Duration::from_millis(250)));
        assert!(!sent.is_over(sent.received_at + Duration::from_millis(249)));
        let none = read(&[]).unwrap();
        assert!(none.deadline.is_none() && none.left(Instant::now()).is_none());
        let huge = read(&[(DEADLINE_HEADER, "18446744073709551615")]).unwrap();
        assert_eq!(deadline_after(&huge), DEADLINE_MAX);
    }

    #[test]
    fn a_deadline_that_is_no_number_is_the_callers_fault() {
        for sent in ["", "-1", "5s", "1e3", "18446744073709551616"] {
            let problem = read(&[(DEADLINE_HEADER, sent)]).unwrap_err();
            assert_eq!(problem.status(), StatusCode::BAD_REQUEST, "{sent}");
        }
    }
}
