//! Records that are not what they should be: each ends in the dead-letter topic with the right
//! class and its bytes, and the ones beside it are counted.

mod names;
mod shapes;
mod sizes;

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use testkit::{Cluster, Input, LogRecord, OrderEncoder, Pipeline, Process, machine, oracle};

/// Longest run of a consumer over a few hundred records.
const RUN_MAX: Duration = Duration::from_secs(40);

/// Why a record must end as a dead letter: class, reason, schema id that it names.
type Verdict = (&'static str, &'static str, Option<u32>);

/// Header names that only the consumer writes on a dead letter.
const OURS: [&str; 21] = [
    "x-origin-topic",
    "x-origin-partition",
    "x-origin-offset",
    "x-origin-timestamp-ms",
    "x-origin-timestamp-type",
    "x-origin-group",
    "x-first-failed-at-ms",
    "x-attempt",
    "x-failure-class",
    "x-failure-reason",
    "x-failure-detail",
    "x-fingerprint",
    "kafka_dlt-original-topic",
    "kafka_dlt-original-partition",
    "kafka_dlt-original-offset",
    "kafka_dlt-original-timestamp",
    "kafka_dlt-original-timestamp-type",
    "kafka_dlt-original-consumer-group",
    "kafka_dlt-exception-fqcn",
    "kafka_dlt-exception-message",
    "x-truncated",
];

/// Headers of a dead letter that are not the consumer's.
fn passed_through(record: &LogRecord) -> Vec<testkit::Header> {
    let is_ours = |name: &[u8]| OURS.iter().any(|ours| ours.as_bytes() == name);
    record.headers.iter().filter(|(name, _)| !is_ours(name)).cloned().collect()
}

/// CRC-32 as in zip files, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes
        .iter()
        .fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
}

/// Checks that a dead letter says what is wrong, and still is the record that it was.
#[track_caller]
fn check_dead_letter(record: &LogRecord, input: &Input, verdict: Verdict, attempts: &str) {
    let (class, reason, schema_id) = verdict;
    let at = record.origin();
    let said = (record.header_text("x-failure-class"), record.header_text("x-failure-reason"));
    assert_eq!(said, (class, reason), "{at:?}: {}", record.header_text("x-failure-detail"));
    let id = schema_id.map_or("-".to_owned(), |id| id.to_string());
    let fingerprint = format!("{:08x}", crc32(format!("{class}/{reason}/{id}").as_bytes()));
    assert_eq!(record.header_text("x-fingerprint"), fingerprint, "{at:?} {class}/{reason}/{id}");
    assert_eq!(record.header_text("x-attempt"), attempts, "{at:?}");
    let detail = record.header_text("x-failure-detail");
    assert!(!detail.is_empty() && detail.len() <= 1024, "{at:?}: {detail:?}");
    assert_eq!(record.header_text("kafka_dlt-exception-fqcn"), format!("orders.{class}"));
    assert_eq!(record.header_text("kafka_dlt-exception-message"), format!("{reason}: {detail}"));
    assert!(record.key == input.key, "{at:?}: the key changed");
    assert!(record.value == input.value, "{at:?}: the value changed");
    assert_eq!(passed_through(record), input.headers, "{at:?}");
    for name in OURS.iter().filter(|name| **name != "x-truncated") {
        assert_eq!(record.headers_named(name).len(), 1, "{at:?} {name}");
    }
}

/// Coordinates that inputs get in an empty topic.
fn coordinates(inputs: &[Input]) -> Vec<(i32, i64)> {
    let mut next: HashMap<i32, i64> = HashMap::new();
    let place = |input: &Input| {
        let offset = next.entry(input.partition).or_default();
        *offset += 1;
        (input.partition, *offset - 1)
    };
    inputs.iter().map(place).collect()
}

/// Dead letters by where they came from; each origin stands there once.
fn dead_letters(pipeline: &Pipeline) -> HashMap<(i32, i64), LogRecord> {
    let mut found = HashMap::new();
    for record in pipeline.records(&pipeline.dlq) {
        let before = found.insert(record.origin(), record);
        assert!(before.is_none(), "dead-lettered twice: {before:?}");
    }
    found
}

/// Runs the consumer over everything, and returns its statistics.
#[track_caller]
fn consume(pipeline: &Pipeline, args: &[&str]) -> serde_json::Value {
    let args = [&["--exit-at-end", "-o", "json"], args].concat();
    let finished = Process::consumer(pipeline, &args).wait(RUN_MAX);
    finished.expect_code(0).stats()
}

/// Registers something under a subject of its own, and returns the id.
fn register(pipeline: &Pipeline, subject: &str, body: &serde_json::Value) -> u32 {
    let url = pipeline.servers.registry_url.strip_prefix("http://").expect("a plain registry");
    let (host, path) = url.split_once('/').expect("it has a path");
    let mut stream = TcpStream::connect(host).expect("the registry listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time-out");
    let body = body.to_string();
    write!(
        stream,
        "POST /{path}/subjects/{}-{subject}/versions HTTP/1.0\r\nHost: {host}\r\nContent-Type: \
         application/json\r\nContent-Length: {}\r\n\r\n{body}",
        pipeline.prefix,
        body.len()
    )
    .expect("it listens");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let json = answer.split_once("\r\n\r\n").expect("an HTTP answer").1;
    let json: serde_json::Value = serde_json::from_str(json).unwrap_or_else(|_| panic!("{answer}"));
    u32::try_from(json["id"].as_u64().unwrap_or_else(|| panic!("{answer}"))).expect("an id")
}

fn register_avro(pipeline: &Pipeline, subject: &str, fields: &str) -> u32 {
    let schema = format!(
        r#"{{"type":"record","name":"Order","namespace":"com.example.orders","fields":[{fields}]}}"#
    );
    register(pipeline, subject, &serde_json::json!({ "schema": schema }))
}

fn framed(schema_id: u32, body: &[u8]) -> Vec<u8> {
    [&[0], &schema_id.to_be_bytes()[..], body].concat()
}

/// Values that are no framed datum of a schema that can be read.
fn undecodable(pipeline: &Pipeline, encoder: &OrderEncoder) -> Vec<(Option<Vec<u8>>, Verdict)> {
    const UNKNOWN_ID: u32 = 2_000_000_000;
    let id = encoder.schema_id;
    let good = encoder.input(0, "order", "tea", 1.0).value.expect("an order");
    let protobuf = serde_json::json!({
        "schemaType": "PROTOBUF",
        "schema": format!("syntax = \"proto3\"; message A{} {{ string a = 1; }}", pipeline.prefix.replace('-', "")),
    });
    let not_avro = register(pipeline, "protobuf", &protobuf);
    let string = r#""type":"string""#;
    let (order_id, product) =
        (format!(r#"{{"name":"orderId",{string}}}"#), format!(r#"{{"name":"product",{string}}}"#));
    let no_product = register_avro(pipeline, "no-product", &order_id);
    let double = r#"{"name":"price","type":"double"}"#;
    let double_price =
        register_avro(pipeline, "double-price", &format!("{order_id},{product},{double}"));
    let malformed = |reason, id| ("malformed", reason, id);
    vec![
        (None, malformed("no-value", None)),
        (Some(vec![]), malformed("too-short", None)),
        (Some(vec![0, 0, 0, 0]), malformed("too-short", None)),
        (Some(b"\xde\xad\xbe\xef\x00\x01\x02\x03\x04\x05".to_vec()), malformed("bad-magic", None)),
        (Some(b"{\"id\":\"1\"}".to_vec()), malformed("bad-magic", None)),
        (Some(framed(id, b"")), malformed("avro-decode", Some(id))),
        (Some(framed(id, b"\x0aabc")), malformed("avro-decode", Some(id))),
        (Some(framed(id, b"\x01")), malformed("avro-decode", Some(id))),
        (Some(framed(id, b"\x02\xff\x02a\x00\x00\x80\x3f")), malformed("avro-decode", Some(id))),
        (
            Some(framed(id, b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01")),
            malformed("avro-decode", Some(id)),
        ),
        (Some([&good[..], b"\x00"].concat()), malformed("trailing-bytes", Some(id))),
        (Some([&good[..], &good[5..]].concat()), malformed("trailing-bytes", Some(id))),
        (
            Some(framed(UNKNOWN_ID, &good[5..])),
            ("unknown-schema", "schema-not-found", Some(UNKNOWN_ID)),
        ),
        (Some(framed(not_avro, &good[5..])), ("incompatible-schema", "not-avro", Some(not_avro))),
        (
            Some(framed(no_product, b"\x02a")),
            ("incompatible-schema", "cannot-resolve", Some(no_product)),
        ),
        (
            Some(framed(double_price, b"\x02a\x02b\0\0\0\0\0\0\0\0")),
            ("incompatible-schema", "cannot-resolve", Some(double_price)),
        ),
    ]
}

/// Orders that break a rule of the business.
fn invalid(encoder: &OrderEncoder) -> Vec<(Option<Vec<u8>>, Verdict)> {
    let orders = [
        ("", "tea", 1.0, "empty-order-id"),
        ("a", "", 1.0, "empty-product"),
        ("b", " \t\u{a0}\u{2003}", 1.0, "empty-product"),
        ("c", "tea", -0.01, "negative-price"),
        ("d", "tea", f32::NAN, "price-not-finite"),
        ("e", "tea", f32::INFINITY, "price-not-finite"),
        ("f", "tea", f32::NEG_INFINITY, "price-not-finite"),
        ("g", "tea", 1e9_f32.next_up(), "price-too-large"),
        ("", "", f32::NAN, "empty-order-id"),
    ];
    let case = |(order_id, product, price, reason): (&str, &str, f32, _)| {
        let value = encoder.input(0, order_id, product, price).value;
        (value, ("invalid", reason, Some(encoder.schema_id)))
    };
    orders.into_iter().map(case).collect()
}

#[test]
fn every_reason_of_the_contract_ends_in_the_dlq_and_healthy_records_are_counted() {
    let _guard = machine::shared();
    let pipeline = Cluster::shared().pipeline(3);
    let encoder = pipeline.orders_v1();
    let bad = [undecodable(&pipeline, &encoder), invalid(&encoder)].concat();
    let healthy_prices = [-0.0, 0.0, f32::MIN_POSITIVE, 0.1, 12.345, 1e9, 16_777_216.0];
    let (mut inputs, mut verdicts, mut sum, mut healthy) = (Vec::new(), Vec::new(), 0, 0);
    for (n, (value, verdict)) in bad.into_iter().enumerate() {
        let partition = i32::try_from(n % 3).expect("small");
        let price = healthy_prices[n % healthy_prices.len()];
        inputs.push(encoder.input(partition, &format!("healthy-{n}"), "tea", price));
        verdicts.push(None);
        (sum, healthy) = (sum + oracle::ten_thousandths(price), healthy + 1);
        let key = Some(format!("bad-{n}").into_bytes());
        let headers = vec![(b"trace".to_vec(), Some(n.to_string().into_bytes()))];
        inputs.push(Input { partition, key, value, headers });
        verdicts.push(Some(verdict));
    }
    // Confluent 8's other framing: the schema id stands in a header, and the value is the bare datum.
    let bare = encoder.input(0, "bare", "tea", 1.0).value.expect("an order")[5..].to_vec();
    let id = (b"__value_schema_id".to_vec(), Some([&[1][..], &[7; 16]].concat()));
    let (key, value) = (Some(b"bare".to_vec()), Some(bare));
    inputs.push(Input { partition: 0, key, value, headers: vec![id] });
    verdicts.push(Some(("malformed", "bad-magic", None)));
    pipeline.send(&pipeline.orders, &inputs);
    let stats = consume(&pipeline, &[]);

    let dead = dead_letters(&pipeline);
    let last = *coordinates(&inputs).last().expect("there are some");
    let detail = dead[&last].header_text("x-failure-detail");
    assert!(detail.contains("a framing that is not supported"), "{detail}");
    for ((at, input), verdict) in coordinates(&inputs).iter().zip(&inputs).zip(&verdicts) {
        match verdict {
            Some(verdict) => check_dead_letter(&dead[at], input, *verdict, "1"),
            None => assert!(!dead.contains_key(at), "{:?}", dead[at]),
        }
    }
    assert_eq!(dead.len(), inputs.len() - healthy);
    let counts = ["consumed", "succeeded", "retried", "dead_lettered", "waiting"];
    let counts = counts.map(|name| stats[name].as_u64().expect("a count"));
    let (all, dead, healthy) = (inputs.len() as u64, dead.len() as u64, healthy as u64);
    assert_eq!(counts, [all, healthy, 0, dead, 0]);
    assert_eq!(stats["overall"]["sum"], oracle::decimal4(sum));
    assert_eq!(pipeline.lag(), 0);
}
