//! Payloads of any topic: JSON, and Avro of any schema.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use relane::{Record, payload};
use serde::Deserialize;
use testkit::machine;

use crate::rig::{FINE, Rig};

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Visit {
    page: Page,
    tags: BTreeMap<String, Vec<i64>>,
    referrer: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Page {
    url: String,
}

const VISIT: &str = r#"{"type": "record", "name": "Visit", "fields": [
    {"name": "page", "type": {"type": "record", "name": "Page", "fields": [{"name": "url", "type": "string"}]}},
    {"name": "tags", "type": {"type": "map", "values": {"type": "array", "items": "long"}}},
    {"name": "referrer", "type": ["null", "string"]}]}"#;

fn visit(url: &str) -> Visit {
    let tags = BTreeMap::from([("a".to_owned(), vec![1, -2])]);
    Visit { page: Page { url: url.to_owned() }, tags, referrer: Some("/".to_owned()) }
}

/// Runs a pipeline and returns what its handler got, and the dead letters.
fn run<P>(rig: &Rig, payload: P) -> (Vec<Visit>, Vec<(String, String, String)>)
where
    P: relane::payload::Payload<Value = Visit>,
{
    let got: Arc<Mutex<Vec<Visit>>> = Arc::default();
    let noted = Arc::clone(&got);
    let handler = move |record: Record<Visit>| {
        noted.lock().expect("no panic while held").push((*record.value).clone());
        async { FINE }
    };
    let report = rig.builder().run(payload, handler).expect("it ends well");
    assert!(report.reached_end);
    assert_eq!(rig.topics.lag(), 0);
    let got = got.lock().expect("no panic while held").clone();
    (got, rig.dead_letters())
}

fn letter(key: &str, class: &str, reason: &str) -> (String, String, String) {
    (key.to_owned(), class.to_owned(), reason.to_owned())
}

#[test]
fn json_is_handled_and_what_is_none_is_dead_lettered_byte_for_byte() {
    let _machine = machine::shared();
    let rig = Rig::new(1);
    let good = r#"{"page": {"url": "/x"}, "tags": {"a": [1, -2]}, "referrer": "/", "more": 1}"#;
    rig.send([good, "{\"page\": ", "{\"page\": 7}", "\u{0}\u{0}", "7"]);
    let (got, letters) = run(&rig, payload::json::<Visit>());
    assert_eq!(got, [visit("/x")]);
    let of = |key, reason| letter(key, "malformed", reason);
    let expected = ["json-decode", "json-shape", "json-decode", "json-shape"];
    let expected: Vec<_> = ["1", "2", "3", "4"]
        .into_iter()
        .zip(expected)
        .map(|(key, reason)| of(key, reason))
        .collect();
    assert_eq!(letters, expected);
    let values: Vec<_> = rig.topics.records(&rig.topics.dlq).into_iter().map(|r| r.value).collect();
    assert_eq!(values[0].as_deref(), Some("{\"page\": ".as_bytes()));
    assert_eq!(values[2].as_deref(), Some(&b"\0\0"[..]));
}

#[test]
fn avro_of_any_schema_is_handled_and_what_cannot_be_read_keeps_its_class() {
    let _machine = machine::shared();
    let rig = Rig::new(1);
    let id = rig.topics.register(VISIT);
    // The address; one tag with two numbers, in one block each; the second branch of the union.
    let datum = [&[4][..], b"/x", &[2, 2], b"a", &[4, 2, 3, 0, 0], &[2, 2], b"/"].concat();
    let good = [&codec::frame::header(id)[..], &datum].concat();
    let cut = &good[..good.len() - 1];
    let alien = [&codec::frame::header(id + 900_000)[..], &datum].concat();
    rig.send([&good[..], cut, &good[5..], &alien, &good]);
    let (got, letters) = run(&rig, payload::avro::<Visit>());
    assert_eq!(got, [visit("/x"), visit("/x")]);
    let mut letters = letters;
    letters.sort();
    assert_eq!(
        letters,
        [
            letter("1", "malformed", "avro-decode"),
            letter("2", "malformed", "bad-magic"),
            letter("3", "unknown-schema", "schema-not-found"),
        ]
    );
}
