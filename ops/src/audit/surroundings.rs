//! What must be there before anything is read: topics that fit together, and the group.

use std::collections::HashMap;

use kafka_io::admin::{Admin, TopicInfo};
use kafka_io::client_config::BROKER_PROBE_LIMIT;
use kafka_io::ends::GroupOffsets;
use kafka_io::member::AskError;
use service_kit::exit::AppError;
use tokio::runtime::Handle;

use super::BROKER_HINT;
use super::flags::Settings;
use crate::connected::Connected;

/// What is known of the topics and the group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Surroundings {
    /// Partitions of each topic.
    pub(crate) partitions: i32,
    /// Topics whose policy lets records disappear which have a successor.
    compacted: Vec<String>,
    /// What could not be asked.
    pub(crate) notes: Vec<String>,
}

impl Surroundings {
    /// Asks the brokers.
    ///
    /// # Errors
    ///
    /// Fails for topics that are missing or do not fit, and for a group that does not exist.
    pub(crate) fn ask(
        settings: &Settings,
        connected: &Connected,
        offsets: &GroupOffsets,
        runtime: &Handle,
    ) -> Result<Self, AppError> {
        let admin = connected.cluster().admin();
        let names = settings.topics.names();
        let topics = admin.partitions(&names, BROKER_PROBE_LIMIT).map_err(|error| away(&error))?;
        let partitions = partitions(settings, &topics)?;
        expect_group(settings, offsets, &admin, partitions)?;
        let mut found = Self { partitions, ..Self::default() };
        let logs = names.iter().copied().filter(|name| *name != settings.topics.averages);
        let logs: Vec<&str> = logs.collect();
        match runtime.block_on(admin.describe(&logs, BROKER_PROBE_LIMIT)) {
            Ok(described) => {
                found.compacted = logs
                    .into_iter()
                    .filter(|name| described.get(*name).is_some_and(is_compacted))
                    .map(str::to_owned)
                    .collect();
            }
            Err(AskError::Refused(why)) => found.notes.push(format!(
                "it is unknown whether a topic is compacted, because its settings cannot be read: {why}"
            )),
            Err(error) => return Err(away(&error)),
        }
        Ok(found)
    }

    /// As [`Self::ask`] finds them, with these topics compacted.
    #[cfg(test)]
    pub(crate) fn with_compacted(compacted: &[&str]) -> Self {
        let compacted = compacted.iter().map(|name| (*name).to_owned()).collect();
        Self { partitions: 1, compacted, notes: Vec::new() }
    }

    /// Whether records of a topic may have disappeared although they are not old.
    pub(crate) fn is_compacted(&self, topic: &str) -> bool {
        self.compacted.iter().any(|compacted| compacted == topic)
    }
}

fn is_compacted(topic: &TopicInfo) -> bool {
    let policy = topic.settings.get("cleanup.policy").map_or("", String::as_str);
    policy.split(',').any(|part| part.trim() == "compact")
}

fn away(error: &AskError) -> AppError {
    AppError::failed(error.to_string()).hint(BROKER_HINT)
}

/// Partitions of the main topic; all topics must have as many.
fn partitions(settings: &Settings, topics: &HashMap<String, TopicInfo>) -> Result<i32, AppError> {
    let names = settings.topics.names();
    let missing: Vec<&str> =
        names.iter().copied().filter(|name| !topics.contains_key(*name)).collect();
    if !missing.is_empty() {
        let message = format!(
            "these topics do not exist at {}: {}",
            settings.kafka.bootstrap_servers(),
            missing.join(", ")
        );
        let hint = "name them with --topic, --retry-topic, --dlq-topic, --averages-topic, --outcomes-topic";
        // Such as push's: their records are not orders, and nothing says what became of each.
        let hint = match missing.as_slice() {
            [only] if *only == settings.topics.averages => {
                "the audit needs running averages, which only 'consumer' keeps: name them with \
                 --averages-topic; the topics of other pipelines cannot be audited"
            }
            _ => hint,
        };
        return Err(AppError::failed(message).hint(hint));
    }
    let partitions = topics[settings.topics.main.as_str()].partitions;
    for name in names {
        let count = topics[name].partitions;
        if count != partitions {
            let message = format!(
                "{name} has {count} partitions and {} has {partitions}: a record keeps its \
                 partition number in every topic",
                settings.topics.main
            );
            let hint =
                "check that all five topics belong together; see docs/wire-contract.md, Topics";
            return Err(AppError::failed(message).hint(hint));
        }
    }
    Ok(partitions)
}

/// A group that has committed nothing must at least be there.
fn expect_group(
    settings: &Settings,
    offsets: &GroupOffsets,
    admin: &Admin,
    partitions: i32,
) -> Result<(), AppError> {
    let group = &settings.group;
    let topics = [settings.topics.main.as_str(), &settings.topics.retry];
    let all: Vec<(&str, i32)> =
        topics.into_iter().flat_map(|topic| (0..partitions).map(move |p| (topic, p))).collect();
    let has_committed = match offsets.committed(&all, BROKER_PROBE_LIMIT) {
        Ok(committed) => committed.iter().any(|offset| offset.position.is_some()),
        Err(AskError::Undecided) => true, // it is at work
        Err(error) => return Err(away(&error)),
    };
    if has_committed || admin.has_group(group, BROKER_PROBE_LIMIT).map_err(|error| away(&error))? {
        return Ok(());
    }
    let servers = settings.kafka.bootstrap_servers();
    let message = format!(
        "the group {group} does not exist at {servers}: no consumer of that name has committed \
         anything, or its offsets have expired"
    );
    Err(AppError::failed(message).hint(
        "name the consumer's group with --group-id; kafka-consumer-groups --list shows all of them",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_that_compacts_besides_deleting_compacts() {
        for (policy, expected) in [
            ("delete", false),
            ("compact", true),
            ("compact,delete", true),
            ("delete, compact", true),
        ] {
            let settings = HashMap::from([("cleanup.policy".to_owned(), policy.to_owned())]);
            assert_eq!(is_compacted(&TopicInfo { partitions: 1, settings }), expected, "{policy}");
        }
        assert!(!is_compacted(&TopicInfo::default()), "brokers may not say");
    }
}
