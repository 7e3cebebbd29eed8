//! librdkafka's settings: what the programs set themselves, what a user may add, what nobody may.
//!
//! A user adds settings with `-X key=value`. They pass an allow-list, because librdkafka's own list
//! holds keys that load code, read files, or silently end the delivery guarantees.

mod allow_list;
mod probe;

use std::fmt;

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::KafkaError;

pub use allow_list::{Refusal, allowed_keys};
pub use probe::{BROKER_PROBE_LIMIT, BrokersAway, probe_brokers};

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

// Credentials must not reach a log.
impl fmt::Debug for KafkaSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let credentials: Vec<&str> = self.credentials.iter().map(|(key, _)| *key).collect();
        f.debug_struct("KafkaSettings")
            .field("bootstrap_servers", &self.bootstrap_servers)
            .field("client_id", &self.client_id)
            .field("extra", &self.extra)
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
    /// A key of `-X` is not on the allow-list.
    #[error("-X {key} is not allowed: {refusal}; allowed are {}", allowed_keys())]
    Refused {
        /// The key.
        key: String,
        /// Why.
        refusal: Refusal,
    },
    /// librdkafka does not know the key or refuses the value.
    #[error("-X {key}={value}: {detail}")]
    BadValue {
        /// The key.
        key: String,
        /// The value.
        value: String,
        /// What librdkafka says.
        detail: String,
    },
    /// The file with the password cannot be read.
    #[error("KAFKA_SASL_PASSWORD_FILE {file} cannot be read: {source}")]
    PasswordFile {
        /// The file.
        file: String,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// Two sources give a password.
    #[error("KAFKA_SASL_PASSWORD and KAFKA_SASL_PASSWORD_FILE are both set; unset one of them")]
    TwoPasswords,
}

/// Environment variables that carry what must not stand on a command line.
const CREDENTIAL_VARIABLES: [(&str, &str); 4] = [
    ("KAFKA_SASL_USERNAME", "sasl.username"),
    ("KAFKA_SASL_PASSWORD", "sasl.password"),
    ("KAFKA_SSL_KEY_PASSWORD", "ssl.key.password"),
    ("KAFKA_SSL_KEYSTORE_PASSWORD", "ssl.keystore.password"),
];
const PASSWORD_FILE_VARIABLE: &str = "KAFKA_SASL_PASSWORD_FILE";

impl KafkaSettings {
    /// Checks what the user gave: brokers separated by commas, and settings as key and value.
    /// `client_id` (usually the program's name) is the default for `client.id`.
    ///
    /// Credentials come from the environment, see [`read_credentials`](Self::read_credentials).
    ///
    /// # Errors
    ///
    /// Fails if no broker is named, if a key is not on the allow-list, or if librdkafka refuses a
    /// value.
    pub fn new(
        client_id: &str,
        bootstrap_servers: &str,
        extra: Vec<(String, String)>,
    ) -> Result<Self, ConfigError> {
        let brokers =
            bootstrap_servers.split(',').map(str::trim).filter(|broker| !broker.is_empty());
        let bootstrap_servers = brokers.collect::<Vec<_>>().join(",");
        if bootstrap_servers.is_empty() {
            return Err(ConfigError::NoBroker);
        }
        for (key, value) in &extra {
            allow_list::check(key)
                .map_err(|refusal| ConfigError::Refused { key: key.clone(), refusal })?;
            check_value(key, value)?;
        }
        let client_id = client_id.to_owned();
        Ok(Self { bootstrap_servers, client_id, extra, credentials: Vec::new() })
    }

    /// Takes user name and passwords from the environment: `KAFKA_SASL_USERNAME`,
    /// `KAFKA_SASL_PASSWORD` or `KAFKA_SASL_PASSWORD_FILE` (its first line), `KAFKA_SSL_KEY_PASSWORD`
    /// and `KAFKA_SSL_KEYSTORE_PASSWORD`. An empty variable counts as unset.
    ///
    /// # Errors
    ///
    /// Fails if the password file cannot be read, or if there are both a password and a file.
    pub fn read_credentials(
        mut self,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        for (name, key) in CREDENTIAL_VARIABLES {
            if let Some(value) = set(name) {
                self.credentials.push((key, value));
            }
        }
        if let Some(file) = set(PASSWORD_FILE_VARIABLE) {
            if set("KAFKA_SASL_PASSWORD").is_some() {
                return Err(ConfigError::TwoPasswords);
            }
            let text = std::fs::read_to_string(&file)
                .map_err(|source| ConfigError::PasswordFile { file, source })?;
            let password = text.lines().next().unwrap_or_default().to_owned();
            self.credentials.push(("sasl.password", password));
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
                config.set(key, value);
            }
        }
        for (key, value) in &self.credentials {
            config.set(*key, value);
        }
        config
    }
}

/// Asks librdkafka itself, so that an unknown key or a bad value is found before anything connects.
fn check_value(key: &str, value: &str) -> Result<(), ConfigError> {
    let mut config = ClientConfig::new();
    config.set(key, value);
    let detail = match config.create_native_config() {
        Ok(_) => return Ok(()),
        Err(KafkaError::ClientConfig(_, detail, _, _)) => detail,
        Err(other) => other.to_string(),
    };
    Err(ConfigError::BadValue { key: key.to_owned(), value: value.to_owned(), detail })
}

#[cfg(test)]
#[path = "client_config/tests.rs"]
mod tests;
