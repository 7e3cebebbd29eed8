//! Plans and topics for people and programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use kafka_io::admin::{Setting, SettingSource, TopicDetail};
use serde::Serialize;
use service_kit::table::{Side, Table};
use service_kit::terminal::one_line;

use super::apply::Taken;
use super::plan::{Plan, Step, Summary, TopicPlan};

/// A plan as `-o json` prints it.
#[derive(Debug, Serialize)]
pub(super) struct PlanTold<'a> {
    pub(super) drift: bool,
    #[serde(flatten)]
    pub(super) summary: Summary,
    pub(super) topics: &'a [TopicPlan],
}

impl<'a> PlanTold<'a> {
    pub(super) fn of(plan: &'a Plan) -> Self {
        Self { drift: plan.has_drift(), summary: plan.summary(), topics: &plan.topics }
    }
}

/// The differences of a plan for people: topics that are as declared are only counted.
pub(super) fn plan_page(plan: &Plan) -> String {
    let mut page = String::new();
    for topic in plan.topics.iter().filter(|topic| !topic.is_as_declared()) {
        let key = topic.key.as_ref().map_or(String::new(), |key| format!("  (key: {key})"));
        line(&mut page, &format!("{}{key}", topic.name));
        topic.steps.iter().flat_map(step_lines).for_each(|step| line(&mut page, &step));
        for conflict in &topic.conflicts {
            line(&mut page, &format!("  ! {}", conflict.words()));
        }
        if let Some(warning) = topic.warning() {
            line(&mut page, &format!("  warning: {warning}"));
        }
        for (setting, value) in &topic.left_alone {
            line(&mut page, &format!("    {setting} = {} stays", told(value.as_deref())));
        }
    }
    let Summary { create, change, delete, conflicts, as_declared } = plan.summary();
    line(
        &mut page,
        &format!(
            "{create} to create, {change} to change, {delete} to delete, {conflicts} that cannot be \
             changed, {as_declared} as declared"
        ),
    );
    page
}

fn line(page: &mut String, text: &str) {
    page.push_str(&one_line(text));
    page.push('\n');
}

fn step_lines(step: &Step) -> Vec<String> {
    match step {
        Step::Create { partitions, replicas, settings } => {
            let replicas =
                replicas.map_or(String::new(), |count| format!(", {}", counted(count, "replica")));
            let head = format!("  + topic with {}{replicas}", counted(*partitions, "partition"));
            let settings = settings.iter().map(|(key, value)| format!("  + {key} = {value}"));
            std::iter::once(head).chain(settings).collect()
        }
        Step::AddPartitions { from, to } => vec![format!("  ~ partitions: {from} -> {to}")],
        Step::Set { changes } => {
            let changed = changes.iter().map(|change| {
                format!("  ~ {}: {} -> {}", change.setting, told(change.from.as_deref()), change.to)
            });
            changed.collect()
        }
        Step::Delete { partitions } => {
            vec![format!(
                "  - topic with {} and all its records",
                counted(*partitions, "partition")
            )]
        }
    }
}

/// `1 partition`, `3 partitions`.
fn counted(number: i32, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

fn told(value: Option<&str>) -> &str {
    value.unwrap_or("(hidden)")
}

/// A step that was taken, or why it was not.
pub(super) fn taken_line(taken: &Taken) -> String {
    let (did, failed) = match taken.step {
        Step::Create { .. } => ("created", "was not created"),
        Step::AddPartitions { .. } => ("has more partitions", "got no partitions"),
        Step::Set { .. } => ("has its settings", "got no settings"),
        Step::Delete { .. } => ("deleted", "was not deleted"),
    };
    one_line(&match &taken.error {
        None => format!("{} {did}", taken.topic),
        Some(error) => format!("{} {failed}: {error}", taken.topic),
    })
}

/// A topic as `list` tells it.
#[derive(Debug, Serialize)]
pub(super) struct Listed<'a> {
    name: &'a str,
    partitions: usize,
    replicas: usize,
    /// Settings that somebody made on the topic.
    settings: BTreeMap<&'a str, Option<&'a str>>,
}

impl<'a> Listed<'a> {
    pub(super) fn of(name: &'a str, topic: &'a TopicDetail) -> Self {
        Self {
            name,
            partitions: topic.partitions.len(),
            replicas: replicas(topic),
            settings: own_settings(topic),
        }
    }
}

fn replicas(topic: &TopicDetail) -> usize {
    topic.partitions.iter().map(|partition| partition.replicas.len()).min().unwrap_or(0)
}

fn own_settings(topic: &TopicDetail) -> BTreeMap<&str, Option<&str>> {
    let own = topic.settings.iter().filter(|(_, setting)| setting.source == SettingSource::Topic);
    own.map(|(name, setting)| (name.as_str(), setting.value.as_deref())).collect()
}

/// A row for each topic.
pub(super) fn list_table(topics: &BTreeMap<String, TopicDetail>) -> String {
    let mut table = Table::new(&[
        ("TOPIC", Side::Left),
        ("PARTITIONS", Side::Right),
        ("REPLICAS", Side::Right),
        ("POLICY", Side::Left),
        ("RETENTION", Side::Left),
    ]);
    for (name, topic) in topics {
        let setting = |name: &str| {
            topic.settings.get(name).and_then(|setting| setting.value.as_deref()).unwrap_or("-")
        };
        table.row([
            one_line(name).to_string(),
            topic.partitions.len().to_string(),
            replicas(topic).to_string(),
            one_line(setting("cleanup.policy")).to_string(),
            retention(setting("retention.ms")),
        ]);
    }
    table.text() + "\n"
}

/// A retention in milliseconds as people read it.
fn retention(ms: &str) -> String {
    const UNITS: [(i64, &str); 4] =
        [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s")];
    match ms.parse::<i64>() {
        Err(_) => "-".to_owned(),
        Ok(..0) => "for ever".to_owned(),
        Ok(ms) => match UNITS.iter().find(|(unit, _)| ms >= *unit && ms % unit == 0) {
            Some((unit, word)) => format!("{} {word}", ms / unit),
            None => format!("{ms} ms"),
        },
    }
}

/// A topic as `describe` tells it.
#[derive(Debug, Serialize)]
pub(super) struct Described<'a> {
    name: &'a str,
    id: Option<&'a str>,
    replicas: usize,
    partitions: Vec<Partition<'a>>,
    settings: BTreeMap<&'a str, SettingTold<'a>>,
}

#[derive(Debug, Serialize)]
struct Partition<'a> {
    partition: i32,
    leader: Option<i32>,
    replicas: &'a [i32],
    in_sync: &'a [i32],
    first: Option<i64>,
    end: Option<i64>,
}

#[derive(Debug, Serialize)]
struct SettingTold<'a> {
    value: Option<&'a str>,
    source: &'static str,
}

impl<'a> Described<'a> {
    pub(super) fn of(
        name: &'a str,
        topic: &'a TopicDetail,
        offsets: &[Option<(i64, i64)>],
        id: Option<&'a str>,
    ) -> Self {
        let partition = |(at, partition): (usize, &'a kafka_io::admin::PartitionDetail)| {
            let bounds = offsets.get(at).copied().flatten();
            Partition {
                partition: partition.number,
                leader: partition.leader,
                replicas: &partition.replicas,
                in_sync: &partition.in_sync,
                first: bounds.map(|(first, _)| first),
                end: bounds.map(|(_, end)| end),
            }
        };
        let setting = |(name, setting): (&'a String, &'a Setting)| {
            let source = source(setting.source);
            (name.as_str(), SettingTold { value: setting.value.as_deref(), source })
        };
        Self {
            name,
            id,
            replicas: replicas(topic),
            partitions: topic.partitions.iter().enumerate().map(partition).collect(),
            settings: topic.settings.iter().map(setting).collect(),
        }
    }

    /// For people: settings that somebody made on the topic, and its partitions.
    pub(super) fn page(&self) -> String {
        let mut page = format!("{}\n", one_line(self.name));
        let mut name_value = |name: &str, value: &str| {
            let _ = writeln!(page, "  {name:<10}  {}", one_line(value)); // a String takes all
        };
        name_value("id", self.id.unwrap_or("-"));
        name_value("replicas", &self.replicas.to_string());
        let own = self.settings.iter().filter(|(_, setting)| setting.source == "topic");
        let mut before = "settings";
        for (name, setting) in own {
            name_value(before, &format!("{name} = {}", told(setting.value)));
            before = "";
        }
        if before == "settings" {
            name_value(before, "none of its own");
        }
        let mut table = Table::new(&[
            ("  PARTITION", Side::Right),
            ("LEADER", Side::Right),
            ("REPLICAS", Side::Left),
            ("IN SYNC", Side::Left),
            ("FIRST", Side::Right),
            ("END", Side::Right),
        ]);
        let number = |number: Option<i64>| number.map_or("-".to_owned(), |n| n.to_string());
        for partition in &self.partitions {
            table.row([
                partition.partition.to_string(),
                number(partition.leader.map(i64::from)),
                numbers(partition.replicas),
                numbers(partition.in_sync),
                number(partition.first),
                number(partition.end),
            ]);
        }
        page + &table.text() + "\n"
    }
}

fn numbers(numbers: &[i32]) -> String {
    numbers.iter().map(i32::to_string).collect::<Vec<_>>().join(",")
}

const fn source(source: SettingSource) -> &'static str {
    match source {
        SettingSource::Topic => "topic",
        SettingSource::Broker => "broker",
        SettingSource::Default => "default",
    }
}

/// A topic as a file declares it: with the settings that somebody made on it, but for what brokers keep
/// secret. What its key is nobody can tell but its owner.
pub(super) fn declaration(name: &str, topic: &TopicDetail) -> String {
    let mut text = format!(
        "[[topic]]\nname = {}\npartitions = {}\nreplicas = {}\n",
        quoted(name),
        topic.partitions.len(),
        replicas(topic)
    );
    let own = own_settings(topic);
    if !own.is_empty() {
        text.push_str("[topic.settings]\n");
    }
    for (name, value) in own {
        let _ = match value {
            Some(value) => writeln!(text, "{} = {}", quoted(name), quoted(value)),
            None => {
                writeln!(text, "# {} is set; the brokers do not reveal its value", one_line(name))
            }
        };
    }
    text
}

/// A text as a basic string of TOML: JSON's escapes are among TOML's.
fn quoted(text: &str) -> String {
    let json = serde_json::Value::from(text).to_string();
    json.replace('\u{7f}', "\\u007f")
}

#[cfg(test)]
#[path = "printed_tests.rs"]
mod tests;
