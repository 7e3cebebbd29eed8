//! `results.json`: everything that a report is made of. The fields are described in lab/README.md.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use service_kit::exit::AppError;

use crate::audit::Audit;
use crate::stats::{Buckets, Quantiles};
use crate::timeline::{FaultTimes, Point};
use crate::workload::{Kind, Paradigm};

/// Name of the form; it changes when a field changes its meaning.
pub const SCHEMA: &str = "lab-results/1";
/// Profile of programs that the lab has not started.
pub(crate) const ELSEWHERE: &str = "elsewhere";
/// Largest file that is read.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// All that was measured, and where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Results {
    /// [`SCHEMA`].
    pub schema: String,
    /// Name of the workload file.
    pub name: String,
    /// When it began, RFC 3339 in UTC.
    pub started_at: String,
    /// When it ended.
    pub ended_at: String,
    /// Whether every run was made that was planned.
    pub is_complete: bool,
    /// Whether it was a quick one, which shows that all works and not how fast it is.
    pub is_quick: bool,
    /// Seed of all that is left to chance.
    pub seed: u64,
    /// How it is run again.
    pub command: String,
    /// The workload file as it was.
    pub workload_file: String,
    /// Where it ran.
    pub environment: Environment,
    /// What is compared, and what each promises.
    pub paradigms: Vec<ParadigmInfo>,
    /// The workloads, in the order of the file.
    pub workloads: Vec<WorkloadInfo>,
    /// The runs, in the order in which they were made.
    pub runs: Vec<Run>,
}

/// The machine and the programs.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// Version of the programs.
    pub version: String,
    /// Commit that they were built from.
    pub commit: String,
    /// `release` or `debug`; `elsewhere` where the lab has not started the services.
    pub profile: String,
    /// Model of the processor.
    pub cpu: String,
    /// Processors that the lab may use.
    pub cores: u64,
    /// Memory of the machine, in bytes.
    pub memory_bytes: u64,
    /// Operating system and kernel.
    pub kernel: String,
    /// Where services and brokers keep their data.
    pub storage: String,
    /// Processes that wanted a processor in the minute before, as the system counts them.
    pub load_before: f64,
    /// Whether threads of the generator went before services and brokers.
    pub is_generator_first: bool,
    /// The servers.
    pub servers: Vec<ServerInfo>,
    /// How brokers worked before they were measured, in the order in which they did.
    #[serde(default)] // results of earlier versions do not have it
    pub warm_ups: Vec<WarmUp>,
}

/// How a broker worked before it was measured, since it was started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WarmUp {
    /// Whose broker.
    pub paradigm: Paradigm,
    /// When its services were started, in seconds from the start of all.
    pub began_s: f64,
    /// How long orders were sent, in seconds.
    pub took_s: f64,
    /// Whether what an order cost the broker no longer fell at its end.
    pub is_flat: bool,
    /// Processor time of the broker for 10,000 orders, in seconds: look by look.
    pub broker_cpu_s: Vec<f64>,
}

/// A server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerInfo {
    /// Its name.
    pub name: String,
    /// Its version, as far as it tells one.
    pub version: String,
    /// What of its settings matters here.
    pub settings: Vec<String>,
    /// Whether it only pretends: then nothing of the results counts.
    pub is_mock: bool,
}

/// What is compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParadigmInfo {
    /// Which.
    pub paradigm: Paradigm,
    /// When a client is told that its order is accepted, and what then survives what.
    pub durability: Vec<String>,
}

/// A workload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkloadInfo {
    /// Its name.
    pub name: String,
    /// What is done.
    pub kind: Kind,
    /// The same in words.
    pub words: String,
    /// Rounds that were planned.
    pub rounds: u32,
}

/// Times by one clock.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clocked {
    /// What is said of them.
    pub quantiles: Quantiles,
    /// All of them: value in microseconds and count.
    pub buckets: Buckets,
}

/// What a run cost. Peaks are the largest of looks four times a second.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// Processor time of the services, user and system, in seconds.
    pub services_cpu_s: f64,
    /// Processor time of the broker and what it needs.
    pub brokers_cpu_s: f64,
    /// Processor time of the generator.
    pub generator_cpu_s: f64,
    /// Memory of the services, in bytes.
    pub services_peak_bytes: u64,
    /// Memory of the broker.
    pub brokers_peak_bytes: u64,
    /// Orders that were done meanwhile.
    pub orders: u64,
}

/// How a lot of orders that waited, or came at once, was worked on.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drain {
    /// Orders that were taken.
    pub orders: u64,
    /// Orders that were not.
    pub turned_away: u64,
    /// From the moment that work on them could begin to the last outcome, in seconds.
    pub took_s: f64,
    /// Outcomes in a second.
    pub per_s: f64,
}

/// Why outcomes were no longer waited for although orders were open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GaveUp {
    /// Why, in words.
    pub why: String,
    /// Orders that had no outcome by then.
    pub open: u64,
}

/// How what is in the log was counted once more.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replayed {
    /// Decisions that were read again.
    pub orders: u64,
    /// How long that took, start of the program included, in seconds.
    pub took_s: f64,
    /// Whether a second replay gave the same numbers.
    pub is_same_again: bool,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Name of the workload.
    pub workload: String,
    /// Who was measured.
    pub paradigm: Paradigm,
    /// From 0.
    pub round: u32,
    /// Rate that was offered, per second; 0 where all came at once.
    pub rate_per_s: f64,
    /// When it began, in seconds from the start of all.
    pub began_s: f64,
    /// Why this paradigm cannot do it.
    pub not_possible: Option<String>,
    /// Why its times say nothing about the paradigm: the generator was the bottleneck.
    pub void: Option<String>,
    /// Whether orders came faster than they were worked on.
    pub is_saturated: bool,
    /// Length of the measured part, in seconds.
    pub length_s: f64,
    /// Outcomes in a second of the measured part.
    pub achieved_per_s: f64,
    /// From the planned time to the answer that accepts the order.
    pub accept: Clocked,
    /// From the planned time to the moment when its customer was told.
    pub outcome: Clocked,
    /// From the planned time to the begin of the request.
    pub send_delay: Quantiles,
    /// What clients saw instead of an acceptance, and how often.
    pub failures: BTreeMap<String, u64>,
    /// What was promised, and what came of it.
    pub audit: Option<Audit>,
    /// Why outcomes were no longer waited for; nothing where none was missing.
    #[serde(default)] // results of earlier versions do not have it
    pub gave_up: Option<GaveUp>,
    /// What it cost.
    pub cost: Option<Cost>,
    /// The fault, where there was one.
    pub fault: Option<FaultTimes>,
    /// The run second by second, where that says something.
    pub timeline: Vec<Point>,
    /// How a lot of orders was worked on, where there was one.
    pub drain: Option<Drain>,
    /// How the log was counted once more.
    pub replayed: Option<Replayed>,
    /// What else is to be known of it.
    pub notes: Vec<String>,
}

impl Run {
    /// Returns a run of which nothing is known yet.
    #[must_use]
    pub fn new(
        workload: &str,
        paradigm: Paradigm,
        round: u32,
        rate_per_s: f64,
        began_s: f64,
    ) -> Self {
        Self {
            workload: workload.to_owned(),
            paradigm,
            round,
            rate_per_s,
            began_s,
            not_possible: None,
            void: None,
            is_saturated: false,
            length_s: 0.0,
            achieved_per_s: 0.0,
            accept: Clocked::default(),
            outcome: Clocked::default(),
            send_delay: Quantiles::default(),
            failures: BTreeMap::new(),
            audit: None,
            gave_up: None,
            cost: None,
            fault: None,
            timeline: Vec::new(),
            drain: None,
            replayed: None,
            notes: Vec::new(),
        }
    }

    /// Whether its audit is green, or there was nothing to audit; and a replay came to the same.
    #[must_use]
    pub fn is_green(&self) -> bool {
        self.audit.is_none_or(|audit| audit.is_green())
            && self.replayed.as_ref().is_none_or(|replayed| replayed.is_same_again)
    }

    /// What else is to be known of it, in sentences.
    #[must_use]
    pub fn remarks(&self) -> Vec<String> {
        let gave_up = self.gave_up.iter().map(|GaveUp { why, open }| {
            format!("the wait for outcomes was given up when {why}: {open} orders were still open")
        });
        gave_up.chain(self.notes.iter().cloned()).collect()
    }

    /// Whether its times count.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.void.is_none() && self.not_possible.is_none()
    }
}

impl Results {
    /// Whether the services ran elsewhere, and not on the machine of the generator.
    #[must_use]
    pub fn is_elsewhere(&self) -> bool {
        self.environment.profile == ELSEWHERE
    }

    /// Reads a file.
    ///
    /// # Errors
    ///
    /// Fails with exit code 2 if it is no `results.json` of a form that is known, or its servers were mocks.
    pub fn read(path: &Path) -> Result<Self, AppError> {
        let failed = |why: String| {
            AppError::usage(format!("{} cannot be read as results: {why}", path.display()))
                .hint("give the results.json that `lab run` wrote")
        };
        let length = std::fs::metadata(path).map_err(|error| failed(error.to_string()))?.len();
        if length > FILE_BYTES_MAX {
            return Err(failed(format!("it is larger than {FILE_BYTES_MAX} bytes")));
        }
        let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
        Self::parse(&text).map_err(failed)
    }

    /// Reads a text.
    ///
    /// # Errors
    ///
    /// Fails with what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Form {
            schema: String,
        }
        let form: Form = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if form.schema != SCHEMA {
            return Err(format!(
                "its schema is {:?}, and this program knows {SCHEMA:?}",
                form.schema
            ));
        }
        let results: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        results.refuse_mocks()?;
        Ok(results)
    }

    /// Refuses results of servers that only pretend.
    ///
    /// # Errors
    ///
    /// Fails with the name of one.
    pub fn refuse_mocks(&self) -> Result<(), String> {
        match self.environment.servers.iter().find(|server| server.is_mock) {
            Some(server) => Err(format!(
                "{} was a mock: it keeps nothing and answers from memory, so its times compare with nobody's",
                server.name
            )),
            None => Ok(()),
        }
    }
}
