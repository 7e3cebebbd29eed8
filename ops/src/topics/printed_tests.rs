//! What people and programs are told.

use std::collections::BTreeSet;

use kafka_io::admin::PartitionDetail;
use service_kit::live::width;

use super::*;
use crate::topics::declared::{self, Declared};

fn topic(partitions: i32, settings: &[(&str, &str, SettingSource)]) -> TopicDetail {
    let partition = |number| PartitionDetail {
        number,
        leader: (number != 1).then_some(1),
        replicas: vec![1, 2],
        in_sync: vec![1],
    };
    let setting = |(name, value, source): &(&str, &str, SettingSource)| {
        ((*name).to_owned(), Setting { value: Some((*value).to_owned()), source: *source })
    };
    TopicDetail {
        partitions: (0..partitions).map(partition).collect(),
        settings: settings.iter().map(setting).collect(),
    }
}

fn named(name: &str, topic: TopicDetail) -> BTreeMap<String, TopicDetail> {
    BTreeMap::from([(name.to_owned(), topic)])
}

#[test]
fn a_topic_that_is_described_is_declared_by_what_is_printed() {
    use SettingSource as S;
    let strange = "a \"quoted\" \\ text, é, \u{7f} and\ttab";
    let there = topic(
        2,
        &[
            ("retention.ms", "-1", S::Topic),
            ("follower.replication.throttled.replicas", strange, S::Topic),
            ("segment.bytes", "7", S::Broker),
            ("flush.ms", "9", S::Default),
        ],
    );
    let declared = declared::parse(&declaration("a.b", &there)).expect("it is a declaration");
    let settings = ["retention.ms", "follower.replication.throttled.replicas"];
    let settings = settings.map(str::to_owned).into_iter().zip(["-1", strange].map(str::to_owned));
    let expected = Declared {
        name: "a.b".to_owned(),
        partitions: 2,
        replicas: Some(2),
        key: None,
        key_reason: None,
        settings: settings.collect(),
    };
    assert_eq!(declared, [expected]);
    let plan = Plan::of(&declared, &named("a.b", there), &BTreeSet::new());
    assert!(!plan.has_drift(), "{plan:?}");
}

#[test]
fn a_plan_tells_each_difference_with_its_sign_and_counts_what_is_right() {
    use SettingSource as S;
    let text = "
[[topic]]
name = \"new\"
partitions = 3
key = \"order\"
key-reason = \"why\"
[topic.settings]
retention.ms = 7
[[topic]]
name = \"wide\"
partitions = 2
[topic.settings]
retention.ms = 7
[[topic]]
name = \"narrow\"
partitions = 1
[[topic]]
name = \"right\"
partitions = 1
";
    let declared = declared::parse(text).expect("it is right");
    let mut there =
        named("wide", topic(1, &[("retention.ms", "9", S::Topic), ("a.b", "c", S::Topic)]));
    there.extend(named("narrow", topic(2, &[])));
    there.extend(named("right", topic(1, &[])));
    there.extend(named("old", topic(4, &[])));
    let plan = Plan::of(&declared, &there, &BTreeSet::from(["old".to_owned()]));
    let page = plan_page(&plan);
    let lines: Vec<&str> = page.lines().collect();
    for expected in [
        "new  (key: order)",
        "  + topic with 3 partitions",
        "  + retention.ms = 7",
        "  ~ partitions: 1 -> 2",
        "  ~ retention.ms: 9 -> 7",
        "    a.b = c stays",
        "  - topic with 4 partitions and all its records",
        "1 to create, 1 to change, 1 to delete, 1 that cannot be changed, 1 as declared",
    ] {
        assert!(lines.contains(&expected), "{expected}\n{page}");
    }
    assert!(
        page.contains("  warning: keys move") && page.contains("  ! has 2 partitions, but 1 are")
    );
    let json = serde_json::to_value(PlanTold::of(&plan)).expect("it is JSON");
    assert_eq!((&json["drift"], &json["create"]), (&true.into(), &1.into()));
    assert_eq!(json["topics"][1]["steps"][0]["step"], "add-partitions");
    assert_eq!(json["topics"][2]["conflicts"][0]["conflict"], "too-many-partitions");
}

#[test]
fn tables_fit_80_columns_and_no_name_drives_the_terminal() {
    use SettingSource as S;
    let settings =
        [("cleanup.policy", "compact,delete", S::Topic), ("retention.ms", "2592000000", S::Topic)];
    let there = topic(2, &settings);
    let table = list_table(&named("orders-averages-of-a-long-name", there.clone()));
    assert!(table.contains("30 d") && table.lines().all(|line| width(line) <= 80), "{table}");
    let offsets = vec![Some((9_876_543_210, 19_876_543_210)), None];
    let page = Described::of("a\u{1b}[2J", &there, &offsets, Some("Kq3bX1tQT4a0bWZt0Y3sPA")).page();
    assert!(!page.contains('\u{1b}') && page.lines().all(|line| width(line) <= 80), "{page}");
    assert!(page.contains("settings    cleanup.policy = compact,delete"), "{page}");
    let last: Vec<&str> = page.lines().last().unwrap_or_default().split_whitespace().collect();
    assert_eq!(last, ["1", "-", "1,2", "1", "-", "-"], "nobody leads it: {page}");
}

#[test]
fn a_retention_is_told_in_the_largest_whole_unit() {
    for (ms, expected) in [
        ("-1", "for ever"),
        ("604800000", "7 d"),
        ("5400000", "90 min"),
        ("1500", "1500 ms"),
        ("0", "0 ms"),
        ("-", "-"),
    ] {
        assert_eq!(retention(ms), expected);
    }
}
