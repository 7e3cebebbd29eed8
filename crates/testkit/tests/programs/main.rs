//! What every program of the workspace does alike, tried on the programs themselves: versions,
//! variables that nobody reads, numbers that are none, readers that have gone, secrets.

mod commands;
mod first_start;
mod log_lines;
mod run;
mod secrets;
mod variables;
mod width;

use std::collections::BTreeSet;

use commands::{Known, commands};
use run::{Done, PROGRAMS, Reader, run, run_with_reader};

/// Flags whose value has this name, as `--help` shows them: `--retry-jitter <SHARE>`.
fn flags_of(help: &str, value: &str) -> BTreeSet<String> {
    let marker = format!(" <{value}>");
    let of_line = |line: &str| {
        let (before, _) = line.split_once(&marker)?;
        before.rsplit(' ').next().filter(|flag| flag.starts_with("--")).map(str::to_owned)
    };
    help.lines().filter_map(of_line).collect()
}

/// Variables that `--help` names: `[env: CONSUMER_TOPIC=]`.
fn variables_of(help: &str) -> BTreeSet<String> {
    // A line may end behind `env:`.
    let names = help.split("[env:").skip(1);
    let names = names.filter_map(|after| after.split(['=', ']']).next());
    names.map(|name| name.trim().to_owned()).collect()
}

#[test]
fn every_program_names_its_version_and_the_commit_of_its_build() {
    for program in PROGRAMS {
        let Done { code, stdout, .. } = run(program, &["--version"], &[]);
        let build = stdout.strip_prefix(&format!("{program} {} (", env!("CARGO_PKG_VERSION")));
        let commit = build.and_then(|build| build.strip_suffix(")\n"));
        let is_commit = |c: &str| c.len() == 12 && c.bytes().all(|b| b.is_ascii_hexdigit());
        assert!(
            code == Some(0) && commit.is_some_and(|c| c == "unknown" || is_commit(c)),
            "{program}: {stdout}"
        );
        assert_ne!(env!("CARGO_PKG_VERSION"), "0.0.0");
    }
}

#[test]
fn a_share_is_a_finite_number_for_every_flag_and_variable_that_takes_one() {
    let mut seen = 0;
    for Known { program, before, help } in commands() {
        for flag in flags_of(help, "SHARE") {
            seen += 1;
            for number in ["nan", "inf", "-inf", "NaN", "1e999"] {
                let setting = format!("{flag}={number}");
                let args = [&before[..], &[setting.as_str()]].concat();
                let done = run(program, &args, &[]);
                assert_eq!(done.code, Some(2), "{program} {setting}: {}", done.stderr);
                assert!(done.stderr.contains(&flag), "{program} {setting}: {}", done.stderr);
            }
        }
    }
    assert!(seen >= 8, "only {seen} flags take a share");
    // A settings file that exists must not swallow it.
    let done = run("consumer", &["--simulate-failures", "nan", "--config", "empty.toml"], &[]);
    assert_eq!(done.code, Some(2), "{}", done.stderr);
    let variable = [("PRODUCER_NEGATIVE_RATE", "inf")];
    assert_eq!(run("producer", &["--config", "empty.toml"], &variable).code, Some(2));
    let file = ["--config", "nan.toml"];
    let done = run("consumer", &file, &[]);
    assert_eq!(done.code, Some(2), "{}", done.stderr);
    assert!(done.stderr.contains("'simulate-failures'"), "{}", done.stderr);
}

#[test]
fn a_variable_of_a_program_that_it_does_not_read_ends_it_with_what_was_meant() {
    for (program, args, slip, meant) in [
        ("producer", &[][..], "PRODUCER_COUNTS", "PRODUCER_COUNT"),
        ("consumer", &[], "CONSUMER_MAX_RETRYS", "CONSUMER_MAX_RETRIES"),
        ("push", &[], "PUSH_TOKEN_FIEL", "PUSH_TOKEN_FILE"),
        ("orders", &["audit"], "ORDERS_GROUPID", "ORDERS_GROUP_ID"),
        ("rabbit", &["topology"], "RABBIT_PREFIXX", "RABBIT_PREFIX"),
        ("rabbit", &["topology"], "RABBITMQ_URI", "RABBITMQ_URL"),
        ("streaming", &["order"], "STREAMING_LANE", "STREAMING_LANES"),
        ("weather", &["api"], "WEATHER_TOPICS", "WEATHER_TOPIC"),
        ("weather", &["kafka-consumer"], "REDIS_URI", "REDIS_URL"),
        ("sync-rest", &["order"], "SYNC_REST_DEAD_LINE", "SYNC_REST_DEADLINE"),
        ("sync-rest", &["order"], "INVENTORY_DELAYS", "INVENTORY_DELAY"),
        ("stack", &["status"], "STACK_DIRS", "STACK_DIR"),
        ("demo", &[], "DEMO_SEEDS", "DEMO_SEED"),
        ("faults", &["list"], "FAULTS_SED", "FAULTS_SEED"),
        ("lab", &["report", "a.json"], "LAB_OUTT", "LAB_OUT"),
        ("consumer", &[], "KAFKA_BOOTSTRAP_SERVER", "KAFKA_BOOTSTRAP_SERVERS"),
        ("producer", &[], "SCHEMA_REGISTRY_ULR", "SCHEMA_REGISTRY_URL"),
    ] {
        let done = run(program, args, &[(slip, "hunter2")]);
        let text = &done.stderr;
        assert_eq!(done.code, Some(2), "{program}, {slip}: {text}");
        assert!(text.contains(slip), "{program}: {text}");
        assert!(text.contains(&format!("did you mean {meant}?")), "{program}: {text}");
        assert!(!text.contains("hunter2"), "{program}: {text}");
    }
}

#[test]
fn every_variable_that_help_names_is_read_and_what_kubernetes_sets_is_no_error() {
    for Known { program, before, help } in commands() {
        let prefix = program.to_uppercase().replace('-', "_");
        for part in ["", "_METRICS"] {
            let set = |end: &str| format!("{prefix}{part}{end}");
            let of_kubernetes = [
                (set("_SERVICE_HOST"), "10.0.0.1"),
                (set("_SERVICE_PORT"), "80"),
                (set("_SERVICE_PORT_HTTP"), "80"),
                (set("_PORT"), "tcp://10.0.0.1:80"),
                (set("_PORT_80_TCP"), "tcp://10.0.0.1:80"),
                (set("_PORT_80_TCP_PROTO"), "tcp"),
                (set("_PORT_80_TCP_PORT"), "80"),
                (set("_PORT_80_TCP_ADDR"), "10.0.0.1"),
            ];
            // A slip of a variable is there as well: it alone is named.
            let slip = format!("{prefix}_XYZZY");
            let mut variables: Vec<(&str, &str)> =
                of_kubernetes.iter().map(|(name, value)| (name.as_str(), *value)).collect();
            variables.push((&slip, "1"));
            let args = if *program == "stack" { &["status"][..] } else { &before[..] };
            let done = run(program, args, &variables);
            assert_eq!(done.code, Some(2), "{program} {args:?}: {}", done.stderr);
            let named = done.stderr.matches("the environment sets").count();
            assert!(named == 1 && done.stderr.contains(&slip), "{program}: {}", done.stderr);
        }
        let own = variables_of(help).into_iter().filter(|name| name.starts_with(&prefix));
        let is_service = *program != "demo" && before.ends_with(&["all"]);
        assert!(!is_service || own.count() > 3, "{program}: {help}");
    }
}

#[test]
fn a_reader_that_has_gone_ends_no_program_with_a_panic() {
    for (program, args) in [
        ("producer", &["--help"][..]),
        ("consumer", &["--version"]),
        ("orders", &["audit", "--help"]),
        ("rabbit", &["topology"]),
        ("rabbit", &["topology", "-o", "json"]),
        ("streaming", &["--help"]),
        ("sync-rest", &["--help"]),
        ("stack", &["status", "-o", "json"]),
        ("demo", &["--help"]),
        ("faults", &["list"]),
        ("faults", &["list", "-o", "json"]),
        ("lab", &["--help"]),
    ] {
        let done = run_with_reader(program, args, Reader::GoneFromStdout);
        assert_eq!(done.code, Some(0), "{program} {args:?}: {}", done.stderr);
        assert!(!done.stderr.contains("panicked"), "{program} {args:?}: {}", done.stderr);
    }
    // Errors and logs on stderr: the code is what it would be with a reader.
    for (program, args, code) in [
        ("consumer", &["--lanes", "0"][..], 2),
        ("push", &["--topic", "t", "--to", "http://127.0.0.1:1", "-b", "127.0.0.1:1"], 1),
        ("orders", &["audit", "-b", "127.0.0.1:1"], 1),
        ("producer", &["-b", "127.0.0.1:1", "--schema-registry-url", "http://127.0.0.1:1"], 1),
        ("rabbit", &["dlq", "list", "--rabbitmq-url", "amqp://127.0.0.1:1"], 1),
        ("stack", &["logs", "nobody"], 1),
        ("faults", &["run", "nothing-of-this-name"], 1),
        ("lab", &["run", "not-there.toml"], 2),
    ] {
        let done = run_with_reader(program, args, Reader::GoneFromBoth);
        assert_eq!(done.code, Some(code), "{program} {args:?}");
    }
}

#[test]
fn a_full_disk_under_stdout_is_an_error() {
    for (program, args) in [("rabbit", &["topology"][..]), ("faults", &["list"])] {
        let done = run_with_reader(program, args, Reader::DiskIsFull);
        assert_eq!(done.code, Some(1), "{program} {args:?}: {}", done.stderr);
        assert!(done.stderr.contains("stdout cannot be written"), "{program}: {}", done.stderr);
    }
}

#[test]
fn a_broker_whose_port_is_none_is_a_usage_error_of_every_program_that_takes_one() {
    let mut seen = 0;
    for Known { program, before, help } in commands() {
        if !help.contains(", --bootstrap-server <") {
            continue;
        }
        seen += 1;
        for broker in ["127.0.0.1:99999", "127.0.0.1:0", "127.0.0.1:x", "http://127.0.0.1:9092"] {
            let done = run(program, &[&before[..], &["-b", broker]].concat(), &[]);
            let what = format!("{program} {before:?} -b {broker}");
            assert_eq!(done.code, Some(2), "{what}: {}", done.stderr);
            assert!(done.stderr.contains("--bootstrap-server"), "{what}: {}", done.stderr);
        }
    }
    assert!(seen > 20, "{seen} commands");
}
