//! What a command waits for: each handle that it makes has connections of its own, and each question is a way to the brokers and
//! back. Both are counted, since time depends on the machine.

use testkit::{Cluster, Pipeline, Process};

use crate::group::RUN_MAX;
use crate::rig::Log;

/// What a command may take.
struct Limits {
    /// Handles: the one that asks whether anybody is there, the one for questions, those that read, that of a group's offsets.
    handles: usize,
    /// Questions for offsets of partitions, whatever their number.
    questions: usize,
}

/// Lines of the log that tell of one.
const HANDLE: &str = "a handle was made";
const QUESTION: &str = "offsets of partitions are asked for";

/// Partitions of the pipeline: questions do not grow with them, but where each is looked at by itself.
const PARTITIONS: usize = 6;

fn check(pipeline: &Pipeline, command: &[&str], limits: &Limits) {
    let mut args: Vec<String> = command.iter().map(|arg| (*arg).to_owned()).collect();
    if !args.iter().any(|arg| arg == "--bootstrap-server") {
        args.extend(["-b".to_owned(), pipeline.servers.bootstrap_servers.clone()]);
    }
    let finished = Process::start("orders", &args, &[("RUST_LOG", "kafka_io=debug")]).wait(RUN_MAX);
    finished.expect_code(0);
    let count = |text: &str| finished.stderr.matches(text).count();
    let (handles, questions) = (count(HANDLE), count(QUESTION));
    assert!(handles >= 1, "{command:?}: handles are not counted any more: {}", finished.stderr);
    assert!(handles <= limits.handles, "{command:?}: {handles} handles\n{}", finished.stderr);
    assert!(questions <= limits.questions, "{command:?}: {questions} questions");
}

#[test]
fn a_command_makes_few_handles_and_asks_for_all_partitions_at_once() {
    let log = Log::new(Cluster::shared().pipeline(i32::try_from(PARTITIONS).expect("small")));
    log.send();
    let pipeline = &log.pipeline;
    let of = |handles, questions| Limits { handles, questions };
    let (dlq, ledger) = (pipeline.dlq.as_str(), format!("{}-redrives", pipeline.dlq));
    let dlq_flags = ["-t", dlq, "--ledger-topic", &ledger];
    check(pipeline, &["topics", "list"], &of(2, 0));
    check(pipeline, &["topics", "describe", &pipeline.orders, dlq], &of(2, 2));
    for command in ["list", "stats"] {
        check(pipeline, &[&["dlq", command][..], &dlq_flags].concat(), &of(3, 2));
    }
    check(pipeline, &["dlq", "export", "--raw", "-t", dlq], &of(3, 2));
    let group = pipeline.group.as_str();
    let lag = ["lag", "show", "--window", "0", "--group", group, "--retry-topic", &pipeline.retry];
    check(pipeline, &lag, &of(4, 6));
    let mut averages = pipeline.audit_args(true);
    averages[0] = "averages".to_owned();
    let averages: Vec<&str> = averages.iter().map(String::as_str).collect();
    // Each partition is looked at by itself: first offsets, ends, and what is decided below them.
    check(pipeline, &averages, &of(4, 3 * PARTITIONS));
}
