//! A secret is seen nowhere: it is searched for in everything that the programs let out, at the
//! most talkative settings.

use testkit::security::{Grant, GuardedRegistry, SecureKafka, Validity};
use testkit::{Finished, Pipeline, Process, machine};

use super::permissions::{consumer_grants, producer_grants};
use super::{CANARY, LIMIT, Variables, broker, over, scram, start};

/// The secret as it is, and as basic authentication sends it: base64 of `bird:` and the secret.
const FORMS: [&str; 2] = [CANARY.1, "YmlyZDpjYW5hcnktNWMxZDhlMGY3YQ=="];

/// Variables that hold a secret, but for those of the login at Kafka.
const SECRETS: [&str; 2] = ["KAFKA_SSL_KEY_PASSWORD", "KAFKA_SSL_KEYSTORE_PASSWORD"];

#[track_caller]
fn assert_unseen(what: &str, text: &str) {
    for form in FORMS {
        let line = text.lines().find(|line| line.contains(form));
        assert_eq!(line, None, "{what} tells the secret");
    }
}

#[track_caller]
fn assert_silent(what: &str, finished: &Finished) {
    assert_unseen(&format!("{what}, stdout"), &finished.stdout);
    assert_unseen(&format!("{what}, stderr"), &finished.stderr);
}

/// Everything secret is the canary, and everything that can talk does.
fn variables(broker: &SecureKafka) -> Variables {
    let mut variables = scram(broker, CANARY);
    variables.extend(SECRETS.map(|name| (name, CANARY.1.to_owned())));
    variables.push(("SCHEMA_REGISTRY_BASIC_AUTH", format!("{}:{}", CANARY.0, CANARY.1)));
    variables.push(("SCHEMA_REGISTRY_CA_LOCATION", broker.authority().location().to_owned()));
    // Alone, `trace` leaves the client libraries as quiet as they are by default.
    let all = "trace,librdkafka=trace,rdkafka=trace";
    variables.push(("RUST_LOG", all.to_owned()));
    variables
}

/// A pipeline on which the canary's user may do everything.
fn granted(broker: &SecureKafka) -> (Pipeline, GuardedRegistry) {
    let plain = broker.pipeline(1);
    let principal = format!("User:{}", CANARY.0);
    let grants = consumer_grants(&plain).into_iter().chain(producer_grants(&plain));
    let grants: Vec<(String, Grant)> = grants.map(|grant| (principal.clone(), grant)).collect();
    broker.grant(&grants);
    let identity = broker.authority().issue("canary-registry", &["127.0.0.1"], Validity::Good);
    let login = format!("Basic {}", FORMS[1]);
    let registry = GuardedRegistry::start(&plain.servers.registry_url, identity, &login);
    let mut pipeline = over(&plain, broker.listener("SCRAM"));
    pipeline.servers.registry_url = registry.url().to_owned();
    (pipeline, registry)
}

#[test]
fn a_secret_is_seen_in_no_output_of_a_run() {
    let _machine = machine::shared();
    let broker = broker();
    let (pipeline, registry) = granted(&broker);
    let variables = variables(&broker);
    let talk = ["-X", "debug=all"];
    let args = [&talk[..], &["--count", "20", "--interval", "0ms", "--seed", "3"]].concat();
    let sent = start("producer", &pipeline, &variables, &args).wait(LIMIT);
    assert_silent("producer", sent.expect_code(0));

    let args = [&talk[..], &["--simulate-failures", "0.5", "--retry-delay", "50ms"]].concat();
    let mut consumer = start("consumer", &pipeline, &variables, &args);
    consumer.wait_ready(LIMIT);
    for path in ["/metrics", "/readyz", "/livez", "/no-such-path"] {
        assert_unseen(path, &consumer.get(path).body);
    }
    consumer.sigterm();
    let consumed = consumer.wait(LIMIT);
    assert_silent("consumer", consumed.expect_code(0));
    assert!(registry.seen().let_in > 0, "{:?}", registry.seen());
    // It did talk: librdkafka's words about the login are there.
    assert!(consumed.stderr.contains("SCRAM-SHA-512"), "librdkafka's debug output is logged");
}

#[test]
fn a_secret_is_seen_in_no_error_and_in_no_help() {
    let _machine = machine::shared();
    let broker = broker();
    let (pipeline, registry) = granted(&broker);
    let all = variables(&broker);
    let with = |changes: &[(&'static str, &str)]| {
        let mut variables = all.clone();
        for (name, value) in changes {
            variables.retain(|(known, _)| known != name);
            variables.push((name, (*value).to_owned()));
        }
        variables
    };
    let canary = CANARY.1;
    let in_url = registry.url().replace("https://", &format!("https://bird:{canary}@"));
    let in_property = format!("sasl.password={canary}");
    let stranger = broker.stranger().to_str().expect("UTF-8");
    // With the user that this password does not belong to.
    let wrong_user = with(&[("KAFKA_SASL_USERNAME", "nobody")]);
    let two_logins = with(&[("SCHEMA_REGISTRY_TOKEN", canary)]);
    let two_secrets = with(&[("KAFKA_SASL_PASSWORD_FILE", "/no/such/file")]);
    let no_colon = with(&[("SCHEMA_REGISTRY_BASIC_AUTH", canary)]);
    let bad_url = with(&[("SCHEMA_REGISTRY_URL", &in_url.replace("https", "ftp"))]);
    let wrong_ca = with(&[("SCHEMA_REGISTRY_CA_LOCATION", stranger)]);
    let denied = with(&[("SCHEMA_REGISTRY_BASIC_AUTH", &format!("other:{canary}"))]);
    for program in ["producer", "consumer"] {
        let runs: [(&str, &Variables, &[&str], i32, &str); 9] = [
            ("--help", &all, &["--help"], 0, ""),
            ("-X", &all, &["-X", &in_property], 2, "KAFKA_SASL_PASSWORD"),
            ("a wrong login", &wrong_user, &[], 1, "invalid credentials"),
            ("two logins", &two_logins, &[], 2, "SCHEMA_REGISTRY_TOKEN"),
            ("two secrets", &two_secrets, &[], 2, "KAFKA_SASL_PASSWORD_FILE"),
            ("no colon", &no_colon, &[], 2, "SCHEMA_REGISTRY_BASIC_AUTH"),
            ("an address of another kind", &bad_url, &[], 2, "neither http nor https"),
            ("another authority", &wrong_ca, &[], 1, "unable to get local issuer certificate"),
            ("a wrong registry login", &denied, &[], 1, "401"),
        ];
        let started = runs.map(|(what, variables, args, code, words)| {
            let mut all_args = match program {
                "producer" => pipeline.producer_args(),
                _ => pipeline.consumer_args(),
            };
            if what == "an address of another kind" {
                let at = all_args.iter().position(|arg| arg == "--schema-registry-url");
                let at = at.expect("it is there");
                all_args.drain(at..at + 2);
            }
            all_args.extend(args.iter().map(|arg| (*arg).to_owned()));
            let variables: Vec<(&str, &str)> =
                variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
            (what, Process::start(program, &all_args, &variables), code, words)
        });
        for (what, process, code, words) in started {
            let finished = process.wait(LIMIT);
            assert_silent(&format!("{program}, {what}"), &finished);
            assert_eq!(finished.code, Some(code), "{program}, {what}: {}", finished.stderr);
            assert!(finished.stderr.contains(words), "{program}, {what}: {}", finished.stderr);
        }
        refuses_it_in_an_argument(program, &in_url);
    }
}

/// What stands in an argument was readable by others already; it is refused, and not repeated.
fn refuses_it_in_an_argument(program: &str, url: &str) {
    let finished = Process::start(program, &["--schema-registry-url", url], &[]).wait(LIMIT);
    assert_silent(&format!("{program}, an argument"), finished.expect_code(2));
    assert!(finished.stderr.contains("SCHEMA_REGISTRY_BASIC_AUTH"), "{}", finished.stderr);
}
