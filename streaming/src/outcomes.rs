//! Reads what became of orders, for those who ask: a reader of its own over all decisions.
//!
//! How far it has read is stored with what it has read, in one commit. It keeps at most
//! [`OUTCOMES_MAX`] decisions in memory; what it knows of orders lies on disk, and is bounded by
//! [`order_api::ORDERS_KNOWN_MAX`].

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use codec::decode::{DecodeError, Decoder};
use codec::frame;
use codec::resolver::{Lookup, SchemaResolver};
use codec::wire::InventoryResult;
use kafka_io::ClientConfig;
use kafka_io::ends::Ends;
use kafka_io::reader::{HeldRecord, Polled, Reader};
use order_api::{News, Orders, Progress, Wish};
use order_store::{Rows, Store, Table};
use pipeline::record::CommitPosition;
use service_kit::shutdown::Shutdown;
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::inventory::now_ms;
use crate::limits::{
    BOUNDS_ASK, OUTCOME_WAIT, OUTCOMES_LINGER, OUTCOMES_MAX, OUTCOMES_PAUSE, PARTITIONS_LOOK_EVERY,
};
use crate::outbox::Away;

/// Position of the next decision, by topic and partition.
const POSITIONS: Table = Table::named("outcome_positions");

/// Reader of outcomes.
pub(crate) struct Outcomes {
    pub(crate) config: ClientConfig,
    pub(crate) topic: String,
    pub(crate) store: Store,
    pub(crate) orders: Orders,
    pub(crate) resolver: SchemaResolver,
    pub(crate) runtime: Handle,
    pub(crate) stop: Shutdown,
    pub(crate) away: Away,
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
        let partitions = self.partitions()?;
        for partition in 0..partitions {
            let (low, high) =
                ends.bounds(&self.topic, partition, BOUNDS_ASK).map_err(|error| away(&error))?;
            let known: Option<i64> = self.store.get(POSITIONS, &self.row(partition))?;
            let start = known.map_or(low, |known| known.clamp(low, high));
            reader
                .start(&self.topic, partition, CommitPosition(start))
                .map_err(|error| away(&error))?;
        }
        let mut decoder = Decoder::<InventoryResult>::new(self.resolver.clone());
        let mut look_at = Instant::now() + PARTITIONS_LOOK_EVERY;
        while !self.stop.is_requested() {
            let records = self.gather(&reader)?;
            if !records.is_empty() {
                self.store(&mut decoder, &records, started_at_ms)?;
            }
            if look_at <= Instant::now() {
                look_at = Instant::now() + PARTITIONS_LOOK_EVERY;
                if self.partitions()? != partitions {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn row(&self, partition: i32) -> String {
        format!("{}/{partition}", self.topic)
    }

    fn partitions(&self) -> Result<i32, Trouble> {
        let away = |error: kafka_io::member::AskError| Trouble::Away(error.to_string());
        let admin = kafka_io::admin::Admin::new(&self.config).map_err(away)?;
        let known = admin.partitions(&[&self.topic], BOUNDS_ASK).map_err(away)?;
        self.away.set(None);
        known
            .get(&self.topic)
            .map(|info| info.partitions)
            .ok_or_else(|| Trouble::Away(format!("topic {} does not exist", self.topic)))
    }

    /// Waits for decisions, and takes what comes with the first one.
    fn gather(&self, reader: &Reader) -> Result<Vec<HeldRecord>, Trouble> {
        let mut records: Vec<HeldRecord> = Vec::new();
        let mut until = Instant::now() + OUTCOME_WAIT;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match reader.poll(left) {
                Polled::Record(record) => {
                    if records.is_empty() {
                        until = Instant::now() + OUTCOMES_LINGER;
                    }
                    records.push(record.hold());
                }
                Polled::OutOfRange => {
                    return Err(Trouble::Away(format!("{} was cut meanwhile", self.topic)));
                }
                Polled::Denied(text) | Polled::Missing(text) => return Err(Trouble::Away(text)),
                Polled::Away(text) => self.away.set(Some(text)),
                Polled::End(_) | Polled::Nothing => {}
            }
            if !records.is_empty() {
                self.away.set(None);
            }
            if records.len() >= OUTCOMES_MAX || Instant::now() >= until {
                return Ok(records);
            }
        }
    }

    /// Stores decisions, and that they were read.
    fn store(
        &self,
        decoder: &mut Decoder<InventoryResult>,
        records: &[HeldRecord],
        started_at_ms: i64,
    ) -> Result<(), Trouble> {
        let mut positions: BTreeMap<String, i64> = BTreeMap::new();
        let mut decided = Vec::with_capacity(records.len());
        for record in records {
            let Some(one) = self.decode(decoder, record.value.as_deref(), started_at_ms) else {
                if self.stop.is_requested() {
                    return Ok(());
                }
                positions.insert(self.row(record.partition), record.offset.0 + 1);
                continue;
            };
            decided.push(one);
            positions.insert(self.row(record.partition), record.offset.0 + 1);
        }
        let also = move |rows: &Rows<'_>| {
            positions.iter().try_for_each(|(row, position)| rows.put(POSITIONS, row, position))
        };
        self.runtime.block_on(self.orders.note_all(decided, also))?;
        Ok(())
    }

    /// What was decided; `None` for what is no decision, or when a stop is requested while its
    /// schema is not known.
    fn decode(
        &self,
        decoder: &mut Decoder<InventoryResult>,
        value: Option<&[u8]>,
        started_at_ms: i64,
    ) -> Option<News> {
        loop {
            match decoder.decode(value) {
                Ok(result) => {
                    // How long orders took that were placed under an earlier run is not told.
                    let made = result.created_at_ms.filter(|made| *made >= started_at_ms);
                    let outcome = result.outcome()?;
                    return Some(News {
                        wish: Some(Wish::of(&result.order())),
                        order_id: result.order_id,
                        progress: Progress::Decided(outcome),
                        created_at_ms: made,
                    });
                }
                Err(DecodeError::Failed(failure)) => {
                    tracing::warn!(
                        reason = failure.reason.as_str(),
                        "a record among the outcomes is none"
                    );
                    return None;
                }
                Err(DecodeError::Unresolved { .. }) => {
                    let id = frame::schema_id(value)?;
                    let asking = async { timeout(OUTCOMES_PAUSE, self.resolver.resolve(id)).await };
                    let pause = match self.runtime.block_on(asking) {
                        Ok(Lookup::Away(_)) => OUTCOMES_PAUSE,
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
