//! Looks at topics, makes them, and trims what the group has settled.

mod topics;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::access::{self, MissingPermissions, Want};
use crate::events::Events;
use crate::member::AskError;
use crate::parting::{Parting, note_made};
use crate::permission::Needs;

pub use topics::{PartitionDetail, Setting, SettingSource, TopicDetail};

/// Longest wait for an administrative answer.
const ADMIN_MAX: Duration = Duration::from_secs(10);

/// Shortest wait for the answer to a question.
const QUESTION_MIN: Duration = Duration::from_millis(100);

/// Replicas of a topic that is made here: the broker's own default.
const REPLICAS_OF_BROKER: i32 = -1;

/// What a broker means that refuses the name of a topic.
const NAME_RULE: &str = "a name has 1 to 249 characters, each an ASCII letter or digit, '.', '_' or '-', and is not '.' or '..'";

/// A topic as the brokers describe it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TopicInfo {
    /// Number of partitions.
    pub partitions: i32,
    /// Settings by name; empty if the brokers do not report them.
    pub settings: HashMap<String, String>,
}

/// A topic to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSpec {
    /// Name.
    pub name: String,
    /// Number of partitions.
    pub partitions: i32,
    /// Settings that differ from the broker's defaults.
    pub settings: Vec<(String, String)>,
}

/// Administrative client; clones share their connections.
#[derive(Clone)]
pub struct Admin {
    pub(crate) client: Arc<Parting<AdminClient<Events>>>,
}

impl Admin {
    /// Creates a client, which begins to connect at once.
    ///
    /// # Errors
    ///
    /// Fails for settings that librdkafka does not accept.
    pub fn new(config: &ClientConfig) -> Result<Self, AskError> {
        let client = config.create_with_context(Events::default()).map_err(|e| AskError::of(&e))?;
        note_made("admin");
        Ok(Self { client: Arc::new(Parting::new(client)) })
    }

    /// Missing permissions of those that `wants` needs; none if topics do not exist yet or the
    /// brokers do not report them. Blocks for at most `limit`.
    ///
    /// # Errors
    ///
    /// Fails without an answer in time.
    pub fn missing_permissions(
        &self,
        wants: &[Want<'_>],
        limit: Duration,
    ) -> Result<MissingPermissions, AskError> {
        access::missing_permissions(self.client.inner(), wants, limit)
    }

    /// Describes topics with their settings; one that does not exist is absent from the answer.
    /// Takes at most `limit`.
    ///
    /// # Errors
    ///
    /// Fails without an answer in time.
    pub async fn describe(
        &self,
        names: &[&str],
        limit: Duration,
    ) -> Result<HashMap<String, TopicInfo>, AskError> {
        let give_up_at = Instant::now() + limit;
        let mut topics = self.partitions(names, limit)?;
        let existing: Vec<String> = topics.keys().cloned().collect();
        if existing.is_empty() {
            return Ok(topics);
        }
        let resources: Vec<_> = existing.iter().map(|n| ResourceSpecifier::Topic(n)).collect();
        let described = self.client.describe_configs(&resources, &question(give_up_at)).await;
        match described {
            Ok(answers) => {
                for (name, answer) in existing.iter().zip(answers) {
                    let resource = answer.map_err(|code| {
                        let needs = Needs::topic("DescribeConfigs", name);
                        AskError::of_code(Some(code), needs.explain(code, &code.to_string()))
                    })?;
                    let settings = resource.entries.into_iter();
                    let known = settings.filter_map(|entry| Some((entry.name, entry.value?)));
                    topics.get_mut(name).expect("taken from it").settings = known.collect();
                }
            }
            Err(error) => return Err(AskError::of(&error)),
        }
        Ok(topics)
    }

    /// Describes topics without their settings, which a cluster without a controller, such as the
    /// mock, cannot report. Blocks for at most `limit`.
    ///
    /// # Errors
    ///
    /// Fails without an answer in time.
    pub fn partitions(
        &self,
        names: &[&str],
        limit: Duration,
    ) -> Result<HashMap<String, TopicInfo>, AskError> {
        // All topics: asking for one by name would make it where auto-creation is on.
        let metadata =
            self.client.inner().fetch_metadata(None, limit).map_err(|e| AskError::of(&e))?;
        let topics = metadata.topics().iter();
        let known = topics.filter(|topic| names.contains(&topic.name()) && topic.error().is_none());
        Ok(known
            .map(|topic| {
                let partitions = i32::try_from(topic.partitions().len()).unwrap_or(i32::MAX);
                (topic.name().to_owned(), TopicInfo { partitions, ..TopicInfo::default() })
            })
            .collect())
    }

    /// Names of all topics that this client may see, in order. Blocks for at most `limit`.
    ///
    /// # Errors
    ///
    /// Fails without an answer in time.
    pub fn topic_names(&self, limit: Duration) -> Result<Vec<String>, AskError> {
        let metadata = self.client.inner().fetch_metadata(None, limit);
        let metadata = metadata.map_err(|e| AskError::of(&e))?;
        let known = metadata.topics().iter().filter(|topic| topic.error().is_none());
        let mut names: Vec<String> = known.map(|topic| topic.name().to_owned()).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Names of all consumer groups that this client may see, in order. Blocks for at most `limit`.
    ///
    /// # Errors
    ///
    /// Fails without an answer in time.
    pub fn group_names(&self, limit: Duration) -> Result<Vec<String>, AskError> {
        let list = self.client.inner().fetch_group_list(None, limit);
        let list = list.map_err(|e| AskError::of(&e))?;
        let mut names: Vec<String> =
            list.groups().iter().map(|group| group.name().to_owned()).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Whether the brokers know a consumer group of that name. Blocks for at most `limit`.
    ///
    /// # Errors
    ///
    /// Fails without an answer in time.
    pub fn has_group(&self, group: &str, limit: Duration) -> Result<bool, AskError> {
        let list = self.client.inner().fetch_group_list(Some(group), limit);
        let list =
            list.map_err(|error| AskError::about(&error, Needs::group("Describe", group)))?;
        let mut groups = list.groups().iter();
        Ok(groups.any(|found| found.name() == group && found.state() != "Dead"))
    }

    /// Creates topics; an existing one stays as it is.
    ///
    /// # Errors
    ///
    /// Fails with the first topic that could not be created.
    pub async fn create(&self, specs: &[TopicSpec]) -> Result<(), AskError> {
        let topics: Vec<NewTopic<'_>> = specs
            .iter()
            .map(|spec| {
                let replicas = TopicReplication::Fixed(REPLICAS_OF_BROKER);
                let topic = NewTopic::new(&spec.name, spec.partitions, replicas);
                spec.settings.iter().fold(topic, |topic, (key, value)| topic.set(key, value))
            })
            .collect();
        let answers =
            self.client.create_topics(&topics, &options()).await.map_err(|e| AskError::of(&e))?;
        for answer in answers {
            match answer {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((name, code)) => {
                    let text = match code {
                        RDKafkaErrorCode::InvalidTopic => NAME_RULE.to_owned(),
                        _ => Needs::topic("Create", &name).explain(code, &code.to_string()),
                    };
                    return Err(AskError::Refused(format!("topic {name} was not created: {text}")));
                }
            }
        }
        Ok(())
    }

    /// Deletes the records of `topic` below the given offsets.
    ///
    /// # Errors
    ///
    /// Fails as the broker says, such as for a missing permission.
    pub async fn trim(&self, topic: &str, below: &[(i32, i64)]) -> Result<(), AskError> {
        let mut list = TopicPartitionList::with_capacity(below.len());
        for (partition, offset) in below {
            list.add_partition_offset(topic, *partition, Offset::Offset(*offset))
                .map_err(|error| AskError::of(&error))?;
        }
        let answer = self.client.delete_records(&list, &options()).await;
        let needs = Needs::topic("Delete", topic);
        let answer = answer.map_err(|error| AskError::about(&error, needs))?;
        for element in answer.elements() {
            element.error().map_err(|error| AskError::about(&error, needs))?;
        }
        Ok(())
    }
}

/// Options of a question: it has no operation to wait for.
fn question(give_up_at: Instant) -> AdminOptions {
    let left = give_up_at.saturating_duration_since(Instant::now()).max(QUESTION_MIN);
    AdminOptions::new().request_timeout(Some(left))
}

fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(ADMIN_MAX)).request_timeout(Some(ADMIN_MAX))
}
