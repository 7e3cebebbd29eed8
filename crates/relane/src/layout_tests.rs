//! What keeps topics from fitting together, and what is said of it.

use super::*;
use crate::advice::{hint, message};
use crate::stage::SettingNames;

const WORDS: Words = Words {
    program: "consumer",
    records: "orders",
    state: "averages",
    settings: SettingNames {
        group: "--group-id {}",
        state: "--averages-topic {}",
        retry: "--retry-topic {}",
        dead_letter: "--dlq-topic {}",
        outcomes: "--outcomes-topic {}",
        output: "",
        no_dead_letter_limit: "",
        no_trim: "",
        create_topics: "--create-topics",
        accept_gap: "--accept-gap",
        accept_compacted: "--accept-compacted",
        instance_id: "--instance-id",
        brokers: "--bootstrap-server",
    },
};

fn topics() -> Topics {
    Topics {
        main: "orders".into(),
        retry: "orders-retry".into(),
        dead_letter: "orders-dlq".into(),
        state: Some("orders-averages".into()),
        outcomes: None,
        output: None,
    }
}

fn healthy() -> HashMap<String, TopicInfo> {
    let topics = topics();
    let info = |role: TopicRole| TopicInfo {
        partitions: 3,
        settings: role.settings().iter().map(|(k, v)| ((*k).into(), (*v).into())).collect(),
    };
    roles(&topics).into_iter().map(|(role, name)| (name.to_owned(), info(role))).collect()
}

fn check_with(
    existing: &HashMap<String, TopicInfo>,
    accepts_compacted: bool,
) -> Result<i32, Vec<Problem>> {
    let layout = Layout {
        topics: &topics(),
        words: &WORDS,
        bootstrap_servers: "broker:9092",
        checks_settings: true,
        accepts_compacted,
    };
    layout.check(existing)
}

/// Message and hint of what a change makes wrong.
#[track_caller]
fn fault(change: impl FnOnce(&mut HashMap<String, TopicInfo>)) -> (String, String) {
    let mut existing = healthy();
    change(&mut existing);
    let problems = check_with(&existing, false).expect_err("a fault");
    (message(&problems), hint(&problems))
}

fn set(existing: &mut HashMap<String, TopicInfo>, name: &str, key: &str, value: &str) {
    existing.get_mut(name).unwrap().settings.insert(key.into(), value.into());
}

#[test]
fn topics_as_they_are_made_fit_together() {
    assert_eq!(check_with(&healthy(), false), Ok(3));
}

#[test]
fn a_missing_topic_is_named_with_the_flag_that_makes_it() {
    let (message, hint) = fault(|existing| drop(existing.remove("orders-dlq")));
    assert!(message.contains("orders-dlq") && !message.contains("retry"), "{message}");
    assert!(hint.contains("--create-topics"), "{hint}");
}

#[test]
fn too_few_partitions_are_named_with_the_command_that_adds_them() {
    let (message, hint) =
        fault(|existing| existing.get_mut("orders-retry").unwrap().partitions = 2);
    assert!(message.contains("orders-retry has 2 partitions"), "{message}");
    assert!(hint.ends_with("--alter --topic orders-retry --partitions 3"), "{hint}");
}

/// More partitions cannot be taken back, and keys would move.
#[test]
fn no_hint_changes_the_main_topic_because_another_has_too_many_partitions() {
    for (name, flag) in [
        ("orders-retry", "--retry-topic orders-retry-2"),
        ("orders-dlq", "--dlq-topic orders-dlq-2"),
        ("orders-averages", "--averages-topic orders-averages-2"),
    ] {
        let (message, hint) = fault(|existing| existing.get_mut(name).unwrap().partitions = 5);
        assert!(message.contains(&format!("{name} has 5 partitions")), "{message}");
        assert!(hint.contains(flag) && !hint.contains("--alter"), "{hint}");
    }
}

#[test]
fn a_topic_that_loses_what_it_holds_is_refused() {
    for (name, key, value) in [
        ("orders", "cleanup.policy", "compact"),
        ("orders", "cleanup.policy", "compact,delete"),
        ("orders-retry", "retention.ms", "604800000"),
        ("orders-retry", "retention.bytes", "1000"),
        ("orders-retry", "cleanup.policy", "compact"),
        ("orders-dlq", "cleanup.policy", "compact"),
        ("orders-averages", "cleanup.policy", "compact,delete"),
    ] {
        let (message, hint) = fault(|existing| set(existing, name, key, value));
        assert!(message.contains(name) && message.contains(value), "{message}");
        assert!(hint.contains(&format!("--topic {name} --add-config {key}=")), "{hint}");
    }
}

#[test]
fn a_main_topic_that_is_compacted_is_taken_only_where_that_is_accepted() {
    for policy in ["compact", "compact,delete"] {
        let mut existing = healthy();
        set(&mut existing, "orders", "cleanup.policy", policy);
        let problems = check_with(&existing, false).expect_err("refused");
        assert!(hint(&problems).contains("--accept-compacted"), "{problems:?}");
        assert_eq!(check_with(&existing, true), Ok(3));
    }
}

/// The broker's retention is in force the moment that a topic is no longer compacted.
#[test]
fn the_command_against_compaction_deletes_nothing() {
    for name in ["orders", "orders-retry", "orders-dlq"] {
        let (_, hint) = fault(|existing| {
            set(existing, name, "cleanup.policy", "compact");
            set(existing, name, "retention.ms", "604800000");
        });
        assert!(hint.contains("--add-config cleanup.policy=delete,retention.ms=-1"), "{hint}");
    }
    // It has deleted by it already.
    let (_, hint) = fault(|existing| {
        set(existing, "orders", "cleanup.policy", "compact,delete");
        set(existing, "orders", "retention.ms", "604800000");
    });
    assert!(!hint.contains("retention"), "{hint}");
}

#[test]
fn a_topic_that_may_be_somebody_elses_is_not_compacted_without_a_word() {
    let (_, hint) = fault(|existing| set(existing, "orders-averages", "cleanup.policy", "delete"));
    assert!(hint.starts_with("if orders-averages holds only the averages"), "{hint}");
    assert!(hint.contains("--averages-topic orders-averages-2"), "{hint}");
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let (message, hint) = fault(|existing| {
        drop(existing.remove("orders-averages"));
        existing.get_mut("orders-retry").unwrap().partitions = 1;
        existing.get_mut("orders-dlq").unwrap().partitions = 2;
        set(existing, "orders", "cleanup.policy", "compact");
        set(existing, "orders-retry", "retention.ms", "1000");
        set(existing, "orders-retry", "retention.bytes", "1000");
    });
    for words in [
        "these topics do not exist: orders-averages",
        "orders-retry has 1 partitions",
        "orders-dlq has 2 partitions",
        "topic orders: cleanup.policy is compact",
        "retention.ms is 1000",
        "retention.bytes is 1000",
    ] {
        assert!(message.contains(words), "no {words:?} in {message}");
    }
    for words in [
        "--create-topics",
        "--topic orders-retry --partitions 3",
        "--topic orders-dlq --partitions 3",
        "--topic orders-retry --add-config retention.ms=-1,retention.bytes=-1",
        "--topic orders --add-config cleanup.policy=delete",
    ] {
        assert!(hint.contains(words), "no {words:?} in {hint}");
    }
}

#[test]
fn missing_topics_get_the_partitions_of_the_main_topic() {
    let mut existing = healthy();
    existing.retain(|name, _| name == "orders");
    existing.get_mut("orders").unwrap().partitions = 7;
    let specs = missing(&topics(), &existing, 3);
    assert_eq!(specs.len(), 3);
    assert!(specs.iter().all(|spec| spec.partitions == 7));
    assert_eq!(missing(&topics(), &HashMap::new(), 5).len(), 4);
}

#[test]
fn a_library_names_the_methods_of_its_builder_and_a_program_its_flags() {
    let library = Words {
        program: "the pipeline",
        records: "records",
        state: "state",
        settings: SettingNames::default(),
    };
    let hint_of = |words: &Words, change: fn(&mut HashMap<String, TopicInfo>)| {
        let mut existing = healthy();
        change(&mut existing);
        let (topics, bootstrap_servers) = (topics(), "broker:9092");
        let (checks_settings, accepts_compacted) = (true, false);
        let layout = Layout {
            topics: &topics,
            words,
            bootstrap_servers,
            checks_settings,
            accepts_compacted,
        };
        hint(&layout.check(&existing).expect_err("a fault"))
    };
    let is_missing =
        |existing: &mut HashMap<String, TopicInfo>| drop(existing.remove("orders-dlq"));
    let is_wide = |existing: &mut HashMap<String, TopicInfo>| {
        existing.get_mut("orders-dlq").unwrap().partitions = 5;
    };
    for (words, made, named) in [
        (
            &library,
            "create_topics(true)",
            "dead_letter_topic(\"orders-dlq-2\") create_topics(true)",
        ),
        (&WORDS, "--create-topics", "consumer --dlq-topic orders-dlq-2 --create-topics"),
    ] {
        assert!(hint_of(words, is_missing).ends_with(made), "{}", hint_of(words, is_missing));
        assert!(hint_of(words, is_wide).ends_with(named), "{}", hint_of(words, is_wide));
    }
}
