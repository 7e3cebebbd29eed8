//! Which librdkafka settings a user may add.

use std::fmt;

use super::Role;

/// Whom a setting concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    All,
    Consumer,
    Producer,
}

/// Settings that may be added. A pattern ends in `*` where all keys with that start are meant.
const ALLOWED: [(&str, Scope); 46] = [
    ("client.id", Scope::All),
    ("client.rack", Scope::All),
    ("client.dns.lookup", Scope::All),
    ("broker.address.family", Scope::All),
    ("broker.address.ttl", Scope::All),
    ("socket.*", Scope::All),
    ("connections.max.idle.ms", Scope::All),
    ("reconnect.backoff.*", Scope::All),
    ("metadata.max.age.ms", Scope::All),
    ("topic.metadata.refresh.*", Scope::All),
    ("receive.message.max.bytes", Scope::All),
    ("statistics.interval.ms", Scope::All),
    ("debug", Scope::All),
    ("security.protocol", Scope::All),
    ("ssl.ca.location", Scope::All),
    ("ssl.ca.pem", Scope::All),
    ("ssl.certificate.location", Scope::All),
    ("ssl.certificate.pem", Scope::All),
    ("ssl.key.location", Scope::All),
    ("ssl.keystore.location", Scope::All),
    ("ssl.crl.location", Scope::All),
    ("ssl.cipher.suites", Scope::All),
    ("ssl.curves.list", Scope::All),
    ("ssl.sigalgs.list", Scope::All),
    ("ssl.endpoint.identification.algorithm", Scope::All),
    ("enable.ssl.certificate.verification", Scope::All),
    ("sasl.mechanism", Scope::All),
    ("sasl.mechanisms", Scope::All),
    ("sasl.username", Scope::All),
    ("sasl.kerberos.service.name", Scope::All),
    ("sasl.kerberos.principal", Scope::All),
    ("session.timeout.ms", Scope::Consumer),
    ("heartbeat.interval.ms", Scope::Consumer),
    ("max.poll.interval.ms", Scope::Consumer),
    ("fetch.*", Scope::Consumer),
    ("max.partition.fetch.bytes", Scope::Consumer),
    ("queued.min.messages", Scope::Consumer),
    ("queued.max.messages.kbytes", Scope::Consumer),
    ("check.crcs", Scope::Consumer),
    ("queue.buffering.*", Scope::Producer),
    ("linger.ms", Scope::Producer),
    ("batch.*", Scope::Producer),
    ("compression.*", Scope::Producer),
    ("sticky.partitioning.linger.ms", Scope::Producer),
    ("request.timeout.ms", Scope::Producer),
    ("coordinator.query.interval.ms", Scope::Consumer),
];

/// Members of the patterns of [`ALLOWED`], to be suggested.
const MEMBERS: [&str; 24] = [
    "socket.timeout.ms",
    "socket.keepalive.enable",
    "socket.nagle.disable",
    "socket.max.fails",
    "socket.send.buffer.bytes",
    "socket.receive.buffer.bytes",
    "socket.connection.setup.timeout.ms",
    "reconnect.backoff.ms",
    "reconnect.backoff.max.ms",
    "topic.metadata.refresh.interval.ms",
    "topic.metadata.refresh.fast.interval.ms",
    "topic.metadata.refresh.sparse",
    "fetch.wait.max.ms",
    "fetch.queue.backoff.ms",
    "fetch.message.max.bytes",
    "fetch.max.bytes",
    "fetch.min.bytes",
    "queue.buffering.max.messages",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.ms",
    "batch.num.messages",
    "batch.size",
    "compression.type",
    "compression.level",
];

/// Settings that are refused with a particular reason. The first pattern that matches counts.
const REFUSED: [(&str, Refusal); 48] = [
    ("bootstrap.servers", Refusal::HasFlag("--bootstrap-server")),
    ("metadata.broker.list", Refusal::HasFlag("--bootstrap-server")),
    ("plugin.library.paths", Refusal::RunsCode),
    ("ssl.engine.*", Refusal::RunsCode),
    ("ssl_engine_*", Refusal::RunsCode),
    ("ssl.providers", Refusal::RunsCode),
    ("sasl.kerberos.kinit.cmd", Refusal::RunsCode),
    ("interceptors", Refusal::RunsCode),
    ("sasl.password", Refusal::Secret("KAFKA_SASL_PASSWORD or KAFKA_SASL_PASSWORD_FILE")),
    ("ssl.key.password", Refusal::Secret("KAFKA_SSL_KEY_PASSWORD or KAFKA_SSL_KEY_PASSWORD_FILE")),
    (
        "ssl.keystore.password",
        Refusal::Secret("KAFKA_SSL_KEYSTORE_PASSWORD or KAFKA_SSL_KEYSTORE_PASSWORD_FILE"),
    ),
    (
        "ssl.key.pem",
        Refusal::Secret("a key file, named with -X ssl.key.location, and not a variable"),
    ),
    ("sasl.kerberos.keytab", Refusal::ReadsFile),
    ("sasl.oauthbearer.*", Refusal::ReadsFile),
    ("https.*", Refusal::ReadsFile),
    ("ssl.ca.certificate.stores", Refusal::ReadsFile),
    ("acks", Refusal::Delivery),
    ("log.connection.close", Refusal::Delivery),
    ("request.required.acks", Refusal::Delivery),
    ("enable.idempotence", Refusal::Delivery),
    ("enable.gapless.guarantee", Refusal::Delivery),
    ("max.in.flight*", Refusal::Delivery),
    ("retries", Refusal::Delivery),
    ("message.send.max.retries", Refusal::Delivery),
    ("retry.backoff.*", Refusal::Delivery),
    ("message.timeout.ms", Refusal::Delivery),
    ("delivery.timeout.ms", Refusal::Delivery),
    ("message.max.bytes", Refusal::Delivery),
    ("partitioner", Refusal::Delivery),
    ("queuing.strategy", Refusal::Delivery),
    ("transactional.id", Refusal::Delivery),
    ("transaction.timeout.ms", Refusal::Delivery),
    ("delivery.report.only.error", Refusal::Delivery),
    ("produce.offset.report", Refusal::Delivery),
    ("isolation.level", Refusal::Delivery),
    ("group.*", Refusal::Delivery),
    ("partition.assignment.strategy", Refusal::Delivery),
    ("enable.auto.commit", Refusal::Delivery),
    ("auto.commit.*", Refusal::Delivery),
    ("enable.auto.offset.store", Refusal::Delivery),
    ("offset.store.*", Refusal::Delivery),
    ("auto.offset.reset", Refusal::Delivery),
    ("enable.partition.eof", Refusal::Delivery),
    ("allow.auto.create.topics", Refusal::Delivery),
    ("api.version.*", Refusal::Delivery),
    ("broker.version.fallback", Refusal::Delivery),
    ("test.mock.*", Refusal::Delivery),
    ("topic.blacklist", Refusal::Delivery),
];

/// Why a setting may not be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// It loads a library or runs a command.
    RunsCode,
    /// It reads a file or fetches one, beyond certificates and keys.
    ReadsFile,
    /// It is a secret, which everyone could read in the list of processes; the variable to use.
    Secret(&'static str),
    /// The programs set it themselves, because delivery depends on it.
    Delivery,
    /// There is a flag for it.
    HasFlag(&'static str),
    /// It is on no list.
    NotListed,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RunsCode => f.write_str("it loads or runs code"),
            Self::ReadsFile => f.write_str("it makes the program read files or fetch tokens"),
            Self::Secret(instead) => {
                write!(f, "everyone on the machine could read the secret; use {instead}")
            }
            Self::Delivery => f.write_str("delivery depends on it, so the program sets it itself"),
            Self::HasFlag(flag) => write!(f, "use {flag}"),
            Self::NotListed => f.write_str("it is not on the list"),
        }
    }
}

/// Returns what may be added, for an error message or a help text.
#[must_use]
pub fn allowed_keys() -> String {
    ALLOWED.map(|(pattern, _)| pattern).join(", ")
}

pub(super) fn check(key: &str) -> Result<(), Refusal> {
    if let Some((_, refusal)) = REFUSED.iter().find(|(pattern, _)| matches(pattern, key)) {
        return Err(*refusal);
    }
    scope(key).map(|_| ()).ok_or(Refusal::NotListed)
}

/// Keys that a user may have meant, refused ones included.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    let patterns = ALLOWED.iter().map(|(pattern, _)| *pattern);
    let patterns = patterns.chain(REFUSED.iter().map(|(pattern, _)| *pattern));
    patterns.filter(|pattern| !pattern.ends_with('*')).chain(MEMBERS)
}

/// The pattern that refuses a key.
pub(super) fn refusing_pattern(key: &str) -> Option<&'static str> {
    REFUSED.iter().map(|(pattern, _)| *pattern).find(|pattern| matches(pattern, key))
}

/// Whether a key begins like that of a secret: the rest of it may be the secret.
pub(super) fn begins_like_a_secret(key: &str) -> bool {
    let is_secret = |refusal: &Refusal| matches!(refusal, Refusal::Secret(_));
    REFUSED.iter().any(|(pattern, refusal)| is_secret(refusal) && key.starts_with(pattern))
}

pub(super) fn concerns(key: &str, role: Role) -> bool {
    match scope(key) {
        Some(Scope::All) => true,
        Some(Scope::Consumer) => role == Role::Consumer,
        // An admin handle is a producer to librdkafka, yet it produces nothing.
        Some(Scope::Producer) => role == Role::Producer,
        None => false,
    }
}

fn scope(key: &str) -> Option<Scope> {
    ALLOWED.iter().find(|(pattern, _)| matches(pattern, key)).map(|(_, scope)| *scope)
}

fn matches(pattern: &str, key: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => key.starts_with(start),
        None => key == pattern,
    }
}
