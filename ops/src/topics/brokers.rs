//! The brokers, as the topics' tool asks them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kafka_io::admin::{Admin, TopicDetail};
use kafka_io::client_config::{AwayReason, BROKER_PROBE_LIMIT, KafkaSettings, Role, probe_brokers};
use kafka_io::cluster::{Cluster, Edge};
use kafka_io::member::AskError;
use service_kit::settings::nearest;
use tokio::runtime::Runtime;

use super::declared::Declared;
use super::error::TopicsError;
use super::plan::Step;

/// Longest wait for what one partition holds.
const ASK: Duration = Duration::from_secs(4);

/// Longest wait for the description of topics.
const DESCRIBE_MAX: Duration = Duration::from_secs(10);

/// First and end offset of each partition; none where nobody leads one.
pub(super) type Offsets = Vec<Option<(i64, i64)>>;

/// Brokers that are there.
pub(super) struct Brokers {
    cluster: Cluster,
    admin: Admin,
    runtime: Runtime,
    kafka: KafkaSettings,
}

impl Brokers {
    /// Asks whether they are there.
    ///
    /// # Errors
    ///
    /// Fails within 5 s where they are not.
    pub(super) fn connect(kafka: &KafkaSettings) -> Result<Self, TopicsError> {
        let config = kafka.base(Role::Admin);
        // Before the question whether anybody is there: it connects meanwhile.
        let cluster = Cluster::new(&config);
        probe_brokers(&config, BROKER_PROBE_LIMIT).map_err(|error| match error.reason {
            AwayReason::Settings => TopicsError::Settings(error.to_string()),
            _ => TopicsError::Kafka { hint: error.hint(), detail: error.to_string() },
        })?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| TopicsError::Settings(format!("no runtime: {error}")))?;
        let cluster = cluster.map_err(refused)?;
        Ok(Self { admin: cluster.admin(), cluster, runtime, kafka: kafka.clone() })
    }

    /// All topics.
    pub(super) fn all(&self) -> Result<BTreeMap<String, TopicDetail>, TopicsError> {
        self.runtime.block_on(self.admin.details(None, DESCRIBE_MAX)).map_err(refused)
    }

    /// Those of these topics that exist.
    pub(super) fn some<'a>(
        &self,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<BTreeMap<String, TopicDetail>, TopicsError> {
        let names: Vec<&str> = names.into_iter().collect();
        self.runtime.block_on(self.admin.details(Some(&names), DESCRIBE_MAX)).map_err(refused)
    }

    /// Those of the declared topics, and of those to be deleted, that exist.
    pub(super) fn of(
        &self,
        declared: &[Declared],
        delete: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, TopicDetail>, TopicsError> {
        let names = declared.iter().map(|topic| topic.name.as_str());
        self.some(names.chain(delete.iter().map(String::as_str)))
    }

    /// These topics, which must exist.
    pub(super) fn each(
        &self,
        names: &[String],
    ) -> Result<BTreeMap<String, TopicDetail>, TopicsError> {
        let found = self.some(names.iter().map(String::as_str))?;
        let Some(missing) = names.iter().find(|name| !found.contains_key(*name)) else {
            return Ok(found);
        };
        let all = self.all()?;
        let near = nearest(missing, all.keys().map(String::as_str));
        Err(TopicsError::Missing {
            name: missing.clone(),
            servers: self.kafka.bootstrap_servers().to_owned(),
            near: near.map(str::to_owned),
        })
    }

    /// By name the ids that topics were made with, where the brokers tell.
    pub(super) fn ids(
        &self,
        topics: &BTreeMap<String, TopicDetail>,
    ) -> Result<BTreeMap<String, String>, TopicsError> {
        let names: Vec<&str> = topics.keys().map(String::as_str).collect();
        self.admin.topic_ids(&names, ASK).map_err(refused)
    }

    /// What the partitions of topics hold, by name.
    pub(super) fn offsets<'a>(
        &self,
        topics: &'a BTreeMap<String, TopicDetail>,
    ) -> BTreeMap<&'a str, Offsets> {
        // A partition without a leader would keep the answer for the others.
        let places = topics.iter().flat_map(|(name, topic)| {
            let led = topic.partitions.iter().filter(|partition| partition.leader.is_some());
            led.map(|partition| (name.as_str(), partition.number))
        });
        let places: Vec<(&str, i32)> = places.collect();
        let ask = |edge| self.cluster.offsets(&places, edge, ASK).unwrap_or_default();
        let known = places.iter().zip(ask(Edge::Start)).zip(ask(Edge::End));
        let known: BTreeMap<(&str, i32), (i64, i64)> =
            known.filter_map(|((place, start), end)| Some((*place, start.zip(end)?))).collect();
        let of = |(name, topic): (&'a String, &'a TopicDetail)| {
            let numbers = topic.partitions.iter().map(|partition| partition.number);
            let offsets = numbers.map(|number| known.get(&(name.as_str(), number)).copied());
            (name.as_str(), offsets.collect())
        };
        topics.iter().map(of).collect()
    }

    /// Does one step of a plan.
    pub(super) fn take(&self, name: &str, step: &Step) -> Result<(), AskError> {
        match step {
            Step::Create { partitions, replicas, settings } => {
                let settings: Vec<_> =
                    settings.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
                let made = self.admin.create_topic(name, *partitions, *replicas, &settings);
                self.runtime.block_on(made).map(|_| ())
            }
            Step::AddPartitions { to, .. } => {
                let count = usize::try_from(*to).unwrap_or_default();
                self.runtime.block_on(self.admin.widen_topic(name, count))
            }
            Step::Set { changes } => {
                let settings: Vec<_> = changes
                    .iter()
                    .map(|change| (change.setting.clone(), change.to.clone()))
                    .collect();
                self.admin.set_topic_settings(name, &settings)
            }
            Step::Delete { .. } => self.runtime.block_on(self.admin.delete_topic(name)).map(|_| ()),
        }
    }
}

fn refused(error: AskError) -> TopicsError {
    TopicsError::Kafka { detail: error.to_string(), hint: None }
}
