//! The topics must fit together before anything runs.

use std::collections::HashMap;

use kafka_io::access::{Operation, Want};
use kafka_io::admin::{TopicInfo, TopicSpec};

use crate::lane::Topics;

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

    /// A setting that loses records or state, with the value it must have.
    fn fault(
        self,
        settings: &HashMap<String, String>,
    ) -> Option<(&'static str, &'static str, String)> {
        let is = |name: &str| settings.get(name).map(String::as_str);
        let differs = |name: &'static str, wanted: &'static str, why: &str| {
            let actual = is(name)?;
            (actual != wanted).then(|| (name, wanted, format!("{name} is {actual}: {why}")))
        };
        match self {
            Self::Main => None,
            Self::Output => differs("cleanup.policy", "delete", "compaction drops records"),
            Self::Outcomes => differs("cleanup.policy", "delete", "compaction drops outcomes"),
            Self::Retry => differs("cleanup.policy", "delete", "compaction drops waiting retries")
                .or_else(|| differs("retention.ms", "-1", "it deletes retries that still wait"))
                .or_else(|| differs("retention.bytes", "-1", "it deletes retries that still wait")),
            Self::DeadLetter => {
                differs("cleanup.policy", "delete", "compaction drops dead letters")
            }
            Self::State => differs("cleanup.policy", "compact", "it deletes state"),
        }
    }
}

/// Something that keeps the consumer from starting, and the command that mends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LayoutFault {
    pub(crate) message: String,
    pub(crate) hint: String,
}

/// Topics with their roles, the main topic first.
pub(crate) fn roles(topics: &Topics) -> Vec<(TopicRole, &str)> {
    let mut roles = vec![
        (TopicRole::Main, topics.main.as_str()),
        (TopicRole::Retry, &topics.retry),
        (TopicRole::DeadLetter, &topics.dead_letter),
        (TopicRole::State, &topics.state),
    ];
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

/// Checks that all topics exist, have the same number of partitions, and keep what must be
/// kept. Returns that number.
pub(crate) fn check(
    topics: &Topics,
    existing: &HashMap<String, TopicInfo>,
    bootstrap_servers: &str,
    checks_settings: bool,
) -> Result<i32, LayoutFault> {
    let roles = roles(topics);
    let absent: Vec<&str> =
        roles.iter().map(|(_, name)| *name).filter(|name| !existing.contains_key(*name)).collect();
    if !absent.is_empty() {
        return Err(LayoutFault {
            message: format!("these topics do not exist: {}", absent.join(", ")),
            hint: "start once with --create-topics".to_owned(),
        });
    }
    let partitions = existing[&topics.main].partitions;
    for (role, name) in roles {
        let info = &existing[name];
        if info.partitions != partitions {
            let message = format!(
                "{name} has {} partitions and {} has {partitions}: a record keeps its partition \
                 number in every topic",
                info.partitions, topics.main
            );
            let (larger, count) = if info.partitions < partitions {
                (name, partitions)
            } else {
                (topics.main.as_str(), info.partitions)
            };
            let hint = format!(
                "kafka-topics --bootstrap-server {bootstrap_servers} --alter --topic {larger} --partitions {count}"
            );
            return Err(LayoutFault { message, hint });
        }
        if checks_settings && let Some((key, wanted, why)) = role.fault(&info.settings) {
            return Err(LayoutFault {
                message: format!("topic {name}: {why}"),
                hint: format!(
                    "kafka-configs --bootstrap-server {bootstrap_servers} --alter --topic {name} --add-config {key}={wanted}"
                ),
            });
        }
    }
    Ok(partitions)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics() -> Topics {
        Topics {
            main: "orders".into(),
            retry: "orders-retry".into(),
            dead_letter: "orders-dlq".into(),
            state: "orders-averages".into(),
            outcomes: None,
            output: None,
        }
    }

    fn healthy() -> HashMap<String, TopicInfo> {
        let topics = topics();
        let info = |role: TopicRole| TopicInfo {
            partitions: 3,
            settings: role.settings().iter().map(|(k, v)| ((*k).into(), (*v).into())).collect(),
        };
        roles(&topics).into_iter().map(|(role, name)| (name.to_owned(), info(role))).collect()
    }

    #[track_caller]
    fn fault(change: impl FnOnce(&mut HashMap<String, TopicInfo>)) -> LayoutFault {
        let mut existing = healthy();
        change(&mut existing);
        check(&topics(), &existing, "broker:9092", true).expect_err("a fault")
    }

    #[test]
    fn topics_as_they_are_made_fit_together() {
        assert_eq!(check(&topics(), &healthy(), "b", true), Ok(3));
    }

    #[test]
    fn a_missing_topic_is_named_with_the_flag_that_makes_it() {
        let fault = fault(|existing| drop(existing.remove("orders-dlq")));
        assert!(fault.message.contains("orders-dlq") && !fault.message.contains("retry"));
        assert!(fault.hint.contains("--create-topics"));
    }

    #[test]
    fn unequal_partition_counts_are_named_with_the_command_that_mends_them() {
        let fault = fault(|existing| existing.get_mut("orders-retry").unwrap().partitions = 2);
        assert!(fault.message.contains("orders-retry has 2 partitions"), "{}", fault.message);
        assert!(
            fault.hint.ends_with("--alter --topic orders-retry --partitions 3"),
            "{}",
            fault.hint
        );
    }

    #[test]
    fn a_topic_that_loses_what_it_holds_is_refused() {
        for (name, key, value) in [
            ("orders-retry", "retention.ms", "604800000"),
            ("orders-retry", "retention.bytes", "1000"),
            ("orders-retry", "cleanup.policy", "compact"),
            ("orders-dlq", "cleanup.policy", "compact"),
            ("orders-averages", "cleanup.policy", "compact,delete"),
        ] {
            let fault = fault(|existing| {
                let settings = &mut existing.get_mut(name).unwrap().settings;
                settings.insert(key.into(), value.into());
            });
            assert!(
                fault.message.contains(name) && fault.message.contains(value),
                "{}",
                fault.message
            );
            assert!(fault.hint.contains(&format!("--topic {name} --add-config {key}=")));
        }
    }

    #[test]
    fn missing_topics_get_the_partitions_of_the_main_topic() {
        let mut existing = healthy();
        existing.retain(|name, _| name == "orders");
        existing.get_mut("orders").unwrap().partitions = 7;
        let specs = missing(&topics(), &existing, 3);
        assert_eq!(specs.len(), 3);
        assert!(specs.iter().all(|spec| spec.partitions == 7));
        assert_eq!(missing(&topics(), &HashMap::new(), 5).len(), 4);
    }
}
