//! Why a lane ends by itself, and what the operator does about it.

use kafka_io::RDKafkaErrorCode;
use service_kit::exit::AppError;

use crate::lane::LaneSettings;

/// A state in which going on would lose or repeat something, or cannot work at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LaneError {
    /// The brokers refuse for good.
    #[error("the brokers refuse: {0}")]
    Denied(String),
    /// Another process holds the same identity.
    #[error("another instance uses the id {id:?}: {detail}")]
    IdTaken { id: String, detail: String },
    /// Offsets and state do not agree.
    #[error("{message}")]
    State { message: String, hint: String },
    /// Too much would be given up.
    #[error("{0}")]
    Limit(String),
    /// Anything else.
    #[error("{0}")]
    Failed(String),
}

/// A committed offset that is missing, or below what the state notes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Misplaced {
    pub(crate) topic: String,
    pub(crate) committed: Option<i64>,
    pub(crate) noted: i64,
}

impl LaneError {
    pub(crate) fn member(code: RDKafkaErrorCode, text: &str, instance: &str) -> Self {
        if code == RDKafkaErrorCode::FencedInstanceId {
            return Self::IdTaken { id: instance.into(), detail: text.into() };
        }
        Self::Failed(format!("{code}: {text}"))
    }

    pub(crate) const fn dead_letter_limit(text: String) -> Self {
        Self::Limit(text)
    }

    pub(crate) fn topic_missing(text: &str) -> Self {
        Self::Failed(format!("a topic is gone: {text}; start again with --create-topics"))
    }

    pub(crate) fn offsets_missing(settings: &LaneSettings, topic: &str, partition: i32) -> Self {
        let group = &settings.group;
        let to = format!("--topic {topic}:{partition} --reset-offsets --to-offset OFFSET");
        Self::State {
            message: format!(
                "group {group} has no committed offset for {topic}/{partition}, but for its \
                 counterpart: offsets of the two topics exist together or not at all"
            ),
            hint: set_offsets(settings, &format!("{to} --execute")),
        }
    }

    /// Offsets that the state does not agree with, and the commands that set each of them.
    pub(crate) fn offsets_misplaced(
        settings: &LaneSettings,
        partition: i32,
        misplaced: &[Misplaced],
    ) -> Self {
        let (group, topics) = (&settings.group, &settings.topics);
        let told = misplaced.iter().map(|Misplaced { topic, committed, noted }| match committed {
            None => format!(
                "group {group} has no committed offset for {topic}/{partition}, but {} says that \
                 it was at {noted} or later: to start over would count orders twice",
                topics.state
            ),
            Some(committed) => format!(
                "the committed offset of {topic}/{partition} is {committed}, but the {} hold \
                 everything up to {noted}: to go on would count orders twice",
                settings.words.state
            ),
        });
        let commands = misplaced.iter().map(|Misplaced { topic, noted, .. }| {
            let to = format!("--topic {topic}:{partition} --reset-offsets --to-offset {noted}");
            set_offsets(settings, &format!("{to} --execute"))
        });
        Self::State {
            message: told.collect::<Vec<_>>().join("; "),
            // The tool sets one offset at a time.
            hint: commands.collect::<Vec<_>>().join(" && "),
        }
    }

    pub(crate) fn offsets_beyond(
        settings: &LaneSettings,
        topic: &str,
        partition: i32,
        position: i64,
        end: i64,
    ) -> Self {
        let group = &settings.group;
        Self::State {
            message: format!(
                "group {group} is at offset {position} of {topic}/{partition}, which \
                              ends at {end}: was the topic deleted and made again?"
            ),
            hint: format!("start anew with a group and topics of its own: {}", anew(settings)),
        }
    }

    pub(crate) fn state_lost(settings: &LaneSettings, partition: i32) -> Self {
        let (group, topic) = (&settings.group, &settings.topics.state);
        Self::State {
            message: format!(
                "group {group} has counted orders of partition {partition}, but \
                              {topic}/{partition} is empty: its {} are lost",
                settings.words.state
            ),
            hint: format!("count anew with a group and topics of its own: {}", anew(settings)),
        }
    }

    pub(crate) fn foreign_state(settings: &LaneSettings, detail: &str) -> Self {
        let topic = &settings.topics.state;
        Self::State {
            message: format!("{topic} does not belong to group {}: {detail}", settings.group),
            hint: format!(
                "give each group its own: {} {topic}-{} --create-topics",
                settings.words.state_flag, settings.group
            ),
        }
    }

    pub(crate) fn state_refused(settings: &LaneSettings, detail: &str) -> Self {
        let topics = &settings.topics;
        Self::State {
            message: format!("{} or the outcomes topic refuses a record: {detail}", topics.state),
            hint: format!(
                "kafka-configs --bootstrap-server {} --alter --topic {} --add-config \
                           max.message.bytes=4194304",
                settings.bootstrap_servers, topics.state
            ),
        }
    }
}

/// The command that sets offsets of the group.
fn set_offsets(settings: &LaneSettings, arguments: &str) -> String {
    format!(
        "kafka-consumer-groups --bootstrap-server {} --group {} {arguments}",
        settings.bootstrap_servers, settings.group
    )
}

/// The command that starts a group over, apart from everything the old one left.
fn anew(settings: &LaneSettings) -> String {
    let (group, topics) = (&settings.group, &settings.topics);
    let outcomes = topics.outcomes.as_ref();
    let outcomes = outcomes.map_or_else(String::new, |name| format!("--outcomes-topic {name}-2 "));
    format!(
        "{} --group-id {group}-2 {} {}-2 --retry-topic {}-2 --dlq-topic {}-2 \
         {outcomes}--create-topics",
        settings.words.program,
        settings.words.state_flag,
        topics.state,
        topics.retry,
        topics.dead_letter
    )
}

impl From<LaneError> for AppError {
    fn from(error: LaneError) -> Self {
        let text = error.to_string();
        match error {
            LaneError::State { hint, .. } => Self::failed(text).hint(hint),
            LaneError::Limit(_) => Self::failed(text).hint(crate::lane::guard::RESUME_HINT),
            LaneError::IdTaken { .. } => {
                Self::failed(text).hint("give each instance its own --instance-id, or stop the other one")
            }
            LaneError::Denied(_) => {
                Self::failed(text).hint("check what the principal may do with the topics, the group and the transactional id")
            }
            LaneError::Failed(_) => Self::failed(text),
        }
    }
}
