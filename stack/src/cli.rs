//! The command line of `stack`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::commands;

const EXAMPLES: &str = "\
Examples:
  stack up                          all servers on free ports, in .stack
  . .stack/env                      set the variables for this shell's clients
  stack up --only kafka,registry    only these two; a second `up` adds more
  stack up --kafka-brokers 3 --rabbitmq-nodes 3 --dir .stack-of-three
  stack status                      what runs, and whether it answers
  stack logs kafka -f               follow a log
  stack kill kafka-2; stack start kafka-2
                                    one process dies and comes back on its port
  stack stop registry               one server stops; `stack start` starts it
  stack run kafka-consumer-groups --describe --all-groups
  stack down                        stop what `up` started, and keep its data
  rm -rf .stack                     delete the data too

Exit codes: 0 done, 1 failed or a server does not answer, 2 wrong usage.";

/// Starts and stops the real servers of the pipeline on this machine: Kafka, a schema registry,
/// RabbitMQ, Redis (twice: the second is Valkey, or replaces it) and Prometheus.
#[derive(Debug, Parser)]
#[command(name = "stack", version, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start servers in the background, wait until each answers, and write DIR/env and DIR/pids
    Up(UpArgs),
    /// Stop exactly what `up` started
    Down(DirArgs),
    /// Start servers, or single processes of them, that were stopped, killed or died; their ports
    /// stay the same
    Start(NamesArgs),
    /// Stop servers, or single processes of them, gracefully
    Stop(NamesArgs),
    /// Kill servers, or single processes of them, with SIGKILL, as a crash would
    Kill(NamesArgs),
    /// Run a command-line tool of a server against this stack
    Run(RunArgs),
    /// Ask every server whether it answers
    Status(StatusArgs),
    /// Print the variables with which clients find the servers, for `eval "$(stack env)"`
    Env(DirArgs),
    /// Print the log of a server
    Logs(LogsArgs),
}

/// Where the stack lives.
#[derive(Debug, Args)]
pub(crate) struct DirArgs {
    /// Directory of data, logs, env and pids; stacks in different directories are independent
    #[arg(long, env = "STACK_DIR", default_value = ".stack", value_name = "DIR")]
    pub(crate) dir: PathBuf,
}

/// What is started.
#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    #[command(flatten)]
    pub(crate) place: DirArgs,
    /// Servers to start, separated by commas; `redis` also starts Valkey
    #[arg(long, env = "STACK_ONLY", value_delimiter = ',', value_name = "SERVERS", default_values_t = ServerName::ALL)]
    pub(crate) only: Vec<ServerName>,
    /// Brokers of the Kafka cluster: 1 or 3; by default as many as the folder holds already, else 1
    #[arg(long, env = "STACK_KAFKA_BROKERS", value_parser = parse_size)]
    pub(crate) kafka_brokers: Option<u16>,
    /// Nodes of the RabbitMQ cluster: 1 or 3; by default as many as the folder holds already, else 1
    #[arg(long, env = "STACK_RABBITMQ_NODES", value_parser = parse_size)]
    pub(crate) rabbitmq_nodes: Option<u16>,
    /// Use the well-known ports: 9092, 8081, 5672 and 15672, 6379, 6380, 9090, and those behind them for the
    /// other nodes of a cluster; without, a folder's servers
    /// keep the ports that they had
    #[arg(long, env = "STACK_DEFAULT_PORTS")]
    pub(crate) default_ports: bool,
}

/// Which servers or processes.
#[derive(Debug, Args)]
pub(crate) struct NamesArgs {
    /// Servers or single processes: kafka, kafka-2, registry, rabbitmq, rabbitmq-2, redis, valkey, prometheus
    #[arg(required = true, value_name = "NAME")]
    pub(crate) names: Vec<String>,
    #[command(flatten)]
    pub(crate) place: DirArgs,
}

/// Which tool.
#[derive(Debug, Args)]
#[command(after_help = format!("Tools: {}", stack::tools::names().join(", ")))]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) place: DirArgs,
    /// The tool, then its arguments; Kafka's get --bootstrap-server unless it is given
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "TOOL"
    )]
    pub(crate) call: Vec<std::ffi::OsString>,
}

/// How the answer is printed.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) place: DirArgs,
    /// Format of the output
    #[arg(short, long, value_enum, default_value_t = OutputForm::Table)]
    pub(crate) output: OutputForm,
}

/// Which log.
#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// A server, or one of its processes: kafka, kafka-2, registry, rabbitmq, epmd, redis, valkey, prometheus
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) place: DirArgs,
    /// Print what is added, until stopped
    #[arg(short, long)]
    pub(crate) follow: bool,
}

/// Format of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputForm {
    /// Aligned columns
    Table,
    /// One JSON array
    Json,
    /// One JSON object per line
    Jsonl,
}

/// A server that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ServerName {
    Kafka,
    Registry,
    Rabbitmq,
    Redis,
    Prometheus,
}

impl ServerName {
    /// Returns the choice that starts the server called `name`.
    pub(crate) fn of(name: &str) -> Option<Self> {
        // Valkey comes with Redis.
        let name = if name == "valkey" { "redis" } else { name };
        Self::from_str(name, false).ok()
    }

    const ALL: [Self; 5] =
        [Self::Kafka, Self::Registry, Self::Rabbitmq, Self::Redis, Self::Prometheus];
}

impl std::fmt::Display for ServerName {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.to_possible_value().expect("no variant is skipped").get_name().fmt(formatter)
    }
}

/// Reads the size of a cluster.
fn parse_size(text: &str) -> Result<u16, &'static str> {
    match text {
        "1" => Ok(1),
        "3" => Ok(3),
        _ => Err("give 1 or 3"),
    }
}

impl Cli {
    /// Runs the command and returns its exit code.
    pub(crate) fn run(&self) -> anyhow::Result<ExitCode> {
        match &self.command {
            Command::Up(args) => commands::up::run(args),
            Command::Down(args) => commands::down::run(&args.dir),
            Command::Status(args) => commands::status::run(&args.place.dir, args.output),
            Command::Start(args) => commands::start::run(&args.place.dir, &args.names),
            Command::Stop(args) => commands::end::stop(&args.place.dir, &args.names),
            Command::Kill(args) => commands::end::kill(&args.place.dir, &args.names),
            Command::Run(args) => commands::tool::run(&args.place.dir, &args.call),
            Command::Env(args) => commands::env::run(&args.dir),
            Command::Logs(args) => commands::logs::run(&args.place.dir, &args.name, args.follow),
        }
    }
}
