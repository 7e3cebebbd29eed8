//! Reads what becomes of orders, for those who ask: a reader of its own over all orders, decisions and
//! dead letters. So every instance knows every order, whichever of them took it.
//!
//! How far it has read is stored with what it has read, in one commit. It keeps at most
//! [`OUTCOMES_MAX`] records in memory; what it knows of orders lies on disk, and is bounded by
//! [`order_api::ORDERS_KNOWN_MAX`].

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use codec::decode::{DecodeError, Decoder};
use codec::frame;
use codec::resolver::{Lookup, SchemaResolver};
use codec::scalar::AvroRecord;
use kafka_io::ClientConfig;
use kafka_io::ends::Ends;
use kafka_io::reader::{HeldRecord, Polled, Reader};
use order_api::{News, Orders, Progress, Wish};
use order_schemas::{InventoryResult, OrderRecord};
use order_store::{Rows, Store, Table};
use outbox::Away;
use pipeline::failure::FailureClass;
use pipeline::headers;
use pipeline::record::CommitPosition;
use service_kit::clock::now_ms;
use service_kit::shutdown::Shutdown;
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::limits::{
    BOUNDS_ASK, OUTCOME_WAIT, OUTCOMES_LINGER, OUTCOMES_MAX, OUTCOMES_PAUSE, PARTITIONS_ASK_MAX,
    PARTITIONS_LOOK_EVERY, PLACED_LOOK_BACK,
};

/// Position of the next decision, by topic and partition.
const POSITIONS: Table = Table::named("outcome_positions");

/// Reader of outcomes.
pub(crate) struct Outcomes {
    pub(crate) config: ClientConfig,
    pub(crate) topics: Sources,
    pub(crate) store: Store,
    pub(crate) orders: Orders,
    pub(crate) resolver: SchemaResolver,
    pub(crate) runtime: Handle,
    pub(crate) stop: Shutdown,
    pub(crate) away: Away,
}

/// Topics that tell of orders.
pub(crate) struct Sources {
    /// Placed orders.
    pub(crate) orders: String,
    /// Decisions about them.
    pub(crate) decisions: String,
    /// Those that could not be decided about; made by inventory, so it may be missing at first.
    pub(crate) dead_letters: String,
}

/// What a record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Orders,
    Decisions,
    DeadLetters,
}

impl Sources {
    fn all(&self) -> [(Source, &str); 3] {
        [
            (Source::Orders, &self.orders),
            (Source::Decisions, &self.decisions),
            (Source::DeadLetters, &self.dead_letters),
        ]
    }

    fn of(&self, topic: &str) -> Source {
        let found = self.all().into_iter().find(|(_, known)| *known == topic);
        found.map_or(Source::Decisions, |(source, _)| source)
    }
}

/// Decoders of what is read.
struct Decoders {
    orders: Decoder<OrderRecord>,
    decisions: Decoder<InventoryResult>,
}

/// What ends one reader, and makes another one begin.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("{0}")]
    Away(String),
    #[error("the outcomes cannot be stored: {0}")]
    Store(#[from] order_store::StoreError),
}

impl Outcomes {
    /// Reads until a stop is requested.
    pub(crate) fn run(self) {
        let started_at_ms = now_ms();
        while !self.stop.is_requested() {
            if let Err(trouble) = self.read(started_at_ms) {
                self.away.set(Some(trouble.to_string()));
                if self.stop.wait(OUTCOMES_PAUSE) {
                    return;
                }
            }
        }
    }

    /// Reads from where the last commit has left off, until a stop or trouble, or because there
    /// are new partitions.
    fn read(&self, started_at_ms: i64) -> Result<(), Trouble> {
        let away = |error: &dyn std::fmt::Display| Trouble::Away(error.to_string());
        let reader =
            Reader::new(&self.config, "streaming-outcomes").map_err(|error| away(&error))?;
        let ends = Ends::new(&self.config).map_err(|error| away(&error))?;
        let partitions = self.partitions(BOUNDS_ASK)?;
        for ((source, topic), count) in self.topics.all().into_iter().zip(partitions) {
            for partition in 0..count {
                let (low, high) =
                    ends.bounds(topic, partition, BOUNDS_ASK).map_err(|error| away(&error))?;
                let known: Option<i64> = self.store.get(POSITIONS, &row(topic, partition))?;
                let first = match source {
                    // Older ones are known by what became of them.
                    Source::Orders => high.saturating_sub(PLACED_LOOK_BACK),
                    Source::Decisions | Source::DeadLetters => low,
                };
                let start = known.unwrap_or(first).clamp(low, high);
                reader
                    .start(topic, partition, CommitPosition(start))
                    .map_err(|error| away(&error))?;
            }
        }
        let mut decoders = Decoders {
            orders: Decoder::new(self.resolver.clone()),
            decisions: Decoder::new(self.resolver.clone()),
        };
        let mut look_at = Instant::now() + PARTITIONS_LOOK_EVERY;
        while !self.stop.is_requested() {
            let (records, is_doubtful) = self.gather(&reader)?;
            if is_doubtful {
                look_at = Instant::now(); // are the brokers there?
            }
            if !records.is_empty() {
                self.store(&mut decoders, &records, started_at_ms)?;
            }
            if look_at <= Instant::now() {
                look_at = Instant::now() + PARTITIONS_LOOK_EVERY;
                if self.partitions(PARTITIONS_ASK_MAX)? != partitions {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Partitions of each topic; none where there are no dead letters yet.
    fn partitions(&self, limit: Duration) -> Result<[i32; 3], Trouble> {
        let away = |error: kafka_io::member::AskError| Trouble::Away(error.to_string());
        let admin = kafka_io::admin::Admin::new(&self.config).map_err(away)?;
        let topics = self.topics.all();
        let known = admin.partitions(&topics.map(|(_, topic)| topic), limit).map_err(away)?;
        self.away.set(None);
        let mut partitions = [0; 3];
        for (count, (source, topic)) in partitions.iter_mut().zip(topics) {
            *count = match known.get(topic) {
                Some(info) => info.partitions,
                None if source == Source::DeadLetters => 0,
                None => return Err(Trouble::Away(format!("topic {topic} does not exist"))),
            };
        }
        Ok(partitions)
    }

    /// Waits for a record, and takes what comes with the first one; and whether fetching failed
    /// meanwhile.
    fn gather(&self, reader: &Reader) -> Result<(Vec<(Source, HeldRecord)>, bool), Trouble> {
        let (mut records, mut is_doubtful) = (Vec::new(), false);
        let mut until = Instant::now() + OUTCOME_WAIT;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match reader.poll(left) {
                Polled::Record(record) => {
                    if records.is_empty() {
                        until = Instant::now() + OUTCOMES_LINGER;
                    }
                    records.push((self.topics.of(record.topic()), record.hold()));
                }
                Polled::OutOfRange => {
                    return Err(Trouble::Away(
                        "records of a topic were deleted meanwhile".to_owned(),
                    ));
                }
                Polled::Denied(text) | Polled::Missing(text) => return Err(Trouble::Away(text)),
                Polled::Away(_) => is_doubtful = true,
                Polled::End(_) | Polled::Nothing => {}
            }
            if !records.is_empty() {
                self.away.set(None);
            }
            if records.len() >= OUTCOMES_MAX || Instant::now() >= until {
                return Ok((records, is_doubtful));
            }
        }
    }

    /// Stores what records say, and that they were read.
    fn store(
        &self,
        decoders: &mut Decoders,
        records: &[(Source, HeldRecord)],
        started_at_ms: i64,
    ) -> Result<(), Trouble> {
        let mut positions: BTreeMap<String, i64> = BTreeMap::new();
        let mut news = Vec::with_capacity(records.len());
        for (source, record) in records {
            let heard = match source {
                Source::Orders => self.placed(decoders, record),
                Source::Decisions => self.decided(decoders, record, started_at_ms),
                Source::DeadLetters => self.dead_lettered(decoders, record),
            };
            if heard.is_none() && self.stop.is_requested() {
                return Ok(());
            }
            news.extend(heard);
            let (_, topic) = self.topics.all()[*source as usize];
            positions.insert(row(topic, record.partition), record.offset.0 + 1);
        }
        let also = move |rows: &Rows<'_>| {
            positions.iter().try_for_each(|(row, position)| rows.put(POSITIONS, row, position))
        };
        self.runtime.block_on(self.orders.note_all(news, also))?;
        Ok(())
    }

    fn placed(&self, decoders: &mut Decoders, record: &HeldRecord) -> Option<News> {
        let value = record.value.as_deref();
        let order = self.decode(&mut decoders.orders, Source::Orders, value)?;
        let (progress, wish) = (Progress::Placed, Some(Wish::of(&order)));
        (!order.order_id.is_empty()).then_some(News {
            order_id: order.order_id,
            progress,
            wish,
            created_at_ms: None,
        })
    }

    fn decided(
        &self,
        decoders: &mut Decoders,
        record: &HeldRecord,
        started_at_ms: i64,
    ) -> Option<News> {
        let value = record.value.as_deref();
        let result = self.decode(&mut decoders.decisions, Source::Decisions, value)?;
        // How long orders took that were placed under an earlier run is not told.
        let created_at_ms = result.created_at_ms.filter(|made| *made >= started_at_ms);
        let progress = Progress::Decided(result.outcome()?);
        let wish = Some(Wish::of(&result.order()));
        Some(News { order_id: result.order_id, progress, wish, created_at_ms })
    }

    /// What a dead letter says; nothing where its order cannot be read.
    fn dead_lettered(&self, decoders: &mut Decoders, record: &HeldRecord) -> Option<News> {
        let text = |name| {
            let value = record.header(name).and_then(|value| std::str::from_utf8(value).ok());
            value.unwrap_or_default().to_owned()
        };
        let (class, reason) = (text(headers::FAILURE_CLASS), text(headers::FAILURE_REASON));
        let is_unreadable = [
            FailureClass::Malformed,
            FailureClass::UnknownSchema,
            FailureClass::IncompatibleSchema,
        ]
        .into_iter()
        .any(|unreadable| unreadable.as_str() == class);
        if is_unreadable {
            return None;
        }
        let value = record.value.as_deref();
        let order = self.decode(&mut decoders.orders, Source::DeadLetters, value)?;
        if order.order_id.is_empty() {
            return None;
        }
        let wish = Some(Wish::of(&order));
        let progress = Progress::DeadLettered { class, reason };
        Some(News { order_id: order.order_id, progress, wish, created_at_ms: None })
    }

    /// Reads a record; `None` for what cannot be read, or when a stop is requested while its schema is
    /// not known.
    fn decode<T: AvroRecord>(
        &self,
        decoder: &mut Decoder<T>,
        source: Source,
        value: Option<&[u8]>,
    ) -> Option<T::Value> {
        loop {
            match decoder.decode(value) {
                Ok(read) => return Some(read),
                Err(DecodeError::Failed(failure)) => {
                    tracing::debug!(reason = failure.reason.as_str(), "a record cannot be read");
                    return None;
                }
                Err(DecodeError::Unresolved { .. }) => {
                    let id = frame::schema_id(value)?;
                    let asking = async { timeout(OUTCOMES_PAUSE, self.resolver.resolve(id)).await };
                    let pause = match self.runtime.block_on(asking) {
                        Ok(Lookup::Away(_)) => OUTCOMES_PAUSE,
                        // Whatever else is written among the orders holds nobody up.
                        Ok(Lookup::NotFound | Lookup::Unusable(_)) if source == Source::Orders => {
                            return None;
                        }
                        _ => Duration::ZERO,
                    };
                    if self.stop.wait(pause) {
                        return None;
                    }
                }
            }
        }
    }
}

/// Name of a position.
fn row(topic: &str, partition: i32) -> String {
    format!("{topic}/{partition}")
}
