//! `stack up`: starts what is asked for and not there yet, all at once, and leaves it running.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use stack::state::{StackDir, StackState};
use stack::{
    Jars, KafkaConfig, KafkaServer, Ledger, Lifetime, Ports, Program, Programs, PrometheusConfig,
    PrometheusServer, RabbitConfig, RabbitServer, RedisConfig, RedisServer, RegistryConfig,
    RegistryServer, Server, StackError,
};

use crate::cli::{ServerName, UpArgs};

/// Starts one server and waits until it answers.
type Start = Box<dyn FnOnce() -> Result<Box<dyn Server>, StackError> + Send>;

pub(crate) fn run(args: &UpArgs) -> anyhow::Result<ExitCode> {
    let dir = StackDir::create(&args.place.dir)?;
    let _lock = dir.lock()?;
    let state = dir.state()?;
    let running = check_running(&state, &args.place.dir)?;
    let programs = Programs::from_env();
    programs.require(&needed(&args.only))?;

    let ledger = Arc::new(Ledger::new(dir.clone(), state.clone()));
    for server in state.servers().into_iter().filter(|server| !running.contains_key(server)) {
        ledger.forget(server)?;
    }
    roll_back_on_signal(Arc::clone(&ledger))?;
    let is_java_needed =
        args.only.iter().any(|name| matches!(name, ServerName::Kafka | ServerName::Registry));
    if is_java_needed {
        Jars::ensure(&programs, |dir| {
            eprintln!(
                "{:<12} fetching Kafka and the schema registry with mvn, once, into {}",
                "jars",
                dir.display()
            );
        })?;
    }

    let mut starts = Vec::new();
    for (name, start) in starts_of(args, dir.path(), &ledger) {
        match running.get(name) {
            Some(address) => eprintln!("{name:<12} already running on {address}"),
            None => starts.push((name, start)),
        }
    }
    if let Err(error) = start_all(starts, &ledger) {
        ledger.roll_back()?;
        return Err(error);
    }
    let shown = args.place.dir.join("env");
    eprintln!("variables in {0}; use them with: . {0}", shown.display());
    Ok(ExitCode::SUCCESS)
}

/// Returns name and address of the servers that run and answer; one that runs and does not is an error, as it can
/// neither be used nor be started beside itself.
fn check_running<'a>(
    state: &'a StackState,
    dir: &Path,
) -> anyhow::Result<BTreeMap<&'a str, String>> {
    let mut running = BTreeMap::new();
    for server in state.servers() {
        let nodes: Vec<_> = state.nodes_of(server).collect();
        if nodes.iter().all(|node| !node.process.is_alive()) {
            continue;
        }
        for node in &nodes {
            if let Err(error) = node.probe.ask() {
                bail!(
                    "{} (pid {}) was started here and does not answer ({error}); run: cargo run --bin stack -- down --dir {}",
                    node.name,
                    node.process.pid,
                    dir.display()
                );
            }
        }
        let addresses: Vec<_> =
            nodes.iter().map(|node| stack::ports::address(node.probe.port())).collect();
        running.insert(server, addresses.join(","));
    }
    Ok(running)
}

fn needed(names: &[ServerName]) -> Vec<Program> {
    let mut programs = vec![Program::Setsid, Program::Setpriv];
    for name in names {
        programs.extend(match name {
            ServerName::Kafka | ServerName::Registry => &[Program::Java, Program::Maven][..],
            ServerName::Rabbitmq => &[Program::RabbitmqServer, Program::Epmd],
            ServerName::Redis => &[Program::RedisServer],
            ServerName::Prometheus => &[Program::Prometheus],
        });
    }
    programs
}

/// Returns what starts each of the servers asked for, with its name.
fn starts_of(args: &UpArgs, dir: &Path, ledger: &Arc<Ledger>) -> Vec<(&'static str, Start)> {
    fn boxed<S: Server + 'static>(
        result: Result<S, StackError>,
    ) -> Result<Box<dyn Server>, StackError> {
        result.map(|server| Box::new(server) as Box<dyn Server>)
    }
    let ports = if args.default_ports { Ports::Default } else { Ports::Free };
    let lifetime = Lifetime::Detached(Arc::clone(ledger));
    let mut starts: Vec<(&'static str, Start)> = Vec::new();
    let mut names = args.only.clone();
    names.sort_by_key(|name| *name as u8);
    names.dedup();
    for name in names {
        let lifetime = lifetime.clone();
        match name {
            ServerName::Kafka => {
                let config = KafkaConfig::in_dir(dir.join("kafka"));
                let config = KafkaConfig { brokers: args.kafka_brokers, ports, lifetime, ..config };
                starts.push(("kafka", Box::new(|| boxed(KafkaServer::start(config)))));
            }
            ServerName::Registry => {
                let config = RegistryConfig { dir: dir.join("registry"), ports, lifetime };
                starts.push(("registry", Box::new(|| boxed(RegistryServer::start(config)))));
            }
            ServerName::Rabbitmq => {
                let config =
                    RabbitConfig { ports, lifetime, ..RabbitConfig::in_dir(dir.join("rabbitmq")) };
                starts.push(("rabbitmq", Box::new(|| boxed(RabbitServer::start(config)))));
            }
            ServerName::Redis => {
                let redis = RedisConfig::in_dir(dir.join("redis"));
                let redis = RedisConfig { ports, lifetime: lifetime.clone(), ..redis };
                starts.push(("redis", Box::new(|| boxed(RedisServer::start(redis)))));
                let valkey = RedisConfig::valkey_in_dir(dir.join("valkey"));
                let valkey = RedisConfig { ports, lifetime, ..valkey };
                starts.push(("valkey", Box::new(|| start_valkey(valkey))));
            }
            ServerName::Prometheus => {
                let config = PrometheusConfig::in_dir(dir.join("prometheus"));
                let config = PrometheusConfig { ports, lifetime, ..config };
                starts.push(("prometheus", Box::new(|| boxed(PrometheusServer::start(config)))));
            }
        }
    }
    starts
}

fn start_valkey(config: RedisConfig) -> Result<Box<dyn Server>, StackError> {
    let server = RedisServer::start(config)?;
    if server.is_stand_in() {
        eprintln!(
            "{:<12} valkey-server is not installed: a second redis-server stands in for it",
            "valkey"
        );
    }
    Ok(Box::new(server))
}

/// Starts all servers side by side; the first failure is returned when all have come to an end.
fn start_all(starts: Vec<(&'static str, Start)>, ledger: &Arc<Ledger>) -> anyhow::Result<()> {
    thread::scope(|scope| {
        let starting: Vec<_> = starts
            .into_iter()
            .map(|(name, start)| {
                scope.spawn(move || {
                    let begun = Instant::now();
                    eprintln!("{name:<12} starting");
                    let server = start().with_context(|| format!("cannot start {name}"))?;
                    ledger.publish(name, server.environment())?;
                    let seconds = begun.elapsed().as_secs_f64();
                    eprintln!("{name:<12} ready on {} in {seconds:.1} s", server.address());
                    anyhow::Ok(())
                })
            })
            .collect();
        let results: Vec<anyhow::Result<()>> = starting
            .into_iter()
            .map(|thread| thread.join().expect("starting does not panic"))
            .collect();
        results.into_iter().collect()
    })
}

/// Stops what was started when ctrl-C or TERM arrives before the end.
fn roll_back_on_signal(ledger: Arc<Ledger>) -> anyhow::Result<()> {
    // Handlers, not a blocked mask: a mask would be inherited by the servers, which would then never hear TERM.
    let mut signals =
        Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot listen to signals")?;
    thread::spawn(move || {
        if signals.forever().next().is_some() {
            eprintln!("stack: stopped by a signal: stopping what was started");
            if let Err(error) = ledger.roll_back() {
                eprintln!("stack: {error}");
            }
            std::process::exit(1);
        }
    });
    Ok(())
}
