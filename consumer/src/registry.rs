//! The schemas of what the consumer writes: registered, or looked up.

use codec::encode::Encoder;
use codec::registry::{AwayCause, Registration, Registry, RegistryError, value_subject};
use codec::resolver::{ResolverLimits, SchemaResolver};
use order_schemas::{OrderOutcome, ProductAverage};
use relane::START_MAX;
use service_kit::exit::AppError;
use tokio::runtime::Handle;

use crate::settings::Settings;

/// Encoders of what the consumer writes itself, made once at the start.
#[derive(Clone)]
pub(crate) struct Encoders {
    pub(crate) averages: Encoder<ProductAverage>,
    pub(crate) outcomes: Option<Encoder<OrderOutcome>>,
}

/// Registers or looks up the schemas of what a lane writes.
pub(crate) async fn connect_registry(
    settings: &Settings,
    runtime: &Handle,
) -> Result<(SchemaResolver, Encoders), AppError> {
    let registry = Registry::new(settings.registry.clone())
        .map_err(|error| AppError::usage(error.to_string()))?;
    let registration =
        if settings.registers { Registration::Register } else { Registration::LookUpOnly };
    let topics = &settings.engine.topics;
    let connect = async {
        let subject = value_subject(topics.state.as_deref().unwrap_or_default());
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
                format!("the schema registry at {address} did not answer within {START_MAX:?}");
            return Err(AppError::failed(message).hint(AwayCause::Silent.hint()));
        }
    };
    let limits =
        ResolverLimits { not_found_grace: settings.schema_grace, ..ResolverLimits::default() };
    Ok((SchemaResolver::with_limits(registry, runtime.clone(), limits), encoders))
}

fn registry_failure(address: &str, error: &RegistryError) -> AppError {
    AppError::failed(format!("schema registry at {address}: {error}")).hint(error.start_hint())
}
