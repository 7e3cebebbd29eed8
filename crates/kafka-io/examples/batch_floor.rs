//! Reads orders from the start of a topic to its end, and adds up the prices of each product: the least that a
//! consumer on librdkafka can cost. It takes batches, decodes by hand, knows one schema, and trusts every byte; it
//! writes nothing, and what it counted is gone with it. `make bench` measures the consumer beside it.
//!
//! Usage: `batch_floor BROKERS TOPIC`; prints the number of orders, and the sum of their prices in 1/10000.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use kafka_io::native::BatchQueue;
use rdkafka::consumer::{BaseConsumer, Consumer as _, DefaultConsumerContext};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

/// Longest wait for one answer.
const ASK: Duration = Duration::from_secs(10);

/// Longest time for the whole topic.
const LIMIT: Duration = Duration::from_secs(300);

/// Records of one batch.
const BATCH_RECORDS: usize = 1_000;

/// Wait for more where a batch is not full.
const WAIT: Duration = Duration::from_millis(5);

/// Bytes before the datum: a zero, and the id of the schema.
const FRAME_BYTES: usize = 5;

/// Orders and prices by product.
type Sums = HashMap<Box<[u8]>, (u64, i64), foldhash::fast::RandomState>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [brokers, topic] = &arguments[..] else {
        eprintln!("usage: batch_floor BROKERS TOPIC");
        return ExitCode::from(2);
    };
    let consumer = consumer(brokers);
    let queue = BatchQueue::of(&consumer);
    let mut open = read_from_start(&consumer, topic);
    let mut sums = Sums::default();
    let give_up_at = Instant::now() + LIMIT;
    while open > 0 {
        let taken = queue.visit(WAIT, BATCH_RECORDS, |message| match message.error() {
            None => add(&mut sums, message.value().expect("an order")),
            Some(RDKafkaErrorCode::PartitionEOF) => open -= 1,
            Some(error) => panic!("{topic} cannot be read: {error}"),
        });
        assert!(taken > 0 || Instant::now() < give_up_at, "{topic} was not read in {LIMIT:?}");
    }
    let (count, sum) = sums.values().fold((0, 0), |(count, sum), one| (count + one.0, sum + one.1));
    println!("{count} records, sum {sum}");
    ExitCode::SUCCESS
}

fn consumer(brokers: &str) -> Arc<BaseConsumer<DefaultConsumerContext>> {
    let consumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "batch-floor") // never joined: librdkafka wants one to assign by hand
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "true")
        .create()
        .expect("the settings are accepted");
    Arc::new(consumer)
}

/// Reads all partitions of a topic from their starts, and says how many they are.
fn read_from_start(consumer: &BaseConsumer<DefaultConsumerContext>, topic: &str) -> usize {
    let metadata = consumer.fetch_metadata(Some(topic), ASK).expect("the brokers answer");
    let partitions = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
    let mut assignment = TopicPartitionList::new();
    for partition in 0..i32::try_from(partitions).expect("a count of partitions") {
        assignment
            .add_partition_offset(topic, partition, Offset::Beginning)
            .expect("a partition and its start");
    }
    consumer.assign(&assignment).expect("the partitions exist");
    partitions
}

/// Adds one order: its id, its product, its price.
fn add(sums: &mut Sums, value: &[u8]) {
    let mut datum = &value[FRAME_BYTES..];
    text(&mut datum);
    let product = text(&mut datum);
    let price = f32::from_le_bytes(datum.try_into().expect("four bytes are left"));
    let entry = sums.entry_ref(product).or_default();
    entry.0 += 1;
    #[expect(clippy::cast_possible_truncation, reason = "it trusts its input")]
    let price = (f64::from(price) * 10_000.0).round() as i64;
    entry.1 += price;
}

/// Takes a text: a zigzag varint, and that many bytes.
fn text<'a>(datum: &mut &'a [u8]) -> &'a [u8] {
    let (mut length, mut shift) = (0_usize, 0);
    loop {
        let byte = datum[0];
        *datum = &datum[1..];
        length |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
        shift += 7;
    }
    let (text, rest) = datum.split_at(length >> 1);
    *datum = rest;
    text
}
