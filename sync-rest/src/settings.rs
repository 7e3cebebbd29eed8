//! Checked settings, made from what was written.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use codec::registry::RegistrySettings;
use order_api::args::Trouble;
use orders::Menu;
use reqwest::Url;
use service_kit::args::address;
use service_kit::exit::AppError;
use service_kit::http::Limits;
use service_kit::secret::{Secret, check_address};

use crate::flags::{Flags, ServiceArg};

/// Where everything listens when nothing else is said.
const ORDER_LISTEN: &str = "127.0.0.1:8001";
const INVENTORY_LISTEN: &str = "127.0.0.1:8002";
const NOTIFICATION_LISTEN: &str = "127.0.0.1:8003";

const DATA_DIR_DEFAULT: &str = "data/sync-rest";
const DEADLINE_DEFAULT: Duration = Duration::from_secs(5);
/// Longest deadline: a client that waits longer has long gone.
const DEADLINE_MAX: Duration = Duration::from_secs(300);

/// Checked settings.
#[derive(Debug)]
pub struct Settings {
    pub(crate) listen: Listen,
    pub(crate) data_dir: PathBuf,
    pub(crate) deadline: Duration,
    pub(crate) menu: Menu,
    pub(crate) trouble: Trouble,
    /// Share of attempts of inventory that fail.
    pub(crate) simulated_rate: f64,
    pub(crate) limits: Limits,
    pub(crate) registry: RegistrySettings,
    /// Waits for stores that another instance works with.
    pub(crate) is_standby: bool,
    /// Takes other stores of inventory and notification than before.
    pub(crate) accepts_other_stores: bool,
}

/// Which services are run, and where; what is not run is asked where it is.
#[derive(Debug)]
pub(crate) enum Listen {
    Order { at: SocketAddr, inventory: Url, notification: Url },
    Inventory(SocketAddr),
    Notification(SocketAddr),
    All { order: SocketAddr, inventory: SocketAddr, notification: SocketAddr },
}

impl Settings {
    /// Checks settings and fills in the defaults.
    ///
    /// # Errors
    ///
    /// Fails with exit code 2 and names the setting that is wrong.
    pub fn check(flags: Flags) -> Result<Self, AppError> {
        let deadline =
            flags.deadline.map_or(DEADLINE_DEFAULT, service_kit::units::DurationArg::get);
        if deadline.is_zero() || deadline > DEADLINE_MAX {
            let max_s = DEADLINE_MAX.as_secs();
            let text = format!("--deadline must be longer than 0 and at most {max_s}s");
            return Err(AppError::usage(text));
        }
        let simulated_rate = flags.simulate_failures.unwrap_or(0.0);
        if !(0.0..=1.0).contains(&simulated_rate) {
            let text = format!("--simulate-failures {simulated_rate} is not between 0.0 and 1.0");
            return Err(AppError::usage(text));
        }
        let registry = RegistrySettings::from_program(
            flags.registry.url(),
            flags.registry.schema_registry_ca_location.as_deref(),
        )
        .map_err(|error| AppError::usage(error.to_string()))?;
        Ok(Self {
            listen: listen(&flags)?,
            deadline,
            trouble: flags.trouble.check()?,
            simulated_rate,
            limits: flags.http.limits()?,
            registry,
            is_standby: flags.standby.unwrap_or(false),
            accepts_other_stores: flags.accept_other_stores.unwrap_or(false),
            // What can be checked without a file comes first.
            menu: flags.catalogue.load()?,
            data_dir: flags.data_dir.unwrap_or_else(|| PathBuf::from(DATA_DIR_DEFAULT)),
        })
    }
}

fn listen(flags: &Flags) -> Result<Listen, AppError> {
    let own = |default| address("--listen", flags.listen.as_deref(), default);
    let others = [
        ("--order-listen", &flags.order_listen),
        ("--inventory-listen", &flags.inventory_listen),
        ("--notification-listen", &flags.notification_listen),
    ];
    let urls = [
        ("--inventory-url", flags.inventory_url.is_some()),
        ("--notification-url", flags.notification_url.is_some()),
    ];
    let unused = |flags: &[(&str, bool)], why: &str| {
        let set = flags.iter().find(|(_, is_set)| *is_set);
        set.map_or(Ok(()), |(name, _)| Err(AppError::usage(format!("{name} {why}"))))
    };
    if flags.service == ServiceArg::All {
        unused(
            &[("--listen", flags.listen.is_some())],
            "is for one service; use --order-listen and so on",
        )?;
        unused(&urls, "is for `order` only; `all` starts its own services")?;
        let [order, inventory, notification] = others.map(|(name, value)| (name, value.as_deref()));
        return Ok(Listen::All {
            order: address(order.0, order.1, ORDER_LISTEN)?,
            inventory: address(inventory.0, inventory.1, INVENTORY_LISTEN)?,
            notification: address(notification.0, notification.1, NOTIFICATION_LISTEN)?,
        });
    }
    let others = others.map(|(name, value)| (name, value.is_some()));
    unused(&others, "is for `all`; one service takes --listen")?;
    if flags.service != ServiceArg::Order {
        unused(&urls, "is for `order`, which calls the others")?;
    }
    Ok(match flags.service {
        ServiceArg::Inventory => Listen::Inventory(own(INVENTORY_LISTEN)?),
        ServiceArg::Notification => Listen::Notification(own(NOTIFICATION_LISTEN)?),
        ServiceArg::Order | ServiceArg::All => Listen::Order {
            at: own(ORDER_LISTEN)?,
            inventory: url("--inventory-url", flags.inventory_url.as_ref(), INVENTORY_LISTEN)?,
            notification: url(
                "--notification-url",
                flags.notification_url.as_ref(),
                NOTIFICATION_LISTEN,
            )?,
        },
    })
}

/// Reads an address, which is not repeated: somebody may have written a login into it.
fn url(name: &str, given: Option<&Secret>, default: &str) -> Result<Url, AppError> {
    let default = format!("http://{default}");
    let text = given.map_or(default.as_str(), Secret::expose);
    let wrong = |detail: &str| {
        AppError::usage(format!("{name} is not the address of a service: {detail}"))
            .hint(format!("write for example {default}"))
    };
    check_address(text, &["http", "https"]).map_err(|fault| wrong(&fault.to_string()))?;
    let url = Url::parse(text).map_err(|_| wrong("it cannot be read"))?;
    if text.contains('@') {
        return Err(wrong("it has a user or password, which no service uses"));
    }
    if !["", "/"].contains(&url.path()) || url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("it has more than host and port"));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn checked(args: &[&str]) -> Result<Listen, AppError> {
        listen(&Flags::parse_from(["sync-rest"].iter().chain(args)))
    }

    #[test]
    fn one_service_takes_listen_and_all_takes_one_address_each() {
        let Ok(Listen::Inventory(at)) = checked(&["inventory", "--listen", "127.0.0.1:0"]) else {
            panic!("inventory is run");
        };
        assert_eq!(at.port(), 0);
        let Ok(Listen::All { order, inventory, .. }) =
            checked(&["all", "--order-listen", "127.0.0.1:1"])
        else {
            panic!("all are run");
        };
        assert_eq!((order.port(), inventory.port()), (1, 8002));
    }

    #[test]
    fn an_address_that_would_not_be_used_is_an_error() {
        for args in [
            ["all", "--listen", "127.0.0.1:0"],
            ["order", "--order-listen", "127.0.0.1:0"],
            ["inventory", "--notification-url", "http://127.0.0.1:1"],
            ["all", "--inventory-url", "http://127.0.0.1:1"],
            ["order", "--inventory-url", "127.0.0.1:1"],
            ["order", "--listen", "8001"],
        ] {
            assert_eq!(checked(&args).unwrap_err().status().code(), 2, "{args:?}");
        }
        for address in
            ["http://me:hunter2@h:1", "http://h:1/hunter2", "http://h:1?hunter2", "hunter2"]
        {
            let error = checked(&["order", "--inventory-url", address]).expect_err(address);
            assert!(!error.render("sync-rest").contains("hunter2"), "{error}");
        }
    }
}
