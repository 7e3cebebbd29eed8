//! Where spans go and which: one flag, and the standard variables.

use std::path::Path;

use clap::Args;
use percent_encoding::percent_decode_str;
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use service_kit::exit::AppError;
use service_kit::secret::{Secret, check_address};
use service_kit::spans::Sampler;

/// Schemes of an endpoint.
const SCHEMES: [&str; 2] = ["http", "https"];
/// Path of the spans below the endpoint.
const PATH: &str = "v1/traces";
/// The form that is spoken, as `OTEL_EXPORTER_OTLP_PROTOCOL` names it.
const PROTOCOL: &str = "http/json";
/// Headers of each request, which may hold a login.
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
/// A file whose first line has them.
const HEADERS_FILE: &str = "OTEL_EXPORTER_OTLP_HEADERS_FILE";

/// Where spans are sent.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize)]
pub struct TraceArgs {
    /// Collector of OpenTelemetry traces, over HTTP, such as http://localhost:4318; without it,
    /// nothing is traced [default: none]
    ///
    /// These variables of OpenTelemetry are read too: OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER,
    /// OTEL_TRACES_SAMPLER_ARG, OTEL_EXPORTER_OTLP_HEADERS (or the file that
    /// OTEL_EXPORTER_OTLP_HEADERS_FILE names), OTEL_EXPORTER_OTLP_PROTOCOL, OTEL_SDK_DISABLED.
    // Somebody may write a password into it, which --help must not show.
    #[arg(
        long,
        env = "OTEL_EXPORTER_OTLP_ENDPOINT",
        value_name = "URL",
        hide_env_values = true,
        help_heading = "Observability"
    )]
    pub otlp_endpoint: Option<Secret>,
}

/// What tracing goes by, checked.
#[derive(Debug, Clone)]
pub struct TraceSettings {
    pub(crate) url: Url,
    /// The endpoint for messages.
    pub(crate) shown: String,
    pub(crate) headers: HeaderMap,
    pub(crate) service_name: Option<String>,
    pub(crate) sampler: Sampler,
}

impl TraceArgs {
    /// Reads what tracing goes by; `None` if it is off.
    ///
    /// # Errors
    ///
    /// Fails with exit code 2 for a value of a wrong form, which is not repeated.
    pub fn check(&self) -> Result<Option<TraceSettings>, AppError> {
        self.check_with(|name| std::env::var(name).ok())
    }

    fn check_with(
        &self,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<TraceSettings>, AppError> {
        let set = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let endpoint = self.otlp_endpoint.as_ref().map(Secret::expose);
        let Some(endpoint) = endpoint.filter(|text| !text.is_empty()) else { return Ok(None) };
        if set("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        if set("OTEL_EXPORTER_OTLP_PROTOCOL").is_some_and(|protocol| protocol != PROTOCOL) {
            let message = "OTEL_EXPORTER_OTLP_PROTOCOL names a protocol that is not spoken";
            return Err(AppError::usage(message).hint(format!(
                "set it to {PROTOCOL} or unset it; collectors take that on port 4318"
            )));
        }
        let url = url(endpoint)?;
        let shown = format!("{}://{}", url.scheme(), url.authority());
        let name = set("OTEL_TRACES_SAMPLER");
        let sampler = Sampler::parse(name.as_deref(), set("OTEL_TRACES_SAMPLER_ARG").as_deref());
        Ok(Some(TraceSettings {
            url,
            shown,
            headers: headers(&set)?,
            service_name: set("OTEL_SERVICE_NAME"),
            sampler: sampler.map_err(AppError::usage)?,
        }))
    }
}

/// The address of spans below an endpoint.
fn url(endpoint: &str) -> Result<Url, AppError> {
    let wrong = |detail: &str| {
        AppError::usage(format!("--otlp-endpoint (OTEL_EXPORTER_OTLP_ENDPOINT): {detail}"))
            .hint("write http://HOST:4318 or https://HOST:4318")
    };
    check_address(endpoint, &SCHEMES).map_err(|fault| wrong(&fault.to_string()))?;
    let mut url = Url::parse(endpoint).map_err(|error| wrong(&error.to_string()))?;
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        return Err(wrong(&format!("it has a login or a query; a login goes into {HEADERS}")));
    }
    url.path_segments_mut()
        .map_err(|()| wrong("it has no path"))?
        .pop_if_empty()
        .extend(PATH.split('/'));
    Ok(url)
}

/// Headers of each request: `name=value`, separated by commas, values percent-encoded.
fn headers(set: &impl Fn(&str) -> Option<String>) -> Result<HeaderMap, AppError> {
    let (written, file) = (set(HEADERS), set(HEADERS_FILE));
    let (variable, text) = match (written, file) {
        (None, None) => return Ok(HeaderMap::new()),
        (Some(_), Some(_)) => {
            return Err(AppError::usage(format!("set {HEADERS} or {HEADERS_FILE}, not both")));
        }
        (Some(text), None) => (HEADERS, text),
        (None, Some(file)) => (HEADERS_FILE, first_line(Path::new(&file))?),
    };
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
        let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
        let mut value = HeaderValue::from_str(&value).ok()?;
        value.set_sensitive(true);
        Some((name, value))
    };
    let pairs = text.split(',').filter(|text| !text.trim().is_empty());
    pairs.map(pair).collect::<Option<HeaderMap>>().ok_or_else(|| {
        let form = "name=value, separated by commas, with values percent-encoded";
        AppError::usage(format!("{variable} is not of the form {form}"))
    })
}

/// The first line of a file whose name is not repeated: it may be the secret in the wrong variable.
fn first_line(file: &Path) -> Result<String, AppError> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        AppError::usage(format!("the file of {HEADERS_FILE} cannot be read: {}", error.kind()))
    })?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use service_kit::args::OTHER_VARIABLES;

    use super::*;

    fn check(
        endpoint: &str,
        variables: &[(&str, &str)],
    ) -> Result<Option<TraceSettings>, AppError> {
        let args = TraceArgs { otlp_endpoint: Some(endpoint.into()) };
        let variable = |asked: &str| {
            variables.iter().find(|(name, _)| *name == asked).map(|(_, v)| (*v).to_owned())
        };
        args.check_with(variable)
    }

    #[test]
    fn every_variable_of_tracing_that_is_known_is_told_by_help() {
        let mut command = TraceArgs::augment_args(clap::Command::new("test"));
        let help = command.render_long_help().to_string();
        for name in OTHER_VARIABLES.iter().filter(|name| name.starts_with("OTEL_")) {
            assert!(help.contains(name), "{name}");
        }
    }

    #[test]
    fn without_an_endpoint_or_where_the_standard_switch_says_so_tracing_is_off() {
        assert!(TraceArgs::default().check_with(|_| None).unwrap().is_none());
        assert!(check("", &[]).unwrap().is_none());
        assert!(check("http://h:4318", &[("OTEL_SDK_DISABLED", "TRUE")]).unwrap().is_none());
        assert!(check("http://h:4318", &[("OTEL_SDK_DISABLED", "false")]).unwrap().is_some());
    }

    #[test]
    fn spans_go_below_the_endpoint_and_messages_name_the_host_alone() {
        for (endpoint, url) in [
            ("http://h:4318", "http://h:4318/v1/traces"),
            ("https://h:4318/", "https://h:4318/v1/traces"),
            ("https://h/otlp", "https://h/otlp/v1/traces"),
        ] {
            let settings = check(endpoint, &[]).unwrap().unwrap();
            assert_eq!(settings.url.as_str(), url);
            assert!(url.starts_with(&settings.shown) && !settings.shown.contains("otlp"));
        }
    }

    #[test]
    fn headers_are_pairs_with_encoded_values_and_are_not_shown() {
        let set = [(HEADERS, "Authorization=Basic%20aHVudGVyMg==, x-scope = a%2Cb ,")];
        let settings = check("http://h", &set).unwrap().unwrap();
        assert_eq!(settings.headers["authorization"], "Basic aHVudGVyMg==");
        assert_eq!(settings.headers["x-scope"], "a,b");
        assert!(!format!("{settings:?}").contains("aHVudGVyMg"), "{settings:?}");
    }

    #[test]
    fn what_is_wrong_is_named_and_never_repeated() {
        for (endpoint, variables) in [
            ("hunter2", &[][..]),
            ("ftp://hunter2", &[]),
            ("http://me:hunter2@h:4318", &[]),
            ("http://hunter2@h:4318", &[]),
            ("http://h:4318?token=hunter2", &[]),
            ("http://h:4318", &[(HEADERS, "hunter2")]),
            ("http://h:4318", &[(HEADERS, "a b=hunter2")]),
            ("http://h:4318", &[(HEADERS, "a=hunter2%0A")]),
            ("http://h:4318", &[(HEADERS_FILE, "/hunter2")]),
            ("http://h:4318", &[(HEADERS, "a=hunter2"), (HEADERS_FILE, "/hunter2")]),
            ("http://h:4318", &[("OTEL_TRACES_SAMPLER", "hunter2")]),
            ("http://h:4318", &[("OTEL_EXPORTER_OTLP_PROTOCOL", "hunter2")]),
        ] {
            let error = check(endpoint, variables).expect_err(endpoint);
            let text = format!("{error:?} {}", error.message());
            assert!(text.contains("OTEL_") && !text.contains("hunter2"), "{text}");
        }
    }
}
