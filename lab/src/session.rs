//! A whole comparison: servers, all runs, and after each of them what is known so far, on disk.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use service_kit::args::LogFormat;
use service_kit::exit::{AppError, ExitStatus};
use service_kit::output::{note, text};
use service_kit::program::Program;
use service_kit::shutdown::Shutdown;
use service_kit::telemetry;
use tokio::runtime::Runtime;

use crate::bench::Bench;
use crate::cli::RunArgs;
use crate::client::http_client;
use crate::kit::{Kit, blank};
use crate::past::Past;
use crate::plan::{Cell, again, expected, outline, place_of_more, plan};
use crate::priority;
use crate::progress::Progress;
use crate::results::{Results, Run};
use crate::targets::Targets;
use crate::work_folder::{self, InUse};
use crate::workload::{Kind, Paradigm, WorkloadFile};
use crate::{environment, report, words};

/// Runs that may fail one after the other before all is given up.
const FAILURES_MAX: u32 = 3;
/// Void runs that are made once more, at most: more of them say that the machine is not up to it.
const AGAIN_MAX: usize = 10;
/// How long runs must have taken until what they took says as much about the rest as the guess does: the first of them
/// may be those that the guess is worst at.
const GUESS_WEIGHT: Duration = Duration::from_mins(4);
/// Threads for requests and readers.
const WORKERS: usize = 2;

/// A comparison that is under way.
pub(crate) struct Session {
    bench: Bench,
    // Last: what the bench drops needs it.
    _runtime: Runtime,
    results: Results,
    cells: Vec<Cell>,
    /// When the first run began.
    runs_from: Instant,
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
        let cells = plan(&file);
        note(&outline(&file, &cells));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .enable_all()
            .on_thread_start(|| {
                let _ = priority::raise(); // what came of it stands in the results
            })
            .build()
            .map_err(|error| AppError::failed(format!("no threads for requests: {error}")))?;
        let http =
            http_client().map_err(|error| AppError::failed(format!("HTTP client: {error}")))?;
        let started_at = Timestamp::now();
        let stop = Shutdown::on_signals().map_err(|error| AppError::failed(error.to_string()))?;
        let id = format!("lab{}", started_at.as_millisecond());
        let logs = out.join("logs").join(&id);
        let kit = Kit {
            program,
            file: &file,
            work: &work,
            logs: &logs,
            http: &http,
            runtime: &runtime,
            stop: &stop,
        };
        let promise = |paradigm: &Paradigm| match &targets {
            Some(targets) => {
                environment::promises_elsewhere(*paradigm, targets.durability.get(paradigm))
            }
            None => environment::promises(*paradigm, &file),
        };
        let paradigms = file.paradigms.iter().map(promise).collect();
        let (home, brokers, items, environment) = match targets {
            Some(targets) => kit.elsewhere(targets)?,
            None => kit.own()?,
        };
        let results = Results { paradigms, ..blank(&file, args, environment, started_at) };
        results.refuse_mocks().map_err(AppError::usage)?;
        let bench = Bench {
            home,
            brokers,
            items,
            http,
            runtime: runtime.handle().clone(),
            stop,
            id,
            file,
            began: Instant::now(),
            dir: work,
            logs,
            past: Past::default(),
            listened: BTreeSet::new(),
            last: None,
        };
        let runs_from = Instant::now();
        Ok(Self { bench, _runtime: runtime, results, cells, runs_from, out, _in_use: in_use })
    }

    /// Makes all runs, and writes the report.
    pub(crate) fn run(mut self) -> Result<ExitStatus, AppError> {
        let planned = self.cells.len();
        let progress = Progress::start();
        for paradigm in self.bench.to_warm() {
            self.warm(paradigm, &progress);
        }
        self.runs_from = Instant::now();
        let (mut failures, mut failed, mut number) = (0, 0, 0);
        while let Some(cell) = self.cells.get(number).copied() {
            let left = self.left(number);
            let name = self.name_of(&cell);
            progress.begins(&name, number + 1, self.cells.len(), left);
            let made = self.bench.run(&cell);
            if self.bench.stop.is_requested() {
                break;
            }
            let words = match made {
                Ok(run) => {
                    failures = 0;
                    if run.void.is_some() && self.cells.len() < planned + AGAIN_MAX {
                        self.make_again(&cell, number);
                    }
                    self.keep(run, &cell)?
                }
                Err(why) => {
                    (failures, failed) = (failures + 1, failed + 1);
                    let logs = self.bench.logs_of(&cell);
                    format!("not made: {why}; what was printed is in {}", logs.display())
                }
            };
            number += 1;
            let (of, left) = (self.cells.len(), self.left(number));
            progress.ended(number, of, &format!("{name}: {words}"), left);
            if failures == FAILURES_MAX {
                note("lab: three runs in a row could not be made; giving up");
                break;
            }
        }
        if !self.bench.stop.is_requested() {
            self.bench.hear_the_rest();
            self.bench.past.settle(&mut self.results.runs);
        }
        drop(progress);
        self.results.is_complete = self.results.runs.len() == self.cells.len();
        self.end(failed)
    }

    /// Has a broker work before it is measured.
    fn warm(&mut self, paradigm: Paradigm, progress: &Progress) {
        let what = format!("the broker of {} warms up", paradigm.title());
        progress.begins(&what, 0, self.cells.len(), self.left(0));
        match self.bench.warm(paradigm) {
            Ok(warm_up) => {
                note(&format!("lab: {}", words::of_warm_up(&warm_up)));
                self.results.environment.warm_ups.push(warm_up);
            }
            Err(why) => note(&format!("lab: {} was not warmed up: {why}", paradigm.title())),
        }
    }

    /// Plans a run once more.
    fn make_again(&mut self, cell: &Cell, number: usize) {
        let file = &self.bench.file;
        if let Some(more) = again(file, cell) {
            let place = place_of_more(file, &self.cells, number, &more);
            self.cells.insert(place, more);
        }
    }

    /// Keeps a run; returns what came of it, in words.
    fn keep(&mut self, run: Run, cell: &Cell) -> Result<String, AppError> {
        let mut words = words::of_run(&run);
        let logs = self.bench.logs_of(cell);
        if run.is_green() {
            // Files that cannot be removed are in nobody's way.
            let _ = std::fs::remove_dir_all(&logs);
        } else {
            words.push_str(&format!("; what was printed is in {}", logs.display()));
        }
        self.bench.remember(self.results.runs.len());
        self.results.runs.push(run);
        self.bench.past.settle(&mut self.results.runs);
        self.save()?;
        Ok(words)
    }

    fn end(mut self, failed: u32) -> Result<ExitStatus, AppError> {
        self.save()?;
        if self.results.runs.is_empty() {
            if self.bench.stop.is_requested() {
                return Err(AppError::failed("it was stopped before a run was made"));
            }
            let (work, logs) = (self.out.join("work"), self.bench.logs.display());
            let hint =
                format!("logs of services are in {logs}, and of servers in {}", work.display());
            return Err(AppError::failed("no run was made").hint(hint));
        }
        report::write_all(&self.results, &self.out)?;
        tell(&self.results, &self.out)?;
        let is_green = self.results.runs.iter().all(Run::is_green);
        let Self { bench, out, results, .. } = self;
        let logs = bench.logs.clone();
        drop(bench); // ends the servers, whose files lie there
        if failed == 0 && is_green {
            // Files that cannot be removed are in nobody's way.
            let _ = std::fs::remove_dir_all(out.join("work"));
        }
        // They stay where something lies in them.
        for folder in [Some(&*logs), logs.parent()].into_iter().flatten() {
            let _ = std::fs::remove_dir(folder);
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
        let weight = GUESS_WEIGHT.as_secs_f64();
        let (took, guess) = (self.runs_from.elapsed(), guessed(before));
        let factor = (took.as_secs_f64() + weight) / (guess.as_secs_f64() + weight);
        guessed(after).mul_f64(factor)
    }

    fn name_of(&self, cell: &Cell) -> String {
        let workload = &self.bench.file.workloads[cell.workload];
        let rate = match workload.kind {
            Kind::Sweep => format!(" at {}/s", workload.rates_per_s[cell.rate]),
            _ => String::new(),
        };
        let (name, paradigm, of) = (&workload.name, cell.paradigm.name(), workload.rounds);
        match cell.round.checked_sub(of) {
            Some(round) => format!("{name}{rate}, {paradigm}, round {} once more", round + 1),
            None => format!("{name}{rate}, {paradigm}, round {} of {of}", cell.round + 1),
        }
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
