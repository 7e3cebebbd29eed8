//! Polls a topic from its start to its end and drops every record: the least that a consumer on
//! this client can cost. `cargo bench -p consumer` measures the consumer beside it.
//!
//! Usage: `poll_floor BROKERS TOPIC`; prints the number of records.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

/// Longest wait for one answer.
const ASK: Duration = Duration::from_secs(10);

/// Longest time for the whole topic.
const LIMIT: Duration = Duration::from_secs(300);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [brokers, topic] = &arguments[..] else {
        eprintln!("usage: poll_floor BROKERS TOPIC");
        return ExitCode::from(2);
    };
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "poll-floor") // never joined: librdkafka wants one to assign by hand
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .create()
        .expect("the settings are accepted");
    let metadata = consumer.fetch_metadata(Some(topic), ASK).expect("the brokers answer");
    let partitions = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
    let mut assignment = TopicPartitionList::new();
    for partition in 0..i32::try_from(partitions).expect("a count of partitions") {
        assignment
            .add_partition_offset(topic, partition, Offset::Beginning)
            .expect("a partition and its start");
    }
    consumer.assign(&assignment).expect("the partitions exist");
    let (mut records, mut bytes, mut open) = (0_u64, 0_usize, partitions);
    let give_up_at = Instant::now() + LIMIT;
    while open > 0 {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(record)) => {
                records += 1;
                bytes += record.payload_len();
            }
            Some(Err(KafkaError::PartitionEOF(_))) => open -= 1,
            Some(Err(error)) => panic!("{topic} cannot be read: {error}"),
            None => assert!(Instant::now() < give_up_at, "{topic} was not read within {LIMIT:?}"),
        }
    }
    println!("{records} records, {bytes} bytes");
    ExitCode::SUCCESS
}
