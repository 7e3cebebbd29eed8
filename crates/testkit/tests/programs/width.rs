//! On a terminal of 80 columns nothing that is for people is wider than that.

use console::measure_text_width;
use testkit::terminal::OnTerminal;

use crate::commands::subcommands;
use crate::run::{PROGRAMS, command};

const COLUMNS: u16 = 80;

/// Runs a program on a terminal, and returns its exit code and what it printed.
fn on_terminal(program: &str, args: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let (command, _dir) = command(program, args, variables);
    OnTerminal::start(command, 24, COLUMNS).wait()
}

#[track_caller]
fn assert_fits(what: &str, printed: &str) {
    assert!(!printed.trim().is_empty(), "{what} prints nothing");
    for line in printed.lines() {
        let width = measure_text_width(line);
        assert!(width <= COLUMNS.into(), "{what}: {width} columns: {line}\nin\n{printed}");
    }
}

#[test]
fn the_help_of_every_program_and_subcommand_fits_and_no_example_is_folded() {
    let mut left: Vec<Vec<String>> = PROGRAMS.iter().map(|name| vec![(*name).to_owned()]).collect();
    let mut seen = 0;
    while let Some(path) = left.pop() {
        let what = path.join(" ");
        let args: Vec<&str> = path[1..].iter().map(String::as_str).chain(["--help"]).collect();
        let (code, help) = on_terminal(&path[0], &args, &[("NO_COLOR", "1")]);
        assert_eq!(code, Some(0), "{what}: {help}");
        assert_fits(&what, &help);
        // What follows the flags is laid out by hand: it would be the same on a wide terminal.
        let (command, _dir) = command(&path[0], &args, &[("NO_COLOR", "1")]);
        let (_, wide) = OnTerminal::start(command, 24, 1_000).wait();
        if let Some(examples) = wide.find("Examples:") {
            assert_fits(&what, &wide[examples..]);
        }
        seen += 1;
        for name in subcommands(&help) {
            left.push(path.iter().cloned().chain([name]).collect());
        }
    }
    assert!(seen > 25, "{seen} help texts");
}

#[test]
fn errors_and_hints_fit() {
    let long =
        "a-name-that-somebody-made-up-without-any-thought-of-who-would-ever-have-to-read-it-x";
    for (program, args, variables, code) in [
        ("producer", &["--interval", "2x"][..], &[][..], 2),
        ("producer", &["--map", long, "--input", long], &[], 2),
        ("producer", &["-X", "group.id=x"], &[], 2),
        ("consumer", &["--lanes", "0", "--retry-delay", "never"], &[], 2),
        ("consumer", &[], &[("CONSUMER_MAX_RETRYS", "1"), ("KAFKA_BOOTSTRAP_SERVER", "x")], 2),
        ("consumer", &["-b", "127.0.0.1:1"], &[], 1),
        ("push", &["--topic", "t", "--to", "ftp://nothing-of-that-kind-is-called"], &[], 2),
        ("push", &["--topic", "t", "--to", "http://me:x@127.0.0.1:9000/payments"], &[], 2),
        ("push", &["--to", "http://127.0.0.1:1"], &[], 2),
        ("weather", &["api", "--publisher-url", "https://nothing-of-that-kind-is-called"], &[], 2),
        ("weather", &["all", "--redis-url", "http://me:x@127.0.0.1:6379"], &[], 2),
        ("orders", &["audit", "-b", "127.0.0.1:1"], &[], 1),
        ("rabbit", &["dlq", "list", "--rabbitmq-url", "amqp://127.0.0.1:1"], &[], 1),
        ("streaming", &["all", "--nothing-of-that-kind-is-known-here", "1"], &[], 2),
        ("sync-rest", &["order", "--inventory-url", "nothing"], &[], 2),
        ("stack", &["logs", long], &[], 1),
        ("stack", &["up", "--only", "kafka,everything-that-there-is"], &[], 2),
        ("demo", &["--seed", "many"], &[], 2),
        ("faults", &["run", long], &[], 1),
    ] {
        let (ended, printed) = on_terminal(program, args, variables);
        assert_eq!(ended, Some(code), "{program} {args:?}: {printed}");
        assert_fits(&format!("{program} {args:?}"), &printed);
    }
}

#[test]
fn results_for_people_fit() {
    for (program, args) in [
        ("rabbit", &["topology"][..]),
        ("faults", &["list"]),
        ("stack", &["status"]),
        ("stack", &["down"]),
    ] {
        let (code, printed) = on_terminal(program, args, &[]);
        assert_eq!(code, Some(0), "{program} {args:?}: {printed}");
        assert_fits(&format!("{program} {args:?}"), &printed);
    }
}

#[test]
fn log_lines_fit_and_go_on_indented_and_where_nobody_looks_a_line_is_whole() {
    let args = ["order", "--listen", "127.0.0.1:0", "--inventory-url", "http://127.0.0.1:1"];
    let (command, _dir) = command("sync-rest", &args, &[]);
    let running = OnTerminal::start(command, 24, COLUMNS);
    running.wait_for("listening on http://");
    running.sigterm();
    let (code, printed) = running.wait();
    assert_eq!(code, Some(0), "{printed}");
    assert_fits("sync-rest", &printed);
    let is_timed = |line: &str| line.get(2..3) == Some(":") && line.get(5..6) == Some(":");
    let plain = console::strip_ansi_codes(&printed).into_owned();
    assert!(plain.lines().any(is_timed), "{plain}");
    assert!(!plain.contains("sync_rest::"), "no target: {plain}");
}

#[test]
fn a_pipe_gets_lines_that_are_whole() {
    let done = crate::run::run("rabbit", &["topology"], &[]);
    assert!(done.stdout.lines().any(|line| line.len() > 120), "{}", done.stdout);
    let done = crate::run::run("consumer", &["-b", "127.0.0.1:1"], &[]);
    assert_eq!(done.stderr.lines().filter(|line| line.starts_with("hint: ")).count(), 1);
    assert!(done.stderr.lines().any(|line| line.len() > 80), "{}", done.stderr);
}
