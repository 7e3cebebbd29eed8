//! Shows the picture: on the whole screen, or as lines where there is none.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_io::client_config::{BROKER_PROBE_LIMIT, Role, probe_brokers};
use service_kit::clock::now_ms;
use service_kit::exit::{AppError, ExitStatus};
use service_kit::output::result_line;
use service_kit::shutdown::Shutdown;

use super::draw::{Palette, draw};
use super::picture::Picture;
use super::plain;
use super::screen::{Input, Screen};
use super::view::{Effect, View};
use super::watcher::Watcher;
use crate::lag::look::{Breadth, Observer, Which};
use crate::lag::{LagError, Settings};

/// So often keys, signals and new pictures are looked for.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The same until the first picture is there.
const FIRST_LOOK_EVERY: Duration = Duration::from_millis(5);

/// Watches until it is stopped. `interval` lies between two looks.
pub(super) fn run(settings: &Settings, interval: Option<Duration>) -> Result<ExitStatus, AppError> {
    /// On a screen, and for lines that are kept.
    const INTERVALS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];
    let shutdown = Shutdown::on_signals()
        .map_err(|error| AppError::failed(format!("signals cannot be caught: {error}")))?;
    let has_screen = Screen::is_possible();
    let interval = interval.unwrap_or(if has_screen { INTERVALS[0] } else { INTERVALS[1] });
    let watcher = start(settings, interval)?;
    let result = if has_screen {
        on_screen(&watcher, &shutdown, interval)
    } else {
        as_lines(&watcher, &shutdown)
    };
    watcher.stop();
    result
}

fn start(settings: &Settings, interval: Duration) -> Result<Watcher, LagError> {
    let kafka = &settings.kafka;
    let (which, retry_topic) = (settings.which.clone(), &settings.retry_topic);
    // Before the question whether anybody is there: they connect meanwhile.
    let observer = Observer::new(kafka, which.clone(), Breadth::OfCluster, retry_topic);
    probe_brokers(&kafka.base(Role::Admin), BROKER_PROBE_LIMIT)?;
    let observer = observer?;
    if let Which::One(group) = which {
        let known = observer.group_names()?;
        if !known.contains(&group) {
            let servers = kafka.bootstrap_servers().to_owned();
            return Err(LagError::NoGroup { group, servers, known });
        }
    }
    Ok(Watcher::start(observer, kafka, &settings.dlq_topic, interval)?)
}

fn on_screen(
    watcher: &Watcher,
    shutdown: &Shutdown,
    interval: Duration,
) -> Result<ExitStatus, AppError> {
    let interval_ms = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX);
    let failed = |error| AppError::failed(format!("the terminal cannot be used: {error}"));
    let has_colors = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let palette = if has_colors { Palette::Colors } else { Palette::Plain };
    let mut screen = Screen::enter().map_err(failed)?;
    let (mut view, mut shown, mut is_due) = (View::default(), None::<Arc<Picture>>, false);
    while !shutdown.is_requested() {
        expect_alive(watcher)?;
        let latest = watcher.latest();
        let is_new = match (&latest, &shown) {
            (Some(latest), Some(shown)) => !Arc::ptr_eq(latest, shown),
            (latest, _) => latest.is_some(),
        };
        if let Some(picture) = latest {
            let stale = picture.stale(now_ms(), interval_ms);
            if is_new || is_due || stale.is_some() {
                let picture = stale.as_ref().unwrap_or(&picture);
                screen.draw(|frame| draw(frame, picture, &mut view, palette)).map_err(failed)?;
            }
            (shown, is_due) = (Some(picture), false);
        }
        let wait = if shown.is_some() { LOOK_EVERY } else { FIRST_LOOK_EVERY };
        match screen.input(wait).map_err(failed)? {
            Some(Input::Press(press)) => match view.press(press) {
                Effect::None => {}
                Effect::Draw => is_due = true,
                Effect::DrawAnew => {
                    screen.clear().map_err(failed)?;
                    is_due = true;
                }
                Effect::Quit => break,
            },
            Some(Input::Resized) => is_due = true,
            None => {}
        }
    }
    Ok(ExitStatus::Done)
}

fn as_lines(watcher: &Watcher, shutdown: &Shutdown) -> Result<ExitStatus, AppError> {
    let (mut shown, started) = (None::<Arc<Picture>>, Instant::now());
    loop {
        expect_alive(watcher)?;
        let latest = watcher.latest().filter(|picture| !picture.is_sketch);
        let is_same = match (&latest, &shown) {
            (Some(latest), Some(shown)) => Arc::ptr_eq(latest, shown),
            _ => latest.is_none(),
        };
        if let Some(picture) = latest.filter(|_| !is_same) {
            for line in plain::lines(&picture) {
                result_line(&line)?;
            }
            shown = Some(picture);
        }
        let is_first = shown.is_none() && started.elapsed() < BROKER_PROBE_LIMIT;
        if shutdown.wait(if is_first { FIRST_LOOK_EVERY } else { LOOK_EVERY }) {
            return Ok(ExitStatus::Done);
        }
    }
}

/// A panic of the watcher was told already, and the terminal given back.
fn expect_alive(watcher: &Watcher) -> Result<(), AppError> {
    if watcher.has_ended() {
        return Err(AppError::failed("the thread that samples the brokers has ended"));
    }
    Ok(())
}
