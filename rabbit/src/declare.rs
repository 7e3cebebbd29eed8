//! Exchange, queues and bindings, as they are made.
//!
//! A quorum queue that was just made is not yet safe: RabbitMQ confirms what it takes, but knows
//! only half a second to a second later, on disk, where the queue keeps it. So new queues are left
//! alone for a while, and the exchange, through which orders come, is made after it: where the
//! exchange is, the queues are safe.

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, LongString};
use lapin::{Channel, Connection, ExchangeKind};
use serde_json::{Map, Value};
use tokio::time::sleep;

use crate::limits::SETTLE;
use crate::topology::Topology;

/// Declares everything; what is there already must be the same.
///
/// # Errors
///
/// If the broker goes away, or has something of the same name that is different.
pub(crate) async fn declare(
    topology: &Topology,
    connection: &Connection,
    channel: &Channel,
) -> lapin::Result<()> {
    let is_new = !is_complete(topology, connection).await?;
    for plan in topology.queues() {
        let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        let name = plan.name.as_str().into();
        channel.queue_declare(name, options, table(&plan.arguments)).await?;
    }
    if is_new {
        tracing::info!(exchange = topology.exchange(), wait = ?SETTLE, "queues are made");
        sleep(SETTLE).await;
    }
    let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    let exchange = topology.exchange();
    let none = FieldTable::default;
    channel.exchange_declare(exchange.into(), ExchangeKind::Topic, options, none()).await?;
    for plan in topology.queues() {
        let (name, options) = (plan.name.as_str().into(), QueueBindOptions::default());
        if let Some(key) = plan.routing_key {
            channel.queue_bind(name, exchange.into(), key.into(), options, none()).await?;
        }
    }
    Ok(())
}

/// Whether exchange and queues are there, with whatever settings.
async fn is_complete(topology: &Topology, connection: &Connection) -> lapin::Result<bool> {
    // The broker closes a channel on which something was not found.
    let channel = connection.create_channel().await?;
    match look_for_all(topology, &channel).await {
        Ok(()) => channel.close(200, "done".into()).await.map(|()| true),
        Err(error) if error.is_amqp_soft_error() => Ok(false),
        Err(error) => Err(error),
    }
}

async fn look_for_all(topology: &Topology, channel: &Channel) -> lapin::Result<()> {
    let none = FieldTable::default;
    let options = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
    let exchange = topology.exchange().into();
    channel.exchange_declare(exchange, ExchangeKind::Topic, options, none()).await?;
    for plan in topology.queues() {
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
