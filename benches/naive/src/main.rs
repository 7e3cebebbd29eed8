//! Running averages as one writes them from the manuals of the crates: `StreamConsumer`, `schema_registry_converter`,
//! values of `apache-avro`, and transactions of a `FutureProducer`. `make bench` measures the consumer beside it.
//!
//! Usage: `naive BROKERS REGISTRY ORDERS AVERAGES GROUP`; reads to the end, and prints the number of orders, and the sum
//! of their prices in 1/10000.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use apache_avro::Decimal;
use apache_avro::types::Value;
use futures_util::future::try_join_all;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use schema_registry_converter::async_impl::avro::{AvroDecoder, AvroEncoder};
use schema_registry_converter::async_impl::schema_registry::SrSettings;
use schema_registry_converter::schema_registry_common::SubjectNameStrategy;
use tokio::time::{MissedTickBehavior, interval};

/// Time between two commits.
const COMMIT_EVERY: Duration = Duration::from_millis(100);

/// Longest wait for one answer.
const ASK: Duration = Duration::from_secs(10);

#[derive(Default)]
struct Average {
    count: i64,
    /// In 1/10000.
    sum: i64,
}

struct Averages {
    producer: FutureProducer,
    encoder: AvroEncoder,
    topic: String,
    products: HashMap<String, Average>,
    changed: HashSet<String>,
    /// Next offset of each partition.
    positions: BTreeMap<i32, i64>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [brokers, registry, orders, averages, group] = &arguments[..] else {
        bail!("usage: naive BROKERS REGISTRY ORDERS AVERAGES GROUP");
    };
    let consumer: StreamConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("enable.partition.eof", "true")
        .set_log_level(RDKafkaLogLevel::Warning)
        .create()?;
    consumer.subscribe(&[orders])?;
    let metadata = consumer.fetch_metadata(Some(orders), ASK)?;
    let partitions = metadata.topics().first().context("no such topic")?.partitions().len();
    let settings = SrSettings::new(registry.clone());
    let decoder = AvroDecoder::new(settings.clone());
    let mut state = Averages::open(brokers, averages, group, AvroEncoder::new(settings))?;
    let mut ended = HashSet::new();
    let mut ticks = interval(COMMIT_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    state.producer.begin_transaction()?;
    while ended.len() < partitions {
        tokio::select! {
            message = consumer.recv() => match message {
                Ok(message) => state.add(&decoder, &message).await?,
                Err(KafkaError::PartitionEOF(partition)) => {
                    ended.insert(partition);
                }
                Err(error) => return Err(error.into()),
            },
            _ = ticks.tick() => state.commit(&consumer, orders).await?,
        }
    }
    state.commit(&consumer, orders).await?;
    let (count, sum) = state
        .products
        .values()
        .fold((0, 0), |(count, sum), average| (count + average.count, sum + average.sum));
    println!("{count} records, sum {sum}");
    Ok(())
}

impl Averages {
    fn open(brokers: &str, topic: &str, group: &str, encoder: AvroEncoder) -> Result<Self> {
        let producer: FutureProducer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("transactional.id", group)
            .create()?;
        producer.init_transactions(ASK)?;
        Ok(Self {
            producer,
            encoder,
            topic: topic.to_owned(),
            products: HashMap::new(),
            changed: HashSet::new(),
            positions: BTreeMap::new(),
        })
    }

    /// Counts one order.
    async fn add(&mut self, decoder: &AvroDecoder, message: &BorrowedMessage<'_>) -> Result<()> {
        let Value::Record(fields) = decoder.decode(message.payload()).await?.value else {
            bail!("not a record");
        };
        let (mut product, mut price) = (None, None);
        for (name, value) in fields {
            match (name.as_str(), value) {
                ("product", Value::String(text)) => product = Some(text),
                ("price", Value::Float(number)) => price = Some(number),
                _ => {}
            }
        }
        let product = product.context("an order without a product")?;
        let price = price.context("an order without a price")?;
        if !self.changed.contains(&product) {
            self.changed.insert(product.clone());
        }
        let average = self.products.entry(product).or_default();
        average.count += 1;
        average.sum += (f64::from(price) * 10_000.0).round() as i64;
        self.positions.insert(message.partition(), message.offset() + 1);
        Ok(())
    }

    /// Writes what has changed, commits it with the offsets, and begins the next transaction.
    async fn commit(&mut self, consumer: &StreamConsumer, orders: &str) -> Result<()> {
        if self.positions.is_empty() {
            return Ok(());
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
        let now = i64::try_from(now)?;
        let strategy = SubjectNameStrategy::TopicNameStrategy(self.topic.clone(), false);
        let mut deliveries = Vec::with_capacity(self.changed.len());
        for product in self.changed.drain() {
            let Average { count, sum } = self.products[&product];
            let fields = vec![
                ("product", Value::String(product.clone())),
                ("count", Value::Long(count)),
                ("sum", Value::Decimal(Decimal::from(sum.to_be_bytes()))),
                ("average", Value::Double(sum as f64 / 10_000.0 / count as f64)),
                ("updatedAt", Value::TimestampMillis(now)),
            ];
            let value = self.encoder.encode(fields, strategy.clone()).await?;
            let record = FutureRecord::to(&self.topic).key(&product).payload(&value);
            let delivery = self.producer.send_result(record).map_err(|(error, _)| error)?;
            deliveries
                .push(async { delivery.await?.map_err(|(error, _)| anyhow::Error::from(error)) });
        }
        try_join_all(deliveries).await?;
        let mut offsets = TopicPartitionList::new();
        for (partition, position) in std::mem::take(&mut self.positions) {
            offsets.add_partition_offset(orders, partition, Offset::Offset(position))?;
        }
        let member = consumer.group_metadata().context("not a member")?;
        tokio::task::block_in_place(|| {
            self.producer.send_offsets_to_transaction(&offsets, &member, ASK)?;
            self.producer.commit_transaction(ASK)?;
            self.producer.begin_transaction()
        })?;
        Ok(())
    }
}
