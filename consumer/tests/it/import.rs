//! The main job on a file as people have them: imported, counted, and compared with what a
//! spreadsheet would say.

use std::collections::BTreeMap;
use std::time::Duration;

use testkit::{Cluster, Process, machine};

/// A file with a byte-order mark, quoted fields with commas, quotes and line breaks, returns,
/// negative prices, names that are empty, and rows that are broken.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/sales.csv");

const RUN_MAX: Duration = Duration::from_secs(40);

/// What must become of the rows of a file.
#[derive(Debug, Default, PartialEq)]
struct Expected {
    /// Lines of rows that cannot become an order.
    rejected: Vec<u64>,
    /// Product and reason of orders that break a rule.
    dead: Vec<(String, &'static str)>,
    /// Count and sum in ten-thousandths by product.
    counted: BTreeMap<String, (u64, i128)>,
}

/// Ten-thousandths of a decimal number as it is written; `None` for anything else.
fn decimal(text: &str) -> Option<i128> {
    let (digits, exponent) = match text.split_once('e') {
        Some((digits, exponent)) => (digits, exponent.parse::<u32>().ok()?),
        None => (text, 0),
    };
    let (sign, digits) = digits.strip_prefix('-').map_or((1, digits), |digits| (-1, digits));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let all = format!("{whole}{part:0<4}");
    let is_number =
        !digits.is_empty() && part.len() <= 4 && all.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| sign * all.parse::<i128>().expect("digits") * 10_i128.pow(exponent))
}

/// Reads the file with a plain CSV reader and sorts its rows.
fn expected() -> Expected {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_path(FILE).expect("a CSV file");
    let headers = reader.headers().expect("a header").clone();
    let column = |name| headers.iter().position(|header| header == name).expect("a column");
    let (id, product, price) = (column("Invoice"), column("Description"), column("Price"));
    let mut expected = Expected::default();
    for row in reader.records() {
        let row = row.expect("text");
        let line = row.position().expect("it was read").line();
        let amount = row.get(price).filter(|_| row.len() == headers.len()).and_then(decimal);
        let Some(amount) = amount else {
            expected.rejected.push(line);
            continue;
        };
        let reason = if row[id].is_empty() {
            "empty-order-id"
        } else if row[product].trim().is_empty() {
            "empty-product"
        } else if amount < 0 {
            "negative-price"
        } else {
            let entry = expected.counted.entry(row[product].to_owned()).or_default();
            *entry = (entry.0 + 1, entry.1 + amount);
            continue;
        };
        expected.dead.push((row[product].to_owned(), reason));
    }
    expected.dead.sort();
    expected
}

#[test]
fn the_expectation_has_every_kind_of_row() {
    let expected = expected();
    assert_eq!(expected.rejected.len(), 5, "{expected:?}");
    assert_eq!(expected.dead.len(), 4, "{expected:?}");
    assert_eq!(expected.counted["WHITE LANTERN"], (4, 72_800), "3.39 twice, 0 and .5");
    assert_eq!(expected.counted["TEA\nSET, \"BLUE\""], (1, 10_000_000));
    assert_eq!(decimal("0.0001"), Some(1));
    assert_eq!((decimal("free"), decimal(""), decimal("-")), (None, None, None));
}

#[test]
fn an_imported_file_gives_the_averages_rejects_and_dead_letters_of_a_plain_computation() {
    let _guard = machine::shared();
    let pipeline = Cluster::shared().pipeline(3);
    let expected = expected();
    let directory = tempfile::tempdir().expect("a directory");
    let rejects = directory.path().join("rejects.csv");
    let map = "orderId=Invoice,product=Description,price=Price";
    let args = ["--input", FILE, "--map", map, "--rejects", rejects.to_str().expect("text"), "-q"];
    Process::producer(&pipeline, &args).wait(RUN_MAX).expect_code(3);
    let mut reader = csv::Reader::from_path(&rejects).expect("rejects were written");
    let lines = reader.records().map(|row| row.expect("a row")[0].parse().expect("a line number"));
    assert_eq!(lines.collect::<Vec<u64>>(), expected.rejected);

    let stats = Process::consumer(&pipeline, &["--exit-at-end", "-o", "json"]).wait(RUN_MAX);
    let stats = stats.expect_code(0).stats();
    let products = stats["products"].as_array().expect("a list");
    assert_eq!(products.len(), expected.counted.len());
    for totals in products {
        let product = totals["product"].as_str().expect("a name");
        let (count, sum) = expected.counted[product];
        assert_eq!(totals["count"], count, "{product:?}");
        assert_eq!(totals["sum"], format!("{}.{:04}", sum / 10_000, sum % 10_000), "{product:?}");
        let average = sum as f64 / 10_000.0 / count as f64;
        let difference = totals["average"].as_f64().expect("a number") - average;
        assert!(difference.abs() <= 1e-9 * average, "{product:?}: {totals}");
    }
    let mut dead: Vec<_> = pipeline
        .records(&pipeline.dlq)
        .iter()
        .map(|record| {
            let product = String::from_utf8(record.key.clone().expect("a key")).expect("text");
            (product, record.header_text("x-failure-reason").to_owned())
        })
        .collect();
    dead.sort();
    let expected_dead =
        expected.dead.iter().map(|(product, reason)| (product.clone(), (*reason).to_owned()));
    assert_eq!(dead, expected_dead.collect::<Vec<_>>());
}
