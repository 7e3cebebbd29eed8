//! What a client sends to a front: one report, and the key under which it may send it again.

use serde::Deserialize;
use serde::de::IgnoredAny;
use service_kit::clock::now_ms;
use service_kit::http::header::CONTENT_TYPE;
use service_kit::http::{HeaderMap, Problem, StatusCode};

use crate::limits::{DETAIL_CHARS_MAX, KEY_CHARS_MAX};
use crate::record::WeatherReport;
use crate::report::{Broken, Report};

/// Header with the name that a client gives to one report, the same at each of its retries.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// A report that a client has sent.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    /// As it is published.
    pub(crate) record: WeatherReport,
    /// The key for the client's next try.
    pub(crate) key: String,
}

/// The fields of a body. A field that nobody knows is an error: a mistyped one must not be passed over.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with description, country and weather")]
struct JsonFields {
    description: String,
    country: String,
    weather: String,
}

/// Reads a request.
///
/// # Errors
///
/// 400 for a key that cannot be used and for what is no JSON, 415 for another content type, 422 for JSON that is no
/// report.
pub(crate) fn read(headers: &HeaderMap, body: &[u8]) -> Result<Sent, Problem> {
    check_content_type(headers)?;
    let key = key(headers)?.unwrap_or_else(|| format!("{:032x}", rand::random::<u128>()));
    let report = report(body)?;
    let record = WeatherReport::new(&report, &report.message_id(&key), now_ms());
    Ok(Sent { record, key })
}

fn check_content_type(headers: &HeaderMap) -> Result<(), Problem> {
    let sent = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let (essence, _) = sent.split_once(';').unwrap_or((sent, ""));
    if essence.trim().eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let (status, title) = (StatusCode::UNSUPPORTED_MEDIA_TYPE, "Unsupported content type");
    Err(Problem::new(status, "unsupported-media-type", title, "send application/json"))
}

/// The client's key, if it sent one; quotes around it are not part of it.
fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut sent = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = sent.next() else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    let text = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(text);
    let is_visible = text.bytes().all(|b| b.is_ascii_graphic());
    if sent.next().is_some() || text.is_empty() || text.len() > KEY_CHARS_MAX || !is_visible {
        let detail =
            format!("send one Idempotency-Key of 1 to {KEY_CHARS_MAX} visible ASCII characters");
        let status = StatusCode::BAD_REQUEST;
        return Err(Problem::new(status, "bad-idempotency-key", "The key cannot be used", detail));
    }
    Ok(Some(text.to_owned()))
}

fn report(body: &[u8]) -> Result<Report, Problem> {
    let is_json = || serde_json::from_slice::<IgnoredAny>(body).is_ok();
    if body.trim_ascii_start().starts_with(b"[") && is_json() {
        // serde would take the values of an array for the fields, in their order.
        return Err(invalid("the body is an array; send one object"));
    }
    let fields: JsonFields = serde_json::from_slice(body).map_err(|error| {
        let detail: String = error.to_string().chars().take(DETAIL_CHARS_MAX).collect();
        if error.is_data() && is_json() {
            return invalid(detail);
        }
        Problem::new(StatusCode::BAD_REQUEST, "invalid-json", "The body is not JSON", detail)
    })?;
    let JsonFields { description, country, weather } = fields;
    Report::check(&description, &country, &weather).map_err(broken)
}

fn invalid(detail: impl Into<String>) -> Problem {
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    Problem::new(status, "invalid-report", "The report is not valid", detail)
}

/// A report breaks a rule.
pub(crate) fn broken(rule: Broken) -> Problem {
    invalid(rule.to_string()).with("reason", rule.reason().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"description":"x","country":"GT","weather":"Lluvioso"}"#;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, "application/json; charset=utf-8".parse().unwrap());
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_retry_under_one_key_is_the_same_message_and_without_a_key_each_is_its_own() {
        let keyed = headers(&[(IDEMPOTENCY_KEY, "\"k-1\"")]);
        let (first, again) = (read(&keyed, GOOD.as_bytes()), read(&keyed, GOOD.as_bytes()));
        let (first, again) = (first.unwrap(), again.unwrap());
        assert_eq!(first.record.message_id, again.record.message_id);
        assert_eq!((first.key.as_str(), first.record.weather.as_str()), ("k-1", "rainy"));
        let none = headers(&[]);
        let (one, two) = (read(&none, GOOD.as_bytes()), read(&none, GOOD.as_bytes()));
        let (one, two) = (one.unwrap(), two.unwrap());
        assert_ne!(one.record.message_id, two.record.message_id);
        // The key that is told is the one to come again with.
        let next = read(&headers(&[(IDEMPOTENCY_KEY, &one.key)]), GOOD.as_bytes()).unwrap();
        assert_eq!(next.record.message_id, one.record.message_id);
    }

    #[test]
    fn what_is_no_report_is_refused_and_told_apart() {
        for (body, slug, status) in [
            ("", "invalid-json", 400),
            ("{", "invalid-json", 400),
            ("[]", "invalid-report", 422),
            ("{}", "invalid-report", 422),
            (
                r#"{"description":"x","country":"GT","weather":"rainy","x":1}"#,
                "invalid-report",
                422,
            ),
            (r#"{"description":"x","country":7,"weather":"rainy"}"#, "invalid-report", 422),
            (
                r#"{"description":"x","country":"Guatemala","weather":"rainy"}"#,
                "invalid-report",
                422,
            ),
            (r#"{"description":"x","country":"GT","weather":"plague"}"#, "invalid-report", 422),
        ] {
            let problem = read(&headers(&[]), body.as_bytes()).unwrap_err();
            assert_eq!((problem.slug(), problem.status().as_u16()), (slug, status), "{body}");
        }
        for pairs in [
            &[(IDEMPOTENCY_KEY, "a b")][..],
            &[(IDEMPOTENCY_KEY, "")],
            &[(IDEMPOTENCY_KEY, "a"), (IDEMPOTENCY_KEY, "b")],
            &[(IDEMPOTENCY_KEY, &*"x".repeat(KEY_CHARS_MAX + 1))],
        ] {
            let problem = read(&headers(pairs), GOOD.as_bytes()).unwrap_err();
            assert_eq!(problem.slug(), "bad-idempotency-key");
        }
        let problem = read(&HeaderMap::new(), GOOD.as_bytes()).unwrap_err();
        assert_eq!(problem.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
}
