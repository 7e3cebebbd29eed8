//! The live view, on a terminal and without one.

use std::process::Command;
use std::time::Duration;

use ops::monitor::Screen;
use testkit::process::path_of;
use testkit::terminal::OnTerminal;
use testkit::{Cluster, Pipeline, Process, wait};

use crate::rig::Log;

const RUN_MAX: Duration = Duration::from_secs(60);

/// Set where a test runs once more in a process of its own, to panic there.
const PANICS: &str = "IT_SCREEN_PANICS";

/// A log with two dead letters, and a group that has left.
fn log() -> Log {
    let log = Log::new(Cluster::shared().pipeline(1));
    log.send();
    log
}

fn args(pipeline: &Pipeline) -> Vec<String> {
    let args = [
        "monitor",
        "-b",
        &pipeline.servers.bootstrap_servers,
        "--group",
        &pipeline.group,
        "--retry-topic",
        &pipeline.retry,
        "--dlq-topic",
        &pipeline.dlq,
        "--interval",
        "200ms",
    ];
    args.map(str::to_owned).to_vec()
}

/// What a terminal of this size shows of it.
fn screen_of(printed: &str, rows: u16, columns: u16) -> vt100::Parser {
    let mut parser = vt100::Parser::new(rows, columns, 0);
    parser.process(printed.as_bytes());
    parser
}

fn on_terminal(pipeline: &Pipeline, rows: u16, columns: u16) -> OnTerminal {
    let mut command = Command::new(path_of("orders"));
    command.args(args(pipeline)).env_remove("NO_COLOR");
    OnTerminal::start_with_keys(command, rows, columns)
}

#[track_caller]
fn wait_for(terminal: &OnTerminal, (rows, columns): (u16, u16), text: &str) {
    wait::is_true(text, RUN_MAX, || {
        screen_of(&terminal.printed(), rows, columns).screen().contents().contains(text)
    });
}

#[test]
fn the_view_fills_the_terminal_obeys_keys_and_gives_it_back() {
    let log = log();
    for size in [(24, 80), (50, 200)] {
        let mut terminal = on_terminal(&log.pipeline, size.0, size.1);
        for text in
            [&log.pipeline.group[..16], "2 in ", "1 invalid, 1 transient", "brokers      1: "]
        {
            wait_for(&terminal, size, text);
        }
        assert!(!terminal.reads_lines(), "keys come one by one");
        terminal.press("6");
        wait_for(&terminal, size, "50.0 %");
        terminal.press("/invalid\r");
        wait_for(&terminal, size, "showing rows with 'invalid'");
        terminal.press("?");
        wait_for(&terminal, size, "sort by the next column");
        terminal.press("q");
        expect_given_back(terminal, Some(0), size);
    }
}

#[test]
fn sigterm_gives_the_terminal_back() {
    let log = log();
    let terminal = on_terminal(&log.pipeline, 24, 80);
    wait_for(&terminal, (24, 80), "brokers      1: ");
    terminal.sigterm();
    expect_given_back(terminal, Some(0), (24, 80));
}

#[test]
fn a_panic_gives_the_terminal_back_and_is_told() {
    if std::env::var_os(PANICS).is_some() {
        let _screen = Screen::enter().expect("a terminal");
        panic!("on purpose");
    }
    let mut command = Command::new(std::env::current_exe().expect("a path"));
    command.args([
        "--exact",
        "monitor::a_panic_gives_the_terminal_back_and_is_told",
        "--nocapture",
    ]);
    command.env(PANICS, "1").env("RUST_BACKTRACE", "0");
    let terminal = OnTerminal::start_with_keys(command, 24, 80);
    let printed = expect_given_back(terminal, Some(101), (24, 80));
    assert!(printed.contains("\u{1b}[?1049h"), "it was taken over: {printed:?}");
    let contents = screen_of(&printed, 24, 80).screen().contents();
    assert!(contents.contains("on purpose"), "{contents}");
}

/// Waits for the end, and expects a terminal that a shell can go on with.
#[track_caller]
fn expect_given_back(terminal: OnTerminal, code: Option<i32>, size: (u16, u16)) -> String {
    wait::is_true("the terminal reading lines again", RUN_MAX, || {
        terminal.reads_lines() && terminal.printed().contains("\u{1b}[?1049l")
    });
    let (found, printed) = terminal.wait();
    assert_eq!(found, code, "{printed:?}");
    let parser = screen_of(&printed, size.0, size.1);
    assert!(!parser.screen().alternate_screen() && !parser.screen().hide_cursor(), "{printed:?}");
    printed
}

#[test]
fn without_a_terminal_it_prints_lines_until_it_is_stopped() {
    let log = log();
    let monitor = Process::start("orders", &args(&log.pipeline), &[]);
    let group = format!(" group {} ", log.pipeline.group);
    let dead = format!("dead letters 2 in {}: 1 invalid, 1 transient", log.pipeline.dlq);
    wait::is_true("lines", RUN_MAX, || {
        let printed = monitor.printed();
        printed.matches(&group).count() > 2 && printed.contains(&dead)
    });
    let finished = monitor.stop();
    finished.expect_code(0);
    assert!(!finished.stdout.contains('\u{1b}'), "{}", finished.stdout);
}
