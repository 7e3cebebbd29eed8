//! The topic that all programs read, and what must come out of it.

use std::collections::BTreeMap;

use codec::scalar::AvroRecord as _;
use order_schemas::ProductAverage;
use testkit::{Cluster, Pipeline, Role};

pub(crate) const PARTITIONS: i32 = 3;

/// Records that are handed to the brokers in one go while the topic is filled.
pub(crate) const FILL_RECORDS: u64 = 100_000;

/// A topic of orders.
pub(crate) struct OrdersLog {
    pub(crate) pipeline: Pipeline,
    pub(crate) records: u64,
    pub(crate) products: u64,
    /// Of all prices, in 1/10000.
    pub(crate) sum: u64,
}

impl OrdersLog {
    /// Fills a topic with small orders, the same number in each partition.
    pub(crate) fn fill(records: u64, products: u64) -> Self {
        let pipeline = Cluster::shared().pipeline(PARTITIONS);
        let encoder = pipeline.orders_v1();
        let input = |n: u64| {
            let partition = i32::try_from(n % PARTITIONS.unsigned_abs() as u64).expect("small");
            let (id, product) = (format!("order-{n:08}"), product(n, products));
            encoder.input(partition, &id, &product, price(n))
        };
        for start in (0..records).step_by(usize::try_from(FILL_RECORDS).expect("small")) {
            let batch: Vec<_> = (start..records.min(start + FILL_RECORDS)).map(input).collect();
            pipeline.send(&pipeline.orders, &batch);
        }
        let sum = (0..records).map(|n| n % 10_000 * 100).sum();
        Self { pipeline, records, products, sum }
    }

    /// The same orders for a group of its own, with a topic of averages that has its schema.
    pub(crate) fn reader(&self, name: &str) -> Pipeline {
        let pipeline = self.renamed(name);
        let settings = [("cleanup.policy", "compact"), ("segment.bytes", "16777216")];
        pipeline.create(Role::Averages, PARTITIONS, &settings);
        pipeline.register_for(&pipeline.averages, ProductAverage::SCHEMA);
        pipeline
    }

    /// The names of a group of its own: nothing is made.
    pub(crate) fn renamed(&self, name: &str) -> Pipeline {
        let mut pipeline = self.pipeline.clone();
        for own in
            [&mut pipeline.group, &mut pipeline.averages, &mut pipeline.retry, &mut pipeline.dlq]
        {
            own.push('-');
            own.push_str(name);
        }
        pipeline
    }

    /// What a program prints that has counted every order once.
    pub(crate) fn line(&self) -> String {
        format!("{} records, sum {}", self.records, self.sum)
    }

    /// Checks what a reader of committed records finds: the last average of each product and partition, and the offsets.
    ///
    /// # Panics
    ///
    /// Panics when an order is missing or was counted twice.
    pub(crate) fn check(&self, name: &str, reader: &Pipeline) {
        let mut last = BTreeMap::new();
        for entry in reader.averages_log() {
            last.insert((entry.partition, entry.average.product.clone()), entry.average);
        }
        let count: i64 = last.values().map(|average| average.count).sum();
        let sum: i128 = last.values().map(|average| average.sum.ten_thousandths()).sum();
        let is_right = count.unsigned_abs() == self.records && sum == i128::from(self.sum);
        assert!(is_right, "{name}: {} stand in the log, and not {count}, {sum}", self.line());
        let ends: Vec<_> = reader.ends(&reader.orders).into_iter().map(Some).collect();
        let committed = reader.committed(&reader.orders);
        assert_eq!(committed, ends, "{name}: committed offsets");
    }
}

/// Name of the product of an order.
pub(crate) fn product(order: u64, products: u64) -> String {
    format!("product-{:03}", order % products)
}

/// Price of an order, whole cents.
pub(crate) fn price(order: u64) -> f32 {
    (order % 10_000) as f32 / 100.0
}
