//! Who may read what, and who may pretend to be whom: a broker with TLS, logins and permissions,
//! and a registry behind TLS and a login.

use std::sync::Arc;
use std::time::Duration;

use testkit::security::{Identity, SecureKafka};
use testkit::{Finished, Pipeline, Process};

mod canary;
mod hostile_text;
mod permissions;
mod refusals;
mod through;

/// Longest wait for a run.
const LIMIT: Duration = Duration::from_secs(60);

/// A user with a password.
const ALICE: (&str, &str) = ("alice", "wonderland");

/// A user whose password must be seen nowhere.
const CANARY: (&str, &str) = ("bird", "canary-5c1d8e0f7a");

fn broker() -> Arc<SecureKafka> {
    SecureKafka::shared(&[ALICE, CANARY])
}

/// Variables for a program, by name.
type Variables = Vec<(&'static str, String)>;

/// Variables of a client that logs in with SCRAM.
fn scram(broker: &SecureKafka, user: (&str, &str)) -> Variables {
    vec![
        ("KAFKA_SECURITY_PROTOCOL", "SASL_SSL".to_owned()),
        ("KAFKA_SASL_MECHANISM", "SCRAM-SHA-512".to_owned()),
        ("KAFKA_SASL_USERNAME", user.0.to_owned()),
        ("KAFKA_SASL_PASSWORD", user.1.to_owned()),
        ("KAFKA_SSL_CA_LOCATION", broker.authority().location().to_owned()),
    ]
}

/// Variables of a client that shows a certificate.
fn mutual(broker: &SecureKafka, identity: &Identity) -> Variables {
    vec![
        ("KAFKA_SECURITY_PROTOCOL", "SSL".to_owned()),
        ("KAFKA_SSL_CA_LOCATION", broker.authority().location().to_owned()),
        ("KAFKA_SSL_CERTIFICATE_LOCATION", identity.certificate.display().to_string()),
        ("KAFKA_SSL_KEY_LOCATION", identity.key.display().to_string()),
    ]
}

/// The pipeline as it is reached over another listener.
fn over(pipeline: &Pipeline, address: String) -> Pipeline {
    let mut pipeline = pipeline.clone();
    pipeline.servers.bootstrap_servers = address;
    pipeline
}

/// Starts a program on a pipeline with these variables.
fn start(program: &str, pipeline: &Pipeline, variables: &Variables, args: &[&str]) -> Process {
    let mut all = match program {
        "producer" => pipeline.producer_args(),
        _ => pipeline.consumer_args(),
    };
    all.extend(args.iter().map(|arg| (*arg).to_owned()));
    let variables: Vec<(&str, &str)> =
        variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Process::start(program, &all, &variables)
}

/// Checks that a run was refused, with this exit code and with every one of these words.
#[track_caller]
fn assert_refused(what: &str, finished: &Finished, code: i32, words: &[&str]) {
    let Finished { stderr, elapsed, .. } = finished;
    assert_eq!(finished.code, Some(code), "{what}: {stderr}");
    let error = stderr.lines().find(|line| line.contains(": error: ")).unwrap_or_default();
    eprintln!("{what}, after {elapsed:?}: {error}");
    for word in words {
        // A hint stands in a line of its own, below the error.
        let text = if word.starts_with("hint: ") { stderr } else { error };
        assert!(text.contains(word), "{what}: no {word:?} in\n{stderr}");
    }
}
