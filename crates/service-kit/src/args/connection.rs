//! How to reach Kafka and the schema registry. Secrets are not among these: they come from the
//! environment or from files, see `kafka-io` and `codec`.

use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, FromArgMatches};
use serde::{Deserialize, Serialize};

use crate::secret::Secret;
use crate::settings::{KeyValue, pairs};

/// Where the brokers are when nothing else is said.
pub const BOOTSTRAP_SERVERS_DEFAULT: &str = "localhost:9092";

/// Where the schema registry is when nothing else is said.
pub const SCHEMA_REGISTRY_URL_DEFAULT: &str = "http://localhost:8081";

/// Variables that stand for one librdkafka setting each. `-X` and `KAFKA_PROPERTIES` outrank them,
/// and they outrank the settings file.
const KAFKA_VARIABLES: [(&str, &str); 8] = [
    ("KAFKA_SECURITY_PROTOCOL", "security.protocol"),
    ("KAFKA_SASL_MECHANISM", "sasl.mechanism"),
    ("KAFKA_SASL_USERNAME", "sasl.username"),
    ("KAFKA_SSL_CA_LOCATION", "ssl.ca.location"),
    ("KAFKA_SSL_CERTIFICATE_LOCATION", "ssl.certificate.location"),
    ("KAFKA_SSL_KEY_LOCATION", "ssl.key.location"),
    ("KAFKA_SSL_KEYSTORE_LOCATION", "ssl.keystore.location"),
    ("KAFKA_SSL_CRL_LOCATION", "ssl.crl.location"),
];

/// Variables that are read beside those of the flags: see `kafka-io`, `codec` and `otlp`,
/// and [`crate::telemetry`] for the last two.
pub const OTHER_VARIABLES: [&str; 27] = [
    "KAFKA_SECURITY_PROTOCOL",
    "KAFKA_SASL_MECHANISM",
    "KAFKA_SASL_USERNAME",
    "KAFKA_SSL_CA_LOCATION",
    "KAFKA_SSL_CERTIFICATE_LOCATION",
    "KAFKA_SSL_KEY_LOCATION",
    "KAFKA_SSL_KEYSTORE_LOCATION",
    "KAFKA_SSL_CRL_LOCATION",
    "KAFKA_SASL_PASSWORD",
    "KAFKA_SASL_PASSWORD_FILE",
    "KAFKA_SSL_KEY_PASSWORD",
    "KAFKA_SSL_KEY_PASSWORD_FILE",
    "KAFKA_SSL_KEYSTORE_PASSWORD",
    "KAFKA_SSL_KEYSTORE_PASSWORD_FILE",
    "SCHEMA_REGISTRY_BASIC_AUTH",
    "SCHEMA_REGISTRY_BASIC_AUTH_FILE",
    "SCHEMA_REGISTRY_TOKEN",
    "SCHEMA_REGISTRY_TOKEN_FILE",
    "OTEL_SERVICE_NAME",
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_HEADERS_FILE",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_SDK_DISABLED",
    "RUST_LOG",
    "NO_COLOR",
];

/// How to reach Kafka.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct KafkaArgs {
    /// Kafka bootstrap brokers, separated by commas.
    pub bootstrap_server: Option<String>,
    /// librdkafka settings, those of single variables included.
    #[serde(with = "pairs", default)]
    pub librdkafka: Option<Vec<KeyValue>>,
}

/// [`KafkaArgs`] as clap reads them.
#[derive(Args)]
struct KafkaFlags {
    /// Kafka bootstrap brokers, separated by commas [default: localhost:9092]
    #[arg(
        long,
        short = 'b',
        visible_alias = "brokers",
        alias = "bootstrap-servers",
        env = "KAFKA_BOOTSTRAP_SERVERS",
        value_name = "HOST:PORT",
        hide_env_values = true,
        help_heading = "Connection"
    )]
    bootstrap_server: Option<String>,

    /// librdkafka setting; may be repeated (in the environment: separated by ';'). These have their
    /// own environment variables: KAFKA_SECURITY_PROTOCOL, KAFKA_SASL_MECHANISM,
    /// KAFKA_SASL_USERNAME,
    /// KAFKA_SSL_CA_LOCATION, KAFKA_SSL_CERTIFICATE_LOCATION, KAFKA_SSL_KEY_LOCATION,
    /// KAFKA_SSL_KEYSTORE_LOCATION and KAFKA_SSL_CRL_LOCATION. Secrets come from
    /// KAFKA_SASL_PASSWORD, KAFKA_SSL_KEY_PASSWORD and KAFKA_SSL_KEYSTORE_PASSWORD only, or from
    /// the file that the same name with _FILE at its end names
    #[arg(
        short = 'X',
        long = "property",
        env = "KAFKA_PROPERTIES",
        value_delimiter = ';',
        value_name = "KEY=VALUE",
        hide_env_values = true,
        help_heading = "Connection"
    )]
    librdkafka: Option<Vec<Secret>>,
}

/// Reads what clap has split. clap would repeat what cannot be read, and that may be a secret.
fn pairs_of(settings: Vec<Secret>) -> Result<Vec<KeyValue>, clap::Error> {
    let pair = |(index, setting): (usize, Secret)| {
        setting.expose().parse::<KeyValue>().map_err(|detail| {
            let text = format!(
                "setting {} of -X (or of KAFKA_PROPERTIES, where ';' separates them) {detail}; it is \
                 not repeated here because it may be a secret\n",
                index + 1
            );
            clap::Error::raw(ErrorKind::ValueValidation, text)
        })
    };
    settings.into_iter().enumerate().map(pair).collect()
}

impl KafkaArgs {
    /// Reads what a program without flags goes by: `KAFKA_BOOTSTRAP_SERVERS`, and the variables that
    /// stand for one librdkafka setting each. An empty variable counts as unset.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        let brokers = variable("KAFKA_BOOTSTRAP_SERVERS").filter(|value| !value.is_empty());
        let mut args = Self { bootstrap_server: brokers, librdkafka: None };
        args.add_variables(variable);
        args
    }

    /// Returns the brokers to start from.
    #[must_use]
    pub fn bootstrap_servers(&self) -> &str {
        self.bootstrap_server.as_deref().unwrap_or(BOOTSTRAP_SERVERS_DEFAULT)
    }

    /// Returns the librdkafka settings as pairs of key and value, in the order given.
    #[must_use]
    pub fn properties(&self) -> Vec<(String, String)> {
        let pairs = self.librdkafka.iter().flatten();
        pairs.map(|pair| (pair.key.clone(), pair.value.clone())).collect()
    }

    /// Adds the settings of single variables that nothing of higher rank has set. An empty variable
    /// counts as unset.
    fn add_variables(&mut self, variable: impl Fn(&str) -> Option<String>) {
        for (name, key) in KAFKA_VARIABLES {
            let is_set = self.librdkafka.iter().flatten().any(|pair| is_same(&pair.key, key));
            if let (false, Some(value)) = (is_set, variable(name).filter(|v| !v.is_empty())) {
                let pair = KeyValue { key: key.to_owned(), value };
                self.librdkafka.get_or_insert_default().push(pair);
            }
        }
    }
}

/// Whether two keys name one setting: librdkafka knows the mechanism by two names.
fn is_same(written: &str, key: &str) -> bool {
    written == key || (written == "sasl.mechanisms" && key == "sasl.mechanism")
}

impl FromArgMatches for KafkaArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let KafkaFlags { bootstrap_server, librdkafka } = KafkaFlags::from_arg_matches(matches)?;
        let librdkafka = librdkafka.map(pairs_of).transpose()?;
        let mut args = Self { bootstrap_server, librdkafka };
        args.add_variables(|name| std::env::var(name).ok());
        Ok(args)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for KafkaArgs {
    fn augment_args(command: Command) -> Command {
        KafkaFlags::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        KafkaFlags::augment_args_for_update(command)
    }
}

/// How to reach the schema registry.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RegistryArgs {
    /// Confluent-compatible schema registry; several addresses are separated by commas.
    pub schema_registry_url: Option<Secret>,
    /// PEM file of the authorities that may sign its certificate.
    pub schema_registry_ca_location: Option<PathBuf>,
}

/// [`RegistryArgs`] as clap reads them.
#[derive(Args)]
struct RegistryFlags {
    /// Confluent-compatible schema registry [default: http://localhost:8081]. A login comes from
    /// SCHEMA_REGISTRY_BASIC_AUTH (user:password) or SCHEMA_REGISTRY_TOKEN, or from the file that
    /// the same name with _FILE at its end names
    // The address may carry a password, which --help must not show.
    #[arg(
        long,
        env = "SCHEMA_REGISTRY_URL",
        value_name = "URL",
        hide_env_values = true,
        help_heading = "Connection"
    )]
    schema_registry_url: Option<Secret>,

    /// PEM file of the authorities that may sign the registry's certificate [default: those of
    /// the system]
    #[arg(
        long,
        env = "SCHEMA_REGISTRY_CA_LOCATION",
        value_name = "FILE",
        help_heading = "Connection"
    )]
    schema_registry_ca_location: Option<PathBuf>,
}

impl RegistryArgs {
    /// Returns the addresses of the registry, unchecked: they may hold a password.
    #[must_use]
    pub fn url(&self) -> &str {
        self.schema_registry_url.as_ref().map_or(SCHEMA_REGISTRY_URL_DEFAULT, Secret::expose)
    }
}

impl FromArgMatches for RegistryArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let flags = RegistryFlags::from_arg_matches(matches)?;
        let is_flag = matches.value_source("schema_registry_url") == Some(ValueSource::CommandLine);
        let url = flags.schema_registry_url;
        // An '@' stands in an address only behind a user or password.
        if is_flag && url.as_ref().is_some_and(|url| url.expose().contains('@')) {
            return Err(clap::Error::raw(
                ErrorKind::ValueValidation,
                "--schema-registry-url must not hold a user or password: everyone on the machine \
                 could read it; use SCHEMA_REGISTRY_BASIC_AUTH, SCHEMA_REGISTRY_BASIC_AUTH_FILE or \
                 SCHEMA_REGISTRY_URL in the environment\n",
            ));
        }
        let ca = flags.schema_registry_ca_location;
        Ok(Self { schema_registry_url: url, schema_registry_ca_location: ca })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for RegistryArgs {
    fn augment_args(command: Command) -> Command {
        RegistryFlags::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        RegistryFlags::augment_args_for_update(command)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Flags {
        #[command(flatten)]
        kafka: KafkaArgs,
        #[command(flatten)]
        registry: RegistryArgs,
    }

    fn flags(args: &[&str]) -> Result<Flags, clap::Error> {
        Flags::try_parse_from([&["test"], args].concat())
    }

    #[test]
    fn every_variable_that_stands_for_a_setting_is_known_and_told_by_help() {
        let help = <Flags as clap::CommandFactory>::command().render_long_help().to_string();
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        for (name, _) in KAFKA_VARIABLES {
            assert!(OTHER_VARIABLES.contains(&name), "{name}");
        }
        // Those of tracing stand in the help of `otlp`.
        let here = OTHER_VARIABLES.iter().filter(|name| !name.starts_with("OTEL_"));
        for name in here.filter(|name| !name.ends_with("_FILE")) {
            assert!(help.contains(name) || ["RUST_LOG", "NO_COLOR"].contains(name), "{name}");
        }
    }

    #[test]
    fn a_setting_of_another_form_is_not_repeated_wherever_it_stands() {
        let error = flags(&["-X", "linger.ms=5", "-X", "sasl.password hunter2"]).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("setting 2 of -X") && text.contains("key=value"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
        let kafka = flags(&["-X", "a=hunter2"]).unwrap().kafka;
        assert!(!format!("{kafka:?}").contains("hunter2"), "{kafka:?}");
    }

    #[test]
    fn a_variable_sets_what_no_flag_has_set() {
        let mut kafka = flags(&["-X", "security.protocol=SSL", "-X", "sasl.mechanisms=PLAIN"])
            .expect("right")
            .kafka;
        kafka.add_variables(|name| match name {
            "KAFKA_SECURITY_PROTOCOL" => Some("SASL_SSL".to_owned()),
            "KAFKA_SASL_MECHANISM" => Some("SCRAM-SHA-512".to_owned()),
            "KAFKA_SSL_CA_LOCATION" => Some("/ca.pem".to_owned()),
            "KAFKA_SSL_KEY_LOCATION" => Some(String::new()),
            _ => None,
        });
        let expected = [
            ("security.protocol", "SSL"),
            ("sasl.mechanisms", "PLAIN"),
            ("ssl.ca.location", "/ca.pem"),
        ];
        assert_eq!(kafka.properties(), expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
    }

    #[test]
    fn a_login_in_an_address_on_the_command_line_is_refused_and_not_repeated() {
        for url in [
            "http://me:hunter2@a:1",
            "http://a:1,https://hunter2@b/v7",
            "me:hunter2@a",
            "http://me:1,hunter2@a:1",
            "http://me:1/hunter2@a:1",
            "http://me:1?hunter2@a:1",
        ] {
            let error = flags(&["--schema-registry-url", url]).expect_err(url);
            let text = error.to_string();
            assert!(text.contains("SCHEMA_REGISTRY_BASIC_AUTH"), "{text}");
            assert!(!text.contains("hunter2"), "{text}");
            assert_eq!(error.exit_code(), 2);
        }
        for url in ["http://a:1/v7,http://b:2", "https://b"] {
            assert_eq!(flags(&["--schema-registry-url", url]).expect(url).registry.url(), url);
        }
    }

    #[test]
    fn the_address_of_the_registry_is_in_no_text_of_the_settings() {
        let url = Secret::from("http://me:hunter2@a:1".to_owned());
        let args = RegistryArgs { schema_registry_url: Some(url), ..RegistryArgs::default() };
        assert!(!format!("{args:?}").contains("hunter2"), "{args:?}");
    }
}
