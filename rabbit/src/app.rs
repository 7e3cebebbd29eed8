//! Puts the services together and runs them to their end.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use amqp_io::address::cannot_connect;
use amqp_io::consume::{Consuming, Shared, Work};
use amqp_io::failing::Failing;
use amqp_io::link::{ConnectError, Link, Purpose, Target};
use amqp_io::metrics::{begin, begin_queue};
use amqp_io::publish::{Address, Publisher};
use amqp_io::topology::QueuePlan;
use codec::encode::Encoder;
use codec::registry::{Registry, value_subject};
use codec::resolver::{ResolverLimits, SchemaResolver};
use codec::scalar::AvroRecord;
use order_api::status::Status;
use order_api::{Front, Orders, watch_registry};
use order_store::{Store, StoreError};
use service_kit::admin_http::Admin;
use service_kit::exit::AppError;
use service_kit::health::{HealthReport, HealthSource};
use service_kit::http::{Routes, Server};
use service_kit::metrics_recorder::Metrics;
use service_kit::output;
use service_kit::shutdown::Shutdown;
use service_kit::unavailable::of_process;
use tokio::task::JoinSet;

use crate::events::{Events, Reader};
use crate::failures::store_error;
use crate::former::take_over;
use crate::inventory::Inventory;
use crate::metrics;
use crate::notification::{Notifications, Teller};
use crate::order::PublishOrders;
use crate::owner::{WaitingHealth, name_of, wait_for, waiting};
use crate::settings::{Settings, WhenInUse};
use crate::topology::{INVENTORY_DECIDED, NOTIFICATION_SENT, ORDER_PLACED, WorkQueue};
use crate::web::{self, InventoryWeb, NotificationWeb};

/// Everything that services need to be started.
struct Parts {
    settings: Settings,
    registry: Registry,
    /// For messages.
    resolver: SchemaResolver,
    /// For orders over HTTP, whose clients wait.
    front_resolver: SchemaResolver,
    metrics: Metrics,
    status: Status,
    /// A stop was asked for.
    stop: Shutdown,
    /// Everything that uses the broker has ended.
    links_stop: Shutdown,
}

/// What a service does until it is asked to stop.
type Task = Pin<Box<dyn Future<Output = Result<(), AppError>> + Send>>;

/// The parts of one service that only one store has, and what stands before it.
struct Kept {
    store: Store,
    server: Server,
    queue: WorkQueue,
    owner: Option<QueuePlan>,
}

/// A service's connections, and what becomes of messages that fail.
struct Wired {
    consumes: Link,
    failing: Failing,
}

/// Runs the services of one process until `stop`, and prints what they did.
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
        status: Status::new(metrics.clone(), metrics::STATUS),
        metrics,
        stop: stop.clone(),
        links_stop: Shutdown::new(),
    };
    let resolvers = vec![parts.resolver.clone(), parts.front_resolver.clone()];
    let watching = tokio::spawn(watch_registry(resolvers, parts.links_stop.clone()));
    let lines = tokio::spawn(parts.status.clone().log(stop.clone()));
    let mut services: JoinSet<Result<(), AppError>> = JoinSet::new();
    let started = start_all(&parts).await.map(|tasks| {
        for task in tasks {
            services.spawn(task);
        }
    });
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
    let _is_over = watching.await;
    lines.abort();
    result?;
    output::text(&parts.status.table())
}

async fn start_all(parts: &Parts) -> Result<Vec<Task>, AppError> {
    // Beside each other: each may have to wait for its store.
    let started =
        tokio::try_join!(start_inventory(parts), start_notification(parts), start_order(parts));
    if started.is_err() {
        parts.stop.request();
    }
    let (inventory, notification, order) = started?;
    Ok([inventory, notification, order].into_iter().flatten().collect())
}

async fn start_inventory(parts: &Parts) -> Result<Vec<Task>, AppError> {
    let Some(at) = parts.settings.listen.inventory else { return Ok(Vec::new()) };
    let (settings, trouble) = (&parts.settings, parts.settings.trouble);
    let queue = WorkQueue::Inventory;
    let Some(kept) = parts.keep("inventory", at, queue).await? else { return Ok(Vec::new()) };
    let wired = parts.wire(&kept, "inventory publishes", "inventory consumes").await?;
    let work = Inventory {
        store: kept.store.clone(),
        menu: settings.menu.clone(),
        refusals: trouble.refusals,
        delay: trouble.inventory_delay,
        failures: settings.failures.clone(),
        resolver: parts.resolver.clone(),
        encoder: parts.encoder(INVENTORY_DECIDED).await?,
        publisher: wired.failing.publisher.clone(),
        decided: parts.address(INVENTORY_DECIDED),
    };
    let web = InventoryWeb { store: kept.store.clone(), menu: settings.menu.clone() };
    let routes = web::inventory().with_state(Arc::new(web));
    Ok(vec![parts.consumes(&wired, work), parts.serves(kept, routes, wired)])
}

async fn start_notification(parts: &Parts) -> Result<Vec<Task>, AppError> {
    let Some(at) = parts.settings.listen.notification else { return Ok(Vec::new()) };
    let settings = &parts.settings;
    let queue = WorkQueue::Notification;
    let Some(kept) = parts.keep("notification", at, queue).await? else { return Ok(Vec::new()) };
    let wired = parts.wire(&kept, "notification publishes", "notification consumes").await?;
    let work = Notifications {
        failures: settings.failures.clone(),
        resolver: parts.resolver.clone(),
        encoder: parts.encoder(NOTIFICATION_SENT).await?,
        teller: Teller::new(
            kept.store.clone(),
            settings.trouble.notification_delay,
            wired.failing.publisher.clone(),
            parts.address(NOTIFICATION_SENT),
        ),
    };
    let web = NotificationWeb { store: kept.store.clone() };
    let routes = web::notification().with_state(Arc::new(web));
    Ok(vec![parts.consumes(&wired, work), parts.serves(kept, routes, wired)])
}

async fn start_order(parts: &Parts) -> Result<Vec<Task>, AppError> {
    let Some(at) = parts.settings.listen.order else { return Ok(Vec::new()) };
    let settings = &parts.settings;
    let queue = WorkQueue::Outcomes;
    let Some(kept) = parts.keep("order", at, queue).await? else { return Ok(Vec::new()) };
    let wired = parts.wire(&kept, "order publishes", "order consumes").await?;
    let orders = Orders::new(kept.store.clone());
    let paradigm = PublishOrders {
        publisher: wired.failing.publisher.clone(),
        placed: parts.address(ORDER_PLACED),
        events: Address::queue(settings.broker.topology.queue(WorkQueue::Outcomes)),
        encoder: parts.encoder(ORDER_PLACED).await?,
    };
    let front_resolver = parts.front_resolver.clone();
    let front = Front::new(paradigm, orders.clone(), settings.menu.clone(), front_resolver);
    let resolver = parts.resolver.clone();
    let (store, failing) = (kept.store.clone(), wired.failing.clone());
    let reader = Arc::new(Reader { orders, store, resolver, failing });
    let takes_over = parts.takes_over("order takes over", Arc::clone(&reader));
    let events = Events { link: wired.consumes.clone(), reader };
    let stop = parts.stop.clone();
    let reads: Task =
        Box::pin(async move { events.run(stop).await.map_err(|error| store_error(&error)) });
    Ok(vec![reads, takes_over, parts.serves(kept, front.routes(), wired)])
}

impl Parts {
    /// Binds a service's address and opens its store, and waits for it where that is asked for;
    /// `None` if a stop comes first.
    async fn keep(
        &self,
        name: &'static str,
        at: SocketAddr,
        queue: WorkQueue,
    ) -> Result<Option<Kept>, AppError> {
        let server = Server::bind(name, at, self.settings.limits).await?;
        let path = self.settings.data_dir.join(format!("{name}.redb"));
        let opened = match Store::open(&path) {
            Err(StoreError::InUse { path: file })
                if self.settings.when_in_use == WhenInUse::StandBy =>
            {
                tracing::info!(file, "another instance uses the store; this one waits");
                let health = WaitingHealth { folder: file };
                let admin = Admin::new(self.metrics.clone(), Arc::new(health));
                let waiting = (server.twin()?, waiting_routes(queue));
                wait_for(|| Store::open(&path), waiting, admin, &self.stop).await
            }
            opened => opened.map(Some),
        };
        let Some(store) = opened.map_err(|error| store_error(&error))? else { return Ok(None) };
        let name = name_of(&store).await.map_err(|error| store_error(&error))?;
        let owner = match queue {
            // Every instance of the order service has a store of its own, and reads everything.
            WorkQueue::Outcomes => None,
            WorkQueue::Inventory | WorkQueue::Notification => {
                Some(self.settings.broker.topology.owner(queue, &name))
            }
        };
        Ok(Some(Kept { store, server, queue, owner }))
    }

    fn address(&self, key: &str) -> Address {
        Address::exchange(self.settings.broker.topology.exchange(), key)
    }

    fn target(&self, name: &'static str, owner: Option<QueuePlan>) -> Target {
        let broker = &self.settings.broker;
        Target { uri: broker.uri.clone(), declared: broker.topology.declared(), name, owner }
    }

    /// Opens a service's connections.
    async fn wire(
        &self,
        kept: &Kept,
        publishes: &'static str,
        consumes: &'static str,
    ) -> Result<Wired, AppError> {
        begin(&[publishes, consumes]);
        begin_queue(kept.queue.as_str());
        let consume = Purpose::Consume { prefetch: self.settings.prefetch };
        let open = async |name, purpose| {
            let target = self.target(name, kept.owner.clone());
            let link = Link::open(target, purpose, self.links_stop.clone()).await;
            link.map_err(|error| self.refused(&error))
        };
        let publishes = open(publishes, Purpose::Publish).await?;
        let consumes = open(consumes, consume).await?;
        let topology = &self.settings.broker.topology;
        let failing = Failing {
            publisher: Publisher::new(publishes),
            queue: topology.names(kept.queue),
            plan: self.settings.failures.plan.clone(),
            // Whoever is asked about an order hears that inventory has given it up.
            told_first: (kept.queue == WorkQueue::Inventory)
                .then(|| Address::queue(topology.queue(WorkQueue::Outcomes))),
        };
        Ok(Wired { consumes, failing })
    }

    fn refused(&self, error: &ConnectError) -> AppError {
        if !error.is_other_owner {
            return cannot_connect(error, "--prefix");
        }
        let folder = self.settings.data_dir.display();
        let text =
            format!("the store in {folder} does not have the state of this service: {error}");
        AppError::failed(text).hint(
            "start it with the --data-dir that has the state, and with --standby if another \
             instance runs; rabbit/README.md, 'Several instances', says what to do if that \
             folder is lost",
        )
    }

    /// An encoder for what goes out under a routing key.
    async fn encoder<T: AvroRecord>(&self, key: &str) -> Result<Encoder<T>, AppError> {
        let subject = value_subject(&format!("{}.{key}", self.settings.broker.topology.exchange()));
        let registration = self.settings.registration;
        Encoder::connect(&self.registry, &subject, registration).await.map_err(|error| {
            AppError::failed(format!("schema of {subject}: {error}")).hint(error.start_hint())
        })
    }

    /// Works on messages.
    fn consumes<W: Work>(&self, wired: &Wired, work: W) -> Task {
        let shared = Arc::new(Shared { work, failing: wired.failing.clone() });
        let consuming = Consuming { link: wired.consumes.clone(), shared };
        let stop = self.stop.clone();
        Box::pin(async move { consuming.run(stop).await })
    }

    /// Takes over what an earlier version has left on the broker.
    fn takes_over(&self, name: &'static str, reader: Arc<Reader>) -> Task {
        let (target, stop) = (self.target(name, None), self.stop.clone());
        let topology = self.settings.broker.topology.clone();
        Box::pin(async move {
            tokio::select! {
                () = stop.requested() => {}
                taken = take_over(&target, &topology, &reader) => {
                    if let Err(reason) = taken {
                        let queue = topology.outcomes_before();
                        tracing::warn!(reason, queue, "the former queue was not migrated; the next start tries again");
                    }
                }
            }
            Ok(())
        })
    }

    /// Answers over HTTP.
    fn serves(&self, kept: Kept, routes: Routes, wired: Wired) -> Task {
        let Kept { store, server, .. } = kept;
        let health: Arc<dyn HealthSource> = Arc::new(ServiceHealth { store });
        self.status.watch(&health);
        let admin = Admin::new(self.metrics.clone(), health);
        let stop = self.stop.clone();
        Box::pin(async move {
            server.serve(routes, admin, stop).await;
            drop(wired); // its connections, no earlier than the last answer
            Ok(())
        })
    }
}

/// The paths of a service that waits for its store.
fn waiting_routes(queue: WorkQueue) -> Routes {
    match queue {
        WorkQueue::Inventory => waiting(web::inventory()),
        WorkQueue::Notification => waiting(web::notification()),
        WorkQueue::Outcomes => waiting(order_api::front_routes::<PublishOrders>()),
    }
}

/// Ready while nothing is unavailable to the process, and the store can be written.
struct ServiceHealth {
    store: Store,
}

impl HealthSource for ServiceHealth {
    fn live(&self) -> HealthReport {
        HealthReport::default()
    }

    fn ready(&self) -> HealthReport {
        let failed = "a change was not committed; restart the service";
        let store = self.store.has_failed().then(|| failed.to_owned());
        let mut report = HealthReport::of_troubles([("store", store)]);
        report.reasons.extend(of_process().reasons());
        report
    }
}
