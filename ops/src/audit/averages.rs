//! The averages topic: partials that only grow, and the ones that belong to the cut.

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use order_schemas::ProductAverage;
use orders::Amount;

use super::borrowed::Borrowed;
use super::cut::Cut;
use super::noted::{Noted, RESET};
use super::times;

/// Header: the group that counted.
pub(crate) const GROUP: &str = "x-group";

/// Count and exact sum.
pub(crate) type Total = (u64, Amount);

/// Totals by product.
pub(crate) type Totals = HashMap<Box<str>, Total, RandomState>;

/// What the topic says of one product.
#[derive(Debug, Clone, Default)]
pub(crate) struct Partial {
    /// The last record that surely belongs to the cut.
    pub(crate) total: Total,
    /// Where it lies; below zero if there is none.
    pub(crate) offset: i64,
    /// Records of the very same positions: they may belong to the cut, or come right after it.
    pub(crate) candidates: Vec<Total>,
    /// What the last record says, in the order of the log.
    pub(crate) last: Total,
}

/// The partials of one partition.
#[derive(Debug, Default)]
pub(crate) struct Averages {
    pub(crate) partials: HashMap<Box<str>, Partial, RandomState>,
    pub(crate) repeats: u64,
    /// What the records note of the offsets that were committed with them.
    pub(crate) noted: Noted,
}

/// What is wrong with one averages record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The record itself.
    Record(String),
    /// What it says of the committed offsets.
    Offsets(String),
}

impl Averages {
    /// Takes one record in, in the order of the log.
    pub(crate) fn take(
        &mut self,
        record: &Borrowed<'_>,
        average: Option<ProductAverage>,
        cut: &Cut,
        group: &str,
        at_least_once: bool,
    ) -> Result<(), Fault> {
        let (offset, key) = (record.offset, record.key);
        let Some(average) = average else {
            if is_note(record, key) {
                return self.take_note(record, cut, group, at_least_once);
            }
            let product = String::from_utf8_lossy(key).into_owned();
            let partial = Partial { offset, ..Partial::default() };
            self.partials.insert(product.into(), partial);
            self.noted.forget();
            return Ok(());
        };
        let count = check(record, &average, group).map_err(Fault::Record)?;
        let noted = self.noted.take(record, at_least_once);
        let total = (count, average.sum);
        let partial = self
            .partials
            .entry_ref(average.product.as_str())
            .or_insert_with(|| Partial { offset: -1, ..Partial::default() });
        let before = std::mem::replace(&mut partial.last, total);
        if at_least_once {
            self.repeats += u64::from(count <= before.0);
            (partial.total, partial.offset) = (total, offset);
            return noted.map(|_| ()).map_err(Fault::Record);
        }
        let noted = noted.map_err(Fault::Record)?;
        partial.place(noted, total, offset, cut).map_err(Fault::Offsets)?;
        grows(before, total).map_err(Fault::Record)
    }
}

impl Averages {
    /// Takes what a partition in which nothing was counted notes of its offsets.
    fn take_note(
        &mut self,
        record: &Borrowed<'_>,
        cut: &Cut,
        group: &str,
        at_least_once: bool,
    ) -> Result<(), Fault> {
        check_group(record, group).map_err(Fault::Record)?;
        if record.header(RESET).is_some() {
            *self = Self::default();
        }
        let noted = self.noted.take(record, at_least_once).map_err(Fault::Record)?;
        // Products that a reset took out are tombstones, until compaction forgets them.
        let was_counted = self.partials.values().any(|partial| partial.last.0 > 0);
        if was_counted && !at_least_once {
            return Err(Fault::Record(
                "it says that nothing was counted, but averages precede it".into(),
            ));
        }
        let mut nothing = Partial::default();
        nothing.place(noted, Total::default(), record.offset, cut).map_err(Fault::Offsets)
    }
}

/// Whether a record without a value is a note, and not a product that an operator deleted.
fn is_note(record: &Borrowed<'_>, key: &[u8]) -> bool {
    key.is_empty() && record.header(GROUP).is_some()
}

impl Partial {
    /// Decides whether a record that was written with these offsets belongs to the cut.
    fn place(
        &mut self,
        noted: (i64, i64),
        total: Total,
        offset: i64,
        cut: &Cut,
    ) -> Result<(), String> {
        let (committed, reached) = (floors(&cut.before), floors(&cut.after));
        let is_below = |limit: (i64, i64)| noted.0 <= limit.0 && noted.1 <= limit.1;
        if is_below(committed) && (noted != committed || !cut.moved()) {
            (self.total, self.offset) = (total, offset);
            self.candidates.clear();
        } else if noted == committed {
            self.candidates.push(total);
        } else if !is_below(reached) {
            let told = |position: i64| {
                if position == i64::MIN { "nothing".to_owned() } else { position.to_string() }
            };
            let ((main, retry), of_main, of_retry) = (noted, told(reached.0), told(reached.1));
            return Err(format!(
                "it covers orders up to {main} and retries up to {retry}, but the group has \
                 committed {of_main} and {of_retry}"
            ));
        }
        Ok(())
    }
}

/// A record names its group, once.
fn check_group(record: &Borrowed<'_>, group: &str) -> Result<(), String> {
    let mut groups = record.all(GROUP);
    let first = groups.next().flatten();
    if first == Some(group.as_bytes()) && groups.next().is_none() {
        return Ok(());
    }
    let found = record.header(GROUP).unwrap_or_default();
    Err(format!("it belongs to group {:?}", String::from_utf8_lossy(found)))
}

/// Checks what can be known from a record alone, and returns its count.
fn check(record: &Borrowed<'_>, average: &ProductAverage, group: &str) -> Result<u64, String> {
    check_group(record, group)?;
    if record.key != average.product.as_bytes() {
        return Err(format!("its key is not its product {:?}", average.product));
    }
    let Ok(count) = u64::try_from(average.count) else {
        return Err(format!("its count is {}", average.count));
    };
    if average.sum < Amount::ZERO || (count == 0 && average.sum != Amount::ZERO) {
        return Err(format!("its sum is {} for {count} orders", average.sum));
    }
    // Of a product that was deleted nothing may be written again.
    let nearest = orders::average(average.sum, count).or((count == 0).then_some(0.0));
    if nearest.map(f64::to_bits) != Some(average.average.to_bits()) {
        let nearest = nearest.unwrap_or_default();
        return Err(format!(
            "its average is {}, its sum and count give {nearest}",
            average.average
        ));
    }
    if !times::is_possible(average.updated_at_ms, record.timestamp) {
        return Err(format!("it was updated at {}, which is impossible", average.updated_at_ms));
    }
    Ok(count)
}

/// One that did not change may be written again, for the offsets that it notes. Prices are not
/// below zero.
fn grows(before: Total, total: Total) -> Result<(), String> {
    let is_same = total.0 == before.0 && total.1 == before.1;
    if total.0 > before.0 && total.1 >= before.1 || is_same {
        return Ok(());
    }
    if total.0 < before.0 {
        return Err(format!("its count is {}, after {}", total.0, before.0));
    }
    Err(format!(
        "its sum is {} for {} orders, after {} for {}",
        total.1, total.0, before.1, before.0
    ))
}

fn floors(offsets: &super::cut::Offsets) -> (i64, i64) {
    (offsets.main.floor(), offsets.retry.floor())
}
