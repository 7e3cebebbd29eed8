//! Reads orders from the start of a topic to its end, and adds up the prices of each product, as
//! `crates/kafka-io/examples/batch_floor.rs` does on librdkafka: the same decoding, the same table, the same output.
//!
//! Usage: `own-fetch BROKERS TOPIC`; prints the number of orders, and the sum of their prices in 1/10000.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use own_fetch::cluster::Cluster;
use own_fetch::reader::{Polled, Reader};

/// Longest time for the whole topic.
const LIMIT: Duration = Duration::from_secs(300);

/// Wait for more.
const WAIT: Duration = Duration::from_millis(5);

/// Bytes before the datum: a zero, and the id of the schema.
const FRAME_BYTES: usize = 5;

/// Orders and prices by product.
type Sums = HashMap<Box<[u8]>, (u64, i64), foldhash::fast::RandomState>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [brokers, topic] = &arguments[..] else {
        eprintln!("usage: own-fetch BROKERS TOPIC");
        return ExitCode::from(2);
    };
    let (mut reader, mut open) = read_from_start(brokers, topic);
    let mut sums = Sums::default();
    let give_up_at = Instant::now() + LIMIT;
    while open > 0 {
        match reader.poll(WAIT) {
            Polled::Record(record) => add(&mut sums, record.value().expect("an order")),
            Polled::End(_) => open -= 1,
            Polled::Nothing => {
                assert!(Instant::now() < give_up_at, "{topic} was not read in {LIMIT:?}");
            }
            Polled::OutOfRange => panic!("{topic} begins later"),
            Polled::Away(text) => eprintln!("{text}"),
            Polled::Denied(text) | Polled::Missing(text) => panic!("{text}"),
        }
    }
    let (count, sum) = sums.values().fold((0, 0), |(count, sum), one| (count + one.0, sum + one.1));
    println!("{count} records, sum {sum}");
    ExitCode::SUCCESS
}

/// Reads all partitions of a topic from their starts, and says how many they are.
fn read_from_start(brokers: &str, topic: &str) -> (Reader, usize) {
    let mut cluster = Cluster::new(brokers);
    cluster.refresh(&[topic]).expect("the brokers answer");
    let mut reader = Reader::new(brokers);
    reader.look_up(&[topic]).expect("the brokers answer");
    let partitions = cluster.partitions(topic);
    for partition in &partitions {
        let (start, _) = cluster.bounds(topic, *partition).expect("the leader answers");
        reader.start(topic, *partition, start);
    }
    (reader, partitions.len())
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
