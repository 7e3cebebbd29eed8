//! `orders dlq` over dead letters of mixed causes and tools, on real servers.

mod discard;
mod others;
pub(crate) mod planted;
mod program;
mod redrive;
mod traced;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;
use testkit::{Finished, Input, Pipeline, Process};

use planted::{PARTITIONS, Planted, Topic};

/// Longest time for one look at a topic.
const LOOK_MAX: Duration = Duration::from_secs(60);

/// As many as a bad night leaves.
const MANY: usize = 20_000;

/// Runs `orders dlq` on the topic of dead letters.
pub(crate) fn dlq(pipeline: &Pipeline, args: &[&str]) -> Finished {
    let servers = &pipeline.servers;
    let connection = [
        "-b",
        &servers.bootstrap_servers,
        "--schema-registry-url",
        &servers.registry_url,
        "--dlq-topic",
        &pipeline.dlq,
    ];
    let all = [&["dlq"], args, &connection].concat();
    Process::start("orders", &all, &[]).wait(LOOK_MAX)
}

/// What a run prints, one JSON object a line.
#[track_caller]
pub(crate) fn lines(finished: &Finished, code: i32) -> Vec<Value> {
    finished.expect_code(code);
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    finished.stdout.lines().map(parse).collect()
}

fn place(line: &Value) -> (i32, i64) {
    let partition = line["partition"].as_i64().and_then(|p| i32::try_from(p).ok());
    (partition.expect("a partition"), line["offset"].as_i64().expect("an offset"))
}

/// A dead letter of this pipeline in partition 0, of a group.
fn letter_of(group: &str, key: &str) -> Input {
    let headers = [
        ("x-origin-topic", "orders"),
        ("x-origin-partition", "0"),
        ("x-origin-offset", "1"),
        ("x-origin-group", group),
        ("x-attempt", "1"),
        ("x-failure-class", "invalid"),
        ("x-failure-reason", "negative-price"),
    ];
    let record = Input::new(0, Some(key.as_bytes()), None);
    headers
        .into_iter()
        .fold(record, |record, (name, value)| record.with_header(name, Some(value.as_bytes())))
}

/// A filter as it is written, and whom it must mean.
type Case<'a> = (Vec<String>, Box<dyn Fn(&Planted) -> bool + 'a>);

/// Every flag, alone and with others.
fn cases(topic: &Topic) -> Vec<Case<'_>> {
    let owned = |args: &[&str]| args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>();
    let [v1, v2] = topic.schema_ids;
    let mut times: Vec<i64> = topic.planted.iter().map(|planted| planted.timestamp_ms).collect();
    times.sort_unstable();
    let (early, late) = (times[times.len() / 3], times[times.len() * 2 / 3] + 1);
    let (early_text, late_text, v2_text) = (early.to_string(), late.to_string(), v2.to_string());
    vec![
        (owned(&[]), Box::new(|_| true)),
        (owned(&["--class", "transient"]), Box::new(|p| p.class == Some("transient"))),
        (
            owned(&["--class", "Refused", "--class", "VALUE_CONVERTER"]),
            Box::new(|p| matches!(p.class, Some("shop.Refused" | "VALUE_CONVERTER"))),
        ),
        (owned(&["--reason", "handler"]), Box::new(|p| p.reason == Some("handler"))),
        (
            owned(&["--reason", "java.io.IOException", "--reason", "DataException"]),
            Box::new(|p| matches!(p.dialect, "spring" | "connect")),
        ),
        (owned(&["--fingerprint", "0000000B"]), Box::new(|p| p.fingerprint == Some("0000000b"))),
        (owned(&["--key", "k-7"]), Box::new(|p| p.key() == Some(b"k-7"))),
        (
            owned(&["--order-id", "o-8", "--order-id", "o-14", "--order-id", "o-3"]),
            Box::new(|p| matches!(p.order_id.as_deref(), Some("o-8" | "o-14"))),
        ),
        (owned(&["--from", &early_text]), Box::new(move |p| p.timestamp_ms >= early)),
        (owned(&["--to", &late_text]), Box::new(move |p| p.timestamp_ms < late)),
        (
            owned(&["--from", &early_text, "--to", &late_text]),
            Box::new(move |p| (early..late).contains(&p.timestamp_ms)),
        ),
        (owned(&["--from", "-1h"]), Box::new(|_| true)),
        (owned(&["--to", "-1h"]), Box::new(|_| false)),
        (owned(&["--to", "2020-01-01T00:00:00Z"]), Box::new(|_| false)),
        (owned(&["--partition", "1"]), Box::new(|p| p.place.0 == 1)),
        (owned(&["-p", "0", "-p", "2"]), Box::new(|p| p.place.0 != 1)),
        (owned(&["--header", "tenant=c"]), Box::new(|p| p.tenant == "c")),
        (owned(&["--header", "nothing"]), Box::new(|_| true)),
        (
            owned(&["--header", "tenant=c", "--header", "x-attempt=4"]),
            Box::new(|p| p.tenant == "c" && p.reason == Some("handler")),
        ),
        (owned(&["--schema-id", &v2_text]), Box::new(move |p| p.schema_id() == Some(v2))),
        (
            owned(&["--schema-id", &v2_text, "--schema-id", &v1.to_string()]),
            Box::new(|p| p.schema_id().is_some()),
        ),
        (owned(&["--attempts", "3"]), Box::new(|p| p.attempts == Some(3))),
        (owned(&["--attempts", "4.."]), Box::new(|p| p.attempts.is_some_and(|n| n >= 4))),
        (
            owned(&["--class", "transient", "--partition", "2", "--attempts", "..3"]),
            Box::new(|p| p.reason == Some("simulated") && p.place.0 == 2),
        ),
    ]
}

#[test]
fn each_filter_means_those_that_an_independent_count_means() {
    let topic = Topic::of(MANY);
    let mut counts = BTreeSet::new();
    for (flags, is_meant) in cases(&topic) {
        let args: Vec<&str> = flags.iter().map(String::as_str).collect();
        let finished = dlq(&topic.pipeline, &[&["list", "-o", "jsonl"], &args[..]].concat());
        let found: Vec<_> = lines(&finished, 0).iter().map(place).collect();
        let expected = topic.places(is_meant);
        assert!(found == expected, "{flags:?}: {} and not {}", found.len(), expected.len());
        let told = format!("{} ", found.len());
        assert!(finished.stderr.contains(&told), "{flags:?}: {}", finished.stderr);
        counts.insert(found.len());
    }
    assert!(counts.len() > 12, "filters that mean the same show little: {counts:?}");
    every_cause_is_counted(&topic);
}

/// `stats` over the same topic.
fn every_cause_is_counted(topic: &Topic) {
    let finished = dlq(&topic.pipeline, &["stats", "-o", "json"]);
    let told = lines(&finished, 0).remove(0);
    assert_eq!((told["scanned"].as_u64(), told["other_causes"].as_u64()), (Some(20_000), Some(0)));
    let mut expected: BTreeMap<_, Vec<i64>> = BTreeMap::new();
    for planted in &topic.planted {
        // Those of other tools have a cause for each schema.
        let schema = if planted.dialect == "orders" { None } else { planted.schema_id() };
        let cause = (planted.dialect, planted.class, planted.reason, schema);
        expected.entry(cause).or_default().push(planted.timestamp_ms);
    }
    let groups = told["groups"].as_array().expect("a list");
    let mut found: Vec<_> = groups
        .iter()
        .map(|group| {
            let text = |name: &str| group[name].as_str().map(str::to_owned);
            let number = |name: &str| group[name].as_i64().expect("a number");
            let cause = (text("dialect"), text("class"), text("reason"));
            (cause, number("count"), number("first_ms"), number("last_ms"))
        })
        .collect();
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let mut expected: Vec<_> = expected
        .into_iter()
        .map(|((dialect, class, reason, _), times)| {
            let (first, last) = (times.iter().min(), times.iter().max());
            let count = i64::try_from(times.len()).expect("few");
            let cause = (owned(Some(dialect)), owned(class), owned(reason));
            (cause, count, *first.expect("some"), *last.expect("some"))
        })
        .collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    // What stats names, list means.
    for group in groups {
        let print = group["fingerprint"].as_str().expect("digits");
        let listed = dlq(&topic.pipeline, &["list", "-o", "jsonl", "--fingerprint", print]);
        assert_eq!(lines(&listed, 0).len() as u64, group["count"].as_u64().expect("a number"));
    }
}

#[test]
fn an_export_has_every_byte_of_every_record() {
    let topic = Topic::of(600);
    let records = topic.pipeline.records(&topic.pipeline.dlq);
    let by_place: BTreeMap<_, _> = records.iter().map(|r| (r.coordinates(), r)).collect();
    for flags in [&["export"][..], &["export", "--raw"]] {
        let exported = lines(&dlq(&topic.pipeline, flags), 0);
        assert_eq!(exported.len(), records.len());
        for line in &exported {
            let record = by_place[&place(line)];
            assert_eq!(bytes(line, "key"), record.key, "{line}");
            let value = line["value_base64"].as_str().map(|text| BASE64.decode(text).expect("it"));
            assert_eq!(value, record.value, "{line}");
            let headers: Vec<_> = line["headers"].as_array().expect("a list").iter().collect();
            assert_eq!(headers.len(), record.headers.len());
            for (told, (name, value)) in headers.into_iter().zip(&record.headers) {
                assert_eq!(told["key"].as_str().map(str::as_bytes), Some(name.as_slice()));
                assert_eq!(&bytes(told, "value"), value, "{told}");
            }
        }
    }
    let by_place: BTreeMap<_, _> = topic.planted.iter().map(|p| (p.place, p)).collect();
    for line in lines(&dlq(&topic.pipeline, &["export"]), 0) {
        let planted = by_place[&place(&line)];
        assert_eq!(line["value"]["orderId"].as_str(), planted.order_id.as_deref(), "{line}");
        assert_eq!(line["dialect"], planted.dialect);
    }
    let values = dlq(&topic.pipeline, &["export", "--values"]);
    let readable = topic.places(|planted| planted.is_readable).len();
    assert_eq!(lines(&values, 3).len(), readable, "the others are left out, and that is told");
    assert!(values.stderr.contains("left out"), "{}", values.stderr);
    let only_readable = ["export", "--values", "--schema-id", &topic.schema_ids[0].to_string()];
    assert!(lines(&dlq(&topic.pipeline, &only_readable), 0).iter().all(|v| v["price"] == 1.5));
}

/// Text, or what is in base64 where it is none.
fn bytes(line: &Value, name: &str) -> Option<Vec<u8>> {
    let in_base64 = line[format!("{name}_base64")].as_str();
    let decoded = in_base64.map(|text| BASE64.decode(text).expect("base64"));
    decoded.or_else(|| line[name].as_str().map(|text| text.as_bytes().to_vec()))
}

#[test]
fn a_limit_stops_the_reading_and_is_told() {
    let topic = Topic::of(300);
    let finished = dlq(&topic.pipeline, &["list", "-o", "jsonl", "--limit", "7", "-p", "1"]);
    let found: Vec<_> = lines(&finished, 0).iter().map(place).collect();
    assert_eq!(found, topic.places(|planted| planted.place.0 == 1)[..7]);
    assert!(finished.stderr.contains("--limit"), "{}", finished.stderr);
    let array = dlq(&topic.pipeline, &["list", "-o", "json", "--limit", "2"]);
    let array: Value = serde_json::from_str(&array.stdout).expect("one JSON value");
    assert_eq!(array.as_array().map(Vec::len), Some(2));
    let none = dlq(&topic.pipeline, &["list", "-o", "json", "--key", "nobody"]);
    assert_eq!(serde_json::from_str::<Value>(&none.stdout).expect("one"), Value::Array(vec![]));
    assert_eq!(i64::from(PARTITIONS), 3, "of which one was asked for");
}
