//! Variables that nobody reads are slips of the user, as unknown keys of a settings file are.
//!
//! | variable | is an error |
//! |---|---|
//! | `CONSUMER_…` for `consumer`, and so on, if the program does not read it | always |
//! | any other, if it is a slip of one that the program reads and that is not set | always |
//! | what Kubernetes and Docker set for a service of that name (`CONSUMER_SERVICE_HOST`,
//! `CONSUMER_PORT_9464_TCP`) | never |

use std::collections::{BTreeMap, BTreeSet};

use clap::{Args as _, Command};

use crate::args::{KafkaArgs, OTHER_VARIABLES, RegistryArgs};
use crate::exit::AppError;
use crate::settings::nearest;

/// Most letters in which a slip differs from the name that was meant, for names without the
/// program's own beginning.
const SLIP_LETTERS_MAX: usize = 2;

/// Shorter names are not compared: too many differ in two letters.
const SLIP_NAME_CHARS_MIN: usize = 8;

/// Checks the environment of this process for variables that the program was meant to read.
///
/// # Errors
///
/// Fails (exit code 2) and names each such variable, with the one that was meant where there is one.
pub(crate) fn check(program: &str, command: &Command) -> Result<(), AppError> {
    let variables = std::env::vars_os()
        .map(|(name, value)| (text_of(&name), text_of(&value)))
        .collect::<BTreeMap<_, _>>();
    let problems = problems(program, &known_variables(command), &variables);
    if problems.is_empty() {
        return Ok(());
    }
    let hint =
        format!("correct the name or unset it; {program} --help lists the variables that are read");
    Err(AppError::usage(problems.join("; ")).hint(hint))
}

/// Checks the environment of a process without flags for slips of the variables that say how Kafka and the schema
/// registry are reached.
///
/// # Errors
///
/// Fails (exit code 2) and names each such variable, with the one that was meant.
pub fn check_kafka() -> Result<(), AppError> {
    let variables = std::env::vars_os()
        .map(|(name, value)| (text_of(&name), text_of(&value)))
        .collect::<BTreeMap<_, _>>();
    let problems = connection_slips(&variables);
    if problems.is_empty() {
        return Ok(());
    }
    Err(AppError::usage(problems.join("; ")).hint("correct the name or unset it"))
}

fn connection_slips(variables: &BTreeMap<String, String>) -> Vec<String> {
    let command = RegistryArgs::augment_args(KafkaArgs::augment_args(Command::new("")));
    let mut known = known_variables(&command);
    known.remove("KAFKA_PROPERTIES"); // only flags read it
    let is_of_a_server =
        |name: &str| name.starts_with("KAFKA_") || name.starts_with("SCHEMA_REGISTRY_");
    // No variable begins so: none is the program's own.
    let found = variables.iter().filter(|(name, _)| is_of_a_server(name) || known.contains(*name));
    let found = found.map(|(name, value)| (name.clone(), value.clone())).collect();
    problems("=", &known, &found)
}

fn text_of(text: &std::ffi::OsStr) -> String {
    text.to_string_lossy().into_owned()
}

/// Every variable that the command and its subcommands read.
fn known_variables(command: &Command) -> BTreeSet<String> {
    let mut known: BTreeSet<String> = OTHER_VARIABLES.iter().map(|&name| name.to_owned()).collect();
    let mut commands = vec![command];
    while let Some(command) = commands.pop() {
        known.extend(command.get_arguments().filter_map(|arg| arg.get_env()).map(text_of));
        commands.extend(command.get_subcommands());
    }
    known
}

fn problems(
    program: &str,
    known: &BTreeSet<String>,
    variables: &BTreeMap<String, String>,
) -> Vec<String> {
    let prefix = format!("{}_", program.to_uppercase().replace('-', "_"));
    let mut problems = Vec::new();
    for name in variables.keys().filter(|name| !known.contains(*name)) {
        let is_own = name.starts_with(&prefix);
        if is_of_a_container(name, variables) || name.starts_with("CARGO_") {
            continue;
        }
        let meant = if is_own {
            let own = known.iter().filter_map(|known| known.strip_prefix(&prefix));
            nearest(&name[prefix.len()..], own).map(|rest| format!("{prefix}{rest}"))
        } else {
            slip_of(name, known).filter(|meant| !variables.contains_key(*meant)).cloned()
        };
        match meant {
            Some(meant) => problems.push(format!(
                "the environment sets {name}, which is not read; did you mean {meant}?"
            )),
            None if is_own => {
                problems.push(format!("the environment sets {name}, which is not read"));
            }
            None => {}
        }
    }
    problems
}

/// The name that differs in so few letters that this one must be a slip of it.
fn slip_of<'a>(name: &str, known: &'a BTreeSet<String>) -> Option<&'a String> {
    if name.len() < SLIP_NAME_CHARS_MIN {
        return None;
    }
    // Names of very different lengths differ in as many letters: they need not be compared.
    let letters = name.chars().count();
    let alike = known.iter().filter(|known| known.len().abs_diff(letters) <= SLIP_LETTERS_MAX);
    let near = alike.map(|known| (strsim::osa_distance(name, known), known));
    let near = near.filter(|(letters, _)| *letters <= SLIP_LETTERS_MAX);
    near.min_by_key(|(letters, _)| *letters).map(|(_, known)| known)
}

/// Whether Kubernetes, or Docker for a linked container, sets this variable in every container
/// for a service of some name: they do not know that a program has settings of that name.
fn is_of_a_container(name: &str, variables: &BTreeMap<String, String>) -> bool {
    if name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
    {
        return true;
    }
    let is_address = |value: &str| {
        let scheme = value.split_once("://").map(|(scheme, _)| scheme);
        matches!(scheme, Some("tcp" | "udp" | "sctp"))
    };
    if name.ends_with("_PORT") && is_address(&variables[name]) {
        return true;
    }
    if let Some((_, of_port)) = name.split_once("_PORT_") {
        let mut parts = of_port.split('_');
        let is_number = parts.next().is_some_and(|n| n.parse::<u16>().is_ok());
        let is_protocol = matches!(parts.next(), Some("TCP" | "UDP" | "SCTP"));
        let is_detail = matches!(parts.next(), None | Some("PROTO" | "PORT" | "ADDR"));
        if is_number && is_protocol && is_detail && parts.next().is_none() {
            return true;
        }
    }
    // A link of Docker: NAME and ENV_… beside a port.
    let service =
        name.strip_suffix("_NAME").or_else(|| name.split_once("_ENV_").map(|(service, _)| service));
    let port = service.and_then(|service| variables.get(&format!("{service}_PORT")));
    port.is_some_and(|port| is_address(port))
}

#[cfg(test)]
mod tests {
    use clap::{Arg, Command};

    use super::*;

    fn found(variables: &[(&str, &str)]) -> Vec<String> {
        let command = Command::new("consumer")
            .arg(Arg::new("a").env("CONSUMER_MAX_RETRIES"))
            .arg(Arg::new("b").env("KAFKA_BOOTSTRAP_SERVERS"))
            .subcommand(Command::new("x").arg(Arg::new("c").env("CONSUMER_TOPIC")));
        let variables = variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        problems("consumer", &known_variables(&command), &variables)
    }

    #[test]
    fn a_variable_of_the_program_that_it_does_not_read_is_an_error() {
        let near = found(&[("CONSUMER_MAX_RETRYS", "5")]).join("");
        assert!(near.contains("CONSUMER_MAX_RETRYS"), "{near}");
        assert!(near.contains("did you mean CONSUMER_MAX_RETRIES?"), "{near}");
        let far = found(&[("CONSUMER_XYZZY", "5")]).join("");
        assert!(far.contains("CONSUMER_XYZZY") && !far.contains("did you mean"), "{far}");
        let of_a_subcommand = found(&[("CONSUMER_TOPICS", "x")]).join("");
        assert!(of_a_subcommand.contains("did you mean CONSUMER_TOPIC?"), "{of_a_subcommand}");
        assert_eq!(found(&[("CONSUMER_A", ""), ("CONSUMER_B", "")]).len(), 2, "all at once");
    }

    #[test]
    fn a_slip_of_a_shared_variable_is_an_error_unless_the_right_one_is_set_too() {
        for (slip, right) in [
            ("KAFKA_BOOTSTRAP_SERVER", "KAFKA_BOOTSTRAP_SERVERS"),
            ("KAFKA_SASL_PASWORD", "KAFKA_SASL_PASSWORD"),
            ("SCHEMA_REGISTRY_TOKEN_FIEL", "SCHEMA_REGISTRY_TOKEN_FILE"),
        ] {
            let text = found(&[(slip, "hunter2")]).join("");
            assert!(text.contains(&format!("did you mean {right}?")), "{text}");
            assert!(!text.contains("hunter2"), "{text}");
            assert_eq!(found(&[(slip, "a"), (right, "a")]), [""; 0]);
        }
    }

    #[test]
    fn a_program_without_flags_is_told_of_slips_of_what_says_where_its_servers_are() {
        let found = |name: &str| {
            let value = "hunter2".to_owned();
            connection_slips(&BTreeMap::from([(name.to_owned(), value)])).join("")
        };
        for (slip, right) in [
            ("KAFKA_BOOTSTRAP_SERVER", "KAFKA_BOOTSTRAP_SERVERS"),
            ("KAFKA_SASL_USERNAM", "KAFKA_SASL_USERNAME"),
            ("SCHEMA_REGISTRY_URI", "SCHEMA_REGISTRY_URL"),
        ] {
            let text = found(slip);
            assert!(text.contains(&format!("did you mean {right}?")), "{text}");
            assert!(!text.contains("hunter2"), "{text}");
        }
        for other in ["KAFKA_BOOTSTRAP_SERVERS", "KAFKA_HOME", "KAFKA_OPTS", "CONSUMER_TOPIK"] {
            assert_eq!(found(other), "", "{other}");
        }
    }

    #[test]
    fn what_is_read_and_what_belongs_to_others_is_no_error() {
        let others = [
            ("CONSUMER_TOPIC", "x"),
            ("PRODUCER_TOPIK", "x"),
            ("CONSUMERS", "x"),
            ("KAFKA_HOME", "/opt/kafka"),
            ("KAFKA_OPTS", "-Dx"),
            ("KAFKA_SASL_PASSWORD_FILE", "/x"),
            ("PATH", "/bin"),
            ("LANG", "C"),
        ];
        assert_eq!(found(&others), [""; 0]);
    }

    #[test]
    fn what_kubernetes_and_docker_set_for_a_service_of_that_name_is_no_error() {
        let of_services = [
            ("CONSUMER_SERVICE_HOST", "10.0.0.1"),
            ("CONSUMER_SERVICE_PORT", "9464"),
            ("CONSUMER_SERVICE_PORT_METRICS", "9464"),
            ("CONSUMER_PORT", "tcp://10.0.0.1:9464"),
            ("CONSUMER_PORT_9464_TCP", "tcp://10.0.0.1:9464"),
            ("CONSUMER_PORT_9464_TCP_PROTO", "tcp"),
            ("CONSUMER_PORT_9464_TCP_PORT", "9464"),
            ("CONSUMER_PORT_9464_TCP_ADDR", "10.0.0.1"),
            ("CONSUMER_METRICS_SERVICE_HOST", "10.0.0.2"),
            ("CONSUMER_METRICS_PORT", "udp://10.0.0.2:53"),
            ("CONSUMER_METRICS_PORT_53_UDP_ADDR", "10.0.0.2"),
            ("CONSUMER_NAME", "/web/consumer"),
            ("CONSUMER_ENV_JAVA_HOME", "/java"),
        ];
        assert_eq!(found(&of_services), [""; 0]);
        for (name, value) in [
            ("CONSUMER_PORT", "9464"),
            ("CONSUMER_PORT_X_TCP", "x"),
            ("CONSUMER_PORT_9464_TCP_X", "x"),
            ("CONSUMER_NAME", "x"),
        ] {
            assert_eq!(found(&[(name, value)]).len(), 1, "{name}={value}");
        }
    }
}
