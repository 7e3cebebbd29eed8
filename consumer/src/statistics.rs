//! What a run did, and the state it leaves.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use codec::decode::{DecodeError, Decoder};
use codec::resolver::SchemaResolver;
use codec::wire::ProductAverage;
use kafka_io::ClientConfig;
use kafka_io::ends::Ends;
use kafka_io::reader::{HeldRecord, Polled, Reader};
use orders::Amount;
use pipeline::record::CommitPosition;
use serde::Serialize;

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
    /// All products together.
    pub overall: Totals,
    /// Each product, by name.
    pub products: Vec<ProductTotals>,
}

/// A count, an exact sum and the average of them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Totals {
    /// Orders counted.
    pub count: u64,
    /// Exact sum of their prices, with four decimals.
    pub sum: String,
    /// The double nearest to sum / count; none for no orders.
    pub average: Option<f64>,
}

/// Totals of one product.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProductTotals {
    /// Name.
    pub product: String,
    /// Its totals.
    #[serde(flatten)]
    pub totals: Totals,
}

/// Count and sum by product.
pub(crate) type State = BTreeMap<String, (u64, Amount)>;

impl Totals {
    fn of((count, sum): (u64, Amount)) -> Self {
        Self { count, sum: sum.to_string(), average: orders::average(sum, count) }
    }
}

impl Statistics {
    pub(crate) fn new(
        [consumed, succeeded, retried, dead_lettered]: [u64; 4],
        waiting: u64,
        state: State,
    ) -> Self {
        let overall =
            state.values().fold((0, Amount::ZERO), |(count, sum), (c, s)| (count + c, sum + *s));
        let products = state
            .into_iter()
            .map(|(product, totals)| ProductTotals { product, totals: Totals::of(totals) })
            .collect();
        Self {
            consumed,
            succeeded,
            retried,
            dead_lettered,
            waiting,
            overall: Totals::of(overall),
            products,
        }
    }

    /// The statistics as a table for people.
    pub fn table(&self) -> String {
        use std::fmt::Write as _;
        let width = self.products.iter().map(|p| p.product.chars().count()).max().unwrap_or(0);
        let width = width.clamp(7, 60);
        let mut text = String::new();
        let mut line = |product: &str, totals: &Totals| {
            let product: String =
                service_kit::terminal::one_line(product).chars().take(60).collect();
            let average = totals.average.map_or("-".to_owned(), |average| format!("{average:.4}"));
            writeln!(
                text,
                "{product:width$}  {:>12}  {:>20}  {average:>14}",
                totals.count, totals.sum
            )
            .expect("a string takes everything");
        };
        for product in &self.products {
            line(&product.product, &product.totals);
        }
        line("all", &self.overall);
        let head =
            format!("{:width$}  {:>12}  {:>20}  {:>14}\n", "PRODUCT", "COUNT", "SUM", "AVERAGE");
        let Self { consumed, succeeded, retried, dead_lettered, waiting, .. } = self;
        format!(
            "{head}{text}\nthis run: {consumed} consumed, {succeeded} succeeded, {retried} sent to \
             retry, {dead_lettered} dead-lettered\nleft in retry: {waiting}"
        )
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
    let mut unread: Vec<HeldRecord> = Vec::new();
    while !targets.is_empty() {
        if Instant::now() >= give_up_at {
            return Err(format!("{topic} was not read to its end within {limit:?}"));
        }
        match reader.poll(Duration::from_millis(20)) {
            Polled::Record(record) => unread.push(record.hold()),
            Polled::Denied(text) | Polled::Missing(text) => return Err(text),
            _ => {
                let positions = reader.positions().map_err(|error| error.to_string())?;
                let position = |p: i32| positions.get(&(topic.to_owned(), p)).copied();
                targets.retain(|(p, high)| position(*p).is_none_or(|position| position < *high));
            }
        }
    }
    fold(unread, resolver, give_up_at)
}

/// Folds averages records: the last partial of each partition and product counts.
fn fold(
    records: Vec<HeldRecord>,
    resolver: &SchemaResolver,
    give_up_at: Instant,
) -> Result<State, String> {
    let mut decoder = Decoder::<ProductAverage>::new(resolver.clone());
    let mut partials: BTreeMap<(i32, String), (u64, Amount)> = BTreeMap::new();
    for record in &records {
        if record.value.is_none() {
            let key = record.key.as_deref().unwrap_or_default();
            let product = String::from_utf8_lossy(key).into_owned();
            partials.remove(&(record.partition, product));
            continue;
        }
        let average = loop {
            match decoder.decode(record.value.as_deref()) {
                Ok(average) => break average,
                Err(DecodeError::Failed(failure)) => return Err(failure.detail),
                Err(DecodeError::Unresolved { .. }) if Instant::now() < give_up_at => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(DecodeError::Unresolved { schema_id, .. }) => {
                    return Err(format!("schema {schema_id} is not known"));
                }
            }
        };
        let count = u64::try_from(average.count).unwrap_or(0);
        partials.insert((record.partition, average.product), (count, average.sum));
    }
    let mut state = State::new();
    for ((_, product), (count, sum)) in partials.into_iter().filter(|(_, (count, _))| *count > 0) {
        let entry = state.entry(product).or_default();
        entry.0 += count;
        entry.1 += sum;
    }
    Ok(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Statistics {
        let amount = Amount::from_ten_thousandths;
        let state = State::from([
            ("tea".to_owned(), (2, amount(123_450_000))),
            ("cake".to_owned(), (1, amount(7_000))),
        ]);
        Statistics::new([4, 3, 2, 1], 5, state)
    }

    #[test]
    fn json_has_the_shape_of_the_contract() {
        let expected = r#"{"consumed":4,"succeeded":3,"retried":2,"dead_lettered":1,"waiting":5,"overall":{"count":3,"sum":"12345.7000","average":4115.233333333334},"products":[{"product":"cake","count":1,"sum":"0.7000","average":0.7},{"product":"tea","count":2,"sum":"12345.0000","average":6172.5}]}"#;
        assert_eq!(serde_json::to_string(&sample()).unwrap(), expected);
    }

    #[test]
    fn the_table_lists_products_and_the_run() {
        let table = sample().table();
        assert!(table.starts_with("PRODUCT"), "{table}");
        assert!(table.contains("6172.5000") && table.contains("4 consumed"), "{table}");
    }
}
