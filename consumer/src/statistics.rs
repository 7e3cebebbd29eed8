//! What a run did, and the state it leaves.
//!
//! There may be hundreds of thousands of products: of each there is one small entry, and texts are
//! made one by one as they are written.

use std::collections::HashMap;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use crate::averages::Total;
use codec::decode::{DecodeError, Decoder};
use codec::resolver::SchemaResolver;
use kafka_io::ClientConfig;
use kafka_io::ends::Ends;
use kafka_io::reader::{Fetched, Polled, Reader};
use order_schemas::ProductAverage;
use orders::Amount;
use pipeline::record::CommitPosition;
use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};
use service_kit::fold::folded;
use service_kit::live::{fill, width};
use service_kit::terminal::one_line;

use crate::products::apart_from;

/// What all products together are called in the table.
pub(crate) const ALL: &str = "all";

/// Widest product name in the table, in columns.
const NAME_COLUMNS_MAX: usize = 60;

/// Narrowest one, on a terminal that has no room.
const NAME_COLUMNS_MIN: usize = 3;

/// Widths of count, sum and average, where there is room.
const NUMBER_COLUMNS: [usize; 3] = [12, 20, 14];

/// Counts of a run and the averages after it, as printed with `-o json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Statistics {
    /// Main-topic records settled by this run.
    pub consumed: u64,
    /// Orders counted by this run.
    pub succeeded: u64,
    /// Failed attempts sent to retry by this run.
    pub retried: u64,
    /// Dead letters written by this run.
    pub dead_lettered: u64,
    /// Records left in the retry topic.
    pub waiting: u64,
    /// Orders that `--dedupe` has found to be duplicates in this run; left out where there are none.
    #[serde(skip_serializing_if = "is_none")]
    pub duplicates: u64,
    /// All products together.
    pub overall: Totals,
    /// Each product, by name.
    pub products: Vec<ProductTotals>,
}

/// Whether a count is 0. Serde asks with a reference.
const fn is_none(count: &u64) -> bool {
    *count == 0
}

/// A count and an exact sum; written with the average of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Orders counted.
    pub count: u64,
    /// Exact sum of their prices.
    pub sum: Amount,
}

/// Totals of one product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProductTotals {
    /// Name.
    pub product: Box<str>,
    /// Its totals.
    pub totals: Totals,
}

/// Totals by product, sorted by name.
pub(crate) type State = Vec<ProductTotals>;

impl Totals {
    /// The double nearest to sum / count; none for no orders.
    pub fn average(&self) -> Option<f64> {
        orders::average(self.sum, self.count)
    }

    /// Count, sum and average in words.
    fn cells(&self) -> [String; 3] {
        let average = self.average().map_or("-".to_owned(), |average| format!("{average:.4}"));
        [self.count.to_string(), self.sum.to_string(), average]
    }

    fn add(&mut self, (count, sum): Total) {
        self.count += count;
        self.sum += sum;
    }

    fn write_fields<S: SerializeStruct>(&self, fields: &mut S) -> Result<(), S::Error> {
        fields.serialize_field("count", &self.count)?;
        fields.serialize_field("sum", &format_args!("{}", self.sum))?;
        fields.serialize_field("average", &self.average())
    }
}

impl Serialize for Totals {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Totals", 3)?;
        self.write_fields(&mut fields)?;
        fields.end()
    }
}

impl Serialize for ProductTotals {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("ProductTotals", 4)?;
        fields.serialize_field("product", &self.product)?;
        self.totals.write_fields(&mut fields)?;
        fields.end()
    }
}

impl Statistics {
    /// `rest` was counted of products that are not listed.
    pub(crate) fn new(
        [consumed, succeeded, retried, dead_lettered]: [u64; 4],
        [waiting, duplicates]: [u64; 2],
        products: State,
        rest: Total,
    ) -> Self {
        let mut overall = Totals::default();
        overall.add(rest);
        for ProductTotals { totals, .. } in &products {
            overall.add((totals.count, totals.sum));
        }
        Self { consumed, succeeded, retried, dead_lettered, waiting, duplicates, overall, products }
    }

    /// The statistics as a table for people, see [`write_table`](Self::write_table).
    pub fn table(&self, columns: Option<usize>) -> String {
        let mut text = Vec::new();
        self.write_table(&mut text, columns).expect("memory takes everything");
        String::from_utf8_lossy(&text).trim_end().to_owned()
    }

    /// Writes the statistics as a table for people, with a line break after it. On a terminal no line
    /// is wider than its `columns`: the names of products are cut.
    ///
    /// # Errors
    ///
    /// Fails as `out` does.
    pub fn write_table(&self, out: &mut impl Write, columns: Option<usize>) -> io::Result<()> {
        let (name, [count, sum, average]) = self.widths(columns);
        let mut line = |product: &str, [counts, sums, averages]: [&str; 3]| {
            let product = fill(product, name);
            writeln!(out, "{product}  {counts:>count$}  {sums:>sum$}  {averages:>average$}")
        };
        line("PRODUCT", ["COUNT", "SUM", "AVERAGE"])?;
        let mut line = |product: &str, totals: &Totals| {
            let cells = totals.cells();
            line(product, [&cells[0], &cells[1], &cells[2]])
        };
        for ProductTotals { product, totals } in &self.products {
            line(&apart_from(ALL, product), totals)?;
        }
        line(ALL, &self.overall)?;
        let Self { consumed, succeeded, retried, dead_lettered, waiting, duplicates, .. } = self;
        let skipped = match duplicates {
            0 => String::new(),
            duplicates => format!(", {duplicates} duplicates"),
        };
        let run = format!(
            "\nthis run: {consumed} consumed, {succeeded} succeeded{skipped}, {retried} sent to retry, \
             {dead_lettered} dead-lettered\nleft in retry: {waiting}"
        );
        writeln!(out, "{}", columns.map_or(run.clone(), |columns| folded(&run, columns)))
    }

    /// Widths of names and of the numbers beside them.
    fn widths(&self, columns: Option<usize>) -> (usize, [usize; 3]) {
        let names = self.products.iter().map(|p| width(&one_line(&p.product)));
        let longest = names.max().unwrap_or(0).clamp(7, NAME_COLUMNS_MAX);
        let of_numbers = |numbers: [usize; 3]| numbers.iter().map(|n| n + 2).sum::<usize>();
        let columns = columns.unwrap_or(usize::MAX);
        if longest + of_numbers(NUMBER_COLUMNS) <= columns {
            return (longest, NUMBER_COLUMNS);
        }
        let mut numbers = ["COUNT", "SUM", "AVERAGE"].map(str::len);
        let products = self.products.iter().map(|p| &p.totals);
        for totals in products.chain([&self.overall]) {
            for (number, cell) in numbers.iter_mut().zip(totals.cells()) {
                *number = cell.len().max(*number);
            }
        }
        let room = columns.saturating_sub(of_numbers(numbers));
        (longest.min(room).max(NAME_COLUMNS_MIN), numbers)
    }
}

/// Longest wait for one question about the ends.
const ASK: Duration = Duration::from_secs(2);

/// Reads the averages of all partitions, adding up their partials.
///
/// # Errors
///
/// Fails with words when the topic cannot be read to its end within `limit`.
pub(crate) fn read_state(
    config: &ClientConfig,
    group: &str,
    topic: &str,
    partitions: i32,
    resolver: &SchemaResolver,
    limit: Duration,
) -> Result<State, String> {
    let give_up_at = Instant::now() + limit;
    let ends = Ends::new(config).map_err(|error| error.to_string())?;
    let reader = Reader::new(config, group).map_err(|error| error.to_string())?;
    reader.look_up(&[topic], ASK.min(limit));
    let mut targets = Vec::new();
    for partition in 0..partitions {
        // A broker that is away must not hold up the end of the process.
        let ask = ASK.min(give_up_at.saturating_duration_since(Instant::now()));
        let (low, high) = ends.bounds(topic, partition, ask).map_err(|error| error.to_string())?;
        if low < high {
            let start = CommitPosition(low);
            reader.start(topic, partition, start).map_err(|error| error.to_string())?;
            targets.push((partition, high));
        }
    }
    let mut fold = Fold::new(resolver, give_up_at);
    while !targets.is_empty() {
        if Instant::now() >= give_up_at {
            return Err(format!("{topic} was not read to its end within {} s", limit.as_secs()));
        }
        match reader.poll(Duration::from_millis(20)) {
            Polled::Record(record) => fold.take(&record)?,
            Polled::Denied(text) | Polled::Missing(text) => return Err(text),
            _ => {
                let positions = reader.positions();
                let position = |p: i32| positions.get(&(topic.to_owned(), p)).copied();
                targets.retain(|(p, high)| position(*p).is_none_or(|position| position < *high));
            }
        }
    }
    Ok(fold.end())
}

/// Folds averages records: the last partial of each partition and product counts.
struct Fold {
    decoder: Decoder<ProductAverage>,
    give_up_at: Instant,
    partials: HashMap<(i32, Box<str>), Total>,
}

impl Fold {
    fn new(resolver: &SchemaResolver, give_up_at: Instant) -> Self {
        let decoder = Decoder::new(resolver.clone());
        Self { decoder, give_up_at, partials: HashMap::new() }
    }

    fn take(&mut self, record: &Fetched<'_>) -> Result<(), String> {
        let partition = record.partition();
        if record.value().is_none() {
            let product = String::from_utf8_lossy(record.key().unwrap_or_default()).into();
            self.partials.remove(&(partition, product));
            return Ok(());
        }
        let average = loop {
            match self.decoder.decode(record.value()) {
                Ok(average) => break average,
                Err(DecodeError::Failed(failure)) => return Err(failure.detail),
                Err(DecodeError::Unresolved { .. }) if Instant::now() < self.give_up_at => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(DecodeError::Unresolved { schema_id, .. }) => {
                    return Err(format!("schema {schema_id} is unknown"));
                }
            }
        };
        let count = u64::try_from(average.count).unwrap_or(0);
        self.partials.insert((partition, average.product.into()), (count, average.sum));
        Ok(())
    }

    /// The partials of all partitions, added up by product.
    fn end(self) -> State {
        let partials = self.partials.into_iter().filter(|(_, (count, _))| *count > 0);
        sum_up(partials.map(|((_, product), total)| (product, total)).collect())
    }
}

/// Adds totals up by product, and sorts them.
pub(crate) fn sum_up(mut all: Vec<(Box<str>, Total)>) -> State {
    all.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    let mut state = State::with_capacity(all.len());
    for (product, total) in all {
        match state.last_mut().filter(|last| last.product == product) {
            Some(last) => last.totals.add(total),
            None => {
                let (count, sum) = total;
                state.push(ProductTotals { product, totals: Totals { count, sum } });
            }
        }
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(totals: &[(&str, u64, i128)]) -> State {
        let amount = Amount::from_ten_thousandths;
        let total =
            |(name, count, sum): &(&str, u64, i128)| ((*name).into(), (*count, amount(*sum)));
        sum_up(totals.iter().map(total).collect())
    }

    fn sample() -> Statistics {
        // Two partitions have counted tea.
        let state = state(&[("tea", 1, 100_000_000), ("cake", 1, 7_000), ("tea", 1, 23_450_000)]);
        Statistics::new([4, 3, 2, 1], [5, 6], state, (0, Amount::ZERO))
    }

    #[test]
    fn json_has_the_shape_of_the_contract() {
        let expected = r#"{"consumed":4,"succeeded":3,"retried":2,"dead_lettered":1,"waiting":5,"duplicates":6,"overall":{"count":3,"sum":"12345.7000","average":4115.233333333334},"products":[{"product":"cake","count":1,"sum":"0.7000","average":0.7},{"product":"tea","count":2,"sum":"12345.0000","average":6172.5}]}"#;
        assert_eq!(serde_json::to_string(&sample()).unwrap(), expected);
    }

    #[test]
    fn the_table_lists_products_and_the_run() {
        let table = sample().table(None);
        assert!(table.starts_with("PRODUCT"), "{table}");
        assert!(table.contains("6172.5000") && table.contains("4 consumed"), "{table}");
    }

    #[test]
    fn a_product_called_all_is_told_from_the_total() {
        let statistics =
            Statistics::new([0; 4], [0; 2], state(&[("all", 1, 7_000)]), (2, Amount::ZERO));
        let table = statistics.table(None);
        let names: Vec<_> = table.lines().filter_map(|line| line.split("  ").next()).collect();
        assert_eq!(names[..3], ["PRODUCT", "\"all\"  ".trim_end(), "all    ".trim_end()]);
        assert_eq!(statistics.overall.count, 3, "what is not listed is in the total");
    }

    #[test]
    fn on_80_columns_long_names_are_cut_and_numbers_are_whole() {
        let name = "日本茶 and a very long name of a product that nobody wants to read to its end";
        let few = state(&[("tea", 2, 7_000), (name, 3, 70_000)]);
        let many = state(&[("tea", 2, 7_000), (name, u64::MAX / 2, 10_i128.pow(31))]);
        for (state, sum) in [(few, "7.0000"), (many, "1000000000000000000000000000.0000")] {
            let statistics =
                Statistics::new([u64::MAX; 4], [u64::MAX; 2], state, (0, Amount::ZERO));
            let table = statistics.table(Some(80));
            assert!(table.lines().all(|line| width(line) <= 80), "{table}");
            assert!(table.contains(sum) && table.contains('…'), "{table}");
        }
    }
}
