//! A server that is not trusted, or that does not let the client in, is an error that says which.

use std::time::Duration;

use testkit::security::{Authority, GuardedRegistry, Validity};
use testkit::{Pipeline, Process, machine};

use super::{ALICE, LIMIT, Variables, assert_refused, broker, mutual, over, scram, start};

/// The contract's limit for an error at the start.
const REFUSED_MAX: Duration = Duration::from_secs(5);

/// One way to be refused: what it is, the programs' arguments and variables, exit code and words.
type Refusal = (&'static str, Pipeline, Variables, i32, &'static [&'static str]);

/// Replaces one variable, or takes it away.
fn with(mut variables: Variables, name: &'static str, value: Option<&str>) -> Variables {
    variables.retain(|(known, _)| *known != name);
    variables.extend(value.map(|value| (name, value.to_owned())));
    variables
}

fn check(refusals: Vec<Refusal>) {
    // Side by side, a few at a time: each waits for most of its time.
    for some in refusals.chunks(4) {
        let run = |program: &'static str, (what, pipeline, variables, ..): &Refusal| {
            (format!("{program}, {what}"), start(program, pipeline, variables, &[]))
        };
        let running: Vec<(String, Process)> = some
            .iter()
            .flat_map(|refusal| [run("consumer", refusal), run("producer", refusal)])
            .collect();
        let expected = some.iter().flat_map(|refusal| [refusal, refusal]);
        for ((what, process), (.., code, words)) in running.into_iter().zip(expected) {
            let finished = process.wait(LIMIT);
            assert_refused(&what, &finished, *code, words);
            assert!(finished.elapsed < REFUSED_MAX, "{what}: {:?}", finished.elapsed);
        }
    }
}

/// These measure time.
mod alone {
    use super::*;

    #[test]
    fn a_broker_that_is_not_trusted_or_speaks_otherwise_is_refused_with_the_reason() {
        let _machine = machine::alone();
        let broker = broker();
        let plain = broker.names(1);
        let on = |listener: &str| over(&plain, broker.listener(listener));
        let tls = with(scram(&broker, ALICE), "KAFKA_SECURITY_PROTOCOL", Some("SSL"));
        let alice = || scram(&broker, ALICE);
        let client = broker.client("refused");
        let stranger = broker.stranger().to_str();
        check(vec![
            (
                "an authority that the client does not know",
                on("SCRAM"),
                with(alice(), "KAFKA_SSL_CA_LOCATION", stranger),
                1,
                &["signed by an authority that ssl.ca.location does not hold"],
            ),
            ("another host name", on("ELSEWHERE"), tls.clone(), 1, &["is for another host"]),
            ("an expired certificate", on("EXPIRED"), tls.clone(), 1, &["certificate has expired"]),
            (
                "TLS where the listener is plain",
                plain.clone(),
                tls.clone(),
                1,
                &["security.protocol", "connecting to a PLAINTEXT broker listener?"],
            ),
            (
                "plain text where the listener speaks TLS",
                on("SCRAM"),
                vec![],
                1,
                &["the listener speaks TLS, but security.protocol is PLAINTEXT"],
            ),
            ("no login where one is wanted", on("SCRAM"), tls, 1, &["closes SSL connections"]),
            (
                "a wrong password",
                on("SCRAM"),
                scram(&broker, (ALICE.0, "looking-glass")),
                1,
                &["lets this client in", "invalid credentials"],
            ),
            (
                "no certificate where one is wanted",
                on("MUTUAL"),
                mutual(&broker, &client)[..2].to_vec(),
                1,
                &["lets this client in", "alert"],
            ),
            (
                "an authority that is no file",
                on("SCRAM"),
                with(alice(), "KAFKA_SSL_CA_LOCATION", Some("/no/such/ca.pem")),
                2,
                &["ssl.ca.location is /no/such/ca.pem"],
            ),
            (
                "no password",
                on("SCRAM"),
                with(alice(), "KAFKA_SASL_PASSWORD", None),
                2,
                &["sasl.password must be set"],
            ),
        ]);
    }

    /// The pipeline with another registry, and the variables of a client that trusts `ca`.
    fn with_registry(
        pipeline: &Pipeline,
        url: &str,
        ca: &Authority,
        token: &str,
    ) -> (Pipeline, Vec<(&'static str, String)>) {
        let mut pipeline = pipeline.clone();
        pipeline.servers.registry_url = url.to_owned();
        let variables = vec![
            ("SCHEMA_REGISTRY_CA_LOCATION", ca.location().to_owned()),
            ("SCHEMA_REGISTRY_TOKEN", token.to_owned()),
        ];
        (pipeline, variables)
    }

    #[test]
    fn a_registry_that_is_not_trusted_or_lets_nobody_in_is_refused_with_the_reason() {
        const TOKEN: &str = "Bearer right";
        let _machine = machine::alone();
        let dir = tempfile::tempdir().expect("a directory");
        let authority = Authority::new(dir.path(), "ours");
        let stranger = Authority::new(dir.path(), "theirs");
        let pipeline = testkit::Cluster::shared().pipeline(1);
        let plain = pipeline.servers.registry_url.clone();
        let proxy = |name, host, validity| {
            GuardedRegistry::start(&plain, authority.issue(name, &[host], validity), TOKEN)
        };
        let good = proxy("good", "127.0.0.1", Validity::Good);
        let elsewhere = proxy("elsewhere", "registry.example", Validity::Good);
        let expired = proxy("expired", "127.0.0.1", Validity::Expired);
        let refusal = |what, url: &str, ca: &Authority, token: &str, words| -> Refusal {
            let (pipeline, variables) = with_registry(&pipeline, url, ca, token);
            (what, pipeline, variables, 1, words)
        };
        let as_http = good.url().replace("https://", "http://");
        let as_https = plain.replace("http://", "https://");
        check(vec![
            refusal(
                "another authority",
                good.url(),
                &stranger,
                "right",
                &["unable to get local issuer certificate", "hint: SCHEMA_REGISTRY_CA_LOCATION"],
            ),
            refusal(
                "another host name",
                elsewhere.url(),
                &authority,
                "right",
                &[
                    "its certificate is refused: IP address mismatch",
                    "hint: address the registry by the name in its certificate",
                ],
            ),
            refusal(
                "an expired certificate",
                expired.url(),
                &authority,
                "right",
                &["expired", "hint: have its certificate renewed"],
            ),
            refusal(
                "http where TLS is spoken",
                &as_http,
                &authority,
                "right",
                &["aborted the answer", "hint: the port speaks TLS"],
            ),
            refusal(
                "https where none is",
                &as_https,
                &authority,
                "right",
                &["the TLS handshake failed: wrong version number", "hint: the port speaks no TLS"],
            ),
            refusal(
                "a wrong token",
                good.url(),
                &authority,
                "wrong",
                &["401 Unauthorized", "hint: set the login with SCHEMA_REGISTRY_BASIC_AUTH"],
            ),
        ]);
        assert_eq!(good.seen().let_in, 0);
        assert!(good.seen().turned_away >= 2, "{:?}", good.seen());
    }
}
