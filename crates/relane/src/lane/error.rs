//! Why a lane ends by itself, and what the operator does about it.

use kafka_io::RDKafkaErrorCode;
use service_kit::exit::AppError;

use crate::advice::{self, Advice, PARTITIONS, Problem};
use crate::kafka_commands;
use crate::lane::settings::LaneSettings;
use crate::settings::Topics;
use crate::stage::SettingNames;

/// A state in which going on would lose or repeat something, or cannot work at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LaneError {
    /// The brokers refuse for good.
    #[error("the brokers refuse: {0}")]
    Denied(String),
    /// Another process holds the same identity.
    #[error("another instance uses the id {id:?}: {detail}")]
    IdTaken {
        id: String,
        detail: String,
        /// The setting that tells instances apart.
        setting: &'static str,
    },
    /// Offsets, topics and state do not agree.
    #[error("{}", advice::message(.0))]
    State(Vec<Problem>),
    /// Too much would be given up.
    #[error("{message}")]
    Limit { message: String, hint: String },
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
    pub(crate) fn member(
        settings: &LaneSettings,
        code: RDKafkaErrorCode,
        text: &str,
        instance: &str,
    ) -> Self {
        if code == RDKafkaErrorCode::FencedInstanceId {
            return Self::id_taken(settings, instance.into(), text);
        }
        Self::Failed(format!("{code}: {text}"))
    }

    pub(crate) fn id_taken(settings: &LaneSettings, id: String, detail: &str) -> Self {
        let setting = settings.words.settings.instance_id;
        Self::IdTaken { id, detail: detail.to_owned(), setting }
    }

    pub(crate) fn topic_missing(settings: &LaneSettings, text: &str) -> Self {
        Self::Failed(format!(
            "a topic is gone: {text}; if it was deleted on purpose, start again with {}",
            settings.words.settings.create_topics
        ))
    }

    fn state(message: impl Into<String>, advice: Advice) -> Self {
        Self::State(vec![Problem::new(message, advice)])
    }

    /// One of the two topics has an offset and the other has none, which is empty or not.
    pub(crate) fn offsets_missing(
        settings: &LaneSettings,
        (missing, present): (&str, &str),
        partition: i32,
        is_empty: bool,
    ) -> Self {
        let group = &settings.group;
        let message = format!(
            "group {group} has an offset for {present}/{PARTITIONS} but none for {missing}/{PARTITIONS}"
        );
        let of_partition = |advice| Problem::new(&*message, advice).of_partition(partition);
        let to = if is_empty { "to-earliest" } else { "to-offset OFFSET" };
        let command = Advice::Command(reset(settings, (missing, PARTITIONS), to));
        let mut problems = vec![of_partition(command.clone())];
        let is_retry = missing == settings.topics.retry;
        let lost = match (is_empty, is_retry) {
            (true, true) => Some("the records that waited there"),
            (true, false) => Some("its records"),
            (false, _) => None,
        };
        match lost {
            Some(lost) => problems.push(
                Problem::new(
                    format!("{missing} is empty: if it was deleted, {lost} are lost"),
                    command,
                )
                .of_partition(partition),
            ),
            None => {
                let first = if is_retry { "still waits" } else { "is not settled" };
                problems.push(of_partition(Advice::Words(format!(
                    "OFFSET is that of the first record that {first}; from the earliest one settled {} run again",
                    settings.words.records
                ))));
            }
        }
        Self::State(problems)
    }

    /// Offsets that the state does not agree with, and the commands that set each of them.
    pub(crate) fn offsets_misplaced(
        settings: &LaneSettings,
        partition: i32,
        misplaced: &[Misplaced],
        is_counted: bool,
    ) -> Self {
        let group = &settings.group;
        let state = settings.topics.state.as_deref().unwrap_or_default();
        let records = settings.words.records;
        let twice = if is_counted { "count" } else { "retry or dead-letter" };
        let told = |Misplaced { topic, committed, noted }: &Misplaced| match committed {
            None => format!(
                "group {group} has no committed offset for {topic}/{partition}, but {} says that \
                 it was at {noted} or later: starting over would {twice} {records} twice",
                state
            ),
            Some(committed) if is_counted => format!(
                "the committed offset of {topic}/{partition} is {committed}, but the {} \
                 include everything up to {noted}: continuing would count {records} twice",
                settings.words.state
            ),
            Some(committed) => format!(
                "the committed offset of {topic}/{partition} is {committed}, but {} says that \
                 everything up to {noted} is settled: continuing would {twice} {records} twice",
                state
            ),
        };
        // The tool sets one offset at a time.
        let command = |Misplaced { topic, noted, .. }: &Misplaced| {
            reset(settings, (topic, &partition.to_string()), &format!("to-offset {noted}"))
        };
        let problem = |each| Problem::new(told(each), Advice::Command(command(each)));
        Self::State(misplaced.iter().map(problem).collect())
    }

    pub(crate) fn offsets_beyond(
        settings: &LaneSettings,
        topic: &str,
        partition: i32,
        position: i64,
        end: i64,
    ) -> Self {
        let group = &settings.group;
        Self::state(
            format!(
                "group {group} is at offset {position} of {topic}/{partition}, which ends at \
                 {end}: was the topic deleted and recreated?"
            ),
            Advice::Anew(anew(settings)),
        )
    }

    pub(crate) fn state_lost(settings: &LaneSettings, partition: i32) -> Self {
        let group = &settings.group;
        let topic = settings.topics.state.as_deref().unwrap_or_default();
        Self::state(
            format!(
                "group {group} has counted {} of partition {partition}, but {topic}/{partition} is \
                 empty: its {} are lost",
                settings.words.records, settings.words.state
            ),
            Advice::Anew(anew(settings)),
        )
    }

    pub(crate) fn foreign_state(settings: &LaneSettings, detail: &str) -> Self {
        let (group, names) = (&settings.group, settings.words.settings);
        let topic = settings.topics.state.as_deref().unwrap_or_default();
        let name = match names.state {
            "" => SettingNames::with_value(names.group, &format!("{group}-2")),
            state => SettingNames::with_value(state, &format!("{topic}-{group}")),
        };
        Self::state(
            format!("{topic} does not belong to group {group}: {detail}"),
            Advice::Words(format!("give each group its own: {name} {}", names.create_topics)),
        )
    }

    pub(crate) fn state_refused(settings: &LaneSettings, detail: &str) -> Self {
        let topics = &settings.topics;
        // Which of them it was is not said; larger records do no harm in any.
        let written = written_besides(topics);
        let problem = |topic: &String| {
            Problem::new(
                format!("{} refuses a record: {detail}", written_to(topics)),
                Advice::Command(kafka_commands::set_topic(
                    &settings.bootstrap_servers,
                    topic,
                    "max.message.bytes=4194304",
                )),
            )
        };
        Self::State(written.into_iter().map(problem).collect())
    }
}

/// Topics to which a turn writes what is none of the records that it read.
fn written_besides(topics: &Topics) -> Vec<&String> {
    topics.state.iter().chain(&topics.outcomes).chain(&topics.output).collect()
}

fn written_to(topics: &Topics) -> String {
    let names: Vec<&str> = written_besides(topics).into_iter().map(String::as_str).collect();
    names.join(" or ")
}

/// The command that sets an offset of the group.
fn reset(settings: &LaneSettings, place: (&str, &str), to: &str) -> String {
    kafka_commands::reset(&settings.bootstrap_servers, &settings.group, place, to)
}

/// The command that starts a group over, apart from everything the old one left.
fn anew(settings: &LaneSettings) -> String {
    let (topics, names) = (&settings.topics, settings.words.settings);
    let named = [
        (names.group, Some(&settings.group)),
        (names.state, topics.state.as_ref()),
        (names.retry, Some(&topics.retry)),
        (names.dead_letter, Some(&topics.dead_letter)),
        (names.outcomes, topics.outcomes.as_ref()),
        (names.output, topics.output.as_ref()),
    ];
    let mut command = settings.words.program.to_owned();
    for (setting, name) in named {
        if let Some(name) = name.filter(|_| !setting.is_empty()) {
            let value = format!("{name}-2");
            command.push_str(&format!(" {}", SettingNames::with_value(setting, &value)));
        }
    }
    format!("start over with a new group and its own topics: {command} {}", names.create_topics)
}

impl From<LaneError> for AppError {
    fn from(error: LaneError) -> Self {
        let text = error.to_string();
        match error {
            LaneError::State(problems) => Self::failed(text).hint(advice::hint(&problems)),
            LaneError::Limit { hint, .. } => Self::failed(text).hint(hint),
            LaneError::IdTaken { setting, .. } => Self::failed(text)
                .hint(format!("give each instance its own {setting}, or stop the other one")),
            LaneError::Denied(_) => {
                Self::failed(text).hint("check the principal's permissions on the topics, the group and the transactional id")
            }
            LaneError::Failed(_) => Self::failed(text),
        }
    }
}
