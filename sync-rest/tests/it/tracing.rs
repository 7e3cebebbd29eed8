//! Spans of an order over HTTP that reach a collector.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use testkit::collector::{SentSpan, connected};
use testkit::order_flow::burgers;
use testkit::{Collector, Takes, wait};

use crate::rig::{Rig, SOON, Service};

#[test]
fn one_trace_leads_from_the_request_through_inventory_and_notification() {
    let collector = Collector::start(Takes::All);
    let rig = Rig::start(&["--otlp-endpoint", &collector.endpoint()]);
    assert_eq!(rig.post(&burgers(1)).status, 200);
    let is_request = |span: &&SentSpan| span.name == "POST /order";
    let whole = wait::until("all spans", SOON, || {
        let spans = collector.spans();
        let request = spans.iter().find(is_request)?;
        let whole: Vec<SentSpan> = connected(&spans, request).into_iter().cloned().collect();
        let has = |begin: &str, attribute: &str| {
            let is_it =
                |it: &SentSpan| it.name.starts_with(begin) && !it.attribute(attribute).is_empty();
            whole.iter().filter(|it| is_it(it)).count()
        };
        // Each service is asked by a client's span, and answers in one of its own.
        let is_whole = has("", "peer.service") >= 2 && has("", "http.route") >= 3;
        is_whole.then_some(whole)
    });
    let request = whole.iter().find(is_request).expect("it was found");
    assert_eq!(request.attribute("http.response.status_code"), "200");
    assert!(whole.iter().all(|span| span.trace_id == request.trace_id), "{whole:#?}");
    let asked: Vec<&SentSpan> =
        whole.iter().filter(|span| !span.attribute("peer.service").is_empty()).collect();
    assert!(asked.iter().all(|span| !span.is_error), "{asked:#?}");
    for service in ["inventory", "notification"] {
        assert!(asked.iter().any(|span| span.attribute("peer.service") == service), "{asked:#?}");
    }
}

/// Answers every request with 500, in the place of a service that was killed. Its thread ends with the test process.
fn answer_500(address: &str) {
    let listener = TcpListener::bind(address).expect("nobody listens there any more");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 16 * 1024];
            let is_answered = stream.read(&mut request).and_then(|_| {
                stream.write_all(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            });
            // A client that breaks off hears nothing.
            let _ = is_answered.and_then(|()| stream.read_to_end(&mut Vec::new()));
        }
    });
}

#[test]
fn a_call_that_is_answered_500_is_a_failure_of_its_span() {
    let collector = Collector::start(Takes::All);
    let mut rig = Rig::start(&["--otlp-endpoint", &collector.endpoint()]);
    rig.kill_9(Service::Inventory);
    answer_500(&rig.address(Service::Inventory));
    assert!(rig.post(&burgers(1)).status >= 500);
    let is_answered = |span: &SentSpan| {
        span.attribute("peer.service") == "inventory"
            && span.attribute("http.response.status_code") == "500"
    };
    let call = wait::until("its span", SOON, || collector.spans().into_iter().find(is_answered));
    assert!(call.is_error && call.attribute("error.type") == "500", "{call:#?}");
}
