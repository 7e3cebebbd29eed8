//! A whole comparison: servers, all runs, and after each of them what is known so far, on disk.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kafka_io::client_config::KafkaSettings;
use service_kit::args::LogFormat;
use service_kit::exit::{AppError, ExitStatus};
use service_kit::output::{note, text};
use service_kit::program::Program;
use service_kit::shutdown::Shutdown;
use service_kit::telemetry;
use tokio::runtime::Runtime;

use crate::bench::{Bench, Home};
use crate::cli::RunArgs;
use crate::client::http_client;
use crate::flow::Brokers;
use crate::plan::{Cell, expected, plan};
use crate::programs::Programs;
use crate::progress::{Progress, about};
use crate::results::{Environment, Results, Run, SCHEMA, WorkloadInfo};
use crate::servers::Servers;
use crate::services::Surroundings;
use crate::targets::Targets;
use crate::work_folder::{self, InUse};
use crate::workload::{Kind, WorkloadFile};
use crate::{environment, report, words};

/// Items of the lab's own menu: so many keys that no one of them is the bottleneck.
const ITEMS: usize = 64;
/// Runs that may fail one after the other before all is given up.
const FAILURES_MAX: u32 = 3;
/// Threads for requests and readers.
const WORKERS: usize = 2;

/// A comparison that is under way.
pub(crate) struct Session {
    bench: Bench,
    // Last: what the bench drops needs it.
    _runtime: Runtime,
    results: Results,
    cells: Vec<Cell>,
    out: PathBuf,
    _in_use: InUse,
}

impl Session {
    /// Reads the file, starts the servers, and looks at what is there.
    pub(crate) fn start(program: &Program, args: &RunArgs) -> Result<Self, AppError> {
        telemetry::init(LogFormat::Text);
        let file = WorkloadFile::read(&args.file)?;
        let mut file = if args.quick { file.quickened() } else { file };
        file.seed = args.seed.unwrap_or(file.seed);
        let targets = args.targets.as_deref().map(Targets::read).transpose()?;
        if let Some(targets) = &targets {
            file.paradigms.retain(|paradigm| targets.addresses.contains_key(paradigm));
        }
        let out = args.out.clone().unwrap_or_else(|| Path::new("lab-results").join(&file.name));
        let (work, in_use) = work_folder::emptied(&out)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .enable_all()
            .build()
            .map_err(|error| AppError::failed(format!("no threads for requests: {error}")))?;
        let http =
            http_client().map_err(|error| AppError::failed(format!("HTTP client: {error}")))?;
        let started_at = Timestamp::now();
        let stop = Shutdown::on_signals().map_err(|error| AppError::failed(error.to_string()))?;
        let kit = Kit { program, file: &file, work: &work, http: &http, runtime: &runtime };
        let (home, brokers, items, environment) = match targets {
            Some(targets) => kit.elsewhere(targets)?,
            None => kit.own()?,
        };
        let results = blank(&file, args, environment, started_at);
        results.refuse_mocks().map_err(AppError::usage)?;
        let cells = plan(&file);
        let bench = Bench {
            home,
            brokers,
            items,
            http,
            runtime: runtime.handle().clone(),
            stop,
            id: format!("lab{}", started_at.as_millisecond()),
            file,
            began: Instant::now(),
            dir: work,
        };
        Ok(Self { bench, _runtime: runtime, results, cells, out, _in_use: in_use })
    }

    /// Makes all runs, and writes the report.
    pub(crate) fn run(mut self) -> Result<ExitStatus, AppError> {
        let of = self.cells.len();
        let guess: Duration = self.cells.iter().map(|cell| expected(&self.bench.file, cell)).sum();
        note(&format!("lab: {of} runs, {}", about(guess)));
        let progress = Progress::start();
        let (mut failures, mut failed) = (0, 0);
        for (number, cell) in self.cells.clone().into_iter().enumerate() {
            let left = self.left(number);
            let name = self.name_of(&cell);
            progress.begins(&name, number + 1, of, left);
            let made = self.bench.run(&cell);
            if self.bench.stop.is_requested() {
                break;
            }
            let words = match made {
                Ok(run) => {
                    failures = 0;
                    let words = words::of_run(&run);
                    self.results.runs.push(run);
                    self.save()?;
                    words
                }
                Err(why) => {
                    (failures, failed) = (failures + 1, failed + 1);
                    format!("not made: {why}")
                }
            };
            progress.ended(number + 1, of, &format!("{name}: {words}"), self.left(number + 1));
            if failures == FAILURES_MAX {
                note("lab: three runs in a row could not be made; giving up");
                break;
            }
        }
        drop(progress);
        self.results.is_complete = self.results.runs.len() == of;
        self.end(failed)
    }

    fn end(mut self, failed: u32) -> Result<ExitStatus, AppError> {
        self.save()?;
        if self.results.runs.is_empty() {
            let work = self.out.join("work");
            return Err(AppError::failed("no run was made")
                .hint(format!("logs of servers and services are in {}", work.display())));
        }
        report::write_all(&self.results, &self.out)?;
        tell(&self.results, &self.out)?;
        let is_green = self.results.runs.iter().all(Run::is_green);
        let Self { bench, out, results, .. } = self;
        drop(bench); // ends the servers, whose files lie there
        if failed == 0 && is_green {
            // Files that cannot be removed are in nobody's way.
            let _ = std::fs::remove_dir_all(out.join("work"));
        }
        Ok(match (is_green, results.is_complete) {
            (false, _) => ExitStatus::Finding,
            (true, false) => ExitStatus::Partial,
            (true, true) => ExitStatus::Done,
        })
    }

    /// What is left from the run of this number on: the guess, corrected by how good it was so far.
    fn left(&self, number: usize) -> Duration {
        let guessed = |cells: &[Cell]| -> Duration {
            cells.iter().map(|cell| expected(&self.bench.file, cell)).sum()
        };
        let (before, after) = self.cells.split_at(number);
        let so_far = guessed(before).as_secs_f64();
        let factor =
            if so_far > 0.0 { self.bench.began.elapsed().as_secs_f64() / so_far } else { 1.0 };
        guessed(after).mul_f64(factor)
    }

    fn name_of(&self, cell: &Cell) -> String {
        let workload = &self.bench.file.workloads[cell.workload];
        let rate = match workload.kind {
            Kind::Sweep => format!(" at {}/s", workload.rates_per_s[cell.rate]),
            _ => String::new(),
        };
        let of = workload.rounds;
        format!(
            "{}{rate}, {}, round {} of {of}",
            workload.name,
            cell.paradigm.name(),
            cell.round + 1
        )
    }

    /// Writes what is known so far: a comparison that ends now has lost nothing.
    fn save(&mut self) -> Result<(), AppError> {
        self.results.ended_at = Timestamp::now().to_string();
        let path = self.out.join("results.json");
        let text = serde_json::to_string(&self.results)
            .map_err(|error| AppError::failed(format!("the results cannot be written: {error}")))?;
        let beside = self.out.join("results.json.new");
        std::fs::write(&beside, text)
            .and_then(|()| std::fs::rename(&beside, &path))
            .map_err(|error| unwritable(&path, &error))
    }
}

/// Says what came out, and where the report is.
pub(crate) fn tell(results: &Results, out: &Path) -> Result<(), AppError> {
    text(&report::for_terminal(results))?;
    note(&format!("lab: the report is in {}", out.join("report.html").display()));
    Ok(())
}

pub(crate) fn unwritable(path: &Path, error: &std::io::Error) -> AppError {
    AppError::failed(format!("{} cannot be written: {error}", path.display()))
        .hint("give another folder with --out")
}

type Found = (Home, Brokers, Vec<String>, Environment);

/// What a comparison is begun with.
struct Kit<'a> {
    program: &'a Program,
    file: &'a WorkloadFile,
    work: &'a Path,
    http: &'a reqwest::Client,
    runtime: &'a Runtime,
}

impl Kit<'_> {
    /// Starts servers of the lab's own.
    fn own(&self) -> Result<Found, AppError> {
        let programs = Programs::ensure(&self.file.paradigms)?;
        if programs.profile() != "release" {
            note("lab: these are not release builds: their times say little");
        }
        note("lab: starting servers");
        let brokers = self.file.kafka_brokers;
        let servers = Servers::start(self.work, &self.file.paradigms, brokers)?;
        let look =
            environment::look(self.program, &programs, &servers, self.http, self.work, brokers);
        let environment = self.runtime.block_on(look);
        let items: Vec<String> = (1..=ITEMS).map(|n| format!("dish-{n}")).collect();
        let menu: String = items.iter().map(|item| format!("[{item}]\nprice = 8.5\n")).collect();
        let path = self.work.join("menu.toml");
        std::fs::write(&path, menu).map_err(|error| unwritable(&path, &error))?;
        let kafka = KafkaSettings::new("lab", &servers.bootstrap_servers(), Vec::new())
            .map_err(|error| AppError::failed(error.to_string()))?;
        let found = Brokers {
            rabbit_url: servers.rabbit_url(),
            rabbit_prefix: "orders".to_owned(),
            kafka,
            order_topic: "order-events".to_owned(),
            notification_topic: "notification-events".to_owned(),
        };
        let around = Surroundings {
            dir: self.work.to_owned(),
            programs,
            rabbit_url: servers.rabbit_url(),
            bootstrap_servers: servers.bootstrap_servers(),
            registry_url: servers.registry_url(),
            prefix: found.rabbit_prefix.clone(),
        };
        Ok((Home::Own(Box::new(servers), Box::new(around)), found, items, environment))
    }

    /// Takes services that run elsewhere.
    fn elsewhere(&self, targets: Targets) -> Result<Found, AppError> {
        let servers = targets.look()?;
        let machine = environment::machine(self.program, "elsewhere", self.work);
        let environment = Environment { servers, ..machine };
        Ok((Home::Elsewhere(targets.addresses), targets.brokers, targets.items, environment))
    }
}

fn blank(
    file: &WorkloadFile,
    args: &RunArgs,
    environment: Environment,
    started_at: Timestamp,
) -> Results {
    let quick = if args.quick { " --quick" } else { "" };
    let info = |workload: &crate::workload::Workload| WorkloadInfo {
        name: workload.name.clone(),
        kind: workload.kind,
        words: words::of_workload(workload),
        rounds: workload.rounds,
    };
    let promises = |paradigm: &_| environment::promises(*paradigm, file.kafka_brokers);
    Results {
        schema: SCHEMA.to_owned(),
        name: file.name.clone(),
        started_at: started_at.to_string(),
        ended_at: started_at.to_string(),
        is_complete: false,
        is_quick: args.quick,
        seed: file.seed,
        command: format!(
            "cargo run --release --bin lab -- run {}{quick} --seed {}",
            args.file.display(),
            file.seed
        ),
        workload_file: file.text.clone(),
        environment,
        paradigms: file.paradigms.iter().map(promises).collect(),
        workloads: file.workloads.iter().map(info).collect(),
        runs: Vec::new(),
    }
}
