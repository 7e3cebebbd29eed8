//! Errors as `application/problem+json` (RFC 9457).

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use serde_json::{Map, Value};

/// What an answer of this form is labelled with.
pub const CONTENT_TYPE_PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");

/// Prefix of the `type` of every problem; the rest is its slug.
const TYPE_PREFIX: &str = "urn:orders:problem:";

/// Why a request was not done: for people, for programs, and when to come again.
///
/// Programs tell problems apart by `type`, which never changes; `title` and `detail` are for
/// people.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem(Box<Inner>);

#[derive(Debug, Clone, PartialEq)]
struct Inner {
    status: StatusCode,
    slug: &'static str,
    title: &'static str,
    detail: String,
    retry_after: Option<Duration>,
    members: Map<String, Value>,
}

impl Problem {
    /// A problem of the kind `slug`; `title` says what the kind is, `detail` what happened now
    /// and what to do. Never put a payload into it.
    #[must_use]
    pub fn new(
        status: StatusCode,
        slug: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        let detail = detail.into();
        let (retry_after, members) = (None, Map::new());
        Self(Box::new(Inner { status, slug, title, detail, retry_after, members }))
    }

    /// Adds `Retry-After`, in whole seconds, at least 1.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }

    /// Adds a member of its own, such as the order's id.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.members.insert(name.to_owned(), value.into());
        self
    }

    /// The status it is answered with.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The last part of its `type`.
    #[must_use]
    pub fn slug(&self) -> &'static str {
        self.0.slug
    }

    /// What happened.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// Its JSON.
    #[must_use]
    pub fn body(&self) -> Value {
        let mut body = serde_json::json!({
            "type": format!("{TYPE_PREFIX}{}", self.0.slug),
            "title": self.0.title,
            "status": self.0.status.as_u16(),
            "detail": self.0.detail,
        });
        if let Value::Object(body) = &mut body {
            body.extend(self.0.members.clone());
        }
        body
    }

    /// The answer, whose body is in memory.
    #[must_use]
    pub fn reply(&self) -> Response<Bytes> {
        let mut reply = Response::new(Bytes::from(format!("{}\n", self.body())));
        *reply.status_mut() = self.0.status;
        reply.headers_mut().insert(CONTENT_TYPE, CONTENT_TYPE_PROBLEM);
        if let Some(wait) = self.0.retry_after {
            let whole_seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from(whole_seconds.max(1)));
        }
        reply
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response<Body> {
        self.reply().map(Body::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_told_apart_by_its_type_and_carries_its_members() {
        let problem = Problem::new(StatusCode::CONFLICT, "out-of-stock", "Out of stock", "2 left")
            .with("order_id", "o-1");
        let reply = problem.reply();
        assert_eq!(reply.headers()[CONTENT_TYPE], "application/problem+json");
        let body: Value = serde_json::from_slice(reply.body()).unwrap();
        let expected = serde_json::json!({
            "type": "urn:orders:problem:out-of-stock",
            "title": "Out of stock",
            "status": 409,
            "detail": "2 left",
            "order_id": "o-1",
        });
        assert_eq!(body, expected);
    }

    #[test]
    fn a_wait_is_given_in_whole_seconds_and_never_as_zero() {
        let after = |wait| {
            let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "full", "Full", "");
            problem.retry_after(wait).reply().headers()[RETRY_AFTER].clone()
        };
        assert_eq!(after(Duration::ZERO), "1");
        assert_eq!(after(Duration::from_millis(1_001)), "2");
        assert_eq!(after(Duration::from_secs(30)), "30");
    }
}
