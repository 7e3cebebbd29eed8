//! Calls with several records: each is settled by itself, and the order of a key is kept.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;
use testkit::machine;

use crate::receiver::{Call, Receiver, Reply};
use crate::rig::Rig;

const RECORDS: usize = 60;
const KEYS: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
/// Refused by itself; refused by an answer to its whole call; fails its whole call once; fails its call always.
const BAD: [usize; 4] = [7, 18, 29, 32];

fn events(call: &Call) -> Vec<Value> {
    serde_json::from_slice(&call.body).expect("an array")
}

fn offset(event: &Value) -> usize {
    event["kafkaoffset"].as_str().and_then(|text| text.parse().ok()).expect("a number")
}

/// Answers a call by its records.
fn obey(call: &Call, _: usize) -> Reply {
    let events = events(call);
    let has = |bad: usize, attempts_max: u64| {
        let is_it = |event: &&Value| offset(event) == bad;
        let attempt = events.iter().find(is_it).and_then(|event| event["attempt"].as_u64());
        attempt.is_some_and(|attempt| attempt <= attempts_max)
    };
    if has(BAD[1], u64::MAX) {
        return Reply::status(422);
    }
    if has(BAD[2], 1) {
        return Reply::status(500);
    }
    if has(BAD[3], u64::MAX) {
        return Reply::status(503);
    }
    if !has(BAD[0], u64::MAX) {
        return Reply::status(204);
    }
    let status = |event| if offset(event) == BAD[0] { 422 } else { 200 };
    let each: Vec<Value> = events
        .iter()
        .map(|event| serde_json::json!({"status": status(event), "title": "No such user"}))
        .collect();
    Reply::Body(207, Value::Array(each).to_string())
}

#[test]
fn the_failure_of_one_record_of_a_call_is_the_failure_of_that_record_alone() {
    let _machine = machine::shared();
    let rig = Rig::new(1);
    rig.send((0..RECORDS).map(|n| (KEYS[n % KEYS.len()], format!("{{\"amount\": {n}}}"))));
    let receiver = Receiver::start(obey);
    let args = ["--batch-max", "10", "--order", "key", "--max-retries", "2", "--lanes", "1"];
    let finished = rig.push_all(&receiver.url(), &args);
    let stats = finished.stats();
    assert_eq!(stats["succeeded"].as_u64(), Some(57), "{stats}");
    let calls = receiver.calls();
    let most = calls.iter().map(|call| events(call).len()).max();
    assert!((2..=10).contains(&most.expect("some calls")), "{most:?}");
    for call in &calls {
        let kind = call.header("content-type").unwrap_or_default();
        assert!(kind.starts_with("application/cloudevents-batch+json"), "{kind}");
        let keys: HashSet<String> =
            events(call).iter().map(|event| event["partitionkey"].to_string()).collect();
        assert_eq!(keys.len(), events(call).len(), "no call has two records of a key");
    }
    let mut letters: Vec<(i64, String)> = rig
        .dead_letters()
        .iter()
        .map(|letter| (letter.origin().1, letter.header_text("x-failure-reason").to_owned()))
        .collect();
    letters.sort();
    let reason = |reason: &str| reason.to_owned();
    assert_eq!(
        letters,
        [(7, reason("http-422")), (18, reason("http-422")), (32, reason("handler"))]
    );
    // The first call of each record that was accepted, in the order in which they came.
    let (mut of_key, mut seen) = (BTreeMap::<usize, Vec<usize>>::new(), HashSet::new());
    for call in calls.iter().filter(|call| call.was_well()) {
        for offset in events(call).iter().map(offset).filter(|offset| !BAD[..1].contains(offset)) {
            if seen.insert(offset) {
                of_key.entry(offset % KEYS.len()).or_default().push(offset);
            }
        }
    }
    assert_eq!(seen.len(), 57);
    assert!(of_key.values().all(|offsets| offsets.is_sorted()), "{of_key:?}");
}
