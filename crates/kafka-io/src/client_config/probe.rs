//! Is a broker there, and does it let us in? Asked once at start, so that a wrong address, an
//! untrusted certificate or a refused login is an error and not a silence.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, Producer as _, ProducerContext};

use super::weakness;
use crate::native::trust;
use crate::parting::{Parting, note_made};

/// How long a program waits for a broker at start.
pub const BROKER_PROBE_LIMIT: Duration = Duration::from_secs(4);

/// One look at the answer; between two looks the reasons of failure are collected.
const SLICE: Duration = Duration::from_millis(100);

/// What one broker refuses, another of the list may not: so long the others are waited for.
const REFUSED_GRACE: Duration = Duration::from_secs(1);

/// How long the second connection may take that finds out what a broker's certificate is like.
const CERTIFICATE_LOOK_MAX: Duration = Duration::from_secs(1);

/// What keeps brokers from being used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AwayReason {
    /// Nobody answers there.
    Silent,
    /// The settings are such that no connection can be tried.
    Settings,
    /// The broker's certificate is not trusted.
    Certificate,
    /// One side speaks TLS or SASL, and the other something else.
    Protocol,
    /// The broker hangs up before it has answered anything of use.
    HungUp,
    /// The broker refuses user and password, or the client's certificate.
    Login,
}

/// No broker can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} {addresses}: {detail}", .reason.words())]
pub struct BrokersAway {
    /// The addresses that were tried, separated by commas.
    pub addresses: String,
    /// What kept them from being used.
    pub reason: AwayReason,
    /// What the last attempt met.
    pub detail: String,
}

impl AwayReason {
    const fn words(self) -> &'static str {
        match self {
            Self::Silent => "no Kafka broker answers at",
            Self::Settings => "cannot connect to Kafka with these settings, at",
            Self::Certificate => "no trusted Kafka broker at",
            Self::Protocol | Self::HungUp => "no Kafka broker with this security.protocol at",
            Self::Login => "no Kafka broker lets this client in at",
        }
    }
}

impl BrokersAway {
    /// What to do next, where that is not to start a broker.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match self.reason {
            AwayReason::Silent => None,
            AwayReason::Settings => Some(
                "see KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD and KAFKA_SSL_KEY_PASSWORD, and the \
                 files that KAFKA_SSL_CA_LOCATION, KAFKA_SSL_CERTIFICATE_LOCATION and \
                 KAFKA_SSL_KEY_LOCATION name (or -X)",
            ),
            AwayReason::Certificate => Some(
                "KAFKA_SSL_CA_LOCATION (or -X ssl.ca.location) names the authority that signs the \
                 brokers' certificates; brokers are reached by a name in their certificate",
            ),
            AwayReason::Protocol | AwayReason::HungUp => Some(
                "set KAFKA_SECURITY_PROTOCOL (or -X security.protocol) to what this listener \
                 speaks: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL",
            ),
            AwayReason::Login => Some(
                "see KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD (or \
                 KAFKA_SASL_PASSWORD_FILE); for TLS client authentication \
                 KAFKA_SSL_CERTIFICATE_LOCATION and KAFKA_SSL_KEY_LOCATION",
            ),
        }
    }
}

/// Asks a cluster for its id; nothing without an answer within `limit`. The id of a cluster that librdkafka only pretends to
/// be begins with `mockCluster`.
#[must_use]
pub fn cluster_id(config: &ClientConfig, limit: Duration) -> Option<String> {
    let handle: BaseProducer<ErrorCollector> =
        config.create_with_context(ErrorCollector::default()).ok()?;
    let handle = Parting::new(handle);
    let deadline = Instant::now() + limit;
    loop {
        match handle.client().fetch_cluster_id(SLICE) {
            None if Instant::now() < deadline => handle.poll(Duration::ZERO),
            answer => return answer,
        };
    }
}

/// Waits until a broker among `bootstrap.servers` answers, at most for `limit`. Warns of settings
/// that leave the connection open to others.
///
/// # Errors
///
/// Fails if none answers in time; about a second after all refuse: the certificate, the protocol
/// or the login; or if the handle cannot be made (for example because a file cannot be read).
pub fn probe_brokers(config: &ClientConfig, limit: Duration) -> Result<(), BrokersAway> {
    for weakness in weakness::of(config) {
        tracing::warn!(weakness, "the connection to Kafka is not secure");
    }
    let deadline = Instant::now() + limit;
    let mut refused_until = None;
    let away = |reason, detail| BrokersAway {
        addresses: config.get("bootstrap.servers").unwrap_or_default().to_owned(),
        reason,
        detail,
    };
    let mut config = config.clone();
    // What it has to say ends up in the error; as a log line it would be said twice.
    config.set_log_level(RDKafkaLogLevel::Info).set("log.connection.close", "true");
    let handle: BaseProducer<ErrorCollector> = config
        .create_with_context(ErrorCollector::default())
        .map_err(|error| away(AwayReason::Settings, unusable(&config, &error)))?;
    note_made("probe");
    let handle = Parting::new(handle);
    loop {
        if handle.client().fetch_cluster_id(SLICE).is_some() {
            return Ok(());
        }
        handle.poll(Duration::ZERO);
        let seen = handle.context().seen();
        let give_up_at = match seen.reason {
            AwayReason::Silent => deadline,
            // It may be on its way up; what remains is for another look.
            AwayReason::HungUp => deadline - CERTIFICATE_LOOK_MAX.min(limit / 2),
            _ => deadline.min(*refused_until.get_or_insert(Instant::now() + REFUSED_GRACE)),
        };
        if Instant::now() < give_up_at {
            continue;
        }
        let waited = || format!("no answer within {} s", limit.as_secs_f32());
        let detail = seen.detail.unwrap_or_else(waited);
        drop(handle);
        let detail = match seen.reason {
            AwayReason::Silent => plainly(&config, detail),
            AwayReason::Certificate => {
                let fault = trust::certificate_fault(&config, CERTIFICATE_LOOK_MAX);
                fault.map_or(detail, explain_fault)
            }
            AwayReason::HungUp => explain_hang_up(&config),
            _ => detail,
        };
        return Err(away(seen.reason, detail));
    }
}

/// Of a single address, why it does not answer, without the address in other forms.
fn plainly(config: &ClientConfig, detail: String) -> String {
    let is_one = config.get("bootstrap.servers").is_some_and(|servers| !servers.contains(','));
    if is_one && detail.contains("Connection refused") {
        return "connection refused".to_owned();
    }
    detail
}

/// librdkafka does not name the file that it could not use.
fn unusable(config: &ClientConfig, error: &KafkaError) -> String {
    let settings = config.config_map();
    let files =
        settings.iter().filter(|(key, _)| key.starts_with("ssl.") && key.ends_with("location"));
    files.fold(error.to_string(), |text, (key, file)| format!("{text}; {key} is {file}"))
}

/// A listener that wants another protocol says nothing: it hangs up.
fn explain_hang_up(config: &ClientConfig) -> String {
    let protocol = config.get("security.protocol").unwrap_or("PLAINTEXT").to_ascii_uppercase();
    if protocol.ends_with("SSL") {
        format!("the listener closes {protocol} connections; it may require another way to log in")
    } else if trust::speaks_tls(config, CERTIFICATE_LOOK_MAX) {
        format!("the listener speaks TLS, but security.protocol is {protocol}")
    } else {
        format!("the listener closes {protocol} connections; it may require a login")
    }
}

/// OpenSSL's numbers of what can be wrong with a certificate, in words.
fn explain_fault(fault: i32) -> String {
    match fault {
        9 => "the broker's certificate is not valid yet: is this machine's clock right?".to_owned(),
        10 => "the broker's certificate has expired".to_owned(),
        18..=21 => {
            "the broker's certificate is signed by an authority that ssl.ca.location does not hold"
                .to_owned()
        }
        23 => "the broker's certificate was revoked".to_owned(),
        62 | 64 => "the broker's certificate is for another host than the address it is reached at"
            .to_owned(),
        other => format!("the broker's certificate is refused (X509_V_ERR {other})"),
    }
}

/// What an error or log line of librdkafka says about the way in. It has codes for a refused login
/// and for "something about TLS"; the rest stands in its words only.
fn sort(code: Option<RDKafkaErrorCode>, text: &str) -> AwayReason {
    let says = |part: &str| text.contains(part);
    if code == Some(RDKafkaErrorCode::Authentication) {
        AwayReason::Login
    } else if says("certificate verify failed") || says("Failed to verify broker certificate") {
        AwayReason::Certificate
    } else if says("SSL alert") || says("client SSL authentication might be required") {
        AwayReason::Login
    } else if says("listener?") || says("security.protocol") || code == Some(RDKafkaErrorCode::SSL)
    {
        AwayReason::Protocol
    } else if says("Disconnected") && (says("state APIVERSION_QUERY") || says("in state UP")) {
        AwayReason::HungUp
    } else {
        AwayReason::Silent
    }
}

#[derive(Debug, Clone)]
struct Seen {
    reason: AwayReason,
    detail: Option<String>,
}

struct ErrorCollector(Mutex<Seen>);

impl Default for ErrorCollector {
    fn default() -> Self {
        Self(Mutex::new(Seen { reason: AwayReason::Silent, detail: None }))
    }
}

impl ErrorCollector {
    fn seen(&self) -> Seen {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps the last words, but not past a refusal: what follows is its echo.
    fn note(&self, code: Option<RDKafkaErrorCode>, text: &str) {
        let reason = sort(code, text);
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.reason == AwayReason::Silent || reason != AwayReason::Silent {
            *seen = Seen { reason, detail: Some(text.to_owned()) };
        }
    }
}

impl ClientContext for ErrorCollector {
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, message: &str) {
        // A broker that hangs up is told nowhere else.
        if facility == "FAIL" {
            // The name of the thread that saw it, `[thrd:…]: `, helps nobody.
            let text = message.split_once("]: ").map_or(message, |(_, text)| text);
            self.note(None, text);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code();
        // It only sums up what the single brokers said before.
        if code != Some(RDKafkaErrorCode::AllBrokersDown) || self.seen().detail.is_none() {
            self.note(code, reason);
        }
    }
}

impl ProducerContext for ErrorCollector {
    type DeliveryOpaque = ();

    fn delivery(&self, _result: &DeliveryResult<'_>, _opaque: ()) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_librdkafka_says_is_sorted_by_what_to_do() {
        let ssl = Some(RDKafkaErrorCode::SSL);
        for (code, text, reason) in [
            (
                ssl,
                "SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: …",
                AwayReason::Certificate,
            ),
            (
                None,
                "SSL handshake failed: Disconnected: connecting to a PLAINTEXT broker listener?",
                AwayReason::Protocol,
            ),
            (
                None,
                "Disconnected while requesting ApiVersion: might be caused by incorrect \
                 security.protocol configuration (connecting to a SSL listener?)",
                AwayReason::Protocol,
            ),
            (
                ssl,
                "Receive failed: error:0A000412:SSL routines::sslv3 alert bad certificate: SSL \
                 alert number 42",
                AwayReason::Login,
            ),
            (
                Some(RDKafkaErrorCode::Authentication),
                "SASL authentication error: …",
                AwayReason::Login,
            ),
            (
                None,
                "Disconnected: connection closed by peer: receive 0 after POLLIN (after 3ms in \
                 state APIVERSION_QUERY)",
                AwayReason::HungUp,
            ),
            (None, "Connect to ipv4#127.0.0.1:1 failed: Connection refused", AwayReason::Silent),
        ] {
            assert_eq!(sort(code, text), reason, "{text}");
        }
    }

    #[test]
    fn an_echo_does_not_hide_the_refusal() {
        let collector = ErrorCollector::default();
        collector.note(None, "Connection refused");
        collector.note(Some(RDKafkaErrorCode::Authentication), "invalid credentials");
        collector.note(Some(RDKafkaErrorCode::AllBrokersDown), "1/1 brokers are down");
        assert_eq!(collector.seen().detail.as_deref(), Some("invalid credentials"));
    }
}
