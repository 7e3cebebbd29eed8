//! The topics and the group of one test, and everything a test does with them.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use kafka_io::admin::{Admin, PartitionDetail, TopicInfo, TopicSpec};
use kafka_io::client_config::Role as HandleRole;
use kafka_io::ends::Ends;
use kafka_io::member::{AskError, Committed};
use stack::{Jars, JavaTools, Programs};

use crate::asking::Asking;
use crate::cluster::Servers;
use crate::wait;

/// Longest wait for anything that a healthy server answers.
pub(crate) const SERVER_MAX: Duration = Duration::from_secs(60);

/// Longest wait for one question, within [`SERVER_MAX`].
const ASK: Duration = Duration::from_secs(5);

/// Kafka's tool for topics.
const TOPICS: &str = "org.apache.kafka.tools.TopicCommand";

/// What a topic is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Orders as they come in.
    Orders,
    /// Failed orders that wait.
    Retry,
    /// Orders that were given up.
    DeadLetter,
    /// Running averages.
    Averages,
    /// What became of every attempt.
    Outcomes,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 5] =
        [Self::Orders, Self::Retry, Self::DeadLetter, Self::Averages, Self::Outcomes];

    /// Settings that the contract wants, written anew: a test must not take them from the program.
    const fn settings(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Orders | Self::Outcomes => &[("cleanup.policy", "delete")],
            Self::Retry => &[("cleanup.policy", "delete"), ("retention.ms", "-1")],
            Self::DeadLetter => &[("cleanup.policy", "delete"), ("retention.ms", "2592000000")],
            Self::Averages => &[("cleanup.policy", "compact"), ("segment.bytes", "16777216")],
        }
    }
}

/// Names of one test's topics and group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pipeline {
    /// Where they are.
    pub servers: Servers,
    /// Start of every name.
    pub prefix: String,
    /// Partitions of every topic.
    pub partitions: i32,
    /// Consumer group.
    pub group: String,
    /// Topic of orders.
    pub orders: String,
    /// Topic of waiting retries.
    pub retry: String,
    /// Topic of dead letters.
    pub dlq: String,
    /// Topic of averages.
    pub averages: String,
    /// Topic of outcomes.
    pub outcomes: String,
    /// How it is asked.
    pub asking: Asking,
}

impl Pipeline {
    pub(crate) fn with_random_names(servers: Servers, partitions: i32) -> Self {
        let prefix = format!("t-{:012x}", rand::random::<u64>() >> 16);
        let name = |suffix: &str| format!("{prefix}-{suffix}");
        Self {
            servers,
            partitions,
            group: name("group"),
            orders: name("orders"),
            retry: name("retry"),
            dlq: name("dlq"),
            averages: name("averages"),
            outcomes: name("outcomes"),
            prefix,
            asking: Asking::default(),
        }
    }

    /// The topic that has a role.
    pub fn topic(&self, role: Role) -> &str {
        match role {
            Role::Orders => &self.orders,
            Role::Retry => &self.retry,
            Role::DeadLetter => &self.dlq,
            Role::Averages => &self.averages,
            Role::Outcomes => &self.outcomes,
        }
    }

    /// Arguments that make any program with a pipeline work on these topics.
    pub fn engine_args(&self) -> [&str; 12] {
        [
            "--bootstrap-server",
            &self.servers.bootstrap_servers,
            "--schema-registry-url",
            &self.servers.registry_url,
            "--topic",
            &self.orders,
            "--retry-topic",
            &self.retry,
            "--dlq-topic",
            &self.dlq,
            "--group-id",
            &self.group,
        ]
    }

    /// Arguments that make the consumer work on these topics. Metrics get a free port.
    pub fn consumer_args(&self) -> Vec<String> {
        let own = [
            "--averages-topic",
            &self.averages,
            "--outcomes-topic",
            &self.outcomes,
            "--metrics-addr",
            "127.0.0.1:0",
        ];
        self.engine_args().into_iter().chain(own).map(str::to_owned).collect()
    }

    /// Arguments that make `orders audit` judge these topics, the outcome log only if it is asked for.
    pub fn audit_args(&self, with_outcomes: bool) -> Vec<String> {
        let all = self.consumer_args();
        let pairs = all.chunks_exact(2).filter(|pair| match pair[0].as_str() {
            "--metrics-addr" => false,
            "--outcomes-topic" => with_outcomes,
            _ => true,
        });
        std::iter::once("audit".to_owned()).chain(pairs.flatten().cloned()).collect()
    }

    /// Arguments that make the producer fill the topic of orders. Metrics are off.
    pub fn producer_args(&self) -> Vec<String> {
        let args = [
            ("--bootstrap-server", self.servers.bootstrap_servers.as_str()),
            ("--schema-registry-url", &self.servers.registry_url),
            ("--topic", &self.orders),
            ("--metrics-addr", "off"),
        ];
        args.iter().flat_map(|(flag, value)| [(*flag).to_owned(), (*value).to_owned()]).collect()
    }

    pub(crate) fn create_all(&self, changes: &[(Role, &str, &str)]) {
        let specs = Role::ALL.map(|role| {
            let changed = changes.iter().filter(|(of, _, _)| *of == role).map(|(_, k, v)| (*k, *v));
            let settings: BTreeMap<&str, &str> =
                role.settings().iter().copied().chain(changed).collect();
            spec(self.topic(role), self.partitions, settings)
        });
        self.make(&specs);
    }

    /// The topic of one role is made anew, empty, with one partition on these brokers, the first
    /// of them its leader: ids separated by colons. One of them is enough for a record.
    pub fn move_to(&self, role: Role, brokers: &str, settings: &[(&str, &str)]) {
        let topic = self.topic(role);
        self.delete(topic);
        let all = [role.settings(), &[("min.insync.replicas", "1")], settings].concat();
        let all: Vec<String> = all.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let place = ["--create", "--topic", topic, "--replica-assignment", brokers];
        let settings = all.iter().flat_map(|setting| ["--config", setting]);
        self.java(TOPICS, &place.into_iter().chain(settings).collect::<Vec<_>>());
        let ends = self.ends_handle();
        wait::is_true("the partition having a leader", SERVER_MAX, || {
            ends.of_topic(topic, 1, ASK).is_ok()
        });
    }

    /// Deletes a topic, and waits until it is gone.
    pub fn delete(&self, topic: &str) {
        let admin = self.admin();
        answer("a topic being deleted", || block_on(admin.delete_topic(topic)));
        wait::is_true("the topic being gone", SERVER_MAX, || self.describe(topic).is_none());
    }

    /// The broker that leads a partition, `None` while none does.
    pub fn leader(&self, topic: &str, partition: i32) -> Option<usize> {
        let leader = self.partition(topic, partition).leader?;
        Some(usize::try_from(leader).expect("an id of a broker"))
    }

    /// A partition as the brokers describe it.
    ///
    /// # Panics
    ///
    /// Panics when it does not exist.
    pub fn partition(&self, topic: &str, partition: i32) -> PartitionDetail {
        let admin = self.admin();
        // Settings are asked of the controller, which may be the broker that is down.
        let placed = answer("a topic", || admin.placement(Some(&[topic]), ASK));
        let partitions = placed.get(topic).into_iter().flatten();
        let found = partitions.into_iter().find(|detail| detail.number == partition);
        found.unwrap_or_else(|| panic!("{topic} has no partition {partition}")).clone()
    }

    /// Makes the topic of one role with just these settings.
    pub fn create(&self, role: Role, partitions: i32, settings: &[(&str, &str)]) {
        self.make(&[spec(self.topic(role), partitions, settings.iter().copied())]);
    }

    fn make(&self, specs: &[TopicSpec]) {
        let admin = self.admin();
        answer("topics being made", || block_on(admin.create(specs)));
        // A broker answers for a new topic a moment after it has promised to make it.
        let ends = self.ends_handle();
        wait::is_true("every partition having a leader", SERVER_MAX, || {
            specs.iter().all(|spec| ends.of_topic(&spec.name, spec.partitions, ASK).is_ok())
        });
    }

    /// A topic as the brokers describe it, `None` if it does not exist.
    pub fn describe(&self, topic: &str) -> Option<TopicInfo> {
        let admin = self.admin();
        answer("a topic", || block_on(admin.describe(&[topic], ASK))).remove(topic)
    }

    /// Deletes the records of a partition below an offset, as retention does.
    pub fn delete_records_below(&self, topic: &str, partition: i32, offset: i64) {
        let admin = self.admin();
        answer("records being deleted", || block_on(admin.trim(topic, &[(partition, offset)])));
    }

    fn admin(&self) -> Admin {
        Admin::new(&self.servers.config(HandleRole::Admin)).expect("settings are good")
    }

    fn ends_handle(&self) -> Ends {
        Ends::new(&self.servers.config(HandleRole::Consumer)).expect("settings are good")
    }

    /// First and end offset of each partition, uncommitted records included.
    pub fn bounds(&self, topic: &str) -> Vec<(i64, i64)> {
        let handles = self.asking.handles(&self.servers, &self.group);
        let ask = |p| answer("bounds of a partition", || handles.ends.bounds(topic, p, ASK));
        (0..self.partitions).map(ask).collect()
    }

    /// End offset of each partition, uncommitted records included.
    pub fn ends(&self, topic: &str) -> Vec<i64> {
        self.bounds(topic).into_iter().map(|(_, end)| end).collect()
    }

    /// First offset of each partition.
    pub fn starts(&self, topic: &str) -> Vec<i64> {
        self.bounds(topic).into_iter().map(|(start, _)| start).collect()
    }

    fn offsets(&self, topic: &str) -> Vec<Committed> {
        let handles = self.asking.handles(&self.servers, &self.group);
        let partitions: Vec<(&str, i32)> = (0..self.partitions).map(|p| (topic, p)).collect();
        answer("the group's committed offsets", || handles.offsets.committed(&partitions, ASK))
    }

    /// Members of the group; one that stands still is a member until its session ends.
    pub fn members(&self) -> usize {
        let handles = self.asking.handles(&self.servers, &self.group);
        answer("the group's members", || handles.offsets.members(ASK)).len()
    }

    /// Offset that the group has committed for each partition.
    pub fn committed(&self, topic: &str) -> Vec<Option<i64>> {
        self.offsets(topic).into_iter().map(|c| c.position.map(|position| position.0)).collect()
    }

    /// Metadata of these offsets.
    pub fn committed_metadata(&self, topic: &str) -> Vec<String> {
        self.offsets(topic).into_iter().map(|committed| committed.metadata).collect()
    }

    /// Records of the orders and the retry topic that the group has not settled, markers included.
    pub fn lag(&self) -> i64 {
        // Offsets first: an end that is older than they are makes a lag below zero, which hides
        // that of another partition.
        let topics = [&self.orders, &self.retry];
        let committed = topics.map(|topic| self.committed(topic));
        let of = |(topic, committed): (&String, Vec<Option<i64>>)| -> i64 {
            let pairs = self.bounds(topic).into_iter().zip(committed);
            pairs.map(|((start, end), committed)| end - committed.unwrap_or(start)).sum()
        };
        topics.into_iter().zip(committed).map(of).sum()
    }

    /// Runs one of Kafka's Java tools and returns what it prints. The brokers are added.
    ///
    /// # Panics
    ///
    /// Panics when it fails, with its output.
    pub fn java(&self, main_class: &str, args: &[&str]) -> String {
        let programs = Programs::from_env();
        let jars = Jars::ensure(&programs, &|_| ()).expect("Kafka's jars");
        let tools = JavaTools::new(&programs, &jars, &std::env::temp_dir()).expect("Java");
        let args = [&["--bootstrap-server", &self.servers.bootstrap_servers], args].concat();
        let output =
            tools.run(main_class, &args, Duration::from_secs(60)).and_then(|o| o.checked());
        output.unwrap_or_else(|error| panic!("{main_class}: {error}")).text()
    }
}

fn spec<'a>(
    name: &str,
    partitions: i32,
    settings: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> TopicSpec {
    let settings = settings.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned()));
    TopicSpec { name: name.to_owned(), partitions, settings: settings.collect() }
}

/// Asks until there is an answer: an open transaction or a new topic takes a moment, and so does a broker that shares its
/// processors with many others.
#[track_caller]
fn answer<T>(what: &str, mut ask: impl FnMut() -> Result<T, AskError>) -> T {
    let mut last = String::new();
    wait::until(&format!("an answer about {what}"), SERVER_MAX, || match ask() {
        Ok(answer) => Some(answer),
        Err(AskError::Refused(text)) => panic!("{what}: {text}"),
        Err(error) => {
            let text = error.to_string();
            if text != last {
                eprintln!("{what}: {text}; asking again");
                last = text;
            }
            None
        }
    })
}

/// Waits for an asynchronous answer on this thread.
pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(work)
}
