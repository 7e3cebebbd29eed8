//! What keeps the consumer from starting is told at once, with what to do about it.

mod observe;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use testkit::{Cluster, Finished, Pipeline, Process, Role, machine};

/// A server that is not there is told within 5 s; one more for a machine under load.
const TOLD_MAX: Duration = Duration::from_secs(6);

/// Longest run that does some work.
const RUN_MAX: Duration = Duration::from_secs(40);

/// Exit codes of the contract.
const FAILED: i32 = 1;
const USAGE: i32 = 2;

/// Runs the consumer, which must refuse, and checks code, time and words.
#[track_caller]
fn refuses(pipeline: &Pipeline, args: &[&str], code: i32, words: &[&str]) -> Finished {
    refused(Process::consumer(pipeline, args), code, words)
}

#[track_caller]
fn refused(process: Process, code: i32, words: &[&str]) -> Finished {
    let finished = process.wait(RUN_MAX);
    finished.expect_code(code);
    assert!(finished.elapsed <= TOLD_MAX, "told after {:?}", finished.elapsed);
    assert_eq!(finished.stdout, "", "an error is no result");
    for word in words {
        assert!(finished.stderr.contains(word), "no {word:?} in: {}", finished.stderr);
    }
    finished
}

/// A port where nobody listens.
fn closed_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").to_string()
}

/// A server that takes connections and answers each with `answer`, or never if it is empty.
fn server(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        let mut silent = Vec::new();
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            if answer.is_empty() {
                silent.push(stream);
                continue;
            }
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    address
}

#[test]
fn a_broker_that_is_not_there_is_named() {
    let _guard = machine::shared();
    let mut pipeline = Cluster::shared().names(3);
    for address in [closed_port(), server(""), server("SSH-2.0-OpenSSH_9.6\r\n")] {
        pipeline.servers.bootstrap_servers = address.clone();
        refuses(
            &pipeline,
            &[],
            FAILED,
            &[&address, "--bootstrap-server", "KAFKA_BOOTSTRAP_SERVERS"],
        );
    }
}

#[test]
fn a_broker_name_that_does_not_resolve_is_named() {
    let _guard = machine::shared();
    let mut pipeline = Cluster::shared().names(3);
    pipeline.servers.bootstrap_servers = "kafka.invalid:9092".to_owned();
    refuses(&pipeline, &[], FAILED, &["kafka.invalid:9092", "--bootstrap-server"]);
}

#[test]
fn a_registry_that_is_not_there_is_named() {
    let _guard = machine::shared();
    let mut pipeline = Cluster::shared().pipeline(1);
    let html = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 15\r\nConnection: close\r\n\r\n<html>hi</html>";
    for address in [closed_port(), server(""), server(html), server("SSH-2.0-OpenSSH_9.6\r\n")] {
        pipeline.servers.registry_url = format!("http://{address}");
        refuses(
            &pipeline,
            &[],
            FAILED,
            &[&address, "--schema-registry-url", "SCHEMA_REGISTRY_URL"],
        );
    }
}

#[test]
fn missing_topics_are_named_and_made_on_request() {
    let _guard = machine::shared();
    let pipeline = Cluster::shared().names(5);
    let all = Role::ALL.map(|role| pipeline.topic(role));
    refuses(&pipeline, &[], FAILED, &[&all[..], &["--create-topics"]].concat());

    let args = ["--create-topics", "--create-partitions", "5", "--exit-at-end", "-o", "json"];
    Process::consumer(&pipeline, &args).wait(RUN_MAX).expect_code(0);
    let retention_30_days = (30_i64 * 24 * 3600 * 1000).to_string();
    for (role, settings) in [
        (Role::Orders, &[("cleanup.policy", "delete")][..]),
        (Role::Retry, &[("cleanup.policy", "delete"), ("retention.ms", "-1")]),
        (Role::DeadLetter, &[("cleanup.policy", "delete"), ("retention.ms", &retention_30_days)]),
        (Role::Averages, &[("cleanup.policy", "compact")]),
        (Role::Outcomes, &[("cleanup.policy", "delete")]),
    ] {
        let topic = pipeline.topic(role);
        let info = pipeline.describe(topic).unwrap_or_else(|| panic!("{topic} was not made"));
        assert_eq!(info.partitions, 5, "{topic}");
        for (key, value) in settings {
            assert_eq!(info.settings.get(*key).map(String::as_str), Some(*value), "{topic} {key}");
        }
    }
    let segment_bytes =
        &pipeline.describe(&pipeline.averages).expect("made").settings["segment.bytes"];
    assert!(segment_bytes.parse::<u64>().expect("a number") <= 64 << 20, "small segments");
    // What was made here is accepted without the flag.
    Process::consumer(&pipeline, &["--exit-at-end"]).wait(RUN_MAX).expect_code(0);
}

#[test]
fn made_topics_follow_the_partitions_of_the_orders_topic() {
    let _guard = machine::shared();
    let pipeline = Cluster::shared().names(4);
    pipeline.create(Role::Orders, 4, &[]);
    Process::consumer(&pipeline, &["--create-topics", "--exit-at-end"])
        .wait(RUN_MAX)
        .expect_code(0);
    assert_eq!(pipeline.describe(&pipeline.dlq).expect("made").partitions, 4);
}

#[test]
fn topics_that_do_not_fit_together_are_refused_with_the_command_that_mends_them() {
    let _guard = machine::shared();
    type Case = (Role, i32, &'static [(&'static str, &'static str)], &'static [&'static str]);
    const FITS: &[(&str, &str)] = &[("cleanup.policy", "delete"), ("retention.ms", "-1")];
    let cases: [Case; 7] = [
        (Role::Retry, 2, FITS, &["has 2 partitions", "kafka-topics", "--alter", "--partitions 3"]),
        (
            Role::Retry,
            3,
            &[("retention.ms", "604800000")],
            &["604800000", "kafka-configs", "--add-config retention.ms=-1"],
        ),
        (
            Role::Averages,
            3,
            &[],
            &["cleanup.policy", "kafka-configs", "--add-config cleanup.policy=compact"],
        ),
        // Nothing takes partitions away again, and the orders must keep theirs.
        (Role::DeadLetter, 4, &[], &["has 4 partitions", "name another topic", "--dlq-topic"]),
        (Role::Retry, 4, FITS, &["has 4 partitions", "name another topic", "--retry-topic"]),
        (
            Role::Orders,
            3,
            &[("cleanup.policy", "compact")],
            &["is compact", "--add-config cleanup.policy=delete", "--accept-compacted"],
        ),
        (
            Role::Orders,
            3,
            &[("cleanup.policy", "compact,delete")],
            &["is compact,delete", "--add-config cleanup.policy=delete", "--accept-compacted"],
        ),
    ];
    for (role, partitions, settings, words) in cases {
        let pipeline = Cluster::shared().names(3);
        let healthy = Cluster::shared().pipeline(3);
        let mut mixed = healthy.clone();
        *match role {
            Role::Retry => &mut mixed.retry,
            Role::Averages => &mut mixed.averages,
            Role::DeadLetter => &mut mixed.dlq,
            Role::Orders => &mut mixed.orders,
            Role::Outcomes => unreachable!("not among the cases"),
        } = pipeline.topic(role).to_owned();
        mixed.create(role, partitions, settings);
        let told = refuses(&mixed, &[], FAILED, &[&[mixed.topic(role)], words].concat());
        let alters_orders = format!(
            "kafka-topics --bootstrap-server {} --alter --topic {}",
            mixed.servers.bootstrap_servers, mixed.orders
        );
        assert!(!told.stderr.contains(&alters_orders), "{}", told.stderr);
        if role == Role::Orders {
            let accepts = ["--accept-compacted", "--exit-at-end"];
            Process::consumer(&mixed, &accepts).wait(RUN_MAX).expect_code(0);
        }
    }
}

#[test]
fn everything_that_is_wrong_with_the_topics_is_told_at_one_start() {
    let _guard = machine::shared();
    let pipeline = Cluster::shared().names(3);
    pipeline.create(Role::Orders, 3, &[("cleanup.policy", "compact")]);
    pipeline.create(Role::Retry, 2, &[("retention.ms", "1000")]);
    pipeline.create(Role::DeadLetter, 1, &[]);
    let words = [
        &format!("do not exist: {}", pipeline.averages),
        &format!("{} has 2 partitions", pipeline.retry),
        &format!("{} has 1 partitions", pipeline.dlq),
        &format!("topic {}: cleanup.policy is compact", pipeline.orders),
        &format!("topic {}: retention.ms is 1000", pipeline.retry),
    ];
    refuses(&pipeline, &[], FAILED, &words.map(String::as_str));
}

#[test]
fn a_first_start_on_topics_that_do_not_begin_at_0_any_more_is_told_in_one_line_each() {
    let _guard = machine::shared();
    let pipeline = Cluster::shared().pipeline(3);
    let encoder = pipeline.orders_v1();
    let order = |n: i32| encoder.input(n % 3, &format!("o{n}"), "tea", 1.0);
    pipeline.send(&pipeline.orders, &(0..30).map(order).collect::<Vec<_>>());
    pipeline.delete_records_below(&pipeline.orders, 0, 4);
    pipeline.delete_records_below(&pipeline.orders, 2, 7);
    let told = |finished: &Finished| {
        let starts = format!("group {} reads ", pipeline.group);
        let lines = finished.stderr.lines().filter(|line| line.contains(&starts));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let run = || Process::consumer(&pipeline, &["--exit-at-end", "-o", "json"]).wait(RUN_MAX);
    let first = run();
    assert_eq!(first.expect_code(0).stats()["consumed"], 19);
    let lines = told(&first);
    assert!(lines.len() == 1, "{lines:?}");
    for words in [pipeline.orders.as_str(), "partition 0 at 4, partition 2 at 7"] {
        assert!(lines[0].contains(words), "{lines:?}");
    }
    let second = run();
    second.expect_code(0);
    assert!(told(&second).is_empty(), "{}", second.stderr);
}

#[test]
fn wrong_settings_are_usage_errors_that_name_them() {
    let _guard = machine::shared();
    let pipeline = Cluster::shared().names(1);
    let cases: [(&[&str], &[&str]); 9] = [
        (&["--retry-dely", "2s"], &["--retry-dely", "--retry-delay"]),
        (&["--retry-delay", "fast"], &["--retry-delay", "fast"]),
        (&["--max-retries", "-1"], &["-1"]),
        (&["--order", "sideways"], &["sideways"]),
        (&["--lanes", "0"], &["--lanes"]),
        (&["-X", "enable.idempotence=false"], &["enable.idempotence"]),
        (&["-X", "sesion.timeout.ms=1"], &["sesion.timeout.ms", "session.timeout.ms"]),
        // What is no pair may be a secret that was split from its key.
        (&["-X", "session.timeout.ms"], &["setting 1 of -X", "key=value"]),
        (&["--metrics-addr", "nowhere"], &["--metrics-addr"]),
    ];
    for (args, words) in cases {
        refuses(&pipeline, args, USAGE, words);
    }
    let variables = [("CONSUMER_MAX_RETRIES", "many")];
    refused(Process::start("consumer", &pipeline.consumer_args(), &variables), USAGE, &["many"]);
}

#[test]
fn an_unknown_key_of_the_settings_file_is_a_usage_error() {
    let _guard = machine::shared();
    let pipeline = Cluster::shared().names(1);
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("consumer.toml");
    let name = file.to_str().expect("text");
    for (text, words) in [
        ("retry_dely = \"2s\"\n", ["retry_dely", "retry_delay"]),
        ("max-retries = \"three\"\n", ["max-retries", "three"]),
        ("max-retries = 3\nthis is no toml\n", ["line 2", name]),
    ] {
        std::fs::write(&file, text).expect("a file");
        refuses(&pipeline, &["--config", name], USAGE, &words);
    }
    refuses(
        &pipeline,
        &["--config", "/nonexistent/consumer.toml"],
        USAGE,
        &["/nonexistent/consumer.toml"],
    );
}

#[test]
fn the_settings_file_that_is_shipped_has_every_key_and_no_other() {
    let flags = testkit::settings_file::shipped("consumer", |path| {
        service_kit::settings::load("consumer", Some(path), consumer::Flags::default())
            .unwrap_or_else(|error| panic!("{error}"))
    });
    let object = serde_json::to_value(&flags).expect("an object");
    assert_eq!(object["group_id"], "order-consumer");
    // The defaults that it shows are those that hold.
    let uncommented = service_kit::settings::load("consumer", None, consumer::Flags::default());
    assert!(consumer::Settings::check(uncommented.expect("nothing is set")).is_ok());
    assert!(consumer::Settings::check(flags).is_ok());
}
