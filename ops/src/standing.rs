//! How a group stands: what it has counted, and what waits.
//!
//! Each partition is looked at by a consistent cut, as the audit does, so that this may run beside live
//! consumers.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use codec::decode::Decoder;
use codec::resolver::SchemaResolver;
use kafka_io::ends::GroupOffsets;
use kafka_io::reader::Fetched;
use order_schemas::ProductAverage;
use orders::Amount;
use pipeline::headers::Lineage;
use service_kit::exit::AppError;
use tokio::runtime::Handle;

use crate::audit::{
    ASK_SCHEMA_MAX, Asking, AuditError, Cut, Cutter, GROUP, Hanging, RESET, Settings, Surroundings,
    resolved,
};
use crate::connected::Connected;
use crate::progress::Lines;
use crate::scan::{Bounds, Scan};

/// Every record is looked at.
const GO_ON: Result<ControlFlow<()>, AuditError> = Ok(ControlFlow::Continue(()));

/// Count and exact sum of each product in one partition.
pub(crate) type Partials = BTreeMap<Box<str>, (u64, Amount)>;

/// What the retry topic holds for a group in one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Retries {
    /// Records that are not settled.
    pub(crate) waiting: u64,
    /// Records that another program put there, settled or not.
    pub(crate) foreign: u64,
    /// Another group has records there.
    pub(crate) is_shared: bool,
}

/// Looks at a group's partitions.
pub(crate) struct Standing<'a, P> {
    settings: &'a Settings,
    /// Partitions of each topic.
    pub(crate) partitions: i32,
    cutter: Cutter,
    connected: Connected,
    averages: Decoder<ProductAverage>,
    watch: Lines<P>,
    registry: String,
}

impl<'a, P: FnMut(&str)> Standing<'a, P> {
    /// Asks for topics and group.
    ///
    /// # Errors
    ///
    /// Fails within 5 s for brokers, topics or a group that are not there.
    pub(crate) fn open(
        settings: &'a Settings,
        runtime: &Handle,
        progress: P,
    ) -> Result<Self, AppError> {
        let Asking { connected, offsets, registry } = Asking::open(settings)?;
        let surroundings = Surroundings::ask(settings, &connected, &offsets, runtime)?;
        let address = registry.address().to_owned(); // without the password that it may carry
        connected.reader().look_up(&settings.topics.names(), ASK_SCHEMA_MAX);
        Ok(Self {
            settings,
            partitions: surroundings.partitions,
            cutter: Cutter::new(&connected, offsets, &settings.topics),
            connected,
            averages: Decoder::new(SchemaResolver::new(registry, runtime.clone())),
            watch: Lines::new(progress),
            registry: address,
        })
    }

    /// The handles that it asks and reads with.
    pub(crate) const fn connected(&self) -> &Connected {
        &self.connected
    }

    /// What the group has committed, and who belongs to it.
    pub(crate) const fn group(&self) -> &GroupOffsets {
        self.cutter.group()
    }

    /// The group's offsets in one partition, and the ends that belong to them.
    ///
    /// # Errors
    ///
    /// Fails where a transaction stays open, and as the brokers do.
    pub(crate) fn cut(&self, partition: i32) -> Result<Cut, AppError> {
        match self.cutter.take(partition).map_err(|error| error.into_app(&self.registry))? {
            Ok(cut) => Ok(cut),
            Err(Hanging { topic, partition, stable_end }) => Err(AppError::failed(format!(
                "a transaction has been open at {topic}/{partition}@{stable_end} for more than 30 \
                 s: the records after it cannot be read yet"
            ))
            .hint(BROKEN_OFF_HINT)),
        }
    }

    /// What was counted in the partition of a cut, up to its end.
    ///
    /// # Errors
    ///
    /// Fails for a record that is no average of the group, and where records do not come.
    pub(crate) fn partials(&mut self, cut: &Cut) -> Result<Partials, AppError> {
        let (topics, group) = (&self.settings.topics, &self.settings.group);
        let averages = &mut self.averages;
        let (mut partials, mut foreign) = (Partials::new(), None);
        let mut scan = Scan { reader: self.connected.reader(), watch: &mut self.watch };
        let read = scan.read(&topics.averages, cut.partition, cut.bounds.averages, |record| {
            let average = match record.value() {
                None => Ok(None),
                Some(value) => resolved(averages, Some(value))?.map(Some),
            };
            let taken = average.and_then(|average| take(&mut partials, record, average, group));
            if let Err(what) = taken {
                foreign = Some((record.offset().0, what));
                return Ok(ControlFlow::Break(()));
            }
            GO_ON
        });
        read.map_err(|error| error.into_app(&self.registry))?;
        match foreign {
            None => Ok(partials),
            Some((offset, what)) => {
                let place = format!("{}/{}@{offset}", topics.averages, cut.partition);
                Err(AppError::failed(format!("{place} is not an average of group {group}: {what}"))
                    .hint("--averages-topic and --group-id must belong together"))
            }
        }
    }

    /// Hands each record of the group that waits in the retry topic to `take`: its offset and value.
    ///
    /// # Errors
    ///
    /// Fails as `take` does, and where records do not come.
    pub(crate) fn each_waiting(
        &mut self,
        cut: &Cut,
        mut take: impl FnMut(i64, Option<&[u8]>) -> Result<(), AppError>,
    ) -> Result<(), AppError> {
        let (topics, group) = (&self.settings.topics, &self.settings.group);
        let Bounds { low, end } = cut.bounds.retry;
        let bounds = Bounds { low: low.max(cut.after.retry.floor()), end };
        let mut failed = None;
        let mut scan = Scan { reader: self.connected.reader(), watch: &mut self.watch };
        let read = scan.read(&topics.retry, cut.partition, bounds, |record| {
            let lineage = Lineage::read(|name| record.header(name));
            let is_ours = lineage.is_none_or(|lineage| lineage.origin.group == *group);
            let offset = record.offset().0;
            if is_ours
                && !cut.after.retry.has(offset)
                && let Err(error) = take(offset, record.value())
            {
                failed = Some(error);
                return Ok(ControlFlow::Break(()));
            }
            GO_ON
        });
        read.map_err(|error| error.into_app(&self.registry))?;
        failed.map_or(Ok(()), Err)
    }

    /// What the retry topic holds in the partition of a cut, from `from` on.
    ///
    /// # Errors
    ///
    /// Fails where records do not come.
    pub(crate) fn retries(&mut self, cut: &Cut, from: i64) -> Result<Retries, AppError> {
        let (topics, group) = (&self.settings.topics, &self.settings.group);
        let Bounds { low, end } = cut.bounds.retry;
        let bounds = Bounds { low: low.max(from), end };
        let mut retries = Retries::default();
        let mut scan = Scan { reader: self.connected.reader(), watch: &mut self.watch };
        let read = scan.read(&topics.retry, cut.partition, bounds, |record| {
            let lineage = Lineage::read(|name| record.header(name));
            let is_ours = lineage.as_ref().is_none_or(|lineage| lineage.origin.group == *group);
            let waits = is_ours && !cut.after.retry.has(record.offset().0);
            retries.waiting += u64::from(waits);
            let is_foreign =
                lineage.is_none_or(|lineage| is_ours && lineage.origin.topic == topics.retry);
            retries.foreign += u64::from(is_foreign);
            retries.is_shared |= !is_ours;
            GO_ON
        });
        read.map_err(|error| error.into_app(&self.registry))?;
        Ok(retries)
    }
}

const BROKEN_OFF_HINT: &str =
    "find its producer with kafka-transactions describe-producers; see docs/runbook.md";

/// Takes one record of the averages topic in; of one product the last one counts.
fn take(
    partials: &mut Partials,
    record: &Fetched<'_>,
    average: Option<ProductAverage>,
    group: &str,
) -> Result<(), String> {
    let writer = record.header(GROUP);
    if writer.is_some_and(|writer| writer != group.as_bytes()) {
        let writer = String::from_utf8_lossy(writer.unwrap_or_default()).into_owned();
        return Err(format!("it belongs to group {writer:?}"));
    }
    let is_reset = record.header(RESET).is_some();
    let key = String::from_utf8_lossy(record.key().unwrap_or_default());
    fold(partials, &key, average.map(|one| (one.count, one.sum)), is_reset)
}

fn fold(
    partials: &mut Partials,
    key: &str,
    average: Option<(i64, Amount)>,
    is_reset: bool,
) -> Result<(), String> {
    match average {
        None if is_reset => partials.clear(),
        None => drop(partials.remove(key)),
        Some((count, sum)) => {
            let count = u64::try_from(count).map_err(|_| format!("its count is {count}"))?;
            partials.insert(key.into(), (count, sum));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_partial_of_a_product_counts_and_a_reset_forgets_all() {
        let amount = |n| Amount::from_ten_thousandths(n);
        let mut partials = Partials::new();
        for (key, average, is_reset, expected) in [
            ("tea", Some((1, amount(5))), false, vec![("tea", 1)]),
            ("cake", Some((4, amount(9))), false, vec![("cake", 4), ("tea", 1)]),
            ("tea", Some((2, amount(8))), false, vec![("cake", 4), ("tea", 2)]),
            ("", None, false, vec![("cake", 4), ("tea", 2)]), // a note of offsets
            ("cake", None, false, vec![("tea", 2)]),
            ("", None, true, vec![]),
            ("tea", Some((1, amount(5))), false, vec![("tea", 1)]),
        ] {
            fold(&mut partials, key, average, is_reset).expect("a partial");
            let found: Vec<_> = partials.iter().map(|(name, one)| (&**name, one.0)).collect();
            assert_eq!(found, expected, "{key}");
        }
        assert!(fold(&mut partials, "tea", Some((-1, amount(0))), false).is_err());
    }
}
