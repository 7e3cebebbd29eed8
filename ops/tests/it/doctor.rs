//! `orders doctor` on real servers, and without them.

use std::time::Duration;

use serde_json::Value;
use testkit::{Cluster, Finished, Pipeline, Process, wait};

use crate::group::RUN_MAX;
use crate::program::TOLD_MAX;
use crate::rig::Log;

/// Longest time until servers that are there answer in time, on a machine with other work.
const ANSWERED_MAX: Duration = Duration::from_secs(120);

/// Runs it for a pipeline; a flag that is given replaces that of the pipeline.
fn doctor(pipeline: &Pipeline, flags: &[(&str, &str)], variables: &[(&str, &str)]) -> Finished {
    let mut args = pipeline.audit_args(true);
    args[0] = "doctor".to_owned();
    let replaced = flags.iter().map(|(flag, _)| *flag);
    let registry = variables.iter().filter(|(name, _)| *name == "SCHEMA_REGISTRY_URL");
    for flag in replaced.chain(registry.map(|_| "--schema-registry-url")) {
        if let Some(at) = args.iter().position(|arg| arg == flag) {
            args.drain(at..at + 2);
        }
    }
    let given = flags.iter().flat_map(|(flag, value)| [*flag, *value]);
    args.extend(given.map(str::to_owned));
    Process::start("orders", &args, variables).wait(RUN_MAX)
}

/// As [`doctor`], again until what it found is as `is_enough` wants it: it gives a server 5 s, and on a busy machine
/// that may be too short for one that is there.
fn doctor_until(
    pipeline: &Pipeline,
    flags: &[(&str, &str)],
    variables: &[(&str, &str)],
    is_enough: impl Fn(&Finished) -> bool,
) -> Finished {
    let mut found = None;
    wait::is_true("the servers that are there answering", ANSWERED_MAX, || {
        let finished = doctor(pipeline, flags, variables);
        let enough = is_enough(&finished);
        found = Some(finished);
        enough
    });
    found.expect("it ran")
}

/// Every server answered.
fn is_answered(finished: &Finished) -> bool {
    finished.code != Some(1)
}

fn json(finished: &Finished) -> Value {
    serde_json::from_str(&finished.stdout).expect("one object")
}

/// A log of one partition, sent.
fn sent() -> Log {
    let log = Log::new(Cluster::shared().pipeline(1));
    log.send();
    log
}

#[test]
fn it_tells_servers_topics_settings_and_the_group_and_exits_as_it_found_them() {
    let log = sent();
    let finished = doctor_until(&log.pipeline, &[("-o", "json")], &[], is_answered);
    let report = json(&finished);
    let findings = report["findings"].as_array().expect("a list");
    assert_eq!(finished.code, Some(if findings.is_empty() { 0 } else { 4 }), "{report:#}");
    assert!(report["versions"]["librdkafka"].as_str().is_some_and(|version| version.contains('.')));
    let servers = report["brokers"]["servers"].as_array().expect("a list");
    assert!(servers.len() >= 2 && servers.iter().all(|one| one["answers"] == true), "{report:#}");
    assert_eq!(report["registry"]["answers"], true, "{report:#}");
    let topics = report["brokers"]["topics"].as_array().expect("a list");
    assert_eq!(topics.len(), 5);
    assert!(topics.iter().all(|topic| topic["partitions"] == 1), "{report:#}");
    assert_eq!(report["brokers"]["lag"]["group"], log.pipeline.group, "{report:#}");
    assert!(report["brokers"]["dead_letters_at_most"].as_u64() >= Some(2), "{report:#}");
    let settings = report["settings"].as_array().expect("a list");
    let source = |name: &str| {
        let found = settings.iter().find(|setting| setting["name"] == name);
        found.expect("it is listed")["source"].as_str().expect("a name").to_owned()
    };
    assert_eq!(source("retry-topic"), "command-line");
    let page = doctor_until(&log.pipeline, &[], &[], is_answered).stdout;
    for text in ["SERVER", "SETTING", "TOPIC", &log.pipeline.retry, "dead letters: at most"] {
        assert!(page.contains(text), "{text}: {page}");
    }
    let no_group = [("--group-id", "no-such-group")];
    let strange = doctor_until(&log.pipeline, &no_group, &[], is_answered);
    strange.expect_code(4);
    assert!(strange.stdout.contains("group no-such-group does not exist"), "{}", strange.stdout);
}

#[test]
fn no_secret_is_printed() {
    let log = sent();
    let url = &log.pipeline.servers.registry_url;
    let with_login = url.replacen("://", "://canary-user:canary-password@", 1);
    let variables = [
        ("SCHEMA_REGISTRY_URL", with_login.as_str()),
        ("KAFKA_SASL_PASSWORD", "canary-sasl"),
        ("KAFKA_SASL_USERNAME", "canary-name"),
    ];
    for format in ["table", "json"] {
        let finished = doctor_until(&log.pipeline, &[("-o", format)], &variables, is_answered);
        assert!(finished.code == Some(0) || finished.code == Some(4), "{}", finished.stderr);
        let all = finished.stdout.clone() + &finished.stderr;
        assert!(!all.contains("canary"), "{all}");
        assert!(all.contains("KAFKA_SASL_PASSWORD") && all.contains("sasl.username"), "{all}");
    }
    let refused = doctor(&log.pipeline, &[("-X", "sasl.password=canary-flag")], &[]);
    refused.expect_code(2);
    assert!(!(refused.stdout + &refused.stderr).contains("canary"));
}

#[test]
fn a_server_that_is_not_there_is_named_and_the_rest_is_told() {
    let log = sent();
    let away = [("-o", "json"), ("--bootstrap-server", "127.0.0.1:9")];
    let without_brokers = doctor_until(&log.pipeline, &away, &[], |finished| {
        json(finished)["registry"]["answers"] == true
    });
    let away = [("SCHEMA_REGISTRY_URL", "http://127.0.0.1:9")];
    let without_registry = doctor_until(&log.pipeline, &[("-o", "json")], &away, |finished| {
        json(finished)["brokers"]["topics"].as_array().is_some_and(|topics| !topics.is_empty())
    });
    for finished in [&without_brokers, &without_registry] {
        finished.expect_code(1);
        assert!(finished.elapsed < TOLD_MAX, "{:?}", finished.elapsed);
        assert!(finished.stdout.contains("127.0.0.1:9"), "{}", finished.stdout);
    }
    let report = json(&without_brokers);
    assert_eq!(report["brokers"]["servers"][0]["answers"], false, "{report:#}");
    assert_eq!(report["registry"]["answers"], true, "{report:#}");
    let report = json(&without_registry);
    assert_eq!(report["registry"]["answers"], false, "{report:#}");
    assert_eq!(report["brokers"]["topics"].as_array().map(Vec::len), Some(5), "{report:#}");
}
