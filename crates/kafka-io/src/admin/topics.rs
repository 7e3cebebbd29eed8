//! What an operator's tool does with topics: look at all of them, make, widen, set, delete.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::admin::{ConfigSource, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::error::RDKafkaErrorCode;

use super::{ADMIN_MAX, Admin, REPLICAS_OF_BROKER, options, question};
use crate::member::AskError;
use crate::native;
use crate::permission::Needs;

/// A topic with all that the brokers tell of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TopicDetail {
    /// Partitions by number.
    pub partitions: Vec<PartitionDetail>,
    /// Settings by name.
    pub settings: BTreeMap<String, Setting>,
}

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PartitionDetail {
    /// Its number.
    pub number: i32,
    /// The broker that leads it; none where no broker does.
    pub leader: Option<i32>,
    /// Brokers that hold it.
    pub replicas: Vec<i32>,
    /// Those of them that are in sync.
    pub in_sync: Vec<i32>,
}

/// A setting of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its value; none where brokers keep it secret.
    pub value: Option<String>,
    /// Who says so.
    pub source: SettingSource,
}

/// Where a setting comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingSource {
    /// Somebody set it on the topic.
    Topic,
    /// A setting of the brokers.
    Broker,
    /// Kafka's own default.
    Default,
}

impl Admin {
    /// The id that a topic was made with: one that is made anew under the same name has another. `None`
    /// where the topic does not exist, or the brokers do not tell. Blocks for at most `limit`.
    ///
    /// # Errors
    ///
    /// Fails without an answer in time.
    pub fn topic_id(&self, topic: &str, limit: Duration) -> Result<Option<String>, AskError> {
        Ok(self.topic_ids(&[topic], limit)?.remove(topic))
    }

    /// As [`Self::topic_id`], of several topics with one question; those without an id are absent.
    ///
    /// # Errors
    ///
    /// Fails without an answer in time.
    pub fn topic_ids(
        &self,
        topics: &[&str],
        limit: Duration,
    ) -> Result<BTreeMap<String, String>, AskError> {
        if topics.is_empty() {
            return Ok(BTreeMap::new());
        }
        let told = native::access::topics(self.client.inner(), topics, limit)
            .map_err(|error| AskError::of_code(Some(error.code), error.text))?;
        Ok(told.into_iter().filter_map(|(name, told)| Some((name, told.ok()?.id?))).collect())
    }

    /// Where the partitions of topics are: of these, or of all. One that does not exist is absent from the answer. Any
    /// broker answers, also while others are down. Blocks for at most `limit`.
    ///
    /// # Errors
    ///
    /// Fails without an answer in time.
    pub fn placement(
        &self,
        names: Option<&[&str]>,
        limit: Duration,
    ) -> Result<BTreeMap<String, Vec<PartitionDetail>>, AskError> {
        // All topics: asking for one by name would make it where auto-creation is on.
        let metadata =
            self.client.inner().fetch_metadata(None, limit).map_err(|e| AskError::of(&e))?;
        let is_meant = |name: &str| names.is_none_or(|names| names.contains(&name));
        let topics = metadata.topics().iter().filter(|topic| topic.error().is_none());
        let placed = topics.filter(|topic| is_meant(topic.name())).map(|topic| {
            let partitions = topic.partitions().iter().map(|partition| PartitionDetail {
                number: partition.id(),
                leader: (partition.leader() >= 0).then(|| partition.leader()),
                replicas: partition.replicas().to_vec(),
                in_sync: partition.isr().to_vec(),
            });
            let mut partitions: Vec<PartitionDetail> = partitions.collect();
            partitions.sort_by_key(|partition| partition.number);
            (topic.name().to_owned(), partitions)
        });
        Ok(placed.collect())
    }

    /// Describes topics with partitions and settings: these, or all. One that does not exist is absent
    /// from the answer. Takes at most `limit`.
    ///
    /// # Errors
    ///
    /// Fails without an answer in time, and where settings may not be read.
    pub async fn details(
        &self,
        names: Option<&[&str]>,
        limit: Duration,
    ) -> Result<BTreeMap<String, TopicDetail>, AskError> {
        let give_up_at = Instant::now() + limit;
        let placed = self.placement(names, limit)?.into_iter();
        let mut details: BTreeMap<String, TopicDetail> = placed
            .map(|(name, partitions)| (name, TopicDetail { partitions, settings: BTreeMap::new() }))
            .collect();
        let found: Vec<String> = details.keys().cloned().collect();
        if found.is_empty() {
            return Ok(details);
        }
        let resources: Vec<_> = found.iter().map(|n| ResourceSpecifier::Topic(n)).collect();
        let answers = self.client.describe_configs(&resources, &question(give_up_at)).await;
        for (name, answer) in found.iter().zip(answers.map_err(|e| AskError::of(&e))?) {
            let resource = match answer {
                Ok(resource) => resource,
                // It was deleted since.
                Err(RDKafkaErrorCode::UnknownTopicOrPartition) => {
                    details.remove(name);
                    continue;
                }
                Err(code) => {
                    let needs = Needs::topic("DescribeConfigs", name);
                    let text = needs.explain(code, &code.to_string());
                    return Err(AskError::of_code(Some(code), text));
                }
            };
            let settings = resource.entries.into_iter().map(|entry| {
                let source = match entry.source {
                    ConfigSource::DynamicTopic => SettingSource::Topic,
                    ConfigSource::Default => SettingSource::Default,
                    _ => SettingSource::Broker,
                };
                let value = entry.value.filter(|_| !entry.is_sensitive);
                (entry.name, Setting { value, source })
            });
            if let Some(detail) = details.get_mut(name) {
                detail.settings = settings.collect();
            }
        }
        Ok(details)
    }

    /// Makes a topic; with as many replicas as brokers make by themselves where none are named. Returns
    /// `false` where it is there already: it is left as it is.
    ///
    /// # Errors
    ///
    /// Fails as the broker says, with its words.
    pub async fn create_topic(
        &self,
        name: &str,
        partitions: i32,
        replicas: Option<i32>,
        settings: &[(String, String)],
    ) -> Result<bool, AskError> {
        let replicas = TopicReplication::Fixed(replicas.unwrap_or(REPLICAS_OF_BROKER));
        let topic = NewTopic::new(name, partitions, replicas);
        let topic = settings.iter().fold(topic, |topic, (key, value)| topic.set(key, value));
        let answers = self.client.create_topics([&topic], &options()).await;
        match first(answers.map_err(|e| AskError::of(&e))?) {
            Ok(()) => Ok(true),
            Err(RDKafkaErrorCode::TopicAlreadyExists) => Ok(false),
            Err(code) => Err(refused("Create", name, code, &code.to_string())),
        }
    }

    /// Adds partitions to a topic until it has so many.
    ///
    /// # Errors
    ///
    /// Fails as the broker says; it refuses a number that the topic has or passes already.
    pub async fn widen_topic(&self, name: &str, partitions: usize) -> Result<(), AskError> {
        let wanted = [NewPartitions::new(name, partitions)];
        let answers = self.client.create_partitions(&wanted, &options()).await;
        first(answers.map_err(|e| AskError::of(&e))?)
            .map_err(|code| refused("Alter", name, code, &code.to_string()))
    }

    /// Sets these settings of a topic; all others stay as they are. Blocks for at most 10 s.
    ///
    /// # Errors
    ///
    /// Fails as the broker says, with its words; nothing is changed then.
    pub fn set_topic_settings(
        &self,
        name: &str,
        settings: &[(String, String)],
    ) -> Result<(), AskError> {
        let set = native::settings::set_topic_settings;
        set(self.client.inner(), name, settings, ADMIN_MAX)
            .map_err(|error| refused("AlterConfigs", name, error.code, &error.text))
    }

    /// Deletes a topic with all its records. Returns `false` where there is none of that name.
    ///
    /// # Errors
    ///
    /// Fails as the broker says.
    pub async fn delete_topic(&self, name: &str) -> Result<bool, AskError> {
        let answers = self.client.delete_topics(&[name], &options()).await;
        match first(answers.map_err(|e| AskError::of(&e))?) {
            Ok(()) => Ok(true),
            Err(RDKafkaErrorCode::UnknownTopicOrPartition) => Ok(false),
            Err(code) => Err(refused("Delete", name, code, &code.to_string())),
        }
    }
}

/// What became of the one topic that a request was about.
fn first(answers: Vec<rdkafka::admin::TopicResult>) -> Result<(), RDKafkaErrorCode> {
    match answers.into_iter().next() {
        Some(Ok(_)) => Ok(()),
        Some(Err((_, code))) => Err(code),
        None => Err(RDKafkaErrorCode::OperationTimedOut),
    }
}

/// An answer that is a refusal, unless it says that nobody answered.
fn refused(operation: &'static str, name: &str, code: RDKafkaErrorCode, text: &str) -> AskError {
    use RDKafkaErrorCode as E;
    let text = Needs::topic(operation, name).explain(code, text);
    match code {
        E::OperationTimedOut
        | E::RequestTimedOut
        | E::AllBrokersDown
        | E::BrokerTransportFailure => AskError::of_code(Some(code), text),
        // The client library drops what the broker says about it.
        E::InvalidConfig if operation == "Create" => {
            AskError::Refused("Kafka does not know the name or value of a setting".to_owned())
        }
        _ => AskError::Refused(text),
    }
}
