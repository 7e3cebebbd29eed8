//! `orders topics` and `orders ecommerce` on a real broker.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use serde_json::Value;
use testkit::{Cluster, Finished, Pipeline, Process};

const RUN_MAX: Duration = Duration::from_secs(60);

/// Kafka's tools in Java.
const TOPICS: &str = "org.apache.kafka.tools.TopicCommand";
const CONFIGS: &str = "kafka.admin.ConfigCommand";

/// Names of a test's own, and a file that declares topics.
struct Rig {
    names: Pipeline,
    dir: tempdir::Dir,
}

/// A folder that goes with its handle.
mod tempdir {
    use std::path::PathBuf;

    pub(super) struct Dir(pub(super) PathBuf);

    impl Dir {
        pub(super) fn new(name: &str) -> Self {
            let dir = std::env::temp_dir().join(name);
            std::fs::create_dir_all(&dir).expect("a folder");
            Self(dir)
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

impl Rig {
    fn new() -> Self {
        let names = Cluster::shared().names(3);
        let dir = tempdir::Dir::new(&names.prefix);
        Self { names, dir }
    }

    fn name(&self, suffix: &str) -> String {
        format!("{}-{suffix}", self.names.prefix)
    }

    /// Writes the file; `@` stands for the prefix of the test's names.
    fn declare(&self, text: &str) -> String {
        let file = self.dir.0.join("topics.toml");
        let text = text.replace('@', &format!("{}-", self.names.prefix));
        fs::write(&file, text).expect("it can be written");
        file.display().to_string()
    }

    fn topics(&self, args: &[&str]) -> Finished {
        self.orders(&[&["topics"], args].concat())
    }

    fn orders(&self, args: &[&str]) -> Finished {
        let servers = &self.names.servers;
        let all = [args, &["-b", &servers.bootstrap_servers]].concat();
        Process::start("orders", &all, &[]).wait(RUN_MAX)
    }

    /// What a run prints as one JSON value.
    #[track_caller]
    fn json(&self, args: &[&str], code: i32) -> Value {
        let finished = self.topics(&[args, &["-o", "json"]].concat());
        finished.expect_code(code);
        serde_json::from_str(&finished.stdout).expect("one JSON value")
    }

    /// The settings that Kafka's own tool finds on a topic.
    fn settings(&self, topic: &str) -> BTreeMap<String, String> {
        let args = ["--describe", "--entity-type", "topics", "--entity-name", topic];
        let told = self.names.java(CONFIGS, &args);
        let lines = told.lines().filter(|line| line.contains(" synonyms={"));
        let setting = |line: &str| {
            let (name, rest) = line.trim().split_once('=').expect("NAME=VALUE");
            let (value, _) = rest.split_once(" sensitive=").expect("what follows a value");
            (name.to_owned(), value.to_owned())
        };
        lines.map(setting).collect()
    }
}

const DECLARED: &str = "
[[topic]]
name = \"@a\"
partitions = 2
key = \"customer\"
key-reason = \"orders of a customer keep their order\"
[topic.settings]
retention.ms = 86400000
cleanup.policy = \"compact,delete\"
";

#[test]
fn what_is_declared_is_made_once_and_a_plan_finds_what_differs() {
    let rig = Rig::new();
    let (file, a) = (rig.declare(DECLARED), rig.name("a"));
    let plan = rig.json(&["plan", "-f", &file], 4);
    assert_eq!((&plan["drift"], plan["create"].as_u64()), (&true.into(), Some(1)), "{plan}");
    let preview = rig.topics(&["apply", "-f", &file]);
    preview.expect_code(0);
    assert!(preview.stdout.contains("+ topic with 2 partitions"), "{}", preview.stdout);
    assert!(preview.stderr.contains("--execute does it"), "{}", preview.stderr);
    assert!(rig.names.describe(&a).is_none(), "a preview makes nothing");
    rig.topics(&["apply", "-f", &file, "--execute"]).expect_code(0);
    assert_eq!(rig.names.describe(&a).map(|topic| topic.partitions), Some(2));
    assert_eq!(rig.json(&["plan", "-f", &file], 0)["drift"], false);
    let again = rig.topics(&["apply", "-f", &file, "--execute"]);
    again.expect_code(0);
    assert!(again.stderr.contains("nothing to do"), "{}", again.stderr);

    let wider = rig.declare(&DECLARED.replace("partitions = 2", "partitions = 5"));
    let plan = rig.topics(&["plan", "-f", &wider]);
    plan.expect_code(4);
    assert!(plan.stdout.contains("warning: keys move"), "{}", plan.stdout);
    rig.topics(&["apply", "-f", &wider, "--execute"]).expect_code(0);
    assert_eq!(rig.names.describe(&a).map(|topic| topic.partitions), Some(5));

    let narrower = rig.declare(DECLARED);
    let refused = rig.topics(&["apply", "-f", &narrower, "--execute"]);
    refused.expect_code(3);
    assert!(
        refused.stdout.contains("! has 5 partitions, but 2 are declared"),
        "{}",
        refused.stdout
    );
    assert_eq!(rig.names.describe(&a).map(|topic| topic.partitions), Some(5));
}

#[test]
fn a_setting_is_changed_and_those_that_somebody_else_made_stay() {
    let rig = Rig::new();
    let (file, a) = (rig.declare(DECLARED), rig.name("a"));
    rig.topics(&["apply", "-f", &file, "--execute"]).expect_code(0);
    let others = "segment.ms=3600000,max.message.bytes=2000000";
    let alter = ["--alter", "--entity-type", "topics", "--entity-name", &a, "--add-config", others];
    rig.names.java(CONFIGS, &alter);
    let plan = rig.json(&["plan", "-f", &file], 0);
    assert_eq!(plan["topics"][0]["left_alone"]["segment.ms"], "3600000", "no drift: {plan}");
    let changed = rig.declare(&DECLARED.replace("86400000", "-1"));
    let plan = rig.topics(&["plan", "-f", &changed]);
    plan.expect_code(4);
    assert!(plan.stdout.contains("~ retention.ms: 86400000 -> -1"), "{}", plan.stdout);
    rig.topics(&["apply", "-f", &changed, "--execute"]).expect_code(0);
    let expected = [
        ("cleanup.policy", "compact,delete"),
        ("max.message.bytes", "2000000"),
        ("retention.ms", "-1"),
        ("segment.ms", "3600000"),
    ];
    let found = rig.settings(&a);
    let found: Vec<_> = found.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(found, expected);
    let wrong = rig.declare(&DECLARED.replace("@a", "@b").replace("86400000", "\"for ever\""));
    let refused = rig.topics(&["apply", "-f", &wrong, "--execute"]);
    refused.expect_code(1);
    assert!(refused.stderr.contains("name or value of a setting"), "{}", refused.stderr);
    let wrong = rig.declare(&DECLARED.replace("86400000", "\"for ever\""));
    let refused = rig.topics(&["apply", "-f", &wrong, "--execute"]);
    refused.expect_code(1);
    assert!(refused.stderr.contains("got no settings"), "{}", refused.stderr);
    assert_eq!(rig.settings(&a).len(), expected.len(), "nothing was changed");
}

#[test]
fn what_is_described_as_toml_is_applied_to_the_same_topic() {
    let rig = Rig::new();
    let (file, a) = (rig.declare(DECLARED), rig.name("a"));
    rig.topics(&["apply", "-f", &file, "--execute"]).expect_code(0);
    let described = rig.topics(&["describe", &a, "-o", "toml"]);
    described.expect_code(0);
    let copy = rig.declare(&described.stdout);
    rig.topics(&["plan", "-f", &copy]).expect_code(0);
    let settings = rig.settings(&a);
    rig.topics(&["apply", "--delete", &a, "-f", &rig.declare(""), "--execute"]).expect_code(0);
    assert!(rig.names.describe(&a).is_none());
    let copy = rig.declare(&described.stdout);
    rig.topics(&["apply", "-f", &copy, "--execute"]).expect_code(0);
    assert_eq!(
        (rig.settings(&a), rig.names.describe(&a).map(|a| a.partitions)),
        (settings, Some(2))
    );
    let again = rig.topics(&["describe", &a, "-o", "toml"]);
    assert_eq!(again.stdout, described.stdout);
}

#[test]
fn nothing_is_deleted_without_its_name_and_what_is_declared_never() {
    let rig = Rig::new();
    let both = DECLARED.to_owned() + &DECLARED.replace("@a", "@b");
    let (file, a, b) = (rig.declare(&both), rig.name("a"), rig.name("b"));
    rig.topics(&["apply", "-f", &file, "--execute"]).expect_code(0);
    let refused = rig.topics(&["apply", "-f", &file, "--delete", &b, "--execute"]);
    refused.expect_code(2);
    assert!(refused.stderr.contains("take it out of the file first"), "{}", refused.stderr);
    let file = rig.declare(DECLARED);
    rig.topics(&["apply", "-f", &file, "--execute"]).expect_code(0);
    let preview = rig.topics(&["apply", "-f", &file, "--delete", &b]);
    preview.expect_code(0);
    assert!(preview.stdout.contains("- topic with 2 partitions"), "{}", preview.stdout);
    assert!(rig.names.describe(&b).is_some(), "neither run deletes it");
    let delete = ["apply", "-f", &file, "--delete", &b, "--execute"];
    rig.topics(&delete).expect_code(0);
    assert!(rig.names.describe(&b).is_none() && rig.names.describe(&a).is_some());
    let again = rig.topics(&delete);
    again.expect_code(0);
    assert!(again.stderr.contains("there is no topic"), "{}", again.stderr);
}

#[test]
fn topics_are_listed_and_described_as_kafkas_own_tool_does() {
    let rig = Rig::new();
    let (file, a) = (rig.declare(DECLARED), rig.name("a"));
    rig.topics(&["apply", "-f", &file, "--execute"]).expect_code(0);
    let listed = rig.json(&["list"], 0);
    let listed = listed.as_array().expect("a list");
    let found = listed.iter().find(|topic| topic["name"] == *a).expect("it is listed");
    assert_eq!((found["partitions"].as_u64(), found["replicas"].as_u64()), (Some(2), Some(1)));
    assert!(listed.iter().all(|topic| topic["name"] != "__consumer_offsets"));
    let told = rig.json(&["describe", &a], 0).as_array_mut().expect("a list").remove(0);
    let by_java = rig.names.java(TOPICS, &["--describe", "--topic", &a]);
    let (_, id) = by_java.split_once("TopicId: ").expect("it tells the id");
    assert_eq!(told["id"].as_str(), id.split_whitespace().next(), "{by_java}");
    for partition in told["partitions"].as_array().expect("a list") {
        let (number, leader) = (&partition["partition"], &partition["leader"]);
        let line = format!("Partition: {number}\tLeader: {leader}\t");
        assert!(by_java.contains(&line), "{line}: {by_java}");
        assert_eq!((partition["first"].as_i64(), partition["end"].as_i64()), (Some(0), Some(0)));
    }
    assert_eq!(told["settings"]["retention.ms"]["source"], "topic");
    assert_eq!(told["settings"]["segment.bytes"]["source"], "default");
    let page = rig.topics(&["describe", &a]);
    page.expect_code(0);
    assert!(page.stdout.contains("retention.ms = 86400000"), "{}", page.stdout);
    let missing = rig.topics(&["describe", &format!("{a}a")]);
    missing.expect_code(1);
    assert!(missing.stderr.contains(&format!("did you mean {a}?")), "{}", missing.stderr);
}

#[test]
fn the_consumer_takes_the_topics_of_the_shipped_file_and_makes_none_that_differ() {
    let shipped = include_str!("../../../config/topics.toml");
    // The consumer of tests writes an outcome log as well, which is off by default.
    let outcomes = "\n[[topic]]\nname = \"@outcomes\"\npartitions = 3\n";
    let of_pipeline = |rig: &Rig| {
        let text = shipped.to_owned() + outcomes;
        let mut text = text.replace("\"orders\"", &format!("\"{}\"", rig.names.orders));
        for (name, own) in [
            ("orders-retry", &rig.names.retry),
            ("orders-dlq", &rig.names.dlq),
            ("orders-averages", &rig.names.averages),
        ] {
            text = text.replace(&format!("\"{name}\""), &format!("\"{own}\""));
        }
        rig.declare(&text)
    };
    let meant = |rig: &Rig| {
        let Pipeline { orders, retry, dlq, averages, outcomes, .. } = &rig.names;
        [orders, retry, dlq, averages, outcomes].map(String::clone)
    };
    let (applied, made) = (Rig::new(), Rig::new());
    let file = of_pipeline(&applied);
    let names = meant(&applied);
    let args = [&["apply", "-f", &file, "--execute"], &names.each_ref().map(String::as_str)[..]];
    applied.topics(&args.concat()).expect_code(0);
    Process::consumer(&applied.names, &["--exit-at-end"]).wait(RUN_MAX).expect_code(0);
    let consumer = Process::consumer(&made.names, &["--exit-at-end", "--create-topics"]);
    consumer.wait(RUN_MAX).expect_code(0);
    let (file, names) = (of_pipeline(&made), meant(&made));
    let args = [&["plan", "-f", &file], &names.each_ref().map(String::as_str)[..]];
    made.topics(&args.concat()).expect_code(0);
}

#[test]
fn what_is_wrong_with_the_file_or_the_broker_is_told_with_the_next_step() {
    let rig = Rig::new();
    let run = |args: &[&str], code: i32| {
        let all = [&["topics"], args, &["-b", "127.0.0.1:9"]].concat();
        let finished = Process::start("orders", &all, &[]).wait(RUN_MAX);
        finished.expect_code(code);
        assert!(finished.stderr.contains("hint: "), "{args:?}: {}", finished.stderr);
        finished
    };
    assert!(run(&["plan"], 2).stderr.contains("config/topics.toml: cannot be read"));
    let file = rig.declare(DECLARED);
    let undeclared = run(&["plan", "-f", &file, &rig.name("b")], 2);
    assert!(undeclared.stderr.contains("did you mean"), "{}", undeclared.stderr);
    for args in [&["plan", "-f", &file][..], &["list"]] {
        let away = run(args, 1);
        assert!(away.stderr.contains("127.0.0.1:9"), "{}", away.stderr);
        assert!(away.elapsed < crate::program::TOLD_MAX, "{:?}", away.elapsed);
    }
}

#[test]
fn each_key_is_read_by_one_worker_in_its_order_and_without_keys_it_is_not() {
    let rig = Rig::new();
    let prefix = &rig.names.prefix;
    let run = |more: &[&str], code: i32| {
        let finished = rig.orders(&[&["ecommerce", "--prefix", prefix], more].concat());
        finished.expect_code(code);
        finished
    };
    let missing = run(&[], 1);
    assert!(missing.stderr.contains("orders topics apply"), "{}", missing.stderr);
    let shipped = include_str!("../../../config/topics.toml");
    let file = rig.declare(&shipped.replace("ecommerce.", &format!("{prefix}.")));
    let names = ["orders", "payments", "inventory"].map(|topic| format!("{prefix}.{topic}"));
    let args = [&["apply", "-f", &file, "--execute"], &names.each_ref().map(String::as_str)[..]];
    rig.topics(&args.concat()).expect_code(0);
    let told: Value = serde_json::from_str(&run(&["-o", "json"], 0).stdout).expect("JSON");
    assert_eq!((&told["ok"], told["events"].as_u64()), (&true.into(), Some(270)), "{told}");
    let partitions = told["partitions"].as_array().expect("a list");
    let events: u64 = partitions.iter().filter_map(|row| row["events"].as_u64()).sum();
    assert_eq!((partitions.len(), events), (9, 270), "{told}");
    let table = run(&[], 0).stdout;
    assert!(table.contains("each key in one partition and in its order"), "{table}");
    let spread = run(&["--spread"], 4).stdout;
    assert!(spread.contains("no worker has read all events of"), "{spread}");
}
