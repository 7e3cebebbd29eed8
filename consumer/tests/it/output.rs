//! What a user or a program sees of a run: lines for settled attempts, progress, turns.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Cluster, Input, Pipeline, Process, machine};

/// Longest run.
const RUN_MAX: Duration = Duration::from_secs(60);

/// Half of all attempts fail, by a formula of order id and attempt.
const FAILS_AT: [&str; 4] = ["--simulate-failures", "0.5", "--retry-delay", "200ms"];

fn fails(order_id: &str, attempt: u32) -> bool {
    orders::simulate::fails(order_id, attempt, 42, 0, 0.5)
}

/// The first order id for whose attempts the formula says so.
fn order_id(fates: &[bool]) -> String {
    let is_it = |id: &String| (1..).zip(fates).all(|(attempt, fate)| fails(id, attempt) == *fate);
    (0..).map(|n| format!("o-{n}")).find(is_it).expect("there are enough")
}

/// Four orders whose fates are known: counted at once and after a retry, dead letters of two kinds.
fn send_orders(pipeline: &Pipeline) -> [String; 2] {
    let encoder = pipeline.orders_v1();
    let (first, flaky) = (order_id(&[false]), order_id(&[true, false]));
    pipeline.send(
        &pipeline.orders,
        &[
            encoder.input(0, &first, "tea", 1.0),
            encoder.input(0, &flaky, "tea", 2.5),
            encoder.input(0, "free\u{1b}[2J", "tea", -1.0),
            Input::new(0, Some(b"key"), Some(b"no frame")),
        ],
    );
    [first, flaky]
}

#[test]
fn each_settled_attempt_is_a_line_and_the_statistics_follow() {
    let _guard = machine::shared();
    let pipeline = Cluster::shared().pipeline(1);
    let [first, flaky] = send_orders(&pipeline);
    let args = [&FAILS_AT[..], &["--exit-at-end", "--print-orders"]].concat();
    let run = Process::consumer(&pipeline, &args).wait(RUN_MAX);
    let lines: Vec<&str> = run.expect_code(0).stdout.lines().collect();
    let retried = format!("retried {flaky} (tea): attempt 1 failed (simulated), due ");
    let is_retried = |line: &&str| line.starts_with(&retried) && line.ends_with('Z');
    assert!(lines[..4].iter().any(is_retried), "{lines:#?}");
    for line in [
        format!("counted {first} (tea): average 1.0000 of 1"),
        "dead-lettered free\\x1b[2J (tea): invalid, negative-price, attempt 1".to_owned(),
        format!("dead-lettered {}/0@3: malformed, bad-magic, attempt 1", pipeline.orders),
    ] {
        assert!(lines[..4].contains(&line.as_str()), "no {line:?} in {lines:#?}");
    }
    assert_eq!(lines[4], format!("counted {flaky} (tea) at attempt 2: average 1.7500 of 2"));
    assert!(lines[5].starts_with("PRODUCT"), "{lines:#?}");
}

#[test]
fn programs_get_objects_and_with_json_stdout_is_one_object() {
    let _guard = machine::shared();
    let pipeline = Cluster::shared().pipeline(1);
    let [first, flaky] = send_orders(&pipeline);
    let args = [&FAILS_AT[..], &["--exit-at-end", "--print-orders", "-o", "jsonl"]].concat();
    let run = Process::consumer(&pipeline, &args).wait(RUN_MAX);
    let lines = run.expect_code(0).stdout.lines();
    let objects: Vec<Value> =
        lines.map(|line| serde_json::from_str(line).expect("an object")).collect();
    let (statistics, settled) = objects.split_last().expect("lines");
    assert_eq!(statistics["succeeded"], 2);
    let fields = ["outcome", "order_id", "offset", "attempt", "average", "class", "reason"];
    // What waited for its schema to be known comes later than what needs none.
    let mut settled = settled.to_vec();
    settled.sort_by_key(|it| (it["attempt"].as_i64(), it["offset"].as_i64()));
    let told: Vec<Value> =
        settled.iter().map(|it| fields.iter().map(|field| it[field].clone()).collect()).collect();
    let expected = [
        json!(["succeeded", first, 0, 1, 1.0, null, null]),
        json!(["retried", flaky, 1, 1, null, "transient", "simulated"]),
        json!(["dead_lettered", "free\u{1b}[2J", 2, 1, null, "invalid", "negative-price"]),
        json!(["dead_lettered", null, 3, 1, null, "malformed", "bad-magic"]),
        json!(["succeeded", flaky, 1, 2, 1.75, null, null]),
    ];
    assert_eq!(told, expected, "{settled:#?}");
    let due_at_ms = settled[1]["due_at_ms"].as_i64().expect("a time");
    let retry = &pipeline.records(&pipeline.retry)[0];
    let header = retry.headers.iter().find(|(name, _)| name == b"x-due-at-ms");
    let header = header.and_then(|(_, value)| value.clone()).expect("a retry has a due time");
    assert_eq!(String::from_utf8_lossy(&header), due_at_ms.to_string());

    send_orders(&pipeline);
    let args = [&FAILS_AT[..], &["--exit-at-end", "--print-orders", "-o", "json"]].concat();
    let run = Process::consumer(&pipeline, &args).wait(RUN_MAX);
    assert_eq!(run.expect_code(0).stats()["consumed"], 4);
    assert_eq!(run.stdout.lines().count(), 1, "{}", run.stdout);
    assert!(run.stderr.contains(&format!("counted {first} (tea)")), "{}", run.stderr);
}

#[test]
fn progress_is_on_stderr_with_what_is_left_and_stdout_has_the_statistics_only() {
    let _guard = machine::shared();
    let pipeline = Cluster::shared().pipeline(1);
    pipeline.send(&pipeline.orders, &[pipeline.orders_v1().input(0, "o-1", "tea", 1.0)]);
    let fails = ["--simulate-failures", "1.0", "--max-retries", "1", "--retry-delay", "7s"];
    let args = [&fails[..], &["--exit-at-end", "-o", "json", "--log-format", "json"]].concat();
    let mut program = pipeline.consumer_args();
    program.extend(args.iter().map(|arg| (*arg).to_owned()));
    let variables = [("RUST_LOG", "info,relane=debug")];
    let run = Process::start("consumer", &program, &variables).wait(RUN_MAX);
    assert_eq!(run.expect_code(0).stdout.lines().count(), 1, "{}", run.stdout);
    assert_eq!(run.stats()["dead_lettered"], 1);

    let events = run.stderr.lines();
    let events: Vec<Value> = events
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")))
        .collect();
    let of =
        |message: &str| events.iter().filter(|it| it["message"] == message).collect::<Vec<_>>();
    let progress = of("progress");
    let first = progress.first().expect("it is shown after five seconds");
    for (field, value) in
        [("consumed", 1), ("counted", 0), ("retried", 1), ("waiting", 1), ("lag", 0), ("left", 1)]
    {
        assert_eq!(first[field], value, "{field} of {first}");
    }
    assert!(first["seconds_left"].as_u64().is_some_and(|left| left <= 7), "{first}");
    let turns = of("turn committed");
    assert!(turns.iter().any(|turn| turn["retried"] == 1 && turn["records"] == 1), "{turns:#?}");
    assert!(turns.iter().any(|turn| turn["dead_lettered"] == 1), "{turns:#?}");
}

#[test]
fn a_reader_who_has_gone_ends_nothing() {
    let _guard = machine::shared();
    let pipeline = Cluster::shared().pipeline(1);
    let encoder = pipeline.orders_v1();
    let orders: Vec<Input> =
        (0..2_000).map(|n| encoder.input(0, &format!("o-{n}"), "tea", 1.0)).collect();
    pipeline.send(&pipeline.orders, &orders);
    let consumer = testkit::process::path_of("consumer");
    let args = pipeline.consumer_args().join(" ");
    let consumer = consumer.display();
    let command = format!("{consumer} {args} --exit-at-end --print-orders | head -n 1");
    let run = std::process::Command::new("bash").args(["-o", "pipefail", "-c", &command]).output();
    let run = run.expect("bash is there");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(run.status.code(), Some(0), "{}", text(&run.stderr));
    // The first one may have to wait for its schema.
    let line = text(&run.stdout);
    assert!(line.starts_with("counted o-"), "{line}");
    assert!(line.ends_with(" (tea): average 1.0000 of 1\n"), "{line}");
    assert_eq!(pipeline.lag(), 0, "all are settled");
}

/// Runs the consumer on a terminal of 80 columns and 24 rows, and returns what it was sent.
fn on_a_terminal(pipeline: &Pipeline, args: &str, no_color: &str) -> String {
    let consumer = testkit::process::path_of("consumer");
    let (consumer, all) = (consumer.display(), pipeline.consumer_args().join(" "));
    let command = format!("stty cols 80 rows 24; exec {consumer} {all} {args}");
    let mut script = std::process::Command::new("script");
    script.args(["-qefc", &command, "/dev/null"]).env("NO_COLOR", no_color);
    let run = script.env("TERM", "xterm").stdin(std::process::Stdio::null()).output();
    let run = run.expect("script is a part of every Debian");
    let sent = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(run.status.success(), "{sent}");
    sent
}

#[test]
fn a_terminal_shows_a_view_below_the_log_and_in_the_end_the_table_alone() {
    let _guard = machine::shared();
    let pipeline = Cluster::shared().pipeline(1);
    send_orders(&pipeline);
    let args = "--exit-at-end --print-orders --simulate-failures 0.5 --retry-delay 2s";
    let sent = on_a_terminal(&pipeline, args, "");
    for shown in ["waiting, next due in ", "to the end", "1 malformed, 1 invalid", "\u{1b}[1m"] {
        assert!(sent.contains(shown), "no {shown:?} in {sent:?}");
    }
    let mut terminal = vt100::Parser::new(24, 80, 1_000);
    terminal.process(sent.as_bytes());
    let screen = terminal.screen().contents();
    for word in ["to the end", "unavailable"] {
        assert!(!screen.contains(word), "the view has gone: {screen}");
    }
    let lines: Vec<&str> = screen.lines().map(str::trim_end).collect();
    let table = lines.iter().position(|line| line.starts_with("PRODUCT")).expect("a table");
    assert!(lines[table - 1].starts_with("counted "), "it stands below the lines: {screen}");
    assert!(lines[table + 1].starts_with("tea ") && lines.len() == table + 6, "{screen}");

    let sent = on_a_terminal(&pipeline, "--exit-at-end", "1");
    assert!(sent.contains("PRODUCT") && !sent.contains("\u{1b}[1m"), "{sent:?}");
}
