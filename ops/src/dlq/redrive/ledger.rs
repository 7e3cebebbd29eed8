//! The ledger: a topic that says which dead letters were handled, how, by whose hand, and when.
//!
//! An entry is written in the transaction that sends the records it names: either both are there, or
//! neither is. It is read to its end, open transactions waited out, after the transactional id was taken
//! over: what an earlier run has begun is decided by then, and no other can go on.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::time::Duration;

use kafka_io::admin::{Admin, TopicInfo, TopicSpec};
use kafka_io::client_config::BROKER_PROBE_LIMIT;
use kafka_io::cluster::Edge;
use kafka_io::member::AskError;
use service_kit::output::note;

use super::handled::{Entry, Handled, VERSION};
use crate::connected::{Connected, places};
use crate::dlq::error::DlqError;
use crate::dlq::source::DlqTopic;
use crate::progress::Lines;
use crate::scan::{Bounds, Scan};

/// Longest wait for one answer about a partition.
const ASK: Duration = Duration::from_secs(4);

/// Settings without which entries would disappear, and dead letters go back twice.
const SETTINGS: [(&str, &str); 3] =
    [("cleanup.policy", "delete"), ("retention.ms", "-1"), ("retention.bytes", "-1")];

/// The topic of entries.
pub(crate) struct Ledger<'a> {
    topic: &'a str,
    connected: Connected,
    admin: Admin,
}

impl<'a> Ledger<'a> {
    pub(crate) fn new(connected: &Connected, topic: &'a str) -> Self {
        let connected = connected.clone();
        Self { topic, admin: connected.cluster().admin(), connected }
    }

    /// Makes the topic where it is not there yet, and checks that it keeps its entries for ever.
    pub(crate) async fn ensure(&self) -> Result<(), DlqError> {
        let described = self.admin.describe(&[self.topic], BROKER_PROBE_LIMIT).await;
        let found = described.map_err(away)?.remove(self.topic);
        let Some(found) = found else {
            let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
            let settings = SETTINGS.map(owned).into();
            let spec = TopicSpec { name: self.topic.to_owned(), partitions: 1, settings };
            return self.admin.create(&[spec]).await.map_err(away);
        };
        self.check(&found)
    }

    fn check(&self, found: &TopicInfo) -> Result<(), DlqError> {
        // Brokers may not tell their settings: then there are none to check.
        let differs = |(key, wanted): &(&str, &str)| {
            found.settings.get(*key).is_some_and(|value| value != wanted)
        };
        match SETTINGS.iter().find(|setting| differs(setting)) {
            None => Ok(()),
            Some((key, value)) => Err(DlqError::Settings(format!(
                "the ledger {} would lose entries: set its {key} to {value}, or name another topic",
                self.topic
            ))),
        }
    }

    /// What was handled of a topic of dead letters; nothing where there is no ledger yet.
    pub(crate) fn read(&self, dlq: &DlqTopic) -> Result<Handled, DlqError> {
        let mut handled = Handled::default();
        self.each(dlq.name(), |value, partition, offset| {
            handled.add_entry(&self.entry(value, partition, offset)?, dlq.id());
            Ok(())
        })?;
        if handled.strange_entries() > 0 {
            note(&format!(
                "orders: {} entries of {} refer to an earlier topic {}: they are ignored",
                handled.strange_entries(),
                self.topic,
                dlq.name()
            ));
        }
        Ok(handled)
    }

    /// Hands the value of each entry with a key to `take`, with its partition and offset; nothing where
    /// there is no ledger yet.
    pub(crate) fn each(
        &self,
        key: &str,
        mut take: impl FnMut(Option<&[u8]>, i32, i64) -> Result<(), DlqError>,
    ) -> Result<(), DlqError> {
        let found = self.admin.partitions(&[self.topic], BROKER_PROBE_LIMIT).map_err(away)?;
        let partitions = found.get(self.topic).map_or(0, |topic| topic.partitions);
        if partitions == 0 {
            return Ok(());
        }
        let reader = self.connected.reader();
        reader.look_up(&[self.topic], ASK);
        // Ends as a reader of uncommitted records sees them: the scan waits until all below is decided.
        let asked = places(self.topic, partitions);
        let bounds = self.connected.cluster().bounds(&asked, Edge::End, ASK).map_err(away)?;
        let mut watch = Lines::new(|text: &str| note(&format!("orders: {text}")));
        let mut scan = Scan { reader, watch: &mut watch };
        for (partition, (low, end)) in (0..).zip(bounds) {
            scan.read(self.topic, partition, Bounds { low, end }, |record| {
                if record.key() == Some(key.as_bytes()) {
                    take(record.value(), partition, record.offset().0)?;
                }
                Ok::<_, DlqError>(ControlFlow::Continue(()))
            })?;
        }
        Ok(())
    }

    /// By name the ids that topics were made with; of those that are there, where the brokers tell.
    pub(crate) fn topic_ids<'t>(
        &self,
        names: impl IntoIterator<Item = &'t str>,
    ) -> Result<BTreeMap<String, String>, DlqError> {
        let names: Vec<&str> = names.into_iter().collect();
        self.admin.topic_ids(&names, BROKER_PROBE_LIMIT).map_err(away)
    }

    /// An entry that cannot be read stops the run: what it names must not go back twice.
    fn entry(&self, value: Option<&[u8]>, partition: i32, offset: i64) -> Result<Entry, DlqError> {
        let place = format!("{}/{partition}@{offset}", self.topic);
        let entry: Entry = serde_json::from_slice(value.unwrap_or_default())
            .map_err(|error| DlqError::Ledger(format!("{place} is not a ledger entry: {error}")))?;
        if entry.version > VERSION {
            let version = entry.version;
            return Err(DlqError::Ledger(format!(
                "{place} has version {version}, which this program does not know"
            )));
        }
        Ok(entry)
    }
}

/// How many partitions topics have, asked once each.
pub(super) struct Partitions {
    admin: Admin,
    known: HashMap<String, Option<i32>>,
}

impl Partitions {
    pub(super) fn new(connected: &Connected) -> Self {
        Self { admin: connected.cluster().admin(), known: HashMap::new() }
    }

    /// Partitions of a topic, `None` if it does not exist.
    pub(super) fn of(&mut self, topic: &str) -> Result<Option<i32>, DlqError> {
        if let Some(known) = self.known.get(topic) {
            return Ok(*known);
        }
        let found = self.admin.partitions(&[topic], BROKER_PROBE_LIMIT).map_err(away)?;
        let partitions = found.get(topic).map(|topic| topic.partitions);
        if self.known.len() < NAMES_MAX {
            self.known.insert(topic.to_owned(), partitions);
        }
        Ok(partitions)
    }
}

/// Topics that are remembered; dead letters name few.
const NAMES_MAX: usize = 10_000;

pub(super) fn kafka(detail: String) -> DlqError {
    DlqError::Kafka { detail, hint: None }
}

fn away(error: AskError) -> DlqError {
    kafka(error.to_string())
}
