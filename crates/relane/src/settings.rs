//! Settings of a pipeline, for programs that run a [`Stage`](crate::stage::Stage) or have flags of their own. A handler needs only
//! [`Builder`](crate::Builder).

use std::borrow::Cow;
use std::time::Duration;

use kafka_io::writer::Guarantee;
use pipeline::waiting::Waiting;

use crate::error::Error;
use crate::stage::Words;

pub use kafka_io::client_config::KafkaSettings;
pub use pipeline::dead_letter_limit::DeadLetterLimits;
pub use pipeline::retry::RetryPlan;

/// Records of a lane that may wait for a retry, where nothing else is set. At this number the lane does not read its main topic; it
/// goes on when fewer than 80 % of it wait. Records of the main topic that are held in memory count as well, since each may
/// fail. On top come those whose handlers are at work, and what already lies in the retry topic when the lane takes
/// it over.
pub const WAITING_RECORDS_MAX: usize = 200_000;

/// Default interval at which settled retries are deleted.
pub(crate) const TRIM_RETRY_EVERY: Duration = Duration::from_secs(3600);

/// Time limit of one attempt's handler, where nothing else is set.
pub const HANDLER_TIMEOUT: Duration = Duration::from_secs(30);

/// What is named after a pipeline outside of it: its metrics begin with the name and `_`, and the class
/// names in the headers of its dead letters (`kafka_dlt-exception-fqcn`) with the name and a dot.
///
/// ```
/// use relane::settings::PipelineName;
///
/// const CLICKS: PipelineName = PipelineName::of("clicks");
/// assert_eq!(PipelineName::like("click-indexer.2").as_str(), "click_indexer_2");
/// assert!(PipelineName::new("click-indexer").is_err());
/// # assert_eq!(CLICKS.as_str(), "clicks");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipelineName(Cow<'static, str>);

impl PipelineName {
    /// Takes a name: ASCII letters, digits and `_`, no digit first, as Prometheus takes it in the name
    /// of a metric.
    ///
    /// # Errors
    ///
    /// Fails for any other text.
    pub fn new(name: impl Into<String>) -> Result<Self, Error> {
        let name = name.into();
        if Self::is_one(&name) {
            return Ok(Self(Cow::Owned(name)));
        }
        Err(Error::setting(format!(
            "{name:?} is not a name for metrics: a name has ASCII letters, digits and _, and no digit first"
        )))
    }

    /// Takes a name that is known when it is compiled.
    ///
    /// # Panics
    ///
    /// Panics where [`new`](Self::new) fails: as a constant it does not compile.
    #[must_use]
    pub const fn of(name: &'static str) -> Self {
        assert!(Self::is_one(name), "a name has ASCII letters, digits and _, and no digit first");
        Self(Cow::Borrowed(name))
    }

    /// Makes a name of any text, such as that of a group: what may not stand in it becomes `_`.
    #[must_use]
    pub fn like(text: &str) -> Self {
        let allowed = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        let mut name: String = text.chars().map(allowed).collect();
        if !Self::is_one(&name) {
            name.insert(0, '_');
        }
        Self(Cow::Owned(name))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of one of its metrics.
    pub(crate) fn metric(&self, name: &str) -> String {
        format!("{}_{name}", self.0)
    }

    const fn is_one(name: &str) -> bool {
        let text = name.as_bytes();
        let mut at = 0;
        while at < text.len() {
            let is_letter = text[at].is_ascii_alphabetic() || text[at] == b'_';
            if !is_letter && (at == 0 || !text[at].is_ascii_digit()) {
                return false;
            }
            at += 1;
        }
        !text.is_empty()
    }
}

/// Names of a pipeline's topics. All have the same number of partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics {
    /// Topic to read.
    pub main: String,
    /// Topic in which failed records wait.
    pub retry: String,
    /// Topic for dead letters.
    pub dead_letter: String,
    /// Compacted topic of the state; one belongs to one group. `None` where the stage keeps no state: then
    /// the engine cannot notice that another tool has reset the group's offsets.
    pub state: Option<String>,
    /// Topic of the outcome log; `None` for none.
    pub outcomes: Option<String>,
    /// Topic for records that the stage emits; `None` where it emits none.
    pub output: Option<String>,
}

/// What happens to the records of a key that wait behind one that becomes a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDeadLetter {
    /// They are processed in order.
    Release,
    /// Those that wait in the retry topic at that moment become dead letters in the same
    /// transaction.
    Hold,
}

/// Which order is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyOrdering {
    /// None: a retry never holds up other records.
    None,
    /// That of each key. Records without a key have none, nor have those that were redriven from the dead-letter topic.
    Key {
        /// Records that may wait behind one of their key; at this number the lane does not read their partition.
        followers_max: usize,
        /// What happens to them when that record becomes a dead letter.
        on_dead_letter: OnDeadLetter,
    },
}

impl KeyOrdering {
    /// Where records wait in this order.
    pub(crate) fn waiting<T>(self) -> Waiting<T> {
        match self {
            Self::None => Waiting::default(),
            Self::Key { followers_max, .. } if self.holds_followers() => {
                Waiting::in_order_as_a_whole(followers_max)
            }
            Self::Key { followers_max, .. } => Waiting::in_order(followers_max),
        }
    }

    pub(crate) const fn is_kept(self) -> bool {
        matches!(self, Self::Key { .. })
    }

    /// Whether the records that wait behind a dead letter become dead letters with it.
    pub(crate) fn holds_followers(self) -> bool {
        matches!(self, Self::Key { on_dead_letter: OnDeadLetter::Hold, .. })
    }
}

/// What a lane does at its limit of dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDeadLetterLimit {
    /// It pauses, and is not ready, until the program is started again.
    Pause,
    /// The run ends with an error.
    Exit,
}

/// Settings of a pipeline. [`Builder::settings`](crate::Builder::settings) makes them with a default for each, and checks them; what is changed
/// afterwards is checked no more.
#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// What its metrics and the class names in its headers begin with.
    pub name: PipelineName,
    /// Names of its parts in messages.
    pub words: Words,
    /// How to reach Kafka.
    pub kafka: KafkaSettings,
    /// What messages call the service that its handler calls, such as "the service at HOST:PORT"; without a login. `None` where
    /// the program does not know.
    pub downstream: Option<String>,
    /// Its topics.
    pub topics: Topics,
    /// Whether missing topics are created.
    pub creates_topics: bool,
    /// Partitions of created topics if the main topic does not exist.
    pub create_partitions: i32,
    /// How often settled records are deleted from the retry topic; `None` for never.
    pub trim_retry: Option<Duration>,
    /// Whether dead letters have Kafka Connect's headers as well.
    pub writes_connect_headers: bool,
    /// Consumer group.
    pub group: String,
    /// Name of this instance, for static membership and a stable transactional id; `None` for a dynamic member.
    pub instance_id: Option<String>,
    /// Threads that each own a share of the partitions, at most one for each partition; `None` for one per core.
    pub lanes: Option<usize>,
    /// Delivery guarantee across a crash.
    pub guarantee: Guarantee,
    /// How often and how late failed records are tried again.
    pub plan: RetryPlan,
    /// Order that is kept across retries.
    pub order: KeyOrdering,
    /// A record is a duplicate where one with the same [name](crate::stage::Stage::name) lies at most so many offsets before it in its
    /// partition; `None` is off.
    pub dedupe: Option<u32>,
    /// Records of a lane that may wait for a retry; at this number it does not read its main topic.
    pub waiting_records_max: usize,
    /// Dead letters above which a lane stops, before it commits them; `None` is off.
    pub dead_letter_limits: Option<DeadLetterLimits>,
    /// What the lane does at that limit.
    pub on_dead_letter_limit: OnDeadLetterLimit,
    /// Whether to go on where records were deleted before they were read; otherwise their partition pauses.
    pub accepts_gap: bool,
    /// Whether to read a compacted main topic; otherwise the start fails.
    pub accepts_compacted: bool,
    /// Time limit of one attempt of an asynchronous handler, from its first step on.
    pub handler_timeout: Duration,
    /// Asynchronous handlers that may run at once in each lane.
    pub concurrency: usize,
    /// Whether the run ends when all records present at the start are settled.
    pub exits_at_end: bool,
    /// Whether the settings of topics and permissions are checked; librdkafka's mock cluster knows neither.
    pub checks_topic_settings: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipelines_name_is_one_that_prometheus_takes() {
        for name in ["clicks", "_9", "Clicks_2"] {
            assert_eq!(
                PipelineName::new(name).map(|name| name.as_str().to_owned()),
                Ok(name.into())
            );
        }
        for name in ["", "9", "click-indexer", "a.b", "a b", "\u{e9}", "a:b"] {
            let error = PipelineName::new(name).expect_err(name);
            assert!(error.is_setting && error.to_string().contains("no digit first"), "{error}");
        }
    }

    #[test]
    fn any_text_can_be_made_a_name() {
        for (text, name) in
            [("clicks", "clicks"), ("click-indexer.v2", "click_indexer_v2"), ("9", "_9"), ("", "_")]
        {
            let made = PipelineName::like(text);
            assert_eq!(made.as_str(), name);
            assert!(PipelineName::new(made.as_str()).is_ok());
        }
    }
}
