//! Exchange, queues and bindings, as they are made.
//!
//! A quorum queue that was just made is not yet safe: RabbitMQ confirms what it takes, but knows
//! only half a second to a second later, on disk, where the queue keeps it. So new queues are left
//! alone for a while, and the exchange, through which orders come, is made after it: where the
//! exchange is, the queues are safe.

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::{AMQPValue, FieldTable, LongString, ShortString};
use lapin::{Channel, Connection, ErrorKind, ExchangeKind};
use serde_json::{Map, Value};
use tokio::time::sleep;

use crate::limits::SETTLE;
use crate::topology::{Declared, QueuePlan};

/// Why something is not declared.
#[derive(Debug, thiserror::Error)]
pub enum DeclareError {
    /// Another store has the state of this service.
    #[error("{0}")]
    OtherOwner(lapin::Error),
    /// Anything else.
    #[error("{0}")]
    Broker(#[from] lapin::Error),
}

impl DeclareError {
    /// Whether the broker knows a queue that it does not yet serve. To declare something that is
    /// not there makes it, so "not found" means that, and nothing else.
    pub fn is_recovering(&self) -> bool {
        matches!(self, Self::Broker(error) if soft_error(error) == Some(AMQPSoftError::NOTFOUND))
    }
}

/// Says to the broker which store has the state of a service; the first one to say so is it.
///
/// # Errors
///
/// [`DeclareError::OtherOwner`] if the broker knows another store.
pub async fn claim(owner: &QueuePlan, channel: &Channel) -> Result<(), DeclareError> {
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    let name = owner.name.as_str().into();
    let declared = channel.queue_declare(name, options, table(&owner.arguments)).await;
    declared.map(|_| ()).map_err(|error| match has_other_settings(&error) {
        true => DeclareError::OtherOwner(error),
        false => DeclareError::Broker(error),
    })
}

/// Whether the broker has something of this name with other settings.
fn has_other_settings(error: &lapin::Error) -> bool {
    soft_error(error) == Some(AMQPSoftError::PRECONDITIONFAILED)
}

/// Why the broker closed the channel, if it did.
fn soft_error(error: &lapin::Error) -> Option<AMQPSoftError> {
    let ErrorKind::ProtocolError(error) = error.kind() else { return None };
    match error.kind() {
        AMQPErrorKind::Soft(error) => Some(error.clone()),
        AMQPErrorKind::Hard(_) => None,
    }
}

/// Declares everything; what is there already must be the same.
///
/// # Errors
///
/// If the broker goes away, or has something of the same name that is different.
pub async fn declare(
    declared: &Declared,
    connection: &Connection,
    channel: &Channel,
) -> lapin::Result<()> {
    let is_new = !is_complete(declared, connection).await?;
    for plan in &declared.queues {
        let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        let name = plan.name.as_str().into();
        channel.queue_declare(name, options, table(&plan.arguments)).await?;
    }
    if is_new {
        tracing::info!(exchange = declared.exchange.as_str(), wait = ?SETTLE, "queues are made");
        sleep(SETTLE).await;
    }
    let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    let exchange = declared.exchange.as_str();
    let none = FieldTable::default;
    channel.exchange_declare(exchange.into(), ExchangeKind::Topic, options, none()).await?;
    for plan in &declared.queues {
        let (name, options) = (ShortString::from(plan.name.as_str()), QueueBindOptions::default());
        for key in plan.routing_keys {
            let (name, exchange, key) = (name.clone(), exchange.into(), (*key).into());
            channel.queue_bind(name, exchange, key, options, none()).await?;
        }
    }
    Ok(())
}

/// Whether exchange and queues are there, with whatever settings.
async fn is_complete(declared: &Declared, connection: &Connection) -> lapin::Result<bool> {
    // The broker closes a channel on which something was not found.
    let channel = connection.create_channel().await?;
    match look_for_all(declared, &channel).await {
        Ok(()) => channel.close(200, "done".into()).await.map(|()| true),
        Err(error) if error.is_amqp_soft_error() => Ok(false),
        Err(error) => Err(error),
    }
}

async fn look_for_all(declared: &Declared, channel: &Channel) -> lapin::Result<()> {
    let none = FieldTable::default;
    let options = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
    let exchange = declared.exchange.as_str().into();
    channel.exchange_declare(exchange, ExchangeKind::Topic, options, none()).await?;
    for plan in &declared.queues {
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(plan.name.as_str().into(), options, none()).await?;
    }
    Ok(())
}

fn table(arguments: &Map<String, Value>) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in arguments {
        let value = match value.as_i64() {
            Some(number) => AMQPValue::LongLongInt(number),
            None => AMQPValue::LongString(LongString::from(value.as_str().unwrap_or_default())),
        };
        table.insert(name.as_str().into(), value);
    }
    table
}
