//! One answer over HTTP, and what it means.

use reqwest::{Response, StatusCode, header};
use serde_json::Value;

use super::error::RegistryError;

/// Longest part of a registry's message that is repeated.
const MESSAGE_CHARS_MAX: usize = 300;

/// Where a login comes from, for one that is refused.
const LOGIN_HINT: &str = "; SCHEMA_REGISTRY_BASIC_AUTH or SCHEMA_REGISTRY_TOKEN gives the login";

/// Where the trusted authorities come from, for a certificate that is refused.
const AUTHORITY_HINT: &str = "; SCHEMA_REGISTRY_CA_LOCATION names the authority to trust";

/// Not found: the error codes with which the registry itself says so. A 404 without one of
/// them comes from a proxy, another service, or a wrong base path.
pub(super) mod not_found {
    /// For a schema id.
    pub(in super::super) const SCHEMA: &[i64] = &[40403];
    /// For a subject, a version of it, or a schema under it.
    pub(in super::super) const SUBJECT: &[i64] = &[40401, 40402, 40403];
    /// For what has no such thing as not being found.
    pub(in super::super) const NEVER: &[i64] = &[];
}

/// Reads an answer and classifies it; `not_found` are the codes that mean [`RegistryError::NotFound`].
pub(super) async fn read(
    response: Response,
    body_bytes_max: usize,
    not_found: &[i64],
) -> Result<Value, RegistryError> {
    let status = response.status();
    if status.is_redirection() {
        return away(format!("answered {status}: redirects are not followed"));
    }
    let media_type = media_type(&response);
    let login = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => LOGIN_HINT,
        _ => "",
    };
    let body = body(response, body_bytes_max).await?;
    let json = match serde_json::from_slice::<Value>(&body) {
        Ok(json) if is_json(&media_type) => json,
        _ => {
            let detail =
                format!("answered {status} with {media_type}, which is no registry's{login}");
            return away(detail);
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
    match status {
        StatusCode::NOT_FOUND if code.is_some_and(|code| not_found.contains(&code)) => {
            Err(RegistryError::NotFound { detail })
        }
        StatusCode::CONFLICT => Err(RegistryError::Incompatible { detail }),
        StatusCode::UNPROCESSABLE_ENTITY => Err(RegistryError::Rejected { detail }),
        _ => away(format!("answered: {detail}{login}")),
    }
}

pub(super) fn away<T>(detail: impl Into<String>) -> Result<T, RegistryError> {
    Err(RegistryError::Away { detail: detail.into() })
}

/// An HTTP failure without its address: the caller names it without the password.
pub(super) fn unreachable_because(error: &reqwest::Error) -> RegistryError {
    let what = if error.is_timeout() {
        "did not answer in time"
    } else if error.is_connect() {
        "refused or failed to connect"
    } else {
        "broke off the answer"
    };
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let cause = cause.to_string();
    // The TLS library's error is not reachable as a type from here.
    let hint = if cause.contains("UnknownIssuer") { AUTHORITY_HINT } else { "" };
    RegistryError::Away { detail: format!("{what} ({cause}){hint}") }
}

async fn body(mut response: Response, bytes_max: usize) -> Result<Vec<u8>, RegistryError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| unreachable_because(&e))? {
        if body.len() + chunk.len() > bytes_max {
            return away(format!("answered more than {bytes_max} bytes"));
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
