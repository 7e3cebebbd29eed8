//! Puts a push together and runs it to its end.

use std::sync::Arc;

use codec::registry::Registry;
use codec::resolver::{ResolverLimits, SchemaResolver};
use relane::{Engine, HandlerStage, Resources};
use service_kit::admin_http;
use service_kit::exit::AppError;
use service_kit::live::Live;
use service_kit::metrics_recorder::Metrics;
use service_kit::shutdown::Shutdown;
use tokio::runtime::Handle;

use crate::body::Body;
use crate::metrics;
use crate::progress::{Progress, What};
use crate::service::Service;
use crate::settings::Settings;
use crate::tally::Tally;

/// A running push.
pub struct App {
    engine: Engine<HandlerStage<Body, Service>>,
    progress: Progress,
}

impl App {
    /// Checks that Kafka and its topics are there and starts the lanes. The service may be away: it is waited for.
    ///
    /// # Errors
    ///
    /// Fails within 5 s when a server, topic or permission is missing, saying which.
    pub fn start(
        settings: Settings,
        stop: Shutdown,
        runtime: &Handle,
        metrics: Option<Metrics>,
        live: Option<Live>,
    ) -> Result<Self, AppError> {
        let Settings { engine, registry, schema_grace, bodies, place, metrics: listen } = settings;
        let service =
            Service::new(&place).map_err(|error| AppError::failed(format!("no HTTP: {error}")))?;
        let what = What {
            topic: engine.topics.main.clone(),
            service: service.shown().to_owned(),
            has_end: engine.exits_at_end,
        };
        let registry =
            Registry::new(registry).map_err(|error| AppError::usage(error.to_string()))?;
        let limits = ResolverLimits { not_found_grace: schema_grace, ..ResolverLimits::default() };
        let resolver = SchemaResolver::with_limits(registry, runtime.clone(), limits);
        let connections = relane::connect(&engine.kafka, &engine.words.settings)?;
        let around =
            Resources { connections, resolver: resolver.clone(), stop, runtime: runtime.clone() };
        let service = Arc::new(service);
        let make_stage = || {
            HandlerStage::new(&bodies, &resolver, Arc::clone(&service))
                .identified_by(Body::identity)
        };
        let engine = Engine::start(engine, around, make_stage, |health| {
            metrics::describe();
            if let (Some(metrics), Some(listen)) = (metrics, listen) {
                runtime.block_on(admin_http::serve(listen, metrics, health))?;
            }
            Ok(())
        })?;
        Ok(Self { engine, progress: Progress::new(what, live) })
    }

    /// Runs until a stop is requested, the end is reached, or a lane ends by itself: what it did, and why a lane has
    /// ended.
    pub fn run(self, leave: service_kit::live::Leave) -> (Tally, Result<(), AppError>) {
        let Self { mut engine, mut progress } = self;
        let watcher = engine.watcher();
        let ended = engine.run(|_| progress.look(|| watcher.snapshot()));
        progress.end(leave);
        let [consumed, succeeded, retried, dead_lettered] = engine.counts();
        let (waiting, duplicates) = (engine.waiting(), watcher.snapshot().duplicates);
        let tally = Tally { consumed, succeeded, retried, dead_lettered, waiting, duplicates };
        (tally, ended.map(|_| ()))
    }
}
