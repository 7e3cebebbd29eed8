//! Where the service is, how push is let in there, and whom it trusts. Secrets come from files and are in no text.

use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, Url};
use service_kit::exit::{AppError, require};
use service_kit::flag_file::{first_line, read};
use service_kit::secret::{AddressFault, check_address};
use service_kit::terminal::one_line;

/// Most headers of a file.
const FILE_HEADERS_MAX: usize = 64;

/// Names that a file may not set: HTTP goes by them, or push says them itself.
const NOT_TO_BE_SET: [&str; 17] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "idempotency-key",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Beginnings of names that push says itself.
const OURS: [&str; 2] = ["ce-", "kafka-"];

/// Checks an address.
///
/// # Errors
///
/// Fails with exit code 2, and never repeats the address: it may hold a password.
pub(crate) fn address(text: &str) -> Result<Url, AppError> {
    let wrong = |why: &str| AppError::usage(format!("--to cannot be used: {why}"));
    check_address(text, &["http", "https"]).map_err(|fault| match fault {
        AddressFault::Scheme(_) => AppError::usage(
            "--to needs http:// or https:// in front, such as http://127.0.0.1:9000/payments",
        ),
        fault => wrong(&fault.to_string()),
    })?;
    let url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
    // What stands before an '@' is a user or password, also an empty one.
    let after = text.split_once("://").map_or("", |(_, after)| after);
    if after.contains('@') {
        return Err(wrong("it holds a login, which everyone on the machine could read")
            .hint("put it into a file: --basic-file, --token-file or --header-file"));
    }
    require(url.fragment().is_none(), || "--to cannot be used: it contains a '#'".to_owned())?;
    Ok(url)
}

/// The files that give a login and headers.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Files<'a> {
    pub(crate) token: Option<&'a Path>,
    pub(crate) basic: Option<&'a Path>,
    pub(crate) headers: Option<&'a Path>,
}

/// Reads what is sent with each request.
///
/// # Errors
///
/// Fails with exit code 2 and names the flag; what stands in a file is not repeated.
pub(crate) fn common_headers(files: Files<'_>) -> Result<HeaderMap, AppError> {
    let mut headers = HeaderMap::new();
    if let Some(file) = files.headers {
        let place = format!("--header-file {}", one_line(&file.display().to_string()));
        parse_headers(&place, &read("--header-file", file)?, &mut headers)?;
    }
    let login = match (files.token, files.basic) {
        (Some(_), Some(_)) => {
            let text = "--token-file and --basic-file both give a login; leave one of them out";
            return Err(AppError::usage(text));
        }
        (Some(file), None) => Some(("--token-file", bearer(&first_line("--token-file", file)?)?)),
        (None, Some(file)) => Some(("--basic-file", basic(&first_line("--basic-file", file)?)?)),
        (None, None) => None,
    };
    if let Some((flag, login)) = login {
        require(!headers.contains_key(AUTHORIZATION), || {
            format!("{flag} and --header-file both give a login; leave one of them out")
        })?;
        headers.insert(AUTHORIZATION, secret("its login", &login)?);
    }
    Ok(headers)
}

/// The authorities of a PEM file.
///
/// # Errors
///
/// Fails with exit code 2 if it holds no certificate.
pub(crate) fn authorities(file: &Path) -> Result<Vec<Certificate>, AppError> {
    let pem = read("--ca", file)?;
    let all = Certificate::from_pem_bundle(pem.as_bytes()).unwrap_or_default();
    require(!all.is_empty(), || format!("--ca {} holds no PEM certificate", file.display()))?;
    Ok(all)
}

fn bearer(token: &str) -> Result<String, AppError> {
    // What a header takes, and RFC 6750 allows.
    let is_token = token.bytes().all(|byte| byte.is_ascii_graphic());
    require(is_token, || "--token-file: its first line is not a token without blanks".to_owned())?;
    Ok(format!("Bearer {token}"))
}

fn basic(login: &str) -> Result<String, AppError> {
    require(login.contains(':'), || {
        "--basic-file: its first line is not user:password".to_owned()
    })?;
    Ok(format!("Basic {}", BASE64_STANDARD.encode(login)))
}

/// Reads lines `Name: value`; empty ones and those that begin with `#` are passed over.
fn parse_headers(place: &str, text: &str, headers: &mut HeaderMap) -> Result<(), AppError> {
    for (line, number) in text.lines().zip(1..) {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = |why: &str| AppError::usage(format!("{place}, line {number}: {why}"));
        let (name, value) = line.split_once(':').ok_or_else(|| wrong("not Name: value"))?;
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| wrong("the text before the colon is not a header name"))?;
        let is_ours = OURS.iter().any(|start| name.as_str().starts_with(start));
        if is_ours || NOT_TO_BE_SET.contains(&name.as_str()) {
            return Err(wrong(&format!("{name} is set by push or by HTTP itself")));
        }
        if headers.len() >= FILE_HEADERS_MAX {
            return Err(wrong(&format!("more than {FILE_HEADERS_MAX} headers")));
        }
        headers.append(name, secret(&format!("{place}, line {number}"), value.trim())?);
    }
    Ok(())
}

/// A value that no text shows.
fn secret(whose: &str, value: &str) -> Result<HeaderValue, AppError> {
    let mut value = HeaderValue::from_str(value).map_err(|_| {
        AppError::usage(format!("{whose}: its value has characters that no header takes"))
    })?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
#[path = "access_tests.rs"]
mod tests;
