//! Puts the services together and runs them to their end.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use amqp_io::address::cannot_connect;
use amqp_io::consume::{Consuming, Shared};
use amqp_io::failing::Failing;
use amqp_io::link::{Link, Purpose, Target};
use amqp_io::publish::{Address, Publisher};
use codec::encode::Encoder;
use codec::registry::{Registry, value_subject};
use codec::resolver::{ResolverLimits, SchemaResolver};
use kafka_io::admin::{Admin as KafkaAdmin, TopicSpec};
use outbox::Outbox;
use relane::{Connections, Engine, HandlerStage, Resources, START_MAX};
use service_kit::admin_http::{self, Admin, announce};
use service_kit::exit::AppError;
use service_kit::health::{HealthReport, HealthSource};
use service_kit::http::Server;
use service_kit::metrics_recorder::Metrics;
use service_kit::output;
use service_kit::shutdown::Shutdown;
use service_kit::unavailable::of_process;
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};
use tonic::transport::server::TcpIncoming;

use crate::counting::{KafkaCounting, RabbitCounting};
use crate::grpc::{self, Client};
use crate::limits::{
    CALL_ALIVE_EVERY, CALL_ALIVE_MAX, CALL_MAX, CALLS_MAX, DRAIN_MAX, TOPIC_LOOK_EVERY,
};
use crate::metrics;
use crate::place::Place;
use crate::publish::Publishing;
use crate::record::{Reports, WeatherReport};
use crate::settings::{Services, Settings};
use crate::shown::show_counts;
use crate::status::Status;
use crate::store::Store;
use crate::web::{Behind, Front};

/// A service, in a thread of its own.
type Running = JoinHandle<Result<(), AppError>>;

/// What services need to be started.
struct Parts<'a> {
    settings: &'a Settings,
    registry: Registry,
    resolver: SchemaResolver,
    metrics: Metrics,
    runtime: Handle,
    /// A stop was asked for.
    stop: Shutdown,
    /// Everything that uses RabbitMQ has ended.
    links_stop: Shutdown,
}

/// Runs the services of one process until `stop`, and prints what they did.
///
/// # Errors
///
/// Fails with exit code 1 if an address is taken or a server is unavailable at the start.
pub fn run(
    settings: &Settings,
    metrics: Metrics,
    stop: &Shutdown,
    runtime: &Handle,
) -> Result<(), AppError> {
    let registry = Registry::new(settings.registry.clone())
        .map_err(|error| AppError::usage(error.to_string()))?;
    let limits = ResolverLimits::for_records();
    let status = Status::new(metrics.clone());
    let parts = Parts {
        settings,
        resolver: SchemaResolver::with_limits(registry.clone(), runtime.clone(), limits),
        registry,
        metrics,
        runtime: runtime.clone(),
        stop: stop.clone(),
        links_stop: Shutdown::new(),
    };
    let lines = runtime.spawn(status.clone().log(stop.clone()));
    let mut running = Vec::new();
    let started = start_all(&parts, &mut running);
    let result = stop.join(started, running);
    parts.links_stop.request();
    lines.abort();
    result?;
    output::text(&status.table())
}

fn start_all(parts: &Parts<'_>, running: &mut Vec<Running>) -> Result<(), AppError> {
    let services = parts.settings.services;
    // Consumers first: they make topics and queues.
    if services.has(Services::KafkaConsumer) {
        running.push(parts.start_kafka_consumer()?);
    }
    if services.has(Services::RabbitConsumer) {
        running.push(parts.start_rabbit_consumer()?);
    }
    let mut own_url = None;
    if services.has(Services::Publisher) {
        let (thread, url) = parts.start_publisher()?;
        running.push(thread);
        own_url = Some(url);
    }
    if services.has(Services::Api) {
        running.push(parts.start_api(own_url)?);
    }
    Ok(())
}

impl Parts<'_> {
    /// Runs a service in a thread; its end is the end of the others.
    fn thread(
        &self,
        name: &str,
        run: impl FnOnce() -> Result<(), AppError> + Send + 'static,
    ) -> Result<Running, AppError> {
        let stop = self.stop.clone();
        let ends = move || {
            let ended = run();
            stop.request();
            ended
        };
        let thread = std::thread::Builder::new().name(name.to_owned());
        let failed = |error| AppError::failed(format!("{name} did not start: {error}"));
        thread.spawn(ends).map_err(failed)
    }

    fn store(&self, place: &Place) -> Result<Arc<Store>, AppError> {
        let label = place.brand.label();
        let Settings { seen_max, engine, .. } = self.settings;
        let opening = Store::open(place.clone(), *seen_max, engine.handler_timeout);
        let opened = self.runtime.block_on(opening);
        let store = opened.map_err(|error| {
            let hint = if error.is_login {
                format!(
                    "check the user of --{label}-url, and the password of --{label}-password-file"
                )
            } else {
                let start = "start it (`cargo run --bin stack -- up`)";
                format!("{start}, or choose another one with --{label}-url")
            };
            AppError::failed(error.to_string()).hint(hint)
        })?;
        let store = Arc::new(store);
        self.runtime.spawn(show_counts(Arc::clone(&store), self.stop.clone()));
        Ok(store)
    }

    fn start_kafka_consumer(&self) -> Result<Running, AppError> {
        let engine = self.settings.engine.clone();
        let connections = relane::connect(&engine.kafka, &engine.words.settings)?;
        let counting = Arc::new(KafkaCounting { store: self.store(&self.settings.redis)? });
        let around = Resources {
            connections,
            resolver: self.resolver.clone(),
            stop: self.stop.clone(),
            runtime: self.runtime.clone(),
        };
        let resolver = self.resolver.clone();
        let make_stage = move || {
            HandlerStage::new(&Reports, &resolver, Arc::clone(&counting))
                .identified_by(|report: &WeatherReport, _| report.message_id.clone())
        };
        let mut engine = Engine::start(engine, around, make_stage, |health| {
            if let Some(listen) = self.settings.metrics {
                let metrics = self.metrics.clone();
                self.runtime.block_on(admin_http::serve(listen, metrics, health))?;
            }
            Ok(())
        })?;
        self.thread("kafka-consumer", move || engine.run(|_| ()).map(|_| ()))
    }

    fn target(&self, name: &'static str) -> Target {
        let broker = &self.settings.broker;
        let (uri, declared) = (broker.uri.clone(), broker.declared.clone());
        Target { uri, declared, name, owner: None }
    }

    fn link(&self, name: &'static str, purpose: Purpose) -> Result<Link, AppError> {
        let opened = Link::open(self.target(name), purpose, self.links_stop.clone());
        self.runtime.block_on(opened).map_err(|error| cannot_connect(&error, "--queue"))
    }

    fn start_rabbit_consumer(&self) -> Result<Running, AppError> {
        let store = self.store(&self.settings.valkey)?;
        let names = ["weather retries", "weather consumes"];
        amqp_io::metrics::begin(&names);
        amqp_io::metrics::begin_queue(self.settings.broker.queue.label);
        let publishes = self.link(names[0], Purpose::Publish)?;
        let consume = Purpose::Consume { prefetch: self.settings.prefetch };
        let link = self.link(names[1], consume)?;
        let failing = Failing {
            publisher: Publisher::new(publishes),
            queue: self.settings.broker.queue.clone(),
            plan: self.settings.plan.clone(),
            told_first: None,
        };
        let work = RabbitCounting { store, resolver: self.resolver.clone() };
        let consuming = Consuming { link, shared: Arc::new(Shared { work, failing }) };
        let is_alone = self.settings.services == Services::RabbitConsumer;
        if let Some(listen) = self.settings.metrics.filter(|_| is_alone) {
            let health: Arc<dyn HealthSource> = Arc::new(ProcessHealth);
            let metrics = self.metrics.clone();
            self.runtime.block_on(admin_http::serve(listen, metrics, health))?;
        }
        let (runtime, stop) = (self.runtime.clone(), self.stop.clone());
        self.thread("rabbit-consumer", move || runtime.block_on(consuming.run(stop)))
    }

    /// Starts the publisher; returns where its gRPC is as well.
    fn start_publisher(&self) -> Result<(Running, String), AppError> {
        let settings = self.settings;
        let at = settings.publisher_listen.unwrap_or(settings.grpc_listen);
        let server = self.runtime.block_on(Server::bind("publisher", at, settings.limits))?;
        let incoming = self.grpc_incoming()?;
        let grpc_at = incoming.local_addr().map_err(|error| AppError::failed(error.to_string()))?;
        metrics::begin_publisher();
        amqp_io::metrics::begin(&["weather publishes"]);
        let topic = settings.engine.topics.main.as_str();
        let connections = relane::connect(&settings.kafka, &settings.engine.words.settings)?;
        self.runtime.block_on(self.prepare_topic(&connections, topic))?;
        let encoder = self.runtime.block_on(self.encoder(topic))?;
        let rabbitmq = Publisher::new(self.link("weather publishes", Purpose::Publish)?);
        let (outbox, sending) = Outbox::start(&settings.kafka, topic, &self.runtime)
            .map_err(|error| AppError::failed(error.to_string()))?;
        let to = Address::exchange(&settings.broker.declared.exchange, settings.broker.queue.label);
        let publishing = Publishing { outbox, rabbitmq, to, encoder };
        let grpc = tonic::transport::Server::builder()
            .concurrency_limit_per_connection(CALLS_MAX)
            .max_concurrent_streams(u32::try_from(CALLS_MAX).unwrap_or(u32::MAX))
            .http2_keepalive_interval(Some(CALL_ALIVE_EVERY))
            .http2_keepalive_timeout(Some(CALL_ALIVE_MAX))
            .timeout(CALL_MAX)
            .add_service(grpc::serve(publishing.clone()));
        let routes = Front::new("publisher", Behind::Brokers(publishing)).routes();
        let admin = Admin::new(self.metrics.clone(), Arc::new(ProcessHealth));
        let (runtime, stop) = (self.runtime.clone(), self.stop.clone());
        let thread = self.thread("publisher", move || {
            announce(&format!("gRPC is served on http://{grpc_at}"), "publisher");
            let calls = stop.clone();
            let served = async {
                let calls = grpc.serve_with_incoming_shutdown(incoming, async move {
                    calls.requested().await;
                });
                tokio::join!(server.serve(routes, admin, stop.clone()), until_drained(calls, &stop))
            };
            let ((), called) = runtime.block_on(served);
            // All who could hand in reports have gone with the servers: the outbox empties itself.
            let sent = sending.join();
            sent.map_err(|_| AppError::failed("the thread that sends reports panicked"))?;
            called
        })?;
        Ok((thread, format!("http://{grpc_at}")))
    }

    fn grpc_incoming(&self) -> Result<TcpIncoming, AppError> {
        let at = self.settings.grpc_listen;
        let _in_runtime = self.runtime.enter();
        let bound = TcpIncoming::bind(at).map_err(|error| {
            AppError::failed(format!("cannot serve gRPC on {at}: {error}"))
                .hint("choose another address with --grpc-listen; port 0 takes any free one")
        })?;
        Ok(bound.with_nodelay(Some(true)))
    }

    async fn encoder(&self, topic: &str) -> Result<Encoder<WeatherReport>, AppError> {
        let (subject, registration) = (value_subject(topic), self.settings.registration);
        let made = Encoder::connect(&self.registry, &subject, registration).await;
        made.map_err(|error| {
            AppError::failed(format!("schema of {subject}: {error}")).hint(error.start_hint())
        })
    }

    /// Makes the topic of the reports if it is missing: the publisher may be the first one to start.
    async fn prepare_topic(&self, connections: &Connections, topic: &str) -> Result<(), AppError> {
        let engine = &self.settings.engine;
        let failed = |error: kafka_io::member::AskError| {
            AppError::failed(error.to_string()).hint(engine.words.settings.broker_hint())
        };
        let admin = KafkaAdmin::new(&connections.consumer).map_err(failed)?;
        let give_up_at = Instant::now() + START_MAX;
        let mut is_made = !engine.creates_topics;
        loop {
            if admin.partitions(&[topic], START_MAX).map_err(failed)?.contains_key(topic) {
                return Ok(());
            }
            if is_made && (!engine.creates_topics || Instant::now() >= give_up_at) {
                return Err(AppError::failed(format!("topic {topic} does not exist"))
                    .hint("start once with --create-topics"));
            }
            if !is_made {
                let setting = ("cleanup.policy".to_owned(), "delete".to_owned());
                let (name, partitions) = (topic.to_owned(), engine.create_partitions);
                let spec = TopicSpec { name, partitions, settings: vec![setting] };
                admin.create(&[spec]).await.map_err(failed)?;
                is_made = true;
            }
            sleep(TOPIC_LOOK_EVERY).await;
        }
    }

    fn start_api(&self, own_url: Option<String>) -> Result<Running, AppError> {
        let settings = self.settings;
        let at = settings.api_listen.unwrap_or(settings.grpc_listen);
        let server = self.runtime.block_on(Server::bind("api", at, settings.limits))?;
        let url = settings.publisher_url.clone().or(own_url).unwrap_or_default();
        let client = {
            let _in_runtime = self.runtime.enter();
            Client::new(&url)
        };
        let client = client
            .map_err(|error| AppError::usage(format!("--publisher-url cannot be used: {error}")))?;
        let routes = Front::new("api", Behind::Publisher(client)).routes();
        let admin = Admin::new(self.metrics.clone(), Arc::new(ProcessHealth));
        let (runtime, stop) = (self.runtime.clone(), self.stop.clone());
        self.thread("api", move || {
            runtime.block_on(server.serve(routes, admin, stop));
            Ok(())
        })
    }
}

/// Waits for the calls that were begun when a stop is requested, and leaves them behind after [`DRAIN_MAX`].
async fn until_drained(
    calls: impl Future<Output = Result<(), tonic::transport::Error>>,
    stop: &Shutdown,
) -> Result<(), AppError> {
    let mut calls = std::pin::pin!(calls);
    let ended = tokio::select! {
        ended = &mut calls => ended,
        () = stop.requested() => match timeout(DRAIN_MAX, calls).await {
            Ok(ended) => ended,
            Err(_elapsed) => {
                tracing::warn!("stopped with unfinished calls over gRPC");
                Ok(())
            }
        },
    };
    ended.map_err(|error| AppError::failed(format!("gRPC: {error}")))
}

/// Ready while nothing that it needs is unavailable.
#[derive(Debug)]
struct ProcessHealth;

impl HealthSource for ProcessHealth {
    fn live(&self) -> HealthReport {
        HealthReport::default()
    }

    fn ready(&self) -> HealthReport {
        HealthReport { reasons: of_process().reasons() }
    }
}
