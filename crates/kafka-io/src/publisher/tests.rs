//! Tests of the publisher on librdkafka's mock cluster: queue limits, counts, errors.

use std::sync::Mutex;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use super::*;

const LIMIT: Duration = Duration::from_secs(20);
const TOPIC: &str = "orders";

type Cluster = MockCluster<'static, DefaultProducerContext>;

#[derive(Default)]
struct Journal(Mutex<Vec<(usize, Result<Placed, String>)>>);

impl DeliveryObserver for Journal {
    fn delivered(&self, delivery: &Delivery<'_>) {
        self.0.lock().unwrap().push((delivery.sequence, delivery.outcome.clone()));
    }
}

fn started(
    partition_count: i32,
    extra: &[(&str, &str)],
    timeout: Duration,
) -> (Cluster, Publisher<Journal>) {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(TOPIC, partition_count, 1).unwrap();
    let extra = extra.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let settings = KafkaSettings::new("test", &cluster.bootstrap_servers(), extra).unwrap();
    let publisher = Publisher::new(&settings, timeout, Journal::default()).unwrap();
    (cluster, publisher)
}

#[test]
fn every_record_is_reported_exactly_once_and_the_counts_agree() {
    let (_cluster, publisher) = started(3, &[("queue.buffering.max.messages", "10")], LIMIT);
    for sequence in 0..500 {
        let key = format!("key-{sequence}");
        let value = Some(b"value".as_slice());
        publisher.publish(TOPIC, None, Some(key.as_bytes()), value, sequence, || true).unwrap();
        assert!(publisher.counts().in_flight() <= 11, "the queue is bounded");
    }
    assert!(publisher.flush(LIMIT));
    assert_eq!(publisher.counts(), Counts { sent: 500, acknowledged: 500, failed: 0 });
    let mut sequences: Vec<usize> =
        publisher.observer().0.lock().unwrap().iter().map(|(sequence, _)| *sequence).collect();
    sequences.sort_unstable();
    assert_eq!(sequences, (0..500).collect::<Vec<_>>());
}

#[test]
fn a_look_takes_in_all_deliveries_that_have_come_however_few_records_each_of_them_has() {
    const PARTITIONS: i32 = 64;
    const LOOKS_MAX: usize = 8;
    let (cluster, publisher) = started(PARTITIONS, &[], LIMIT);
    let config = KafkaSettings::new("test", &cluster.bootstrap_servers(), vec![])
        .unwrap()
        .base(Role::Consumer);
    let reader: BaseConsumer = config.create().unwrap();
    for partition in 0..PARTITIONS {
        publisher.publish(TOPIC, Some(partition), None, Some(b"value"), 0, || true).unwrap();
    }
    let until = Instant::now() + LIMIT;
    for partition in 0..PARTITIONS {
        while reader.fetch_watermarks(TOPIC, partition, LIMIT).unwrap().1 == 0 {
            assert!(Instant::now() < until, "partition {partition} is written");
        }
    }
    // Each partition's batch is a delivery of its own; the last ones may still be on their way.
    let mut looks = 0;
    while publisher.counts().in_flight() > 0 {
        assert!(Instant::now() < until, "{:?}", publisher.counts());
        let before = publisher.counts().in_flight();
        publisher.take_reports();
        looks += usize::from(publisher.counts().in_flight() < before);
    }
    assert!(looks <= LOOKS_MAX, "{looks} looks took in what had come");
}

#[test]
fn keys_are_placed_where_java_places_them() {
    // From Kafka's own UtilsTest: murmur2 of these texts, made positive, modulo 5.
    let vectors: [(&str, i32); 6] = [
        ("21", -973_932_308),
        ("foobar", -790_332_482),
        ("a-little-bit-long-string", -985_981_536),
        ("a-little-bit-longer-string", -1_486_304_829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
        ("abc", 479_470_107),
    ];
    let (_cluster, publisher) = started(5, &[], LIMIT);
    for (sequence, (key, _)) in vectors.iter().enumerate() {
        publisher.publish(TOPIC, None, Some(key.as_bytes()), None, sequence, || true).unwrap();
    }
    assert!(publisher.flush(LIMIT));
    for (sequence, outcome) in publisher.observer().0.lock().unwrap().iter() {
        let (key, hash) = vectors[*sequence];
        let expected = (hash & 0x7fff_ffff) % 5;
        assert_eq!(outcome.as_ref().unwrap().partition, expected, "{key}");
    }
}

#[test]
fn a_full_queue_is_reported_and_what_is_abandoned_counts_as_failed() {
    let settings = KafkaSettings::new(
        "test",
        "127.0.0.1:1",
        vec![("queue.buffering.max.messages".to_owned(), "2".to_owned())],
    );
    let publisher = Publisher::new(&settings.unwrap(), LIMIT, Journal::default()).unwrap();
    let publish = |sequence| {
        publisher.publish(TOPIC, Some(0), None, Some(b"v".as_slice()), sequence, || false)
    };
    assert_eq!(publish(0), Ok(()));
    assert_eq!(publish(1), Ok(()));
    assert_eq!(publish(2), Err(PublishError::QueueFull));
    assert!(!publisher.flush(Duration::from_millis(20)), "nobody is there");
    publisher.abandon(LIMIT);
    assert_eq!(publisher.counts(), Counts { sent: 2, acknowledged: 0, failed: 2 });
}

#[test]
fn a_record_that_is_too_large_is_refused_and_counts_nowhere() {
    let (_cluster, publisher) = started(1, &[], LIMIT);
    let value = vec![0_u8; 2_000_000];
    let result = publisher.publish(TOPIC, None, Some(b"k".as_slice()), Some(&value), 0, || true);
    assert_eq!(result, Err(PublishError::TooLarge { bytes: 2_000_001 }));
    assert_eq!(publisher.counts(), Counts::default());
}

#[test]
fn a_missing_topic_is_told_from_a_missing_broker() {
    let (_cluster, publisher) = started(3, &[], LIMIT);
    assert_eq!(publisher.partition_count(TOPIC, LIMIT), Ok(3));
    assert_eq!(
        publisher.partition_count("absent", LIMIT),
        Err(TopicError::Missing("absent".to_owned()))
    );
    let nobody = KafkaSettings::new("test", "127.0.0.1:1", vec![]).unwrap();
    let publisher = Publisher::new(&nobody, LIMIT, Journal::default()).unwrap();
    let result = publisher.partition_count(TOPIC, Duration::from_millis(300));
    assert!(matches!(result, Err(TopicError::Away { .. })), "{result:?}");
}

#[test]
fn brokers_that_accept_and_say_nothing_are_away_and_idle_ones_are_not() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let settings = KafkaSettings::new("test", &address, vec![]).unwrap();
    let publisher = Publisher::new(&settings, LIMIT, Journal::default()).unwrap();
    assert_eq!(publisher.away(), None);
    publisher.publish(TOPIC, Some(0), None, Some(b"v".as_slice()), 0, || true).unwrap();
    let deadline = Instant::now() + LIMIT;
    let away = loop {
        assert!(Instant::now() < deadline, "it is never noticed");
        publisher.poll(Duration::from_millis(50));
        if let Some(away) = publisher.away() {
            break away;
        }
    };
    assert!(away.contains("no acknowledgement") || away.contains("down"), "{away}");
}

#[test]
fn records_are_delivered_again_soon_after_their_broker_is_back() {
    /// A second for the pause between two attempts to connect; the rest is for a busy machine.
    const AGAIN_MAX: Duration = Duration::from_secs(3);
    /// Longer than the brake waits, and than librdkafka connects without being asked.
    const OUTAGE: Duration = Duration::from_secs(2);

    // The other broker stays: to have one connection is all that librdkafka wants by itself.
    let cluster = MockCluster::new(2).unwrap();
    cluster.create_topic(TOPIC, 1, 1).unwrap();
    cluster.partition_leader(TOPIC, 0, Some(1)).unwrap();
    let settings = KafkaSettings::new("test", &cluster.bootstrap_servers(), vec![]).unwrap();
    let publisher = Publisher::new(&settings, LIMIT, Journal::default()).unwrap();
    publisher.note_partitions(TOPIC, 1);
    let publish_until = |limit: Duration, is_enough: &dyn Fn() -> bool| {
        let start = Instant::now();
        while !is_enough() {
            assert!(start.elapsed() < limit, "it takes longer than {limit:?}");
            let value = Some(b"value".as_slice());
            publisher.publish(TOPIC, Some(0), None, value, 0, || true).unwrap();
            publisher.poll(Duration::from_millis(2));
        }
    };
    publish_until(LIMIT, &|| publisher.counts().acknowledged > 0);
    for _ in 0..3 {
        cluster.broker_down(1).unwrap();
        publish_until(LIMIT, &|| publisher.producer.context().silence() >= OUTAGE);
        assert!(publisher.brake.is_pulled());
        let before = publisher.counts().acknowledged;
        cluster.broker_up(1).unwrap();
        publish_until(AGAIN_MAX, &|| publisher.counts().acknowledged > before);
    }
    assert!(publisher.flush(LIMIT));
    assert_eq!(publisher.counts().failed, 0);
}
