//! librdkafka's settings: what the programs set themselves, what a user may add, what nobody may.
//!
//! A user adds settings with `-X key=value`. They pass an allow-list, because librdkafka's own list
//! holds keys that load code, read files, or silently end the delivery guarantees.

mod allow_list;
mod brokers;
mod probe;
mod property;
mod spelling;
mod weakness;

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};

pub use allow_list::{Refusal, allowed_keys};
pub use brokers::BadBroker;
pub use probe::{AwayReason, BROKER_PROBE_LIMIT, BrokersAway, cluster_id, probe_brokers};
pub use property::PropertyError;
pub use spelling::set_defaults;

/// What a handle is for; settings of the other kinds are left out, since librdkafka would warn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Produces records.
    Producer,
    /// Fetches records.
    Consumer,
    /// Looks at topics and groups, or changes them.
    Admin,
}

/// Settings of every handle of a program: where the brokers are, and what the user added.
#[derive(Clone, PartialEq, Eq)]
pub struct KafkaSettings {
    bootstrap_servers: String,
    client_id: String,
    extra: Vec<(String, String)>,
    credentials: Vec<(&'static str, String)>,
}

// Credentials must not reach a log, nor what was written in another setting's place.
impl fmt::Debug for KafkaSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let credentials: Vec<&str> = self.credentials.iter().map(|(key, _)| *key).collect();
        let extra: Vec<&str> = self.extra.iter().map(|(key, _)| key.as_str()).collect();
        f.debug_struct("KafkaSettings")
            .field("bootstrap_servers", &self.bootstrap_servers)
            .field("client_id", &self.client_id)
            .field("extra", &extra)
            .field("credentials", &credentials)
            .finish()
    }
}

/// Why the settings for Kafka cannot be used; all of them are the user's to correct (exit code 2).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// No broker is named.
    #[error("the list of brokers is empty; name at least one as host:port (--bootstrap-server)")]
    NoBroker,
    /// A broker of the list is not one.
    #[error("{0} (--bootstrap-server)")]
    Broker(#[from] BadBroker),
    /// Settings of `-X` that are not allowed, unknown, or have a value that librdkafka refuses: all
    /// of them.
    #[error("{}", property::sentence(.0))]
    Properties(Vec<PropertyError>),
    /// A file that holds a secret cannot be read, or holds none. A file that is not there is not
    /// named: it may be the secret itself, in the wrong variable.
    #[error("{variable}{} cannot be used: {source}", .file.as_ref().map(|f| format!(" {f}")).unwrap_or_default())]
    SecretFile {
        /// The variable that names the file.
        variable: String,
        /// The file, if there is one of that name.
        file: Option<String>,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// A secret is given twice.
    #[error("{variable} and {variable}_FILE are both set; unset one of them")]
    TwoSecrets {
        /// The variable that holds the secret itself.
        variable: &'static str,
    },
}

/// Environment variables that carry what must not stand on a command line. Each may name a file
/// instead, with `_FILE` at the end of its name.
const SECRET_VARIABLES: [(&str, &str); 3] = [
    ("KAFKA_SASL_PASSWORD", "sasl.password"),
    ("KAFKA_SSL_KEY_PASSWORD", "ssl.key.password"),
    ("KAFKA_SSL_KEYSTORE_PASSWORD", "ssl.keystore.password"),
];

/// Longest pause before a broker that was lost is tried again, in milliseconds: as the Java client
/// has it. With librdkafka's 10 s an outage lasts so much longer, and a program that is asked to
/// stop just after it gives up what it holds.
const RECONNECT_MAX_MS: &str = "1000";

/// First pause before a broker is tried again, in milliseconds; each further one is twice as long. A handle
/// learns of the brokers through one connection and makes another to one of them not before half of this has passed:
/// with librdkafka's 100 ms each handle begins with 50 ms of waiting.
const RECONNECT_MIN_MS: &str = "20";

/// Largest file that is read for a secret; anything larger is a mistake.
const SECRET_FILE_BYTES_MAX: u64 = 64 * 1024;

impl KafkaSettings {
    /// Checks what the user gave: brokers separated by commas, and settings as key and value.
    /// `client_id` (usually the program's name) is the default for `client.id`.
    ///
    /// Credentials come from the environment, see [`read_credentials`](Self::read_credentials).
    ///
    /// # Errors
    ///
    /// Fails if no broker is named or one is not `HOST:PORT`, if a key is not on the allow-list, or if
    /// librdkafka refuses a value.
    pub fn new(
        client_id: &str,
        bootstrap_servers: &str,
        extra: Vec<(String, String)>,
    ) -> Result<Self, ConfigError> {
        // Before librdkafka does it: without the clean-up at the end of the process, which pulls
        // OpenSSL away from under handles whose brokers keep them from ending in time.
        openssl_sys::init();
        let bootstrap_servers =
            brokers::checked(bootstrap_servers)?.ok_or(ConfigError::NoBroker)?;
        let check = |(index, (key, value)): (usize, &(String, String))| {
            property::check(index + 1, key, value).err()
        };
        let problems: Vec<PropertyError> = extra.iter().enumerate().filter_map(check).collect();
        if !problems.is_empty() {
            return Err(ConfigError::Properties(problems));
        }
        let client_id = client_id.to_owned();
        Ok(Self { bootstrap_servers, client_id, extra, credentials: Vec::new() })
    }

    /// Takes passwords from the environment: `KAFKA_SASL_PASSWORD`, `KAFKA_SSL_KEY_PASSWORD` and
    /// `KAFKA_SSL_KEYSTORE_PASSWORD`, or the first line of the file that the variable with `_FILE`
    /// at its end names. An empty variable counts as unset.
    ///
    /// # Errors
    ///
    /// Fails if a file cannot be read or has no first line, or if there are both a secret and a file.
    pub fn read_credentials(
        mut self,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        for (name, key) in SECRET_VARIABLES {
            let file_variable = format!("{name}_FILE");
            let secret = match (set(name), set(&file_variable)) {
                (Some(_), Some(_)) => return Err(ConfigError::TwoSecrets { variable: name }),
                (None, Some(file)) => Some(read_secret(&file).map_err(|source| {
                    let is_there = std::fs::symlink_metadata(&file).is_ok();
                    let file = is_there.then_some(file);
                    ConfigError::SecretFile { variable: file_variable, file, source }
                })?),
                (given, None) => given,
            };
            self.credentials.extend(secret.map(|secret| (key, secret)));
        }
        Ok(self)
    }

    /// Like [`read_credentials`](Self::read_credentials), from the environment of this process.
    ///
    /// # Errors
    ///
    /// See there.
    pub fn with_credentials_from_env(self) -> Result<Self, ConfigError> {
        self.read_credentials(|name| std::env::var(name).ok())
    }

    /// Returns the brokers to start from, separated by commas.
    #[must_use]
    pub fn bootstrap_servers(&self) -> &str {
        &self.bootstrap_servers
    }

    /// Returns a configuration with the brokers, the credentials and what the user added, as far as
    /// it concerns `role`. The caller sets what its delivery depends on afterwards.
    #[must_use]
    pub fn base(&self, role: Role) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap_servers);
        config.set("client.id", &self.client_id);
        // librdkafka's informational chatter is worth its cost only when someone debugs.
        config.set_log_level(RDKafkaLogLevel::Info);
        for (key, value) in &self.extra {
            if allow_list::concerns(key, role) {
                spelling::set(&mut config, key, value);
            }
        }
        if !self.extra.iter().any(|(key, _)| key.starts_with("reconnect.backoff.")) {
            config.set("reconnect.backoff.ms", RECONNECT_MIN_MS);
            config.set("reconnect.backoff.max.ms", RECONNECT_MAX_MS);
        }
        for (key, value) in &self.credentials {
            config.set(*key, value);
        }
        config
    }
}

fn read_secret(file: &str) -> io::Result<String> {
    let mut text = String::new();
    File::open(file)?.take(SECRET_FILE_BYTES_MAX).read_to_string(&mut text)?;
    match text.lines().next() {
        Some(secret) if !secret.is_empty() => Ok(secret.to_owned()),
        _ => Err(io::Error::other("its first line is empty")),
    }
}

#[cfg(test)]
#[path = "client_config/tests.rs"]
mod tests;
