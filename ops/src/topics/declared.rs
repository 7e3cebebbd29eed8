//! Topics as a file declares them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Deserializer};

use super::error::TopicsError;

/// Longest name of a topic, in characters.
const NAME_CHARS_MAX: usize = 249;

/// A topic as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Declared {
    /// Name.
    pub name: String,
    /// Number of partitions.
    pub partitions: i32,
    /// Number of brokers that hold it; as many as these make by themselves where none is named.
    #[serde(default)]
    pub replicas: Option<i32>,
    /// What the key of its records is.
    #[serde(default)]
    pub key: Option<String>,
    /// Why that.
    #[serde(default)]
    pub key_reason: Option<String>,
    /// Settings that must hold, by Kafka's names.
    #[serde(default, deserialize_with = "settings")]
    pub settings: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    topic: Vec<Declared>,
}

/// A table of texts, numbers and booleans, whose keys may be dotted.
fn settings<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    let pairs = service_kit::settings::pairs::deserialize(deserializer)?.unwrap_or_default();
    Ok(pairs.into_iter().map(|pair| (pair.key, pair.value)).collect())
}

/// Reads a file of declarations.
///
/// # Errors
///
/// Fails for a file that is not there, and as [`parse`].
pub fn read(file: &Path) -> Result<Vec<Declared>, TopicsError> {
    let text = std::fs::read_to_string(file).map_err(|error| TopicsError::File {
        file: file.display().to_string(),
        why: format!("cannot be read: {error}"),
    })?;
    parse(&text).map_err(|why| TopicsError::File { file: file.display().to_string(), why })
}

/// Reads and checks declarations.
///
/// # Errors
///
/// Returns what is wrong first, with its line or its topic.
pub fn parse(text: &str) -> Result<Vec<Declared>, String> {
    let file: File = toml::from_str(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        let line = 1 + text.get(..start).unwrap_or(text).matches('\n').count();
        format!("line {line}: {}", error.message())
    })?;
    let mut seen = BTreeSet::new();
    for topic in &file.topic {
        check(topic).map_err(|why| format!("topic '{}': {why}", topic.name))?;
        if !seen.insert(topic.name.as_str()) {
            return Err(format!("topic '{}' is declared twice", topic.name));
        }
    }
    Ok(file.topic)
}

fn check(topic: &Declared) -> Result<(), &'static str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let is_name = !topic.name.is_empty()
        && topic.name.len() <= NAME_CHARS_MAX
        && topic.name.chars().all(is_plain)
        && !matches!(topic.name.as_str(), "." | "..");
    if !is_name {
        return Err("a name has 1 to 249 letters, digits, '.', '_' and '-'");
    }
    if topic.partitions < 1 {
        return Err("it needs at least 1 partition");
    }
    if topic.replicas.is_some_and(|replicas| !(1..=i32::from(i16::MAX)).contains(&replicas)) {
        return Err("it needs at least 1 replica");
    }
    let has_text =
        |text: &Option<String>| text.as_ref().is_some_and(|text| !text.trim().is_empty());
    match (has_text(&topic.key), has_text(&topic.key_reason)) {
        (true, false) => Err("it has a key and no key-reason: say why its records are keyed so"),
        (false, true) => Err("it has a key-reason and no key"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_has_name_partitions_key_with_its_reason_and_settings() {
        let text = r#"
            [[topic]]
            name = "a.b"
            partitions = 3
            key = "customer"
            key-reason = "order per customer"
            [topic.settings]
            retention.ms = -1
            "min.cleanable.dirty.ratio" = 0.1
            preallocate = true
            cleanup.policy = "compact,delete"

            [[topic]]
            name = "c"
            partitions = 1
            replicas = 2
        "#;
        let topics = parse(text).expect("it is right");
        let settings: Vec<_> =
            topics[0].settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let expected = [
            ("cleanup.policy", "compact,delete"),
            ("min.cleanable.dirty.ratio", "0.1"),
            ("preallocate", "true"),
            ("retention.ms", "-1"),
        ];
        assert_eq!(settings, expected);
        assert_eq!((topics[0].partitions, topics[0].key.as_deref()), (3, Some("customer")));
        assert_eq!((topics[1].replicas, topics[1].settings.len()), (Some(2), 0));
        assert_eq!(parse(""), Ok(vec![]));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_topic_or_line() {
        let topic = |rest: &str| format!("[[topic]]\nname = \"a\"\n{rest}");
        let twice = topic("partitions = 1\n").repeat(2);
        for (text, expected) in [
            (topic("partitions = 0"), "topic 'a': it needs at least 1 partition"),
            (topic("partitions = 1\nreplicas = 0"), "at least 1 replica"),
            (topic("partitions = 1\nkey = \"k\""), "no key-reason"),
            (topic("partitions = 1\nkey = \" \"\nkey-reason = \"r\""), "key-reason and no key"),
            (topic("partition = 1"), "line 3: unknown field `partition`"),
            (topic(""), "missing field `partitions`"),
            ("[[topic]]\nname = \"a b\"\npartitions = 1".to_owned(), "a name has"),
            (twice, "is declared twice"),
            ("[[topics]]".to_owned(), "unknown field `topics`"),
            ("topic = [".to_owned(), "line 1"),
        ] {
            let error = parse(&text).expect_err(&text);
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn the_shipped_file_declares_the_pipeline_and_an_example_with_three_partitions_and_reasons() {
        let topics = parse(include_str!("../../../config/topics.toml")).expect("it is right");
        let names: Vec<&str> = topics.iter().map(|topic| topic.name.as_str()).collect();
        let expected = [
            "orders",
            "orders-retry",
            "orders-dlq",
            "orders-averages",
            "orders-redrives",
            "orders-replays",
            "ecommerce.orders",
            "ecommerce.payments",
            "ecommerce.inventory",
        ];
        assert_eq!(names, expected);
        assert!(topics.iter().all(|topic| topic.key.is_some() && topic.key_reason.is_some()));
        let example: Vec<_> =
            topics[6..].iter().map(|topic| (topic.partitions, topic.key.as_deref())).collect();
        let expected = [(3, Some("customer")), (3, Some("order")), (3, Some("product"))];
        assert_eq!(example, expected);
    }
    #[test]
    fn the_file_for_a_hundred_partitions_declares_the_pipeline_as_the_shipped_one_does() {
        let hundred = include_str!("../../../config/hundred-partitions/topics.toml");
        let hundred = parse(hundred).expect("it is right");
        let shipped = parse(include_str!("../../../config/topics.toml")).expect("it is right");
        for (large, small) in hundred.iter().zip(&shipped) {
            assert_eq!((large.partitions, large.replicas), (100, Some(3)), "{}", large.name);
            assert_eq!((&large.name, &large.key), (&small.name, &small.key));
            for (setting, value) in &small.settings {
                assert_eq!(large.settings.get(setting), Some(value), "{}: {setting}", large.name);
            }
        }
        assert_eq!(hundred.len(), 4);
    }
}
