//! Spans of orders over RabbitMQ that reach a collector.

use testkit::collector::{SentSpan, connected};
use testkit::order_flow::burgers;
use testkit::{Collector, Takes, wait};

use crate::rig::{Rig, SOON, Service};

/// The span whose name begins so, with this value of an attribute.
fn find<'a>(
    spans: &'a [SentSpan],
    operation: &str,
    (key, value): (&str, &str),
) -> Option<&'a SentSpan> {
    spans.iter().find(|span| span.name.starts_with(operation) && span.attribute(key) == value)
}

#[test]
fn one_trace_leads_from_the_request_over_retry_and_dead_letter_to_the_redrive_and_its_end() {
    let collector = Collector::start(Takes::All);
    let endpoint = ["--otlp-endpoint", &collector.endpoint()];
    let fails = ["--simulate-failures", "1", "--retry-delay", "100ms", "--max-retries", "1"];
    let mut rig = Rig::start(&[&fails[..], &endpoint[..]].concat());
    assert_eq!(rig.post("k", &burgers(1)).unwrap().status, 202);
    wait::is_true("a dead letter", SOON, || rig.depth("inventory.dlq") == 1);
    rig.set_args(&[&endpoint[..], &["--retry-delay", "100ms"]].concat());
    rig.process(Service::Inventory).sigterm();
    wait::is_true("its end", SOON, || !rig.process(Service::Inventory).is_running());
    rig.restart(Service::Inventory);
    let redrive = ["dlq", "redrive", "--execute", "-o", "json", endpoint[0], endpoint[1]];
    assert_eq!(rig.command(&redrive).expect_code(0).stats()["redrive"]["count"], 1);

    let (work, dead) = (rig.queue("inventory"), rig.queue("inventory.dlq"));
    let steps: [(String, (&str, &str)); 7] = [
        ("POST /order".to_owned(), ("http.response.status_code", "202")),
        (format!("send {}:", rig.prefix), ("messaging.system", "rabbitmq")),
        (format!("process {work}"), ("error.type", "simulated")),
        (format!("send {work}.retry"), ("messaging.operation.type", "send")),
        (format!("send {dead}"), ("messaging.operation.type", "send")),
        (format!("process {work}"), ("relane.outcome", "succeeded")),
        (format!("process {}", rig.queue("notification")), ("error.type", "simulated")),
    ];
    wait::is_true("all spans", SOON, || {
        let spans = collector.spans();
        steps.iter().all(|(name, attribute)| find(&spans, name, *attribute).is_some())
    });
    let spans = collector.spans();
    let request = find(&spans, "POST /order", ("http.route", "/order")).unwrap();
    let whole: Vec<SentSpan> = connected(&spans, request).into_iter().cloned().collect();
    for (name, attribute) in &steps {
        assert!(find(&whole, name, *attribute).is_some(), "{name} is not connected: {spans:#?}");
    }
    assert!(whole.iter().all(|span| span.trace_id == request.trace_id), "{whole:#?}");
    let sent = find(&whole, &format!("send {}:", rig.prefix), ("messaging.system", "rabbitmq"));
    let sent = sent.expect("it is there");
    let link = (sent.trace_id.clone(), sent.span_id.clone());
    let attempts: Vec<&SentSpan> =
        whole.iter().filter(|span| span.name == format!("process {work}")).collect();
    let numbers: Vec<(&str, &str)> = attempts
        .iter()
        .map(|span| (span.attribute("relane.attempt"), span.attribute("relane.redrives")))
        .collect();
    assert_eq!(numbers, [("1", "0"), ("2", "0"), ("1", "1")]);
    assert!(attempts.iter().all(|span| span.links == [link.clone()]), "{attempts:#?}");
    let back = whole.iter().find(|span| !span.attribute("relane.redrive.id").is_empty());
    assert_eq!(back.expect("its way back").links, [link]);
}
