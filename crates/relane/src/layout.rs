//! The topics must fit together before anything runs.

use std::collections::HashMap;

use kafka_io::access::{Operation, Want};
use kafka_io::admin::{TopicInfo, TopicSpec};

use crate::advice::{Advice, Problem};
use crate::kafka_commands;
use crate::settings::Topics;
use crate::stage::{SettingNames, Words};

/// What a topic is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TopicRole {
    Main,
    Retry,
    DeadLetter,
    State,
    Outcomes,
    Output,
}

/// Largest record of a topic that holds more than an order's bytes, in bytes: the order,
/// and headers or a second copy of its product.
const RECORD_BYTES_MAX: &str = "4194304";

impl TopicRole {
    /// Settings that the topic is made with.
    pub(crate) const fn settings(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Main | Self::Outcomes | Self::Output => &[("cleanup.policy", "delete")],
            Self::Retry => &[
                ("cleanup.policy", "delete"),
                ("retention.ms", "-1"),
                ("retention.bytes", "-1"),
                ("max.message.bytes", RECORD_BYTES_MAX),
            ],
            Self::DeadLetter => &[
                ("cleanup.policy", "delete"),
                ("retention.ms", "2592000000"),
                ("max.message.bytes", RECORD_BYTES_MAX),
            ],
            Self::State => &[
                ("cleanup.policy", "compact"),
                ("segment.bytes", "16777216"),
                ("min.cleanable.dirty.ratio", "0.1"),
                ("max.message.bytes", RECORD_BYTES_MAX),
            ],
        }
    }

    /// What is done with the topic, apart from trimming.
    const fn operations(self) -> &'static [Operation] {
        use Operation::{DescribeConfigs, Read, Write};
        match self {
            Self::Main => &[Read, DescribeConfigs],
            Self::Retry | Self::State => &[Read, Write, DescribeConfigs],
            Self::DeadLetter | Self::Outcomes | Self::Output => &[Write, DescribeConfigs],
        }
    }

    /// Settings that lose records or state.
    fn faults(self, settings: &HashMap<String, String>) -> Vec<SettingFault> {
        let differs = |name: &'static str, wanted: &'static str, why: &'static str| {
            let actual = settings.get(name)?;
            (actual != wanted).then(|| SettingFault { name, actual: actual.clone(), wanted, why })
        };
        let is_a_log = |why| differs("cleanup.policy", "delete", why);
        let waits = "it deletes waiting retries";
        let found = match self {
            Self::Main => {
                [is_a_log("compaction deletes records, including unread ones"), None, None]
            }
            Self::Output => [is_a_log("compaction drops records"), None, None],
            Self::Outcomes => [is_a_log("compaction drops outcomes"), None, None],
            Self::DeadLetter => [is_a_log("compaction drops dead letters"), None, None],
            Self::Retry => [
                is_a_log("compaction drops waiting retries"),
                differs("retention.ms", "-1", waits),
                differs("retention.bytes", "-1", waits),
            ],
            Self::State => [differs("cleanup.policy", "compact", "it deletes state"), None, None],
        };
        found.into_iter().flatten().collect()
    }

    /// The setting that names the topic; empty where there is none.
    const fn setting(self, words: &Words) -> &'static str {
        match self {
            Self::Main => "",
            Self::Retry => words.settings.retry,
            Self::DeadLetter => words.settings.dead_letter,
            Self::State => words.settings.state,
            Self::Outcomes => words.settings.outcomes,
            Self::Output => words.settings.output,
        }
    }

    /// Whether what lies in the topic belongs to a group's offsets.
    const fn belongs_to_group(self) -> bool {
        matches!(self, Self::Retry | Self::State)
    }
}

/// A setting that differs from what it must be.
struct SettingFault {
    name: &'static str,
    actual: String,
    wanted: &'static str,
    why: &'static str,
}

/// Topics with their roles, the main topic first.
pub(crate) fn roles(topics: &Topics) -> Vec<(TopicRole, &str)> {
    let mut roles = vec![
        (TopicRole::Main, topics.main.as_str()),
        (TopicRole::Retry, &topics.retry),
        (TopicRole::DeadLetter, &topics.dead_letter),
    ];
    roles.extend(topics.state.as_deref().map(|name| (TopicRole::State, name)));
    roles.extend(topics.outcomes.as_deref().map(|name| (TopicRole::Outcomes, name)));
    roles.extend(topics.output.as_deref().map(|name| (TopicRole::Output, name)));
    roles
}

/// What will be done with each topic.
pub(crate) fn wants(topics: &Topics, trims_retry: bool) -> Vec<Want<'_>> {
    let want = |(role, topic): (TopicRole, _)| {
        let mut operations = role.operations().to_vec();
        if trims_retry && role == TopicRole::Retry {
            operations.push(Operation::Delete);
        }
        Want { topic, operations }
    };
    roles(topics).into_iter().map(want).collect()
}

/// Topics to make: the missing ones, with as many partitions as the main topic has.
pub(crate) fn missing(
    topics: &Topics,
    existing: &HashMap<String, TopicInfo>,
    default_partitions: i32,
) -> Vec<TopicSpec> {
    let partitions = existing.get(&topics.main).map_or(default_partitions, |info| info.partitions);
    let missing = roles(topics).into_iter().filter(|(_, name)| !existing.contains_key(*name));
    missing
        .map(|(role, name)| TopicSpec {
            name: name.to_owned(),
            partitions,
            settings: role.settings().iter().map(|(k, v)| ((*k).into(), (*v).into())).collect(),
        })
        .collect()
}

/// What the topics are checked against.
pub(crate) struct Layout<'a> {
    pub(crate) topics: &'a Topics,
    pub(crate) words: &'a Words,
    pub(crate) bootstrap_servers: &'a str,
    /// Whether topic settings are known.
    pub(crate) checks_settings: bool,
    /// The main topic may be compacted.
    pub(crate) accepts_compacted: bool,
}

impl Layout<'_> {
    /// Checks that all topics exist, have the same number of partitions, and keep what must be
    /// kept. Returns that number.
    ///
    /// # Errors
    ///
    /// Fails with all that is wrong.
    pub(crate) fn check(&self, existing: &HashMap<String, TopicInfo>) -> Result<i32, Vec<Problem>> {
        let roles = roles(self.topics);
        let absent: Vec<&str> = roles
            .iter()
            .map(|(_, name)| *name)
            .filter(|name| !existing.contains_key(*name))
            .collect();
        let mut problems = Vec::new();
        if !absent.is_empty() {
            problems.push(Problem::new(
                format!("these topics do not exist: {}", absent.join(", ")),
                Advice::Words(format!(
                    "if the names are right, start once with {}",
                    self.words.settings.create_topics
                )),
            ));
        }
        if let Some(main) = existing.get(&self.topics.main) {
            for (role, name) in roles {
                let count = existing.get(name).map_or(main.partitions, |info| info.partitions);
                problems.extend(self.partition_problem(role, name, count, main.partitions));
            }
        }
        problems.extend(self.setting_problems(existing));
        match (problems.is_empty(), existing.get(&self.topics.main)) {
            (true, Some(main)) => Ok(main.partitions),
            _ => Err(problems),
        }
    }

    /// Topics whose settings lose what must be kept.
    pub(crate) fn setting_problems(&self, existing: &HashMap<String, TopicInfo>) -> Vec<Problem> {
        if !self.checks_settings {
            return Vec::new();
        }
        let known = roles(self.topics).into_iter();
        let known = known.filter_map(|(role, name)| Some((role, name, existing.get(name)?)));
        known.filter_map(|(role, name, info)| self.setting_problem(role, name, info)).collect()
    }

    fn partition_problem(
        &self,
        role: TopicRole,
        name: &str,
        count: i32,
        wanted: i32,
    ) -> Option<Problem> {
        if count == wanted {
            return None;
        }
        let Self { topics, words, bootstrap_servers: servers, .. } = self;
        let message = format!(
            "{name} has {count} partitions and {} has {wanted}: a record keeps its partition \
             number in every topic",
            topics.main
        );
        if count < wanted {
            return Some(Problem::new(
                message,
                Advice::Command(kafka_commands::add_partitions(servers, name, wanted)),
            ));
        }
        // Nothing takes partitions away again, and more of them in main would move its keys.
        let (setting, value) = match role.setting(words) {
            "" => (words.settings.group, "a name of its own".to_owned()),
            setting => (setting, format!("{name}-2")),
        };
        let another = another_topic(words, setting, &value);
        let advice = if role.belongs_to_group() {
            format!(
                "partitions of {name} cannot be removed. If the group has not run yet, \
                 {another}. If it has, see \"A topic has too many partitions\" in docs/runbook.md"
            )
        } else {
            format!("partitions of {name} cannot be removed; {another}")
        };
        Some(Problem::new(message, Advice::Words(advice)))
    }

    fn setting_problem(&self, role: TopicRole, name: &str, info: &TopicInfo) -> Option<Problem> {
        if role == TopicRole::Main && self.accepts_compacted {
            return None;
        }
        let faults = role.faults(&info.settings);
        let told: Vec<String> = faults
            .iter()
            .map(|fault| format!("{} is {}: {}", fault.name, fault.actual, fault.why))
            .collect();
        if told.is_empty() {
            return None;
        }
        let message = format!("topic {name}: {}", told.join(", "));
        let command = self.alter_command(name, &faults, &info.settings);
        let advice = match role {
            // Compaction cannot be undone, and the topic may be somebody else's.
            TopicRole::State => {
                let setting = match role.setting(self.words) {
                    "" => self.words.settings.group,
                    setting => setting,
                };
                let another = another_topic(self.words, setting, &format!("{name}-2"));
                Advice::Words(format!(
                    "if {name} holds only the {} of this group: {command}; otherwise {another}",
                    self.words.state,
                ))
            }
            TopicRole::Main => Advice::Words(format!(
                "{command}; records that compaction has removed are lost. To read the topic as \
                 it is: {}",
                self.words.settings.accept_compacted
            )),
            _ => Advice::Command(command),
        };
        Some(Problem::new(message, advice))
    }

    /// The command that sets what differs. A topic that was compacted only has kept everything
    /// else for ever: it must not start to delete by a retention that nobody has chosen for it.
    fn alter_command(
        &self,
        name: &str,
        faults: &[SettingFault],
        settings: &HashMap<String, String>,
    ) -> String {
        let mut wanted: Vec<(&str, &str)> =
            faults.iter().map(|fault| (fault.name, fault.wanted)).collect();
        let was_compacted_only = settings.get("cleanup.policy").is_some_and(|is| is == "compact");
        if was_compacted_only && wanted.contains(&("cleanup.policy", "delete")) {
            for name in ["retention.ms", "retention.bytes"] {
                let is_kept = settings.get(name).is_none_or(|is| is == "-1");
                if !is_kept && !wanted.contains(&(name, "-1")) {
                    wanted.push((name, "-1"));
                }
            }
        }
        let wanted: Vec<String> = wanted.iter().map(|(name, is)| format!("{name}={is}")).collect();
        kafka_commands::set_topic(self.bootstrap_servers, name, &wanted.join(","))
    }
}

/// How a topic is named anew.
fn another_topic(words: &Words, setting: &str, value: &str) -> String {
    let named = SettingNames::with_value(setting, value);
    format!("name another topic: {} {named} {}", words.program, words.settings.create_topics)
}

#[cfg(test)]
#[path = "layout_tests.rs"]
mod tests;
