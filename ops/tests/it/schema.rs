//! `orders schema` on a real registry, and on what really waits.

use std::path::PathBuf;

use order_schemas::{ORDER_V1, ORDER_V2};
use serde_json::Value;
use testkit::{Cluster, Finished, Pipeline, Process, machine, wait};

use crate::group::{RUN_MAX, orders};
use crate::runs::mixed;

/// Writes a schema to a file of its own.
fn file(name: &str, text: &str) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).expect("a file");
    path.to_string_lossy().into_owned()
}

fn subject(pipeline: &Pipeline) -> String {
    format!("{}-value", pipeline.orders)
}

fn schema(pipeline: &Pipeline, args: &[&str]) -> Finished {
    let registry = ["--schema-registry-url", &pipeline.servers.registry_url];
    Process::start("orders", &[&["schema"], args, &registry].concat(), &[]).wait(RUN_MAX)
}

fn told(finished: &Finished, code: i32) -> Value {
    finished.expect_code(code);
    finished.stats()
}

/// `Order` version 1 with one more field, which has no default.
fn without_default() -> String {
    ORDER_V1.replace(
        r#"{"name": "price", "type": "float"}"#,
        r#"{"name": "price", "type": "float"}, {"name": "currency", "type": "string"}"#,
    )
}

#[test]
fn what_waits_and_is_dead_is_read_with_a_candidate_and_what_would_be_lost_is_counted() {
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(2);
    pipeline.send(&pipeline.orders, &mixed(&pipeline, 600));
    let flags = ["--simulate-failures", "0.2", "--retry-delay", "1h"];
    let mut consumer = Process::consumer(&pipeline, &flags);
    consumer.wait_ready(RUN_MAX);
    let ends: Vec<_> = pipeline.ends(&pipeline.orders).into_iter().map(Some).collect();
    wait::is_true("every order being settled", RUN_MAX, || {
        pipeline.committed(&pipeline.orders) == ends
    });
    consumer.sigterm();
    consumer.wait(RUN_MAX).expect_code(0);
    let framed = |topic: &str| {
        let records = pipeline.records(topic);
        let is_framed = |value: &Option<Vec<u8>>| value.as_ref().is_some_and(|v| v[0] == 0);
        (records.iter().filter(|r| is_framed(&r.value)).count() as u64, records.len() as u64)
    };
    let ((retries, _), (dead, all_dead)) = (framed(&pipeline.retry), framed(&pipeline.dlq));
    assert!(retries > 20 && dead > 5 && all_dead > dead, "{retries} {dead} {all_dead}");

    let subject = subject(&pipeline);
    let candidate = file(&format!("{subject}.avsc"), &without_default());
    let flags = ["check", &candidate, "--subject", &subject, "--against-parked"];
    let finished = orders(&pipeline, "schema", &[]);
    finished.expect_code(2); // a subcommand is missing
    let check = |flags: &[&str]| {
        let args = pipeline.audit_args(false);
        let mut all = vec!["schema".to_owned()];
        all.extend(flags.iter().map(|flag| (*flag).to_owned()));
        all.extend(args.into_iter().skip(1));
        Process::start("orders", &all, &[]).wait(RUN_MAX)
    };
    let report = told(&check(&[&flags[..], &["-o", "json"]].concat()), 4);
    let parked = &report["parked"];
    assert_eq!(parked["checked"], retries + all_dead, "{report:#}");
    assert_eq!(parked["unreadable"], retries + dead, "{report:#}");
    let groups = parked["groups"].as_array().expect("a list");
    let unreadable: Vec<_> = groups.iter().filter(|one| one["reading"] == "unreadable").collect();
    assert_eq!(unreadable.len(), 2, "one for each topic: {report:#}");
    for group in unreadable {
        assert!(group["why"].as_str().is_some_and(|why| why.contains("field currency")), "{group}");
        let topic = group["topic"].as_str().expect("a name");
        let place = group["example"].as_str().expect("a place");
        let found = pipeline.records(topic).into_iter().any(|r| {
            let (partition, offset) = r.coordinates();
            format!("{partition}:{offset}") == place
        });
        assert!(found, "{group}");
    }
    let checks = report["checks"].as_array().expect("a list");
    let named = |text: &str| {
        let mut all = checks.iter();
        all.find(|one| one["check"].as_str().is_some_and(|check| check.contains(text)))
            .unwrap_or_else(|| panic!("{text}: {report:#}"))["ok"]
            == true
    };
    assert!(named("for the current consumer"), "{report:#}");
    assert!(!named("as a reader of version 1"), "{report:#}");
    let table = check(&flags);
    table.expect_code(4);
    assert!(table.stdout.contains("UNREADABLE"), "{}", table.stdout);

    // The consumer of today reads all that has a frame.
    let report = told(&check(&["check", "--against-parked", "-o", "json"]), 0);
    assert_eq!((&report["ok"], &report["parked"]["unreadable"]), (&true.into(), &0.into()));
    assert_eq!(report["parked"]["checked"], retries + all_dead, "{report:#}");
}

#[test]
fn subjects_are_listed_shown_compared_and_grow_only_where_it_is_asked_for() {
    let pipeline = Cluster::shared().names(1);
    let subject = subject(&pipeline);
    let (v1, v2) = (file("v1.avsc", ORDER_V1), file("v2.avsc", ORDER_V2));
    let register = |path: &str, more: &[&str]| {
        let args = ["register", path, "--subject", &subject, "-o", "json"];
        told(&schema(&pipeline, &[&args[..], more].concat()), 0)
    };
    let preview = register(&v1, &[]);
    assert_eq!((&preview["executed"], &preview["id"]), (&false.into(), &Value::Null));
    let absent = schema(&pipeline, &["show", &subject]);
    absent.expect_code(1);
    assert!(absent.stderr.contains("hint: "), "{}", absent.stderr);
    let done = register(&v1, &["--execute"]);
    assert_eq!((&done["executed"], done["id"].is_u64()), (&true.into(), true));
    let again = register(&v1, &["--execute"]);
    assert_eq!(
        (&again["executed"], &again["known"], &again["id"]),
        (&false.into(), &true.into(), &done["id"])
    );
    let only = schema(&pipeline, &["diff", &subject]);
    only.expect_code(1);
    assert!(only.stderr.contains("no version before 1"), "{}", only.stderr);
    let checked = told(&schema(&pipeline, &["check", &v2, "--subject", &subject, "-o", "json"]), 0);
    assert_eq!(checked["checks"].as_array().map(Vec::len), Some(3), "{checked:#}");
    register(&v2, &["--execute"]);

    let listed = schema(&pipeline, &["list", "-o", "jsonl"]);
    listed.expect_code(0);
    let lines = listed.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON"));
    let own: Vec<Value> = lines.filter(|line: &Value| line["subject"] == *subject).collect();
    assert_eq!(own[0]["versions"], serde_json::json!([1, 2]), "{own:?}");
    let shown = told(&schema(&pipeline, &["show", &subject, "1", "-o", "json"]), 0);
    assert_eq!((&shown["id"], &shown["schema"]["name"]), (&done["id"], &"Order".into()));
    let by_id = schema(&pipeline, &["show", "--id", &done["id"].to_string()]);
    by_id.expect_code(0);
    assert!(by_id.stdout.contains("\"orderId\""), "{}", by_id.stdout);
    let diff = told(&schema(&pipeline, &["diff", &subject, "-o", "json"]), 0);
    let changes = diff["changes"].as_array().expect("a list");
    let added: Vec<_> = changes.iter().filter_map(|one| one["field"].as_str()).collect();
    assert_eq!(added, ["userId", "quantity", "createdAt"], "{diff:#}");
    assert!(changes.iter().all(|one| one["what"] == "added"), "{diff:#}");
}
