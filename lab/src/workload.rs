//! The workload file: what is run, how often, for how long. It is read once, checked whole, and only the checked
//! form goes on.

mod check;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use service_kit::exit::AppError;
use service_kit::units::DurationArg;

pub(crate) use check::name_of;
use check::{RawWorkload, check, rounds_of};

/// Largest workload file.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Most orders of one run: their traces are kept in memory.
pub const ORDERS_MAX: f64 = 200_000.0;
/// Longest time for which a broker may work before it is measured.
const BROKER_WARM_UP_MAX: Duration = Duration::from_mins(5);

/// One of the order flows that are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Paradigm {
    /// Synchronous HTTP.
    SyncRest,
    /// RabbitMQ.
    Rabbit,
    /// Kafka.
    Streaming,
}

impl Paradigm {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 3] = [Self::SyncRest, Self::Rabbit, Self::Streaming];

    /// Its name: that of its program.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SyncRest => "sync-rest",
            Self::Rabbit => "rabbit",
            Self::Streaming => "streaming",
        }
    }

    /// What it is called in a report.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::SyncRest => "HTTP",
            Self::Rabbit => "RabbitMQ",
            Self::Streaming => "Kafka",
        }
    }

    /// Whether its answer comes when all is done: then acceptance and outcome are one moment, and its acceptance is none
    /// to be compared with that of a queue.
    #[must_use]
    pub const fn answers_when_done(self) -> bool {
        matches!(self, Self::SyncRest)
    }
}

/// One of the services that all three flows have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Service {
    /// Takes orders.
    Order,
    /// Decides about them.
    Inventory,
    /// Tells customers.
    Notification,
}

impl Service {
    /// All of them; those that others ask come first.
    pub const ALL: [Self; 3] = [Self::Inventory, Self::Notification, Self::Order];

    /// Its name: the subcommand that runs it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Inventory => "inventory",
            Self::Notification => "notification",
        }
    }
}

/// How planned send times are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arrivals {
    /// Evenly.
    Constant,
    /// As independent customers come: gaps are exponential.
    #[default]
    Poisson,
}

/// What is done to the flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Orders at a rate, open loop.
    #[default]
    Load,
    /// The same at several rates, each a run of its own.
    Sweep,
    /// Orders while inventory is away, which then comes back.
    Backlog,
    /// So many orders at once.
    Batch,
    /// What is in the log is counted once more.
    Replay,
}

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RawFile {
    name: String,
    seed: Option<u64>,
    rounds: Option<u32>,
    paradigms: Option<Vec<Paradigm>>,
    warm_up: Option<DurationArg>,
    broker_warm_up: Option<DurationArg>,
    drain: Option<DurationArg>,
    kafka_brokers: Option<u16>,
    rabbitmq_nodes: Option<u16>,
    #[serde(default)]
    workload: Vec<RawWorkload>,
}

/// A part of a run with one rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Segment {
    /// Orders per second.
    pub rate_per_s: f64,
    /// How long.
    pub length: Duration,
}

/// What is broken, and when, counted from the end of the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A service is killed, and started again after a time.
    ServiceDown {
        /// Which.
        service: Service,
        /// When.
        at: Duration,
        /// How long it stays away.
        length: Duration,
    },
    /// The broker is stopped and started; `sync-rest`, which has none, loses nothing.
    BrokerRestart {
        /// When.
        at: Duration,
    },
}

/// A workload that can be run.
#[derive(Debug, Clone, PartialEq)]
pub struct Workload {
    /// Its name, unique in the file.
    pub name: String,
    /// What is done.
    pub kind: Kind,
    /// Rates of a sweep, or those of the paradigms that have their own; else the one rate.
    pub rates_per_s: Vec<f64>,
    /// Rates that paradigms have of their own; those without one do not have this workload. Empty where all have the same.
    pub rate_of: BTreeMap<Paradigm, f64>,
    /// Length of the measured part, for each rate.
    pub length: Duration,
    /// Burst: factor, begin and length.
    pub burst: Option<(f64, Duration, Duration)>,
    /// Spread of send times.
    pub arrivals: Arrivals,
    /// How often it is run.
    pub rounds: u32,
    /// Orders of a backlog or a batch.
    pub orders: u32,
    /// Time before each decision of inventory.
    pub inventory_delay: Duration,
    /// Share of orders that inventory refuses.
    pub inventory_failure_rate: f64,
    /// Share of the attempts of inventory that fail.
    pub simulate_failures: f64,
    /// What is broken.
    pub fault: Option<Fault>,
    /// Share of orders beside which something comes that is no order.
    pub poison: f64,
    /// Share of orders that their client sends twice.
    pub duplicates: f64,
    /// Instances of the order service.
    pub order_replicas: u32,
    /// Whether it is part of a quick run.
    pub is_quick: bool,
}

impl Workload {
    /// Orders at a rate for a time, and nothing else.
    #[must_use]
    pub fn plain(name: &str, rate_per_s: f64, length: Duration) -> Self {
        Self {
            name: name.to_owned(),
            kind: Kind::Load,
            rates_per_s: vec![rate_per_s],
            rate_of: BTreeMap::new(),
            length,
            burst: None,
            arrivals: Arrivals::default(),
            rounds: 1,
            orders: 0,
            inventory_delay: Duration::ZERO,
            inventory_failure_rate: 0.0,
            simulate_failures: 0.0,
            fault: None,
            poison: 0.0,
            duplicates: 0.0,
            order_replicas: 1,
            is_quick: true,
        }
    }

    /// Whether a paradigm has this workload at the rate in this place.
    #[must_use]
    pub fn meets(&self, rate: usize, paradigm: Paradigm) -> bool {
        let own = self.rate_of.get(&paradigm);
        self.rate_of.is_empty() || own.is_some_and(|own| *own == self.rates_per_s[rate])
    }

    /// The rates of one run at `rate_per_s`, the warm-up left out.
    #[must_use]
    pub fn segments(&self, rate_per_s: f64) -> Vec<Segment> {
        let Some((factor, at, length)) = self.burst else {
            return vec![Segment { rate_per_s, length: self.length }];
        };
        let after = self.length.saturating_sub(at + length);
        let burst_per_s = rate_per_s * factor;
        [(rate_per_s, at), (burst_per_s, length), (rate_per_s, after)]
            .map(|(rate_per_s, length)| Segment { rate_per_s, length })
            .into()
    }
}

/// All of a workload file.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkloadFile {
    /// Its name.
    pub name: String,
    /// Seed of order, send times and items.
    pub seed: u64,
    /// What is compared.
    pub paradigms: Vec<Paradigm>,
    /// Part of each run that is not measured.
    pub warm_up: Duration,
    /// How long each broker works at most before it is measured.
    pub broker_warm_up: Duration,
    /// Longest wait without one more outcome after the last order.
    pub drain: Duration,
    /// Brokers of the Kafka cluster: 1 or 3.
    pub kafka_brokers: u16,
    /// Nodes of the RabbitMQ cluster: 1 or 3.
    pub rabbitmq_nodes: u16,
    /// What is run.
    pub workloads: Vec<Workload>,
    /// As it was written, for the results.
    pub text: String,
}

impl WorkloadFile {
    /// The paradigms that have a broker.
    pub fn brokered(&self) -> impl Iterator<Item = Paradigm> + use<'_> {
        self.paradigms.iter().copied().filter(|paradigm| *paradigm != Paradigm::SyncRest)
    }

    /// Reads a file.
    ///
    /// # Errors
    ///
    /// Fails with exit code 2 if it cannot be read, or says something that cannot be run.
    pub fn read(path: &Path) -> Result<Self, AppError> {
        let unreadable = |error: std::io::Error| {
            AppError::usage(format!("the workload file {} cannot be read: {error}", path.display()))
                .hint("config/workloads holds files that can be run: standard.toml, smoke.toml")
        };
        let length = std::fs::metadata(path).map_err(unreadable)?.len();
        if length > FILE_BYTES_MAX {
            let path = path.display();
            return Err(AppError::usage(format!("{path} is larger than {FILE_BYTES_MAX} bytes")));
        }
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        Self::parse(&text).map_err(|problem| {
            AppError::usage(format!("workload file {}: {problem}", path.display()))
        })
    }

    /// Checks a file's text.
    ///
    /// # Errors
    ///
    /// Fails with what is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let raw: RawFile = toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            let line = 1 + text.get(..start).unwrap_or(text).matches('\n').count();
            format!("line {line}: {}", error.message())
        })?;
        check::name_of(&raw.name)?;
        let time = |given: Option<DurationArg>, default_s| {
            given.map_or(Duration::from_secs(default_s), DurationArg::get)
        };
        let (rounds, warm_up) = (rounds_of(raw.rounds.unwrap_or(1))?, time(raw.warm_up, 2));
        let broker_warm_up = time(raw.broker_warm_up, 0);
        if broker_warm_up > BROKER_WARM_UP_MAX {
            return Err("broker-warm-up is more than 5 minutes".to_owned());
        }
        let (mut workloads, mut names) = (Vec::new(), BTreeSet::new());
        for workload in raw.workload {
            let name = workload.name.clone();
            let checked = check(workload, rounds, warm_up)
                .map_err(|why| format!("workload {name}: {why}"))?;
            if !names.insert(name.clone()) {
                return Err(format!("two workloads have the name {name}"));
            }
            workloads.push(checked);
        }
        if workloads.is_empty() {
            return Err("it has no [[workload]]".to_owned());
        }
        let mut paradigms = raw.paradigms.unwrap_or_else(|| Paradigm::ALL.to_vec());
        paradigms.sort_unstable();
        paradigms.dedup();
        if paradigms.is_empty() {
            return Err("paradigms is an empty list".to_owned());
        }
        let kafka_brokers = check::size_of("kafka-brokers", raw.kafka_brokers)?;
        let rabbitmq_nodes = check::size_of("rabbitmq-nodes", raw.rabbitmq_nodes)?;
        Ok(Self {
            name: raw.name,
            seed: raw.seed.unwrap_or(42),
            paradigms,
            warm_up,
            broker_warm_up,
            drain: time(raw.drain, 30),
            kafka_brokers,
            rabbitmq_nodes,
            workloads,
            text: text.to_owned(),
        })
    }
}

#[cfg(test)]
#[path = "workload_tests.rs"]
mod tests;
