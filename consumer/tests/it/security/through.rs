//! Orders go through where everything is in order: both ways to log in at both servers.

use testkit::machine;
use testkit::security::{Grant, GuardedRegistry, Validity};

use super::permissions::{consumer_grants, producer_grants};
use super::{ALICE, LIMIT, Variables, broker, mutual, over, scram, start};

const ORDERS: &str = "40";

/// The variable that names the authority that the system trusts, to all of OpenSSL.
const SYSTEMS_AUTHORITY: &str = "SSL_CERT_FILE";

/// Runs producer and consumer over one listener and a guarded registry, whose authority `trust` names.
fn run(
    listener: &str,
    principal: &str,
    kafka: &Variables,
    registry: (&str, &'static str, &str),
    trust: &'static str,
) {
    let (authorization, variable, secret) = registry;
    let broker = broker();
    let plain = broker.pipeline(2);
    let grants = consumer_grants(&plain).into_iter().chain(producer_grants(&plain));
    let grants: Vec<(String, Grant)> = grants.map(|grant| (principal.to_owned(), grant)).collect();
    broker.grant(&grants);
    let identity = broker.authority().issue("registry", &["127.0.0.1"], Validity::Good);
    let guarded = GuardedRegistry::start(&plain.servers.registry_url, identity, authorization);
    let mut pipeline = over(&plain, broker.listener(listener));
    pipeline.servers.registry_url = guarded.url().to_owned();
    let mut variables = kafka.clone();
    variables.push((trust, broker.authority().location().to_owned()));
    variables.push((variable, secret.to_owned()));

    let args = ["--count", ORDERS, "--interval", "0ms", "--quiet", "--seed", "5"];
    start("producer", &pipeline, &variables, &args).wait(LIMIT).expect_code(0);
    let args = ["--exit-at-end", "-o", "json", "--simulate-failures", "0.3"];
    let args = [&args[..], &["--retry-delay", "100ms", "--max-retries", "1"]].concat();
    let consumed = start("consumer", &pipeline, &variables, &args).wait(LIMIT);
    let printed = consumed.expect_code(0).stats();
    assert_eq!(printed["consumed"].to_string(), ORDERS, "{printed}");
    assert!(!consumed.stderr.contains("not secure"), "{}", consumed.stderr);
    assert_eq!(plain.lag(), 0);
    assert!(guarded.seen().let_in > 2 && guarded.seen().turned_away == 0, "{:?}", guarded.seen());
}

#[test]
fn orders_go_through_with_scram_and_with_basic_authentication_at_the_registry() {
    let _machine = machine::shared();
    let broker = broker();
    let principal = format!("User:{}", ALICE.0);
    // base64 of "me:pass word"
    let registry = ("Basic bWU6cGFzcyB3b3Jk", "SCHEMA_REGISTRY_BASIC_AUTH", "me:pass word");
    let mut variables = scram(&broker, ALICE);
    variables.retain(|(name, _)| *name != "KAFKA_SASL_PASSWORD");
    let file = broker.client("through-scram").key.with_extension("password");
    std::fs::write(&file, format!("{}\n", ALICE.1)).expect("a file");
    variables.push(("KAFKA_SASL_PASSWORD_FILE", file.display().to_string()));
    run("SCRAM", &principal, &variables, registry, "SCHEMA_REGISTRY_CA_LOCATION");
}

#[test]
fn orders_go_through_with_certificates_and_with_a_token_at_the_registry() {
    let _machine = machine::shared();
    let broker = broker();
    let identity = broker.client("through");
    let file = identity.key.with_extension("token");
    std::fs::write(&file, "ticket.to-ride\n").expect("a file");
    let file = file.to_str().expect("UTF-8");
    let registry = ("Bearer ticket.to-ride", "SCHEMA_REGISTRY_TOKEN_FILE", file);
    let mut variables = mutual(&broker, &identity);
    // Both servers are trusted by what the system trusts.
    variables.retain(|(name, _)| *name != "KAFKA_SSL_CA_LOCATION");
    run("MUTUAL", "User:CN=through", &variables, registry, SYSTEMS_AUTHORITY);
}
