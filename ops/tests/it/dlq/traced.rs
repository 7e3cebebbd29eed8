//! Spans of a redrive.

use testkit::{Cluster, Collector, Takes};

use super::letter_of;
use super::redrive::redrive;

/// The trace of every dead letter here; it is sampled.
const PARENT: &[u8] = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[test]
fn a_redrive_whose_spans_no_collector_takes_sends_all_and_says_once_how_many_were_dropped() {
    let collector = Collector::start(Takes::Status(400));
    let pipeline = Cluster::shared().pipeline(1);
    let letter = letter_of("shop", "ann").with_header("traceparent", Some(PARENT));
    pipeline.send(&pipeline.dlq, &[letter.clone(), letter.clone(), letter]);
    let execute = ["--all", "--execute", "--otlp-endpoint", &collector.endpoint()];
    let done = redrive(&pipeline, "shop", &execute);
    done.expect_code(0);
    assert_eq!(pipeline.records(&pipeline.retry).len(), 3);
    let told: Vec<&str> =
        done.stderr.lines().filter(|line| line.contains("spans were dropped")).collect();
    assert!(told.len() == 1 && told[0].contains("3 spans"), "{}", done.stderr);
}
