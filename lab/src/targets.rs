//! Services that run elsewhere: where they are, and how their brokers are reached.
//!
//! ```toml
//! items = ["burger", "fries"]            # on every menu, and unlimited
//!
//! [sync-rest]
//! order = ["http://10.0.0.1:8001"]       # every instance
//! notification = "http://10.0.0.1:8003"  # asked whom it told
//! durability = ["one copy, on one disk"]  # what an acceptance promises there, for the report
//!
//! [rabbit]
//! order = ["http://10.0.0.2:8101"]
//! inventory = "http://10.0.0.2:8102"     # asked for its dead letters
//! url-file = "/run/secrets/rabbitmq-url" # default: RABBITMQ_URL
//! prefix = "orders"
//!
//! [streaming]
//! order = ["http://10.0.0.3:8201"]
//! bootstrap-servers = "10.0.0.4:9092"    # default: KAFKA_BOOTSTRAP_SERVERS; passwords from KAFKA_SASL_PASSWORD
//! [streaming.librdkafka]
//! "security.protocol" = "SASL_SSL"
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kafka_io::client_config::{KafkaSettings, Role, cluster_id};
use serde::Deserialize;
use service_kit::exit::AppError;

use crate::flow::{Addresses, Brokers};
use crate::results::ServerInfo;
use crate::workload::Paradigm;

const RABBITMQ_URL_DEFAULT: &str = "amqp://guest:guest@localhost:5672/%2f";
const KAFKA_DEFAULT: &str = "localhost:9092";
/// What the ids of clusters begin with that librdkafka pretends to be.
const MOCK_CLUSTER: &str = "mockCluster";
/// Longest wait for a broker.
const ASK_MAX: Duration = Duration::from_secs(4);

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RawFlow {
    order: Vec<String>,
    inventory: Option<String>,
    notification: Option<String>,
    // rabbit
    url_file: Option<PathBuf>,
    prefix: Option<String>,
    // streaming
    bootstrap_servers: Option<String>,
    order_topic: Option<String>,
    notification_topic: Option<String>,
    #[serde(default)]
    librdkafka: BTreeMap<String, String>,
    /// What an acceptance promises there, for the report.
    durability: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RawTargets {
    items: Vec<String>,
    sync_rest: Option<RawFlow>,
    rabbit: Option<RawFlow>,
    streaming: Option<RawFlow>,
}

/// Where everything is.
#[derive(Debug)]
pub(crate) struct Targets {
    pub(crate) addresses: BTreeMap<Paradigm, Addresses>,
    pub(crate) brokers: Brokers,
    pub(crate) items: Vec<String>,
    /// What an acceptance promises, in the words of the file, where it has some.
    pub(crate) durability: BTreeMap<Paradigm, Vec<String>>,
}

impl Targets {
    /// Reads the file. What it says is not repeated in an error: it may hold a secret.
    pub(crate) fn read(path: &Path) -> Result<Self, AppError> {
        let wrong = |why: &str| AppError::usage(format!("targets file {}: {why}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| wrong(&error.to_string()))?;
        Self::parse(&text, |name| std::env::var(name).ok().filter(|v| !v.is_empty()))
            .map_err(|why| wrong(&why))
    }

    fn parse(text: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let raw: RawTargets = toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            let line = 1 + text.get(..start).unwrap_or(text).matches('\n').count();
            format!("line {line}: it is not of the form that lab/README.md shows")
        })?;
        if raw.items.is_empty() {
            return Err("items is an empty list".to_owned());
        }
        let streaming = raw.streaming.as_ref();
        let rabbit = raw.rabbit.as_ref();
        let servers = streaming.and_then(|flow| flow.bootstrap_servers.clone());
        let servers = servers.or_else(|| variable("KAFKA_BOOTSTRAP_SERVERS"));
        let extra = streaming.map(|flow| flow.librdkafka.clone().into_iter().collect());
        let kafka = KafkaSettings::new(
            "lab",
            servers.as_deref().unwrap_or(KAFKA_DEFAULT),
            extra.unwrap_or_default(),
        )
        .and_then(KafkaSettings::with_credentials_from_env)
        .map_err(|error| error.to_string())?;
        let topic =
            |name: Option<String>, default: &str| name.unwrap_or_else(|| default.to_owned());
        let brokers = Brokers {
            rabbit_url: rabbit_url(rabbit, &variable)?,
            rabbit_prefix: topic(rabbit.and_then(|flow| flow.prefix.clone()), "orders"),
            kafka,
            order_topic: topic(streaming.and_then(|flow| flow.order_topic.clone()), "order-events"),
            notification_topic: topic(
                streaming.and_then(|flow| flow.notification_topic.clone()),
                "notification-events",
            ),
        };
        let flows = [
            (Paradigm::SyncRest, raw.sync_rest),
            (Paradigm::Rabbit, raw.rabbit),
            (Paradigm::Streaming, raw.streaming),
        ];
        let (mut addresses, mut durability) = (BTreeMap::new(), BTreeMap::new());
        for (paradigm, flow) in flows {
            let Some(flow) = flow else { continue };
            if flow.order.is_empty() {
                return Err(format!("{} has no order service", paradigm.name()));
            }
            let trim = |base: String| base.trim_end_matches('/').to_owned();
            let order = flow.order.into_iter().map(trim).collect();
            let (inventory, notification) = (flow.inventory.map(trim), flow.notification.map(trim));
            if paradigm == Paradigm::SyncRest && notification.is_none() {
                return Err("sync-rest needs notification: it is asked whom it told".to_owned());
            }
            durability.extend(flow.durability.map(|lines| (paradigm, lines)));
            addresses.insert(paradigm, Addresses { order, inventory, notification });
        }
        if addresses.is_empty() {
            return Err("it names no paradigm".to_owned());
        }
        Ok(Self { addresses, brokers, items: raw.items, durability })
    }

    /// Asks the brokers who they are.
    pub(crate) fn look(&self) -> Result<Vec<ServerInfo>, AppError> {
        if !self.addresses.contains_key(&Paradigm::Streaming) {
            return Ok(Vec::new());
        }
        let kafka = &self.brokers.kafka;
        let id = cluster_id(&kafka.base(Role::Admin), ASK_MAX).ok_or_else(|| {
            AppError::failed(format!("no broker answers at {}", kafka.bootstrap_servers()))
                .hint("check bootstrap-servers in the targets file, and whether Kafka runs")
        })?;
        Ok(vec![ServerInfo {
            name: format!("Kafka cluster {id}"),
            version: "not told".to_owned(),
            settings: Vec::new(),
            is_mock: id.starts_with(MOCK_CLUSTER),
        }])
    }
}

fn rabbit_url(
    flow: Option<&RawFlow>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<String, String> {
    let Some(file) = flow.and_then(|flow| flow.url_file.as_ref()) else {
        return Ok(variable("RABBITMQ_URL").unwrap_or_else(|| RABBITMQ_URL_DEFAULT.to_owned()));
    };
    let text =
        std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let line = text.lines().next().map(str::trim).filter(|line| !line.is_empty());
    line.map(str::to_owned).ok_or_else(|| format!("{} has no first line", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Targets, String> {
        Targets::parse(text, |name| {
            (name == "RABBITMQ_URL").then(|| "amqp://me:secret@r:1/%2f".to_owned())
        })
    }

    #[test]
    fn addresses_are_taken_over_and_the_rest_comes_from_the_environment_or_has_defaults() {
        let text = "items = ['burger']\n[rabbit]\norder = ['http://a:1/']\n[streaming]\norder = ['http://b:2', 'http://c:3']\n\
                    bootstrap-servers = 'k:9092'\n";
        let targets = parse(text).unwrap();
        assert_eq!(targets.addresses[&Paradigm::Rabbit].order, ["http://a:1"]);
        assert_eq!(targets.addresses[&Paradigm::Streaming].order.len(), 2);
        assert!(!targets.addresses.contains_key(&Paradigm::SyncRest));
        let Brokers { rabbit_url, kafka, order_topic, .. } = targets.brokers;
        assert_eq!(
            (rabbit_url.as_str(), order_topic.as_str()),
            ("amqp://me:secret@r:1/%2f", "order-events")
        );
        assert_eq!(kafka.bootstrap_servers(), "k:9092");
    }

    #[test]
    fn what_is_wrong_is_said_without_what_may_be_a_secret() {
        for (text, words) in [
            ("items = []\n[rabbit]\norder = ['x']", "items is an empty list"),
            ("items = ['a']", "names no paradigm"),
            ("items = ['a']\n[rabbit]\norder = []", "no order service"),
            ("items = ['a']\n[sync-rest]\norder = ['x']", "needs notification"),
            ("items = ['a']\n[rabbit]\norder = ['x']\npassword = 'hunter2'", "line 4"),
            (
                "items = ['a']\n[streaming]\norder = ['x']\n[streaming.librdkafka]\n'plugin.library.paths' = 'hunter2'",
                "plugin.library.paths",
            ),
        ] {
            let found = parse(text).unwrap_err();
            assert!(found.contains(words) && !found.contains("hunter2"), "{text}: {found}");
        }
    }
}
