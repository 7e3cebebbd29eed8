//! Why dead letters could not be looked at.

use std::io;

use service_kit::exit::{AppError, ExitStatus};

use crate::scan::ScanError;

/// What a user does where no broker answers.
pub(crate) const BROKER_HINT: &str =
    "is Kafka running there? name it with --bootstrap-server or KAFKA_BOOTSTRAP_SERVERS";

/// Why dead letters could not be looked at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DlqError {
    /// A setting that cannot be used.
    #[error("{0}")]
    Settings(String),
    /// The brokers are not there, or refuse.
    #[error("{detail}")]
    Kafka {
        /// What the client says.
        detail: String,
        /// What to do next, where the client knows.
        hint: Option<&'static str>,
    },
    /// There is no such topic.
    #[error("the topic {topic} does not exist at {servers}")]
    NoTopic {
        /// Its name.
        topic: String,
        /// Brokers that were asked.
        servers: String,
    },
    /// There is no such partition.
    #[error("{topic} has no partition {partition}: it has {count}, counted from 0")]
    NoPartition {
        /// Topic.
        topic: String,
        /// The partition that was asked for.
        partition: i32,
        /// Partitions that there are.
        count: i32,
    },
    /// There is no record at an offset.
    #[error("{topic} has no dead letter at {partition}:{offset}: {why}")]
    NoRecord {
        /// Topic.
        topic: String,
        /// Partition.
        partition: i32,
        /// The offset that was asked for.
        offset: i64,
        /// What lies there instead.
        why: String,
    },
    /// The registry is unavailable.
    #[error("the schema registry at {registry} did not return schema {schema_id}: {detail}")]
    Registry {
        /// Schema that a value was written with.
        schema_id: u32,
        /// What came instead.
        detail: String,
        /// Its address, without a password.
        registry: String,
    },
    /// Records did not come.
    #[error("{0}")]
    Stalled(String),
    /// Records were deleted while they were read.
    #[error("{0}")]
    CutOff(String),
    /// The ledger cannot be relied on.
    #[error("{0}")]
    Ledger(String),
    /// A redrive or a discard was stopped in the middle.
    #[error("stopped after {done} dead letters were handled: {why}")]
    Stopped {
        /// Dead letters that went back or were discarded for good.
        done: u64,
        /// What stopped it.
        why: String,
    },
    /// The results could not be written.
    #[error("stdout cannot be written: {0}")]
    Output(#[from] io::Error),
}

impl From<ScanError> for DlqError {
    fn from(error: ScanError) -> Self {
        match error {
            ScanError::Kafka(detail) => Self::Kafka { detail, hint: None },
            error @ ScanError::Stalled(..) => Self::Stalled(error.to_string()),
            error @ ScanError::CutOff(_) => Self::CutOff(error.to_string()),
        }
    }
}

/// Each with the exit code and the next step that is safe.
impl From<DlqError> for AppError {
    fn from(error: DlqError) -> Self {
        let (status, hint) = match &error {
            DlqError::Settings(_) => (ExitStatus::Usage, None),
            DlqError::Kafka { hint, .. } => (ExitStatus::Failed, Some(hint.unwrap_or(BROKER_HINT))),
            DlqError::NoTopic { .. } => (
                ExitStatus::Failed,
                Some("name it with --dlq-topic; 'orders topics list' shows all topics"),
            ),
            DlqError::NoPartition { .. } | DlqError::NoRecord { .. } => {
                (ExitStatus::Failed, Some("'orders dlq list' shows what is there"))
            }
            DlqError::Registry { .. } => (
                ExitStatus::Failed,
                Some(
                    "name another one with --schema-registry-url or SCHEMA_REGISTRY_URL; 'list' and \
                     'stats' without --order-id, and 'export --raw', need none",
                ),
            ),
            DlqError::Stalled(_) => (
                ExitStatus::Failed,
                Some(
                    "a transaction may have been left open: find its producer with \
                     kafka-transactions describe-producers; see docs/runbook.md",
                ),
            ),
            DlqError::Ledger(_) => (
                ExitStatus::Failed,
                Some("run that version of orders or a newer one; nothing was sent"),
            ),
            DlqError::Stopped { done, .. } => (
                if *done > 0 { ExitStatus::Partial } else { ExitStatus::Failed },
                Some(
                    "run it again: it skips what was already handled. If another redrive or discard \
                     of this topic is running, wait until it has ended",
                ),
            ),
            DlqError::CutOff(_) => (ExitStatus::Failed, Some("run it again")),
            DlqError::Output(_) => (ExitStatus::Failed, None),
        };
        let failed = Self::new(status, error.to_string());
        match hint {
            Some(hint) => failed.hint(hint),
            None => failed,
        }
    }
}
