//! Which brokers there are, who leads which partition, and where partitions begin and end.

use std::collections::HashMap;

use anyhow::{Context as _, Result, bail, ensure};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    BrokerId, ListOffsetsRequest, MetadataRequest, MetadataResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use crate::connection::Connection;

/// Reads what is committed and nothing else, as `isolation.level`.
pub(crate) const READ_COMMITTED: i8 = 1;

/// What is asked for instead of a time: the end of what is committed.
const LATEST: i64 = -1;

/// The first offset that there is.
const EARLIEST: i64 = -2;

/// A client is no replica.
pub(crate) const NO_REPLICA: BrokerId = BrokerId(-1);

/// Who leads a partition, and since which election.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leader {
    /// Its id; its address is [`Cluster::address`].
    pub broker: i32,
    /// Counted up with each election.
    pub epoch: i32,
}

/// What was last heard of a cluster.
pub struct Cluster {
    bootstrap: Vec<String>,
    brokers: HashMap<i32, String>,
    topics: HashMap<String, HashMap<i32, Leader>>,
}

impl Cluster {
    /// A cluster of which only some addresses are known: `host:port`, separated by commas.
    pub fn new(bootstrap: &str) -> Self {
        let bootstrap = bootstrap.split(',').map(|address| address.trim().to_owned()).collect();
        Self { bootstrap, brokers: HashMap::new(), topics: HashMap::new() }
    }

    /// Asks for the leaders of all partitions of `topics`; it blocks. A partition that has no leader is forgotten.
    ///
    /// # Errors
    ///
    /// Fails if no broker answers.
    pub fn refresh(&mut self, topics: &[&str]) -> Result<()> {
        let topic = |name: &&str| MetadataRequestTopic::default().with_name(Some(topic_name(name)));
        let request = MetadataRequest::default()
            .with_topics(Some(topics.iter().map(topic).collect()))
            .with_allow_auto_topic_creation(false);
        let known = self.brokers.values().chain(&self.bootstrap);
        let mut failure = None;
        for address in known {
            match Connection::open(address).and_then(|mut it| it.ask(&request)) {
                Ok(response) => {
                    self.note(response);
                    return Ok(());
                }
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.context("no address is known")?.context("no broker says who leads what"))
    }

    fn note(&mut self, response: MetadataResponse) {
        let address = |host: &str, port: i32| format!("{host}:{port}");
        self.brokers =
            response.brokers.iter().map(|it| (it.node_id.0, address(&it.host, it.port))).collect();
        for topic in response.topics {
            let name = topic.name.map(|name| name.0.to_string()).unwrap_or_default();
            let known = self.topics.entry(name).or_default();
            for it in topic.partitions {
                let leader = Leader { broker: it.leader_id.0, epoch: it.leader_epoch };
                let is_old =
                    known.get(&it.partition_index).is_some_and(|old| old.epoch > leader.epoch);
                if leader.broker < 0 {
                    known.remove(&it.partition_index);
                } else if !is_old {
                    known.insert(it.partition_index, leader);
                }
            }
        }
    }

    /// Partitions of a topic that have a leader, in order.
    pub fn partitions(&self, topic: &str) -> Vec<i32> {
        let leaders = self.topics.get(topic).into_iter();
        let mut partitions: Vec<i32> = leaders.flat_map(|of| of.keys().copied()).collect();
        partitions.sort_unstable();
        partitions
    }

    /// Who leads a partition, as far as is known.
    pub fn leader(&self, topic: &str, partition: i32) -> Option<Leader> {
        self.topics.get(topic)?.get(&partition).copied()
    }

    /// Where a broker listens.
    pub fn address(&self, broker: i32) -> Option<&str> {
        self.brokers.get(&broker).map(String::as_str)
    }

    /// First offset of a partition, and the end of what is committed (its last stable offset).
    ///
    /// # Errors
    ///
    /// Fails if the leader is not known, does not answer, or leads no longer.
    pub fn bounds(&self, topic: &str, partition: i32) -> Result<(i64, i64)> {
        let leader = self.leader(topic, partition).context("no leader is known")?;
        let address = self.address(leader.broker).context("the leader has no address")?;
        let mut connection = Connection::open(address)?;
        let mut ask = |time: i64| -> Result<i64> {
            let one = ListOffsetsPartition::default()
                .with_partition_index(partition)
                .with_current_leader_epoch(leader.epoch)
                .with_timestamp(time);
            let of =
                ListOffsetsTopic::default().with_name(topic_name(topic)).with_partitions(vec![one]);
            let request = ListOffsetsRequest::default()
                .with_replica_id(NO_REPLICA)
                .with_isolation_level(READ_COMMITTED)
                .with_topics(vec![of]);
            let response = connection.ask(&request)?;
            let Some(it) = response.topics.iter().flat_map(|of| &of.partitions).next() else {
                bail!("an answer without the partition");
            };
            ensure!(
                it.error_code == 0,
                "{topic} {partition}: error {} of the broker",
                it.error_code
            );
            Ok(it.offset)
        };
        Ok((ask(EARLIEST)?, ask(LATEST)?))
    }
}

pub(crate) fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}
