//! The queue of outcomes that earlier versions had in the place of the stream: what lies in it is
//! noted, and it goes.

use std::sync::Arc;

use amqp_io::consume::Trouble;
use amqp_io::link::{Purpose, Target, open_once};
use amqp_io::received::Received;
use lapin::options::{BasicAckOptions, BasicGetOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Queue};

use crate::events::Reader;
use crate::topology::{INVENTORY_DECIDED, Topology};

/// Takes over what lies in the former queue, and deletes it when it is empty and nobody reads it.
///
/// # Errors
///
/// Says why it is not done; the next start tries again.
pub(crate) async fn take_over(
    target: &Target,
    topology: &Topology,
    reader: &Arc<Reader>,
) -> Result<(), String> {
    let (connection, channel) =
        open_once(target, Purpose::Redrive).await.map_err(|error| error.to_string())?;
    let taken = take_all(topology, &channel, reader).await;
    // The end of the process does the same.
    let _ = connection.close(200, "done".into()).await;
    taken
}

async fn take_all(topology: &Topology, channel: &Channel, reader: &Reader) -> Result<(), String> {
    let away = |error: lapin::Error| error.to_string();
    let name = topology.outcomes_before();
    match look(channel, &name).await {
        Ok(_) => {}
        Err(error) if error.is_amqp_soft_error() => return Ok(()),
        Err(error) => return Err(away(error)),
    }
    let (queue, exchange) = (name.as_str().into(), topology.exchange().into());
    let key = INVENTORY_DECIDED.into();
    channel.queue_unbind(queue, exchange, key, FieldTable::default()).await.map_err(away)?;
    let mut count = 0_u64;
    while let Some(message) = channel
        .basic_get(name.as_str().into(), BasicGetOptions { no_ack: false })
        .await
        .map_err(away)?
    {
        let received = Received::of(&message.delivery);
        match reader.note_decision(&received).await {
            Ok(()) => {}
            Err(Trouble::Failed(failure)) => {
                reader.failing.dead_letter(&received, &failure, None).await;
            }
            Err(trouble) => return Err(format!("{trouble:?}")),
        }
        message.delivery.acker.ack(BasicAckOptions::default()).await.map_err(away)?;
        count += 1;
    }
    let left = look(channel, &name).await.map_err(away)?;
    if left.message_count() > 0 || left.consumer_count() > 0 {
        return Err(format!("another program reads {name}"));
    }
    let options = QueueDeleteOptions::default();
    channel.queue_delete(name.as_str().into(), options).await.map_err(away)?;
    tracing::info!(queue = name, count, "the outcomes of an earlier version were migrated");
    Ok(())
}

async fn look(channel: &Channel, name: &str) -> lapin::Result<Queue> {
    let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(name.into(), options, FieldTable::default()).await
}
