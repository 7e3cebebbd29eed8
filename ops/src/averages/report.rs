//! What is printed: totals of each product, and how far they go.

use std::collections::{BTreeMap, BTreeSet};

use orders::Amount;
use serde::Serialize;
use serde::ser::Serializer;
use service_kit::live::fit;
use service_kit::table::{Side, Table};
use service_kit::terminal::one_line;

use crate::audit::Cut;
use crate::standing::Partials;

/// What all products together are called.
const ALL: &str = "all";

/// Widest product name in a table, in columns: with the numbers beside it a line fits 80.
const NAME_COLUMNS_MAX: usize = 30;

/// Which products are shown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    /// These; all where none is named.
    pub products: Vec<String>,
    /// Of them only so many, those with the most orders.
    pub top: Option<usize>,
}

/// A count and an exact sum; written with the average of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Totals {
    /// Orders counted.
    pub count: u64,
    /// Exact sum of their prices.
    #[serde(serialize_with = "as_text")]
    pub sum: Amount,
    /// The double nearest to sum / count, in bits; none for no orders.
    #[serde(rename = "average", serialize_with = "as_double")]
    average_bits: Option<u64>,
}

/// Totals of one product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProductTotals {
    /// Name.
    pub product: Box<str>,
    /// Its totals.
    #[serde(flatten)]
    pub totals: Totals,
}

/// How far the averages of one partition go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PartitionStanding {
    /// Partition.
    pub partition: i32,
    /// Commit position of the group: every order below it was counted, waits, or is a dead letter.
    pub committed: Option<i64>,
    /// End of the topic of orders.
    pub end: i64,
    /// Orders from the commit position to the end that are not settled.
    pub beyond: u64,
    /// Orders that wait for a retry: they are not included yet.
    pub waiting: u64,
    /// The group went on while it was looked at: a little more may be included.
    pub moved: bool,
}

/// What a group has counted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Report {
    /// Orders that wait for a retry: they are not included yet.
    pub waiting: u64,
    /// All products together.
    pub overall: Totals,
    /// Products by name, or by how often they were counted where only the first are wanted.
    pub products: Vec<ProductTotals>,
    /// Each partition.
    pub partitions: Vec<PartitionStanding>,
    #[serde(skip)]
    sums: BTreeMap<Box<str>, (u64, Amount)>,
}

impl Totals {
    fn of(count: u64, sum: Amount) -> Self {
        let average_bits = orders::average(sum, count).map(f64::to_bits);
        Self { count, sum, average_bits }
    }

    /// The double nearest to sum / count; none for no orders.
    #[must_use]
    pub fn average(&self) -> Option<f64> {
        self.average_bits.map(f64::from_bits)
    }
}

impl Report {
    /// Adds what was counted in one partition.
    pub(crate) fn add(&mut self, cut: &Cut, partials: Partials, waiting: u64) {
        for (product, (count, sum)) in partials {
            let total = self.sums.entry(product).or_default();
            (total.0, total.1) = (total.0 + count, total.1 + sum);
        }
        self.waiting += waiting;
        self.partitions.push(PartitionStanding {
            partition: cut.partition,
            committed: cut.before.main.position,
            end: cut.bounds.main.end,
            beyond: cut.before.main.open_up_to(cut.bounds.main),
            waiting,
            moved: cut.moved(),
        });
    }

    /// All partitions were added.
    pub(crate) fn close(&mut self) {
        let counted = std::mem::take(&mut self.sums).into_iter().filter(|(_, one)| one.0 > 0);
        self.products = counted
            .map(|(product, (count, sum))| ProductTotals {
                product,
                totals: Totals::of(count, sum),
            })
            .collect();
        let count = self.products.iter().map(|one| one.totals.count).sum();
        let sum = self.products.iter().map(|one| one.totals.sum).sum();
        self.overall = Totals::of(count, sum);
    }

    /// Leaves out products that are not wanted, and returns those that are and were not counted.
    /// The totals of all products stay what they are.
    pub fn keep(&mut self, wanted: &Wanted) -> Vec<String> {
        let mut absent = BTreeSet::new();
        if !wanted.products.is_empty() {
            absent = wanted.products.iter().cloned().collect();
            self.products.retain(|one| absent.remove(&*one.product));
        }
        if let Some(top) = wanted.top {
            // The sort is stable: of those with as many orders, the first by name.
            self.products.sort_by_key(|one| std::cmp::Reverse(one.totals.count));
            self.products.truncate(top);
        }
        absent.into_iter().collect()
    }

    /// The report for people.
    #[must_use]
    pub fn table(&self) -> String {
        use Side::{Left, Right};
        let mut table =
            Table::new(&[("PRODUCT", Left), ("COUNT", Right), ("SUM", Right), ("AVERAGE", Right)]);
        let mut row = |product: String, totals: &Totals| {
            let average = totals.average().map_or("-".to_owned(), |one| format!("{one:.4}"));
            table.row([product, totals.count.to_string(), totals.sum.to_string(), average]);
        };
        self.products.iter().for_each(|one| row(name(&one.product), &one.totals));
        row(ALL.to_owned(), &self.overall);
        format!("{}\n\n{}\n\n{}", table.text(), self.not_included(), self.standings())
    }

    fn not_included(&self) -> String {
        let waiting = match self.waiting {
            0 => "no order waits for a retry".to_owned(),
            1 => "1 order waits for a retry and is not included yet".to_owned(),
            count => format!("{count} orders wait for a retry and are not included yet"),
        };
        let moved = self.partitions.iter().any(|one| one.moved);
        let moved =
            if moved { "\nthe group committed meanwhile: a little more is included" } else { "" };
        format!("{waiting}{moved}")
    }

    fn standings(&self) -> String {
        let names = ["PARTITION", "INCLUDED TO", "END", "BEYOND", "WAITING"];
        let mut table = Table::new(&names.map(|name| (name, Side::Right)));
        for one in &self.partitions {
            table.row([
                one.partition.to_string(),
                one.committed.map_or("-".to_owned(), |position| position.to_string()),
                one.end.to_string(),
                one.beyond.to_string(),
                one.waiting.to_string(),
            ]);
        }
        table.text()
    }
}

/// A product as it stands in a table; one that is called like the last row is quoted.
fn name(product: &str) -> String {
    let line = one_line(product);
    if line == ALL { format!("\"{ALL}\"") } else { fit(&line, NAME_COLUMNS_MAX) }
}

fn as_text<S: Serializer>(sum: &Amount, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(sum)
}

#[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
fn as_double<S: Serializer>(bits: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    match bits.map(f64::from_bits) {
        Some(average) => serializer.serialize_f64(average),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use service_kit::live::width;

    use super::*;

    fn report(products: &[(&str, u64, i128)]) -> Report {
        let mut report = Report::default();
        for (product, count, sum) in products {
            let total = report.sums.entry((*product).into()).or_default();
            (total.0, total.1) = (total.0 + count, total.1 + Amount::from_ten_thousandths(*sum));
        }
        report.close();
        report
    }

    #[test]
    fn the_average_is_that_of_the_sums_and_not_of_averages() {
        let report = report(&[("tea", 1, 10_000), ("tea", 3, 90_000), ("cake", 2, 10_000)]);
        let text = serde_json::to_string(&report).expect("JSON");
        let expected = r#"{"waiting":0,"overall":{"count":6,"sum":"11.0000","average":1.8333333333333333},"products":[{"product":"cake","count":2,"sum":"1.0000","average":0.5},{"product":"tea","count":4,"sum":"10.0000","average":2.5}],"partitions":[]}"#;
        assert_eq!(text, expected);
    }

    #[test]
    fn a_choice_of_products_leaves_the_totals_as_they_are() {
        let all = [("a", 1, 1), ("b", 5, 1), ("c", 5, 1), ("d", 9, 1), ("gone", 0, 0)];
        let chosen = |products: &[&str], top| {
            let mut report = report(&all);
            let products = products.iter().map(|name| (*name).to_owned()).collect();
            let absent = report.keep(&Wanted { products, top });
            assert_eq!(report.overall.count, 20);
            let names: Vec<_> = report.products.iter().map(|one| one.product.to_string()).collect();
            (names.join(""), absent.join(","))
        };
        assert_eq!(chosen(&[], None), ("abcd".to_owned(), String::new()));
        assert_eq!(chosen(&[], Some(3)), ("dbc".to_owned(), String::new()));
        assert_eq!(chosen(&["c", "a", "gone"], None), ("ac".to_owned(), "gone".to_owned()));
        assert_eq!(chosen(&["c", "a"], Some(1)), ("c".to_owned(), String::new()));
    }

    #[test]
    fn the_table_fits_80_columns_and_no_product_drives_the_terminal() {
        let long = "x\u{1b}[2J".repeat(60);
        let mut report = report(&[(&long, 1_000_000_000_000, 10_i128.pow(19)), ("all", 1, 1)]);
        report.partitions.push(PartitionStanding {
            partition: 0,
            committed: None,
            end: i64::MAX,
            beyond: 1,
            waiting: 1,
            moved: true,
        });
        let table = report.table();
        assert!(table.lines().all(|line| width(line) <= 80 && !line.contains('\u{1b}')), "{table}");
        assert!(table.contains("\"all\"") && table.contains("\nall "), "{table}");
    }
}
