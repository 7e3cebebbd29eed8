//! Asks the registry, and says what failed.

use std::future::Future;
use std::path::{Path, PathBuf};

use clap::Args;
use codec::registry::{Registry, RegistryError, RegistrySettings};
use service_kit::args::{LogArgs, OutputFormat, RegistryArgs};
use service_kit::exit::AppError;
use service_kit::{settings, telemetry};
use tokio::runtime::Runtime;

use crate::audit::{self, Settings, runtime};

/// Where the registry is, and how results are printed.
#[derive(Debug, Clone, Default, Args)]
pub struct RegistryConnection {
    /// Settings file [default: config/orders.toml, if it exists]
    #[arg(long, env = "ORDERS_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,

    #[command(flatten)]
    registry: RegistryArgs,

    /// Format of the results on stdout [default: table]
    #[arg(long, short = 'o', env = "ORDERS_OUTPUT", value_name = "FORMAT", help_heading = "Run")]
    output: Option<OutputFormat>,

    #[command(flatten)]
    log: LogArgs,
}

impl RegistryConnection {
    /// Lays flags over the settings file, checks them, and sets up the logs.
    pub(super) fn open(&self) -> Result<(Asking, OutputFormat), AppError> {
        let Self { config, registry, output, log } = self.clone();
        let flags = audit::Flags { registry, output, log, ..audit::Flags::default() };
        let mut flags = settings::load("orders", config.as_deref(), flags)?;
        telemetry::init(flags.log.format());
        (flags.order, flags.dedupe) = (None, None);
        let output = flags.output.unwrap_or_default();
        Ok((Asking::new(Settings::check(&flags)?.registry)?, output))
    }
}

/// A registry that is asked one question after the other.
pub(super) struct Asking {
    pub(super) registry: Registry,
    pub(super) runtime: Runtime,
}

impl Asking {
    pub(super) fn new(settings: RegistrySettings) -> Result<Self, AppError> {
        let registry =
            Registry::new(settings).map_err(|error| AppError::usage(error.to_string()))?;
        Ok(Self { registry, runtime: runtime()? })
    }

    /// Asks, and waits for the answer.
    pub(super) fn ask<T>(
        &self,
        question: impl Future<Output = Result<T, RegistryError>>,
    ) -> Result<T, AppError> {
        self.runtime.block_on(question).map_err(|error| self.failed(&error))
    }

    /// As [`Self::ask`]; what the registry does not have is `None`.
    pub(super) fn find<T>(
        &self,
        question: impl Future<Output = Result<T, RegistryError>>,
    ) -> Result<Option<T>, AppError> {
        match self.runtime.block_on(question) {
            Ok(found) => Ok(Some(found)),
            Err(RegistryError::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed(&error)),
        }
    }

    fn failed(&self, error: &RegistryError) -> AppError {
        let failed = AppError::failed(format!("the schema registry: {error}"));
        match error {
            RegistryError::Away { cause, .. } => failed.hint(cause.hint()),
            RegistryError::NotFound { .. } => {
                failed.hint("'orders schema list' shows subjects and versions")
            }
            RegistryError::Incompatible { .. } => {
                failed.hint("'orders schema check FILE' shows what is incompatible")
            }
            RegistryError::Rejected { .. } => {
                failed.hint("the registry's answer says what is wrong with it")
            }
        }
    }
}

/// The text of a schema file.
pub(super) fn read_file(path: &Path) -> Result<String, AppError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| AppError::usage(format!("{} cannot be read: {error}", path.display())))?;
    serde_json::from_str::<serde_json::Value>(&text)
        .map_err(|error| AppError::usage(format!("{} is not JSON: {error}", path.display())))?;
    Ok(text)
}
