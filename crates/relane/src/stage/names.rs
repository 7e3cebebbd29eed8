//! How messages name the parts of a pipeline, and the settings that they propose.

/// Words in which messages and hints name the parts of a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Words {
    /// The program, and what of it must be said to start this pipeline.
    pub program: &'static str,
    /// What its records are, in the plural.
    pub records: &'static str,
    /// What its state is, in the plural.
    pub state: &'static str,
    /// How hints name the settings that they propose.
    pub settings: SettingNames,
}

/// How hints name settings: by the methods of the [builder](crate::Builder), or as a program says it in its
/// flags. An empty name is a setting that there is not. In the first six `{}` stands for the value.
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
    /// Makes missing topics.
    pub create_topics: &'static str,
    /// Goes on where records were deleted before they were read.
    pub accept_gap: &'static str,
    /// Reads a main topic that is compacted.
    pub accept_compacted: &'static str,
    /// Gives up whatever fails, without a limit.
    pub no_dead_letter_limit: &'static str,
    /// Keeps settled retries.
    pub no_trim: &'static str,
    /// Tells instances apart.
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

    /// What to do where no broker answers.
    pub fn broker_hint(&self) -> String {
        format!("is Kafka running there? name it with {}", self.brokers)
    }
}
