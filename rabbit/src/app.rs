//! Puts the services together and runs them to their end.

use std::sync::Arc;

use codec::encode::Encoder;
use codec::registry::{Registry, value_subject};
use codec::resolver::{ResolverLimits, SchemaResolver};
use codec::scalar::AvroRecord;
use order_api::{Front, Orders};
use order_store::{Store, StoreError};
use service_kit::admin_http::Admin;
use service_kit::exit::AppError;
use service_kit::health::{HealthReport, HealthSource};
use service_kit::http::{Handler, Server};
use service_kit::metrics_recorder::Metrics;
use service_kit::shutdown::Shutdown;
use tokio::task::JoinSet;

use crate::consume::{Consuming, Shared, Work};
use crate::inventory::Inventory;
use crate::link::{ConnectError, Link, Purpose, Target};
use crate::notification::Notifications;
use crate::order::{Outcomes, PublishOrders};
use crate::publish::{Address, Publisher};
use crate::settings::Settings;
use crate::topology::{INVENTORY_DECIDED, NOTIFICATION_SENT, ORDER_PLACED};
use crate::web::{InventoryWeb, NotificationWeb};

/// Everything that services need to be started.
struct Parts {
    settings: Settings,
    registry: Registry,
    /// For messages.
    resolver: SchemaResolver,
    /// For orders over HTTP, whose clients wait.
    front_resolver: SchemaResolver,
    metrics: Metrics,
    /// A stop was asked for.
    stop: Shutdown,
    /// Everything that uses the broker has ended.
    links_stop: Shutdown,
}

type Services = JoinSet<Result<(), AppError>>;

/// Runs the services of one process until `stop`.
///
/// # Errors
///
/// Fails with exit code 1 if an address or a file is taken, a server is away at the start, or a
/// store fails.
pub async fn run(settings: Settings, metrics: Metrics, stop: Shutdown) -> Result<(), AppError> {
    let registry = Registry::new(settings.registry.clone())
        .map_err(|error| AppError::failed(error.to_string()))?;
    let handle = tokio::runtime::Handle::current();
    let parts = Parts {
        settings,
        resolver: SchemaResolver::with_limits(
            registry.clone(),
            handle.clone(),
            ResolverLimits::for_records(),
        ),
        front_resolver: SchemaResolver::new(registry.clone(), handle),
        registry,
        metrics,
        stop: stop.clone(),
        links_stop: Shutdown::new(),
    };
    let mut services = Services::new();
    let started = start_all(&parts, &mut services).await;
    // A service that ends by itself takes the others with it.
    let mut result = started;
    while let Some(ended) = services.join_next().await {
        let ended = ended
            .unwrap_or_else(|error| Err(AppError::failed(format!("a service ended: {error}"))));
        result = result.and(ended);
        if result.is_err() {
            stop.request();
        }
    }
    parts.links_stop.request();
    result
}

async fn start_all(parts: &Parts, services: &mut Services) -> Result<(), AppError> {
    let started = async {
        start_inventory(parts, services).await?;
        start_notification(parts, services).await?;
        start_order(parts, services).await
    };
    let result = started.await;
    if result.is_err() {
        parts.stop.request();
    }
    result
}

async fn start_inventory(parts: &Parts, services: &mut Services) -> Result<(), AppError> {
    let Some(at) = parts.settings.listen.inventory else { return Ok(()) };
    let (settings, trouble) = (&parts.settings, parts.settings.trouble);
    let store = parts.store("inventory.redb")?;
    let server = Server::bind("inventory", at, settings.limits).await?;
    let publisher = parts.publisher("inventory publishes").await?;
    let work = Inventory {
        store: store.clone(),
        menu: settings.menu.clone(),
        refusals: trouble.refusals,
        delay: trouble.inventory_delay,
        failures: settings.failures.clone(),
        resolver: parts.resolver.clone(),
        encoder: parts.encoder(INVENTORY_DECIDED).await?,
        publisher: publisher.clone(),
        decided: parts.address(INVENTORY_DECIDED),
    };
    let web = InventoryWeb { store: store.clone(), menu: settings.menu.clone() };
    parts.start(services, server, web, work, publisher, "inventory consumes", store).await
}

async fn start_notification(parts: &Parts, services: &mut Services) -> Result<(), AppError> {
    let Some(at) = parts.settings.listen.notification else { return Ok(()) };
    let settings = &parts.settings;
    let store = parts.store("notification.redb")?;
    let server = Server::bind("notification", at, settings.limits).await?;
    let publisher = parts.publisher("notification publishes").await?;
    let work = Notifications {
        store: store.clone(),
        delay: settings.trouble.notification_delay,
        failures: settings.failures.clone(),
        resolver: parts.resolver.clone(),
        encoder: parts.encoder(NOTIFICATION_SENT).await?,
        publisher: publisher.clone(),
        sent: parts.address(NOTIFICATION_SENT),
    };
    let web = NotificationWeb { store: store.clone() };
    parts.start(services, server, web, work, publisher, "notification consumes", store).await
}

async fn start_order(parts: &Parts, services: &mut Services) -> Result<(), AppError> {
    let Some(at) = parts.settings.listen.order else { return Ok(()) };
    let settings = &parts.settings;
    let store = parts.store("order.redb")?;
    let orders = Orders::new(store.clone());
    let server = Server::bind("order", at, settings.limits).await?;
    let publisher = parts.publisher("order publishes").await?;
    let paradigm = PublishOrders {
        publisher: publisher.clone(),
        placed: parts.address(ORDER_PLACED),
        encoder: parts.encoder(ORDER_PLACED).await?,
    };
    let front_resolver = parts.front_resolver.clone();
    let front = Front::new(paradigm, orders.clone(), settings.menu.clone(), front_resolver);
    let work = Outcomes { orders, resolver: parts.resolver.clone() };
    parts.start(services, server, front, work, publisher, "order consumes", store).await
}

impl Parts {
    fn store(&self, name: &str) -> Result<Store, AppError> {
        Store::open(&self.settings.data_dir.join(name)).map_err(|error| store_error(&error))
    }

    fn address(&self, key: &str) -> Address {
        Address::exchange(self.settings.broker.topology.exchange(), key)
    }

    fn target(&self, name: &'static str) -> Target {
        let broker = &self.settings.broker;
        Target { uri: broker.uri.clone(), topology: broker.topology.clone(), name }
    }

    async fn publisher(&self, name: &'static str) -> Result<Publisher, AppError> {
        let link = Link::open(self.target(name), Purpose::Publish, self.links_stop.clone()).await;
        link.map(Publisher::new).map_err(|error| connect_error(&error))
    }

    /// An encoder for what goes out under a routing key.
    async fn encoder<T: AvroRecord>(&self, key: &str) -> Result<Encoder<T>, AppError> {
        let subject = value_subject(&format!("{}.{key}", self.settings.broker.topology.exchange()));
        let registration = self.settings.registration;
        Encoder::connect(&self.registry, &subject, registration).await.map_err(|error| {
            AppError::failed(format!("schema of {subject}: {error}")).hint(error.start_hint())
        })
    }

    /// Starts one service: what it answers, and what it reads.
    #[expect(clippy::too_many_arguments, reason = "each is one part of a service")]
    async fn start<W: Work>(
        &self,
        services: &mut Services,
        server: Server,
        web: impl Handler,
        work: W,
        publisher: Publisher,
        reader: &'static str,
        store: Store,
    ) -> Result<(), AppError> {
        let purpose = Purpose::Consume { prefetch: self.settings.prefetch };
        let link = Link::open(self.target(reader), purpose, self.links_stop.clone())
            .await
            .map_err(|error| connect_error(&error))?;
        let health = ServiceHealth {
            publishes: publisher.link().clone(),
            consumes: link.clone(),
            resolvers: [self.resolver.clone(), self.front_resolver.clone()],
            store,
        };
        let admin = Admin::new(self.metrics.clone(), Arc::new(health));
        let shared = Shared {
            work,
            publisher,
            topology: self.settings.broker.topology.clone(),
            failures: self.settings.failures.clone(),
        };
        let consuming = Consuming { link, shared: Arc::new(shared) };
        let stop = self.stop.clone();
        services
            .spawn(async move { consuming.run(stop).await.map_err(|error| store_error(&error)) });
        let stop = self.stop.clone();
        services.spawn(async move {
            server.serve(web, admin, stop).await;
            Ok(())
        });
        Ok(())
    }
}

/// Ready while both connections stand, the registry answers, and the store can be written.
struct ServiceHealth {
    publishes: Link,
    consumes: Link,
    /// Of messages, and of orders over HTTP, whose clients wait.
    resolvers: [SchemaResolver; 2],
    store: Store,
}

impl HealthSource for ServiceHealth {
    fn live(&self) -> HealthReport {
        HealthReport::default()
    }

    fn ready(&self) -> HealthReport {
        let failed = "a change was not committed; start the service again";
        let store = self.store.has_failed().then(|| failed.to_owned());
        HealthReport::of_troubles([
            ("rabbitmq-publish", self.publishes.trouble()),
            ("rabbitmq-consume", self.consumes.trouble()),
            ("schema-registry", self.resolvers.iter().find_map(SchemaResolver::is_away)),
            ("store", store),
        ])
    }
}

pub(crate) fn connect_error(error: &ConnectError) -> AppError {
    let hint = if error.detail.contains("PRECONDITION") {
        "a queue or exchange of this name has other settings: delete it when it is empty, or choose another --prefix"
    } else {
        "start RabbitMQ (`cargo run --bin stack -- up`), or name another one with --rabbitmq-url"
    };
    AppError::failed(error.to_string()).hint(hint)
}

fn store_error(error: &StoreError) -> AppError {
    AppError::failed(error.to_string())
        .hint("end the other process that has it open, or choose another --data-dir")
}
