//! Other tools see what `orders dlq` prints, and read what it exports.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use testkit::{Cluster, Pipeline, Process};

use super::planted::Topic;
use super::redrive::is_ours;
use super::{dlq, lines, place};

const RUN_MAX: Duration = Duration::from_secs(60);

/// Runs `kcat` on the servers of a pipeline, and returns what it prints.
fn kcat(pipeline: &Pipeline, args: &[&str]) -> String {
    let output = Command::new("kcat")
        .args(["-b", &pipeline.servers.bootstrap_servers])
        .args(args)
        .output()
        .expect("kcat is there: make setup");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What `stats` says of our own dead letters: how many there are of each class and reason.
fn causes(pipeline: &Pipeline) -> BTreeMap<(String, String), usize> {
    let told = lines(&dlq(pipeline, &["stats", "-o", "json"]), 0).remove(0);
    let mut causes = BTreeMap::new();
    for group in told["groups"].as_array().expect("a list") {
        if group["dialect"] != "orders" {
            continue;
        }
        let text = |name: &str| group[name].as_str().expect("ours has one").to_owned();
        let count = group["count"].as_u64().and_then(|count| usize::try_from(count).ok());
        *causes.entry((text("class"), text("reason"))).or_default() += count.expect("a number");
    }
    causes
}

#[test]
fn kcat_and_the_console_consumer_count_what_stats_counts_at_the_places_that_list_names() {
    let topic = Topic::of(330);
    let pipeline = &topic.pipeline;
    let causes = causes(pipeline);
    assert!(causes.len() >= 3, "{causes:?}");
    assert_eq!(causes.values().sum::<usize>(), topic.places(is_ours).len());

    let by_kcat = kcat(pipeline, &["-C", "-e", "-q", "-t", &pipeline.dlq, "-f", "%p:%o %h\n"]);
    let flags = "--from-beginning --max-messages 330 --isolation-level read_committed \
                 --timeout-ms 30000 --formatter-property print.headers=true --formatter-property \
                 print.value=false";
    let topic_flag = ["--topic", &pipeline.dlq];
    let args: Vec<&str> = topic_flag.into_iter().chain(flags.split_whitespace()).collect();
    let by_java = pipeline.java("org.apache.kafka.tools.consumer.ConsoleConsumer", &args);
    for ((class, reason), count) in &causes {
        for (printed, mark) in [(&by_kcat, '='), (&by_java, ':')] {
            let class = format!("x-failure-class{mark}{class},");
            let reason = format!("x-failure-reason{mark}{reason},");
            let is_of_it = |line: &&str| line.contains(&class) && line.contains(&reason);
            assert_eq!(printed.lines().filter(is_of_it).count(), *count, "{reason}: {printed}");
        }
    }
    let listed = lines(&dlq(pipeline, &["list", "-o", "jsonl"]), 0);
    let mut listed: Vec<_> = listed.iter().map(place).collect();
    let placed = |line: &str| {
        let (partition, offset) = line.split_once(' ')?.0.split_once(':')?;
        Some((partition.parse().ok()?, offset.parse().ok()?))
    };
    let mut seen: Vec<(i32, i64)> = by_kcat.lines().filter_map(placed).collect();
    listed.sort_unstable();
    seen.sort_unstable();
    assert_eq!(seen, listed);
}

/// Writes lines into a file of a run's directory.
fn file(dir: &Path, text: &str) -> PathBuf {
    let file = dir.join("exported.jsonl");
    std::fs::write(&file, text).expect("a file");
    file
}

#[test]
fn what_is_exported_is_read_by_the_producer_and_line_by_line_by_kcat() {
    let topic = Topic::of(120);
    let pipeline = &topic.pipeline;
    let schema_id = topic.schema_ids[0].to_string();
    let exported = dlq(pipeline, &["export", "--values", "--schema-id", &schema_id]);
    exported.expect_code(0);
    let orders: Vec<&str> = exported.stdout.lines().collect();
    assert_eq!(orders.len(), 30, "a quarter is of this schema");
    // A process that runs has a directory for it.
    let dir = Process::start("orders", &["--version"], &[]);
    let input = file(&dir.dir(), &exported.stdout);
    let input = input.to_str().expect("a name");

    let target = Cluster::shared().pipeline(1);
    let flags = ["--input", input, "--input-format", "jsonl", "--quiet"];
    Process::producer(&target, &flags).wait(RUN_MAX).expect_code(0);
    assert_eq!(target.records(&target.orders).len(), orders.len());

    kcat(&target, &["-P", "-t", &target.outcomes, "-l", input]);
    let sent = target.records(&target.outcomes);
    let parse = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).expect("JSON");
    let sent: Vec<Value> = sent.iter().filter_map(|r| r.value.as_deref().map(parse)).collect();
    let exported: Vec<Value> = orders.iter().map(|line| parse(line.as_bytes())).collect();
    assert_eq!(sent, exported);
}
