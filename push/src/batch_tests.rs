//! Who goes together, by what arrives at a server of the test's own.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Mutex;

use reqwest::Url;
use serde_json::Value;

use super::*;
use crate::body::Content;
use crate::caller::Place;

/// Offsets of the records of each call.
type Calls = Arc<Mutex<Vec<Vec<i64>>>>;

/// Answers each call by the offsets of its records.
fn server(answer: impl Fn(&[i64]) -> String + Send + 'static) -> (String, Calls) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound").to_string();
    let calls = Calls::default();
    let noted = Arc::clone(&calls);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let (mut request, mut part) = (Vec::new(), [0; 4096]);
            let body = loop {
                let bytes = stream.read(&mut part).expect("a request");
                request.extend_from_slice(&part[..bytes]);
                let head = request.windows(4).position(|four| four == b"\r\n\r\n");
                let body = head.map(|at| &request[at + 4..]);
                if let Some(Ok(body)) = body.map(serde_json::from_slice::<Vec<Value>>) {
                    break body;
                }
            };
            let offset = |event: &Value| event["kafkaoffset"].as_str()?.parse().ok();
            let offsets: Vec<i64> = body.iter().filter_map(offset).collect();
            let answer = answer(&offsets);
            noted.lock().expect("no panic").push(offsets);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (address, calls)
}

fn answer(status: u16, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}")
}

fn batches(address: &str, records_max: usize) -> Batches {
    let place = Place {
        url: Url::parse(&format!("http://{address}/in")).expect("an address"),
        common: HeaderMap::new(),
        authorities: None,
        handler_timeout: Duration::from_secs(20),
        attempts_max: 4,
        batch_max: Some(records_max),
    };
    let caller = Arc::new(Caller::new(&place).expect("a client"));
    Batches::new(&caller, records_max, place.handler_timeout)
}

fn record(partition: i32, offset: i64, bytes: usize) -> Record<Body> {
    Record {
        value: Arc::new(Body { content: Content::Bytes, bytes: vec![b'x'; bytes].into() }),
        key: None,
        headers: Vec::new(),
        topic: "t".to_owned(),
        partition,
        offset,
        idempotency_key: format!("t/{partition}/{offset}"),
        timestamp_ms: 0,
        written_at_ms: 0,
        attempt: 1,
        redrives: 0,
    }
}

/// Sends records at once; what is told of each.
fn send(batches: &Batches, records: &[Record<Body>]) -> Vec<Told> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let sent = records.iter().map(|record| {
            let mut sent = Box::pin(batches.send_with_others(batches.event(record)));
            // It gathers now, in the order of the records.
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(sent.as_mut().poll(&mut context).is_pending());
            sent
        });
        let sent: Vec<_> = sent.collect();
        let mut told = Vec::new();
        for sent in sent {
            told.push(sent.await);
        }
        told
    })
}

#[test]
fn records_of_one_partition_go_together_up_to_their_number_and_their_bytes() {
    let (address, calls) = server(|_| answer(200, ""));
    let batches = batches(&address, 3);
    let large = BATCH_BYTES_MAX / 2;
    let records = [
        record(0, 0, 1),
        record(1, 100, 1),
        record(0, 1, 1),
        record(0, 2, 1),
        record(0, 3, 1),
        record(1, 101, large),
        record(1, 102, large),
        record(2, 200, 2 * large),
        record(2, 201, 1),
    ];
    assert_eq!(
        send(&batches, &records).iter().filter(|told| **told == Told::OfAll(Verdict::Done)).count(),
        5
    );
    let mut calls = calls.lock().expect("no panic").clone();
    calls.sort();
    assert_eq!(calls, [vec![0, 1, 2], vec![3], vec![100, 101], vec![102], vec![200], vec![201]]);
    assert!(batches.inner.lock().is_empty(), "nothing is left of them");
}

#[test]
fn an_answer_is_about_each_of_its_records_about_all_or_about_nobody_knows_which() {
    let (refused, away) = (Told::OfOneOfThem, |told: &Told| {
        matches!(told, Told::OfAll(Verdict::Unavailable { speaks: Speaks::OfItself, .. }))
    });
    let told = |status, body: &'static str| {
        let (address, _) = server(move |_| answer(status, body));
        send(&batches(&address, 2), &[record(0, 0, 1), record(0, 1, 1)])
    };
    assert_eq!(told(200, "[422]"), vec![Told::OfAll(Verdict::Done); 2]);
    let each = told(207, "[200, 422]");
    assert_eq!(each[0], Told::Of(Verdict::Done));
    assert!(matches!(each[1], Told::Of(Verdict::Refused { .. })), "{each:?}");
    for (status, body) in [(207, "[200]"), (207, ""), (422, ""), (308, ""), (500, ""), (413, "")] {
        assert_eq!(told(status, body), vec![refused.clone(); 2], "{status} {body}");
    }
    for status in [429, 502, 503, 504] {
        let told = told(status, "");
        assert!(told.iter().all(away), "{status}: {told:?}");
    }
}

#[test]
fn a_record_whose_handler_is_gone_before_its_call_is_not_sent() {
    let (address, calls) = server(|_| answer(204, ""));
    let batches = batches(&address, 3);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let of = |offset| Box::pin(batches.send_with_others(batches.event(&record(0, offset, 1))));
        let (mut gone, stays) = (of(0), of(1));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(gone.as_mut().poll(&mut context).is_pending());
        drop(gone);
        stays.await;
    });
    assert_eq!(*calls.lock().expect("no panic"), [vec![1]]);
}
