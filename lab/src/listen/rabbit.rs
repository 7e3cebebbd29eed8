//! Takes messages out of the queue that a mail service would read.

use std::collections::HashSet;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use codec::decode::Decoder;
use codec::frame;
use codec::resolver::SchemaResolver;
use codec::scalar::AvroRecord as _;
use futures_util::StreamExt as _;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ConnectionProperties, Consumer};
use order_schemas::Notification;
use service_kit::shutdown::Shutdown;
use tokio::time::{sleep, timeout};

use super::READY_MAX;
use crate::book::Book;

/// Messages that the broker sends ahead of their acknowledgement.
const AHEAD_MAX: u16 = 1_000;
/// Longest orderly end.
const REST_MAX: Duration = Duration::from_secs(2);
const TAG: &str = "lab";
const AGAIN_AFTER: Duration = Duration::from_millis(200);
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// What was heard so far, and how it is read.
struct Heard {
    ids: HashSet<String>,
    resolver: SchemaResolver,
    decoder: Decoder<Notification>,
    known: HashSet<u32>,
}

impl Heard {
    fn new() -> Self {
        let resolver = SchemaResolver::offline();
        let decoder = Decoder::new(resolver.clone());
        Self { ids: HashSet::new(), resolver, decoder, known: HashSet::new() }
    }

    /// Whether a message says that the order does not come.
    fn says_no(&mut self, body: &[u8]) -> bool {
        let Some(id) = frame::schema_id(Some(body)) else { return false };
        // One program writes to this queue, in one schema.
        if self.known.insert(id) && self.resolver.insert(id, Notification::SCHEMA).is_err() {
            return false;
        }
        match self.decoder.decode(Some(body)) {
            Ok(message) => !message.is_good_news(),
            Err(error) => {
                tracing::warn!(%error, "a message to a customer cannot be read");
                false
            }
        }
    }
}

/// Reads until it is stopped, through as many connections as it takes; says once whether the first one reads.
pub(super) async fn read(
    url: &str,
    queue: &str,
    book: &Book,
    stop: &Shutdown,
    ready: &SyncSender<Result<(), String>>,
) {
    let deadline = Instant::now() + READY_MAX;
    let (mut is_told, mut heard) = (false, Heard::new());
    while !stop.is_requested() {
        let opened = tokio::select! {
            opened = timeout(CONNECT_MAX, open(url, queue)) => opened,
            () = stop.requested() => return,
        };
        match opened {
            Ok(Ok((connection, channel, mut consumer))) => {
                if !std::mem::replace(&mut is_told, true) {
                    // Nobody waits any more: then it is stopped soon.
                    let _ = ready.send(Ok(()));
                }
                take(&mut consumer, book, stop, &mut heard).await;
                if stop.is_requested() {
                    let rest = rest(&connection, &channel, &mut consumer, book, &mut heard);
                    // What is not heard by then is heard by the next reader.
                    let _ = timeout(REST_MAX, rest).await;
                }
            }
            failed if !is_told && Instant::now() > deadline => {
                let why = failed.map_or_else(
                    |_| "no answer".to_owned(),
                    |opened| opened.err().map_or_else(String::new, |error| error.to_string()),
                );
                let _ = ready.send(Err(format!("{queue}: {why}")));
                return;
            }
            _ => {
                tokio::select! {
                    () = sleep(AGAIN_AFTER) => {}
                    () = stop.requested() => {}
                }
            }
        }
    }
}

async fn open(url: &str, queue: &str) -> lapin::Result<(Connection, Channel, Consumer)> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.basic_qos(AHEAD_MAX, BasicQosOptions::default()).await?;
    let options = BasicConsumeOptions::default();
    let consumer =
        channel.basic_consume(queue.into(), TAG.into(), options, FieldTable::default()).await?;
    Ok((connection, channel, consumer))
}

async fn take(consumer: &mut Consumer, book: &Book, stop: &Shutdown, heard: &mut Heard) {
    loop {
        let next = tokio::select! {
            biased;
            next = consumer.next() => next,
            () = stop.requested() => return,
        };
        let Some(Ok(delivery)) = next else { return };
        hear(&delivery, book, heard).await;
    }
}

/// Ends a reader in order: what the broker has sent ahead is heard, and all of it acknowledged, so that the next reader
/// gets nothing twice.
async fn rest(
    connection: &Connection,
    channel: &Channel,
    consumer: &mut Consumer,
    book: &Book,
    heard: &mut Heard,
) {
    if channel.basic_cancel(TAG.into(), BasicCancelOptions::default()).await.is_ok() {
        while let Some(Ok(delivery)) = consumer.next().await {
            hear(&delivery, book, heard).await;
        }
    }
    let _ = connection.close(200, "done".into()).await;
}

async fn hear(delivery: &Delivery, book: &Book, heard: &mut Heard) {
    if let Some(order_id) = new_message(delivery, book, &mut heard.ids) {
        if heard.says_no(&delivery.data) { book.told_no(&order_id) } else { book.told(&order_id) }
    }
    // Where the connection breaks, the broker sends it again, and says so.
    let _ = delivery.ack(BasicAckOptions::default()).await;
}

/// The order that a message is about; nothing where the broker sends again what was heard already because its
/// acknowledgement was lost. A message that was published twice is heard twice.
fn new_message(delivery: &Delivery, book: &Book, heard: &mut HashSet<String>) -> Option<String> {
    let order_id = delivery.properties.message_id().as_ref()?.as_str().to_owned();
    let is_first = heard.insert(order_id.clone()) && !book.past().has_outcome(&order_id);
    (is_first || !delivery.redelivered).then_some(order_id)
}
