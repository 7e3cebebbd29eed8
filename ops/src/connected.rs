//! The brokers, as a command asks and reads them: one handle for all questions, one that reads.
//!
//! Both connect side by side, while a third asks whether anybody is there and lets this client in. That one has the words for
//! what is wrong. No command waits for their ends.

use std::rc::Rc;

use kafka_io::Parting;
use kafka_io::client_config::{
    AwayReason, BROKER_PROBE_LIMIT, BrokersAway, KafkaSettings, Role, probe_brokers, set_defaults,
};
use kafka_io::cluster::Cluster;
use kafka_io::reader::Reader;

/// How long a broker may keep a fetch that finds nothing, in milliseconds, where a command reads up to an end and
/// stops: the end of a partition is told by such a fetch. It is repeated for as long as the records before it are worked on,
/// or wait for the end of a transaction, so that a shorter one is work for the broker.
pub(crate) const END_WAIT_MS: &str = "3";

/// Handles that are connected; clones share them.
#[derive(Clone)]
pub(crate) struct Connected {
    cluster: Cluster,
    reader: Rc<Parting<Reader>>,
}

impl Connected {
    /// Makes the handles. `fetch` says how records are fetched where the user says nothing else; librdkafka wants the name of a
    /// group, which is not joined.
    ///
    /// # Errors
    ///
    /// Fails within 5 s for brokers that are not there, and for settings that cannot be used.
    pub(crate) fn open(
        kafka: &KafkaSettings,
        fetch: &[(&str, &str)],
        group: &str,
    ) -> Result<Self, BrokersAway> {
        let mut config = kafka.base(Role::Consumer);
        set_defaults(&mut config, fetch.iter().copied());
        // Before the question whether anybody is there: they connect meanwhile.
        let cluster = Cluster::new(&kafka.base(Role::Admin)).map_err(|error| error.to_string());
        let reader = Reader::new(&config, group).map_err(|error| error.to_string());
        probe_brokers(&config, BROKER_PROBE_LIMIT)?;
        let unusable = |detail| BrokersAway {
            addresses: kafka.bootstrap_servers().to_owned(),
            reason: AwayReason::Settings,
            detail,
        };
        let (cluster, reader) = (cluster.map_err(unusable)?, reader.map_err(unusable)?);
        Ok(Self { cluster, reader: Rc::new(Parting::new(reader)) })
    }

    /// What is asked.
    pub(crate) const fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// What reads.
    pub(crate) fn reader(&self) -> &Reader {
        &self.reader
    }
}

/// All partitions of a topic.
pub(crate) fn places(topic: &str, partitions: i32) -> Vec<(&str, i32)> {
    (0..partitions).map(|partition| (topic, partition)).collect()
}
