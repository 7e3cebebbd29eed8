//! One answer over HTTP, and what it means.

use reqwest::{Response, StatusCode, Url, header};
use serde_json::Value;

use super::error::{AwayCause, RegistryError};
use super::unreachable::unreachable_because;

/// Longest part of a registry's message that is repeated.
const MESSAGE_CHARS_MAX: usize = 300;

/// What is asked, and so which answers are verdicts. The list is closed: what stands in no row
/// of [`Question::verdict`] is an outage, present and future codes alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    /// The schema of an id, or one that it refers to.
    Schema,
    /// A subject, a version of it, or a schema under it.
    Subject,
    /// Whether a schema or a level may be added.
    Change,
    /// What has no such thing as not being found.
    Fact,
}

type Verdict = fn(String) -> RegistryError;

impl Question {
    /// The verdict in an answer's status and error code, if there is one. A 404 without the
    /// registry's code comes from a proxy, another service, or a wrong path; a refusal without
    /// it likewise.
    fn verdict(self, status: StatusCode, code: i64) -> Option<Verdict> {
        let not_found: Verdict = |detail| RegistryError::NotFound { detail };
        let rejected: Verdict = |detail| RegistryError::Rejected { detail };
        let incompatible: Verdict = |detail| RegistryError::Incompatible { detail };
        match (self, status.as_u16(), code) {
            (Self::Schema, 404, 40403) | (Self::Subject, 404, 40401..=40403) => Some(not_found),
            (Self::Subject | Self::Change, 422, 422 | 42200..=42299) => Some(rejected),
            (Self::Change, 409, 409 | 40900..=40999) => Some(incompatible),
            _ => None,
        }
    }
}

/// Reads an answer of the address that was asked, and classifies it.
pub(super) async fn read(
    response: Response,
    asked: &Url,
    answer_bytes_max: usize,
    question: Question,
) -> Result<Value, RegistryError> {
    let status = response.status();
    if status.is_redirection() {
        let to = redirect_target(&response, asked);
        return away(AwayCause::Redirects, format!("answered {status}{to}"));
    }
    let media_type = media_type(&response);
    let body = body(response, answer_bytes_max).await?;
    let json = match serde_json::from_slice::<Value>(&body) {
        Ok(json) if is_json(&media_type) => json,
        _ => {
            let detail =
                format!("answered {status} with {media_type}, which is not a registry's answer");
            return away(cause_of(status), detail);
        }
    };
    if status == StatusCode::OK {
        return Ok(json);
    }
    let code = json["error_code"].as_i64();
    let message = json["message"].as_str().unwrap_or("no message");
    let message: String = message.chars().take(MESSAGE_CHARS_MAX).collect();
    let code_text = code.map_or_else(|| "no error_code".to_owned(), |c| format!("error_code {c}"));
    let detail = format!("{message} ({status}, {code_text})");
    match code.and_then(|code| question.verdict(status, code)) {
        Some(verdict) => Err(verdict(detail)),
        None => {
            let cause = match cause_of(status) {
                // The registry's own form, and no answer to this question.
                AwayCause::NotARegistry if code.is_some() => AwayCause::Failing,
                cause => cause,
            };
            away(cause, format!("answered: {detail}"))
        }
    }
}

pub(super) fn away<T>(cause: AwayCause, detail: impl Into<String>) -> Result<T, RegistryError> {
    Err(RegistryError::Away { cause, detail: detail.into() })
}

fn cause_of(status: StatusCode) -> AwayCause {
    match status.as_u16() {
        400 => AwayCause::BrokenOff,
        401 => AwayCause::NotLoggedIn,
        403 => AwayCause::NotAllowed,
        404 | 405 => AwayCause::PathMissing,
        408 | 425 | 429 | 500..=599 => AwayCause::Failing,
        _ => AwayCause::NotARegistry,
    }
}

/// Where a redirect leads, without what may be secret in it.
fn redirect_target(response: &Response, asked: &Url) -> String {
    let target = response.headers().get(header::LOCATION).and_then(|to| to.to_str().ok());
    let target = target.and_then(|to| asked.join(to).ok());
    target.map_or_else(String::new, |mut url: Url| {
        url.set_query(None);
        url.set_fragment(None);
        // Both only fail for addresses without a host, which have no user either.
        let _ = (url.set_username(""), url.set_password(None));
        format!(", a redirect to {url}")
    })
}

async fn body(mut response: Response, bytes_max: usize) -> Result<Vec<u8>, RegistryError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| unreachable_because(&e))? {
        if body.len() + chunk.len() > bytes_max {
            let detail = format!(
                "answered {} with more than {bytes_max} bytes, the limit answer_bytes_max of what \
                 is read",
                response.status()
            );
            return away(AwayCause::TooLarge, detail);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Without parameters, in lower case; a word where there is none.
fn media_type(response: &Response) -> String {
    let value = response.headers().get(header::CONTENT_TYPE);
    let text = value.and_then(|value| value.to_str().ok()).unwrap_or("no content type");
    text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// `application/json` and the registry's own `application/vnd.schemaregistry.v1+json`.
fn is_json(media_type: &str) -> bool {
    media_type == "application/json"
        || (media_type.starts_with("application/") && media_type.ends_with("+json"))
}
