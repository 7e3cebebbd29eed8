//! Spans of a report that reach a collector: over gRPC and through both brokers.

use testkit::cluster::Cluster;
use testkit::collector::{SentSpan, connected};
use testkit::{Collector, Takes, wait};

use crate::rig::{Rig, SOON, Stores, post};

#[test]
fn one_trace_leads_from_the_api_to_the_publisher_and_through_both_brokers() {
    let collector = Collector::start(Takes::All);
    let stores = Stores::start(&[]);
    let rig = Rig::new(Cluster::shared().names(1), &stores);
    let mut all = rig.start_all(&["--otlp-endpoint", &collector.endpoint()]);
    let api = all.address_of("api");
    wait::is_true("the report is taken", SOON, || {
        post(&api, "k1", "GT", "rainy").is_some_and(|answer| answer.status == 202)
    });
    let processed = |span: &SentSpan, system: &str| {
        span.name.starts_with("process ") && span.attribute("messaging.system") == system
    };
    let is_processed = |spans: &[SentSpan]| {
        ["kafka", "rabbitmq"].iter().all(|it| spans.iter().any(|span| processed(span, it)))
    };
    wait::is_true("both are processed", SOON, || is_processed(&collector.spans()));
    wait::is_true("all that leads there", SOON, || {
        let spans = collector.spans();
        let is_taken = |span: &&SentSpan| span.attribute("http.response.status_code") == "202";
        let Some(request) = spans.iter().find(is_taken) else { return false };
        let whole: Vec<SentSpan> = connected(&spans, request).into_iter().cloned().collect();
        let calls = whole.iter().filter(|it| it.attribute("rpc.method") == "Publish").count();
        let sends = whole.iter().filter(|it| it.name.starts_with("send ")).count();
        let is_one = whole.iter().all(|span| span.trace_id == request.trace_id);
        is_processed(&whole) && calls == 2 && sends == 2 && is_one
    });
    all.stop().expect_code(0);
}
