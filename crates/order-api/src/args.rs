//! Flags that the three paradigms share.

use std::path::{Path, PathBuf};

use clap::Args;
use orders::{Menu, SimulatedRefusals};
use serde::{Deserialize, Serialize};
use service_kit::exit::AppError;
use service_kit::units::{DurationArg, SecondsArg, finite};

/// Where the menu is looked for when nothing else is said: in the working directory, then in the folder
/// of the program.
const MENU_DEFAULT: &str = "config/menu.toml";
/// The menu where there is none.
const MENU_BUILT_IN: &str = include_str!("../../../config/menu.toml");

/// The menu.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize)]
pub struct CatalogueArgs {
    /// Items, their prices and their stock [default: config/menu.toml here or beside the program,
    /// else the built-in one]
    #[arg(long, env = "ORDER_MENU", value_name = "FILE", help_heading = "Orders")]
    pub menu: Option<PathBuf>,
}

impl CatalogueArgs {
    /// Reads the menu. Where no file is named it is found wherever the program is started from: the
    /// program carries one.
    ///
    /// # Errors
    ///
    /// Fails (exit code 2) if a file that was named is missing, or if the file is no menu.
    pub fn load(&self) -> Result<Menu, AppError> {
        let beside = std::env::current_exe().ok();
        let beside = beside.as_deref().and_then(Path::parent);
        let found = self.menu.clone().or_else(|| default_menu(Path::new(""), beside));
        let menu = match &found {
            Some(path) => order_store::menu_file::load(path),
            None => order_store::menu_file::parse("built into the program", MENU_BUILT_IN),
        };
        menu.map_err(|error| {
            AppError::usage(error.to_string()).hint("name another file with --menu")
        })
    }
}

/// The file of the menu that nobody named: here, or beside the program.
fn default_menu(here: &Path, beside: Option<&Path>) -> Option<PathBuf> {
    let folders = [Some(here), beside];
    let mut files = folders.into_iter().flatten().map(|folder| folder.join(MENU_DEFAULT));
    files.find(|file| file.is_file())
}

/// Trouble on request.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize)]
pub struct TroubleArgs {
    /// Time that inventory waits before each reservation [default: 0ms]
    #[arg(long, env = "INVENTORY_DELAY", value_name = "DURATION", help_heading = "Simulation")]
    pub inventory_delay: Option<DurationArg>,

    /// The same as --inventory-delay; a number without a unit is seconds [default: --inventory-delay]
    #[arg(long, env = "PROCESSING_DELAY", value_name = "DURATION", help_heading = "Simulation")]
    pub processing_delay: Option<SecondsArg>,

    /// Share of orders that inventory refuses, 0.0 to 1.0 [default: 0.0]
    #[arg(long, env = "INVENTORY_FAILURE_RATE", value_parser = finite, value_name = "SHARE", help_heading = "Simulation")]
    pub inventory_failure_rate: Option<f64>,

    /// Seed that decides which orders are refused [default: 42]
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
            inventory_delay: self
                .processing_delay
                .map_or(self.inventory_delay.unwrap_or_default().get(), SecondsArg::get),
            refusals: SimulatedRefusals { rate, seed },
            notification_delay: self.notification_delay.unwrap_or_default().get(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_menu_that_nobody_named_is_found_here_then_beside_the_program_then_in_it() {
        let (here, beside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let find = || default_menu(here.path(), Some(beside.path()));
        assert_eq!(find(), None);
        for folder in [&beside, &here] {
            let file = folder.path().join(MENU_DEFAULT);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, "tea = { price = 1.0 }").unwrap();
            assert_eq!(find(), Some(file));
        }
        let built_in = order_store::menu_file::parse("built in", MENU_BUILT_IN).unwrap();
        assert!(built_in.item("burger").is_some());
    }

    #[test]
    fn a_menu_that_was_named_must_be_there() {
        let menu = Some(PathBuf::from("/nowhere/menu.toml"));
        let error = CatalogueArgs { menu }.load().unwrap_err();
        assert_eq!(error.status().code(), 2);
        assert!(error.message().contains("/nowhere/menu.toml"), "{error}");
    }

    #[test]
    fn a_processing_delay_goes_before_an_inventory_delay_and_may_be_plain_seconds() {
        let delay = |inventory: &str, processing: Option<&str>| {
            let args = TroubleArgs {
                inventory_delay: Some(inventory.parse().unwrap()),
                processing_delay: processing.map(|text| text.parse().unwrap()),
                ..TroubleArgs::default()
            };
            args.check().unwrap().inventory_delay
        };
        assert_eq!(delay("3s", None), Duration::from_secs(3));
        assert_eq!(delay("3s", Some("1")), Duration::from_secs(1));
        assert_eq!(delay("3s", Some("5ms")), Duration::from_millis(5));
    }
}
