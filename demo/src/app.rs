//! Puts the story together and tells it to its end.

use std::time::Instant;

use clap::Parser;
use consumer::{App, EngineArgs, GuaranteeArg, OrderArgs, Settings, Statistics};
use service_kit::args::{KafkaArgs, LogFormat, MetricsAddr, RegistryArgs};
use service_kit::exit::{AppError, ExitStatus};
use service_kit::shutdown::Shutdown;
use service_kit::telemetry;
use tokio::runtime::Runtime;

use crate::dead_letters::{self, DeadLetters};
use crate::feed::Feed;
use crate::report;
use crate::screen::Screen;
use crate::sending::Sending;
use crate::servers::{self, Servers};
use crate::story::{RETRY_DELAY, Story};
use crate::teller::Teller;

/// Shows the order pipeline at work in about 10 seconds, on servers inside this process.
///
/// Orders flow; some fail and are retried after a delay; a few are dead-lettered. The consumer
/// keeps averages of all counted orders. It runs on librdkafka's mock of Kafka, in at-least-once
/// mode;
/// logs are shown if RUST_LOG is set.
#[derive(Debug, Clone, Parser)]
#[command(name = "demo", version)]
pub struct Flags {
    /// Seed of the orders and failures
    #[arg(long, env = "DEMO_SEED", default_value_t = Story::SEED_DEFAULT, value_name = "N")]
    pub seed: u64,

    /// Print lines instead of a live view, on a terminal too
    #[arg(long, env = "DEMO_PLAIN")]
    pub plain: bool,
}

/// Runs the program.
///
/// # Errors
///
/// Fails when a part of the pipeline does, or when its numbers do not add up.
pub fn run(flags: Flags) -> Result<ExitStatus, AppError> {
    if std::env::var_os("RUST_LOG").is_some_and(|filter| !filter.is_empty()) {
        telemetry::init(LogFormat::Text);
    }
    let stop = Shutdown::on_signals().map_err(|error| AppError::failed(error.to_string()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| AppError::failed(format!("no runtime: {error}")))?;
    let story = Story::new(flags.seed);
    let mut screen = Screen::new(flags.plain);
    screen.print(&report::introduction(&screen, &story));

    let servers = Servers::start(runtime.handle())?;
    let Some(told) = tell(&story, &servers, screen, &runtime, &stop)? else {
        return Ok(ExitStatus::Done);
    };
    let Told { sent, statistics, mut screen } = told;
    let letters = dead_letters::read(&servers)?;
    check(sent, &statistics, &letters)?;
    screen.print(&report::ending(&screen, sent, &statistics, &letters));
    screen.print(&report::next_steps(&screen));
    Ok(ExitStatus::Done)
}

/// A story that was told to its end.
struct Told {
    sent: u64,
    statistics: Statistics,
    screen: Screen,
}

/// Runs producer and consumer until every order has ended; `None` if it was stopped before.
fn tell(
    story: &Story,
    servers: &Servers,
    screen: Screen,
    runtime: &Runtime,
    stop: &Shutdown,
) -> Result<Option<Told>, AppError> {
    let settings = consumer_settings(story, servers)?;
    let started_at = Instant::now();
    // The consumer ends with the story or with the user's patience.
    let app = App::start(settings, stop.clone(), runtime.handle(), None)?;
    let feed = Feed::start(servers, runtime.handle())?;
    let sending = Sending::start(servers, story, runtime.handle(), stop)?;
    let mut teller = Teller::new(screen, feed, sending, started_at);
    let mut told = Ok(false);
    let run = app.run(|app| {
        if matches!(told, Ok(false)) {
            told = teller.look(app);
        }
        if !matches!(told, Ok(false)) || teller.is_alone() {
            stop.request();
        }
    });
    run.ended?;
    let statistics = run.statistics;
    let is_over = told?;
    let (sent, mut screen) = teller.into_parts();
    if is_over {
        return Ok(Some(Told { sent, statistics, screen }));
    }
    screen.print("stopped before the end");
    Ok(None)
}

fn consumer_settings(story: &Story, servers: &Servers) -> Result<Settings, AppError> {
    let flags = consumer::Flags {
        kafka: KafkaArgs {
            bootstrap_server: Some(servers.bootstrap_servers()),
            ..KafkaArgs::default()
        },
        registry: RegistryArgs {
            schema_registry_url: Some(servers.registry_url().to_owned().into()),
            schema_registry_ca_location: None,
        },
        topic: Some(servers::ORDERS.to_owned()),
        retry_topic: Some(servers::RETRY.to_owned()),
        dlq_topic: Some(servers::DEAD_LETTERS.to_owned()),
        averages_topic: Some(servers::AVERAGES.to_owned()),
        outcomes_topic: Some(servers::OUTCOMES.to_owned()),
        order: OrderArgs { guarantee: Some(GuaranteeArg::AtLeastOnce), ..OrderArgs::default() },
        engine: EngineArgs {
            // Without transactions a partition that moves between lanes may be repeated in part.
            lanes: Some(1),
            max_retries: Some(story.max_retries),
            retry_delay: Some(vec![RETRY_DELAY.into()]),
            ..EngineArgs::default()
        },
        simulate_failures: Some(story.failure_rate),
        failure_seed: Some(story.seed),
        metrics_addr: Some(MetricsAddr::Off),
        ..consumer::Flags::default()
    };
    Ok(Settings::check(flags)?.without_topic_settings())
}

/// Every order was counted or dead-lettered, exactly one of them, and the topics say so too.
fn check(sent: u64, statistics: &Statistics, letters: &DeadLetters) -> Result<(), AppError> {
    let lying: u64 = letters.values().map(|group| group.count).sum();
    let Statistics { consumed, succeeded, dead_lettered, overall, .. } = statistics;
    let adds_up = *consumed == sent
        && succeeded + dead_lettered == sent
        && overall.count == *succeeded
        && lying == *dead_lettered;
    if adds_up {
        return Ok(());
    }
    Err(AppError::failed(format!(
        "the numbers do not add up: {sent} sent, {consumed} consumed, {succeeded} counted ({} in \
         the averages topic), {dead_lettered} dead-lettered ({lying} in the dead-letter topic)",
        overall.count
    )))
}
