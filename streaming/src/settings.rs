//! Checked settings, made from what was written.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use codec::registry::{Registration, RegistrySettings};
use engine_args::{Defaults, FLAGS, Given, OrderArgs, distinct, topic_name};
use kafka_io::client_config::KafkaSettings;
use order_api::args::Trouble;
use orders::Menu;
use relane::settings::{EngineSettings, OnDeadLetterLimit, PipelineName, Topics};
use relane::stage::{SettingNames, Words};
use service_kit::args::{OutputFormat, address};
use service_kit::exit::{AppError, require};
use service_kit::http::Limits;

use crate::flags::ServiceFlags;
use crate::limits::{DEDUPE_DEFAULT, LINGER_MS, REPORT_INTERVAL_DEFAULT};

const DATA_DIR_DEFAULT: &str = "data/streaming";

/// Of flags whose default is this program's own.
const DEFAULTS: Defaults = Defaults {
    creates_topics: true,
    lanes: Some(1),
    dedupe: 0,
    // As many as `rabbit` has in hand at a time.
    concurrency: 64,
    handler_waits: Duration::ZERO,
};

/// What metrics and the class names in headers begin with, of each of the pipelines.
const NAME: PipelineName = PipelineName::of("orders");

const INVENTORY_WORDS: Words = Words {
    program: "streaming inventory",
    records: "orders",
    state: "stock levels",
    settings: SettingNames {
        group: "--inventory-group {}",
        output: "--inventory-topic {}",
        ..FLAGS
    },
};

const ANALYTICS_WORDS: Words = Words {
    program: "streaming analytics",
    records: "orders",
    state: "counts",
    settings: SettingNames { group: "--analytics-group {}", ..FLAGS },
};

const NOTIFICATION_WORDS: Words = Words {
    program: "streaming notification",
    records: "orders",
    state: "counts",
    settings: SettingNames {
        group: "--notification-group {}",
        output: "--notification-topic {}",
        ..FLAGS
    },
};

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
        let exits_at_end = flags.engine.exit_at_end.unwrap_or(false);
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
    let order_topic = topic("--order-topic", flags.order_topic.as_deref(), "order-events")?;
    let inventory_topic =
        topic("--inventory-topic", flags.inventory_topic.as_deref(), "inventory-events")?;
    let told_topic =
        topic("--notification-topic", flags.notification_topic.as_deref(), "notification-events")?;
    // Topics are named after groups.
    let inventory = topic("--inventory-group", flags.inventory_group.as_deref(), "inventory")?;
    let analytics = topic("--analytics-group", flags.analytics_group.as_deref(), "analytics")?;
    let notification =
        topic("--notification-group", flags.notification_group.as_deref(), "notification")?;
    let settings = |words, topics, group: &str, defaults| {
        let (kafka, group) = (kafka.clone(), group.to_owned());
        let settings =
            flags.engine.settings(Given { name: NAME, words, kafka, topics, group, defaults })?;
        // Somebody waits beside each of them: the others go on.
        let on_dead_letter_limit = match flags.engine.on_dlq_limit {
            None => OnDeadLetterLimit::Pause,
            Some(_) => settings.on_dead_letter_limit,
        };
        let order = OrderArgs { order: flags.order, ..OrderArgs::default() };
        order.lay_over(EngineSettings { on_dead_letter_limit, ..settings })
    };
    let decided = topics_of(&analytics, &inventory_topic, None);
    let told = topics_of(&notification, &inventory_topic, Some(told_topic));
    let pipelines = Pipelines {
        inventory: settings(
            INVENTORY_WORDS,
            Topics {
                retry: format!("{order_topic}-retry"),
                dead_letter: format!("{order_topic}-dlq"),
                main: order_topic,
                state: Some(format!("{inventory}-state")),
                outcomes: None,
                output: Some(inventory_topic.clone()),
            },
            &inventory,
            Defaults { dedupe: DEDUPE_DEFAULT, handler_waits: trouble.inventory_delay, ..DEFAULTS },
        )?,
        analytics: EngineSettings {
            // Each decision is read once, and counted.
            dedupe: None,
            ..settings(ANALYTICS_WORDS, decided, &analytics, DEFAULTS)?
        },
        notification: EngineSettings {
            dedupe: None,
            ..settings(
                NOTIFICATION_WORDS,
                told,
                &notification,
                Defaults { handler_waits: trouble.notification_delay, ..DEFAULTS },
            )?
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

/// A topic's name, or one that topics are named after.
fn topic(flag: &str, given: Option<&str>, default: &str) -> Result<String, AppError> {
    topic_name(flag, given, default, "-retry".len())
}

/// Nothing has two roles; what two services read may be the same.
fn check_distinct(pipelines: &Pipelines) -> Result<(), AppError> {
    let Pipelines { inventory, analytics, notification } = pipelines;
    let mut names = vec![&inventory.topics.main, &analytics.topics.main];
    for topics in [&inventory.topics, &analytics.topics, &notification.topics] {
        names.extend([&topics.retry, &topics.dead_letter].into_iter().chain(&topics.state));
    }
    names.extend(&notification.topics.output);
    distinct(names)
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

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
