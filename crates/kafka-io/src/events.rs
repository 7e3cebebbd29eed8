//! What librdkafka reports on its own threads: errors and log lines.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// Callbacks of every handle: logs go to tracing, errors are kept for health.
#[derive(Debug, Default)]
pub struct Events {
    /// The connection to the transaction coordinator was lost, or a request to it timed out.
    coordinator_lost: AtomicBool,
    fatal: Mutex<Option<(RDKafkaErrorCode, String)>>,
}

impl Events {
    /// Whether the coordinator connection was lost since this handle was made.
    pub fn coordinator_lost(&self) -> bool {
        self.coordinator_lost.load(Ordering::Acquire)
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

/// Whether a log line tells of something that the caller learns as the answer of its call, and
/// deals with: nobody else has to act.
///
/// A transaction that fails is aborted and made again: always so when another member joins between
/// two turns, since the broker takes no offsets of a generation that is over. The id of a producer
/// is asked for again while the coordinator loads, as at the first use of a cluster.
fn is_told_otherwise(facility: &str, text: &str) -> bool {
    match facility {
        "TXNERR" => text.contains("Current transaction failed"),
        "GETPID" => text.contains("retrying"),
        _ => false,
    }
}

impl ClientContext for Events {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        if tells_of_lost_coordinator(facility, text) {
            self.coordinator_lost.store(true, Ordering::Release);
        }
        if is_told_otherwise(facility, text) {
            tracing::debug!(target: "librdkafka", facility, "{text}");
            return;
        }
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
        tracing::info!(target: "librdkafka", %error, "{reason}");
    }
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

    #[test]
    fn what_a_call_answers_is_not_told_a_second_time() {
        let failed = "Current transaction failed in state BeginCommit: Failed to commit offsets to \
                      transaction: Broker: Specified group generation id is not valid";
        let asked = "Failed to acquire transactional PID from broker TxnCoordinator/1: Broker: \
                     Coordinator load in progress: retrying";
        assert!(is_told_otherwise("TXNERR", failed));
        assert!(is_told_otherwise("GETPID", asked));
        for (facility, text) in [
            ("TXNERR", "Fatal transaction error: Producer fenced by newer instance"),
            ("GETPID", "Fatal: no permission"),
            ("FAIL", "Disconnected"),
        ] {
            assert!(!is_told_otherwise(facility, text), "{text}");
        }
    }
}
