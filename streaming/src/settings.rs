//! Checked settings, made from what was written.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::time::Duration;

use codec::registry::{Registration, RegistrySettings};
use kafka_io::client_config::KafkaSettings;
use kafka_io::writer::Guarantee;
use order_api::args::Trouble;
use orders::Menu;
use pipeline::dead_letter_limit::{CONSECUTIVE_DEFAULT, DeadLetterLimits, RATIO_DEFAULT};
use pipeline::dedupe::DEDUPE_OFFSETS_MAX;
use pipeline::headers::Dialects;
use pipeline::retry::RetryPlan;
use relane::settings::{
    EngineSettings, HANDLER_TIMEOUT, KeyOrdering, OnDeadLetterLimit, Topics, WAITING_RECORDS_MAX,
};
use relane::stage::{HintFlags, Words};
use service_kit::args::OutputFormat;
use service_kit::exit::AppError;
use service_kit::http::Limits;

use crate::flags::ServiceFlags;
use crate::limits::{DEDUPE_DEFAULT, LINGER_MS, REPORT_INTERVAL_DEFAULT};

const DATA_DIR_DEFAULT: &str = "data/streaming";
const RETRY_DELAY_DEFAULT: Duration = Duration::from_secs(2);
const MAX_RETRIES_DEFAULT: u32 = 3;
/// As many as `rabbit` has in hand at a time.
const CONCURRENCY_DEFAULT: usize = 64;
const PARTITIONS_DEFAULT: i32 = 3;
/// Most threads of one service.
const LANES_MAX: usize = 256;
/// How often settled retries are deleted.
const TRIM_RETRY_EVERY: Duration = Duration::from_secs(3600);
/// Longest topic name that Kafka takes, in characters.
const TOPIC_NAME_CHARS_MAX: usize = 249;

/// One service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Takes orders.
    Order,
    /// Decides about them.
    Inventory,
    /// Counts decisions.
    Analytics,
    /// Tells customers.
    Notification,
}

/// Which services are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Services {
    /// All four.
    All,
    /// One.
    One(Service),
}

/// Where services listen; `None` for those that are not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Listen {
    pub(crate) order: Option<SocketAddr>,
    pub(crate) inventory: Option<SocketAddr>,
    pub(crate) analytics: Option<SocketAddr>,
    pub(crate) notification: Option<SocketAddr>,
}

/// The pipelines, whether they are run or not.
#[derive(Debug, Clone)]
pub(crate) struct Pipelines {
    pub(crate) inventory: EngineSettings,
    pub(crate) analytics: EngineSettings,
    pub(crate) notification: EngineSettings,
}

/// How analytics reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reporting {
    pub(crate) every: Duration,
    pub(crate) form: OutputFormat,
}

/// Checked settings.
#[derive(Debug)]
pub struct Settings {
    /// Of the order service: a client waits for each order.
    pub(crate) kafka: KafkaSettings,
    pub(crate) registry: RegistrySettings,
    pub(crate) registration: Registration,
    pub(crate) listen: Listen,
    pub(crate) pipelines: Pipelines,
    pub(crate) reporting: Reporting,
    pub(crate) data_dir: PathBuf,
    pub(crate) menu: Menu,
    pub(crate) trouble: Trouble,
    /// Share of attempts of inventory that fail.
    pub(crate) simulated_rate: f64,
    pub(crate) limits: Limits,
}

impl Settings {
    /// Checks settings and fills in the defaults.
    ///
    /// # Errors
    ///
    /// Fails with exit code 2 and names the setting that is wrong.
    pub fn check(flags: ServiceFlags, services: Services) -> Result<Self, AppError> {
        let usage = |error: &dyn std::fmt::Display| AppError::usage(error.to_string());
        let trouble = flags.trouble.check()?;
        let simulated_rate = flags.simulate_failures.unwrap_or(0.0);
        require((0.0..=1.0).contains(&simulated_rate), || {
            format!("--simulate-failures {simulated_rate} is not between 0.0 and 1.0")
        })?;
        let every = flags.report_interval.map_or(REPORT_INTERVAL_DEFAULT, |every| every.get());
        require(!every.is_zero(), || "--report-interval must be longer than 0".to_owned())?;
        let exits_at_end = flags.exit_at_end.unwrap_or(false);
        let never_ends = matches!(services, Services::All | Services::One(Service::Order));
        require(!(exits_at_end && never_ends), || {
            "--exit-at-end is for one of inventory, analytics and notification".to_owned()
        })?;
        let plain = kafka(&flags, &[])?;
        Ok(Self {
            pipelines: pipelines(&flags, &plain, trouble)?,
            listen: listen(&flags, services)?,
            menu: flags.catalogue.load()?,
            limits: flags.http.limits()?,
            registry: RegistrySettings::from_program(
                flags.registry.url(),
                flags.registry.schema_registry_ca_location.as_deref(),
            )
            .map_err(|error| usage(&error))?,
            registration: if flags.no_register.unwrap_or(false) {
                Registration::LookUpOnly
            } else {
                Registration::Register
            },
            reporting: Reporting { every, form: flags.output.unwrap_or_default() },
            data_dir: flags.data_dir.clone().unwrap_or_else(|| PathBuf::from(DATA_DIR_DEFAULT)),
            kafka: kafka(&flags, &[("linger.ms", LINGER_MS)])?,
            trouble,
            simulated_rate,
        })
    }
}

/// Connection to Kafka; `defaults` are librdkafka's settings where the user gave none.
fn kafka(flags: &ServiceFlags, defaults: &[(&str, &str)]) -> Result<KafkaSettings, AppError> {
    let mut properties = flags.kafka.properties();
    for (key, value) in defaults {
        if !properties.iter().any(|(given, _)| given == key) {
            properties.push(((*key).to_owned(), (*value).to_owned()));
        }
    }
    KafkaSettings::new("streaming", flags.kafka.bootstrap_servers(), properties)
        .and_then(KafkaSettings::with_credentials_from_env)
        .map_err(|error| AppError::usage(error.to_string()))
}

fn pipelines(
    flags: &ServiceFlags,
    kafka: &KafkaSettings,
    trouble: Trouble,
) -> Result<Pipelines, AppError> {
    let base = base(flags, kafka)?;
    let order_topic = topic("--order-topic", flags.order_topic.as_deref(), "order-events")?;
    let inventory_topic =
        topic("--inventory-topic", flags.inventory_topic.as_deref(), "inventory-events")?;
    let told_topic =
        topic("--notification-topic", flags.notification_topic.as_deref(), "notification-events")?;
    let group = |flag: &str, given: &Option<String>, default: &str| {
        // Topics are named after it.
        topic(flag, given.as_deref(), default)
    };
    let inventory = group("--inventory-group", &flags.inventory_group, "inventory")?;
    let analytics = group("--analytics-group", &flags.analytics_group, "analytics")?;
    let notification = group("--notification-group", &flags.notification_group, "notification")?;
    let words = |program, state, group, output| Words {
        program,
        state,
        flags: HintFlags { group, output, ..HintFlags::default() },
    };
    let dedupe = flags.dedupe.unwrap_or(DEDUPE_DEFAULT);
    require(dedupe <= DEDUPE_OFFSETS_MAX, || {
        format!("--dedupe {dedupe} is above {DEDUPE_OFFSETS_MAX}")
    })?;
    let pipelines = Pipelines {
        inventory: EngineSettings {
            words: words(
                "streaming inventory",
                "stock levels",
                "--inventory-group",
                "--inventory-topic",
            ),
            topics: Topics {
                retry: format!("{order_topic}-retry"),
                dead_letter: format!("{order_topic}-dlq"),
                main: order_topic,
                state: Some(format!("{inventory}-state")),
                outcomes: None,
                output: Some(inventory_topic.clone()),
            },
            group: inventory,
            dedupe: Some(dedupe).filter(|reach| *reach > 0),
            handler_timeout: HANDLER_TIMEOUT + trouble.inventory_delay,
            ..base.clone()
        },
        analytics: EngineSettings {
            words: words("streaming analytics", "counts", "--analytics-group", ""),
            topics: topics_of(&analytics, &inventory_topic, None),
            group: analytics,
            ..base.clone()
        },
        notification: EngineSettings {
            words: words(
                "streaming notification",
                "counts",
                "--notification-group",
                "--notification-topic",
            ),
            topics: topics_of(&notification, &inventory_topic, Some(told_topic)),
            group: notification,
            handler_timeout: HANDLER_TIMEOUT + trouble.notification_delay,
            ..base
        },
    };
    check_distinct(&pipelines)?;
    Ok(pipelines)
}

/// Topics of a group that reads decisions.
fn topics_of(group: &str, main: &str, output: Option<String>) -> Topics {
    Topics {
        main: main.to_owned(),
        retry: format!("{group}-retry"),
        dead_letter: format!("{group}-dlq"),
        state: Some(format!("{group}-state")),
        outcomes: None,
        output,
    }
}

/// What is the same for all pipelines; topics and group are filled in for each.
fn base(flags: &ServiceFlags, kafka: &KafkaSettings) -> Result<EngineSettings, AppError> {
    let delays = match &flags.retry_delay {
        Some(delays) => delays.iter().map(|delay| delay.get()).collect(),
        None => vec![RETRY_DELAY_DEFAULT],
    };
    let plan = RetryPlan::new(flags.max_retries.unwrap_or(MAX_RETRIES_DEFAULT), delays, 0.0)
        .map_err(|error| AppError::usage(error.to_string()))?;
    let create_partitions = flags.create_partitions.unwrap_or(PARTITIONS_DEFAULT);
    require(create_partitions > 0, || "--create-partitions must be at least 1".to_owned())?;
    let lanes = flags.lanes.unwrap_or(1);
    require((1..=LANES_MAX).contains(&lanes), || {
        format!("--lanes must be between 1 and {LANES_MAX}")
    })?;
    let concurrency = flags.concurrency.unwrap_or(CONCURRENCY_DEFAULT);
    require(concurrency > 0, || "--concurrency must be at least 1".to_owned())?;
    let limits = DeadLetterLimits::new(RATIO_DEFAULT, CONSECUTIVE_DEFAULT)
        .map_err(|error| AppError::usage(error.to_string()))?;
    Ok(EngineSettings {
        words: Words { program: "streaming", state: "state", flags: HintFlags::default() },
        kafka: kafka.clone(),
        topics: topics_of("", "", None),
        creates_topics: flags.create_topics.unwrap_or(true),
        create_partitions,
        trim_retry: Some(TRIM_RETRY_EVERY),
        dialects: Dialects { connect: false },
        group: String::new(),
        instance_id: flags.instance_id.clone().filter(|id| !id.is_empty()),
        lanes: Some(lanes),
        guarantee: Guarantee::ExactlyOnce,
        plan,
        order: KeyOrdering::None,
        dedupe: None,
        waiting_records_max: WAITING_RECORDS_MAX,
        dead_letter_limits: Some(limits),
        on_dead_letter_limit: OnDeadLetterLimit::Pause,
        accepts_gap: flags.accept_gap.unwrap_or(false),
        accepts_compacted: flags.accept_compacted.unwrap_or(false),
        handler_timeout: HANDLER_TIMEOUT,
        concurrency,
        exits_at_end: flags.exit_at_end.unwrap_or(false),
        checks_topic_settings: true,
    })
}

fn require(holds: bool, message: impl FnOnce() -> String) -> Result<(), AppError> {
    if holds { Ok(()) } else { Err(AppError::usage(message())) }
}

/// A topic's name, or one that topics are named after.
fn topic(flag: &str, given: Option<&str>, default: &str) -> Result<String, AppError> {
    const SUFFIX_CHARS_MAX: usize = "-retry".len();
    let name = given.unwrap_or(default);
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let chars_max = TOPIC_NAME_CHARS_MAX - SUFFIX_CHARS_MAX;
    let is_legal = (1..=chars_max).contains(&name.len())
        && name.chars().all(legal)
        && name != "."
        && name != "..";
    require(is_legal, || {
        format!(
            "{flag} {name:?} is not a topic name: letters, digits, '.', '_' and '-', at most \
             {chars_max}"
        )
    })?;
    Ok(name.to_owned())
}

/// Nothing has two roles; what two services read may be the same.
fn check_distinct(pipelines: &Pipelines) -> Result<(), AppError> {
    let Pipelines { inventory, analytics, notification } = pipelines;
    let mut names = vec![&inventory.topics.main, &analytics.topics.main];
    for topics in [&inventory.topics, &analytics.topics, &notification.topics] {
        names.extend([&topics.retry, &topics.dead_letter].into_iter().chain(&topics.state));
    }
    names.extend(&notification.topics.output);
    names.sort_unstable();
    for pair in names.windows(2) {
        require(pair[0] != pair[1], || format!("topic {:?} is given two roles", pair[0]))?;
    }
    Ok(())
}

fn listen(flags: &ServiceFlags, services: Services) -> Result<Listen, AppError> {
    let named = [
        (Service::Order, "--order-listen", &flags.order_listen, "127.0.0.1:8201"),
        (Service::Inventory, "--inventory-listen", &flags.inventory_listen, "127.0.0.1:8202"),
        (Service::Analytics, "--analytics-listen", &flags.analytics_listen, "127.0.0.1:8203"),
        (
            Service::Notification,
            "--notification-listen",
            &flags.notification_listen,
            "127.0.0.1:8204",
        ),
    ];
    require(services != Services::All || flags.listen.is_none(), || {
        "--listen is for one service; use --order-listen and so on".to_owned()
    })?;
    let mut all = [None; 4];
    for (at, (service, name, value, default)) in all.iter_mut().zip(named) {
        if services == Services::All {
            *at = Some(address(name, value.as_deref(), default)?);
        } else if value.is_some() {
            return Err(AppError::usage(format!("{name} is for `all`; use --listen")));
        } else if services == Services::One(service) {
            *at = Some(address("--listen", flags.listen.as_deref(), default)?);
        }
    }
    let [order, inventory, analytics, notification] = all;
    Ok(Listen { order, inventory, analytics, notification })
}

fn address(name: &str, given: Option<&str>, default: &str) -> Result<SocketAddr, AppError> {
    let text = given.unwrap_or(default);
    let wrong =
        |detail: &str| AppError::usage(format!("{name} '{text}' is no HOST:PORT: {detail}"));
    let mut found = text.to_socket_addrs().map_err(|error| wrong(&error.to_string()))?;
    found.next().ok_or_else(|| wrong("no such host"))
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
