//! What tests write with: topics, transactions that end either way, and leaders that move.

use std::time::{Duration, Instant};

use bytes::BytesMut;
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::alter_partition_reassignments_request::{
    ReassignablePartition, ReassignableTopic,
};
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    AddPartitionsToTxnRequest, AlterPartitionReassignmentsRequest, BrokerId, CreateTopicsRequest,
    EndTxnRequest, FindCoordinatorRequest, InitProducerIdRequest, ProduceRequest, ProducerId,
    TopicName, TransactionalId,
};
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::{
    Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};
use own_fetch::cluster::Cluster;
use own_fetch::connection::Connection;

/// Longest wait for anything.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Where the brokers listen, by the environment of `stack`.
pub(crate) fn brokers() -> String {
    std::env::var("KAFKA_BOOTSTRAP_SERVERS").expect("the environment of `stack`")
}

/// Asks until it is so.
pub(crate) fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let give_up_at = Instant::now() + LIMIT;
    while !is_so() {
        assert!(Instant::now() < give_up_at, "in {LIMIT:?} not seen: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn connection(cluster: &Cluster, broker: i32) -> Connection {
    Connection::open(cluster.address(broker).expect("its address")).expect("it answers")
}

/// A topic of this run alone, its brokers, and one who writes to it.
pub(crate) struct Topic {
    pub(crate) name: String,
    pub(crate) cluster: Cluster,
    producer: Option<(TransactionalId, ProducerId, i16, i32)>,
    sequences: Vec<i32>,
}

impl Topic {
    /// Creates it, and waits until all of its partitions have leaders.
    pub(crate) fn new(
        name: &str,
        partitions: i32,
        replicas: i16,
        settings: &[(&str, &str)],
    ) -> Self {
        let name = format!("own-fetch-{name}-{}", std::process::id());
        let mut cluster = Cluster::new(&brokers());
        let setting = |(key, value): &(&str, &str)| {
            CreatableTopicConfig::default().with_name(text(key)).with_value(Some(text(value)))
        };
        let topic = CreatableTopic::default()
            .with_name(TopicName(text(&name)))
            .with_num_partitions(partitions)
            .with_replication_factor(replicas)
            .with_configs(settings.iter().map(setting).collect());
        let request =
            CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(10_000);
        let all = brokers();
        let any = all.split(',').next().expect("an address");
        let response =
            Connection::open(any).and_then(|mut it| it.ask(&request)).expect("an answer");
        assert!(response.topics.iter().all(|it| it.error_code == 0), "{response:?}");
        wait_for("leaders of all partitions", || {
            cluster.refresh(&[&name]).is_ok()
                && cluster.partitions(&name).len() == usize::try_from(partitions).expect("a count")
        });
        Self {
            name,
            cluster,
            producer: None,
            sequences: vec![0; usize::try_from(partitions).expect("a count")],
        }
    }

    /// Another producer, with transactions, for the same topic.
    pub(crate) fn transactional(&self, id: &str) -> Self {
        let id = text(&format!("{}-{id}", self.name));
        let mut cluster = Cluster::new(&brokers());
        cluster.refresh(&[&self.name]).expect("the brokers answer");
        let mut found = None;
        wait_for("a coordinator that hands out a producer id", || {
            let request = FindCoordinatorRequest::default()
                .with_key_type(1)
                .with_coordinator_keys(vec![id.clone()]);
            let mut any =
                connection(&cluster, cluster.leader(&self.name, 0).expect("a leader").broker);
            let response = any.ask(&request).expect("an answer");
            let Some(it) = response.coordinators.into_iter().find(|it| it.error_code == 0) else {
                return false;
            };
            let coordinator = it.node_id.0;
            let request = InitProducerIdRequest::default()
                .with_transactional_id(Some(TransactionalId(id.clone())))
                .with_transaction_timeout_ms(60_000)
                .with_producer_id(ProducerId(-1))
                .with_producer_epoch(-1);
            let response = connection(&cluster, coordinator).ask(&request).expect("an answer");
            let is_given = response.error_code == 0;
            let id = TransactionalId(id.clone());
            found = is_given.then_some((
                id,
                response.producer_id,
                response.producer_epoch,
                coordinator,
            ));
            is_given
        });
        Self {
            name: self.name.clone(),
            cluster,
            producer: found,
            sequences: vec![0; self.sequences.len()],
        }
    }

    /// Adds a partition to the open transaction.
    pub(crate) fn add(&self, partition: i32) {
        let (id, producer, epoch, coordinator) =
            self.producer.clone().expect("it is transactional");
        let topic = AddPartitionsToTxnTopic::default()
            .with_name(TopicName(text(&self.name)))
            .with_partitions(vec![partition]);
        let request = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(id)
            .with_v3_and_below_producer_id(producer)
            .with_v3_and_below_producer_epoch(epoch)
            .with_v3_and_below_topics(vec![topic]);
        // The transaction before may not have all of its markers yet.
        wait_for("a partition in the transaction", || {
            let response = connection(&self.cluster, coordinator).ask(&request).expect("an answer");
            let mut all = response
                .results_by_topic_v3_and_below
                .iter()
                .flat_map(|it| &it.results_by_partition);
            all.all(|it| it.partition_error_code == 0)
        });
    }

    /// Ends the open transaction.
    pub(crate) fn end(&self, is_committed: bool) {
        let (id, producer, epoch, coordinator) =
            self.producer.clone().expect("it is transactional");
        let request = EndTxnRequest::default()
            .with_transactional_id(id)
            .with_producer_id(producer)
            .with_producer_epoch(epoch)
            .with_committed(is_committed);
        let response = connection(&self.cluster, coordinator).ask(&request).expect("an answer");
        assert_eq!(response.error_code, 0);
    }

    /// Writes one batch, key and value of each record alike, and looks for the leader until it is written.
    pub(crate) fn write(&mut self, partition: i32, values: &[String], compression: Compression) {
        let index = usize::try_from(partition).expect("a number");
        let sequence = self.sequences[index];
        let record = |(at, value): (usize, &String)| {
            let at = i32::try_from(at).expect("few");
            let (_, producer, epoch, _) = self.producer.clone().unwrap_or_default();
            let is_ours = self.producer.is_some();
            Record {
                transactional: is_ours,
                control: false,
                delete_horizon: false,
                partition_leader_epoch: -1,
                producer_id: if is_ours { producer.0 } else { -1 },
                producer_epoch: if is_ours { epoch } else { -1 },
                timestamp_type: TimestampType::Creation,
                offset: at.into(),
                sequence: if is_ours { sequence + at } else { -1 + at },
                timestamp: 1_700_000_000_000,
                key: Some(value.split(' ').next().expect("a word").to_owned().into()),
                value: Some(value.clone().into()),
                headers: Default::default(),
            }
        };
        let records: Vec<Record> = values.iter().enumerate().map(record).collect();
        let mut bytes = BytesMut::new();
        let options = RecordEncodeOptions { version: 2, compression };
        RecordBatchEncoder::encode(&mut bytes, &records, &options).expect("it can be written");
        let data = PartitionProduceData::default()
            .with_index(partition)
            .with_records(Some(bytes.freeze()));
        let topic = TopicProduceData::default()
            .with_name(TopicName(text(&self.name)))
            .with_partition_data(vec![data]);
        let request = ProduceRequest::default()
            .with_transactional_id(self.producer.clone().map(|it| it.0))
            .with_acks(-1)
            .with_timeout_ms(10_000)
            .with_topic_data(vec![topic]);
        wait_for("a leader that takes a batch", || {
            _ = self.cluster.refresh(&[&self.name]);
            let Some(leader) = self.cluster.leader(&self.name, partition) else { return false };
            let address = self.cluster.address(leader.broker).unwrap_or_default();
            let response = Connection::open(address).and_then(|mut it| it.ask(&request));
            let mut all = response.into_iter().flat_map(|it| it.responses);
            all.next().is_some_and(|it| it.partition_responses.iter().all(|it| it.error_code == 0))
        });
        self.sequences[index] += i32::try_from(values.len()).expect("few");
    }

    /// Gives a partition to other brokers, and waits until one of them leads it.
    pub(crate) fn give(&mut self, partition: i32, replicas: &[i32]) {
        let brokers = replicas.iter().map(|id| BrokerId(*id)).collect();
        let one = ReassignablePartition::default()
            .with_partition_index(partition)
            .with_replicas(Some(brokers));
        let topic = ReassignableTopic::default()
            .with_name(TopicName(text(&self.name)))
            .with_partitions(vec![one]);
        let request = AlterPartitionReassignmentsRequest::default()
            .with_timeout_ms(10_000)
            .with_topics(vec![topic]);
        let mut any = connection(&self.cluster, replicas[0]);
        let response = any.ask(&request).expect("an answer");
        assert!(response.error_code == 0, "{response:?}");
        wait_for("another leader", || {
            _ = self.cluster.refresh(&[&self.name]);
            let leader = self.cluster.leader(&self.name, partition);
            leader.is_some_and(|it| replicas.contains(&it.broker))
        });
    }
}
