//! Checked settings, made from what was written.

use std::net::SocketAddr;
use std::time::Duration;

use amqp_io::address::uri as amqp_uri;
use amqp_io::limits::{DELAYS_MAX, PREFETCH_MAX};
use amqp_io::topology::{Declared, QueueNames};
use codec::registry::{Registration, RegistrySettings};
use engine_args::{Defaults, FLAGS, Given, distinct, topic_name};
use kafka_io::client_config::KafkaSettings;
use lapin::uri::AMQPUri;
use pipeline::retry::RetryPlan;
use relane::settings::{EngineSettings, PipelineName, Topics};
use relane::stage::{SettingNames, Words};
use service_kit::admin_http::Listen;
use service_kit::args::{MetricsAddr, address};
use service_kit::exit::{AppError, require};
use service_kit::http::Limits;
use service_kit::secret::{Secret, check_address};

use crate::flags::Flags;
use crate::limits::{LINGER_MS, SEEN_DEFAULT, SEEN_MAX};
use crate::place::{Brand, Place};

const RABBITMQ_URL_DEFAULT: &str = "amqp://guest:guest@localhost:5672/%2f";
const PUBLISHER_URL_DEFAULT: &str = "http://127.0.0.1:50051";
const API_LISTEN: &str = "127.0.0.1:8080";
const PUBLISHER_LISTEN: &str = "127.0.0.1:8081";
const GRPC_LISTEN: &str = "127.0.0.1:50051";
const MESSAGE: &str = "message";
const PREFETCH_DEFAULT: u16 = 64;
const RETRY_DELAY_DEFAULT: Duration = Duration::from_secs(2);
/// Longest name that leaves room for the names of queues (AMQP: 255 bytes).
const QUEUE_CHARS_MAX: usize = 128;

/// Of flags whose default is this program's own.
const DEFAULTS: Defaults = Defaults {
    creates_topics: true,
    lanes: None,
    dedupe: 0,
    concurrency: 64,
    handler_waits: Duration::ZERO,
};

/// What its metrics begin with, and the class names in the headers of its dead letters.
const NAME: PipelineName = PipelineName::of("weather");

/// How messages call the parts of the pipeline, and the flags that hints propose.
const WORDS: Words = Words {
    program: "weather kafka-consumer",
    records: "reports",
    state: "state",
    settings: SettingNames {
        group: "--group-id {}",
        retry: "--retry-topic {}",
        dead_letter: "--dlq-topic {}",
        ..FLAGS
    },
};

/// Which services are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Services {
    /// One.
    Api,
    /// One.
    Publisher,
    /// One.
    KafkaConsumer,
    /// One.
    RabbitConsumer,
    /// All four.
    All,
}

impl Services {
    /// Whether `one` is among them.
    pub(crate) fn has(self, one: Self) -> bool {
        self == Self::All || self == one
    }
}

/// RabbitMQ, and what it has.
#[derive(Clone)]
pub(crate) struct Broker {
    pub(crate) uri: AMQPUri,
    pub(crate) queue: QueueNames,
    pub(crate) declared: Declared,
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The address carries a password.
        f.debug_struct("Broker").field("queue", &self.queue).finish_non_exhaustive()
    }
}

/// Checked settings.
#[derive(Debug)]
pub struct Settings {
    pub(crate) services: Services,
    pub(crate) api_listen: Option<SocketAddr>,
    pub(crate) publisher_listen: Option<SocketAddr>,
    pub(crate) grpc_listen: SocketAddr,
    /// `None` where the publisher is in the same process.
    pub(crate) publisher_url: Option<String>,
    /// Of the publisher: a client waits for each report.
    pub(crate) kafka: KafkaSettings,
    pub(crate) engine: EngineSettings,
    pub(crate) broker: Broker,
    pub(crate) plan: RetryPlan,
    pub(crate) prefetch: u16,
    pub(crate) redis: Place,
    pub(crate) valkey: Place,
    pub(crate) seen_max: u64,
    pub(crate) registry: RegistrySettings,
    pub(crate) registration: Registration,
    pub(crate) metrics: Option<Listen>,
    pub(crate) limits: Limits,
}

impl Settings {
    /// Checks settings and fills in the defaults.
    ///
    /// # Errors
    ///
    /// Fails with exit code 2 and names the setting that is wrong.
    pub fn check(flags: &Flags, services: Services) -> Result<Self, AppError> {
        let engine = engine(flags)?;
        let exits_at_end = engine.exits_at_end;
        require(!exits_at_end || services == Services::KafkaConsumer, || {
            "--exit-at-end is for kafka-consumer".to_owned()
        })?;
        let prefetch = flags.prefetch.unwrap_or(PREFETCH_DEFAULT);
        require((1..=PREFETCH_MAX).contains(&prefetch), || {
            format!("--prefetch {prefetch} is not between 1 and {PREFETCH_MAX}")
        })?;
        let seen_max = flags.remember.unwrap_or(SEEN_DEFAULT);
        require((1..=SEEN_MAX).contains(&seen_max), || {
            format!("--remember {seen_max} is not between 1 and {SEEN_MAX}")
        })?;
        let [api_listen, publisher_listen] = listen(flags, services)?;
        Ok(Self {
            services,
            api_listen,
            publisher_listen,
            grpc_listen: address("--grpc-listen", flags.grpc_listen.as_deref(), GRPC_LISTEN)?,
            publisher_url: publisher_url(flags, services)?,
            kafka: kafka(flags, &[("linger.ms", LINGER_MS)])?,
            plan: engine.plan.clone(),
            engine,
            broker: broker(flags)?,
            prefetch,
            redis: redis(flags)?,
            valkey: valkey(flags)?,
            seen_max,
            registry: RegistrySettings::from_program(
                flags.registry.url(),
                flags.registry.schema_registry_ca_location.as_deref(),
            )
            .map_err(|error| AppError::usage(error.to_string()))?,
            registration: match flags.no_register {
                Some(true) => Registration::LookUpOnly,
                _ => Registration::Register,
            },
            metrics: match flags.metrics_addr {
                None if services == Services::RabbitConsumer => {
                    Some(Listen::default_of("weather rabbit-consumer"))
                }
                None => Some(Listen::default_of("weather kafka-consumer")),
                Some(MetricsAddr::At(address)) => Some(Listen::Explicit(address)),
                Some(MetricsAddr::Off) => None,
            },
            limits: flags.http.limits()?,
        })
    }
}

/// Connection to Kafka; `defaults` are librdkafka's settings where the user gave none.
fn kafka(flags: &Flags, defaults: &[(&str, &str)]) -> Result<KafkaSettings, AppError> {
    let mut properties = flags.kafka.properties();
    for (key, value) in defaults {
        if !properties.iter().any(|(given, _)| given == key) {
            properties.push(((*key).to_owned(), (*value).to_owned()));
        }
    }
    KafkaSettings::new("weather", flags.kafka.bootstrap_servers(), properties)
        .and_then(KafkaSettings::with_credentials_from_env)
        .map_err(|error| AppError::usage(error.to_string()))
}

fn engine(flags: &Flags) -> Result<EngineSettings, AppError> {
    let main = topic_name("--topic", flags.topic.as_deref(), MESSAGE, "-retry".len())?;
    let named = |flag, given: &Option<String>, suffix: &str| {
        topic_name(flag, given.as_deref(), &format!("{main}-{suffix}"), 0)
    };
    let topics = Topics {
        retry: named("--retry-topic", &flags.retry_topic, "retry")?,
        dead_letter: named("--dlq-topic", &flags.dlq_topic, "dlq")?,
        state: None,
        outcomes: None,
        output: None,
        main,
    };
    distinct([&topics.main, &topics.retry, &topics.dead_letter])?;
    let group = flags.group_id.clone().unwrap_or_else(|| "weather".to_owned());
    require(!group.is_empty(), || "--group-id is empty".to_owned())?;
    let kafka = kafka(flags, &[])?;
    let given = Given { name: NAME, words: WORDS, kafka, topics, group, defaults: DEFAULTS };
    flags.engine.settings(given)
}

fn broker(flags: &Flags) -> Result<Broker, AppError> {
    let url = flags.rabbitmq_url.as_ref().map_or(RABBITMQ_URL_DEFAULT, Secret::expose);
    let uri = amqp_uri(url)?;
    let queue = flags.queue.as_deref().unwrap_or(MESSAGE);
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let is_name = (1..=QUEUE_CHARS_MAX).contains(&queue.len()) && queue.chars().all(is_allowed);
    require(is_name, || {
        format!("--queue '{queue}' is not 1 to {QUEUE_CHARS_MAX} letters, digits and any of . _ -")
    })?;
    let mut delays: Vec<Duration> = match &flags.engine.retry_delay {
        Some(delays) => delays.iter().map(|delay| delay.get()).collect(),
        None => vec![RETRY_DELAY_DEFAULT],
    };
    delays.sort_unstable();
    delays.dedup();
    require(delays.len() <= DELAYS_MAX, || {
        format!("--retry-delay has more than {DELAYS_MAX} delays; each is a queue")
    })?;
    let names = QueueNames::new(MESSAGE, queue);
    let mut queues = names.work_and_retry(&delays, &[MESSAGE]);
    queues.push(names.dead_letter_queue());
    let declared = Declared { exchange: queue.to_owned(), queues };
    Ok(Broker { uri, queue: names, declared })
}

fn redis(flags: &Flags) -> Result<Place, AppError> {
    let url = flags.redis_url.as_ref().map_or("redis://localhost:6379", Secret::expose);
    let (password, ca) = (flags.redis_password_file.as_deref(), flags.redis_ca.as_deref());
    Place::check(Brand::Redis, url, password, ca)
}

fn valkey(flags: &Flags) -> Result<Place, AppError> {
    let url = flags.valkey_url.as_ref().map_or("redis://localhost:6380", Secret::expose);
    let (password, ca) = (flags.valkey_password_file.as_deref(), flags.valkey_ca.as_deref());
    Place::check(Brand::Valkey, url, password, ca)
}

fn publisher_url(flags: &Flags, services: Services) -> Result<Option<String>, AppError> {
    let url = match (&flags.publisher_url, services) {
        (None, Services::All) => return Ok(None),
        (given, _) => given.as_deref().unwrap_or(PUBLISHER_URL_DEFAULT),
    };
    check_address(url, &["http"]).map_err(|fault| {
        AppError::usage(format!("--publisher-url cannot be used: {fault}"))
            .hint("write http://HOST:50051")
    })?;
    require(!url.contains('@'), || "--publisher-url holds a login; it takes none".to_owned())?;
    Ok(Some(url.to_owned()))
}

fn listen(flags: &Flags, services: Services) -> Result<[Option<SocketAddr>; 2], AppError> {
    let named = [
        (Services::Api, "--api-listen", &flags.api_listen, API_LISTEN),
        (Services::Publisher, "--publisher-listen", &flags.publisher_listen, PUBLISHER_LISTEN),
    ];
    let takes_one = matches!(services, Services::Api | Services::Publisher);
    require(takes_one || flags.listen.is_none(), || match services {
        Services::All => "--listen is for one service; use --api-listen and so on".to_owned(),
        _ => "--listen is for api and publisher; a consumer has --metrics-addr".to_owned(),
    })?;
    let mut all = [None; 2];
    for (at, (service, name, value, default)) in all.iter_mut().zip(named) {
        if services == Services::All {
            *at = Some(address(name, value.as_deref(), default)?);
        } else if value.is_some() {
            return Err(AppError::usage(format!("{name} is for `all`; use --listen")));
        } else if services == service {
            *at = Some(address("--listen", flags.listen.as_deref(), default)?);
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser as _;
    use service_kit::exit::ExitStatus;

    use super::*;
    use crate::flags::{Cli, Command};

    fn flags(args: &[&str]) -> Flags {
        match Cli::try_parse_from(["weather", "all"].iter().chain(args)).unwrap().command {
            Command::All(flags) => flags,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn defaults_are_those_of_the_contract() {
        let settings = Settings::check(&flags(&[]), Services::All).unwrap();
        assert_eq!(settings.api_listen.unwrap().port(), 8080);
        assert_eq!(settings.publisher_listen.unwrap().port(), 8081);
        assert_eq!(settings.grpc_listen.port(), 50_051);
        assert_eq!(settings.engine.topics.main, "message");
        assert_eq!(settings.engine.topics.dead_letter, "message-dlq");
        let queues: Vec<&str> =
            settings.broker.declared.queues.iter().map(|plan| plan.name.as_str()).collect();
        assert_eq!(queues, ["message", "message.retry.2000", "message.dlq"]);
        let [redis, valkey] = [settings.redis, settings.valkey].map(|place| place.address());
        assert_eq!([redis.as_str(), valkey.as_str()], ["localhost:6379", "localhost:6380"]);
        assert_eq!(settings.publisher_url, None, "its own");
        let api = Settings::check(&flags(&["--listen", "127.0.0.1:0"]), Services::Api).unwrap();
        assert_eq!(api.publisher_url.as_deref(), Some("http://127.0.0.1:50051"));
        assert_eq!((api.api_listen.unwrap().port(), api.publisher_listen), (0, None));
    }

    #[test]
    fn a_setting_that_cannot_work_is_a_usage_error_that_names_it_and_no_secret() {
        for (args, services, named) in [
            (&["--listen", "127.0.0.1:0"][..], Services::All, "--listen"),
            (&["--listen", "127.0.0.1:0"], Services::KafkaConsumer, "--metrics-addr"),
            (&["--api-listen", "127.0.0.1:0"], Services::Api, "--api-listen"),
            (&["--exit-at-end"], Services::All, "--exit-at-end"),
            (&["--queue", "a b"], Services::All, "--queue"),
            (&["--topic", "a b"], Services::All, "--topic"),
            (&["--topic", "t", "--dlq-topic", "t"], Services::All, "two roles"),
            (&["--prefetch", "0"], Services::All, "--prefetch"),
            (&["--remember", "0"], Services::All, "--remember"),
            (&["--rabbitmq-url", "amqp:me:hunter2@a"], Services::All, "--rabbitmq-url"),
            (&["--redis-url", "http://:hunter2@a"], Services::All, "--redis-url"),
            (&["--valkey-url", "hunter2"], Services::All, "--valkey-url"),
            (&["--publisher-url", "http://me:hunter2@a"], Services::Api, "--publisher-url"),
        ] {
            let flags = flags(args);
            let error = Settings::check(&flags, services).expect_err(named);
            assert_eq!(error.status(), ExitStatus::Usage, "{args:?}");
            let told = error.render("weather");
            assert!(told.contains(named) && !told.contains("hunter2"), "{told}");
        }
    }

    #[test]
    fn the_settings_file_that_is_shipped_has_every_key_and_is_read() {
        let load = |file: &Path| {
            service_kit::settings::load("weather", Some(file), Flags::default()).unwrap()
        };
        let flags = testkit::settings_file::shipped("weather", load);
        assert_eq!(flags.topic.as_deref(), Some("message"));
    }
}
