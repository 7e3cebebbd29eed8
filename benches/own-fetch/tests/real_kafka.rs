//! Against a real Kafka of three brokers, with the environment of `stack up --kafka-brokers 3`. Without one they fail.

mod support;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use kafka_protocol::records::Compression::{Gzip, Lz4, None as Plain, Snappy, Zstd};
use own_fetch::reader::{Polled, Reader};

use support::{LIMIT, Topic, brokers, wait_for};

/// Partition, offset and value.
type Seen = (i32, i64, String);

/// Reads partitions from offsets to their ends, and says where these were.
fn read(topic: &str, from: &[(i32, i64)]) -> (Vec<Seen>, HashMap<i32, i64>) {
    let mut reader = Reader::new(&brokers());
    for (partition, offset) in from {
        reader.start(topic, *partition, *offset);
    }
    let give_up_at = Instant::now() + LIMIT;
    let (mut records, mut open) = (Vec::new(), from.len());
    while open > 0 {
        assert!(Instant::now() < give_up_at, "{open} partitions were not read to their ends");
        match reader.poll(Duration::from_millis(100)) {
            Polled::Record(it) => {
                let value = String::from_utf8_lossy(it.value().expect("a value")).into_owned();
                records.push((it.partition(), it.offset(), value));
            }
            Polled::End(_) => open -= 1,
            Polled::Nothing | Polled::Away(_) => {}
            Polled::OutOfRange | Polled::Denied(_) | Polled::Missing(_) => panic!("it is there"),
        }
    }
    let ends =
        reader.positions().into_iter().map(|((_, partition), end)| (partition, end)).collect();
    (records, ends)
}

fn values(range: std::ops::Range<usize>, word: &str) -> Vec<String> {
    range.map(|at| format!("{at} {word}")).collect()
}

#[test]
fn of_transactions_only_what_is_committed_is_seen_and_nothing_behind_an_open_one() {
    let mut plain = Topic::new("transactions", 2, 1, &[]);
    let (mut one, mut other) = (plain.transactional("one"), plain.transactional("other"));
    let (mut expected, mut written) = (Vec::new(), 0);
    for round in 0..60 {
        let (is_one, is_other) = (round % 3 != 0, round % 4 != 1);
        let compression = [Plain, Gzip, Snappy, Lz4, Zstd][round % 5];
        for partition in 0..2 {
            one.add(partition);
            other.add(partition);
            let mut write = |topic: &mut Topic, is_committed: bool, word: &str| {
                let batch = values(written..written + 7, word);
                written += 7;
                topic.write(partition, &batch, compression);
                expected
                    .extend(batch.into_iter().filter(|_| is_committed).map(|it| (partition, it)));
            };
            write(&mut one, is_one, "one");
            write(&mut other, is_other, "other");
            write(&mut plain, true, "plain");
            write(&mut one, is_one, "one");
        }
        one.end(is_one);
        other.end(is_other);
    }
    one.add(0);
    one.write(0, &values(0..5, "undecided"), Plain);
    plain.write(0, &values(0..5, "behind it"), Plain);
    let mut stable = (0, 0);
    wait_for("all markers", || {
        let cluster = &plain.cluster;
        let bounds =
            |partition| cluster.bounds(&plain.name, partition).expect("the leader answers");
        stable = (bounds(0).1, bounds(1).1);
        stable.0 == 60 * 30 && stable.1 == 60 * 30
    });
    let (seen, ends) = read(&plain.name, &[(0, 0), (1, 0)]);
    assert_eq!((ends[&0], ends[&1]), stable, "the end is the last stable offset");
    for partition in 0..2 {
        let of = |(it, ..): &&Seen| *it == partition;
        let seen: Vec<&str> = seen.iter().filter(of).map(|it| &*it.2).collect();
        let expected = expected.iter().filter(|it| it.0 == partition);
        assert_eq!(seen, expected.map(|it| &*it.1).collect::<Vec<_>>(), "partition {partition}");
    }
    for from in 0..60 {
        let later = seen.iter().filter(|it| it.0 == 0 && it.1 >= from).cloned();
        assert_eq!(read(&plain.name, &[(0, from)]).0, later.collect::<Vec<_>>(), "from {from}");
    }
    one.end(false);
}

#[test]
fn of_a_compacted_log_the_last_record_of_each_key_is_seen() {
    let settings = [
        ("cleanup.policy", "compact"),
        ("segment.bytes", "1048576"),
        ("segment.ms", "200"),
        ("min.cleanable.dirty.ratio", "0.01"),
        ("delete.retention.ms", "0"),
    ];
    let mut topic = Topic::new("compacted", 1, 1, &settings);
    let mut producer = topic.transactional("writer");
    for round in 0..40 {
        producer.add(0);
        producer.write(0, &values(round..round + 10, &format!("round {round}")), Plain);
        producer.end(round % 5 != 4);
    }
    let mut seen = Vec::new();
    let mut beat = 0;
    wait_for("gaps in the log", || {
        beat += 1;
        topic.write(0, &[format!("beat {beat}")], Plain); // a segment is closed by the next record
        seen = read(&topic.name, &[(0, 0)]).0;
        seen.len() < 150
    });
    let mut last: HashMap<&str, &str> = HashMap::new();
    for (_, _, value) in &seen {
        last.insert(value.split(' ').next().expect("a key"), value);
    }
    for key in 0..49 {
        let rounds =
            (0..40).rev().find(|round| round % 5 != 4 && (*round..round + 10).contains(&key));
        let expected = rounds.map(|round| format!("{key} round {round}"));
        assert_eq!(last.get(&*key.to_string()).map(|it| (*it).to_owned()), expected, "key {key}");
    }
    assert!(seen.is_sorted_by_key(|it| it.1), "offsets rise");
}

#[test]
fn a_partition_that_is_given_to_other_brokers_is_read_on_without_loss_or_repetition() {
    let mut topic = Topic::new("moved", 2, 1, &[]);
    let mut reader = Reader::new(&brokers());
    reader.start(&topic.name, 0, 0);
    reader.start(&topic.name, 1, 0);
    let (mut seen, mut news) = (Vec::new(), 0);
    for round in 0..6 {
        let leader = topic.cluster.leader(&topic.name, 0).expect("a leader").broker;
        topic.give(0, &[leader % 3 + 1]);
        for partition in 0..2 {
            topic.write(partition, &values(round * 100..round * 100 + 100, "moved"), Lz4);
        }
        let give_up_at = Instant::now() + LIMIT;
        while seen.len() < (round + 1) * 200 {
            assert!(Instant::now() < give_up_at, "round {round}: {} records", seen.len());
            match reader.poll(Duration::from_millis(50)) {
                Polled::Record(it) => seen.push((it.partition(), it.offset())),
                Polled::End(_) | Polled::Nothing => {}
                Polled::Away(_) | Polled::Missing(_) => news += 1,
                Polled::OutOfRange | Polled::Denied(_) => panic!("it is there"),
            }
        }
    }
    assert!(news > 0, "no move was noticed: is it a cluster of three?");
    for partition in 0..2 {
        let of = seen.iter().filter(|it| it.0 == partition).map(|it| it.1);
        assert!(of.eq(0..600), "each record of partition {partition} once, in order");
    }
}

#[test]
fn an_offset_that_is_not_there_is_said_and_a_partition_can_be_begun_again() {
    let mut topic = Topic::new("range", 1, 1, &[]);
    topic.write(0, &values(0..10, "here"), Plain);
    let mut reader = Reader::new(&brokers());
    reader.start(&topic.name, 0, 99);
    wait_for("the news", || matches!(reader.poll(Duration::from_millis(50)), Polled::OutOfRange));
    reader.start(&topic.name, 0, 4);
    let mut seen = 0;
    wait_for("the rest", || {
        let polled = reader.poll(Duration::from_millis(50));
        seen += usize::from(matches!(polled, Polled::Record(_)));
        matches!(polled, Polled::End(0))
    });
    assert_eq!((seen, reader.cached_bounds(&topic.name, 0)), (6, Some((0, 10))));
}
