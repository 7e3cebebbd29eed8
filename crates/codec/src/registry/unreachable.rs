//! Why no answer came over HTTP.

use std::error::Error;
use std::io;

use hyper_util::client::legacy;
use openssl::error::ErrorStack;

use super::error::{AwayCause, RegistryError};

/// OpenSSL's number for the library of its errors that speaks TLS (`ERR_LIB_SSL`).
const LIBRARY_TLS: i32 = 20;
/// Its reason for a certificate that was refused (`SSL_R_CERTIFICATE_VERIFY_FAILED`).
const REASON_CERTIFICATE: i32 = 134;
/// Its reason for a version of TLS that is too old (`SSL_R_UNSUPPORTED_PROTOCOL`).
const REASON_VERSION: i32 = 258;
/// Its reasons for an answer that is no TLS: a version that there is not, and a request in plain HTTP
/// (`SSL_R_WRONG_VERSION_NUMBER`, `SSL_R_HTTP_REQUEST`).
const REASONS_PLAIN: [i32; 2] = [267, 156];
/// Its reasons for an alert of the other side, the alert's number added
/// (`SSL_AD_REASON_OFFSET`).
const REASONS_ALERT: std::ops::Range<i32> = 1000..1256;

/// A failure of TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
enum TlsFailure {
    /// The certificate was refused, for this reason in OpenSSL's words.
    Certificate(String),
    /// The other side ended the handshake with an alert, or speaks an old version.
    Spoken(String),
    /// The other side answered with bytes that are no TLS.
    Plain(String),
    /// Anything else.
    Other(String),
}

const SILENT: &str = "did not answer in time";

/// No answer within the time that one may take.
pub(super) fn silent() -> RegistryError {
    RegistryError::Away {
        cause: AwayCause::Silent,
        detail: format!("{SILENT} (operation timed out)"),
    }
}

/// An HTTP failure without its address: the caller names it without the password.
pub(super) fn unreachable_because(error: &(dyn Error + 'static)) -> RegistryError {
    let (cause, what) = if is_timeout(error) {
        (AwayCause::Silent, SILENT)
    } else if let Some(tls) = tls_failure(error) {
        (tls.cause(), "refused or failed to connect")
    } else if is_connect(error) {
        (AwayCause::Unreachable, "refused or failed to connect")
    } else {
        (AwayCause::BrokenOff, "aborted the answer")
    };
    RegistryError::Away { cause, detail: format!("{what} ({})", words(error)) }
}

fn is_timeout(error: &(dyn Error + 'static)) -> bool {
    let is_late = |cause: &(dyn Error + 'static)| {
        cause.downcast_ref::<reqwest::Error>().is_some_and(reqwest::Error::is_timeout)
            || cause
                .downcast_ref::<io::Error>()
                .is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
    };
    causes(error).any(is_late)
}

fn is_connect(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref::<reqwest::Error>().is_some_and(reqwest::Error::is_connect)
        || error.downcast_ref::<legacy::Error>().is_some_and(legacy::Error::is_connect)
}

/// What a call over HTTP failed of, without its address. A failure of TLS says whether it is the
/// certificate's, and which rule that breaks.
pub fn root_cause(error: &reqwest::Error) -> String {
    words(error)
}

fn words(error: &(dyn Error + 'static)) -> String {
    match tls_failure(error) {
        Some(tls) => tls.words(),
        None => root_of(error).to_string(),
    }
}

/// Whether the other side speaks TLS, by the failure of a handshake: it has shown a certificate,
/// or spoken an alert.
pub(super) fn speaks_tls(error: &(dyn Error + 'static)) -> bool {
    matches!(tls_failure(error), Some(TlsFailure::Certificate(_) | TlsFailure::Spoken(_)))
}

impl TlsFailure {
    fn cause(&self) -> AwayCause {
        match self {
            Self::Certificate(why) => certificate_cause(why),
            Self::Spoken(_) | Self::Plain(_) | Self::Other(_) => AwayCause::Handshake,
        }
    }

    fn words(self) -> String {
        match self {
            Self::Certificate(why) => format!("its certificate is refused: {why}"),
            Self::Plain(why) => {
                format!(
                    "the TLS handshake failed: {why}; the port does not speak TLS, is it http://?"
                )
            }
            Self::Spoken(why) | Self::Other(why) => format!("the TLS handshake failed: {why}"),
        }
    }
}

/// The number of the rule that a certificate breaks does not leave native-tls: its name does. The
/// names are those of `X509_verify_cert_error_string`, in lower case.
fn certificate_cause(why: &str) -> AwayCause {
    match why.to_ascii_lowercase().as_str() {
        "certificate has expired" | "certificate is not yet valid" => {
            AwayCause::CertificateOutOfDate
        }
        "hostname mismatch" | "ip address mismatch" => AwayCause::CertificateOfAnother,
        _ => AwayCause::UntrustedCertificate,
    }
}

/// The failure of TLS among the causes of an error.
fn tls_failure(error: &(dyn Error + 'static)) -> Option<TlsFailure> {
    let tls = causes(error).find_map(|cause| cause.downcast_ref::<native_tls::Error>())?;
    let stack = causes(tls).find_map(|cause| cause.downcast_ref::<ErrorStack>());
    let first = stack.and_then(|stack| stack.errors().first());
    let Some(first) = first.filter(|error| error.library_code() == LIBRARY_TLS) else {
        return Some(TlsFailure::Other(root_of(tls).to_string()));
    };
    let reason = first.reason().unwrap_or("an unknown reason").to_owned();
    Some(match first.reason_code() {
        REASON_CERTIFICATE => {
            TlsFailure::Certificate(refused_because(&tls.to_string()).unwrap_or(reason))
        }
        code if code == REASON_VERSION || REASONS_ALERT.contains(&code) => {
            TlsFailure::Spoken(reason)
        }
        code if REASONS_PLAIN.contains(&code) => TlsFailure::Plain(reason),
        _ => TlsFailure::Other(reason),
    })
}

/// The rule that the certificate breaks, which native-tls writes in brackets at the end.
fn refused_because(text: &str) -> Option<String> {
    let (_, why) = text.strip_suffix(')')?.rsplit_once('(')?;
    Some(why.to_owned())
}

fn root_of<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    causes(error).last().unwrap_or(error)
}

/// The error, what caused it, and so on.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| cause_of(*error))
}

/// Layers in between wrap a cause in [`io::Error`], whose `source` passes over what it wraps.
fn cause_of<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    wrapped.map_or_else(|| error.source(), |wrapped| Some(wrapped as &(dyn Error + 'static)))
}
