//! Reads `notification-events`, committed records only.

use std::collections::HashSet;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use codec::decode::Decoder;
use codec::frame;
use codec::resolver::SchemaResolver;
use codec::scalar::AvroRecord as _;
use kafka_io::admin::Admin;
use kafka_io::client_config::{KafkaSettings, Role};
use kafka_io::ends::Ends;
use kafka_io::reader::{Polled, Reader};
use order_schemas::Notification;
use pipeline::record::CommitPosition;
use service_kit::shutdown::Shutdown;

use super::READY_MAX;
use crate::book::Book;
use crate::past::Past;
use crate::stopping::STOPPED;

/// Longest wait for one record before the reader looks whether it is to stop.
const POLL_MAX: Duration = Duration::from_millis(50);
const ASK_MAX: Duration = Duration::from_secs(5);

/// Reads until it is stopped; says once whether it stands at the end of all partitions.
pub(super) fn read(
    settings: &KafkaSettings,
    topic: &str,
    book: &Book,
    stop: &Shutdown,
    ready: &SyncSender<Result<(), String>>,
) {
    let opened = open(settings, topic, book.past(), stop);
    let reader = match opened {
        Ok(reader) => {
            // Nobody waits any more: then it is stopped soon.
            let _ = ready.send(Ok(()));
            reader
        }
        Err(error) => {
            let _ = ready.send(Err(error));
            return;
        }
    };
    let resolver = SchemaResolver::offline();
    let mut decoder = Decoder::<Notification>::new(resolver.clone());
    let mut known = HashSet::new();
    while !stop.is_requested() {
        match reader.poll(POLL_MAX) {
            Polled::Record(record) => {
                book.past().stand(record.partition(), record.offset().0 + 1);
                let Some(id) = frame::schema_id(record.value()) else { continue };
                // One program writes to this topic, in one schema.
                if known.insert(id) && resolver.insert(id, Notification::SCHEMA).is_err() {
                    continue;
                }
                match decoder.decode(record.value()) {
                    Ok(message) if message.is_good_news() => book.told(&message.order_id),
                    Ok(message) => book.told_no(&message.order_id),
                    Err(error) => tracing::warn!(%error, "a message to a customer cannot be read"),
                }
            }
            Polled::End(_) | Polled::Nothing => {}
            Polled::OutOfRange => tracing::warn!("the position in the topic is gone"),
            Polled::Away(reason) | Polled::Denied(reason) | Polled::Missing(reason) => {
                tracing::debug!(reason, "the topic of notifications is not read now");
            }
        }
    }
}

/// Opens a reader where the one before it stopped, or at the end of what there is.
fn open(
    settings: &KafkaSettings,
    topic: &str,
    past: &Past,
    stop: &Shutdown,
) -> Result<Reader, String> {
    let text = |error: &dyn std::fmt::Display| format!("{topic}: {error}");
    let config = settings.base(Role::Consumer);
    let admin = Admin::new(&settings.base(Role::Admin)).map_err(|error| text(&error))?;
    let deadline = Instant::now() + READY_MAX;
    let partitions = loop {
        match admin.partitions(&[topic], ASK_MAX).map(|topics| topics.get(topic).cloned()) {
            Ok(Some(info)) => break info.partitions,
            _ if stop.is_requested() => return Err(STOPPED.to_owned()),
            _ if Instant::now() < deadline => std::thread::sleep(POLL_MAX),
            Ok(None) => return Err(format!("{topic} does not exist")),
            Err(error) => return Err(text(&error)),
        }
    };
    let ends = Ends::stable(&config).map_err(|error| text(&error))?;
    let ends = ends.of_topic(topic, partitions, ASK_MAX).map_err(|error| text(&error))?;
    let reader = Reader::new(&config, "lab").map_err(|error| text(&error))?;
    reader.look_up(&[topic], ASK_MAX);
    for (partition, end) in (0..).zip(ends) {
        let from = past.stands(partition).unwrap_or(end);
        past.stand(partition, from);
        reader.start(topic, partition, CommitPosition(from)).map_err(|error| text(&error))?;
    }
    Ok(reader)
}
