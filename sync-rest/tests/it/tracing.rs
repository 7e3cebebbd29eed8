//! Spans of an order over HTTP that reach a collector.

use testkit::collector::{SentSpan, connected};
use testkit::order_flow::burgers;
use testkit::{Collector, Takes, wait};

use crate::rig::{Rig, SOON};

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
