//! A program that is measured, and that has to count right for it.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::orders_log::{OrdersLog, PARTITIONS};
use crate::program::{Cost, programs, run};

/// How a program is called, and what it must have done at its end.
enum Kind {
    /// Brokers and topic; it prints what it counted.
    Floor,
    /// The consumer, with these arguments besides those that all have.
    Consumer(Vec<String>),
    /// These arguments and variables, then brokers, registry, both topics and group; it prints what it counted.
    Rival(Vec<String>, Vec<(&'static str, OsString)>),
}

/// A program that is measured.
pub(crate) struct Contender {
    /// As `BENCH_ONLY` names it.
    pub(crate) key: &'static str,
    /// For people.
    pub(crate) name: &'static str,
    program: PathBuf,
    kind: Kind,
}

impl Contender {
    /// A loop that reads and writes nothing.
    pub(crate) fn floor(key: &'static str, name: &'static str, example: &str) -> Self {
        let program = programs().join("examples").join(example);
        Self { key, name, program, kind: Kind::Floor }
    }

    /// The consumer as it ships.
    pub(crate) fn consumer(key: &'static str, name: &'static str, arguments: &[&str]) -> Self {
        Self::consumer_at(programs().join("consumer"), key, name, arguments)
    }

    /// Another build of the consumer.
    pub(crate) fn consumer_at(
        program: PathBuf,
        key: &'static str,
        name: &'static str,
        arguments: &[&str],
    ) -> Self {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Self { key, name, program, kind: Kind::Consumer(arguments) }
    }

    /// A program that others would write.
    pub(crate) const fn rival(
        key: &'static str,
        name: &'static str,
        program: PathBuf,
        arguments: Vec<String>,
        variables: Vec<(&'static str, OsString)>,
    ) -> Self {
        Self { key, name, program, kind: Kind::Rival(arguments, variables) }
    }

    /// Runs it over the whole topic; `run_name` is that of this run alone.
    ///
    /// # Panics
    ///
    /// Panics when it fails or has counted wrong.
    pub(crate) fn run(&self, log: &OrdersLog, run_name: &str) -> Cost {
        let name = self.name;
        let servers = &log.pipeline.servers;
        if let Kind::Floor = &self.kind {
            let arguments = [servers.bootstrap_servers.clone(), log.pipeline.orders.clone()];
            let (cost, stdout) = run(&self.program, &arguments, &[], log.records);
            let is_right = stdout.trim() == log.line()
                || stdout.starts_with(&format!("{} records, ", log.records))
                    && !stdout.contains("sum");
            assert!(is_right, "{name}: {} are there, and not {stdout}", log.line());
            return cost;
        }
        let reader = log.reader(run_name);
        let cost = match &self.kind {
            Kind::Floor => unreachable!("it has ended"),
            Kind::Consumer(own) => {
                let arguments: Vec<String> =
                    consumer_arguments(&reader).into_iter().chain(own.iter().cloned()).collect();
                let (cost, stdout) = run(&self.program, &arguments, &[], log.records);
                let (units, rest) = (log.sum / 10_000, log.sum % 10_000);
                let counted = format!("\"count\":{},\"sum\":\"{units}.{rest:04}\"", log.records);
                assert!(stdout.contains(&counted), "{name}: {counted} is not in {stdout}");
                cost
            }
            Kind::Rival(first, variables) => {
                let own = [
                    &servers.bootstrap_servers,
                    &servers.registry_url,
                    &reader.orders,
                    &reader.averages,
                    &reader.group,
                ];
                let arguments: Vec<String> = first.iter().chain(own).cloned().collect();
                let (cost, stdout) = run(&self.program, &arguments, variables, log.records);
                let is_right = stdout.trim() == log.line();
                assert!(is_right, "{name}: {} are there, and not {stdout}", log.line());
                cost
            }
        };
        log.check(name, &reader);
        cost
    }
}

/// Arguments of the consumer on these topics; it makes those that are missing.
pub(crate) fn consumer_arguments(reader: &testkit::Pipeline) -> Vec<String> {
    let partitions = PARTITIONS.to_string();
    let own = [
        "--averages-topic",
        &reader.averages,
        "--create-topics",
        "--create-partitions",
        &partitions,
        "--metrics-addr",
        "off",
        "--exit-at-end",
        "-o",
        "json",
    ];
    reader.engine_args().into_iter().chain(own).map(str::to_owned).collect()
}
