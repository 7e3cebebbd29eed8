//! How a pipeline reaches Kafka.

use kafka_io::client_config::KafkaSettings;
use service_kit::args::KafkaArgs;

use crate::error::Error;

/// How a pipeline reaches Kafka.
#[derive(Debug, Clone)]
pub struct Kafka(pub(crate) KafkaSettings);

impl Kafka {
    /// Goes by the environment: `KAFKA_BOOTSTRAP_SERVERS` (`localhost:9092` where nothing is said),
    /// `KAFKA_SECURITY_PROTOCOL`, `KAFKA_SASL_MECHANISM`, `KAFKA_SASL_USERNAME`,
    /// `KAFKA_SASL_PASSWORD`, `KAFKA_SSL_CA_LOCATION` and their like.
    ///
    /// # Errors
    ///
    /// Fails if a variable has a value that cannot be used.
    pub fn from_env() -> Result<Self, Error> {
        let args = KafkaArgs::from_variables(|name| std::env::var(name).ok());
        Self::new(args.bootstrap_servers(), args.properties())
    }

    /// Goes by these brokers, separated by commas, and by librdkafka settings as key and value.
    /// Passwords come from the environment.
    ///
    /// # Errors
    ///
    /// Fails if no broker is named, or for a setting that is unknown or not to be changed.
    pub fn new(
        bootstrap_servers: &str,
        properties: impl Into<Vec<(String, String)>>,
    ) -> Result<Self, Error> {
        KafkaSettings::new("relane", bootstrap_servers, properties.into())
            .and_then(KafkaSettings::with_credentials_from_env)
            .map(Self)
            .map_err(|error| Error::setting(error.to_string()))
    }
}
