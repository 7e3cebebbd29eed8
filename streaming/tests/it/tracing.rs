//! Spans that reach a collector, and what happens where they do not.

use testkit::collector::{SentSpan, connected};
use testkit::order_flow::burgers;
use testkit::{Collector, Takes, wait};

use crate::rig::{Rig, SOON, Service};

/// The span with this name and this value of an attribute.
fn find<'a>(spans: &'a [SentSpan], name: &str, (key, value): (&str, &str)) -> Option<&'a SentSpan> {
    spans.iter().find(|span| span.name == name && span.attribute(key) == value)
}

#[test]
fn one_trace_leads_from_the_request_over_retry_and_dead_letter_to_the_redrive_and_its_end() {
    let collector = Collector::start(Takes::All);
    let endpoint = format!("OTEL_EXPORTER_OTLP_ENDPOINT={}", collector.endpoint());
    let args = ["--simulate-failures", "1", "--retry-delay", "50ms", "--max-retries", "1"];
    let mut rig = Rig::start(&Service::FLOW, &[&args[..], &[&endpoint]].concat());
    assert_eq!(rig.post("k", &burgers(1)).unwrap().status, 202);
    wait::is_true("a dead letter", SOON, || rig.records("order-events-dlq").len() == 1);
    rig.wait_until_drained();
    rig.set_args(&[&endpoint]);
    rig.services.stop(Service::Inventory.name()).expect_code(0);
    rig.restart(Service::Inventory);
    let (group, retry) = (rig.name("inventory"), rig.name("order-events-retry"));
    let to = ["--group-id", group.as_str(), "--retry-topic", retry.as_str()];
    let act = ["--all", "--execute", "--otlp-endpoint", &collector.endpoint()];
    rig.dlq_command("redrive", &[to, [act[0], act[1], act[2], act[3]]].concat());
    wait::is_true("the decision", SOON, || rig.decisions().len() == 1);

    let name = |operation: &str, suffix: &str| format!("{operation} {}", rig.name(suffix));
    let (process, again) = (name("process", "order-events"), name("process", "order-events-retry"));
    let steps = [
        ("POST /order".to_owned(), ("http.response.status_code", "202")),
        (name("send", "order-events"), ("messaging.operation.type", "send")),
        (process.clone(), ("relane.outcome", "retried")),
        (name("send", "order-events-retry"), ("relane.redrive.id", "")),
        (again.clone(), ("relane.outcome", "dead-lettered")),
        (name("send", "order-events-dlq"), ("messaging.system", "kafka")),
        (name("send", "order-events-retry"), ("service", "orders")),
        (again.clone(), ("relane.outcome", "succeeded")),
        (name("send", "inventory-events"), ("messaging.system", "kafka")),
    ];
    let told = |spans: &[SentSpan], (step, (key, value)): &(String, (&str, &str))| match *key {
        "service" => spans.iter().any(|span| span.name == *step && span.service == *value),
        _ => find(spans, step, (*key, *value)).is_some(),
    };
    wait::is_true("all spans", SOON, || {
        let spans = collector.spans();
        steps.iter().all(|step| told(&spans, step))
    });
    let spans = collector.spans();
    let request = find(&spans, "POST /order", ("http.route", "/order")).unwrap();
    let whole: Vec<SentSpan> = connected(&spans, request).into_iter().cloned().collect();
    let missing: Vec<_> = steps.iter().filter(|step| !told(&whole, step)).collect();
    assert!(missing.is_empty(), "not connected with the request: {missing:?} of {spans:#?}");
    assert!(whole.iter().all(|span| span.trace_id == request.trace_id), "{whole:#?}");

    // Every attempt is linked to what the message carries: the span that sent it first.
    let sent = find(&whole, &name("send", "order-events"), ("messaging.system", "kafka")).unwrap();
    assert_eq!(sent.parent_id, request.span_id);
    let attempts: Vec<&SentSpan> =
        whole.iter().filter(|span| span.name == process || span.name == again).collect();
    let numbers: Vec<(&str, &str)> = attempts
        .iter()
        .map(|span| (span.attribute("relane.attempt"), span.attribute("relane.redrives")))
        .collect();
    assert_eq!(numbers, [("1", "0"), ("2", "0"), ("1", "1")]);
    let link = (sent.trace_id.clone(), sent.span_id.clone());
    assert!(attempts.iter().all(|span| span.links == [link.clone()]), "{attempts:#?}");
    let errors: Vec<bool> = attempts.iter().map(|span| span.is_error).collect();
    assert_eq!(errors, [true, true, false]);
    assert_eq!(attempts[0].attribute("error.type"), "simulated");
    let back = whole.iter().find(|span| span.service == "orders").unwrap();
    assert_eq!(
        (&back.links, back.attribute("relane.dead_letter").is_empty()),
        (&vec![link], false)
    );
}

#[test]
fn nothing_is_sent_while_tracing_is_off_and_a_callers_trace_goes_on() {
    let collector = Collector::start(Takes::All);
    let endpoint = format!("OTEL_EXPORTER_OTLP_ENDPOINT={}", collector.endpoint());
    let mut rig = Rig::start(&Service::FLOW, &[&endpoint, "OTEL_SDK_DISABLED=true"]);
    assert_eq!(rig.post("k", &burgers(1)).unwrap().status, 202);
    rig.wait_for_status("k", "confirmed");
    let order = &rig.records("order-events")[0];
    // Nobody records it, and nobody is told to.
    assert!(order.header_text("traceparent").ends_with("-00"));
    assert_eq!(rig.metric(Service::Order, "trace_spans_exported_total"), None);
    for service in Service::FLOW {
        rig.process(service).sigterm();
        wait::is_true("its end", SOON, || !rig.process(service).is_running());
    }
    assert_eq!(collector.heads(), [""; 0]);
}

#[test]
fn a_collector_that_is_away_hangs_or_refuses_holds_nothing_up_and_learns_no_secret_by_the_log() {
    let hangs = Collector::start(Takes::NoAnswer);
    let refuses = Collector::start(Takes::Status(500));
    let is_busy = Collector::start(Takes::Status(503));
    let nobody = "http://127.0.0.1:1".to_owned();
    let login = "OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20canary-of-traces";
    for endpoint in [nobody, hangs.endpoint(), refuses.endpoint(), is_busy.endpoint()] {
        let endpoint = format!("OTEL_EXPORTER_OTLP_ENDPOINT={endpoint}");
        let mut rig = Rig::start(&Service::FLOW, &[&endpoint, login]);
        for n in 0..20 {
            assert_eq!(rig.post(&format!("k{n}"), &burgers(1)).unwrap().status, 202);
        }
        rig.wait_for_status("k19", "confirmed");
        rig.wait_until_drained();
        for service in Service::FLOW {
            let finished = rig.services.stop(service.name());
            assert_eq!(finished.code, Some(0), "{endpoint}: {}", finished.stderr);
            assert!(!finished.stderr.contains("canary"), "{}", finished.stderr);
            assert!(!finished.stderr.contains("panicked"), "{}", finished.stderr);
        }
    }
    for collector in [hangs, refuses, is_busy] {
        let heads = collector.heads();
        assert!(!heads.is_empty(), "it was asked");
        let has_login = |head: &String| head.contains("authorization: Bearer canary-of-traces\r\n");
        assert!(heads.iter().all(has_login), "{heads:?}");
        assert!(heads.iter().all(|head| head.starts_with("POST /v1/traces ")), "{heads:?}");
    }
}

#[test]
fn spans_that_no_collector_takes_are_counted() {
    let refuses = Collector::start(Takes::Status(400));
    let endpoint = format!("OTEL_EXPORTER_OTLP_ENDPOINT={}", refuses.endpoint());
    let rig = Rig::start(&[Service::Order], &[&endpoint]);
    assert_eq!(rig.post("k", &burgers(1)).unwrap().status, 202);
    let dropped = "trace_spans_dropped_total{reason=\"not-taken\"}";
    wait::is_true("a count", SOON, || rig.metric(Service::Order, dropped) >= Some(2.0));
    assert_eq!(rig.metric(Service::Order, "trace_spans_exported_total"), Some(0.0));
}
