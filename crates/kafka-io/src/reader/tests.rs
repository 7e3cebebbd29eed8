//! A reader takes batches from librdkafka's mock cluster: what it hands out, and the positions that it tells.

use std::time::{Duration, Instant};

use pipeline::record::CommitPosition;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use super::{Polled, Reader};
use crate::mock::MockKafka;

const LIMIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);
const TOPIC: &str = "orders";
const PARTITIONS: i32 = 2;
/// Records of each partition: more than a batch.
const RECORDS: i64 = 2_500;

/// A filled topic of a mock cluster, and a reader of it.
struct Rig {
    kafka: MockKafka,
    reader: Reader,
}

impl Rig {
    fn new() -> Self {
        let kafka = MockKafka::start(1).expect("a mock cluster");
        kafka.create_topic(TOPIC, PARTITIONS).expect("a new topic");
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", kafka.bootstrap_servers());
        let reader = Reader::new_uncommitted(&config, "group").expect("good settings");
        let rig = Self { kafka, reader };
        rig.send(RECORDS);
        rig
    }

    /// Adds so many records to each partition; each one has its offset as its value.
    fn send(&self, count: i64) {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.kafka.bootstrap_servers());
        let producer: BaseProducer = config.create().expect("good settings");
        for partition in 0..PARTITIONS {
            for _ in 0..count {
                let record = BaseRecord::<[u8], [u8]>::to(TOPIC).partition(partition);
                producer.send(record.payload(b"value")).expect("room in the queue");
            }
        }
        producer.flush(LIMIT).expect("all are acknowledged");
    }

    fn start(&self, partition: i32, offset: i64) {
        self.reader.start(TOPIC, partition, CommitPosition(offset)).expect("it is not read yet");
    }

    fn position(&self, partition: i32) -> Option<i64> {
        self.reader.positions().get(&(TOPIC.to_owned(), partition)).copied()
    }

    /// The next record or end: partition, and the offset of a record.
    fn next(&self) -> (i32, Option<i64>) {
        let give_up_at = Instant::now() + LIMIT;
        loop {
            assert!(Instant::now() < give_up_at, "nothing came within {LIMIT:?}");
            match self.reader.poll(POLL) {
                Polled::Record(record) => {
                    assert_eq!((record.topic(), record.value()), (TOPIC, Some(&b"value"[..])));
                    return (record.partition(), Some(record.offset().0));
                }
                Polled::End(partition) => return (partition, None),
                Polled::Nothing | Polled::Away(_) => {}
                Polled::OutOfRange | Polled::Denied(_) | Polled::Missing(_) => {
                    panic!("it is there")
                }
            }
        }
    }

    /// Reads partitions to their ends, and says how many records came, each one after the one before.
    fn drain(&self, mut expected: Vec<(i32, i64)>, end: i64) {
        while !expected.is_empty() {
            let (partition, offset) = self.next();
            let place = expected.iter().position(|(open, _)| *open == partition);
            let place = place.unwrap_or_else(|| panic!("{partition} is not read, or ended before"));
            match offset {
                Some(offset) => {
                    assert_eq!(offset, expected[place].1, "of partition {partition}");
                    expected[place].1 += 1;
                }
                None if expected[place].1 < end => {} // what was there when it was asked for
                None => drop(expected.remove(place)),
            }
        }
    }
}

#[test]
fn the_position_is_behind_what_was_handed_out_and_not_behind_what_was_taken() {
    let rig = Rig::new();
    rig.start(0, 7);
    assert_eq!(rig.position(0), None, "nothing was handed out yet");
    for offset in 7..20 {
        assert_eq!(rig.next(), (0, Some(offset)));
        assert_eq!(rig.position(0), Some(offset + 1));
    }
}

#[test]
fn at_an_end_the_position_is_the_end_and_what_is_written_then_is_read() {
    let rig = Rig::new();
    rig.start(0, 0);
    rig.drain(vec![(0, 0)], RECORDS);
    assert_eq!(rig.position(0), Some(RECORDS));
    rig.send(3);
    rig.drain(vec![(0, RECORDS)], RECORDS + 3);
    assert_eq!(rig.position(0), Some(RECORDS + 3));
}

#[test]
fn a_partition_that_starts_again_begins_where_it_is_told_and_not_with_what_was_taken_before() {
    let rig = Rig::new();
    for round in 0..20 {
        rig.start(0, 0);
        for offset in 0..=round {
            assert_eq!(rig.next(), (0, Some(offset)), "round {round}");
        }
        rig.reader.stop(TOPIC, 0).expect("it is read");
        assert_eq!(rig.position(0), None);
    }
    rig.start(0, 5);
    rig.drain(vec![(0, 5)], RECORDS);
}

#[test]
fn of_a_partition_that_is_not_read_any_more_nothing_comes_and_another_one_loses_nothing() {
    let rig = Rig::new();
    rig.start(0, 0);
    rig.start(1, 0);
    let mut next = [0, 0];
    while next[0] < 10 || next[1] < 10 {
        let (partition, offset) = rig.next();
        let place = usize::try_from(partition).expect("0 or 1");
        if let Some(offset) = offset {
            assert_eq!(offset, next[place]);
            next[place] += 1;
        }
    }
    rig.reader.stop(TOPIC, 0).expect("it is read");
    rig.drain(vec![(1, next[1])], RECORDS);
    assert_eq!((rig.position(0), rig.position(1)), (None, Some(RECORDS)));
}

/// The safe crate would wait for the rest of a poll of 100 ms each time.
#[test]
fn a_reader_ends_as_soon_as_it_is_closed() {
    let rig = Rig::new();
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", rig.kafka.bootstrap_servers());
    let least = (0..10).map(|_| {
        let reader = Reader::new_uncommitted(&config, "group").expect("good settings");
        reader.start(TOPIC, 0, CommitPosition(0)).expect("it is not read yet");
        let give_up_at = Instant::now() + LIMIT;
        while !matches!(reader.poll(POLL), Polled::Record(_)) {
            assert!(Instant::now() < give_up_at, "no record within {LIMIT:?}");
        }
        let dropped_at = Instant::now();
        drop(reader);
        dropped_at.elapsed()
    });
    // What else the machine does only makes it longer.
    let least = least.min().expect("there are some");
    assert!(least < Duration::from_millis(90), "it took {least:?}");
}
