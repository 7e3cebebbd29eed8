//! What a test puts into topics: any bytes, at any partition.

use std::time::Duration;

use codec::encode::Encoder;
use codec::registry::{Registry, RegistrySettings, value_subject};
use kafka_io::client_config::Role as HandleRole;
use kafka_io::native::RecordHeaders;
use kafka_io::writer::{Guarantee, Writer, topic_name};
use order_schemas::{OrderRecord, OrderVersion};
use orders::Order;

use crate::pipeline::{Pipeline, SERVER_MAX, block_on};

/// Name and value of a header, as bytes.
pub type Header = (Vec<u8>, Option<Vec<u8>>);

/// Longest wait for the acknowledgements of one call: a broker that shares its processors with many others may stand still
/// for seconds.
const ACKNOWLEDGE_MAX: Duration = SERVER_MAX;

/// Records that one call leaves unacknowledged at most.
const BATCH_RECORDS: usize = 10_000;

/// A record to send.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Input {
    /// Partition.
    pub partition: i32,
    /// Key; `None` is a null key.
    pub key: Option<Vec<u8>>,
    /// Value; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// Headers in order.
    pub headers: Vec<Header>,
}

impl Input {
    /// A record without headers.
    pub fn new(partition: i32, key: Option<&[u8]>, value: Option<&[u8]>) -> Self {
        let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
        Self { partition, key: owned(key), value: owned(value), headers: Vec::new() }
    }

    /// The record with one more header, after the others.
    #[must_use]
    pub fn with_header(mut self, name: impl AsRef<[u8]>, value: Option<&[u8]>) -> Self {
        self.headers.push((name.as_ref().to_vec(), value.map(<[u8]>::to_vec)));
        self
    }

    fn record_headers(&self) -> Option<RecordHeaders> {
        if self.headers.is_empty() {
            return None;
        }
        let mut headers = RecordHeaders::new();
        for (name, value) in &self.headers {
            headers.add(name, value.as_deref());
        }
        Some(headers)
    }
}

/// Writes orders under one registered schema.
#[derive(Debug, Clone)]
pub struct OrderEncoder {
    /// Id that the registry gave the schema.
    pub schema_id: u32,
    /// Version that is written.
    pub version: OrderVersion,
    encoder: Encoder<OrderRecord>,
}

impl OrderEncoder {
    /// An order as bytes of a record's value.
    pub fn encode(&self, order: &Order) -> Vec<u8> {
        let mut value = Vec::with_capacity(64);
        self.encoder.encode_into(&mut value, order);
        value
    }

    /// A record of one order with its product as key.
    pub fn input(&self, partition: i32, order_id: &str, product: &str, price: f32) -> Input {
        let value = self.encode(&Order::new(order_id, product, price));
        Input::new(partition, Some(product.as_bytes()), Some(&value))
    }
}

impl Pipeline {
    /// Registers version 1 of the order's schema and writes with it.
    pub fn orders_v1(&self) -> OrderEncoder {
        self.order_encoder(OrderVersion::V1, order_schemas::ORDER_V1)
    }

    /// Registers version 2 of the order's schema and writes with it.
    pub fn orders_v2(&self) -> OrderEncoder {
        self.order_encoder(OrderVersion::V2, order_schemas::ORDER_V2)
    }

    fn order_encoder(&self, version: OrderVersion, schema: &str) -> OrderEncoder {
        let schema_id = self.register(schema);
        let encoder = Encoder::with_schema(schema, schema_id).expect("a version of the order");
        OrderEncoder { schema_id, version, encoder }
    }

    /// Registers any schema for the values of the orders topic and returns its id.
    pub fn register(&self, schema: &str) -> u32 {
        self.register_for(&self.orders, schema)
    }

    /// Registers any schema for the values of a topic and returns its id.
    pub fn register_for(&self, topic: &str, schema: &str) -> u32 {
        let settings = RegistrySettings::new(&self.servers.registry_url).expect("an address");
        block_on(async {
            let registry = Registry::new(settings).expect("an address");
            registry.register(&value_subject(topic), schema).await.expect("it is registered")
        })
    }

    /// Sends records in a transaction that is aborted: nobody reads them.
    ///
    /// # Panics
    ///
    /// Panics when one is refused.
    pub fn send_aborted(&self, topic: &str, inputs: &[Input]) {
        let config = self.servers.config(HandleRole::Producer);
        let id = format!("{}-aborted", self.prefix);
        let mut writer = Writer::open(&config, Guarantee::ExactlyOnce, &id, SERVER_MAX)
            .expect("settings are good");
        let topic = topic_name(topic);
        writer.begin().expect("a transaction begins");
        for (tag, input) in inputs.iter().enumerate() {
            let (key, value) = (input.key.as_deref(), input.value.as_deref());
            let headers = input.record_headers();
            writer
                .produce(&topic, input.partition, key, value, headers.as_ref(), tag)
                .expect("the queue takes it");
        }
        writer.acknowledged().expect("the broker takes all records");
        writer.abort().expect("it is aborted");
    }

    /// Sends records in order and waits for all acknowledgements.
    ///
    /// # Panics
    ///
    /// Panics when one is refused.
    pub fn send(&self, topic: &str, inputs: &[Input]) {
        let mut config = self.servers.config(HandleRole::Producer);
        config
            .set("linger.ms", "5")
            .set("batch.num.messages", "2000")
            .set("message.timeout.ms", ACKNOWLEDGE_MAX.as_millis().to_string());
        let mut writer = Writer::open(&config, Guarantee::AtLeastOnce, "", SERVER_MAX)
            .expect("settings are good");
        let topic = topic_name(topic);
        writer.begin().expect("there is no transaction to begin");
        for batch in inputs.chunks(BATCH_RECORDS) {
            for (tag, input) in batch.iter().enumerate() {
                let (key, value) = (input.key.as_deref(), input.value.as_deref());
                let headers = input.record_headers();
                writer
                    .produce(&topic, input.partition, key, value, headers.as_ref(), tag)
                    .expect("the queue takes it");
            }
            writer.acknowledged_within(ACKNOWLEDGE_MAX).expect("the broker takes all records");
        }
    }
}
