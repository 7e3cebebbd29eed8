//! Flags that several programs share, to be flattened into a program's settings struct with
//! `#[command(flatten)]` and `#[serde(flatten)]`.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::str::FromStr;

use clap::{Args, ValueEnum};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::exit::AppError;

mod connection;

pub use connection::{
    BOOTSTRAP_SERVERS_DEFAULT, KafkaArgs, OTHER_VARIABLES, RegistryArgs,
    SCHEMA_REGISTRY_URL_DEFAULT,
};

/// How logs are written.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize)]
pub struct LogArgs {
    /// Format of the logs on stderr; RUST_LOG sets what is logged [default: text]
    #[arg(long, env = "LOG_FORMAT", value_name = "FORMAT", help_heading = "Observability")]
    pub log_format: Option<LogFormat>,
}

impl LogArgs {
    /// Returns the form of the logs.
    #[must_use]
    pub fn format(&self) -> LogFormat {
        self.log_format.unwrap_or_default()
    }
}

/// Format of the logs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One line of text per event, for people.
    #[default]
    Text,
    /// One JSON object per event, for machines.
    Json,
}

pub use crate::http::HttpArgs;

/// Format of the results on stdout (`-o`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputFormat {
    /// For people.
    #[default]
    Table,
    /// One JSON value at the end.
    Json,
    /// One JSON object per line, as things happen.
    Jsonl,
}

/// Where metrics and health are served: `HOST:PORT` (port 0 lets the system choose), or `off`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetricsAddr {
    /// Nothing is served.
    Off,
    /// Served here.
    At(SocketAddr),
}

impl FromStr for MetricsAddr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::Off);
        }
        if let Ok(address) = text.parse() {
            return Ok(Self::At(address));
        }
        let explain = |detail: String| format!("'{text}' is neither HOST:PORT nor 'off': {detail}");
        let mut addresses = text.to_socket_addrs().map_err(|error| explain(error.to_string()))?;
        let first = addresses.next().ok_or_else(|| explain("no such host".to_owned()))?;
        Ok(Self::At(first))
    }
}

impl fmt::Display for MetricsAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::At(address) => write!(f, "{address}"),
        }
    }
}

impl Serialize for MetricsAddr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MetricsAddr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// Returns the address that the flag `name` gave, or the default.
///
/// # Errors
///
/// Fails with exit code 2 if it is no `HOST:PORT`, or there is no such host.
pub fn address(name: &str, given: Option<&str>, default: &str) -> Result<SocketAddr, AppError> {
    let text = given.unwrap_or(default);
    let wrong =
        |detail: &str| AppError::usage(format!("{name} '{text}' is not HOST:PORT: {detail}"));
    let mut found = text.to_socket_addrs().map_err(|error| wrong(&error.to_string()))?;
    found.next().ok_or_else(|| wrong("no such host"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metrics_address_is_an_address_a_host_name_or_off() {
        let parse = |text: &str| text.parse::<MetricsAddr>();
        assert_eq!(parse("off"), Ok(MetricsAddr::Off));
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        assert_eq!(parse("127.0.0.1:0"), Ok(MetricsAddr::At(address)));
        let Ok(MetricsAddr::At(local)) = parse("localhost:9464") else {
            panic!("localhost must resolve");
        };
        assert!(local.ip().is_loopback());
        assert!(parse("9464").unwrap_err().contains("HOST:PORT"));
    }
}
