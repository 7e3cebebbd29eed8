//! Looks at a whole cluster from outside: brokers, topics, offsets of many partitions at one go, groups
//! with their members and all that they have committed. Joins nothing, reads no record, changes nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pipeline::record::CommitPosition;
use rdkafka::admin::AdminClient;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::access::unreadable;
use crate::admin::Admin;
use crate::ends::{LEADER_PAUSE, is_absent, is_leaderless};
use crate::events::Events;
use crate::member::{AskError, Committed};
use crate::native::listing::{self, CommittedOffset};
use crate::native::{NativeError, groups as native};
use crate::parting::Parting;
use crate::permission::Needs;

/// The leaders of partitions are refreshed after this long, in milliseconds.
const LEADERS_KNOWN_MS: &str = "5000";

/// State of a group that does not exist.
const DEAD: &str = "Dead";

/// A broker of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// Its number.
    pub id: i32,
    /// Where clients reach it: `host:port`.
    pub address: String,
}

/// A partition and the brokers that hold it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PartitionLayout {
    /// Its number.
    pub partition: i32,
    /// Its leader, if it has one.
    pub leader: Option<i32>,
    /// Brokers that should hold it.
    pub replicas: Vec<i32>,
    /// Those of them that hold all of it.
    pub in_sync: Vec<i32>,
}

/// Brokers and topics.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Layout {
    /// Brokers by number.
    pub brokers: Vec<Broker>,
    /// Partitions of each topic by number.
    pub topics: BTreeMap<String, Vec<PartitionLayout>>,
}

/// Which offset of a partition is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// Its first one.
    Start,
    /// The one after its last record, also after those of undecided transactions.
    End,
    /// The one that readers of committed records come to: below the first record of an undecided
    /// transaction.
    StableEnd,
}

/// A consumer group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// `Stable`, `Empty`, `PreparingRebalance`, `Reconciling`, or what else brokers say.
    pub state: String,
    /// Members.
    pub members: Vec<GroupMember>,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GroupMember {
    /// Its id, given by the brokers.
    pub id: String,
    /// What it calls itself.
    pub client_id: String,
    /// The host that it speaks from, without the slash that brokers put before it.
    pub host: String,
    /// Partitions that it owns, by topic.
    pub owned: BTreeMap<String, Vec<i32>>,
}

/// Everything that a group has committed, by topic and partition.
pub type Commits = BTreeMap<(String, i32), Committed>;

/// A view of the cluster from outside. May be used from several threads; clones share their connections.
#[derive(Clone)]
pub struct Cluster {
    client: Arc<Parting<AdminClient<Events>>>,
}

impl Cluster {
    /// Creates a handle, which begins to connect at once.
    ///
    /// # Errors
    ///
    /// Fails for settings that librdkafka does not accept.
    pub fn new(config: &ClientConfig) -> Result<Self, AskError> {
        let mut config = config.clone();
        config.set("metadata.max.age.ms", LEADERS_KNOWN_MS);
        Ok(Self { client: Admin::new(&config)?.client })
    }

    /// What describes and changes topics, over the same connections.
    #[must_use]
    pub fn admin(&self) -> Admin {
        Admin { client: Arc::clone(&self.client) }
    }

    /// Brokers, topics and the leaders of their partitions. Blocks for at most `limit`.
    ///
    /// # Errors
    ///
    /// Fails without an answer in time.
    pub fn layout(&self, limit: Duration) -> Result<Layout, AskError> {
        let metadata = self.client.inner().fetch_metadata(None, limit);
        let metadata = metadata.map_err(|error| self.told(AskError::of(&error)))?;
        let mut brokers: Vec<Broker> = metadata
            .brokers()
            .iter()
            .map(|broker| Broker {
                id: broker.id(),
                address: format!("{}:{}", broker.host(), broker.port()),
            })
            .collect();
        brokers.sort_by_key(|broker| broker.id);
        let topics =
            metadata.topics().iter().filter(|topic| topic.error().is_none()).map(|topic| {
                let mut partitions: Vec<PartitionLayout> = topic
                    .partitions()
                    .iter()
                    .map(|found| PartitionLayout {
                        partition: found.id(),
                        leader: Some(found.leader()).filter(|leader| *leader >= 0),
                        replicas: found.replicas().to_vec(),
                        in_sync: found.isr().to_vec(),
                    })
                    .collect();
                partitions.sort_by_key(|found| found.partition);
                (topic.name().to_owned(), partitions)
            });
        Ok(Layout { brokers, topics: topics.collect() })
    }

    /// One edge of each of these partitions, in their order; `None` where there is none, as without a
    /// leader. Blocks for at most `limit`.
    ///
    /// # Errors
    ///
    /// Fails without an answer in time.
    pub fn offsets(
        &self,
        partitions: &[(&str, i32)],
        edge: Edge,
        limit: Duration,
    ) -> Result<Vec<Option<i64>>, AskError> {
        let told = self.edges(partitions, edge, limit)?;
        let of = |(topic, partition): &(&str, i32)| {
            told.get(&((*topic).to_owned(), *partition)).and_then(|told| told.ok())
        };
        Ok(partitions.iter().map(of).collect())
    }

    /// Start and end (exclusive) of each of these partitions, in their order: `end` says whose end is
    /// meant. All are asked for with two questions. A partition without a leader is waited for. Blocks for at most `limit`.
    ///
    /// # Errors
    ///
    /// Fails without an answer about each of them in time, or without the permission to ask.
    pub fn bounds(
        &self,
        partitions: &[(&str, i32)],
        end: Edge,
        limit: Duration,
    ) -> Result<Vec<(i64, i64)>, AskError> {
        let starts = self.each(partitions, Edge::Start, limit)?;
        let ends = self.each(partitions, end, limit)?;
        Ok(starts.into_iter().zip(ends).collect())
    }

    /// As [`Self::offsets`], but fails where there is none.
    ///
    /// # Errors
    ///
    /// Fails without an answer about each of them in time, or without the permission to ask.
    pub fn each(
        &self,
        partitions: &[(&str, i32)],
        edge: Edge,
        limit: Duration,
    ) -> Result<Vec<i64>, AskError> {
        let give_up_at = Instant::now() + limit;
        loop {
            let left = give_up_at.saturating_duration_since(Instant::now());
            let told = self.edges(partitions, edge, left)?;
            match all_told(partitions, &told) {
                Ok(offsets) => return Ok(offsets),
                // Brokers that answer so are there: the partition was just made, or its leader moves.
                Err((_, code)) if is_leaderless(code) && left > 2 * LEADER_PAUSE => {
                    std::thread::sleep(LEADER_PAUSE);
                }
                Err((topic, code)) => return Err(self.blame(topic, code)),
            }
        }
    }

    fn edges(
        &self,
        partitions: &[(&str, i32)],
        edge: Edge,
        limit: Duration,
    ) -> Result<HashMap<(String, i32), listing::Told>, AskError> {
        if partitions.is_empty() {
            return Ok(HashMap::new());
        }
        let offset = if edge == Edge::Start { Offset::Beginning } else { Offset::End };
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for (topic, partition) in partitions {
            list.add_partition_offset(topic, *partition, offset)
                .map_err(|error| AskError::of(&error))?;
        }
        let isolation = match edge {
            Edge::StableEnd => listing::Isolation::Committed,
            Edge::Start | Edge::End => listing::Isolation::Uncommitted,
        };
        tracing::debug!(target: "kafka_io::questions", "offsets of partitions are asked for");
        let told = listing::list_offsets(self.client.inner(), &list, isolation, limit);
        told.map_err(|error| self.told(of_native(error, Needs::default())))
    }

    /// A topic that is hidden from this client looks as if it did not exist.
    fn blame(&self, topic: &str, code: RDKafkaErrorCode) -> AskError {
        if is_absent(code)
            && let Some(missing) = unreadable(self.client.inner(), [topic])
        {
            return AskError::Refused(missing);
        }
        let text = Needs::topic("Describe", topic).explain(code, &code.to_string());
        self.told(AskError::of_code(Some(code), text))
    }

    /// All consumer groups with their members, or the one of this name; one that does not exist is absent.
    /// Blocks for at most `limit`, twice if all are asked for.
    ///
    /// # Errors
    ///
    /// Fails without an answer in time, or without the permission to ask.
    pub fn groups(&self, name: Option<&str>, limit: Duration) -> Result<Vec<Group>, AskError> {
        let client = self.client.inner();
        let needs = Needs::group("Describe", name.unwrap_or("*"));
        let failed = |error| self.told(of_native(error, needs));
        let names = match name {
            Some(name) => vec![name.to_owned()],
            None => native::list(client, limit).map_err(failed)?,
        };
        let asked: Vec<&str> = names.iter().map(String::as_str).collect();
        let described = native::describe(client, &asked, limit).map_err(failed)?;
        let mut groups: Vec<Group> = described
            .into_iter()
            .filter(|group| group.state != DEAD)
            .map(|group| Group {
                name: group.name,
                state: group.state,
                members: group
                    .members
                    .into_iter()
                    .map(|member| GroupMember {
                        id: member.id,
                        client_id: member.client_id,
                        host: member.host.trim_start_matches('/').to_owned(),
                        owned: member.owned,
                    })
                    .collect(),
            })
            .collect();
        groups.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(groups)
    }

    /// All that each of these groups has committed, in their order; nothing for a group that does not
    /// exist. Offsets that an undecided transaction would change are returned as they were before.
    /// Blocks for at most
    /// `limit`, for all of them.
    pub fn committed(&self, groups: &[&str], limit: Duration) -> Vec<Result<Commits, AskError>> {
        let mut told: HashMap<_, _> = listing::group_offsets(self.client.inner(), groups, limit);
        let of = |group: &&str| match told.remove(*group) {
            Some(Ok(offsets)) => Ok(offsets.into_iter().map(commit_of).collect()),
            Some(Err(error)) => Err(self.told(of_native(error, Needs::group("Describe", group)))),
            None => Ok(Commits::new()), // named twice
        };
        groups.iter().map(of).collect()
    }

    /// What was heard of the connections says more than that time is up.
    fn told(&self, error: AskError) -> AskError {
        match error {
            AskError::Away(text) => {
                AskError::Away(self.client.inner().context().trouble().unwrap_or(text))
            }
            other => other,
        }
    }
}

/// The offset of each of these partitions, or the topic of the first that has none, and why.
fn all_told<'a>(
    partitions: &[(&'a str, i32)],
    told: &HashMap<(String, i32), listing::Told>,
) -> Result<Vec<i64>, (&'a str, RDKafkaErrorCode)> {
    let mut offsets = Vec::with_capacity(partitions.len());
    for (topic, partition) in partitions.iter().copied() {
        let told = told.get(&(topic.to_owned(), partition)).copied();
        let told = told.unwrap_or(Err(RDKafkaErrorCode::UnknownPartition));
        offsets.push(told.map_err(|code| (topic, code))?);
    }
    Ok(offsets)
}

fn of_native(error: NativeError, needs: Needs<'_>) -> AskError {
    AskError::of_code(Some(error.code), needs.explain(error.code, &error.text))
}

fn commit_of(offset: CommittedOffset) -> ((String, i32), Committed) {
    let metadata = String::from_utf8_lossy(&offset.metadata).into_owned();
    let committed = Committed { position: Some(CommitPosition(offset.offset)), metadata };
    ((offset.topic, offset.partition), committed)
}

#[cfg(test)]
mod tests;
