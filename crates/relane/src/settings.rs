//! What a program has to say of its pipeline: checked settings.

use std::time::Duration;

use kafka_io::client_config::KafkaSettings;
use kafka_io::writer::Guarantee;
use pipeline::dead_letter_limit::DeadLetterLimits;
use pipeline::headers::Dialects;
use pipeline::retry::RetryPlan;

pub use crate::lane::Topics;
pub use crate::lane::limits::WAITING_RECORDS_MAX;
pub use crate::lane::order::{KeyOrdering, OnDeadLetter};
use crate::stage::Words;

/// How long the handler of one attempt may take, unless said otherwise.
pub const HANDLER_TIMEOUT: Duration = Duration::from_secs(30);

/// What a lane does that has reached its limit of dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDeadLetterLimit {
    /// It stands still, and is not ready.
    Pause,
    /// The program ends.
    Exit,
}

/// Checked settings of a pipeline.
#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// How messages call its parts.
    pub words: Words,
    /// Connection to Kafka.
    pub kafka: KafkaSettings,
    /// Its topics.
    pub topics: Topics,
    /// Missing topics are made.
    pub creates_topics: bool,
    /// Partitions of topics that are made when the main topic does not exist.
    pub create_partitions: i32,
    /// Settled retries are deleted this often.
    pub trim_retry: Option<Duration>,
    /// Headers of other tools on dead letters.
    pub dialects: Dialects,
    /// Consumer group.
    pub group: String,
    /// Static membership and a stable transactional id.
    pub instance_id: Option<String>,
    /// Threads that each own a share of the partitions; `None` for one per core.
    pub lanes: Option<usize>,
    /// What holds across a crash.
    pub guarantee: Guarantee,
    /// How often and how late failed records are tried again.
    pub plan: RetryPlan,
    /// Order that is kept across retries.
    pub order: KeyOrdering,
    /// Offsets over which duplicates are looked for.
    pub dedupe: Option<u32>,
    /// Records that may wait in retry, per lane, before main is held back.
    pub waiting_records_max: usize,
    /// Dead letters above which a lane stops before it commits them; `None` is off.
    pub dead_letter_limits: Option<DeadLetterLimits>,
    /// What it does then.
    pub on_dead_letter_limit: OnDeadLetterLimit,
    /// Goes on where records were deleted before they were read.
    pub accepts_gap: bool,
    /// Reads a main topic that is compacted.
    pub accepts_compacted: bool,
    /// How long the handler of one attempt may take, where handlers wait.
    pub handler_timeout: Duration,
    /// Handlers of a lane that may wait at once.
    pub concurrency: usize,
    /// Ends when everything that was there at the start is settled.
    pub exits_at_end: bool,
    /// Whether topic settings and permissions are checked; librdkafka's mock knows none.
    pub checks_topic_settings: bool,
}
