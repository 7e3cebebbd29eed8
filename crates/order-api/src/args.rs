//! Flags that the three paradigms share.

use std::path::{Path, PathBuf};

use clap::Args;
use orders::{Menu, SimulatedRefusals};
use serde::{Deserialize, Serialize};
use service_kit::exit::AppError;
use service_kit::units::{DurationArg, finite};

/// Where the menu is when nothing else is said.
const MENU_DEFAULT: &str = "config/menu.toml";

/// The menu.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize)]
pub struct CatalogueArgs {
    /// Items, their prices and their stock [default: config/menu.toml]
    #[arg(long, env = "ORDER_MENU", value_name = "FILE", help_heading = "Orders")]
    pub menu: Option<PathBuf>,
}

impl CatalogueArgs {
    /// Reads the menu.
    ///
    /// # Errors
    ///
    /// Fails (exit code 2) if the file is missing or is no menu.
    pub fn load(&self) -> Result<Menu, AppError> {
        let path = self.menu.as_deref().unwrap_or(Path::new(MENU_DEFAULT));
        order_store::menu_file::load(path).map_err(|error| {
            AppError::usage(error.to_string()).hint("name another file with --menu")
        })
    }
}

/// Trouble on request.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize)]
pub struct TroubleArgs {
    /// Time that inventory waits before each reservation [default: 0ms]
    #[arg(long, env = "INVENTORY_DELAY", value_name = "DURATION", help_heading = "Simulation")]
    pub inventory_delay: Option<DurationArg>,

    /// Share of orders that inventory refuses, 0.0 to 1.0 [default: 0.0]
    #[arg(long, env = "INVENTORY_FAILURE_RATE", value_parser = finite, value_name = "SHARE", help_heading = "Simulation")]
    pub inventory_failure_rate: Option<f64>,

    /// Seed of the formula that says which orders are refused [default: 42]
    #[arg(long, env = "FAILURE_SEED", value_name = "N", help_heading = "Simulation")]
    pub failure_seed: Option<u64>,

    /// Time that notification waits before each message [default: 0ms]
    #[arg(long, env = "NOTIFICATION_DELAY", value_name = "DURATION", help_heading = "Simulation")]
    pub notification_delay: Option<DurationArg>,
}

/// Trouble on request, checked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trouble {
    /// Time that inventory waits before each reservation.
    pub inventory_delay: std::time::Duration,
    /// Which orders inventory refuses.
    pub refusals: SimulatedRefusals,
    /// Time that notification waits before each message.
    pub notification_delay: std::time::Duration,
}

impl TroubleArgs {
    /// Checks it and fills in the defaults.
    ///
    /// # Errors
    ///
    /// Fails (exit code 2) if the share is not between 0 and 1.
    pub fn check(&self) -> Result<Trouble, AppError> {
        let rate = self.inventory_failure_rate.unwrap_or(0.0);
        if !(0.0..=1.0).contains(&rate) {
            let text = format!("--inventory-failure-rate {rate} is not between 0.0 and 1.0");
            return Err(AppError::usage(text));
        }
        let seed = self.failure_seed.unwrap_or(SimulatedRefusals::OFF.seed);
        Ok(Trouble {
            inventory_delay: self.inventory_delay.unwrap_or_default().get(),
            refusals: SimulatedRefusals { rate, seed },
            notification_delay: self.notification_delay.unwrap_or_default().get(),
        })
    }
}
