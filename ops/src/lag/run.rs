//! Looks as often as it takes, and prints.

use std::thread;
use std::time::{Duration, Instant};

use kafka_io::client_config::{BROKER_PROBE_LIMIT, Role, probe_brokers};
use kafka_io::member::AskError;
use serde_json::{Value, json};
use service_kit::args::OutputFormat;
use service_kit::clock::now_ms;
use service_kit::exit::{AppError, ExitStatus};
use service_kit::live::{Leave, Live, fit, stdout_columns};
use service_kit::output::{note, result, result_line};
use service_kit::shutdown::Shutdown;
use service_kit::terminal::{one_line, tame_json};

use super::error::LagError;
use super::flags::Settings;
use super::limits::Limits;
use super::look::{Breadth, Look, Observer, Which};
use super::report::{GroupLag, Judge};
use super::table;
use crate::dlq::Utc;

/// Looks within a window, after the first one.
const LOOKS_PER_WINDOW: u32 = 4;

/// Shortest and longest time between two looks of a window.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Prints how far the groups are behind.
pub(super) fn show(settings: &Settings, window: Duration) -> Result<ExitStatus, AppError> {
    let look = over_window(settings, window)?;
    print(settings.output, &look)?;
    Ok(ExitStatus::Done)
}

/// Prints the partitions that pass a limit, and ends with 4 if there is one.
pub(super) fn check(
    settings: &Settings,
    window: Duration,
    limits: Limits,
) -> Result<ExitStatus, AppError> {
    let look = over_window(settings, window)?;
    let partitions = look.groups.iter().flat_map(|group| &group.partitions);
    let findings: Vec<String> = partitions.filter_map(|found| limits.finding(found)).collect();
    match settings.output {
        OutputFormat::Table => {
            for finding in &findings {
                result_line(&one_line(finding))?;
            }
            let lag: u64 = look.groups.iter().map(GroupLag::lag).sum();
            let groups = match look.groups.as_slice() {
                [one] => one.group.name.clone(),
                many => format!("{} groups", many.len()),
            };
            if findings.is_empty() {
                let records = if lag == 1 { "record" } else { "records" };
                let groups = fit(&groups, usize::from(u8::MAX));
                result_line(&format!("ok: lag of {lag} {records} in {groups}"))?;
            }
        }
        OutputFormat::Json => {
            let mut all = json_of(&look);
            all["ok"] = json!(findings.is_empty());
            all["findings"] = json!(findings);
            result_line(&tame_json(all.to_string()))?;
        }
        OutputFormat::Jsonl => {
            let partitions = look.groups.iter().flat_map(|group| &group.partitions);
            for found in partitions.filter(|found| limits.finding(found).is_some()) {
                let mut line = found.json();
                line["finding"] = json!(limits.finding(found));
                result_line(&tame_json(line.to_string()))?;
            }
        }
    }
    Ok(if findings.is_empty() { ExitStatus::Done } else { ExitStatus::Finding })
}

/// Prints again and again, until it is stopped. Brokers that go away are told and waited for.
pub(super) fn watch(
    settings: &Settings,
    interval: Duration,
    window: Duration,
) -> Result<ExitStatus, AppError> {
    let mut observer = open(settings)?;
    let mut look = first_look(&mut observer, settings)?;
    let shutdown = Shutdown::on_signals()
        .map_err(|error| AppError::failed(format!("signals cannot be caught: {error}")))?;
    let is_for_people = settings.output == OutputFormat::Table && stdout_columns().is_some();
    let live = is_for_people.then(|| Live::on_stderr(settings.log.format())).flatten();
    let mut judge = Judge::new(window);
    let mut away_since_ms = None;
    loop {
        if away_since_ms.is_none() {
            judge.judge(&mut look.groups, look.at_ms);
        }
        let time = Utc(Some(now_ms())).to_the_second();
        match &live {
            Some(live) => {
                let mut lines =
                    vec![format!("orders lag at {time} UTC, ctrl-C ends"), String::new()];
                lines.extend(
                    table::text(&look.groups, live.size().columns).lines().map(str::to_owned),
                );
                if let Some((since_ms, why)) = &away_since_ms {
                    let since = Utc(Some(*since_ms)).to_the_second();
                    lines.push(fit(&format!("unavailable since {since}: {why}"), 200));
                }
                live.show(lines);
            }
            None if away_since_ms.is_none() => {
                if settings.output == OutputFormat::Table {
                    result_line(&format!("at {time} UTC"))?;
                }
                print(settings.output, &look)?;
            }
            None => {}
        }
        if shutdown.wait(interval) {
            break;
        }
        let asked_ms = now_ms();
        match observer.look() {
            Ok(found) => {
                if away_since_ms.take().is_some() && live.is_none() {
                    note("orders: the brokers are available again");
                }
                look = found;
            }
            Err(AskError::Refused(text)) => {
                return Err(LagError::Ask(AskError::Refused(text)).into());
            }
            Err(error) => {
                if away_since_ms.is_none() && live.is_none() {
                    note(&format!("orders: unavailable: {error}"));
                }
                let since_ms = away_since_ms.map_or(asked_ms, |(since_ms, _)| since_ms);
                away_since_ms = Some((since_ms, error.to_string()));
            }
        }
    }
    if let Some(live) = live {
        live.end(Leave::LastLines);
    }
    Ok(ExitStatus::Done)
}

/// Makes sure that a broker answers, and makes the handles.
fn open(settings: &Settings) -> Result<Observer, LagError> {
    let (which, retry_topic) = (settings.which.clone(), &settings.retry_topic);
    // Before the question whether anybody is there: they connect meanwhile.
    let observer = Observer::new(&settings.kafka, which, Breadth::OfGroups, retry_topic);
    probe_brokers(&settings.kafka.base(Role::Admin), BROKER_PROBE_LIMIT)?;
    Ok(observer?)
}

fn first_look(observer: &mut Observer, settings: &Settings) -> Result<Look, LagError> {
    let look = observer.look()?;
    if look.groups.is_empty() && matches!(settings.which, Which::One(_)) {
        return Err(LagError::NoGroup {
            group: settings.group.clone(),
            servers: settings.kafka.bootstrap_servers().to_owned(),
            known: observer.group_names()?,
        });
    }
    Ok(look)
}

/// Looks until each partition can be judged, at most over the window.
fn over_window(settings: &Settings, window: Duration) -> Result<Look, LagError> {
    let mut observer = open(settings)?;
    let mut judge = Judge::new(window);
    let mut look = first_look(&mut observer, settings)?;
    let (started, pause) =
        (Instant::now(), (window / LOOKS_PER_WINDOW).clamp(PAUSE_MIN, PAUSE_MAX));
    let mut is_told = false;
    loop {
        judge.judge(&mut look.groups, look.at_ms);
        let is_open = look.groups.iter().flat_map(|group| &group.partitions);
        let mut is_open = is_open.filter(|found| found.verdict.word.is_none());
        let seen = started.elapsed();
        if window.is_zero() || is_open.next().is_none() || seen >= window {
            return Ok(look);
        }
        if !std::mem::replace(&mut is_told, true) {
            note(&format!("orders: watching for {} s", window.as_secs_f64()));
        }
        // The last look lies at the end of the window, not behind it.
        thread::sleep(pause.min(window.saturating_sub(seen)));
        look = observer.look()?;
    }
}

fn json_of(look: &Look) -> Value {
    let groups: Vec<Value> = look.groups.iter().map(GroupLag::json).collect();
    json!({ "at_ms": look.at_ms, "groups": groups })
}

fn print(format: OutputFormat, look: &Look) -> Result<(), AppError> {
    match format {
        OutputFormat::Table => {
            let columns = stdout_columns().unwrap_or(table::COLUMNS_ELSEWHERE);
            result(&table::text(&look.groups, columns))
        }
        OutputFormat::Json => result_line(&tame_json(json_of(look).to_string())),
        OutputFormat::Jsonl => {
            let mut partitions = look.groups.iter().flat_map(|group| &group.partitions);
            partitions.try_for_each(|found| result_line(&tame_json(found.json().to_string())))
        }
    }
}
