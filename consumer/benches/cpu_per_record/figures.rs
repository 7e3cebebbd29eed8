//! All figures of a benchmark: as a table for people, and as JSON.

use std::fmt::Write as _;
use std::process::Command;

use serde_json::{Value, json};

use crate::contender::{Contender, Cost};

/// What was measured where.
pub(crate) struct Setting {
    records: u64,
    partitions: i32,
    products: u64,
    processor: String,
    processors: usize,
    commit: String,
}

impl Setting {
    /// On this machine, with this tree.
    pub(crate) fn here(records: u64, partitions: i32, products: u64) -> Self {
        let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let name = cpus.lines().find_map(|line| line.strip_prefix("model name"));
        let processor = name.map_or("unknown", |name| name.trim_start_matches([' ', '\t', ':']));
        let commit = Command::new("git").args(["describe", "--always", "--dirty"]).output();
        let commit = commit.map_or_else(|_| Vec::new(), |output| output.stdout);
        Self {
            records,
            partitions,
            products,
            processor: processor.to_owned(),
            processors: std::thread::available_parallelism().map_or(0, usize::from),
            commit: String::from_utf8_lossy(&commit).trim().to_owned(),
        }
    }
}

/// A figure over all rounds.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Spread {
    median: f64,
    least: f64,
    most: f64,
}

impl Spread {
    fn of(figures: impl Iterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = figures.collect();
        figures.sort_by(f64::total_cmp);
        let (middle, last) = (figures.len() / 2, figures.len() - 1);
        Self { median: figures[middle], least: figures[0], most: figures[last] }
    }

    fn text(&self, decimals: usize) -> String {
        let Self { median, least, most } = self;
        format!("{median:.decimals$} ({least:.decimals$}–{most:.decimals$})")
    }

    fn json(&self) -> Value {
        json!({ "median": self.median, "min": self.least, "max": self.most })
    }
}

/// What every program took in every round. The first one is the floor.
pub(crate) struct Figures {
    setting: Setting,
    programs: Vec<(&'static str, Vec<Cost>)>,
}

impl Figures {
    pub(crate) fn new(setting: Setting, contenders: &[Contender]) -> Self {
        let programs = contenders.iter().map(|contender| (contender.name, Vec::new())).collect();
        Self { setting, programs }
    }

    pub(crate) fn add(&mut self, program: usize, cost: Cost) {
        self.programs[program].1.push(cost);
    }

    /// A figure of a program in shares of the floor's in the same round.
    fn ratio(&self, program: usize, figure: impl Fn(&Cost) -> f64) -> Spread {
        let (costs, floor) = (&self.programs[program].1, &self.programs[0].1);
        Spread::of(costs.iter().zip(floor).map(|(cost, floor)| figure(cost) / figure(floor)))
    }

    /// For people, in Markdown: medians, with the least and the most.
    pub(crate) fn table(&self) -> String {
        let Setting { records, partitions, products, processor, processors, commit } =
            &self.setting;
        let rounds = self.programs[0].1.len();
        let mut text = format!(
            "{records} orders, {products} products, {partitions} partitions, {rounds} rounds; \
             {processors} × {processor}; commit {commit}\n\n\
             | | CPU µs/record | × floor | records/s | × floor | memory MiB |\n\
             |---|--:|--:|--:|--:|--:|\n"
        );
        for (index, (name, costs)) in self.programs.iter().enumerate() {
            let cpu = Spread::of(costs.iter().map(|cost| cost.cpu_micros)).text(2);
            let rate = Spread::of(costs.iter().map(|cost| cost.records_per_second)).text(0);
            let memory = Spread::of(costs.iter().map(|cost| cost.memory_mib)).text(0);
            let cpu_ratio = self.ratio(index, |cost| cost.cpu_micros).text(2);
            let rate_ratio = self.ratio(index, |cost| cost.records_per_second).text(2);
            writeln!(text, "| {name} | {cpu} | {cpu_ratio} | {rate} | {rate_ratio} | {memory} |")
                .expect("a text takes it");
        }
        text
    }

    /// For programs: every round of every program, and the ratios.
    pub(crate) fn json(&self) -> String {
        let Setting { records, partitions, products, processor, processors, commit } =
            &self.setting;
        let programs = self.programs.iter().enumerate().map(|(index, (name, costs))| {
            let rounds = costs.iter().map(|cost| {
                json!({
                    "cpu_micros_per_record": cost.cpu_micros,
                    "records_per_second": cost.records_per_second,
                    "peak_memory_mib": cost.memory_mib,
                })
            });
            json!({
                "name": name,
                "cpu_of_floor": self.ratio(index, |cost| cost.cpu_micros).json(),
                "rate_of_floor": self.ratio(index, |cost| cost.records_per_second).json(),
                "rounds": rounds.collect::<Value>(),
            })
        });
        let all = json!({
            "records": records,
            "partitions": partitions,
            "products": products,
            "processor": processor,
            "processors": processors,
            "commit": commit,
            "programs": programs.collect::<Value>(),
        });
        format!("{all:#}\n")
    }
}
