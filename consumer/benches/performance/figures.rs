//! All figures of a part: as a table for people, and as JSON.

use std::fmt::Write as _;
use std::process::Command;

use serde_json::{Value, json};

use crate::contender::Contender;
use crate::program::Cost;

/// What was measured where.
pub(crate) struct Setting {
    /// What all programs had to do, in words.
    what: String,
    processor: String,
    processors: usize,
    commit: String,
    date: String,
    seed: u64,
    load_before: String,
}

impl Setting {
    /// On this machine, with this tree.
    pub(crate) fn here(what: String, seed: u64) -> Self {
        let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let name = cpus.lines().find_map(|line| line.strip_prefix("model name"));
        let processor = name.map_or("unknown", |name| name.trim_start_matches([' ', '\t', ':']));
        Self {
            what,
            processor: processor.to_owned(),
            processors: std::thread::available_parallelism().map_or(0, usize::from),
            commit: said("git", &["describe", "--always", "--dirty"]),
            date: said("date", &["-u", "+%Y-%m-%d"]),
            seed,
            load_before: load(),
        }
    }

    /// One line for people.
    pub(crate) fn line(&self) -> String {
        let Self { what, processor, processors, commit, date, load_before, .. } = self;
        let load = load();
        format!(
            "{what}; {processors} × {processor}, shared with the broker, load {load_before} \
             before and {load} after; {date}, commit {commit}"
        )
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "what": self.what,
            "processor": self.processor,
            "processors": self.processors,
            "commit": self.commit,
            "date": self.date,
            "seed": self.seed,
            "load_before": self.load_before,
            "load_after": load(),
        })
    }
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let stdout = output.map_or_else(|_| Vec::new(), |output| output.stdout);
    String::from_utf8_lossy(&stdout).trim().to_owned()
}

/// The machine's load over a minute.
fn load() -> String {
    let loads = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    loads.split(' ').next().unwrap_or_default().to_owned()
}

/// A figure over all rounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    least: f64,
    pub(crate) most: f64,
}

impl Spread {
    pub(crate) fn of(figures: impl Iterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = figures.collect();
        figures.sort_by(f64::total_cmp);
        let (middle, last) = (figures.len() / 2, figures.len() - 1);
        Self { median: figures[middle], least: figures[0], most: figures[last] }
    }

    pub(crate) fn text(&self, decimals: usize) -> String {
        let Self { median, least, most } = self;
        format!("{median:.decimals$} ({least:.decimals$}–{most:.decimals$})")
    }

    pub(crate) fn json(&self) -> Value {
        json!({ "median": self.median, "min": self.least, "max": self.most })
    }
}

/// What a program took in a round: for the whole log, and for a short one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Round {
    pub(crate) whole: Cost,
    pub(crate) short: Cost,
}

impl Round {
    fn more_records(&self) -> f64 {
        (self.whole.records - self.short.records) as f64
    }

    /// What a further record costs: start and end cost the same for both logs.
    pub(crate) fn marginal_cpu_micros(&self) -> f64 {
        (self.whole.cpu.as_secs_f64() - self.short.cpu.as_secs_f64()) * 1e6 / self.more_records()
    }

    /// Further records in a second.
    fn marginal_rate(&self) -> f64 {
        self.more_records() / (self.whole.wall.as_secs_f64() - self.short.wall.as_secs_f64())
    }
}

/// What every program took in every round. The others are told in shares of the first.
pub(crate) struct Figures {
    pub(crate) setting: Setting,
    programs: Vec<(&'static str, &'static str, Vec<Round>)>,
}

impl Figures {
    pub(crate) fn new(setting: Setting, contenders: &[Contender]) -> Self {
        let programs = contenders.iter().map(|it| (it.key, it.name, Vec::new())).collect();
        Self { setting, programs }
    }

    pub(crate) fn add(&mut self, program: usize, round: Round) {
        self.programs[program].2.push(round);
    }

    /// A figure of a program over all rounds.
    pub(crate) fn spread(&self, program: usize, figure: impl Fn(&Round) -> f64) -> Spread {
        Spread::of(self.programs[program].2.iter().map(figure))
    }

    /// A figure of a program in shares of the first program's in the same round.
    pub(crate) fn ratio(&self, program: usize, figure: impl Fn(&Round) -> f64) -> Spread {
        let (rounds, firsts) = (&self.programs[program].2, &self.programs[0].2);
        Spread::of(rounds.iter().zip(firsts).map(|(round, first)| figure(round) / figure(first)))
    }

    /// For people, in Markdown: medians, with the least and the most.
    pub(crate) fn table(&self, first: &str) -> String {
        let mut text = format!(
            "{}; {} rounds.\n\n\
             | | CPU µs/record | {first} | further records: CPU {first} | records/s | {first} | further records/s | {first} | memory MiB |\n\
             |---|--:|--:|--:|--:|--:|--:|--:|--:|\n",
            self.setting.line(),
            self.programs[0].2.len(),
        );
        for (index, (_, name, _)) in self.programs.iter().enumerate() {
            let cells = [
                self.spread(index, |round| round.whole.cpu_micros()).text(2),
                self.ratio(index, |round| round.whole.cpu_micros()).text(2),
                self.ratio(index, Round::marginal_cpu_micros).text(2),
                thousands(self.spread(index, |round| round.whole.records_per_second()).median),
                self.ratio(index, |round| round.whole.records_per_second()).text(2),
                thousands(self.spread(index, Round::marginal_rate).median),
                self.ratio(index, Round::marginal_rate).text(2),
                self.spread(index, |round| round.whole.memory_mib).text(0),
            ];
            writeln!(text, "| {name} | {} |", cells.join(" | ")).expect("a text takes it");
        }
        text
    }

    /// For programs: every round of every program, and the ratios.
    pub(crate) fn json(&self) -> Value {
        let programs = self.programs.iter().enumerate().map(|(index, (key, name, rounds))| {
            let rounds = rounds.iter().map(|round| {
                json!({
                    "whole": cost_json(&round.whole),
                    "short": cost_json(&round.short),
                    "marginal_cpu_micros_per_record": round.marginal_cpu_micros(),
                    "marginal_records_per_second": round.marginal_rate(),
                })
            });
            json!({
                "key": key,
                "name": name,
                "cpu_of_first": self.ratio(index, |round| round.whole.cpu_micros()).json(),
                "marginal_cpu_of_first": self.ratio(index, Round::marginal_cpu_micros).json(),
                "rate_of_first": self.ratio(index, |round| round.whole.records_per_second()).json(),
                "marginal_rate_of_first": self.ratio(index, Round::marginal_rate).json(),
                "rounds": rounds.collect::<Value>(),
            })
        });
        json!({ "setting": self.setting.json(), "programs": programs.collect::<Value>() })
    }
}

fn cost_json(cost: &Cost) -> Value {
    json!({
        "records": cost.records,
        "cpu_micros_per_record": cost.cpu_micros(),
        "records_per_second": cost.records_per_second(),
        "wall_seconds": cost.wall.as_secs_f64(),
        "peak_memory_mib": cost.memory_mib,
    })
}

/// A large number in thousands, as `1,234 k`.
fn thousands(number: f64) -> String {
    format!("{:.0} k", number / 1_000.0)
}
