//! The averages topic: partials that only grow, and the ones that belong to the cut.

use codec::wire::ProductAverage;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use kafka_io::reader::HeldRecord;
use orders::Amount;

use super::cut::Cut;

/// Header: the group that counted.
const GROUP: &str = "x-group";
/// Header: the main position that was committed with it.
const MAIN_OFFSET: &str = "x-main-offset";
/// Header: the retry position that was committed with it.
const RETRY_OFFSET: &str = "x-retry-offset";

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
    /// Count of the last record, in the order of the log.
    pub(crate) last_count: u64,
}

/// The partials of one partition.
#[derive(Debug, Default)]
pub(crate) struct Averages {
    pub(crate) partials: HashMap<Box<str>, Partial, RandomState>,
    pub(crate) repeats: u64,
}

/// What is wrong with one averages record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The record itself.
    Record(String),
    /// It says that more is committed than is.
    Ahead(String),
}

impl Averages {
    /// Takes one record in, in the order of the log.
    pub(crate) fn take(
        &mut self,
        record: &HeldRecord,
        average: Option<ProductAverage>,
        cut: &Cut,
        group: &str,
        at_least_once: bool,
    ) -> Result<(), Fault> {
        let offset = record.offset.0;
        let key = record.key.as_deref().unwrap_or_default();
        let Some(average) = average else {
            let product = String::from_utf8_lossy(key).into_owned();
            let partial = Partial { offset, ..Partial::default() };
            self.partials.insert(product.into(), partial);
            return Ok(());
        };
        let text = |name| record.header(name).and_then(|value| std::str::from_utf8(value).ok());
        let number = |name| text(name).and_then(|value| value.parse::<i64>().ok());
        let fault = |what: String| Err(Fault::Record(what));
        if text(GROUP) != Some(group) {
            return fault(format!("it belongs to group {:?}", text(GROUP).unwrap_or_default()));
        }
        if key != average.product.as_bytes() {
            return fault(format!("its key is not its product {:?}", average.product));
        }
        let count = u64::try_from(average.count).unwrap_or(0);
        let nearest = orders::average(average.sum, count);
        let (Some(main), Some(retry)) = (number(MAIN_OFFSET), number(RETRY_OFFSET)) else {
            return fault(format!("{MAIN_OFFSET} or {RETRY_OFFSET} is missing"));
        };
        if nearest.map(f64::to_bits) != Some(average.average.to_bits()) {
            let nearest = nearest.map_or("none".to_owned(), |nearest| nearest.to_string());
            return fault(format!(
                "its average is {}, its sum and count give {nearest}",
                average.average
            ));
        }
        let partial = self
            .partials
            .entry_ref(average.product.as_str())
            .or_insert_with(|| Partial { offset: -1, ..Partial::default() });
        let before = std::mem::replace(&mut partial.last_count, count);
        let total = (count, average.sum);
        let noted = (main, retry);
        let (committed, reached) = (floors(&cut.before), floors(&cut.after));
        if at_least_once {
            self.repeats += u64::from(count <= before);
            (partial.total, partial.offset) = (total, offset);
            return Ok(());
        }
        let is_below = |limit: (i64, i64)| noted.0 <= limit.0 && noted.1 <= limit.1;
        if is_below(committed) && (noted != committed || !cut.moved()) {
            (partial.total, partial.offset) = (total, offset);
            partial.candidates.clear();
        } else if noted == committed {
            partial.candidates.push(total);
        } else if !is_below(reached) {
            let told = |position: i64| {
                if position == i64::MIN { "nothing".to_owned() } else { position.to_string() }
            };
            return Err(Fault::Ahead(format!(
                "it was counted up to {main} of the orders and {retry} of the retries, and the \
                 group has committed {} and {}",
                told(reached.0),
                told(reached.1)
            )));
        }
        // One that did not change may be written again, for the offsets that it notes.
        if count < before {
            return fault(format!("its count is {count}, after {before}"));
        }
        Ok(())
    }
}

fn floors(offsets: &super::cut::Offsets) -> (i64, i64) {
    (offsets.main.floor(), offsets.retry.floor())
}
