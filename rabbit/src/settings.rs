//! Checked settings, made from what was written.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use amqp_io::address::uri as amqp_uri;
use amqp_io::limits::{DELAYS_MAX, PREFETCH_MAX};
use amqp_io::link::address as address_of;
use codec::registry::{Registration, RegistrySettings};
use lapin::uri::AMQPUri;
use order_api::args::Trouble;
use orders::Menu;
use pipeline::retry::RetryPlan;
use service_kit::args::address;
use service_kit::exit::AppError;
use service_kit::http::Limits;
use service_kit::secret::Secret;

use crate::failures::Failures;
use crate::flags::{BrokerArgs, ServiceFlags};
use crate::topology::Topology;

const RABBITMQ_URL_DEFAULT: &str = "amqp://guest:guest@localhost:5672/%2f";
const PREFIX_DEFAULT: &str = "orders";
const DATA_DIR_DEFAULT: &str = "data/rabbit";
const RETRY_DELAY_DEFAULT: Duration = Duration::from_secs(2);
const MAX_RETRIES_DEFAULT: u32 = 3;
const PREFETCH_DEFAULT: u16 = 64;
/// Where everything listens when nothing else is said.
const ORDER_LISTEN: &str = "127.0.0.1:8101";
const INVENTORY_LISTEN: &str = "127.0.0.1:8102";
const NOTIFICATION_LISTEN: &str = "127.0.0.1:8103";
/// Longest name that leaves room for the names of queues (AMQP: 255 bytes).
const PREFIX_CHARS_MAX: usize = 128;

/// Which services are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Services {
    /// One.
    Order,
    /// One.
    Inventory,
    /// One.
    Notification,
    /// All three.
    All,
}

/// Where services listen; `None` for those that are not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Listen {
    pub(crate) order: Option<SocketAddr>,
    pub(crate) inventory: Option<SocketAddr>,
    pub(crate) notification: Option<SocketAddr>,
}

/// What to do where another process works with the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhenInUse {
    /// End with an error.
    Refuse,
    /// Wait until it is free, and go on from there.
    StandBy,
}

/// The broker, and what it has.
#[derive(Clone)]
pub struct Broker {
    pub(crate) uri: AMQPUri,
    pub(crate) topology: Topology,
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The address carries a password.
        f.debug_struct("Broker").field("address", &address_of(&self.uri)).finish_non_exhaustive()
    }
}

/// Checked settings of services.
#[derive(Debug)]
pub struct Settings {
    pub(crate) broker: Broker,
    pub(crate) listen: Listen,
    pub(crate) data_dir: PathBuf,
    pub(crate) when_in_use: WhenInUse,
    pub(crate) menu: Menu,
    pub(crate) trouble: Trouble,
    pub(crate) failures: Failures,
    pub(crate) prefetch: u16,
    pub(crate) limits: Limits,
    pub(crate) registry: RegistrySettings,
    pub(crate) registration: Registration,
}

impl Broker {
    /// Checks what was written, and what the settings file adds.
    ///
    /// # Errors
    ///
    /// Fails with exit code 2 and names the setting that is wrong.
    pub fn load(config: Option<&Path>, broker: BrokerArgs) -> Result<Self, AppError> {
        let flags = ServiceFlags { broker, ..ServiceFlags::default() };
        Self::check(&service_kit::settings::load("rabbit", config, flags)?.broker)
    }

    fn check(args: &BrokerArgs) -> Result<Self, AppError> {
        let url = args.rabbitmq_url.as_ref().map_or(RABBITMQ_URL_DEFAULT, Secret::expose);
        let uri = amqp_uri(url)?;
        let prefix = args.prefix.as_deref().unwrap_or(PREFIX_DEFAULT);
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if prefix.is_empty() || prefix.len() > PREFIX_CHARS_MAX || !prefix.chars().all(is_allowed) {
            return Err(AppError::usage(format!(
                "--prefix '{prefix}' is not 1 to {PREFIX_CHARS_MAX} letters, digits and any of . _ -"
            )));
        }
        let delays = delays(args);
        if delays.len() > DELAYS_MAX {
            let text = format!("--retry-delay has more than {DELAYS_MAX} delays; each is a queue");
            return Err(AppError::usage(text));
        }
        Ok(Self { uri, topology: Topology::new(prefix, &delays) })
    }

    /// Exchange and queues.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }
}

fn delays(args: &BrokerArgs) -> Vec<Duration> {
    match &args.retry_delay {
        Some(delays) => delays.iter().map(|delay| delay.get()).collect(),
        None => vec![RETRY_DELAY_DEFAULT],
    }
}

impl Settings {
    /// Checks settings and fills in the defaults.
    ///
    /// # Errors
    ///
    /// Fails with exit code 2 and names the setting that is wrong.
    pub fn check(flags: ServiceFlags, services: Services) -> Result<Self, AppError> {
        let usage = |error: &dyn std::fmt::Display| AppError::usage(error.to_string());
        let trouble = flags.trouble.check()?;
        let plan = RetryPlan::new(
            flags.max_retries.unwrap_or(MAX_RETRIES_DEFAULT),
            delays(&flags.broker),
            0.0,
        )
        .map_err(|error| usage(&error))?;
        let simulated_rate = flags.simulate_failures.unwrap_or(0.0);
        if !(0.0..=1.0).contains(&simulated_rate) {
            let text = format!("--simulate-failures {simulated_rate} is not between 0.0 and 1.0");
            return Err(AppError::usage(text));
        }
        let prefetch = flags.prefetch.unwrap_or(PREFETCH_DEFAULT);
        if !(1..=PREFETCH_MAX).contains(&prefetch) {
            let text = format!("--prefetch {prefetch} is not between 1 and {PREFETCH_MAX}");
            return Err(AppError::usage(text));
        }
        let only_look_up = flags.no_register.unwrap_or(false);
        Ok(Self {
            broker: Broker::check(&flags.broker)?,
            listen: listen(&flags, services)?,
            menu: flags.catalogue.load()?,
            failures: Failures { plan, simulated_rate, seed: trouble.refusals.seed },
            trouble,
            prefetch,
            limits: flags.http.limits()?,
            registry: RegistrySettings::from_program(
                flags.registry.url(),
                flags.registry.schema_registry_ca_location.as_deref(),
            )
            .map_err(|error| AppError::usage(error.to_string()))?,
            registration: if only_look_up {
                Registration::LookUpOnly
            } else {
                Registration::Register
            },
            when_in_use: match flags.standby {
                Some(true) => WhenInUse::StandBy,
                _ => WhenInUse::Refuse,
            },
            data_dir: flags.data_dir.unwrap_or_else(|| PathBuf::from(DATA_DIR_DEFAULT)),
        })
    }
}

fn listen(flags: &ServiceFlags, services: Services) -> Result<Listen, AppError> {
    let named = [
        (Services::Order, "--order-listen", &flags.order_listen, ORDER_LISTEN),
        (Services::Inventory, "--inventory-listen", &flags.inventory_listen, INVENTORY_LISTEN),
        (
            Services::Notification,
            "--notification-listen",
            &flags.notification_listen,
            NOTIFICATION_LISTEN,
        ),
    ];
    if services == Services::All && flags.listen.is_some() {
        let text = "--listen is for one service; use --order-listen and so on";
        return Err(AppError::usage(text));
    }
    let mut all = [None; 3];
    for (at, (service, name, value, default)) in all.iter_mut().zip(named) {
        if services == Services::All {
            *at = Some(address(name, value.as_deref(), default)?);
        } else if value.is_some() {
            return Err(AppError::usage(format!("{name} is for `all`; use --listen")));
        } else if services == service {
            *at = Some(address("--listen", flags.listen.as_deref(), default)?);
        }
    }
    let [order, inventory, notification] = all;
    Ok(Listen { order, inventory, notification })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::flags::{Cli, Command};

    fn flags(args: &[&str]) -> ServiceFlags {
        match Cli::parse_from(["rabbit", "all"].iter().chain(args)).command {
            Command::All(flags) => flags,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_service_takes_listen_and_all_takes_one_address_each() {
        let one = listen(&flags(&["--listen", "127.0.0.1:0"]), Services::Inventory).unwrap();
        assert_eq!((one.inventory.unwrap().port(), one.order), (0, None));
        let all = listen(&flags(&["--order-listen", "127.0.0.1:1"]), Services::All).unwrap();
        assert_eq!((all.order.unwrap().port(), all.notification.unwrap().port()), (1, 8103));
        assert!(listen(&flags(&["--listen", "127.0.0.1:0"]), Services::All).is_err());
        assert!(listen(&flags(&["--order-listen", "127.0.0.1:0"]), Services::Order).is_err());
    }

    #[test]
    fn a_broker_has_an_address_a_prefix_and_few_delays() {
        let broker = |args: &[&str]| Broker::check(&flags(args).broker);
        let known = broker(&["--prefix", "shop", "--retry-delay", "1s,1m"]).unwrap();
        assert_eq!(known.topology.exchange(), "shop");
        for wrong in [
            ["--prefix", "a b"],
            ["--prefix", ""],
            ["--rabbitmq-url", "http://secret@localhost"],
            ["--rabbitmq-url", "amqp:me:secret@localhost"],
            ["--rabbitmq-url", "me:secret@localhost"],
            ["--rabbitmq-url", "amqp://me:12/secret@localhost"],
            ["--rabbitmq-url", "amqp://me:/secret@localhost"],
            ["--rabbitmq-url", "amqp://me:se?secret@localhost"],
            ["--rabbitmq-url", "amqp://me:x@localhost:secret"],
            ["--rabbitmq-url", "amqp://me:x@localhost/%ff?secret"],
            ["--rabbitmq-url", "amqp://localhost?auth_mechanism=secret"],
            ["--rabbitmq-url", "amqp://localhost?heartbeat=secret"],
            ["--retry-delay", "1s,2s,3s,4s,5s,6s,7s,8s,9s"],
        ] {
            let error = broker(&wrong).unwrap_err();
            assert_eq!(error.status().code(), 2, "{wrong:?}");
            assert!(!error.render("rabbit").contains("secret"), "{}", error.message());
        }
        let given = flags(&["--rabbitmq-url", "amqp://me:secret@localhost"]);
        let known = Broker::check(&given.broker).unwrap();
        assert!(!format!("{given:?} {known:?}").contains("secret"), "{known:?}");
    }
}
