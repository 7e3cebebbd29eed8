//! A message to a count: for both consumers, with one meaning.

use std::sync::Arc;

use amqp_io::consume::{Done, Trouble, Work};
use amqp_io::received::Received;
use codec::resolver::SchemaResolver;
use pipeline::failure::FailureReason;
use relane::{HandleError, Handler, Record};

use crate::record::WeatherReport;
use crate::store::{Counted, Store};

/// Counts the records of the topic.
pub(crate) struct KafkaCounting {
    pub(crate) store: Arc<Store>,
}

impl Handler<WeatherReport> for KafkaCounting {
    async fn handle(&self, record: Record<WeatherReport>) -> Result<(), HandleError> {
        let report = record
            .value
            .check()
            .map_err(|rule| HandleError::permanent(rule.reason(), rule.to_string()))?;
        let counted = self.store.count(&record.value.message_id, report.country, report.kind);
        // No answer of a store is the fault of a record.
        counted.await.map(|_| ()).map_err(|error| HandleError::away(error.to_string()))
    }
}

/// Counts the messages of the queue.
#[derive(Debug)]
pub(crate) struct RabbitCounting {
    pub(crate) store: Arc<Store>,
    pub(crate) resolver: SchemaResolver,
}

impl Work for RabbitCounting {
    async fn work(&self, received: &Received) -> Result<Done, Trouble> {
        let record = received.decode::<WeatherReport>(&self.resolver).await?;
        let report = record.check().map_err(|rule| {
            let reason = FailureReason::Permanent(rule.reason());
            Trouble::Failed(received.failure(reason, rule.to_string()))
        })?;
        match self.store.count(&record.message_id, report.country, report.kind).await {
            Ok(Counted::Now) => Ok(Done::Now),
            Ok(Counted::Before) => Ok(Done::Before),
            Err(error) => Err(Trouble::Away(error.to_string())),
        }
    }
}
