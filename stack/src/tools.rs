//! The command-line tools of the servers, under the names that a distribution gives them.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::java::QUICK_ARGS;
use crate::node::create_dir;
use crate::state::StackState;
use crate::{Program, Programs, StackError};

/// Kafka's tools: name, main class, and whether it takes `--bootstrap-server`.
const KAFKA_TOOLS: &[(&str, &str, bool)] = &[
    ("kafka-acls", "org.apache.kafka.tools.AclCommand", true),
    ("kafka-broker-api-versions", "org.apache.kafka.tools.BrokerApiVersionsCommand", true),
    ("kafka-configs", "kafka.admin.ConfigCommand", true),
    ("kafka-console-consumer", "org.apache.kafka.tools.consumer.ConsoleConsumer", true),
    ("kafka-console-producer", "org.apache.kafka.tools.ConsoleProducer", true),
    ("kafka-consumer-groups", "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", true),
    ("kafka-consumer-perf-test", "org.apache.kafka.tools.ConsumerPerformance", true),
    ("kafka-delete-records", "org.apache.kafka.tools.DeleteRecordsCommand", true),
    ("kafka-dump-log", "org.apache.kafka.tools.DumpLogSegments", false),
    ("kafka-features", "org.apache.kafka.tools.FeatureCommand", true),
    ("kafka-get-offsets", "org.apache.kafka.tools.GetOffsetShell", true),
    ("kafka-groups", "org.apache.kafka.tools.GroupsCommand", true),
    ("kafka-leader-election", "org.apache.kafka.tools.LeaderElectionCommand", true),
    ("kafka-log-dirs", "org.apache.kafka.tools.LogDirsCommand", true),
    ("kafka-metadata-quorum", "org.apache.kafka.tools.MetadataQuorumCommand", true),
    ("kafka-producer-perf-test", "org.apache.kafka.tools.ProducerPerformance", true),
    (
        "kafka-reassign-partitions",
        "org.apache.kafka.tools.reassign.ReassignPartitionsCommand",
        true,
    ),
    ("kafka-topics", "org.apache.kafka.tools.TopicCommand", true),
    ("kafka-transactions", "org.apache.kafka.tools.TransactionsCommand", true),
];

/// Arguments that already lead a Kafka tool somewhere, or need no broker.
const LEADS_SOMEWHERE: &[&str] =
    &["--bootstrap-server", "--bootstrap-controller", "--help", "--version"];

/// Tools that are programs of their own.
const OTHER_TOOLS: &[&str] = &["rabbitmqctl", "rabbitmq-diagnostics", "redis-cli", "valkey-cli"];

/// A program with its arguments and variables, ready to take the place of this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolCall {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Variables set for it.
    pub env: Vec<(String, OsString)>,
}

/// Returns the names of all tools that [`call`] knows.
#[must_use]
pub fn names() -> Vec<&'static str> {
    KAFKA_TOOLS.iter().map(|(name, ..)| *name).chain(OTHER_TOOLS.iter().copied()).collect()
}

/// Returns the call of the tool `name` with `args`, led to the servers of `state`.
///
/// # Errors
/// When there is no such tool, the program is missing, or the stack does not hold its server.
pub fn call(
    name: &str,
    args: &[OsString],
    state: &StackState,
    programs: &Programs,
) -> Result<ToolCall, StackError> {
    // Scripts of a distribution end in `.sh`: both spellings are known.
    let name = name.strip_suffix(".sh").unwrap_or(name);
    if let Some((_, class, takes_servers)) = KAFKA_TOOLS.iter().find(|(tool, ..)| *tool == name) {
        return kafka_call(class, *takes_servers, args, state, programs);
    }
    let (server, executable) = match name {
        "rabbitmqctl" | "rabbitmq-diagnostics" => ("rabbitmq", name),
        "redis-cli" => ("redis", name),
        // The stand-in for Valkey brings no client of that name, and both speak the same.
        "valkey-cli" => ("valkey", "redis-cli"),
        _ => {
            return Err(StackError::NoSuchTool { name: name.to_owned(), known: names() });
        }
    };
    let mut nodes: Vec<_> = state.nodes_of(server).filter(|node| !node.is_prerequisite).collect();
    // Any node of a cluster tells of all of it, if it runs.
    nodes.sort_by_key(|node| !node.process.is_alive());
    let node = nodes.first().ok_or(StackError::NotUp { server })?;
    let mut args = args.to_vec();
    if executable == "redis-cli" {
        let own = ["-p".to_owned(), node.probe.port().to_string()];
        args.splice(0..0, own.map(OsString::from));
    }
    let env = node.launch.as_ref().map(|launch| launch.env.clone()).unwrap_or_default();
    Ok(ToolCall { program: programs.find_named(executable)?, args, env })
}

fn kafka_call(
    class: &str,
    takes_servers: bool,
    args: &[OsString],
    state: &StackState,
    programs: &Programs,
) -> Result<ToolCall, StackError> {
    let variable = |name: &str| {
        let found = state.variables.iter().find(|variable| variable.name == name);
        found.map(|variable| variable.value.clone()).ok_or(StackError::NotUp { server: "kafka" })
    };
    let mut all: Vec<OsString> = QUICK_ARGS.iter().map(OsString::from).collect();
    all.extend(["-cp".into(), variable("KAFKA_CLASSPATH")?.into(), class.into()]);
    let is_led = args.iter().any(|arg| {
        let text = arg.to_string_lossy();
        let name = text.split_once('=').map_or(&*text, |(name, _)| name);
        LEADS_SOMEWHERE.contains(&name)
    });
    if takes_servers && !is_led {
        all.extend(["--bootstrap-server".into(), variable("KAFKA_BOOTSTRAP_SERVERS")?.into()]);
    }
    all.extend(args.iter().cloned());
    Ok(ToolCall { program: programs.find(Program::Java)?, args: all, env: Vec::new() })
}

/// Writes Kafka's tools as commands into `dir`, so that a shell with the stack's `env` finds them under their names,
/// as messages and manuals spell them.
///
/// # Errors
/// When they cannot be written.
pub fn write_commands(
    dir: &Path,
    programs: &Programs,
    classpath: &str,
) -> Result<PathBuf, StackError> {
    let dir = create_dir(dir)?;
    let java = programs.find(Program::Java)?;
    let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
    let (java, classpath) = (quoted(&java.display().to_string()), quoted(classpath));
    for (name, class, _) in KAFKA_TOOLS {
        let options = QUICK_ARGS.join(" ");
        let text = format!("#!/bin/sh\nexec {java} {options} -cp {classpath} {class} \"$@\"\n");
        let path = dir.join(name);
        fs::write(&path, text)
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o755)))
            .map_err(StackError::io("cannot write", &path))?;
    }
    Ok(dir)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Variable;

    fn kafka() -> StackState {
        let variable = |name: &str, value: &str| Variable {
            server: "kafka".into(),
            name: name.into(),
            value: value.into(),
        };
        let variables =
            vec![variable("KAFKA_BOOTSTRAP_SERVERS", "h:1"), variable("KAFKA_CLASSPATH", "/k/*")];
        StackState { variables, ..StackState::default() }
    }

    fn args_of(name: &str, args: &[&str]) -> Vec<String> {
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        let call = call(name, &args, &kafka(), &Programs::from_env()).unwrap();
        let own = QUICK_ARGS.len() + 2;
        call.args[own..].iter().map(|arg| arg.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_kafka_tool_is_led_to_the_brokers_unless_it_is_led_already_or_needs_none() {
        let topics = "org.apache.kafka.tools.TopicCommand";
        assert_eq!(
            args_of("kafka-topics", &["--list"]),
            [topics, "--bootstrap-server", "h:1", "--list"]
        );
        assert_eq!(args_of("kafka-topics.sh", &["--list"])[1..3], ["--bootstrap-server", "h:1"]);
        let elsewhere = ["--bootstrap-server=other:2", "--list"];
        assert_eq!(args_of("kafka-topics", &elsewhere)[1..], elsewhere);
        assert_eq!(args_of("kafka-dump-log", &["--files", "x"])[1..], ["--files", "x"]);
    }

    #[test]
    fn an_unknown_tool_and_a_server_that_is_not_up_are_errors_with_the_next_step() {
        let error = |name: &str, state: &StackState| {
            call(name, &[], state, &Programs::from_env()).unwrap_err().to_string()
        };
        assert!(
            error("kafka-topiks", &kafka())
                .starts_with("there is no tool kafka-topiks; there are: kafka-acls, ")
        );
        let nothing = StackState::default();
        assert!(error("kafka-topics", &nothing).starts_with("kafka was not started"));
        assert!(error("rabbitmqctl", &nothing).contains("`stack up` starts it"));
    }
}
