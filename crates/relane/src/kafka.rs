//! How a pipeline reaches Kafka.

use kafka_io::client_config::{ConfigError, KafkaSettings};
use service_kit::args::KafkaArgs;
use service_kit::environment;

use crate::error::Error;

/// How a pipeline reaches Kafka. Nothing is connected before the pipeline runs. It can be cloned for several pipelines.
#[derive(Debug, Clone)]
pub struct Kafka {
    pub(crate) settings: KafkaSettings,
    /// Nothing has said where the brokers are.
    pub(crate) is_default: bool,
}

/// Where a program without flags says where the brokers are.
const BROKERS: &str = "KAFKA_BOOTSTRAP_SERVERS";

impl Kafka {
    /// Goes by the environment. An empty variable counts as unset.
    ///
    /// | variable | what it says |
    /// |---|---|
    /// | `KAFKA_BOOTSTRAP_SERVERS` | brokers to start from, as `HOST:PORT`, separated by commas; by default `localhost:9092` |
    /// | `KAFKA_SECURITY_PROTOCOL` | `PLAINTEXT` (the default), `SSL`, `SASL_PLAINTEXT` or `SASL_SSL` |
    /// | `KAFKA_SASL_MECHANISM`, `KAFKA_SASL_USERNAME`, `KAFKA_SASL_PASSWORD` | the login |
    /// | `KAFKA_SSL_CA_LOCATION`, `KAFKA_SSL_CRL_LOCATION` | files with the authorities that may sign the brokers' certificates, and with those that are revoked |
    /// | `KAFKA_SSL_CERTIFICATE_LOCATION`, `KAFKA_SSL_KEY_LOCATION`, `KAFKA_SSL_KEYSTORE_LOCATION` | files with a certificate of one's own, and its key |
    /// | `KAFKA_SSL_KEY_PASSWORD`, `KAFKA_SSL_KEYSTORE_PASSWORD` | their passwords |
    ///
    /// Each password may be in a file instead: `KAFKA_SASL_PASSWORD_FILE` names it, and so for the others.
    ///
    /// # Errors
    ///
    /// Fails if a variable has a value that cannot be used, or is a slip of one that is not set, such as
    /// `KAFKA_BOOTSTRAP_SERVER`.
    pub fn from_env() -> Result<Self, Error> {
        environment::check_kafka()?;
        let args = KafkaArgs::from_variables(|name| std::env::var(name).ok());
        let is_default = args.bootstrap_server.is_none();
        let settings = settings(args.bootstrap_servers(), args.properties(), BROKERS)?;
        Ok(Self { settings, is_default })
    }

    /// Goes by these brokers, as `HOST:PORT`, separated by commas, and by librdkafka settings as key and value. Passwords come
    /// from the environment, as for [`from_env`](Self::from_env).
    ///
    /// ```
    /// let rack = ("client.rack".to_owned(), "eu-1a".to_owned());
    /// let kafka = relane::Kafka::new("a.example:9092,b.example:9092", [rack])?;
    /// # let _ = kafka;
    /// let no_group = ("group.id".to_owned(), "mine".to_owned());
    /// let error = relane::Kafka::new("a.example:9092", [no_group]).expect_err("the builder sets the group");
    /// assert!(error.is_setting);
    /// # Ok::<(), relane::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Fails if no broker is named, for a setting that is unknown or that delivery depends on, and for a password that cannot be
    /// read.
    pub fn new(
        bootstrap_servers: &str,
        properties: impl Into<Vec<(String, String)>>,
    ) -> Result<Self, Error> {
        let settings = settings(bootstrap_servers, properties.into(), "bootstrap_servers")?;
        Ok(Self { settings, is_default: false })
    }

    /// Why no broker can be used, and that nothing has said where they are, if so.
    pub(crate) fn explain(is_default: bool, error: Error) -> Error {
        if !is_default || error.is_setting {
            return error;
        }
        Error { message: format!("{BROKERS} is not set, and {}", error.message), ..error }
    }
}

/// The settings; `of` is where the brokers were named.
fn settings(
    servers: &str,
    properties: Vec<(String, String)>,
    of: &str,
) -> Result<KafkaSettings, Error> {
    let made = KafkaSettings::new("relane", servers, properties);
    made.and_then(KafkaSettings::with_credentials_from_env).map_err(|error| {
        // The error's own words name the flag of programs.
        Error::setting(match error {
            ConfigError::NoBroker => format!("{of} names no broker: name one as host:port"),
            ConfigError::Broker(bad) => format!("{of}: {bad}"),
            other => other.to_string(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_the_brokers_names_where_they_were_named_and_no_flag() {
        for (servers, told) in [
            ("", "KAFKA_BOOTSTRAP_SERVERS names no broker: name one as host:port"),
            ("http://a:1", "KAFKA_BOOTSTRAP_SERVERS: broker 1 of the list: write HOST:PORT"),
        ] {
            let error = settings(servers, vec![], BROKERS).expect_err("it is wrong");
            assert!(error.message.starts_with(told) && error.is_setting, "{error}");
            assert!(!error.message.contains("--"), "{error}");
        }
    }

    #[test]
    fn where_no_variable_names_the_brokers_and_none_answers_the_variable_is_named() {
        let away = Error { is_setting: false, ..Error::setting("no Kafka broker answers") };
        let told = Kafka::explain(true, away.clone());
        assert_eq!(told.message, "KAFKA_BOOTSTRAP_SERVERS is not set, and no Kafka broker answers");
        assert_eq!(Kafka::explain(false, away.clone()), away);
    }
}
