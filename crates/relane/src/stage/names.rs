//! Names of a pipeline's parts and settings in messages.

/// What messages and hints call the parts of a pipeline. Programs with flags of their own name them here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Words {
    /// The command that starts this pipeline.
    pub program: &'static str,
    /// What its records are, in the plural.
    pub records: &'static str,
    /// The name of its state, in the plural.
    pub state: &'static str,
    /// Names of the settings in hints.
    pub settings: SettingNames,
}

/// Names of settings in hints: methods of the [builder](crate::Builder), or a program's flags. An
/// empty name means that there is no such setting. In the first six, `{}` is replaced by the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SettingNames {
    /// Names the group.
    pub group: &'static str,
    /// Names the state topic; where it is empty, the topic is named after the main topic or the group.
    pub state: &'static str,
    /// Names the retry topic.
    pub retry: &'static str,
    /// Names the dead-letter topic.
    pub dead_letter: &'static str,
    /// Names the outcome log.
    pub outcomes: &'static str,
    /// Names the topic of emitted records.
    pub output: &'static str,
    /// Creates missing topics.
    pub create_topics: &'static str,
    /// Continues if records were deleted before they were read.
    pub accept_gap: &'static str,
    /// Reads a main topic that is compacted.
    pub accept_compacted: &'static str,
    /// Dead-letters all failures, without a limit.
    pub no_dead_letter_limit: &'static str,
    /// Keeps settled retries.
    pub no_trim: &'static str,
    /// Distinguishes instances.
    pub instance_id: &'static str,
    /// Says where Kafka is.
    pub brokers: &'static str,
}

impl Default for SettingNames {
    fn default() -> Self {
        Self {
            group: "group(\"{}\")",
            state: "",
            retry: "retry_topic(\"{}\")",
            dead_letter: "dead_letter_topic(\"{}\")",
            outcomes: "outcomes_topic(\"{}\")",
            output: "",
            create_topics: "create_topics(true)",
            accept_gap: "accept_gap(true)",
            accept_compacted: "accept_compacted(true)",
            no_dead_letter_limit: "",
            no_trim: "",
            instance_id: "instance_id",
            brokers: "KAFKA_BOOTSTRAP_SERVERS",
        }
    }
}

impl SettingNames {
    /// A setting with its value.
    pub(crate) fn with_value(name: &str, value: &str) -> String {
        name.replace("{}", value)
    }

    /// What to do if no broker answers, in words.
    #[must_use]
    pub fn broker_hint(&self) -> String {
        format!("is Kafka running there? name it with {}", self.brokers)
    }
}
