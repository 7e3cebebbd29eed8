//! The subcommands as their users meet them.

use std::time::Duration;

use service_kit::live::width;
use testkit::{Cluster, Process};

use super::planted::Topic;
use super::{dlq, letter_of, lines};

const RUN_MAX: Duration = Duration::from_secs(20);

#[test]
fn a_dead_letter_is_shown_with_origin_headers_and_decoded_value() {
    let topic = Topic::of(60);
    let of = |dialect: &str, is_readable: bool| {
        let mut all = topic.planted.iter();
        let found = all.find(|p| {
            p.dialect == dialect && p.is_readable == is_readable && p.input.value.is_some()
        });
        let (partition, offset) = found.expect("there are such").place;
        (found.expect("there are such"), format!("{partition}:{offset}"))
    };
    let (spring, place) = of("spring", true);
    let page = dlq(&topic.pipeline, &["show", &place]);
    page.expect_code(0);
    let id = spring.order_id.clone().expect("it has one");
    for text in [
        "shop 2:",
        "java.io.IOException",
        &id,
        "tenant = ",
        "binary = 0x00ff",
        "kafka_dlt-original-partition = 0x00000002",
    ] {
        assert!(page.stdout.contains(text), "{text}: {}", page.stdout);
    }
    let told = lines(&dlq(&topic.pipeline, &["show", &place, "-o", "json"]), 0).remove(0);
    assert_eq!(told["value"]["orderId"].as_str(), Some(id.as_str()));
    let (_, place) = of("orders", false);
    let page = dlq(&topic.pipeline, &["show", &place]);
    page.expect_code(0);
    assert!(page.stdout.contains("ff1b 5b32 4a"), "{}", page.stdout);
    assert!(!page.stdout.contains('\u{1b}'), "no record drives the terminal: {}", page.stdout);
}

#[test]
fn tables_fit_80_columns_and_no_record_drives_the_terminal() {
    let topic = Topic::of(300);
    for subcommand in ["list", "stats"] {
        let finished = dlq(&topic.pipeline, &[subcommand]);
        finished.expect_code(0);
        assert!(finished.stdout.lines().count() > 10, "{}", finished.stdout);
        for line in finished.stdout.lines() {
            assert!(width(line) <= 80 && !line.contains(char::is_control), "{line:?}");
        }
    }
}

#[test]
fn where_groups_share_a_topic_of_dead_letters_the_list_says_of_which_each_is() {
    let pipeline = Cluster::shared().pipeline(1);
    let groups = ["charging", "push-payments", "push-payments", "charging"];
    pipeline.send(&pipeline.dlq, &groups.map(|group| letter_of(group, "ann")));
    let page = dlq(&pipeline, &["list"]);
    page.expect_code(0);
    let rows: Vec<&str> = page.stdout.lines().collect();
    assert_eq!(rows.len(), 7, "{}", page.stdout);
    assert_eq!(rows[2], "of group push-payments; those above are of charging:");
    assert_eq!(rows[5], "of group charging:");
    let told = lines(&dlq(&pipeline, &["list", "-o", "jsonl"]), 0);
    let in_json: Vec<_> = told.iter().filter_map(|it| it["origin"]["group"].as_str()).collect();
    assert_eq!(in_json, groups);
    let of_one = dlq(&pipeline, &["list", "--header", "x-origin-group=charging"]);
    of_one.expect_code(0);
    assert_eq!(of_one.stdout.lines().count(), 3, "{}", of_one.stdout);
    assert!(!of_one.stdout.contains("of group"), "{}", of_one.stdout);
}

#[test]
fn what_is_not_there_is_named_with_the_next_step() {
    let topic = Topic::of(30);
    let pipeline = &topic.pipeline;
    for (args, text) in [
        (&["show", "0:9999"][..], "offsets go from 0 to"),
        (&["show", "7:0"], "has no partition 7: it has 3"),
        (&["list", "-p", "7"], "has no partition 7"),
        (&["show", "0:10"], "marker"),
    ] {
        let finished = dlq(pipeline, args);
        finished.expect_code(1);
        assert!(finished.stderr.contains(text), "{args:?}: {}", finished.stderr);
        assert!(finished.stderr.contains("hint: "), "{args:?}: {}", finished.stderr);
    }
    let finished = dlq(&Cluster::shared().names(1), &["stats"]);
    finished.expect_code(1);
    assert!(finished.stderr.contains("does not exist at"), "{}", finished.stderr);
}

#[test]
fn flags_that_mean_nothing_are_exit_2_and_say_what_to_write() {
    let run = |args: &[&str]| {
        let all = [&["dlq"], args, &["-b", "127.0.0.1:9"]].concat();
        let finished = Process::start("orders", &all, &[]).wait(RUN_MAX);
        finished.expect_code(2);
        finished.stderr
    };
    assert!(run(&["list", "--from", "yesterday"]).contains("2026-11-20T03:00:00Z"));
    assert!(run(&["list", "--from", "1795256952"]).contains("add 000"));
    assert!(run(&["list", "--from", "-1h", "--to", "-2h"]).contains("the range is empty"));
    assert!(run(&["list", "--fingerprint", "12"]).contains("8 hexadecimal digits"));
    assert!(run(&["list", "--attempts", "many"]).contains("2..4"));
    assert!(run(&["show", "13"]).contains("PARTITION:OFFSET"));
    assert!(run(&["export", "--raw", "--values"]).contains("--values"));
}

#[test]
fn a_broker_that_is_not_there_is_told_in_time() {
    let args = ["dlq", "stats", "-b", "127.0.0.1:9"];
    let finished = Process::start("orders", &args, &[]).wait(RUN_MAX);
    finished.expect_code(1);
    assert!(finished.elapsed < crate::program::TOLD_MAX, "{:?}", finished.elapsed);
    assert!(finished.stderr.contains("127.0.0.1:9"), "{}", finished.stderr);
    assert!(finished.stderr.contains("hint: "), "{}", finished.stderr);
}

#[test]
fn a_registry_that_is_not_there_stops_only_what_needs_it() {
    let topic = Topic::of(30);
    let run = |args: &[&str]| {
        let servers = &topic.pipeline.servers;
        let rest = ["-b", &servers.bootstrap_servers, "-t", &topic.pipeline.dlq];
        let variables = [("SCHEMA_REGISTRY_URL", "http://user:canary@127.0.0.1:9")];
        let all = [&["dlq"], args, &rest].concat();
        Process::start("orders", &all, &variables).wait(RUN_MAX)
    };
    for args in [&["list"][..], &["stats"], &["export", "--raw"]] {
        run(args).expect_code(0);
    }
    let planted = topic.planted.iter().find(|planted| planted.schema_id().is_some());
    let (partition, offset) = planted.expect("there is one").place;
    let shown = run(&["show", &format!("{partition}:{offset}")]);
    shown.expect_code(0);
    assert!(shown.stdout.contains("not decoded"), "{}", shown.stdout);
    for args in [&["export"][..], &["list", "--order-id", "o-0"]] {
        let finished = run(args);
        finished.expect_code(1);
        assert!(finished.stderr.contains("127.0.0.1:9"), "{}", finished.stderr);
        assert!(finished.stderr.contains("hint: "), "{}", finished.stderr);
        assert!(!finished.stderr.contains("canary"), "{}", finished.stderr);
    }
}

#[test]
fn help_shows_two_examples_of_each_subcommand() {
    for subcommand in ["list", "show", "stats", "export", "redrive", "discard"] {
        let help = Process::start("orders", &["dlq", subcommand, "--help"], &[]).wait(RUN_MAX);
        help.expect_code(0);
        let example = format!("  orders dlq {subcommand}");
        assert!(help.stdout.matches(&example).count() >= 2, "{subcommand}: {}", help.stdout);
    }
}
