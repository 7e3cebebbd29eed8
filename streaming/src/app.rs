//! Puts the services together and runs them to their end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use codec::encode::Encoder;
use codec::registry::{AwayCause, Registry, value_subject};
use codec::resolver::{ResolverLimits, SchemaResolver};
use codec::scalar::AvroRecord;
use engine_args::FLAGS;
use kafka_io::admin::{Admin as KafkaAdmin, TopicSpec};
use order_api::status::{self, Status};
use order_api::{Front, Orders, watch_registry};
use order_store::Store;
use outbox::{Away, Outbox};
use relane::START_MAX;
use relane::stage::Stage as _;
use service_kit::admin_http::Admin;
use service_kit::args::OutputFormat;
use service_kit::exit::AppError;
use service_kit::health::{HealthReport, HealthSource};
use service_kit::http::{Routes, Server};
use service_kit::metrics_recorder::Metrics;
use service_kit::output;
use service_kit::shutdown::Shutdown;
use service_kit::unavailable::of_process;
use tokio::runtime::Handle;

use crate::batch;
use crate::decisions::DecisionsStage;
use crate::inventory::{InventoryEncoders, InventoryStage, Rules};
use crate::order::StreamOrders;
use crate::outcomes::{Outcomes, Sources};
use crate::pipelines::{Parts, Plan, Running, run_reporting, run_showing, sum_of_tallies, thread};
use crate::settings::Settings;
use crate::stock::StockLevels;
use crate::web::{self, Board};

/// What the lines of the log and the table at the end say.
const STATUS: status::Sources = status::Sources {
    settled: ("orders_processed_total", "outcome"),
    retries: "orders_retries_total",
    dead_letters: Some("orders_dead_lettered_total"),
    waiting: None,
};

/// Pause between two looks at a topic that was made a moment ago.
const TOPIC_LOOK_EVERY: Duration = Duration::from_millis(50);

/// Runs the services of one process until `stop`, or until they are at the end of what there is, and
/// prints what they did.
///
/// # Errors
///
/// Fails with exit code 1 within 5 s if a server is away at the start or an address or file is
/// taken, and later if only an operator can help.
pub fn run(
    settings: Settings,
    metrics: Metrics,
    stop: Shutdown,
    runtime: &Handle,
) -> Result<(), AppError> {
    let registry = Registry::new(settings.registry.clone())
        .map_err(|error| AppError::usage(error.to_string()))?;
    let resolver = SchemaResolver::with_limits(
        registry.clone(),
        runtime.clone(),
        ResolverLimits::for_records(),
    );
    let parts = Parts {
        connections: relane::connect(&settings.pipelines.inventory.kafka, &FLAGS)?,
        registry,
        registration: settings.registration,
        resolver,
        limits: settings.limits,
        status: Status::new(metrics.clone(), STATUS),
        metrics,
        stop: stop.clone(),
        runtime: runtime.clone(),
    };
    let lines = runtime.spawn(parts.status.clone().log(stop.clone()));
    let mut running = Vec::new();
    let started = start_all(&parts, &settings, &mut running);
    let result = stop.join(started, running);
    lines.abort();
    result?;
    match settings.reporting.form {
        OutputFormat::Table => output::text(&parts.status.table()),
        // Programs read reports, and nothing else.
        OutputFormat::Json | OutputFormat::Jsonl => Ok(()),
    }
}

fn start_all(
    parts: &Parts,
    settings: &Settings,
    running: &mut Vec<Running>,
) -> Result<(), AppError> {
    let listen = settings.listen;
    if let Some(at) = listen.inventory {
        running.push(start_inventory(parts, settings, at)?);
    }
    if let Some(at) = listen.analytics {
        running.push(start_analytics(parts, settings, at)?);
    }
    if let Some(at) = listen.notification {
        running.push(start_notification(parts, settings, at)?);
    }
    if let Some(at) = listen.order {
        running.push(start_order(parts, settings, at)?);
    }
    Ok(())
}

fn start_inventory(
    parts: &Parts,
    settings: &Settings,
    listen: SocketAddr,
) -> Result<Running, AppError> {
    let pipeline = settings.pipelines.inventory.clone();
    let results = pipeline.topics.output.as_deref().unwrap_or_default();
    let encoders = InventoryEncoders {
        results: parts.encoder(results)?,
        levels: parts.encoder(pipeline.topics.state.as_deref().unwrap_or_default())?,
    };
    let rules = Rules {
        menu: settings.menu.clone(),
        refusals: settings.trouble.refusals,
        simulated_rate: settings.simulated_rate,
    };
    let board = Board::default();
    let routes = web::inventory(board.clone(), settings.menu.clone());
    let plan = Plan { name: "inventory", listen, routes, settings: pipeline };
    let latency = settings.trouble.inventory_delay;
    let make_stage =
        || InventoryStage::new(&parts.resolver, encoders.clone(), rules.clone(), latency);
    let sum = |levels: Vec<StockLevels>| InventoryStage::summarize(levels.iter());
    parts.start(plan, make_stage, move |engine| run_showing(engine, &board, sum))
}

fn start_analytics(
    parts: &Parts,
    settings: &Settings,
    listen: SocketAddr,
) -> Result<Running, AppError> {
    let (pipeline, reporting) = (settings.pipelines.analytics.clone(), settings.reporting);
    let encoder = parts.encoder(pipeline.topics.state.as_deref().unwrap_or_default())?;
    let board = Board::default();
    let routes = web::analytics(board.clone());
    let plan = Plan { name: "analytics", listen, routes, settings: pipeline };
    let make_stage = || DecisionsStage::new(&parts.resolver, encoder.clone(), None, Duration::ZERO);
    parts.start(plan, make_stage, move |engine| run_reporting(engine, &board, reporting))
}

fn start_notification(
    parts: &Parts,
    settings: &Settings,
    listen: SocketAddr,
) -> Result<Running, AppError> {
    let pipeline = settings.pipelines.notification.clone();
    let messages = parts.encoder(pipeline.topics.output.as_deref().unwrap_or_default())?;
    let encoder = parts.encoder(pipeline.topics.state.as_deref().unwrap_or_default())?;
    let plan = Plan { name: "notification", listen, routes: Routes::new([]), settings: pipeline };
    let latency = settings.trouble.notification_delay;
    let make_stage =
        || DecisionsStage::new(&parts.resolver, encoder.clone(), Some(messages.clone()), latency);
    let board = Board::default();
    parts.start(plan, make_stage, move |engine| run_showing(engine, &board, sum_of_tallies))
}

fn start_order(
    parts: &Parts,
    settings: &Settings,
    listen: SocketAddr,
) -> Result<Running, AppError> {
    let failed = |error: &dyn std::fmt::Display| AppError::failed(error.to_string());
    let pipeline = &settings.pipelines.inventory;
    let order_topic = pipeline.topics.main.clone();
    let topic = pipeline.topics.output.clone().unwrap_or_default();
    let server = parts.runtime.block_on(Server::bind("order", listen, parts.limits))?;
    parts.runtime.block_on(prepare_topics(parts, settings, [&order_topic, &topic]))?;
    let encoder = parts.encoder(&order_topic)?;
    let store = Store::open(&settings.data_dir.join("order.redb")).map_err(|error| {
        failed(&error).hint("end the other process that has it open, or choose another --data-dir")
    })?;
    let orders = Orders::new(store.clone());
    let (outbox, sending) = Outbox::start(&settings.kafka, &order_topic, &parts.runtime)
        .map_err(|error| failed(&error))?;
    let reading = Away::new("kafka-read");
    let outcomes = Outcomes {
        config: parts.connections.consumer.clone(),
        topics: Sources {
            orders: order_topic.clone(),
            decisions: topic,
            dead_letters: pipeline.topics.dead_letter.clone(),
        },
        store: store.clone(),
        orders: orders.clone(),
        resolver: parts.resolver.clone(),
        runtime: parts.runtime.clone(),
        stop: parts.stop.clone(),
        away: reading,
    };
    let front_resolver = SchemaResolver::new(parts.registry.clone(), parts.runtime.clone());
    let resolvers = vec![parts.resolver.clone(), front_resolver.clone()];
    parts.runtime.spawn(watch_registry(resolvers, parts.stop.clone()));
    let health: Arc<dyn HealthSource> = Arc::new(OrderHealth { store });
    parts.status.watch(&health);
    let admin = Admin::new(parts.metrics.clone(), health);
    let menu = settings.menu.clone();
    let paradigm = StreamOrders { outbox, encoder, orders: orders.clone(), menu: menu.clone() };
    let batches = batch::routes(paradigm.clone());
    let routes = Front::new(paradigm, orders, menu, front_resolver).routes().and(batches);
    let (runtime, stop) = (parts.runtime.clone(), parts.stop.clone());
    let reader = thread("outcomes", move || {
        outcomes.run();
        Ok(())
    })?;
    thread("order", move || {
        runtime.block_on(server.serve(routes, admin, stop));
        // All who could hand in orders have gone with the server: the outbox empties itself.
        let (sent, read) = (sending.join(), reader.join());
        if sent.is_err() || read.is_err() {
            return Err(AppError::failed("a thread of the order service panicked"));
        }
        Ok(())
    })
}

/// Makes the topics of the order service if they are missing: it may be the first one to start.
async fn prepare_topics(
    parts: &Parts,
    settings: &Settings,
    topics: [&str; 2],
) -> Result<(), AppError> {
    let failed = |error: kafka_io::member::AskError| {
        AppError::failed(error.to_string()).hint(FLAGS.broker_hint())
    };
    let admin = KafkaAdmin::new(&parts.connections.consumer).map_err(failed)?;
    let pipeline = &settings.pipelines.inventory;
    let give_up_at = Instant::now() + START_MAX;
    let mut is_made = !pipeline.creates_topics;
    loop {
        let known = admin.partitions(&topics, START_MAX).map_err(failed)?;
        let missing: Vec<&str> =
            topics.into_iter().filter(|topic| !known.contains_key(*topic)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        if is_made && (!pipeline.creates_topics || Instant::now() >= give_up_at) {
            let message = format!("these topics do not exist: {}", missing.join(", "));
            return Err(AppError::failed(message).hint("start once with --create-topics"));
        }
        if !is_made {
            let partitions =
                known.values().next().map_or(pipeline.create_partitions, |info| info.partitions);
            let setting = ("cleanup.policy".to_owned(), "delete".to_owned());
            let spec = |topic: &&str| TopicSpec {
                name: (*topic).to_owned(),
                partitions,
                settings: vec![setting.clone()],
            };
            let specs: Vec<TopicSpec> = missing.iter().map(spec).collect();
            admin.create(&specs).await.map_err(failed)?;
            is_made = true;
        }
        tokio::time::sleep(TOPIC_LOOK_EVERY).await;
    }
}

impl Parts {
    /// An encoder for what is written to a topic.
    fn encoder<T: AvroRecord>(&self, topic: &str) -> Result<Encoder<T>, AppError> {
        let subject = value_subject(topic);
        let connect = Encoder::connect(&self.registry, &subject, self.registration);
        let connect = async { tokio::time::timeout(START_MAX, connect).await };
        let address = self.registry.address();
        match self.runtime.block_on(connect) {
            Ok(Ok(encoder)) => Ok(encoder),
            Ok(Err(error)) => {
                let message = format!("schema registry at {address}: {error}");
                Err(AppError::failed(message).hint(error.start_hint()))
            }
            Err(_elapsed) => {
                let message =
                    format!("the schema registry at {address} did not answer within {START_MAX:?}");
                Err(AppError::failed(message).hint(AwayCause::Silent.hint()))
            }
        }
    }
}

/// Ready while nothing is unavailable to the process, and the store can be written.
struct OrderHealth {
    store: Store,
}

impl HealthSource for OrderHealth {
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
