//! Is a broker there? Asked once at start, so that a wrong address is an error and not a silence.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, Producer as _, ProducerContext};

/// How long a program waits for a broker at start.
pub const BROKER_PROBE_LIMIT: Duration = Duration::from_secs(4);

/// One look at the answer; between two looks the reasons of failure are collected.
const SLICE: Duration = Duration::from_millis(100);

/// No broker answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no Kafka broker answers at {addresses}: {detail}")]
pub struct BrokersAway {
    /// The addresses that were tried, separated by commas.
    pub addresses: String,
    /// What the last attempt met.
    pub detail: String,
}

/// Waits until a broker among `bootstrap.servers` answers, at most for `limit`.
///
/// A refused login is reported at once.
///
/// # Errors
///
/// Fails if none answers in time, if the login is refused, or if the handle cannot be made (for
/// example because a certificate cannot be read).
pub fn probe_brokers(config: &ClientConfig, limit: Duration) -> Result<(), BrokersAway> {
    let deadline = Instant::now() + limit;
    let away = |detail: String| BrokersAway {
        addresses: config.get("bootstrap.servers").unwrap_or_default().to_owned(),
        detail,
    };
    let mut config = config.clone();
    // What it has to say ends up in the error; as a log line it would be said twice.
    config.set_log_level(RDKafkaLogLevel::Emerg);
    let handle: BaseProducer<ErrorCollector> = config
        .create_with_context(ErrorCollector::default())
        .map_err(|error| away(error.to_string()))?;
    loop {
        if handle.client().fetch_cluster_id(SLICE).is_some() {
            return Ok(());
        }
        handle.poll(Duration::ZERO);
        let seen = handle.context().seen();
        if seen.is_login_refused || Instant::now() >= deadline {
            let waited = || format!("no answer within {} s", limit.as_secs_f32());
            return Err(away(seen.detail.unwrap_or_else(waited)));
        }
    }
}

#[derive(Debug, Clone, Default)]
struct Seen {
    detail: Option<String>,
    is_login_refused: bool,
}

#[derive(Default)]
struct ErrorCollector(Mutex<Seen>);

impl ErrorCollector {
    fn seen(&self) -> Seen {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ClientContext for ErrorCollector {
    fn log(&self, _level: RDKafkaLogLevel, _facility: &str, _message: &str) {}

    fn error(&self, error: KafkaError, reason: &str) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match error.rdkafka_error_code() {
            // It only sums up what the single brokers said before.
            Some(RDKafkaErrorCode::AllBrokersDown) if seen.detail.is_some() => {}
            code => {
                seen.is_login_refused |= code == Some(RDKafkaErrorCode::Authentication);
                seen.detail = Some(reason.to_owned());
            }
        }
    }
}

impl ProducerContext for ErrorCollector {
    type DeliveryOpaque = ();

    fn delivery(&self, _result: &DeliveryResult<'_>, _opaque: ()) {}
}
