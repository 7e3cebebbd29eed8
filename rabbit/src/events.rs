//! What happens to orders, as every order service hears it: from a stream, which keeps what was
//! read, so that each instance reads all of it, also one that comes later or with an empty folder.
//!
//! The position is noted in the commit of what was read up to there. Reading begins with the last
//! event that is known: where that is another one now, the stream was made anew, and all of it is
//! read. Reading something twice changes nothing.

use std::sync::Arc;

use amqp_io::consume::{Begun, Ended, Trouble, begin};
use amqp_io::failing::Failing;
use amqp_io::limits::{BACKOFF_MAX, BACKOFF_MIN};
use amqp_io::lineage::text;
use amqp_io::link::{Link, Live, jittered};
use amqp_io::metrics;
use amqp_io::received::Received;
use codec::resolver::SchemaResolver;
use futures_util::{FutureExt as _, StreamExt as _};
use lapin::Consumer;
use lapin::message::Delivery;
use lapin::options::BasicAckOptions;
use lapin::types::{AMQPValue, FieldTable};
use order_api::{News, Orders, Progress, Wish};
use order_schemas::{InventoryResult, OrderRecord};
use order_store::{Store, StoreError, Table};
use orders::Order;
use pipeline::failure::Failure;
use pipeline::headers as names;
use serde::{Deserialize, Serialize};
use service_kit::shutdown::Shutdown;
use tokio::time::sleep;

use crate::failures::store_trouble;
use crate::limits::{EVENTS_BATCH_MAX, EVENTS_KNOWN_MAX};
use crate::notification::outcome_of;
use crate::topology::WorkQueue;

/// Type of a message that is a placed order.
pub(crate) const ORDER: &str = "Order";

/// Label of its metrics.
const OUTCOMES: &str = WorkQueue::Outcomes.as_str();

/// How far the stream was read.
const POSITIONS: Table = Table::named("events.position");
const POSITION: &str = "last";
/// Where an event lies in the stream, and where to begin to read.
const STREAM_OFFSET: &str = "x-stream-offset";

/// The last event that was noted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Position {
    offset: i64,
    message_id: Option<String>,
}

/// The reading side of an order service.
pub(crate) struct Events {
    pub(crate) link: Link,
    pub(crate) reader: Arc<Reader>,
}

/// What notes events.
pub(crate) struct Reader {
    pub(crate) orders: Orders,
    pub(crate) store: Store,
    pub(crate) resolver: SchemaResolver,
    pub(crate) failing: Failing,
}

/// What an event says.
enum Heard {
    News(News),
    /// Nothing that concerns whoever asks for an order.
    Nothing,
    /// It cannot be read, for good.
    Poison(Failure),
}

impl Events {
    /// Reads until `stop`, through as many channels as it takes.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub(crate) async fn run(self, stop: Shutdown) -> Result<(), StoreError> {
        let mut last: Option<Position> = self.reader.store.get(POSITIONS, POSITION)?;
        loop {
            let live = tokio::select! {
                biased;
                () = stop.requested() => return Ok(()),
                live = self.link.up() => live,
            };
            let Some(live) = live else { return Ok(()) };
            match self.read(&live, &stop, &mut last).await? {
                Ended::ChannelLost => {
                    self.link.report_broken(live.generation);
                    self.link.is_lost(live.generation).await;
                }
                Ended::Stopped => return Ok(()),
            }
        }
    }

    async fn read(
        &self,
        live: &Live,
        stop: &Shutdown,
        last: &mut Option<Position>,
    ) -> Result<Ended, StoreError> {
        let stream = self.reader.failing.queue.name.clone();
        let mut arguments = FieldTable::default();
        let from = last.as_ref().map_or_else(
            || AMQPValue::LongString("first".into()),
            |last| AMQPValue::LongLongInt(last.offset),
        );
        arguments.insert(STREAM_OFFSET.into(), from);
        let why = match begin(&self.link, live, stop, &stream, arguments).await {
            Begun::Reading(consumer) => return self.take_from(live, stop, consumer, last).await,
            Begun::Ended(ended) => return Ok(ended),
            Begun::Refused(why) => why,
        };
        tracing::warn!(reason = why, stream, "the stream cannot be read");
        sleep(BACKOFF_MIN).await;
        Ok(Ended::ChannelLost)
    }

    async fn take_from(
        &self,
        live: &Live,
        stop: &Shutdown,
        mut consumer: Consumer,
        last: &mut Option<Position>,
    ) -> Result<Ended, StoreError> {
        let offset = last.as_ref().map(|last| last.offset);
        tracing::info!(queue = OUTCOMES, after_offset = offset, "reading");
        let mut is_known = last.is_none();
        loop {
            metrics::in_hand(OUTCOMES, 0);
            let first = tokio::select! {
                biased;
                () = stop.requested() => return Ok(Ended::Stopped),
                () = self.link.is_lost(live.generation) => return Ok(Ended::ChannelLost),
                delivery = consumer.next() => delivery,
                () = sleep(EVENTS_KNOWN_MAX), if !is_known => {
                    tracing::warn!(offset, "the last event is missing; reading the stream from its beginning");
                    *last = None;
                    return Ok(Ended::ChannelLost);
                }
            };
            let Some(batch) = gather(first, &mut consumer) else { return Ok(Ended::ChannelLost) };
            metrics::in_hand(OUTCOMES, batch.len());
            let Some(newest) = batch.last().map(|delivery| delivery.acker.clone()) else {
                return Ok(Ended::ChannelLost);
            };
            let received: Vec<(Received, bool)> = batch.iter().map(arrived).collect();
            if !is_known && !is_same_stream(last.as_ref(), received.first().map(|(one, _)| one)) {
                tracing::warn!(offset, "the stream was recreated; reading it from its beginning");
                *last = None;
                return Ok(Ended::ChannelLost);
            }
            is_known = true;
            let noted = tokio::select! {
                biased;
                noted = self.reader.note(&received) => noted?,
                () = stop.requested() => return Ok(Ended::Stopped),
            };
            if noted.is_some() {
                *last = noted;
            }
            if newest.ack(BasicAckOptions { multiple: true }).await.is_err() {
                return Ok(Ended::ChannelLost);
            }
        }
    }
}

/// What has come, in its order; `None` if nothing comes any more.
fn gather(
    first: Option<lapin::Result<Delivery>>,
    consumer: &mut Consumer,
) -> Option<Vec<Delivery>> {
    let mut batch = vec![first?.ok()?];
    while batch.len() < EVENTS_BATCH_MAX
        && let Some(Some(Ok(delivery))) = consumer.next().now_or_never()
    {
        batch.push(delivery);
    }
    Some(batch)
}

/// A message, and whether it is a placed order.
fn arrived(delivery: &Delivery) -> (Received, bool) {
    let kind = delivery.properties.kind().as_ref();
    (Received::of(delivery), kind.is_some_and(|kind| kind.as_str() == ORDER))
}

fn position_of(received: &Received) -> Option<Position> {
    let offset = text(&received.headers, STREAM_OFFSET)?.parse().ok()?;
    Some(Position { offset, message_id: received.message_id() })
}

/// Whether the first event that came is the last one that is known, or a later one because that
/// one is too old to be kept.
fn is_same_stream(last: Option<&Position>, first: Option<&Received>) -> bool {
    let (Some(last), Some(first)) = (last, first.and_then(position_of)) else { return true };
    if first.offset > last.offset {
        tracing::warn!(
            from = last.offset + 1,
            to = first.offset - 1,
            "events expired before they were read: orders of that time may stay pending here"
        );
    }
    first.offset > last.offset || first == *last
}

impl Reader {
    /// Notes events in one commit with the position of the last of them, which is returned.
    async fn note(&self, all: &[(Received, bool)]) -> Result<Option<Position>, StoreError> {
        let mut news = Vec::with_capacity(all.len());
        for (received, is_placed) in all {
            match self.hear(received, *is_placed).await {
                Heard::News(one) => news.push(one),
                Heard::Nothing => {}
                Heard::Poison(failure) => {
                    self.failing.dead_letter(received, &failure, None).await;
                    news.extend(dead_letter_of(received, &failure));
                    metrics::delivery(OUTCOMES, "dead-lettered");
                }
            }
        }
        let outcomes = news.iter().filter(|one| one.progress != Progress::Placed).count();
        let position = all.iter().rev().find_map(|(received, _)| position_of(received));
        let noted = position.clone();
        let first = self
            .orders
            .note_all(news, move |rows| match &noted {
                Some(position) => rows.put(POSITIONS, POSITION, position),
                None => Ok(()),
            })
            .await?;
        metrics::deliveries(OUTCOMES, "done", first);
        metrics::deliveries(OUTCOMES, "duplicate", outcomes.saturating_sub(first));
        Ok(position)
    }

    /// Reads an event; waits for as long as the schema registry is away.
    async fn hear(&self, received: &Received, is_placed: bool) -> Heard {
        if let Some(news) = self.dead_letter_event(received) {
            return Heard::News(news);
        }
        let mut wait = BACKOFF_MIN;
        loop {
            let trouble = if is_placed {
                match received.decode::<OrderRecord>(&self.resolver).await {
                    Ok(order) => return Heard::News(placed(&order)),
                    // Inventory has the order itself, and makes it a dead letter.
                    Err(Trouble::Failed(_)) => return Heard::Nothing,
                    Err(trouble) => trouble,
                }
            } else {
                match self.decided(received).await {
                    Ok(news) => return Heard::News(news),
                    Err(Trouble::Failed(failure)) => return Heard::Poison(failure),
                    Err(trouble) => trouble,
                }
            };
            tracing::warn!(reason = %trouble, "an event is not processed yet");
            sleep(jittered(wait)).await;
            wait = (wait * 2).min(BACKOFF_MAX);
        }
    }

    async fn decided(&self, received: &Received) -> Result<News, Trouble> {
        let result = received.decode::<InventoryResult>(&self.resolver).await?;
        let outcome = outcome_of(&result, received)?;
        Ok(decided(&result, outcome))
    }

    /// Notes one decision that lies outside of the stream.
    pub(crate) async fn note_decision(&self, received: &Received) -> Result<(), Trouble> {
        let news = self.decided(received).await?;
        self.orders.note_all(vec![news], |_| Ok(())).await.map_err(store_trouble)?;
        Ok(())
    }

    /// The news that an order's message became a dead letter, if this event says so.
    fn dead_letter_event(&self, received: &Received) -> Option<News> {
        let header = |name| text(&received.headers, name).map(std::borrow::Cow::into_owned);
        let (class, reason) = (header(names::FAILURE_CLASS)?, header(names::FAILURE_REASON)?);
        let order = received.decode_offline::<OrderRecord>(&self.resolver);
        Some(News {
            order_id: received.message_id()?,
            progress: Progress::DeadLettered { class, reason },
            wish: order.as_ref().map(Wish::of),
            created_at_ms: None,
        })
    }
}

fn placed(order: &Order) -> News {
    let (order_id, wish) = (order.order_id.clone(), Some(Wish::of(order)));
    News { order_id, progress: Progress::Placed, wish, created_at_ms: order.created_at_ms }
}

fn decided(result: &InventoryResult, outcome: orders::InventoryOutcome) -> News {
    News {
        order_id: result.order_id.clone(),
        progress: Progress::Decided(outcome),
        wish: Some(Wish::of(&result.order())),
        created_at_ms: result.created_at_ms,
    }
}

/// The news that the decision about an order cannot be read.
fn dead_letter_of(received: &Received, failure: &Failure) -> Option<News> {
    let (class, reason) = (failure.class().as_str(), failure.reason.as_str());
    Some(News {
        order_id: received.message_id()?,
        progress: Progress::DeadLettered { class: class.to_owned(), reason: reason.to_owned() },
        wish: None,
        created_at_ms: None,
    })
}

#[cfg(test)]
mod tests {
    use lapin::BasicProperties;

    use super::*;
    use amqp_io::lineage::{Past, set};
    use amqp_io::received::Trace;

    fn event(offset: i64, id: &str) -> Received {
        let mut headers = FieldTable::default();
        set(&mut headers, STREAM_OFFSET, offset);
        Received {
            body: Vec::new(),
            properties: BasicProperties::default().with_message_id(id.into()),
            past: Past::of(&headers),
            trace: Trace::of(&headers),
            headers,
        }
    }

    #[test]
    fn a_stream_is_the_same_where_its_last_known_event_lies_or_was_dropped_for_its_age() {
        let last = position_of(&event(7, "o-1")).unwrap();
        assert_eq!(last, Position { offset: 7, message_id: Some("o-1".to_owned()) });
        for (offset, id, expected) in
            [(7, "o-1", true), (9, "o-2", true), (7, "o-2", false), (3, "o-1", false)]
        {
            assert_eq!(
                is_same_stream(Some(&last), Some(&event(offset, id))),
                expected,
                "{offset} {id}"
            );
        }
        assert!(is_same_stream(None, Some(&event(0, "o-1"))));
    }
}
