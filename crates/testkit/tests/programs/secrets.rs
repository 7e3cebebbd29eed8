//! No program prints what may be a secret, in whatever form it was written and from wherever it
//! came. Every source of every program is given a canary; both of its halves are looked for in all
//! that is printed, decoded in every way in which a program might have encoded it.

use std::collections::VecDeque;
use std::fs;
use std::path::Path;
use std::sync::Mutex;

use tempfile::TempDir;

use crate::run::run;

/// The halves of the canary. Between them stands what parsers stumble over.
const HALVES: [&str; 2] = ["Kan4rien", "Vogel77"];

/// What stands between the halves.
const BETWEEN: [&str; 18] =
    ["", ",", "/", "?", "#", "@", ":", ";", "=", "%", "%2F", " ", "\"", "'", "\\", "\n", "ä", "&"];

/// Programs of a test at a time: most of them wait for a server that is not there.
const RUNS_AT_ONCE: usize = 32;

/// Where a canary (`{}`) stands.
#[derive(Debug, Clone, Copy)]
enum Source {
    Args(&'static [&'static str]),
    Variable(&'static str, &'static str),
    /// A variable that names a file with this text.
    File(&'static str, &'static str),
    /// A settings file with this text.
    Settings(&'static str),
}
use Source::{Args, File, Settings, Variable};

const KAFKA: [Source; 38] = [
    Args(&["-X", "sasl.password={}"]),
    Args(&["-X", "sasl.password:{}"]),
    Args(&["-X", "sasl.password=", "{}"]),
    Args(&["-X", "sasl.password", "={}"]),
    Args(&["-X", "{}"]),
    Args(&["-X", "{}=1"]),
    Args(&["-X", "sasl.jaas.config={}"]),
    Args(&["-X", "security.protocol=SASL_SSL,sasl.password={}"]),
    Args(&["-X", "linger.ms={}"]),
    Args(&["-X", "debug={}"]),
    Args(&["-X", "ssl.key.location=-----BEGIN PRIVATE KEY-----{}"]),
    Args(&["-X", "ssl.key.pem={}"]),
    Args(&["--sasl-password={}"]),
    Args(&["--sasl.password", "{}"]),
    Args(&["{}"]),
    Args(&["-b", "me:{}@127.0.0.1:1"]),
    Args(&["-b", "SASL_SSL://me:{}@127.0.0.1:1"]),
    Variable("KAFKA_PROPERTIES", "sasl.password={}"),
    Variable("KAFKA_PROPERTIES", "sasl.password: {}"),
    Variable("KAFKA_PROPERTIES", "client.id=a;{}"),
    Variable("KAFKA_PROPERTIES", "security.protocol=SASL_SSL\nsasl.password={}"),
    Variable("KAFKA_BOOTSTRAP_SERVERS", "me:{}@127.0.0.1:1"),
    Variable("KAFKA_SECURITY_PROTOCOL", "{}"),
    Variable("KAFKA_SASL_MECHANISM", "{}"),
    Variable("KAFKA_SASL_PASSWORD", "{}"),
    Variable("KAFKA_SSL_KEY_PASSWORD", "{}"),
    Variable("KAFKA_SSL_KEYSTORE_PASSWORD", "{}"),
    Variable("KAFKA_SASL_PASSWORD_FILE", "{}"),
    Variable("KAFKA_SSL_KEY_PASSWORD_FILE", "/{}"),
    File("KAFKA_SASL_PASSWORD_FILE", "{}"),
    File("KAFKA_SSL_KEY_PASSWORD_FILE", "\n{}"),
    Settings("[librdkafka]\n'sasl.password' = '''{}'''"),
    Settings("[librdkafka]\nsasl.password = {}"),
    Settings("[librdkafka]\n'linger.ms' = '''{}'''"),
    Settings("librdkafka = '''sasl.password={}'''"),
    Settings("librdkafka = ['''{}''']"),
    Settings("bootstrap-server = ['''me:{}@127.0.0.1:1''']"),
    Settings("sasl-password = '''{}'''"),
];

const REGISTRY: [Source; 14] = [
    Variable("SCHEMA_REGISTRY_URL", "http://me:{}@127.0.0.1:1"),
    Variable("SCHEMA_REGISTRY_URL", "http://me:12/{}@127.0.0.1:1,http://127.0.0.1:1"),
    Variable("SCHEMA_REGISTRY_URL", "me:{}@127.0.0.1:1"),
    Variable("SCHEMA_REGISTRY_URL", "{}"),
    Args(&["--schema-registry-url", "http://me:{}@127.0.0.1:1"]),
    Args(&["--schema-registry-url=", "http://me:{}@127.0.0.1:1"]),
    Variable("SCHEMA_REGISTRY_BASIC_AUTH", "me:{}"),
    Variable("SCHEMA_REGISTRY_BASIC_AUTH", "{}"),
    Variable("SCHEMA_REGISTRY_TOKEN", "{}"),
    Variable("SCHEMA_REGISTRY_BASIC_AUTH_FILE", "me:{}"),
    Variable("SCHEMA_REGISTRY_TOKEN_FILE", "/{}"),
    File("SCHEMA_REGISTRY_TOKEN_FILE", "{}"),
    File("SCHEMA_REGISTRY_BASIC_AUTH_FILE", "\n{}"),
    Settings("schema-registry-url = ['''http://me:{}@127.0.0.1:1''']"),
];

const AMQP: [Source; 9] = [
    Args(&["--rabbitmq-url", "amqp://me:{}@127.0.0.1:1"]),
    Args(&["--rabbitmq-url", "amqp:me:{}@127.0.0.1:1"]),
    Args(&["--rabbitmq-url=", "amqp://me:{}@127.0.0.1:1"]),
    Variable("RABBITMQ_URL", "amqp://me:{}@127.0.0.1:1"),
    Variable("RABBITMQ_URL", "amqp://me:12/{}@127.0.0.1:1"),
    Variable("RABBITMQ_URL", "me:{}@127.0.0.1:1"),
    Variable("RABBITMQ_URL", "amqp://127.0.0.1:1/%2f?auth_mechanism={}"),
    Variable("RABBITMQ_URL", "{}"),
    Settings("rabbitmq-url = ['''amqp://me:{}@127.0.0.1:1''']"),
];

const SERVICES: [Source; 4] = [
    Args(&["--inventory-url", "http://me:{}@127.0.0.1:1"]),
    Args(&["--notification-url=", "http://me:{}@127.0.0.1:1"]),
    Variable("SYNC_REST_INVENTORY_URL", "http://me:12/{}@127.0.0.1:1"),
    Settings("notification-url = ['''http://me:{}@127.0.0.1:1''']"),
];

const CALLED: [Source; 14] = [
    Args(&["--to", "http://me:{}@127.0.0.1:1"]),
    Args(&["--to=", "http://me:{}@127.0.0.1:1"]),
    Args(&["--to", "{}"]),
    Variable("PUSH_TO", "http://me:12/{}@127.0.0.1:1"),
    Variable("PUSH_TO", "http://{}@127.0.0.1:1/in"),
    Variable("PUSH_TO", "http://127.0.0.1:1/in?key={}"),
    Variable("PUSH_TOKEN_FILE", "/{}"),
    File("PUSH_TOKEN_FILE", "{}"),
    File("PUSH_BASIC_FILE", "me:{}"),
    File("PUSH_BASIC_FILE", "{}"),
    File("PUSH_HEADER_FILE", "x-key: {}"),
    File("PUSH_HEADER_FILE", "{}: 1"),
    File("PUSH_CA", "{}"),
    Settings("to = ['''http://me:{}@127.0.0.1:1''']"),
];

const STORES: [Source; 21] = [
    Args(&["--redis-url", "redis://me:{}@127.0.0.1:1"]),
    Args(&["--valkey-url=", "rediss://:{}@127.0.0.1:1"]),
    Args(&["--redis-password", "{}"]),
    Args(&["--publisher-url", "http://me:{}@127.0.0.1:1"]),
    Variable("REDIS_URL", "redis://me:{}@127.0.0.1:1"),
    Variable("REDIS_URL", "redis://me:12/{}@127.0.0.1:1"),
    Variable("REDIS_URL", "rediss://me:{}@127.0.0.1:1/3"),
    Variable("REDIS_URL", "redis://127.0.0.1:1/0?protocol={}"),
    Variable("REDIS_URL", "redis://127.0.0.1:1/{}"),
    Variable("REDIS_URL", "unix:///{}"),
    Variable("VALKEY_URL", "me:{}@127.0.0.1:1"),
    Variable("VALKEY_URL", "redis://{}@127.0.0.1:1"),
    Variable("VALKEY_URL", "{}"),
    Variable("REDIS_PASSWORD_FILE", "/{}"),
    File("REDIS_PASSWORD_FILE", "{}"),
    File("VALKEY_PASSWORD_FILE", "\n{}"),
    File("VALKEY_PASSWORD_FILE", "{}"),
    File("REDIS_CA", "{}"),
    Variable("VALKEY_CA", "-----BEGIN PRIVATE KEY-----{}"),
    Settings("redis-url = ['''redis://me:{}@127.0.0.1:1''']"),
    Settings("valkey-password-file = ['''{}''']"),
];

const TRACES: [Source; 9] = [
    Args(&["--otlp-endpoint", "http://me:{}@127.0.0.1:1"]),
    Args(&["--otlp-endpoint", "{}"]),
    Variable("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1?key={}"),
    Variable("OTEL_EXPORTER_OTLP_ENDPOINT", "me:{}@127.0.0.1:1"),
    Variable("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic {}"),
    Variable("OTEL_EXPORTER_OTLP_HEADERS", "{}"),
    Variable("OTEL_EXPORTER_OTLP_HEADERS_FILE", "/{}"),
    File("OTEL_EXPORTER_OTLP_HEADERS_FILE", "x-key={}"),
    Settings("otlp-endpoint = ['''http://me:{}@127.0.0.1:1''']"),
];

/// A program, what ends it by itself, and the sources that it reads.
type Program = (&'static str, &'static [&'static str], &'static [&'static [Source]]);

/// All programs that read secrets.
const PROGRAMS: [Program; 10] = [
    ("producer", &["--count", "1", "--metrics-addr", "off"], &[&KAFKA, &REGISTRY]),
    ("consumer", &["--metrics-addr", "off"], &[&KAFKA, &REGISTRY]),
    ("push", &["--topic", "t", "--metrics-addr", "off"], &[&CALLED, &REGISTRY]),
    ("orders", &["audit"], &[&KAFKA, &REGISTRY]),
    ("streaming", &["order", "--menu", "none"], &[&KAFKA, &REGISTRY, &TRACES]),
    ("rabbit", &["order", "--menu", "none"], &[&AMQP, &REGISTRY]),
    ("sync-rest", &["order", "--menu", "none"], &[&SERVICES, &REGISTRY]),
    ("weather", &["kafka-consumer", "--metrics-addr", "off"], &[&STORES, &KAFKA]),
    ("weather", &["rabbit-consumer", "--metrics-addr", "off"], &[&STORES, &AMQP]),
    ("weather", &["publisher", "--listen", "127.0.0.1:0"], &[&KAFKA, &REGISTRY]),
];

struct Case {
    program: &'static str,
    before: &'static [&'static str],
    source: Source,
    between: &'static str,
}

/// Each source meets each parser's stumbling block in one of the programs that read it, and
/// several of them in each program.
fn cases() -> VecDeque<Case> {
    const BLOCKS_PER_PROGRAM: usize = 3;
    let mut cases = VecDeque::new();
    for (of_program, (program, before, sources)) in PROGRAMS.into_iter().enumerate() {
        for (of_source, source) in sources.iter().copied().flatten().copied().enumerate() {
            let step = BETWEEN.len() / BLOCKS_PER_PROGRAM;
            for block in (0..BLOCKS_PER_PROGRAM).map(|n| n * step + of_source + of_program * 2) {
                let between = BETWEEN[block % BETWEEN.len()];
                cases.push_back(Case { program, before, source, between });
            }
        }
    }
    cases
}

/// What a run prints.
fn printed(case: &Case) -> String {
    let canary = [HALVES[0], case.between, HALVES[1]].concat();
    let fill = |template: &str| template.replace("{}", &canary);
    let dir = TempDir::with_prefix("testkit-secrets-").expect("a directory");
    let file = dir.path().join("file");
    let path = file.to_str().expect("a plain path");
    let write = |path: &Path, text: String| fs::write(path, text).expect("a file");
    let mut args: Vec<String> = case.before.iter().map(|&arg| arg.to_owned()).collect();
    let mut variables = vec![("RUST_LOG", "trace".to_owned())];
    let mut addresses = vec![
        ("SCHEMA_REGISTRY_URL", "http://127.0.0.1:1"),
        ("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1"),
    ];
    match case.program {
        "push" => addresses.push(("PUSH_TO", "http://127.0.0.1:1")),
        "weather" => addresses.extend([
            ("RABBITMQ_URL", "amqp://127.0.0.1:1"),
            ("REDIS_URL", "redis://127.0.0.1:1"),
            ("VALKEY_URL", "redis://127.0.0.1:1"),
            ("WEATHER_GRPC_LISTEN", "127.0.0.1:0"),
        ]),
        // Headers are read where there is an endpoint.
        "streaming" => addresses.push(("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")),
        _ => {}
    }
    for (name, address) in addresses {
        if !matches!(case.source, Variable(own, _) if own == name) {
            variables.push((name, address.to_owned()));
        }
    }
    match case.source {
        Args(given) => args.extend(given.iter().map(|arg| fill(arg))),
        Variable(name, value) => variables.push((name, fill(value))),
        File(name, text) => {
            write(&file, fill(text));
            variables.push((name, path.to_owned()));
        }
        Settings(text) => {
            write(&file, fill(text));
            args.extend(["--config".to_owned(), path.to_owned()]);
        }
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let variables: Vec<(&str, &str)> = variables.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let done = run(case.program, &args, &variables);
    assert!(
        done.code.is_some_and(|code| code < 3),
        "{} {:?}: {}",
        case.program,
        case.source,
        done.stderr
    );
    done.stdout + &done.stderr
}

/// Decodes `%41`, `\u0041` and `\x41`, so that no form of a letter hides it.
fn decoded(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let escape = [("%", 2), ("\\u", 4), ("\\x", 2)].into_iter().find_map(|(mark, digits)| {
            let hex = rest.strip_prefix(mark)?.get(..digits)?;
            let code = u32::from_str_radix(hex, 16).ok()?;
            Some((char::from_u32(code)?, mark.len() + digits))
        });
        let (character, length) = escape.unwrap_or((first, first.len_utf8()));
        plain.push(character);
        rest = &rest[length..];
    }
    plain
}

#[test]
fn a_canary_is_found_in_every_form() {
    for form in ["Kan4rien", "%4Ban4rien", "\\u004ban4rien", "\\x4ban4rien"] {
        assert!(decoded(form).contains(HALVES[0]), "{form}");
    }
}

#[test]
fn no_program_prints_what_may_be_a_secret_well_formed_or_not() {
    let all = cases();
    assert!(all.len() > 400, "{} cases", all.len());
    let cases = Mutex::new(all);
    let leaks = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..RUNS_AT_ONCE {
            scope.spawn(|| {
                loop {
                    let next = cases.lock().expect("no run panics with it").pop_front();
                    let Some(case) = next else { return };
                    let text = printed(&case);
                    let plain = decoded(&text).to_lowercase();
                    if HALVES.iter().any(|half| plain.contains(&half.to_lowercase())) {
                        let Case { program, source, between, .. } = case;
                        let leak = format!("{program}, {source:?} with {between:?}:\n{text}");
                        leaks.lock().expect("no run panics with it").push(leak);
                    }
                }
            });
        }
    });
    let leaks = leaks.into_inner().expect("no run panics with it");
    assert!(leaks.is_empty(), "{} leaks\n{}", leaks.len(), leaks.join("\n"));
}
