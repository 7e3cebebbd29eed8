//! What librdkafka reports on its own threads: errors and log lines.

use std::borrow::Cow;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::ProducerContext;

/// Callbacks of every handle: logs go to tracing, errors are kept for health.
#[derive(Debug, Default)]
pub struct Events {
    /// The connection to the transaction coordinator was lost, or a request to it timed out.
    coordinator_lost: AtomicBool,
    fatal: Mutex<Option<(RDKafkaErrorCode, String)>>,
    /// What was last heard of a lost connection, and when.
    trouble: Mutex<Option<(Instant, String)>>,
}

/// What was heard of connections longer ago says nothing about now.
const TROUBLE_RECALL: Duration = Duration::from_secs(10);

impl Events {
    /// Whether the coordinator connection was lost since this handle was made.
    pub fn coordinator_lost(&self) -> bool {
        self.coordinator_lost.load(Ordering::Acquire)
    }

    /// What was heard lately of a connection that was lost, or did not come about.
    pub(crate) fn trouble(&self) -> Option<String> {
        let trouble = self.trouble.lock().expect("no panic while held").clone();
        trouble.filter(|(at, _)| at.elapsed() < TROUBLE_RECALL).map(|(_, text)| text)
    }

    /// Keeps an error that came through a poll.
    pub(crate) fn error_seen(&self, error: &KafkaError) {
        if let KafkaError::MessageConsumptionFatal(code) = error {
            let mut fatal = self.fatal.lock().expect("no panic while held");
            fatal.get_or_insert((*code, error.to_string()));
        }
    }

    /// Keeps a refusal, with the permission that is missing: nothing more will come of the handle.
    pub(crate) fn denied(&self, code: RDKafkaErrorCode, text: String) {
        self.fatal.lock().expect("no panic while held").get_or_insert((code, text));
    }

    /// The error after which the handle can do nothing more.
    pub fn fatal(&self) -> Option<(RDKafkaErrorCode, String)> {
        self.fatal.lock().expect("no panic while held").clone()
    }
}

/// Whether a log line tells that a request to the coordinator may have been lost and resent.
///
/// librdkafka reconnects and resends silently, so this line is the only sign that an EndTxn
/// may arrive twice, the first time late. Seen at level Info as facility FAIL (disconnected)
/// or REQTMOUT (timed out) of the broker named `TxnCoordinator`.
fn tells_of_lost_coordinator(facility: &str, text: &str) -> bool {
    matches!(facility, "FAIL" | "REQTMOUT") && text.contains("TxnCoordinator")
}

/// Facilities of lines about connections, requests and transactions. Who uses the handle learns the
/// same as the answer of a call or as silence, deals with it, and reports in its own words what
/// is unavailable: here it would be said once for each handle and broker, and frighten at each
/// first start, where coordinators load.
const TOLD_OTHERWISE: [&str; 14] = [
    "FAIL",
    "ERROR",
    "REQTMOUT",
    "SESSTMOUT",
    "GETPID",
    "TXNERR",
    "ADDPARTS",
    "ADDOFFSETS",
    "FATAL",
    "METADATA",
    "METADATAUPDATE",
    "APIVERSION",
    "TERMINATE",
    "PRODUCE",
];

/// What a line about a lost connection says, without the name of librdkafka's thread.
fn trouble_of(facility: &str, text: &str) -> Option<String> {
    if facility != "FAIL" {
        return None;
    }
    let text = text.split_once("]: ").map_or(text, |(_, text)| text);
    if text.contains("ApiVersionRequest failed") {
        // It blames the broker's version.
        return Some("a connection is taken and not answered".to_owned());
    }
    Some(text.to_owned())
}

impl ClientContext for Events {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        if tells_of_lost_coordinator(facility, text) {
            self.coordinator_lost.store(true, Ordering::Release);
        }
        if let Some(trouble) = trouble_of(facility, text) {
            self.trouble.lock().expect("no panic while held").replace((Instant::now(), trouble));
        }
        if TOLD_OTHERWISE.contains(&facility) {
            tracing::debug!(target: "librdkafka", facility, "{text}");
            return;
        }
        let text = &*without_value(facility, text);
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error => tracing::error!(target: "librdkafka", facility, "{text}"),
            RDKafkaLogLevel::Warning => tracing::warn!(target: "librdkafka", facility, "{text}"),
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
                tracing::info!(target: "librdkafka", facility, "{text}");
            }
            RDKafkaLogLevel::Debug => tracing::debug!(target: "librdkafka", facility, "{text}"),
        }
    }

    fn stats_raw(&self, _statistics: &[u8]) {}

    fn error(&self, error: KafkaError, reason: &str) {
        self.error_seen(&error);
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::PartitionEOF) {
            return; // the end of a partition is news for the reader only
        }
        tracing::debug!(target: "librdkafka", %error, "{reason}");
    }
}

impl ConsumerContext for Events {}

/// What librdkafka says of a setting, without its value: it may be a secret in the wrong place.
fn without_value<'a>(facility: &str, text: &'a str) -> Cow<'a, str> {
    match text.split_once(" set to `") {
        Some((name, rest)) if facility == "CONFWARN" => {
            let reason =
                rest.rsplit_once("` but ").map_or("it has no effect", |(_, reason)| reason);
            Cow::Owned(format!("{name} is set, but {reason}"))
        }
        _ => Cow::Borrowed(text),
    }
}

impl ProducerContext for Events {
    type DeliveryOpaque = ();

    fn delivery(&self, _result: &DeliveryResult<'_>, _opaque: ()) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trouble_with_the_coordinator_is_taken_for_it() {
        let lost = "[thrd:TxnCoordinator]: TxnCoordinator: 127.0.0.1:9092: Disconnected (after 9ms in state UP)";
        assert!(tells_of_lost_coordinator("FAIL", lost));
        assert!(tells_of_lost_coordinator(
            "REQTMOUT",
            "TxnCoordinator: Timed out EndTxnRequest in flight"
        ));
        assert!(!tells_of_lost_coordinator(
            "FAIL",
            "[thrd:127.0.0.1:9092/1]: 127.0.0.1:9092/1: Disconnected"
        ));
        assert!(!tells_of_lost_coordinator("TXNSTATE", "TxnCoordinator changed"));
    }

    /// Lines that a subscriber at the default level is given meanwhile.
    fn lines_of(run: impl FnOnce(&Events)) -> usize {
        use std::sync::Arc;
        use std::sync::atomic::AtomicUsize;

        struct Counter(Arc<AtomicUsize>);
        impl tracing::Subscriber for Counter {
            fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
                *metadata.level() <= tracing::Level::WARN
            }
            fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
                tracing::span::Id::from_u64(1)
            }
            fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
            fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
            fn event(&self, _: &tracing::Event<'_>) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
            fn enter(&self, _: &tracing::span::Id) {}
            fn exit(&self, _: &tracing::span::Id) {}
        }
        let count = Arc::new(AtomicUsize::new(0));
        let subscriber = Counter(Arc::clone(&count));
        tracing::subscriber::with_default(subscriber, || run(&Events::default()));
        count.load(Ordering::Relaxed)
    }

    #[test]
    fn what_is_reported_in_other_words_is_not_a_line_and_what_nobody_else_reports_is() {
        let told = [
            ("TXNERR", "Current transaction failed in state BeginCommit"),
            (
                "GETPID",
                "Failed to acquire transactional PID from broker TxnCoordinator/1: retrying",
            ),
            ("FAIL", "ApiVersionRequest failed: probably due to broker version < 0.10"),
            ("REQTMOUT", "Timed out 1 in-flight"),
            ("SESSTMOUT", "Consumer group session timed out (in join-state steady)"),
        ];
        let lines = lines_of(|events| {
            for (facility, text) in told {
                events.log(RDKafkaLogLevel::Error, facility, text);
            }
            let down = KafkaError::Global(RDKafkaErrorCode::AllBrokersDown);
            events.error(down, "1/1 brokers are down");
        });
        assert_eq!(lines, 0);
        let warns = |events: &Events| {
            events.log(RDKafkaLogLevel::Warning, "CONFWARN", "a setting without effect");
        };
        assert_eq!(lines_of(warns), 1);
    }

    #[test]
    fn the_value_of_a_setting_without_effect_is_not_printed() {
        let told = "Configuration property `sasl.mechanism` set to `a` but `b` but `security.protocol` is not configured";
        assert_eq!(
            without_value("CONFWARN", told),
            "Configuration property `sasl.mechanism` is set, but `security.protocol` is not configured"
        );
        assert_eq!(without_value("CONFWARN", "x set to `a"), "x is set, but it has no effect");
        assert_eq!(without_value("FAIL", "x set to `a` but b"), "x set to `a` but b");
    }

    #[test]
    fn what_is_known_of_a_lost_connection_is_told_in_plain_words() {
        let events = Events::default();
        for (text, trouble) in [
            (
                "[thrd:127.0.0.1:1/bootstrap]: 127.0.0.1:1/bootstrap: Connect to ipv4#127.0.0.1:1 \
                 failed: Connection refused",
                "127.0.0.1:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused",
            ),
            (
                "[thrd:x]: x: ApiVersionRequest failed: Local: Timed out: probably due to broker \
                 version < 0.10 (see api.version.request configuration)",
                "a connection is taken and not answered",
            ),
        ] {
            events.log(RDKafkaLogLevel::Warning, "FAIL", text);
            assert_eq!(events.trouble().as_deref(), Some(trouble));
        }
    }
}
