//! Averages and offsets: read back before anything runs, and refused when they do not agree.

use std::time::Duration;

use kafka_io::client_config::{KafkaSettings, Role as Client};
use kafka_io::member::{Member, OffsetCommit};
use pipeline::completion::Completion;
use pipeline::record::CommitPosition;
use testkit::oracle::Rules;
use testkit::{
    Cluster, Finished, Input, OrderEncoder, Pipeline, Process, Role, machine, verify, wait,
};

/// Longest wait for anything.
const LIMIT: Duration = Duration::from_secs(60);

pub(crate) const GROUPS: &str = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";

const CONFIGS: &str = "kafka.admin.ConfigCommand";

const FINISH: [&str; 3] = ["--exit-at-end", "-o", "json"];

fn orders(encoder: &OrderEncoder, partitions: i32, numbers: std::ops::Range<i32>) -> Vec<Input> {
    let order = |n: i32| {
        let product = format!("product-{}", n % 50);
        encoder.input(n % partitions, &format!("order-{n}"), &product, 0.37)
    };
    numbers.map(order).collect()
}

/// A pipeline of one partition in which 500 orders were counted.
fn counted() -> (Pipeline, OrderEncoder) {
    let pipeline = Cluster::shared().pipeline(1);
    let encoder = pipeline.orders_v1();
    pipeline.send(&pipeline.orders, &orders(&encoder, 1, 0..500));
    run(&pipeline).expect_code(0);
    (pipeline, encoder)
}

fn run(pipeline: &Pipeline) -> Finished {
    Process::consumer(pipeline, &FINISH).wait(LIMIT)
}

/// Runs the commands for offsets that an error proposes: one after the other, as a shell does.
pub(crate) fn run_proposed_command(pipeline: &Pipeline, failed: &Finished) {
    let start =
        format!("kafka-consumer-groups --bootstrap-server {} ", pipeline.servers.bootstrap_servers);
    let proposed = failed.stderr.lines().find(|line| line.contains(&start));
    let line = proposed.unwrap_or_else(|| panic!("no command in:\n{}", failed.stderr));
    for command in line.split(" && ") {
        let (_, args) = command.split_once(&start).expect("a command for offsets");
        pipeline.java(GROUPS, &args.split_whitespace().collect::<Vec<_>>());
    }
}

#[test]
fn after_a_restart_averages_continue_exactly() {
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(3);
    let (v1, v2) = (pipeline.orders_v1(), pipeline.orders_v2());
    let rules = Rules::new(&[&v1, &v2]);
    for (encoder, numbers) in [(&v1, 0..2_000), (&v2, 2_000..2_500), (&v1, 2_500..2_501)] {
        let count = numbers.len();
        pipeline.send(&pipeline.orders, &orders(encoder, 3, numbers));
        let statistics = run(&pipeline).expect_code(0).stats();
        assert_eq!(statistics["consumed"], count, "{statistics}");
        verify::exact(&pipeline, &rules).expect_state(&statistics);
    }
}

#[test]
fn a_new_instance_restores_before_it_is_ready_and_before_it_counts() {
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(3);
    let encoder = pipeline.orders_v1();
    let order = |n: i32| encoder.input(n % 3, &format!("o{n}"), &format!("product-{n}"), 1.5);
    let first: Vec<Input> = (0..30_000).map(order).collect();
    pipeline.send(&pipeline.orders, &first);
    run(&pipeline).expect_code(0);
    pipeline.send(&pipeline.orders, &first); // the same products and ids: they count again
    let variables = [("RUST_LOG", "info,relane=debug")];
    let mut consumer = Process::start("consumer", &pipeline.consumer_args(), &variables);
    let mut unready = Vec::new();
    wait::is_true("being ready", LIMIT, || {
        let answer = consumer.get("/readyz");
        let is_ready = answer.status == 200;
        if !is_ready {
            unready.push(answer.body);
        }
        is_ready
    });
    assert!(unready.iter().all(|body| body.contains("condition")), "{unready:?}");
    let restored = consumer.log();
    for partition in 0..3 {
        let line =
            restored.lines().find(|line| line.contains(&format!("restored partition={partition}")));
        assert!(line.is_some_and(|line| line.contains("keys=10000")), "{restored}");
    }
    wait::is_true("everything being counted", LIMIT, || pipeline.lag() == 0);
    consumer.sigterm();
    consumer.wait(LIMIT).expect_code(0);
    // No average ever falls back, and each ends at two orders.
    verify::exact(&pipeline, &Rules::new(&[&encoder]));
}

#[test]
fn averages_of_another_group_are_refused() {
    let _machine = machine::shared();
    let (pipeline, _) = counted();
    let other = Pipeline { group: format!("{}-other", pipeline.group), ..pipeline.clone() };
    let before = pipeline.averages_log().len();
    let failed = run(&other);
    failed.expect_code(1);
    assert!(failed.stderr.contains("does not belong to group"), "{}", failed.stderr);
    assert!(failed.stderr.contains("--averages-topic"), "{}", failed.stderr);
    assert_eq!(pipeline.averages_log().len(), before);
}

#[test]
fn deleted_offsets_are_refused_with_the_command_that_restores_them() {
    let _machine = machine::shared();
    let (pipeline, encoder) = counted();
    let delete = |topic| {
        pipeline.java(GROUPS, &["--group", &pipeline.group, "--delete-offsets", "--topic", topic]);
        assert_eq!(pipeline.committed(topic), [None]);
    };
    delete(&pipeline.orders);
    let failed = run(&pipeline);
    failed.expect_code(1);
    assert!(failed.stderr.contains("no committed offset"), "{}", failed.stderr);
    run_proposed_command(&pipeline, &failed);
    delete(&pipeline.retry);
    let failed = run(&pipeline);
    failed.expect_code(1);
    assert!(failed.stderr.contains("no committed offset"), "{}", failed.stderr);
    run_proposed_command(&pipeline, &failed);
    pipeline.send(&pipeline.orders, &orders(&encoder, 1, 500..600));
    let statistics = run(&pipeline).expect_code(0).stats();
    assert_eq!(statistics["consumed"], 100, "{statistics}");
    verify::exact(&pipeline, &Rules::new(&[&encoder])).expect_state(&statistics);
}

#[test]
fn a_topic_that_was_made_anew_is_told_and_no_offset_beyond_its_end_is_proposed() {
    let _machine = machine::shared();
    let (pipeline, encoder) = counted();
    pipeline.delete(&pipeline.orders);
    pipeline.create(Role::Orders, 1, &[("cleanup.policy", "delete")]);
    pipeline.send(&pipeline.orders, &orders(&encoder, 1, 0..10));
    // Kafka forgets a group's offsets of a topic that is deleted; those that an operator puts in
    // their place lie behind what the averages hold.
    for position in [None, Some("5")] {
        if let Some(position) = position {
            let topic = format!("{}:0", pipeline.orders);
            let set = ["--reset-offsets", "--to-offset", position, "--execute"];
            let args = [&["--group", &pipeline.group, "--topic", &topic], &set[..]].concat();
            pipeline.java(GROUPS, &args);
        }
        let committed = pipeline.committed(&pipeline.orders);
        assert_eq!(committed, [position.map(|text| text.parse().expect("a number"))]);
        let failed = run(&pipeline);
        failed.expect_code(1);
        assert!(failed.stderr.contains("deleted and recreated"), "{}", failed.stderr);
        assert!(failed.stderr.contains("--create-topics"), "{}", failed.stderr);
        assert!(!failed.stderr.contains("--to-offset"), "{}", failed.stderr);
    }
}

#[test]
fn offsets_that_were_set_back_are_refused_with_the_command_that_restores_them() {
    let _machine = machine::shared();
    let (pipeline, encoder) = counted();
    let earliest = ["--reset-offsets", "--to-earliest", "--execute"];
    let args = [&["--group", &pipeline.group, "--topic", &pipeline.orders], &earliest[..]].concat();
    pipeline.java(GROUPS, &args);
    assert_eq!(pipeline.committed(&pipeline.orders), [Some(0)]);
    let failed = run(&pipeline);
    failed.expect_code(1);
    assert!(failed.stderr.contains("count orders twice"), "{}", failed.stderr);
    run_proposed_command(&pipeline, &failed);
    pipeline.send(&pipeline.orders, &orders(&encoder, 1, 500..600));
    let statistics = run(&pipeline).expect_code(0).stats();
    verify::exact(&pipeline, &Rules::new(&[&encoder])).expect_state(&statistics);
}

/// Deletes a topic and makes it anew.
fn make_anew(pipeline: &Pipeline, role: Role) {
    pipeline.delete(pipeline.topic(role));
    let policy = if role == Role::Averages { "compact" } else { "delete" };
    pipeline.create(role, pipeline.partitions, &[("cleanup.policy", policy)]);
}

#[test]
fn averages_that_are_gone_are_missed() {
    let _machine = machine::shared();
    let (pipeline, _) = counted();
    make_anew(&pipeline, Role::Averages);
    let failed = run(&pipeline);
    failed.expect_code(1);
    let hint = format!("--group-id {}-2", pipeline.group);
    for words in ["its averages are lost", &hint] {
        assert!(failed.stderr.contains(words), "{}", failed.stderr);
    }
}

/// Nothing was settled, so that no state notes where the topics stood: the operator has to know.
#[test]
fn offsets_of_one_topic_that_are_gone_are_asked_of_the_operator() {
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(1);
    let encoder = pipeline.orders_v1();
    run(&pipeline).expect_code(0);
    let group = ["--group", pipeline.group.as_str()];
    let delete = ["--delete-offsets", "--topic", &pipeline.retry];
    pipeline.java(GROUPS, &[&group[..], &delete].concat());
    let failed = run(&pipeline);
    failed.expect_code(1);
    let command = format!("--topic {}:0 --reset-offsets --to-earliest --execute", pipeline.retry);
    let (main, retry) = (&pipeline.orders, &pipeline.retry);
    let told = format!("has an offset for {main}/0 but none for {retry}/0; {retry} is empty");
    for words in [&command, &told] {
        assert!(failed.stderr.contains(words), "{}", failed.stderr);
    }
    run_proposed_command(&pipeline, &failed);
    pipeline.send(&pipeline.orders, &orders(&encoder, 1, 0..10));
    run(&pipeline).expect_code(0);
    verify::exact(&pipeline, &Rules::new(&[&encoder]));
}

/// A group that has only dead-lettered is guarded as one that has counted, and all of its partitions
/// and topics are named at one start.
#[test]
fn offsets_of_a_group_that_only_dead_lettered_are_refused_when_they_are_set_back() {
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(3);
    let encoder = pipeline.orders_v1();
    let negative = |n: i32| encoder.input(n % 3, &format!("order-{n}"), "tea", -1.0);
    pipeline.send(&pipeline.orders, &(0..60).map(negative).collect::<Vec<_>>());
    run(&pipeline).expect_code(0);
    let group = ["--group", pipeline.group.as_str()];
    let set_back = ["--reset-offsets", "--all-topics", "--to-earliest", "--execute"];
    pipeline.java(GROUPS, &[&group[..], &set_back].concat());
    let failed = run(&pipeline);
    failed.expect_code(1);
    for partition in 0..3 {
        let told = format!("offset of {}/{partition} is 0, but", pipeline.orders);
        assert!(failed.stderr.contains(&told), "{}", failed.stderr);
    }
    assert!(failed.stderr.contains("dead-letter orders twice"), "{}", failed.stderr);
    run_proposed_command(&pipeline, &failed);
    pipeline.send(&pipeline.orders, &(60..90).map(negative).collect::<Vec<_>>());
    let delete = ["--delete-offsets", "--topic", &pipeline.orders];
    pipeline.java(GROUPS, &[&group[..], &delete].concat());
    let failed = run(&pipeline);
    failed.expect_code(1);
    run_proposed_command(&pipeline, &failed);
    let statistics = run(&pipeline).expect_code(0).stats();
    assert_eq!(statistics["dead_lettered"], 30, "{statistics}");
    verify::exact(&pipeline, &Rules::new(&[&encoder]));
}

#[test]
fn an_average_that_its_topic_refuses_ends_the_consumer_with_the_command_that_lets_it_in() {
    let _machine = machine::shared();
    let narrow = [(Role::Averages, "max.message.bytes", "2000")];
    let pipeline = Cluster::shared().pipeline_with(1, &narrow);
    let encoder = pipeline.orders_v1();
    let wide = encoder.input(0, "wide", &"x".repeat(3_000), 1.0);
    pipeline.send(&pipeline.orders, &[encoder.input(0, "first", "tea", 1.0), wide]);
    let failed = run(&pipeline);
    failed.expect_code(1);
    let command = format!("--alter --topic {} --add-config max.message.bytes=", pipeline.averages);
    assert!(failed.stderr.contains(&command), "{}", failed.stderr);
    let configs = ["--alter", "--topic", &pipeline.averages, "--add-config"];
    pipeline.java(CONFIGS, &[&configs[..], &["max.message.bytes=4194304"]].concat());
    run(&pipeline).expect_code(0);
    verify::exact(&pipeline, &Rules::new(&[&encoder]));
}

/// Offsets and a state record as version 0.1 has written them: four of the first five orders were
/// counted, the
/// fourth was not.
#[test]
fn offsets_and_averages_of_an_earlier_version_are_read() {
    const MAIN_METADATA: &str = "AQEDAQE";
    const RETRY_METADATA: &str = "AQAA";
    const FOUR_OF_TEA: [u8; 22] = [
        6, 116, 101, 97, 8, 4, 57, 208, 174, 71, 225, 122, 20, 174, 215, 63, 128, 160, 171, 254,
        249, 98,
    ];
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(1);
    let encoder = pipeline.orders_v1();
    let order = |n: i32| encoder.input(0, &format!("order-{n}"), "tea", 0.37);
    pipeline.send(&pipeline.orders, &(0..6).map(order).collect::<Vec<_>>());
    let id = pipeline.register_for(&pipeline.averages, order_schemas::PRODUCT_AVERAGE_V1);
    let value = [&codec::frame::header(id)[..], &FOUR_OF_TEA[..]].concat();
    let state = Input::new(0, Some(b"tea"), Some(&value))
        .with_header("x-group", Some(pipeline.group.as_bytes()))
        .with_header("x-main-offset", Some(b"3"))
        .with_header("x-retry-offset", Some(b"0"))
        .with_header("x-main-completion", Some(MAIN_METADATA.as_bytes()));
    pipeline.send(&pipeline.averages, &[state]);
    let offset = |topic: &str, position: i64, metadata: &str| {
        let position = CommitPosition(position);
        let completion = Completion::decode(metadata, position).expect("it is understood");
        assert_eq!(completion.encode(), metadata, "and written as it was");
        OffsetCommit::new(topic, 0, &completion, position)
    };
    let offsets =
        [offset(&pipeline.orders, 3, MAIN_METADATA), offset(&pipeline.retry, 0, RETRY_METADATA)];
    commit_as_another(&pipeline, &offsets);
    let statistics = run(&pipeline).expect_code(0).stats();
    assert_eq!(statistics["consumed"], 2, "{statistics}");
    assert_eq!(statistics["overall"]["count"], 6, "{statistics}");
    assert_eq!(statistics["overall"]["sum"], "2.2200", "{statistics}");
    assert_eq!(pipeline.lag(), 0);
}

/// Commits offsets as a member that then leaves the group.
fn commit_as_another(pipeline: &Pipeline, offsets: &[OffsetCommit]) {
    let settings = KafkaSettings::new("other", &pipeline.servers.bootstrap_servers, Vec::new())
        .expect("brokers are named");
    let config = settings.base(Client::Consumer);
    let other = Member::join(&config, &pipeline.group, None, &pipeline.orders).expect("settings");
    wait::is_true("the other tool being a member", LIMIT, || {
        other.serve();
        other.membership().is_joined()
    });
    wait::is_true("the broker taking any offset", LIMIT, || {
        other.serve();
        other.commit(offsets).is_ok()
    });
    other.leave();
}

#[test]
fn offsets_beyond_the_end_of_their_topic_are_told() {
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(1);
    let encoder = pipeline.orders_v1();
    pipeline.send(&pipeline.orders, &orders(&encoder, 1, 0..10));
    run(&pipeline).expect_code(0);
    let position = CommitPosition(1_000);
    let beyond = OffsetCommit::new(&pipeline.orders, 0, &Completion::at(position), position);
    commit_as_another(&pipeline, &[beyond]);
    let failed = run(&pipeline);
    failed.expect_code(1);
    let told = format!("at offset 1000 of {}/0, which ends at", pipeline.orders);
    for words in [told.as_str(), "--group-id"] {
        assert!(failed.stderr.contains(words), "{}", failed.stderr);
    }
}

#[test]
fn a_retention_gap_pauses_its_partition_until_it_is_accepted() {
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(2);
    let encoder = pipeline.orders_v1();
    pipeline.send(&pipeline.orders, &orders(&encoder, 2, 0..1_000));
    run(&pipeline).expect_code(0);
    pipeline.send(&pipeline.orders, &orders(&encoder, 2, 1_000..2_000));
    pipeline.delete_records_below(&pipeline.orders, 0, 700);
    let mut consumer = Process::consumer(&pipeline, &[]);
    wait::is_true("the other partition going on", LIMIT, || {
        pipeline.committed(&pipeline.orders) == [Some(500), Some(1_000)]
    });
    // The partition may change hands meanwhile: whoever owns it says so.
    wait::is_true("the gap being told", LIMIT, || {
        let answer = consumer.get("/readyz");
        let words = ["retention-gap", "500 to 699", "--accept-gap", &pipeline.orders];
        answer.status == 503 && words.iter().all(|words| answer.body.contains(words))
    });
    assert_eq!(pipeline.committed(&pipeline.orders), [Some(500), Some(1_000)]);
    consumer.sigterm();
    consumer.wait(LIMIT).expect_code(0);
    let finished =
        Process::consumer(&pipeline, &[&FINISH[..], &["--accept-gap"]].concat()).wait(LIMIT);
    let statistics = finished.expect_code(0).stats();
    assert_eq!(
        (&statistics["consumed"], &statistics["overall"]["count"]),
        (&300.into(), &1_800.into())
    );
    assert_eq!(pipeline.lag(), 0);
}
