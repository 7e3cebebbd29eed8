use std::time::Duration;

use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use super::*;
use crate::client_config::{KafkaSettings, Role};
use crate::ends::Ends;
use crate::mock::MockKafka;

const LIMIT: Duration = Duration::from_secs(20);
const PARTITIONS: i32 = 20;

#[test]
fn bounds_of_many_partitions_are_those_that_each_has_when_it_is_asked_alone() {
    let mock = MockKafka::start(1).expect("a port");
    mock.create_topic("t", PARTITIONS).expect("it is new");
    let settings = KafkaSettings::new("it", &mock.bootstrap_servers(), Vec::new());
    let settings = settings.expect("brokers are named");
    let producer: BaseProducer = settings.base(Role::Producer).create().expect("good settings");
    for partition in [3, 3, 17] {
        let record = BaseRecord::to("t").partition(partition).key("k").payload("v");
        producer.send(record).expect("there is room");
    }
    producer.flush(LIMIT).expect("the mock takes them");
    let cluster = Cluster::new(&settings.base(Role::Admin)).expect("good settings");
    let places: Vec<(&str, i32)> = (0..PARTITIONS).map(|partition| ("t", partition)).collect();
    let bounds = cluster.bounds(&places, Edge::End, LIMIT).expect("the mock answers");
    let ends = Ends::new(&settings.base(Role::Consumer)).expect("good settings");
    for ((topic, partition), found) in places.into_iter().zip(bounds) {
        assert_eq!(ends.bounds(topic, partition, LIMIT), Ok(found), "{partition}");
        let records = found.1 - found.0;
        assert_eq!(
            records,
            [(3, 2), (17, 1)].iter().find(|of| of.0 == partition).map_or(0, |of| of.1)
        );
    }
    assert_eq!(cluster.bounds(&[], Edge::End, LIMIT), Ok(Vec::new()));
    let absent = cluster.each(&[("t", 0), ("no-such-topic", 0)], Edge::End, Duration::from_secs(1));
    assert!(absent.is_err(), "{absent:?}");
}

#[test]
fn a_partition_whose_leader_a_broker_does_not_know_yet_is_asked_for_again() {
    use rdkafka::types::RDKafkaRespErr as E;
    let mock = MockKafka::start(1).expect("a port");
    mock.create_topic("t", 1).expect("it is new");
    let settings = KafkaSettings::new("it", &mock.bootstrap_servers(), Vec::new());
    let config = settings.expect("brokers are named").base(Role::Admin);
    let cluster = Cluster::new(&config).expect("good settings");
    for refused in [
        E::RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH,
        E::RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH,
        E::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
        E::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
    ] {
        mock.refuse_offsets(&[refused]);
        assert_eq!(cluster.bounds(&[("t", 0)], Edge::End, LIMIT), Ok(vec![(0, 0)]), "{refused:?}");
    }
}
