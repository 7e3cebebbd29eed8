//! Dead letters of mixed causes, written by hand in the headers of eight tools, with what is true of
//! each of them. Nothing here uses the code that reads them.

use codec::frame::schema_id;
use orders::Order;
use testkit::{Cluster, Input, LogRecord, OrderEncoder, Pipeline};

/// Partitions of the topic.
pub(crate) const PARTITIONS: i32 = 3;

/// What is true of one dead letter.
#[derive(Debug, Clone)]
pub(crate) struct Planted {
    pub(crate) input: Input,
    pub(crate) dialect: &'static str,
    pub(crate) class: Option<&'static str>,
    pub(crate) reason: Option<&'static str>,
    pub(crate) fingerprint: Option<&'static str>,
    pub(crate) attempts: Option<u32>,
    pub(crate) tenant: &'static str,
    pub(crate) order_id: Option<String>,
    /// Whether the value is an object that can be printed as JSON.
    pub(crate) is_readable: bool,
    /// Where it lies; known once it was sent.
    pub(crate) place: (i32, i64),
    pub(crate) timestamp_ms: i64,
}

impl Planted {
    /// Key, if there is one.
    pub(crate) fn key(&self) -> Option<&[u8]> {
        self.input.key.as_deref()
    }

    /// Schema id, where its value is framed.
    pub(crate) fn schema_id(&self) -> Option<u32> {
        schema_id(self.input.value.as_deref())
    }
}

/// A topic of dead letters, and what lies in it.
pub(crate) struct Topic {
    pub(crate) pipeline: Pipeline,
    pub(crate) planted: Vec<Planted>,
    pub(crate) schema_ids: [u32; 2],
}

impl Topic {
    /// Writes so many dead letters, with others between them that were aborted.
    pub(crate) fn of(count: usize) -> Self {
        let pipeline = Cluster::shared().pipeline(PARTITIONS);
        let encoders = [pipeline.orders_v1(), pipeline.orders_v2()];
        let mut planted: Vec<Planted> = (0..count).map(|n| one(n, &encoders)).collect();
        let inputs: Vec<Input> = planted.iter().map(|planted| planted.input.clone()).collect();
        let (first, second) = inputs.split_at(count / 2);
        pipeline.send(&pipeline.dlq, first);
        pipeline.send_aborted(&pipeline.dlq, &inputs[..count.min(30)]);
        pipeline.send(&pipeline.dlq, second);
        let records = pipeline.records(&pipeline.dlq);
        assert_eq!(records.len(), count, "what was aborted is not there");
        for partition in 0..PARTITIONS {
            let of_partition = |record: &&LogRecord| record.partition == partition;
            let there = records.iter().filter(of_partition);
            let sent = planted.iter_mut().filter(|planted| planted.input.partition == partition);
            for (planted, record) in sent.zip(there) {
                planted.place = record.coordinates();
                planted.timestamp_ms = record.timestamp_ms;
            }
        }
        Self { pipeline, planted, schema_ids: encoders.map(|encoder| encoder.schema_id) }
    }

    /// Places of those of which something is true, in order.
    pub(crate) fn places(&self, is_meant: impl Fn(&Planted) -> bool) -> Vec<(i32, i64)> {
        let meant = self.planted.iter().filter(|planted| is_meant(planted));
        let mut places: Vec<_> = meant.map(|planted| planted.place).collect();
        places.sort_unstable();
        places
    }
}

fn one(n: usize, encoders: &[OrderEncoder; 2]) -> Planted {
    let partition = i32::try_from(n % 3).expect("small");
    let key = (!n.is_multiple_of(7)).then(|| format!("k-{}", n % 50).into_bytes());
    let id = format!("o-{n}");
    let order = || Order::new(&*id, "tea", 1.5);
    let (value, order_id) = match n % 4 {
        0 => (Some(encoders[0].encode(&order())), Some(id)),
        1 => (Some(encoders[1].encode(&order())), Some(id)),
        2 => (Some(format!("{{\"orderId\": \"{id}\", \"price\": 1.5}}").into_bytes()), Some(id)),
        _ if n % 8 == 3 => (Some(vec![0xff, 0x1b, b'[', b'2', b'J']), None),
        _ => (None, None),
    };
    let tenant = ["a", "b", "c", "d", "e"][n % 5];
    let input = Input::new(partition, key.as_deref(), value.as_deref())
        .with_header("tenant", Some(tenant.as_bytes()))
        .with_header("binary", Some(&[0, 0xff]))
        .with_header("nothing", None);
    let is_readable = order_id.is_some();
    let planted = Planted {
        input,
        dialect: "unknown",
        class: None,
        reason: None,
        fingerprint: None,
        attempts: None,
        tenant,
        order_id,
        is_readable,
        place: (-1, -1),
        timestamp_ms: -1,
    };
    let marks = match n % 11 {
        kind @ 0..=3 => own(kind, n),
        kind @ 4..=5 => spring(kind, n),
        kind @ 6..=9 => apache_and_smallrye(kind, n),
        _ if n.is_multiple_of(2) => Marks::default(),
        _ => karafka(n),
    };
    marks.on(planted)
}

/// Headers of one tool, and what they say.
#[derive(Default)]
struct Marks {
    dialect: Option<&'static str>,
    class: Option<&'static str>,
    reason: Option<&'static str>,
    fingerprint: Option<&'static str>,
    attempts: Option<u32>,
    headers: Vec<(&'static str, Vec<u8>)>,
}

impl Marks {
    fn of(dialect: &'static str) -> Self {
        Self { dialect: Some(dialect), ..Self::default() }
    }

    fn text(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string().into_bytes()));
        self
    }

    fn bytes(mut self, name: &'static str, value: &[u8]) -> Self {
        self.headers.push((name, value.to_vec()));
        self
    }

    fn on(self, planted: Planted) -> Planted {
        let headers = self.headers.iter();
        let input = headers.fold(planted.input.clone(), |input, (name, value)| {
            input.with_header(name, Some(value))
        });
        Planted {
            input,
            dialect: self.dialect.unwrap_or(planted.dialect),
            class: self.class,
            reason: self.reason,
            fingerprint: self.fingerprint,
            attempts: self.attempts,
            ..planted
        }
    }
}

/// Ours, as docs/wire-contract.md has them, with Spring's behind them.
fn own(kind: usize, n: usize) -> Marks {
    let (class, reason, print, attempts) = [
        ("invalid", "negative-price", "0000000a", 1),
        ("transient", "handler", "0000000b", 4),
        ("transient", "simulated", "0000000c", 3),
        ("malformed", "avro-decode", "0000000d", 1),
    ][kind];
    let marks = Marks {
        class: Some(class),
        reason: Some(reason),
        fingerprint: Some(print),
        attempts: Some(attempts),
        ..Marks::of("orders")
    };
    marks
        .text("x-origin-topic", "orders")
        .text("x-origin-partition", 0)
        .text("x-origin-offset", n)
        .text("x-origin-group", "shop")
        .text("x-attempt", attempts)
        .text("x-failure-class", class)
        .text("x-failure-reason", reason)
        .text("x-failure-detail", "by\u{1b}[2J hand")
        .text("x-fingerprint", print)
        .text("kafka_dlt-original-topic", "orders")
        .bytes("kafka_dlt-original-partition", &[0, 0, 0, 0])
        .bytes("kafka_dlt-original-offset", &n.to_be_bytes())
        .text("kafka_dlt-exception-fqcn", format!("orders.{class}"))
}

fn spring(kind: usize, n: usize) -> Marks {
    if kind == 4 {
        let (class, reason) = ("shop.ListenerFailed", "java.io.IOException");
        return Marks { class: Some(class), reason: Some(reason), ..Marks::of("spring") }
            .text("kafka_dlt-original-topic", "shop")
            .bytes("kafka_dlt-original-partition", &[0, 0, 0, 2])
            .bytes("kafka_dlt-original-offset", &n.to_be_bytes())
            .text("kafka_dlt-exception-fqcn", class)
            .text("kafka_dlt-exception-cause-fqcn", reason);
    }
    let class = "shop.Refused";
    Marks { class: Some(class), attempts: Some(3), ..Marks::of("spring-retryable") }
        .text("kafka_original-topic", "shop")
        .text("kafka_original-partition", 1)
        .text("kafka_original-offset", n)
        .text("kafka_exception-fqcn", class)
        .bytes("retry_topic-attempts", &[0, 0, 0, 4])
}

fn apache_and_smallrye(kind: usize, n: usize) -> Marks {
    match kind {
        6 => {
            let (class, reason) =
                ("VALUE_CONVERTER", "org.apache.kafka.connect.errors.DataException");
            Marks { class: Some(class), reason: Some(reason), ..Marks::of("connect") }
                .text("__connect.errors.topic", "shop")
                .text("__connect.errors.partition", 1)
                .text("__connect.errors.offset", n)
                .text("__connect.errors.stage", class)
                .text("__connect.errors.exception.class.name", reason)
        }
        7 => {
            let class = "java.lang.IllegalStateException";
            Marks { class: Some(class), ..Marks::of("streams") }
                .text("__streams.errors.topic", "shop")
                .text("__streams.errors.partition", 1)
                .text("__streams.errors.offset", n)
                .text("__streams.errors.exception", format!("{class}: order {n} has no price"))
        }
        8 => Marks { attempts: Some(5), ..Marks::of("share-group") }
            .text("__dlq.errors.topic", "shop")
            .text("__dlq.errors.partition", 1)
            .text("__dlq.errors.offset", n)
            .text("__dlq.errors.delivery.count", 5),
        _ => {
            let class = "shop.Refused";
            Marks { class: Some(class), ..Marks::of("smallrye") }
                .text("dead-letter-topic", "shop")
                .text("dead-letter-partition", 1)
                .text("dead-letter-offset", n)
                .text("dead-letter-exception-class-name", class)
        }
    }
}

fn karafka(n: usize) -> Marks {
    Marks { attempts: Some(4), ..Marks::of("karafka") }
        .text("source_topic", "shop")
        .text("source_partition", 1)
        .text("source_offset", n)
        .text("source_attempts", 4)
}
