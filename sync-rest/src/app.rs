//! Puts the services together and runs them to their end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use codec::registry::Registry;
use codec::resolver::SchemaResolver;
use order_api::status::Status;
use order_api::{Front, Orders, watch_registry};
use order_store::{Store, StoreError};
use reqwest::Url;
use service_kit::admin_http::Admin;
use service_kit::exit::AppError;
use service_kit::health::{Conditions, HealthReport, HealthSource};
use service_kit::http::{Routes, Server};
use service_kit::metrics_recorder::Metrics;
use service_kit::output;
use service_kit::shutdown::Shutdown;
use service_kit::unavailable::of_process;
use tokio::task::JoinSet;

use crate::answers;
use crate::downstream::Downstream;
use crate::failures::Failures;
use crate::identity::{self, Met, named};
use crate::inventory::Inventory;
use crate::metrics::STATUS;
use crate::notification::Notification;
use crate::order::AskBoth;
use crate::reservations::Reservations;
use crate::settings::{Listen, Settings};

/// A service that had this share of an order's deadline and did not answer is slow.
const FAIR_SHARE_OF_DEADLINE: u32 = 2;

/// Longest time from the request to stop to the end; what is not done by then is left undone.
const STOP_MAX: Duration = Duration::from_millis(9_500);

/// How long a stop waits for orders that are seen to in the background.
const BACKGROUND_MAX_WHEN_STOPPED: Duration = Duration::from_secs(1);

/// How often a standby looks whether the store has become free.
const STANDBY_LOOK_EVERY: Duration = Duration::from_millis(200);

/// The services of one process, bound and not yet serving.
pub struct App {
    order: Option<(Server, Routes, AskBoth, SchemaResolver)>,
    inventory: Option<(Server, Routes)>,
    notification: Option<(Server, Routes)>,
    metrics: Metrics,
}

impl App {
    /// Opens what is stored and binds the addresses. A standby waits for its stores, without end.
    ///
    /// # Errors
    ///
    /// Fails with exit code 1 if an address or a file is taken.
    pub async fn bind(settings: Settings, metrics: Metrics) -> Result<Self, AppError> {
        let mut app = Self { order: None, inventory: None, notification: None, metrics };
        match &settings.listen {
            Listen::Inventory(at) => app.bind_inventory(&settings, *at).await?,
            Listen::Notification(at) => app.bind_notification(&settings, *at).await?,
            Listen::Order { at, inventory, notification } => {
                app.bind_order(&settings, *at, inventory.clone(), notification.clone()).await?;
            }
            Listen::All { order, inventory, notification } => {
                app.bind_inventory(&settings, *inventory).await?;
                app.bind_notification(&settings, *notification).await?;
                let inventory = app.inventory.as_ref().map(|(server, _)| server.address());
                let notification = app.notification.as_ref().map(|(server, _)| server.address());
                let (inventory, notification) = (url_of(inventory)?, url_of(notification)?);
                app.bind_order(&settings, *order, inventory, notification).await?;
            }
        }
        Ok(app)
    }

    /// Serves until `stop` is requested and what was begun is answered, and prints what was done.
    ///
    /// # Errors
    ///
    /// If a service ended by itself.
    pub async fn run(self, stop: Shutdown) -> Result<(), AppError> {
        let Self { order, inventory, notification, metrics } = self;
        let status = Status::new(metrics.clone(), STATUS);
        let mut services = JoinSet::new();
        let always_ready: Arc<dyn HealthSource> = Arc::new(Conditions::new());
        // The order service drains first, since it needs the other two for what it has begun.
        let others_stop = Shutdown::new();
        let mut others = JoinSet::new();
        for (server, routes) in inventory.into_iter().chain(notification) {
            let admin = Admin::new(metrics.clone(), Arc::clone(&always_ready));
            others.spawn(server.serve(routes, admin, others_stop.clone()));
        }
        let mut paradigm = None;
        if let Some((server, routes, asks, resolver)) = order {
            paradigm = Some(asks.clone());
            let (mender, until) = (asks.clone(), stop.clone());
            services.spawn(async move { mender.mend(until).await });
            let until = stop.clone();
            services.spawn(async move { asks.look_for_services(until).await });
            services.spawn(watch_registry(vec![resolver], stop.clone()));
            let health: Arc<dyn HealthSource> = Arc::new(OrderHealth);
            status.watch(&health);
            services.spawn(server.serve(routes, Admin::new(metrics, health), stop.clone()));
        }
        let lines = status.clone().log(stop.clone());
        lines.await;
        let leave_at = Instant::now() + STOP_MAX;
        join(&mut services).await?;
        if let Some(paradigm) = paradigm {
            paradigm.finish(BACKGROUND_MAX_WHEN_STOPPED).await;
        }
        others_stop.request();
        match tokio::time::timeout_at(leave_at.into(), join(&mut others)).await {
            Ok(joined) => joined?,
            Err(_elapsed) => {
                tracing::warn!("stopped before inventory and notification were done");
            }
        }
        output::text(&status.table())
    }

    async fn bind_order(
        &mut self,
        settings: &Settings,
        at: SocketAddr,
        inventory: Url,
        notification: Url,
    ) -> Result<(), AppError> {
        let store = open(settings, "order.redb").await?;
        let inventory = downstream("inventory", inventory, settings, &store).await?;
        let notification = downstream("notification", notification, settings, &store).await?;
        let orders = Orders::new(store);
        let registry = Registry::new(settings.registry.clone())
            .map_err(|error| AppError::failed(error.to_string()))?;
        let resolver = SchemaResolver::new(registry, tokio::runtime::Handle::current());
        let paradigm = AskBoth::new(inventory, notification, orders.clone(), settings.deadline);
        let server = Server::bind("order", at, settings.limits).await?;
        let asks = paradigm.clone();
        let front = Front::new(paradigm, orders, settings.menu.clone(), resolver.clone());
        let routes = front.routes().and(answers::openapi());
        self.order = Some((server, routes, asks, resolver));
        Ok(())
    }

    async fn bind_inventory(
        &mut self,
        settings: &Settings,
        at: SocketAddr,
    ) -> Result<(), AppError> {
        let store = open(settings, "inventory.redb").await?;
        let name = identity::name_of(&store).await.map_err(failed)?;
        let trouble = settings.trouble;
        let reservations = Reservations::new(store, settings.menu.clone(), trouble.refusals);
        let server = Server::bind("inventory", at, settings.limits).await?;
        let failures = Failures::new(settings.simulated_rate, trouble.refusals.seed);
        let inventory = Inventory::new(reservations, failures, trouble.inventory_delay);
        self.inventory = Some((server, named(inventory.routes(), &name)));
        Ok(())
    }

    async fn bind_notification(
        &mut self,
        settings: &Settings,
        at: SocketAddr,
    ) -> Result<(), AppError> {
        let store = open(settings, "notification.redb").await?;
        let name = identity::name_of(&store).await.map_err(failed)?;
        let server = Server::bind("notification", at, settings.limits).await?;
        let notification = Notification::new(store, settings.trouble.notification_delay);
        self.notification = Some((server, named(notification.routes(), &name)));
        Ok(())
    }
}

async fn join(services: &mut JoinSet<()>) -> Result<(), AppError> {
    while let Some(ended) = services.join_next().await {
        ended.map_err(|error| AppError::failed(format!("a service ended by itself: {error}")))?;
    }
    Ok(())
}

async fn downstream(
    name: &'static str,
    url: Url,
    settings: &Settings,
    store: &Store,
) -> Result<Downstream, AppError> {
    let met =
        Met::load(store.clone(), name, settings.accepts_other_stores).await.map_err(failed)?;
    Downstream::new(name, url, met, settings.deadline / FAIR_SHARE_OF_DEADLINE)
        .map_err(|error| AppError::failed(format!("no HTTP client for {name}: {error}")))
}

/// Opens a store; a standby waits for it as long as another instance has it.
async fn open(settings: &Settings, name: &str) -> Result<Store, AppError> {
    let path = settings.data_dir.join(name);
    let mut is_told = false;
    loop {
        match Store::open(&path) {
            Err(StoreError::InUse { path }) if settings.is_standby => {
                if !is_told {
                    tracing::info!(path, "on standby: another instance uses this store");
                    is_told = true;
                }
                tokio::time::sleep(STANDBY_LOOK_EVERY).await;
            }
            Err(error @ StoreError::InUse { .. }) => {
                let hint =
                    "choose another folder with --data-dir, or wait for this one with --standby";
                return Err(failed(error).hint(hint));
            }
            opened => {
                return opened.map_err(|error| failed(error).hint("--data-dir names the folder"));
            }
        }
    }
}

fn failed(error: StoreError) -> AppError {
    AppError::failed(error.to_string())
}

fn url_of(address: Option<SocketAddr>) -> Result<Url, AppError> {
    let address = address.ok_or_else(|| AppError::failed("a service is not bound"))?;
    Url::parse(&format!("http://{address}"))
        .map_err(|error| AppError::failed(format!("{address} makes no URL: {error}")))
}

/// Ready while both other services answer, and the registry as far as it is asked.
struct OrderHealth;

impl HealthSource for OrderHealth {
    fn live(&self) -> HealthReport {
        HealthReport::default()
    }

    fn ready(&self) -> HealthReport {
        HealthReport { reasons: of_process().reasons() }
    }
}
