//! `stack up`: starts what is asked for and does not run, all at once, and leaves it running.

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
    FetchStep, Jars, KafkaConfig, KafkaServer, Ledger, Lifetime, PortBook, Ports, Program,
    Programs, PrometheusConfig, PrometheusServer, RabbitConfig, RabbitServer, RedisConfig,
    RedisServer, RegistryConfig, RegistryServer, Server, StackError, revive, tools,
};

use service_kit::output::note;

use crate::cli::{ServerName, UpArgs};

/// The arguments for a virtual machine that a variable of Kafka's own scripts has, with spaces in between; none where it is not
/// set.
fn args_in(variable: &str) -> Vec<String> {
    let set = std::env::var(variable).unwrap_or_default();
    set.split_whitespace().map(str::to_owned).collect()
}

/// Starts a server, or what is missing of it, and waits until it answers.
enum Start {
    OfWhole(Box<dyn FnOnce() -> Result<Box<dyn Server>, StackError> + Send>),
    /// Where it answers, and what starts the missing processes.
    OfPart(String, Box<dyn FnOnce() -> Result<(), StackError> + Send>),
}

pub(crate) fn run(args: &UpArgs) -> anyhow::Result<ExitCode> {
    let wanted = Wanted {
        names: args.only.clone(),
        kafka_brokers: args.kafka_brokers,
        rabbitmq_nodes: args.rabbitmq_nodes,
        has_default_ports: args.default_ports,
        only: None,
    };
    bring_up(&args.place.dir, &wanted)?;
    let shown = args.place.dir.join("env");
    note(&format!("variables in {0}; use them with: . {0}", shown.display()));
    Ok(ExitCode::SUCCESS)
}

/// Starts the servers called `names` that do not run, and what died of those that run in part.
pub(super) fn bring_up(place: &Path, wanted: &Wanted) -> anyhow::Result<()> {
    let dir = StackDir::create(place)?;
    let _lock = dir.lock()?;
    let state = dir.state()?;
    let standing = standing(&state, place)?;
    let programs = Programs::from_env();
    programs.require(&needed(&wanted.names))?;

    let ledger = Arc::new(Ledger::new(dir.clone(), state.clone()));
    roll_back_on_signal(Arc::clone(&ledger))?;
    if wanted.names.iter().any(|name| matches!(name, ServerName::Kafka | ServerName::Registry)) {
        Jars::ensure(&programs, &say_fetch)?;
    }
    let book = Arc::new(PortBook::open(&dir)?);
    let mut starts = Vec::new();
    for (name, start) in starts_of(wanted, dir.path(), &ledger, &book)? {
        if wanted.only.as_ref().is_some_and(|only| !only.iter().any(|server| server == name)) {
            continue;
        }
        match standing.get(name) {
            Some(Standing::Whole(address)) => {
                note(&format!("{name:<12} already running on {address}"))
            }
            Some(Standing::Part(address)) => {
                let (state, ledger) = (state.clone(), Arc::clone(&ledger));
                let revive = move || {
                    let whole: Vec<_> = state.nodes_of(name).collect();
                    let names: Vec<_> = whole.iter().map(|node| node.name.as_str()).collect();
                    revive::revive(&whole, &names, &ledger)
                };
                starts.push((name, Start::OfPart(address.clone(), Box::new(revive))));
            }
            None => starts.push((name, start)),
        }
    }
    let written = start_all(starts, &ledger).and_then(|()| write_commands(&dir, &ledger));
    if let Err(error) = written {
        ledger.roll_back()?;
        return Err(error);
    }
    Ok(())
}

fn say_fetch(step: FetchStep<'_>) {
    match step {
        FetchStep::AnotherFetches(lock) => note(&format!(
            "{:<12} another process is fetching Kafka and the registry; waiting for it ({})",
            "jars",
            lock.display()
        )),
        FetchStep::Begins(dir) => note(&format!(
            "{:<12} fetching Kafka and the registry with mvn, once: about 200 MB into {}",
            "jars",
            dir.display()
        )),
        FetchStep::GoesOn(elapsed) => {
            note(&format!("{:<12} still fetching after {} s", "jars", elapsed.as_secs()));
        }
    }
}

/// Writes Kafka's tools under their own names, where Kafka is up.
fn write_commands(dir: &StackDir, ledger: &Ledger) -> anyhow::Result<()> {
    let state = dir.state()?;
    let classpath = state.variables.iter().find(|variable| variable.name == "KAFKA_CLASSPATH");
    if let Some(classpath) = classpath {
        let bin = dir.path().join("bin");
        let bin = tools::write_commands(&bin, &Programs::from_env(), &classpath.value)?;
        ledger.note_commands(&bin)?;
    }
    Ok(())
}

/// How much of a server runs, and where.
enum Standing {
    /// All of it.
    Whole(String),
    /// Some of its processes are gone.
    Part(String),
}

/// Returns the servers of which something runs; a process that runs and does not answer is an
/// error, as it can neither
/// be used nor be started beside itself.
fn standing<'a>(state: &'a StackState, dir: &Path) -> anyhow::Result<BTreeMap<&'a str, Standing>> {
    let mut standing = BTreeMap::new();
    for server in state.servers() {
        let nodes: Vec<_> = state.nodes_of(server).collect();
        let living: Vec<_> = nodes.iter().filter(|node| node.process.is_alive()).collect();
        if living.is_empty() {
            continue;
        }
        for node in &living {
            if let Err(error) = node.probe.ask() {
                bail!(
                    "{name} (pid {pid}) was started here and does not answer ({error}); if it is not just starting or paused, run: cargo run --bin stack -- kill {name} --dir {dir} and then: cargo run --bin stack -- start {name} --dir {dir}",
                    name = node.name,
                    pid = node.process.pid,
                    dir = dir.display()
                );
            }
        }
        let addresses: Vec<_> =
            nodes.iter().map(|node| stack::ports::address(node.probe.port())).collect();
        let addresses = addresses.join(",");
        let is_whole = living.len() == nodes.len();
        let standing_of = if is_whole { Standing::Whole } else { Standing::Part };
        standing.insert(server, standing_of(addresses));
    }
    Ok(standing)
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

/// What is asked for.
pub(super) struct Wanted {
    pub(super) names: Vec<ServerName>,
    pub(super) kafka_brokers: Option<u16>,
    pub(super) rabbitmq_nodes: Option<u16>,
    pub(super) has_default_ports: bool,
    /// The servers meant, where a name in `names` brings more than one.
    pub(super) only: Option<Vec<String>>,
}

/// Returns what starts each of the servers asked for, with its name.
fn starts_of(
    wanted: &Wanted,
    dir: &Path,
    ledger: &Arc<Ledger>,
    book: &Arc<PortBook>,
) -> anyhow::Result<Vec<(&'static str, Start)>> {
    fn whole<S: Server + 'static>(
        start: impl FnOnce() -> Result<S, StackError> + Send + 'static,
    ) -> Start {
        Start::OfWhole(Box::new(|| start().map(|server| Box::new(server) as Box<dyn Server>)))
    }
    let ports = if wanted.has_default_ports {
        note_default_ports(wanted, book)?;
        Ports::Default
    } else {
        Ports::Kept(Arc::clone(book))
    };
    let lifetime = Lifetime::Detached(Arc::clone(ledger));
    let mut starts: Vec<(&'static str, Start)> = Vec::new();
    let mut names = wanted.names.clone();
    names.sort_by_key(|name| *name as u8);
    names.dedup();
    for name in names {
        let (ports, lifetime) = (ports.clone(), lifetime.clone());
        match name {
            ServerName::Kafka => {
                let config = KafkaConfig::in_dir(dir.join("kafka"));
                let brokers = wanted.kafka_brokers.or(config.brokers_there()).unwrap_or(1);
                let (heap_args, machine_args) =
                    (args_in("KAFKA_HEAP_OPTS"), args_in("KAFKA_JVM_PERFORMANCE_OPTS"));
                let config =
                    KafkaConfig { brokers, ports, lifetime, heap_args, machine_args, ..config };
                starts.push(("kafka", whole(|| KafkaServer::start(config))));
            }
            ServerName::Registry => {
                let config = RegistryConfig { dir: dir.join("registry"), ports, lifetime };
                starts.push(("registry", whole(|| RegistryServer::start(config))));
            }
            ServerName::Rabbitmq => {
                let config = RabbitConfig::in_dir(dir.join("rabbitmq"));
                let nodes = wanted.rabbitmq_nodes.or(config.nodes_there()).unwrap_or(1);
                let config = RabbitConfig { nodes, ports, lifetime, ..config };
                starts.push(("rabbitmq", whole(|| RabbitServer::start(config))));
            }
            ServerName::Redis => {
                let redis = RedisConfig::in_dir(dir.join("redis")).durable();
                let redis =
                    RedisConfig { ports: ports.clone(), lifetime: lifetime.clone(), ..redis };
                starts.push(("redis", whole(|| RedisServer::start(redis))));
                let valkey = RedisConfig::valkey_in_dir(dir.join("valkey")).durable();
                let valkey = RedisConfig { ports, lifetime, ..valkey };
                starts.push(("valkey", whole(|| start_valkey(valkey))));
            }
            ServerName::Prometheus => {
                let config = PrometheusConfig::in_dir(dir.join("prometheus"));
                let config = PrometheusConfig { ports, lifetime, ..config };
                starts.push(("prometheus", whole(|| PrometheusServer::start(config))));
            }
        }
    }
    Ok(starts)
}

/// Writes the well-known ports down, so that the servers keep them when they are started without the flag.
fn note_default_ports(wanted: &Wanted, book: &PortBook) -> anyhow::Result<()> {
    for name in &wanted.names {
        let ports: &[(&str, u16)] = match name {
            ServerName::Kafka => &[("kafka", 9092), ("kafka", 9093), ("kafka", 9094)],
            ServerName::Registry => &[("registry", 8081)],
            ServerName::Rabbitmq => &[
                ("rabbitmq", 5672),
                ("rabbitmq", 5673),
                ("rabbitmq", 5674),
                ("rabbitmq", 15672),
                ("rabbitmq", 15673),
                ("rabbitmq", 15674),
            ],
            ServerName::Redis => &[("redis", 6379), ("valkey", 6380)],
            ServerName::Prometheus => &[("prometheus", 9090)],
        };
        for (server, port) in ports {
            book.note(server, *port)?;
        }
    }
    Ok(())
}

fn start_valkey(config: RedisConfig) -> Result<RedisServer, StackError> {
    let server = RedisServer::start(config)?;
    if server.is_stand_in() {
        note(&format!(
            "{:<12} there is no valkey-server: a second redis-server is used instead; `make setup` installs Valkey",
            "valkey"
        ));
    }
    Ok(server)
}

/// Starts all servers side by side; the first failure is returned when all have come to an end.
fn start_all(starts: Vec<(&'static str, Start)>, ledger: &Arc<Ledger>) -> anyhow::Result<()> {
    thread::scope(|scope| {
        let starting: Vec<_> = starts
            .into_iter()
            .map(|(name, start)| {
                scope.spawn(move || {
                    let begun = Instant::now();
                    note(&format!("{name:<12} starting"));
                    let failed = || format!("cannot start {name}");
                    let address = match start {
                        Start::OfWhole(start) => {
                            let server = start().with_context(failed)?;
                            ledger.publish(name, server.environment())?;
                            server.address()
                        }
                        Start::OfPart(address, start) => {
                            start().with_context(failed)?;
                            address
                        }
                    };
                    let seconds = begun.elapsed().as_secs_f64();
                    note(&format!("{name:<12} ready on {address} in {seconds:.1} s"));
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
pub(super) fn roll_back_on_signal(ledger: Arc<Ledger>) -> anyhow::Result<()> {
    // Handlers, not a blocked mask: a mask would be inherited by the servers, which would then
    // never hear TERM.
    let mut signals =
        Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot listen to signals")?;
    thread::spawn(move || {
        if signals.forever().next().is_some() {
            note("stack: stopped by a signal: stopping what was started");
            if let Err(error) = ledger.roll_back() {
                note(&format!("stack: {error}"));
            }
            #[expect(clippy::disallowed_methods, reason = "main waits for what was just ended")]
            std::process::exit(1);
        }
    });
    Ok(())
}
