//! The list of verdicts is closed: whatever else a registry answers, the record is not at fault,
//! and no bad answer is believed for ever.

use std::sync::Mutex;
use std::time::Duration;

use codec::decode::{DecodeError, Decoder};
use codec::encode::Encoder;
use codec::registry::Registry;
use codec::resolver::{Lookup, ResolverLimits, SchemaResolver};
use order_schemas::{ORDER_V1, OrderRecord};
use orders::Order;
use serde_json::json as value;
use tokio::runtime::Handle;
use tokio::time::timeout;
use tracing::field::{Field, Visit};

use crate::fault_injection::{
    Scripted, ScriptedRegistry, http, impatient, json, refused_url, schema,
};

/// Longest that a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

fn hasty() -> ResolverLimits {
    ResolverLimits {
        retry_delay_min: Duration::from_millis(1),
        retry_delay_max: Duration::from_millis(20),
        unusable_ttl: Duration::from_millis(1),
        ..ResolverLimits::default()
    }
}

fn resolver(registry: Registry, limits: ResolverLimits) -> SchemaResolver {
    SchemaResolver::with_limits(registry, Handle::current(), limits)
}

async fn until_ready(resolver: &SchemaResolver, id: u32) {
    let asking = async {
        while !matches!(resolver.resolve(id).await, Lookup::Ready(_)) {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, asking).await.expect("the schema comes in time");
}

fn code(status: &str, code: i64) -> Scripted {
    json(status, &value!({ "error_code": code, "message": "on request" }).to_string())
}

/// Answers to the question for a schema that are no verdict on anybody's record.
fn no_verdicts() -> Vec<(&'static str, Scripted)> {
    let ok = |body: serde_json::Value| json("200 OK", &body.to_string());
    vec![
        ("409", code("409 Conflict", 409)),
        ("409 with a code", code("409 Conflict", 40901)),
        ("422", code("422 Unprocessable Entity", 42205)),
        ("422 of a schema", code("422 Unprocessable Entity", 42201)),
        ("400", code("400 Bad Request", 400)),
        ("400 that says 40403", code("400 Bad Request", 40403)),
        ("410", code("410 Gone", 40403)),
        ("418", code("418 I'm a teapot", 418)),
        ("451", code("451 Unavailable For Legal Reasons", 451)),
        ("404 of a subject", code("404 Not Found", 40401)),
        ("404 of a version", code("404 Not Found", 40402)),
        ("404 of another kind", code("404 Not Found", 404)),
        ("404 with a code of text", json("404 Not Found", r#"{"error_code":"40403"}"#)),
        ("404 as html", http("404 Not Found", "text/html", r#"{"error_code":40403}"#)),
        ("a status that nobody knows", code("599 Future", 40403)),
        ("201", json("201 Created", &value!({ "schema": ORDER_V1 }).to_string())),
        ("204", Scripted::Bytes(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec())),
        ("206", json("206 Partial Content", &value!({ "schema": ORDER_V1 }).to_string())),
        ("304", Scripted::Bytes(b"HTTP/1.1 304 Not Modified\r\n\r\n".to_vec())),
        ("null", ok(value!(null))),
        ("a list", ok(value!([ORDER_V1]))),
        ("an error with 200", ok(value!({ "error_code": 40403, "message": "not found" }))),
        ("no schema", ok(value!({ "schema": null }))),
        ("an empty schema", ok(value!({ "schema": " " }))),
        ("a schema that is no text", ok(value!({ "schema": { "type": "string" } }))),
        ("a type that is no text", ok(value!({ "schema": ORDER_V1, "schemaType": 7 }))),
        ("references that are none", ok(value!({ "schema": ORDER_V1, "references": "x" }))),
        ("a reference to nothing", ok(value!({ "schema": ORDER_V1, "references": [{}] }))),
        ("cut off json", json("200 OK", r#"{"schema":"#)),
        ("other content", http("200 OK", "application/octet-stream", "\u{1}\u{2}")),
        ("too large", ok(value!({ "schema": "x".repeat(65 << 10) }))),
    ]
}

#[tokio::test]
async fn an_answer_that_is_no_verdict_is_an_outage_and_the_next_one_counts() {
    for (name, scripted) in no_verdicts() {
        let server = ScriptedRegistry::start([scripted, schema(ORDER_V1)]).await;
        let resolver = resolver(impatient(&server.url), hasty());
        let first = resolver.resolve(1).await;
        assert!(matches!(first, Lookup::Away(_)), "{name}: {first:?}");
        until_ready(&resolver, 1).await;
    }
}

#[tokio::test]
async fn the_same_answers_for_a_schema_that_is_referred_to_are_outages_as_well() {
    let refers = value!({
        "schema": "\"com.example.Money\"",
        "references": [{ "name": "com.example.Money", "subject": "money", "version": 3 }],
    });
    let refers = json("200 OK", &refers.to_string());
    let money = schema(r#"{"type":"fixed","name":"com.example.Money","size":8}"#);
    for (name, scripted) in no_verdicts() {
        let script = [refers.clone(), scripted, refers.clone(), money.clone()];
        let server = ScriptedRegistry::start(script).await;
        let resolver = resolver(impatient(&server.url), hasty());
        let first = resolver.resolve(1).await;
        assert!(matches!(first, Lookup::Away(_)), "{name}: {first:?}");
        until_ready(&resolver, 1).await;
    }
    let server = ScriptedRegistry::start([refers, code("404 Not Found", 40403)]).await;
    let resolver = resolver(impatient(&server.url), hasty());
    assert!(matches!(resolver.resolve(1).await, Lookup::NotFound));
}

#[tokio::test]
async fn an_answer_above_the_limit_names_the_limit() {
    let huge = json("200 OK", &value!({ "schema": "x".repeat(65 << 10) }).to_string());
    let server = ScriptedRegistry::start([huge]).await;
    let error = impatient(&server.url).schema_by_id(1).await.unwrap_err().to_string();
    assert!(error.contains("more than 65536 bytes, the limit answer_bytes_max"), "{error}");
}

#[tokio::test]
async fn a_schema_that_cannot_be_used_is_asked_for_again_after_a_while() {
    let server = ScriptedRegistry::start([schema("not avro")]).await;
    let forgetful = resolver(impatient(&server.url), hasty());
    assert!(matches!(forgetful.resolve(1).await, Lookup::Unusable(_)));
    server.then(schema(ORDER_V1));
    until_ready(&forgetful, 1).await;
}

#[tokio::test]
async fn a_schema_that_does_not_resolve_is_asked_for_again_after_a_while() {
    let mut value = Vec::new();
    let order = Order::new("o-1", "tea", 1.5);
    let encoder = Encoder::<OrderRecord>::with_schema(ORDER_V1, 1).unwrap();
    encoder.encode_into(&mut value, &order);
    let foreign =
        r#"{"type":"record","name":"Order","namespace":"com.example.orders","fields":[]}"#;
    let server = ScriptedRegistry::start([schema(foreign)]).await;
    let resolver = resolver(impatient(&server.url), hasty());
    let mut decoder = Decoder::<OrderRecord>::new(resolver.clone());
    resolver.resolve(1).await;
    let refused = decoder.decode(Some(&value));
    assert!(matches!(refused, Err(DecodeError::Failed(_))), "{refused:?}");
    server.then(schema(ORDER_V1));
    let asking = async {
        loop {
            match decoder.decode(Some(&value)) {
                Ok(decoded) => return decoded,
                Err(_) => drop(resolver.resolve(1).await),
            }
            tokio::task::yield_now().await;
        }
    };
    assert_eq!(timeout(PATIENCE, asking).await.expect("it is asked for again"), order);
}

/// The warnings of all tests, each with its fields.
static WARNINGS: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Warnings;

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target().starts_with("codec") && *metadata.level() == tracing::Level::DEBUG
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        struct Words(String);
        impl Visit for Words {
            fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
                self.0.push_str(&format!("{}={value:?} ", field.name()));
            }
        }
        let mut words = Words(String::new());
        event.record(&mut words);
        WARNINGS.lock().unwrap().push(words.0);
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

/// The warnings that name this address.
fn warnings_of(url: &str) -> Vec<String> {
    WARNINGS.lock().unwrap().iter().filter(|line| line.contains(url)).cloned().collect()
}

#[tokio::test]
async fn an_outage_is_logged_once_at_its_begin_with_its_reason() {
    tracing::subscriber::set_global_default(Warnings).expect("no other test sets one");
    let server = ScriptedRegistry::start([code("409 Conflict", 40977)]).await;
    let resolver = resolver(impatient(&server.url), hasty());
    for _ in 0..3 {
        for id in 1..=5 {
            assert!(matches!(resolver.resolve(id).await, Lookup::Away(_)));
        }
    }
    let told = warnings_of(&server.url);
    assert_eq!(told.len(), 1, "{told:?}");
    for word in ["schema registry is unavailable", "409 Conflict, error_code 40977"] {
        assert!(told[0].contains(word), "{told:?}");
    }
    server.then(schema(ORDER_V1));
    for id in 1..=5 {
        until_ready(&resolver, id).await;
    }
    server.then(code("503 Service Unavailable", 50301));
    resolver.resolve(6).await;
    assert_eq!(warnings_of(&server.url).len(), 2, "the next outage has a line of its own");
}

#[tokio::test]
async fn the_next_step_goes_with_the_cause() {
    let table = [
        ("401", code("401 Unauthorized", 40101), "SCHEMA_REGISTRY_BASIC_AUTH"),
        ("401 of a proxy", http("401 Unauthorized", "text/html", "no"), "SCHEMA_REGISTRY_TOKEN"),
        ("403", code("403 Forbidden", 40301), "let this login"),
        ("another path", code("404 Not Found", 404), "the path of the address"),
        ("a page for another path", http("404 Not Found", "text/html", ""), "/apis/ccompat/v7"),
        ("405", http("405 Method Not Allowed", "text/plain", ""), "the path of the address"),
        ("a page", http("200 OK", "text/html", "<html>"), "something else may listen there"),
        ("409", code("409 Conflict", 409), "check its log"),
        ("503", http("503 Service Unavailable", "text/plain", ""), "check its log"),
        (
            "a redirect",
            http("301 Moved\r\nLocation: https://u:secret@b/v7?token=secret", "text/html", ""),
            "give the target's address",
        ),
        (
            "no http",
            Scripted::Bytes(b"SSH-2.0-OpenSSH_9.6\r\n".to_vec()),
            "is the server there a registry",
        ),
        ("silence", Scripted::Silence, "check its load"),
    ];
    for (name, scripted, hint) in table {
        let server = ScriptedRegistry::start([scripted]).await;
        let error = impatient(&server.url).schema_by_id(1).await.unwrap_err();
        assert!(error.start_hint().contains(hint), "{name}: {error}: {}", error.start_hint());
        assert!(!error.to_string().contains("secret"), "{name}: {error}");
    }
    let url = refused_url().await;
    let error = impatient(&url).schema_by_id(1).await.unwrap_err();
    assert!(error.start_hint().contains("is it running there?"), "{error}");
    // Of two addresses, what an answer says outranks what silence says.
    let server = ScriptedRegistry::start([code("401 Unauthorized", 40101)]).await;
    let error = impatient(&format!("{},{url}", server.url)).schema_by_id(1).await.unwrap_err();
    assert!(error.start_hint().contains("SCHEMA_REGISTRY_BASIC_AUTH"), "{error}");
}

#[tokio::test]
async fn https_to_a_port_without_tls_says_so() {
    let server = codec::mini_registry::MiniRegistry::start().await.unwrap();
    let url = server.url().replace("http://", "https://");
    let error = impatient(&url).schema_by_id(1).await.unwrap_err();
    assert!(error.start_hint().contains("the port speaks no TLS"), "{error}");
}
