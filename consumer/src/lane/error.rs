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
    /// Offsets and averages do not agree.
    #[error("{message}")]
    State { message: String, hint: String },
    /// Anything else.
    #[error("{0}")]
    Failed(String),
}

impl LaneError {
    pub(crate) fn member(code: RDKafkaErrorCode, text: &str, instance: &str) -> Self {
        if code == RDKafkaErrorCode::FencedInstanceId {
            return Self::IdTaken { id: instance.into(), detail: text.into() };
        }
        Self::Failed(format!("{code}: {text}"))
    }

    pub(crate) fn topic_missing(text: &str) -> Self {
        Self::Failed(format!("a topic is gone: {text}; start again with --create-topics"))
    }

    pub(crate) fn offsets_missing(settings: &LaneSettings, topic: &str, partition: i32) -> Self {
        let group = &settings.group;
        Self::state(
            settings,
            format!(
                "group {group} has no committed offset for {topic}/{partition}, but for its \
                     counterpart: offsets of the two topics exist together or not at all"
            ),
            format!("--topic {topic}:{partition} --reset-offsets --to-offset OFFSET --execute"),
        )
    }

    pub(crate) fn offsets_lost(settings: &LaneSettings, partition: i32, noted: i64) -> Self {
        let (group, topics) = (&settings.group, &settings.topics);
        Self::state(
            settings,
            format!(
                "group {group} has no committed offset for {}/{partition}, but {} says that \
                     it was at {noted} or later: to start over would count orders twice",
                topics.main, topics.averages
            ),
            format!(
                "--topic {}:{partition} --reset-offsets --to-offset {noted} --execute",
                topics.main
            ),
        )
    }

    pub(crate) fn offsets_reset(
        settings: &LaneSettings,
        topic: &str,
        partition: i32,
        committed: i64,
        noted: i64,
    ) -> Self {
        Self::state(
            settings,
            format!(
                "the committed offset of {topic}/{partition} is {committed}, but the averages \
                     hold everything up to {noted}: to go on would count orders twice"
            ),
            format!("--topic {topic}:{partition} --reset-offsets --to-offset {noted} --execute"),
        )
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

    pub(crate) fn averages_lost(settings: &LaneSettings, partition: i32) -> Self {
        let (group, averages) = (&settings.group, &settings.topics.averages);
        Self::State {
            message: format!(
                "group {group} has counted orders of partition {partition}, but \
                              {averages}/{partition} is empty: its averages are lost"
            ),
            hint: format!("count anew with a group and topics of its own: {}", anew(settings)),
        }
    }

    pub(crate) fn foreign_averages(settings: &LaneSettings, detail: &str) -> Self {
        let averages = &settings.topics.averages;
        Self::State {
            message: format!("{averages} does not belong to group {}: {detail}", settings.group),
            hint: format!(
                "give each group its own: --averages-topic {averages}-{} --create-topics",
                settings.group
            ),
        }
    }

    pub(crate) fn averages_refused(settings: &LaneSettings, detail: &str) -> Self {
        let topics = &settings.topics;
        Self::State {
            message: format!(
                "{} or the outcomes topic refuses a record: {detail}",
                topics.averages
            ),
            hint: format!(
                "kafka-configs --bootstrap-server {} --alter --topic {} --add-config \
                           max.message.bytes=4194304",
                settings.bootstrap_servers, topics.averages
            ),
        }
    }

    fn state(settings: &LaneSettings, message: String, arguments: String) -> Self {
        let hint = format!(
            "kafka-consumer-groups --bootstrap-server {} --group {} {arguments}",
            settings.bootstrap_servers, settings.group
        );
        Self::State { message, hint }
    }
}

/// The command that starts a group over, apart from everything the old one left.
fn anew(settings: &LaneSettings) -> String {
    let (group, topics) = (&settings.group, &settings.topics);
    format!(
        "consumer --group-id {group}-2 --averages-topic {}-2 --retry-topic {}-2 --dlq-topic {}-2 \
         --create-topics",
        topics.averages, topics.retry, topics.dead_letter
    )
}

impl From<LaneError> for AppError {
    fn from(error: LaneError) -> Self {
        let text = error.to_string();
        match error {
            LaneError::State { hint, .. } => Self::failed(text).hint(hint),
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
