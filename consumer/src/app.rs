//! Puts a consumer together and runs it to its end.

use std::time::{Duration, Instant};

use relane::{Ended, Engine, Resources};
use service_kit::admin_http;
use service_kit::exit::AppError;
use service_kit::live::Live;
use service_kit::metrics_recorder::Metrics;
use service_kit::shutdown::Shutdown;
use tokio::runtime::Handle;

use crate::averages::Total;
use crate::printer::Printer;
use crate::progress::Progress;
use crate::registry::connect_registry;
use crate::settings::Settings;
use crate::settled_lines::{SettledLines, gap};
use crate::stage::AveragesStage;
use crate::statistics::{self, State, Statistics};

/// Time between two settings of the product gauges.
const PRODUCTS_EVERY: Duration = Duration::from_millis(500);

/// Longest time to read the averages at the end of a run that finished.
const STATE_MAX: Duration = Duration::from_secs(60);

/// Longest time to read them when a stop was requested: the process must end within 10 s.
const STATE_MAX_WHEN_STOPPED: Duration = Duration::from_secs(9);

/// Longest time to read them when a lane has failed: the brokers may be the reason.
const STATE_MAX_WHEN_FAILED: Duration = Duration::from_secs(5);

/// How a run ended, and what it did until then.
#[derive(Debug)]
pub struct Run {
    /// What it did, also where it failed.
    pub statistics: Statistics,
    /// Why a lane ended by itself; the others were stopped.
    pub ended: Result<(), AppError>,
}

/// What is done with orders.
#[cfg(not(feature = "failpoints"))]
type OrderStage = AveragesStage;
#[cfg(feature = "failpoints")]
type OrderStage = crate::faulty::FaultyStage;

#[cfg(not(feature = "failpoints"))]
const fn order_stage(stage: AveragesStage) -> OrderStage {
    stage
}
#[cfg(feature = "failpoints")]
const fn order_stage(stage: AveragesStage) -> OrderStage {
    crate::faulty::FaultyStage(stage)
}

/// A running consumer.
pub struct App {
    engine: Engine<OrderStage>,
    /// Writes the lines of `--print-orders`.
    printer: Option<Printer>,
}

impl App {
    /// Checks that everything is there and starts the lanes.
    ///
    /// # Errors
    ///
    /// Fails within 5 s when a server, topic or permission is missing, saying which.
    pub fn start(
        settings: Settings,
        stop: Shutdown,
        runtime: &Handle,
        metrics: Option<Metrics>,
    ) -> Result<Self, AppError> {
        let connections = relane::connect(&settings.engine.kafka, &settings.engine.words.settings)?;
        let (resolver, encoders) = runtime.block_on(connect_registry(&settings, runtime))?;
        let failed = |error: std::io::Error| AppError::failed(error.to_string());
        let printer = match settings.prints {
            Some((form, target)) => Some(Printer::start(target, gap(form)).map_err(failed)?),
            None => None,
        };
        let prints = settings.prints.zip(printer.as_ref()).map(|((form, _), printer)| {
            SettledLines::new(printer.lines(), form, settings.engine.topics.main.clone())
        });
        let make_stage = || {
            let (encoders, handler) = (encoders.clone(), settings.handler.clone());
            order_stage(AveragesStage::new(&resolver, encoders, handler, prints.clone()))
        };
        let around =
            Resources { connections, resolver: resolver.clone(), stop, runtime: runtime.clone() };
        let engine = Engine::start(settings.engine, around, make_stage, |health| {
            if let (Some(metrics), Some(listen)) = (metrics, settings.metrics) {
                crate::products::describe();
                runtime.block_on(admin_http::serve(listen, metrics, health))?;
            }
            Ok(())
        })?;
        Ok(Self { engine, printer })
    }

    /// Shows how it is doing, from now on until [`Progress::end`].
    pub fn show_progress(&self, live: Option<Live>) -> Progress {
        Progress::start(self.engine.watcher(), live)
    }

    /// Runs until a stop is requested, the end is reached, or a lane ends by itself. `watch` is
    /// called a few times a second.
    pub fn run(mut self, mut watch: impl FnMut(&Running<'_>)) -> Run {
        let mut products_at = Instant::now();
        let ended = self.engine.run(|engine| {
            watch(&Running(engine));
            if products_at <= Instant::now() {
                products_at = Instant::now() + PRODUCTS_EVERY;
                crate::products::set(&engine.summaries());
            }
        });
        let limit = match ended {
            Ok(Ended { reached_end: false, stopping_for: Some(since) }) => {
                STATE_MAX_WHEN_STOPPED.saturating_sub(since)
            }
            Ok(_) => STATE_MAX,
            Err(_) => STATE_MAX_WHEN_FAILED,
        };
        let is_stopped = !matches!(ended, Ok(Ended { stopping_for: None, .. }));
        let printed = self.printer.take().map_or(Ok(()), |printer| printer.end(is_stopped));
        let ended = ended.and(printed);
        Run { statistics: self.statistics(limit), ended }
    }

    fn statistics(&self, limit: Duration) -> Statistics {
        let engine = &self.engine;
        let settings = engine.settings();
        let nothing = (0, orders::Amount::ZERO);
        let read = statistics::read_state(
            &engine.resources().connections.consumer,
            &settings.group,
            settings.topics.state.as_deref().unwrap_or_default(),
            engine.partitions(),
            &engine.resources().resolver,
            limit,
        )
        .map(|state| (state, nothing));
        let (state, rest) = read.unwrap_or_else(|error| {
            tracing::warn!(
                error,
                "the averages topic was not read; these averages are of this process only: its \
                 first products by name, the others in the total"
            );
            own_state(engine)
        });
        let duplicates = engine.watcher().snapshot().duplicates;
        Statistics::new(engine.counts(), [engine.waiting(), duplicates], state, rest)
    }
}

/// A look at a consumer while it runs.
pub struct Running<'a>(&'a Engine<OrderStage>);

impl Running<'_> {
    /// A look at the running averages, by product: what the lanes of this process own.
    pub fn averages(&self) -> Vec<(String, u64, f64)> {
        let (state, _) = own_state(self.0);
        let average = |totals: &statistics::Totals| totals.average().unwrap_or(0.0);
        let told = |one: statistics::ProductTotals| {
            (one.product.into(), one.totals.count, average(&one.totals))
        };
        state.into_iter().map(told).collect()
    }

    /// Counts of this run so far: consumed, succeeded, retried, dead-lettered; and how many
    /// records wait in retry.
    pub fn progress(&self) -> ([u64; 4], u64) {
        (self.0.counts(), self.0.waiting())
    }
}

/// What the lanes of this process tell: the first products by name, and the total of the rest.
fn own_state(engine: &Engine<OrderStage>) -> (State, Total) {
    let (mut all, mut rest) = (Vec::new(), (0, orders::Amount::ZERO));
    for lane in engine.summaries() {
        all.extend(lane.named.iter().map(|(product, total)| (Box::from(&**product), *total)));
        rest.0 += lane.rest.0;
        rest.1 += lane.rest.1;
    }
    (statistics::sum_up(all), rest)
}
