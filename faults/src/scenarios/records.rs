//! Records that are not what they should be, through the real topics.

use std::collections::HashMap;
use std::time::Duration;

use order_schemas::ORDER_V2;
use rand::Rng as _;
use rand::rngs::StdRng;
use testkit::oracle::{End, Rules};
use testkit::{Cluster, Input, LogRecord, OrderEncoder, Pipeline, Process, Role};

use crate::ending::{finish, settled, stop};
use crate::run::Run;
use crate::scenario::Scenario;

pub(super) const BAD_VALUES: Scenario = Scenario {
    name: "bad-values",
    rows: &[17, 18, 20],
    does: "sends values of writer schemas that fit and that do not, broken frames and Avro, \
           impossible prices, and orders with random bytes changed",
    expects: "each is counted or dead-lettered for the reason that an independent oracle gives",
    full_max_s: 120,
    run: bad_values,
};

pub(super) const STRANGE_SHAPES: Scenario = Scenario {
    name: "strange-shapes",
    rows: &[19, 21],
    does: "sends tombstones, null and empty keys, headers that are not UTF-8, 1,000 headers, \
           one of 1 MB, and line breaks in keys and headers",
    expects: "retries and dead letters keep all bytes, and no log line is forged",
    full_max_s: 120,
    run: strange_shapes,
};

/// Longest wait until all are settled.
const LIMIT: Duration = Duration::from_secs(60);

/// Room for a record with a header of 1 MB.
const ROOMY_BYTES: &str = "3000000";

const HEADER_BYTES: usize = 1 << 20;

/// Bytes of a varint that says more than there is.
const HUGE: &[u8] = b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01";

fn framed(schema_id: u32, body: &[u8]) -> Vec<u8> {
    [&[0], &schema_id.to_be_bytes()[..], body].concat()
}

/// Values with something wrong that is known beforehand; the oracle knows what.
fn broken(encoder: &OrderEncoder) -> Vec<Option<Vec<u8>>> {
    let id = encoder.schema_id;
    let good = encoder.input(0, "order", "tea", 1.0).value.expect("an order");
    let priced = |price| encoder.input(0, "priced", "tea", price).value;
    let prices = [-0.01, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, -0.0, 0.0, 1e9];
    let mut values = vec![
        None,
        Some(Vec::new()),
        Some(vec![0, 0, 0, 0]),
        Some(b"\x01\0\0\0\x01order".to_vec()),
        Some(b"{\"orderId\":\"1\"}".to_vec()),
        Some(framed(id, b"")),
        Some(framed(id, b"\x0aabc")),
        Some(framed(id, b"\x01")), // a length of -1
        Some(framed(id, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")), // more than a varint
        Some(framed(id, HUGE)),
        Some(framed(id, b"\x02\xff\x02a\x00\x00\x80\x3f")),
        Some([&good[..], b"\0"].concat()),
        Some([&good[..], &good[5..]].concat()),
        encoder.input(0, "", "tea", 1.0).value,
        encoder.input(0, "no product", " \t", 1.0).value,
    ];
    values.extend((0..good.len()).map(|length| Some(good[..length].to_vec())));
    values.extend(prices.map(priced));
    values
}

/// An order with a few of its bytes changed behind the frame, or cut off.
fn changed(encoder: &OrderEncoder, random: &mut StdRng, n: usize) -> Option<Vec<u8>> {
    let mut value = encoder.input(0, &format!("changed-{n}"), "tea", 2.5).value.expect("an order");
    for _ in 0..random.random_range(1..4) {
        let at = random.random_range(5..value.len());
        value[at] = random.random();
    }
    if random.random_bool(0.2) {
        value.truncate(random.random_range(0..value.len()));
    }
    Some(value)
}

/// The order with a field of another type, and values that were written with it.
fn incompatible(pipeline: &Pipeline) -> Vec<Vec<u8>> {
    let schema = |fields: &str| {
        format!(
            r#"{{"type":"record","name":"Order","namespace":"com.example.orders","fields":[{fields}]}}"#
        )
    };
    let text = |name: &str| format!(r#"{{"name":"{name}","type":"string"}}"#);
    let (id, product) = (text("orderId"), text("product"));
    let cases = [
        (format!("{id},{product},{}", text("price")), &b"\x02a\x02b\x021"[..]),
        (
            format!(r#"{id},{product},{{"name":"price","type":"double"}}"#),
            b"\x02a\x02b\0\0\0\0\0\0\0\0",
        ),
        (id.clone(), b"\x02a"),
        (format!(r#"{id},{product},{{"name":"price","type":["null","float"]}}"#), b"\x02a\x02b\0"),
        (
            format!(
                r#"{id},{{"name":"product","type":{{"type":"enum","name":"P","symbols":["A"]}}}},{{"name":"price","type":"float"}}"#
            ),
            b"\x02a\0\0\0\0\0",
        ),
    ];
    let value = |(n, (fields, body)): (usize, (String, &[u8]))| {
        // A subject of its own for each: none has to be compatible with another.
        let registered =
            pipeline.register_for(&format!("{}-other-{n}", pipeline.prefix), &schema(&fields));
        framed(registered, body)
    };
    cases.into_iter().enumerate().map(value).collect()
}

/// Version 2 with one more field that has a default: newer than the reader.
fn newer(pipeline: &Pipeline, v2: &OrderEncoder) -> Vec<u8> {
    let mut schema: serde_json::Value = serde_json::from_str(ORDER_V2).expect("a schema");
    let coupon = serde_json::json!({"name": "coupon", "type": ["null", "string"], "default": null});
    schema["fields"].as_array_mut().expect("fields").push(coupon);
    let id = pipeline.register(&schema.to_string());
    let mut value = v2.input(0, "newer", "tea", 1.25).value.expect("an order");
    value[1..5].copy_from_slice(&id.to_be_bytes());
    value.extend(b"\x02\x08SAVE"); // the union's second branch: a string of four bytes
    value
}

fn bad_values(run: &mut Run) {
    let pipeline = Cluster::shared().pipeline(3);
    let (v1, v2) = (pipeline.orders_v1(), pipeline.orders_v2());
    let rules = Rules::new(&[&v1, &v2]);
    let mut values: Vec<Option<Vec<u8>>> = [broken(&v1), broken(&v2)].concat();
    let random_ones = run.pick(1_000, 30_000);
    values.extend((0..random_ones).map(|n| changed(&v1, &mut run.random, n)));
    let is_dead =
        |value: &Option<Vec<u8>>| matches!(rules.fate(value.as_deref()).end, End::Dead { .. });
    let mut dead = values.iter().filter(|value| is_dead(value)).count();
    // The oracle knows nothing of other schemas.
    let judged = values.len();
    let others = incompatible(&pipeline);
    dead += others.len();
    values.extend(others.into_iter().map(Some));
    values.push(Some(newer(&pipeline, &v2)));
    values.extend((0..50).map(|n| v2.input(0, &format!("good-{n}"), "tea", 0.1).value));
    let input = |(n, value): (usize, &Option<Vec<u8>>)| {
        let partition = i32::try_from(n % 3).expect("small");
        Input::new(partition, Some(format!("key-{n}").as_bytes()), value.as_deref())
    };
    let inputs: Vec<Input> = values.iter().enumerate().map(input).collect();
    pipeline.send(&pipeline.orders, &inputs);
    let statistics = finish(run, &pipeline, &["--dlq-limit", "off"], &[]);
    assert_eq!(statistics["dead_lettered"], dead, "by the oracle: {statistics}");
    assert_eq!(statistics["succeeded"], inputs.len() - dead, "by the oracle: {statistics}");
    agree_with(&rules, &pipeline, &values[..judged]);
    run.figure("dead-lettered", format!("{dead} of {}", inputs.len()));
}

/// Compares what became of each value, and why, with what the oracle says.
fn agree_with(rules: &Rules, pipeline: &Pipeline, values: &[Option<Vec<u8>>]) {
    let dead: HashMap<(i32, i64), LogRecord> = pipeline
        .records(&pipeline.dlq)
        .into_iter()
        .map(|letter| (letter.origin(), letter))
        .collect();
    for (n, value) in values.iter().enumerate() {
        let place = (i32::try_from(n % 3).expect("small"), i64::try_from(n / 3).expect("small"));
        let told = dead.get(&place).map(|letter| {
            (letter.header_text("x-failure-class"), letter.header_text("x-failure-reason"))
        });
        let expected = match rules.fate(value.as_deref()).end {
            End::Dead { class, reason } => Some((class, reason)),
            End::Counted(_) => None,
        };
        assert_eq!(told, expected, "value {n} at {place:?}: {value:02x?}");
    }
}

fn strange_shapes(run: &mut Run) {
    const FORGED: &str = "FORGED-LINE";
    let roles = [Role::Orders, Role::Retry, Role::DeadLetter];
    let changes = roles.map(|role| (role, "max.message.bytes", ROOMY_BYTES));
    let pipeline = Cluster::shared().pipeline_with(2, &changes);
    let encoder = pipeline.orders_v1();
    let lines = format!("a\r\n{FORGED} level=error\x1b[31m\n");
    let large = vec![b'h'; HEADER_BYTES];
    let mut inputs = Vec::new();
    for n in 0..run.pick(3, 30) {
        let order = |what: &str, price| encoder.input(n % 2, &format!("{what}-{n}"), "tea", price);
        let keyed = |what: &str, key: Option<&[u8]>| Input {
            key: key.map(<[u8]>::to_vec),
            ..order(what, 1.0)
        };
        inputs.extend([
            Input::new(n % 2, Some(b"tombstone"), None),
            Input::new(n % 2, None, None),
            Input::new(n % 2, None, Some(b"")),
            keyed("null key", None),
            keyed("empty key", Some(b"")),
            keyed("no UTF-8", Some(b"\xff\xfe\0")),
            keyed(&lines, Some(lines.as_bytes())),
            order(&lines, -1.0).with_header(&lines, Some(lines.as_bytes())),
            order("header", 1.0)
                .with_header(b"\xff\xfe", Some(b"\xc3\x28\0"))
                .with_header("null", None),
            order("large", 1.0).with_header("large", Some(&large)),
            (0..1_000).fold(order("many", 1.0), |i, h| i.with_header(format!("h{h}"), Some(b"v"))),
        ]);
    }
    pipeline.send(&pipeline.orders, &inputs);
    // All that can be retried is: bytes travel through every topic.
    let flags = ["--simulate-failures", "0.7", "--max-retries", "1", "--retry-delay", "100ms"];
    let consumer = Process::consumer(&pipeline, &flags);
    settled(&pipeline, LIMIT);
    let log = stop(consumer).stderr;
    assert!(
        !log.lines().any(|line| line.starts_with(FORGED)),
        "a line of the log is forged:\n{log}"
    );
    assert!(!log.contains('\x1b'), "the log holds an escape sequence");
    finish(run, &pipeline, &flags, &[]);
}
