//! Flags of `orders topics`, as written and as checked.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use kafka_io::client_config::KafkaSettings;
use service_kit::args::{KafkaArgs, LogArgs, OutputFormat};
use service_kit::exit::AppError;
use service_kit::settings::nearest;
use service_kit::{settings, telemetry};

use super::declared::{self, Declared};
use super::error::TopicsError;
use crate::audit;

/// Where topics are declared if nothing else is said.
const FILE_DEFAULT: &str = "config/topics.toml";

/// Where the brokers are.
#[derive(Debug, Clone, Default, Args)]
pub struct Connection {
    /// Settings file [default: config/orders.toml, if it exists]
    #[arg(long, env = "ORDERS_CONFIG", value_name = "FILE", help_heading = "Connection")]
    pub config: Option<PathBuf>,

    /// Connection to Kafka.
    #[command(flatten)]
    pub kafka: KafkaArgs,

    /// Format of the logs.
    #[command(flatten)]
    pub log: LogArgs,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct Output {
    /// Format of the results on stdout [default: table]
    #[arg(long, short = 'o', env = "ORDERS_OUTPUT", value_name = "FORMAT", help_heading = "Run")]
    pub output: Option<OutputFormat>,
}

/// How a description is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lowercase")]
pub enum DescribeFormat {
    /// For people.
    #[default]
    Table,
    /// One JSON value.
    Json,
    /// One JSON object per topic.
    Jsonl,
    /// As 'orders topics apply -f FILE' reads it.
    Toml,
}

/// Topics that are declared.
#[derive(Debug, Clone, Default, Args)]
pub struct Which {
    /// Topics of the file to look at [default: all of them]
    #[arg(value_name = "TOPIC")]
    pub names: Vec<String>,

    /// File that declares topics [default: config/topics.toml]
    #[arg(long, short = 'f', value_name = "FILE", help_heading = "Run")]
    pub file: Option<PathBuf>,
}

impl Which {
    /// What the file declares of the topics that are meant.
    pub(super) fn declared(&self) -> Result<Vec<Declared>, TopicsError> {
        let file = self.file.as_deref().unwrap_or(Path::new(FILE_DEFAULT));
        let all = declared::read(file)?;
        let known = |name: &String| all.iter().any(|topic| topic.name == *name);
        if let Some(name) = self.names.iter().find(|name| !known(name)) {
            let near = nearest(name, all.iter().map(|topic| topic.name.as_str()));
            let (name, near) = (name.clone(), near.map(str::to_owned));
            return Err(TopicsError::Undeclared { file: file.display().to_string(), name, near });
        }
        let is_meant = |topic: &Declared| self.names.is_empty() || self.names.contains(&topic.name);
        Ok(all.into_iter().filter(is_meant).collect())
    }
}

/// Names of topics to delete: none that the file declares, and none of Kafka's own.
///
/// # Errors
///
/// Fails with the first that is not deleted, and why.
pub fn deletable(names: &[String], declared: &[Declared]) -> Result<BTreeSet<String>, TopicsError> {
    let kept = |name: &String, why| TopicsError::Kept { name: name.clone(), why };
    for name in names {
        if declared.iter().any(|topic| topic.name == *name) {
            return Err(kept(name, "the file declares it: take it out of the file first"));
        }
        if is_internal(name) {
            return Err(kept(name, "Kafka keeps its own state in it"));
        }
    }
    Ok(names.iter().cloned().collect())
}

/// Whether Kafka, or a tool beside it, keeps its own state in a topic.
#[must_use]
pub fn is_internal(name: &str) -> bool {
    name.starts_with("__")
}

impl Connection {
    /// Lays flags over the settings file, checks them, and sets up the logs.
    ///
    /// # Errors
    ///
    /// Fails with exit code 2 and names the setting that is wrong.
    pub fn load(
        &self,
        output: Option<OutputFormat>,
    ) -> Result<(KafkaSettings, OutputFormat), AppError> {
        // One file serves all subcommands. The audit's flags have every key that may stand in it.
        let flags = audit::Flags {
            kafka: self.kafka.clone(),
            log: self.log.clone(),
            output,
            ..audit::Flags::default()
        };
        let flags = settings::load("orders", self.config.as_deref(), flags)?;
        telemetry::init(flags.log.format());
        let kafka = audit::kafka_settings(&flags.kafka)?;
        Ok((kafka, flags.output.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_that_are_declared_or_kafkas_own_are_not_deleted() {
        let declared = declared::parse("[[topic]]\nname = \"a\"\npartitions = 1").expect("right");
        let names = |name: &str| [name.to_owned()];
        assert_eq!(deletable(&names("b"), &declared), Ok(BTreeSet::from(names("b"))));
        for (name, why) in [("a", "the file declares it"), ("__consumer_offsets", "own state")] {
            let error = deletable(&names(name), &declared).expect_err(name);
            assert!(error.to_string().contains(why), "{error}");
        }
    }

    #[test]
    fn a_name_that_the_file_does_not_declare_is_an_error_with_the_one_that_is_meant() {
        let dir = std::env::temp_dir().join(format!("orders-topics-{}", std::process::id()));
        std::fs::write(&dir, "[[topic]]\nname = \"orders-retry\"\npartitions = 1").expect("a file");
        let which = |name: &str| Which { names: vec![name.to_owned()], file: Some(dir.clone()) };
        assert_eq!(which("orders-retry").declared().map(|topics| topics.len()), Ok(1));
        let error = which("order-retry").declared().expect_err("there is none");
        std::fs::remove_file(&dir).expect("it was there");
        let TopicsError::Undeclared { near, .. } = error else { panic!("{error}") };
        assert_eq!(near.as_deref(), Some("orders-retry"));
    }
}
