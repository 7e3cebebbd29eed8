//! What arrives at a service.

use testkit::input::Input;
use testkit::machine;

use crate::receiver::{Call, Receiver, Reply};
use crate::rig::Rig;

const CLICK: &str = r#"{"type": "record", "name": "Click", "fields": [
    {"name": "url", "type": "string"}, {"name": "ms", "type": ["null", "long"]}]}"#;

/// The call of the record at an offset.
#[track_caller]
fn call<'a>(rig: &Rig, calls: &'a [Call], offset: usize) -> &'a Call {
    let id = rig.id(offset);
    calls.iter().find(|call| call.id() == id).unwrap_or_else(|| panic!("no call for {id}"))
}

#[test]
fn each_record_arrives_once_as_a_cloud_event_with_its_body_in_its_form() {
    let _machine = machine::shared();
    let rig = Rig::new(1);
    let schema = rig.topics.register(CLICK);
    let click = [&codec_header(schema)[..], &[2, b'/', 2, 6]].concat();
    let topic = rig.topics.orders.clone();
    let key = |text: &'static str| Some(text.as_bytes());
    rig.topics.send(
        &topic,
        &[
            Input::new(0, key("tea"), Some(b" {\"a\": 1.0}"))
                .with_header("Source", Some(b"web"))
                .with_header("x-attempt", Some(b"9")),
            Input::new(0, key("a b"), Some(&click)),
            Input::new(0, None, Some(&[0xff, 0x00])),
            Input::new(0, key("gone"), None),
            Input::new(0, key("gone"), Some(b"")),
        ],
    );
    let receiver = Receiver::start(|_, _| Reply::status(204));
    let finished = rig.push_all(&format!("{}?tenant=7", receiver.url()), &[]);
    assert_eq!(
        finished.stdout,
        "{\"consumed\":5,\"succeeded\":5,\"retried\":0,\"dead_lettered\":0,\"waiting\":0}\n"
    );
    let calls = receiver.calls();
    assert_eq!(calls.len(), 5);
    let sent = rig.topics.records(&topic);
    for (offset, body, content_type, tombstone) in [
        (0, &b" {\"a\": 1.0}"[..], Some("application/json"), None),
        (1, br#"{"url":"/","ms":3}"#, Some("application/json"), None),
        (2, &[0xff, 0x00], Some("application/octet-stream"), None),
        (3, b"", None, Some("true")),
        (4, b"", Some("application/octet-stream"), None),
    ] {
        let call = call(&rig, &calls, offset);
        assert_eq!((call.body.as_slice(), call.path.as_str()), (body, "/in?tenant=7"));
        assert_eq!(call.header("content-type"), content_type, "{offset}");
        assert_eq!(call.header("kafka-tombstone"), tombstone, "{offset}");
        assert_eq!(call.header("ce-specversion"), Some("1.0"));
        assert_eq!(call.header("ce-id"), Some(rig.id(offset).as_str()));
        assert_eq!(call.header("ce-source"), Some(format!("kafka://{topic}").as_str()));
        assert_eq!(call.header("ce-type"), Some("kafka.record"));
        assert_eq!(call.header("ce-attempt"), Some("1"));
        assert_eq!(call.header("kafka-offset"), Some(offset.to_string().as_str()));
        let at = jiff_ms(call.header("ce-time").expect("it has a time"));
        assert_eq!(at, sent[offset].timestamp_ms, "{offset}");
    }
    assert_eq!(call(&rig, &calls, 0).header("kafka-header-source"), Some("web"));
    assert_eq!(call(&rig, &calls, 0).header("kafka-header-x-attempt"), None);
    assert_eq!(call(&rig, &calls, 1).header("ce-partitionkey"), Some("a%20b"));
    assert_eq!(call(&rig, &calls, 2).header("ce-partitionkey"), None);
    assert_eq!(rig.dead_letters(), []);
    assert_eq!(rig.topics.lag(), 0);
}

#[test]
fn a_form_that_is_asked_for_is_kept_and_duplicates_within_reach_are_not_sent() {
    let _machine = machine::shared();
    let rig = Rig::new(1);
    let twice = [("a", "{}"), ("b", "{}"), ("a", "{}"), ("a", "tea"), ("a", "{}")];
    rig.send(twice.map(|(key, value)| (key, value.to_owned())));
    let receiver = Receiver::start(|_, _| Reply::status(200));
    rig.push_all(&receiver.url(), &["--as", "json", "--dedupe", "3"]);
    let mut ids: Vec<String> = receiver.calls().iter().map(|call| call.id().to_owned()).collect();
    ids.sort();
    assert_eq!(ids, [rig.id(0), rig.id(1)], "the third and the fifth have a twin within three");
    let letters = rig.dead_letters();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].header_text("x-failure-class"), "malformed");
    assert_eq!(letters[0].header_text("x-failure-reason"), "json-decode");
    assert_eq!(letters[0].value.as_deref(), Some(&b"tea"[..]));
}

/// Confluent's frame before a datum, written anew: a test must not take it from the program.
fn codec_header(schema: u32) -> [u8; 5] {
    let [a, b, c, d] = schema.to_be_bytes();
    [0, a, b, c, d]
}

/// Milliseconds since the epoch of a time in RFC 3339.
fn jiff_ms(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().expect("RFC 3339").as_millisecond()
}
