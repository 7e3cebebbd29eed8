//! Everything that must be there before a lane starts.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_io::access::Operation;
use kafka_io::admin::{Admin, TopicInfo};
use kafka_io::client_config::{AwayReason, KafkaSettings, Role, probe_brokers};
use kafka_io::member::AskError;
use service_kit::exit::{AppError, ExitStatus};

use crate::advice;
use crate::lane::Connections;
use crate::lane::handles::Ends;
use crate::lane::settings::LaneSettings;
use crate::layout::{self, Layout};
use crate::settings::EngineSettings;
use crate::stage::SettingNames;

/// Longest wait for the first answer of a server, 4 s: that it is not there is said within this time.
pub const START_MAX: Duration = Duration::from_secs(4);

/// Waits for the permissions, and for the topics with their settings: 5 s in all for each.
const LOOKS_MS: [u64; 5] = [500, 500, 500, 1000, 2500];

/// Time between two looks at something that is about to be there.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Asks whether the brokers are there, and makes the connections that the lanes of a pipeline share. It blocks the thread until
/// one answers, for at most [`START_MAX`]. `names` says what messages call the setting that names the brokers.
///
/// # Errors
///
/// Fails within [`START_MAX`] when no broker answers or one refuses, and says which and what to do.
pub fn connect(kafka: &KafkaSettings, names: &SettingNames) -> Result<Connections, AppError> {
    let consumer = kafka.base(Role::Consumer);
    probe_brokers(&consumer, START_MAX).map_err(|error| {
        let status = match error.reason {
            AwayReason::Settings => ExitStatus::Usage,
            _ => ExitStatus::Failed,
        };
        let hint = error.hint().map_or_else(|| names.broker_hint(), str::to_owned);
        AppError::new(status, error.to_string()).hint(hint)
    })?;
    let failed = |error: kafka_io::KafkaError| AppError::failed(error.to_string());
    Ok(Connections {
        ends: Arc::new(Ends::new(&consumer).map_err(failed)?),
        producer: kafka.base(Role::Producer),
        consumer,
    })
}

/// Makes missing topics if asked to, and checks that all fit together.
pub(crate) async fn prepare_topics(
    settings: &EngineSettings,
    connections: &Connections,
) -> Result<i32, AppError> {
    let names: Vec<&str> = layout::roles(&settings.topics).into_iter().map(|(_, n)| n).collect();
    let (admin, mut existing) = first_look(settings, connections, &names).await?;
    if settings.creates_topics {
        let missing = layout::missing(&settings.topics, &existing, settings.create_partitions);
        if !missing.is_empty() {
            admin.create(&missing).await.map_err(|error| failed(settings, error))?;
            let created: Vec<&str> = missing.iter().map(|topic| topic.name.as_str()).collect();
            tracing::info!("created {}", created.join(", "));
            let give_up_at = Instant::now() + START_MAX;
            while existing.len() < names.len() && Instant::now() < give_up_at {
                tokio::time::sleep(Duration::from_millis(50)).await; // brokers learn of it one by one
                existing = look(settings, &admin, &names, START_MAX)
                    .await
                    .map_err(|error| failed(settings, error))?;
            }
            // A topic that did not exist had nothing to check.
            if let Some(lack) = missing_access(settings, &admin, START_MAX)
                .map_err(|error| failed(settings, error))?
            {
                return Err(lack);
            }
        }
    }
    layout(settings).check(&existing).map_err(|problems| {
        AppError::failed(advice::message(&problems)).hint(advice::hint(&problems))
    })
}

/// What the topics of a pipeline are checked against.
pub(crate) fn layout(settings: &EngineSettings) -> Layout<'_> {
    Layout {
        topics: &settings.topics,
        words: &settings.words,
        bootstrap_servers: settings.kafka.bootstrap_servers(),
        checks_settings: settings.checks_topic_settings,
        accepts_compacted: settings.accepts_compacted,
    }
}

/// Looks whether permissions are missing and at the topics, through a client that some broker
/// answers.
///
/// One broker of several may stand still and be taken for the controller: another try, with a new
/// client, may find another.
async fn first_look(
    settings: &EngineSettings,
    connections: &Connections,
    names: &[&str],
) -> Result<(Admin, HashMap<String, TopicInfo>), AppError> {
    let mut silence = String::new();
    for limit in LOOKS_MS.map(Duration::from_millis) {
        let admin = Admin::new(&connections.consumer).map_err(|error| failed(settings, error))?;
        // The permissions first, since they name all that is missing at once.
        let found = match missing_access(settings, &admin, limit) {
            Ok(Some(lack)) => return Err(lack),
            Ok(None) => look(settings, &admin, names, limit).await,
            Err(error) => Err(error),
        };
        match found {
            Ok(existing) => return Ok((admin, existing)),
            Err(AskError::Away(text)) => {
                tracing::warn!(
                    "the brokers did not list the topics within {limit:?}; asking again: {text}"
                );
                silence = text;
            }
            Err(error) => return Err(failed(settings, error)),
        }
    }
    Err(failed(settings, AskError::Away(silence)))
}

fn failed(settings: &EngineSettings, error: AskError) -> AppError {
    let failed = AppError::failed(error.to_string());
    if matches!(error, AskError::Away(_)) {
        failed.hint(settings.words.settings.broker_hint())
    } else {
        failed
    }
}

async fn look(
    settings: &EngineSettings,
    admin: &Admin,
    names: &[&str],
    limit: Duration,
) -> Result<HashMap<String, TopicInfo>, AskError> {
    if settings.checks_topic_settings {
        admin.describe(names, limit).await
    } else {
        admin.partitions(names, limit)
    }
}

/// Names the permissions that are missing, before anything runs into them; `None` where all are there.
fn missing_access(
    settings: &EngineSettings,
    admin: &Admin,
    limit: Duration,
) -> Result<Option<AppError>, AskError> {
    if !settings.checks_topic_settings {
        return Ok(None); // the mock does not tell
    }
    let wants = layout::wants(&settings.topics, settings.trim_retry.is_some());
    let mut missing = admin.missing_permissions(&wants, limit)?;
    if missing.take(Operation::Delete) {
        let topic = &settings.topics.retry;
        let or_not = match settings.words.settings.no_trim {
            "" => String::new(),
            flag => format!(", or set {flag}"),
        };
        tracing::warn!(
            "the permission Delete on topic '{topic}' is missing: settled retries stay there; \
             grant it{or_not}"
        );
    }
    if missing.is_empty() {
        return Ok(None);
    }
    let hint = format!("grant it: {}", missing.commands(settings.kafka.bootstrap_servers()));
    Ok(Some(AppError::failed(missing.to_string()).hint(hint)))
}

/// Ends of the main partitions now, where a run stops at them.
pub(crate) fn main_ends(
    settings: &EngineSettings,
    connections: &Connections,
    partitions: i32,
) -> Result<Option<Vec<i64>>, AppError> {
    if !settings.exits_at_end {
        return Ok(None);
    }
    let give_up_at = Instant::now() + START_MAX;
    loop {
        match connections.ends.of_topic(&settings.topics.main, partitions, START_MAX) {
            Ok(ends) => return Ok(Some(ends)),
            // A topic that was made a moment ago may have no leader yet.
            Err(AskError::Away(_)) if Instant::now() < give_up_at => {
                std::thread::sleep(LOOK_EVERY);
            }
            Err(error) => {
                return Err(
                    AppError::failed(error.to_string()).hint(settings.words.settings.broker_hint())
                );
            }
        }
    }
}

/// The part of the settings that lanes work with.
pub(crate) fn lane_settings(
    settings: &EngineSettings,
    partitions: i32,
    main_ends: Option<Vec<i64>>,
) -> LaneSettings {
    LaneSettings {
        name: settings.name.clone(),
        words: settings.words,
        topics: settings.topics.clone(),
        group: settings.group.clone(),
        partitions,
        guarantee: settings.guarantee,
        plan: settings.plan.clone(),
        order: settings.order,
        dedupe: settings.dedupe,
        handler_timeout: settings.handler_timeout,
        concurrency: settings.concurrency,
        turn_records_max: crate::lane::limits::TURN_RECORDS_MAX,
        waiting_records_max: settings.waiting_records_max,
        dead_letter_limits: settings.dead_letter_limits,
        on_dead_letter_limit: settings.on_dead_letter_limit,
        accepts_gap: settings.accepts_gap,
        writes_connect_headers: settings.writes_connect_headers,
        instance_id: settings.instance_id.clone(),
        main_ends,
        bootstrap_servers: settings.kafka.bootstrap_servers().to_owned(),
    }
}
