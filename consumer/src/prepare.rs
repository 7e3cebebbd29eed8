//! Everything that must be there before a lane starts.

use std::time::{Duration, Instant};

use codec::encode::Encoder;
use codec::registry::{Registration, Registry, RegistryError, RegistrySettings, value_subject};
use codec::resolver::SchemaResolver;
use kafka_io::admin::Admin;
use kafka_io::member::AskError;
use service_kit::exit::AppError;
use tokio::runtime::Handle;

use crate::lane::{Connections, Encoders, LaneSettings};
use crate::layout::{self, LayoutFault};
use crate::settings::Settings;

/// A server that is not there is told within this time.
pub(crate) const START_MAX: Duration = Duration::from_secs(4);

/// What to do when no broker answers.
pub(crate) const BROKER_HINT: &str =
    "is Kafka running there? name it with --bootstrap-server or KAFKA_BOOTSTRAP_SERVERS";

/// Time between two looks at something that is about to be there.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Registers or looks up the schemas of what a lane writes.
pub(crate) async fn connect_registry(
    settings: &Settings,
    runtime: &Handle,
) -> Result<(SchemaResolver, Encoders), AppError> {
    let registry_settings = RegistrySettings::new(&settings.registry_urls)
        .map_err(|error| AppError::usage(error.to_string()))?;
    let registry =
        Registry::new(registry_settings).map_err(|error| AppError::usage(error.to_string()))?;
    let registration =
        if settings.registers { Registration::Register } else { Registration::LookUpOnly };
    let topics = &settings.topics;
    let connect = async {
        let subject = value_subject(&topics.averages);
        let averages = Encoder::connect(&registry, &subject, registration).await?;
        let outcomes = match &topics.outcomes {
            Some(topic) => {
                Some(Encoder::connect(&registry, &value_subject(topic), registration).await?)
            }
            None => None,
        };
        Ok::<_, RegistryError>(Encoders { averages, outcomes })
    };
    let address = registry.address().to_owned();
    let encoders = match tokio::time::timeout(START_MAX, connect).await {
        Ok(Ok(encoders)) => encoders,
        Ok(Err(error)) => return Err(registry_failure(&address, &error)),
        Err(_) => {
            let message =
                format!("the schema registry at {address} does not answer within {START_MAX:?}");
            return Err(AppError::failed(message).hint(REGISTRY_HINT));
        }
    };
    Ok((SchemaResolver::new(registry, runtime.clone()), encoders))
}

const REGISTRY_HINT: &str =
    "is it running there? name it with --schema-registry-url or SCHEMA_REGISTRY_URL";

fn registry_failure(address: &str, error: &RegistryError) -> AppError {
    let failed = AppError::failed(format!("schema registry at {address}: {error}"));
    match error {
        RegistryError::Away { .. } => failed.hint(REGISTRY_HINT),
        RegistryError::NotFound { .. } => failed.hint("start once without --no-register"),
        RegistryError::Incompatible { .. } | RegistryError::Rejected { .. } => {
            failed.hint("the subject holds another schema: use a topic of its own for this group")
        }
    }
}

/// Makes missing topics if asked to, and checks that all fit together.
pub(crate) async fn prepare_topics(
    settings: &Settings,
    connections: &Connections,
) -> Result<i32, AppError> {
    let failed = |error: AskError| {
        let failed = AppError::failed(error.to_string());
        if matches!(error, AskError::Away(_)) { failed.hint(BROKER_HINT) } else { failed }
    };
    let admin = Admin::new(&connections.consumer).map_err(failed)?;
    let names: Vec<&str> = layout::roles(&settings.topics).into_iter().map(|(_, n)| n).collect();
    let look = async || {
        if settings.checks_topic_settings {
            admin.describe(&names, START_MAX).await
        } else {
            admin.partitions(&names, START_MAX)
        }
    };
    let mut existing = look().await.map_err(failed)?;
    if settings.creates_topics {
        let missing = layout::missing(&settings.topics, &existing, settings.create_partitions);
        if !missing.is_empty() {
            admin.create(&missing).await.map_err(failed)?;
            let give_up_at = Instant::now() + START_MAX;
            while existing.len() < names.len() && Instant::now() < give_up_at {
                tokio::time::sleep(Duration::from_millis(50)).await; // brokers learn of it one by one
                existing = look().await.map_err(failed)?;
            }
        }
    }
    let servers = settings.kafka.bootstrap_servers();
    layout::check(&settings.topics, &existing, servers, settings.checks_topic_settings)
        .map_err(|LayoutFault { message, hint }| AppError::failed(message).hint(hint))
}

/// Ends of the main partitions now, where a run stops at them.
pub(crate) fn main_ends(
    settings: &Settings,
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
            Err(error) => return Err(AppError::failed(error.to_string()).hint(BROKER_HINT)),
        }
    }
}

/// The part of the settings that lanes work with.
pub(crate) fn lane_settings(
    settings: &Settings,
    partitions: i32,
    main_ends: Option<Vec<i64>>,
) -> LaneSettings {
    let turn_records_max = if settings.simulate_latency.is_zero() {
        crate::lane::limits::TURN_RECORDS_MAX
    } else {
        settings.concurrency
    };
    LaneSettings {
        topics: settings.topics.clone(),
        group: settings.group.clone(),
        partitions,
        guarantee: settings.guarantee,
        plan: settings.plan.clone(),
        handler: settings.handler.clone(),
        simulate_latency: settings.simulate_latency,
        turn_records_max,
        waiting_records_max: settings.waiting_records_max,
        accepts_gap: settings.accepts_gap,
        dialects: settings.dialects,
        instance_id: settings.instance_id.clone(),
        main_ends,
        bootstrap_servers: settings.kafka.bootstrap_servers().to_owned(),
    }
}
