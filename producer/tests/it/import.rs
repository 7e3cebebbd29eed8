//! Files become orders; what cannot become one is kept with its line and reason.

use std::collections::HashMap;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::harness::{records, run, run_with_input, topic};

const MAP: &str = "orderId=Invoice,product=Description,price=Price";

fn file(directory: &tempfile::TempDir, name: &str, bytes: &[u8]) -> String {
    let path: PathBuf = directory.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_csv_file_with_everything_in_it_is_imported() {
    let directory = tempfile::tempdir().unwrap();
    let text: Vec<u8> = [
        b"\xef\xbb\xbfPrice,Invoice,Description,Country\r\n".as_slice(),
        b"2.55,1,\"HEART, WHITE\",UK\r\n",
        b"-9.95,C2,\"a \"\"quoted\"\" return\",UK\r\n",
        b"1.00,3,,UK\r\n",
        b"1,4,\"two\r\nlines\",UK\r\n",
        b"1.00,5,\"BROKEN,UK\r\n",
        b"3.5,6,after the broken one,UK\r\n",
        b"free,7,no price,UK\r\n",
        b"1.00,8\r\n",
        b"1.00,9,caf\xe9,UK\r\n",
        b"\r\n",
        b"4.25,10,last",
        b",UK",
    ]
    .concat();
    let input = file(&directory, "sales.csv", &text);
    let rejects = directory.path().join("rejects.csv");
    let rejects = rejects.to_str().unwrap();
    let topic = topic(3);
    let args = ["--topic", &topic, "--input", &input, "--map", MAP, "--rejects", rejects];
    let finished = run(&[&args[..], &["-o", "jsonl"]].concat());
    finished.expect_code(3);
    assert!(
        finished.stderr.contains("sent 6, acknowledged 6, failed 0, rejected 4"),
        "{finished:?}"
    );
    let mut ids: Vec<Value> =
        finished.json_lines().iter().map(|line| line["order_id"].clone()).collect();
    ids.sort_by_key(Value::to_string);
    assert_eq!(json!(ids), json!(["1", "10", "3", "4", "6", "C2"]));
    let mut products: Vec<String> = records(&topic).into_iter().map(|record| record.key).collect();
    products.sort();
    let expected =
        ["", "HEART, WHITE", "a \"quoted\" return", "after the broken one", "last", "two\r\nlines"];
    assert_eq!(products, expected);

    let mut reader = csv::Reader::from_path(rejects).unwrap();
    let rows: Vec<(String, String, Vec<u8>)> = reader
        .byte_records()
        .map(|row| {
            let row = row.unwrap();
            let text = |index: usize| String::from_utf8(row[index].to_vec()).unwrap();
            (text(0), text(1), row[2].to_vec())
        })
        .collect();
    let row =
        |line: &str, reason: &str, raw: &[u8]| (line.to_owned(), reason.to_owned(), raw.to_vec());
    let expected = [
        row("7", "a quote is opened and never closed", b"1.00,5,\"BROKEN,UK"),
        row("9", "price is not a number: \"free\"", b"free,7,no price,UK"),
        row("10", "2 fields instead of 4", b"1.00,8"),
        row("11", "product is not UTF-8", b"1.00,9,caf\xe9,UK"),
    ];
    assert_eq!(rows, expected);
}

#[test]
fn keys_lie_where_javas_producer_places_them() {
    // Hashes from Kafka's own test of murmur2.
    let vectors: HashMap<&str, i32> = HashMap::from([
        ("21", -973_932_308),
        ("foobar", -790_332_482),
        ("a-little-bit-long-string", -985_981_536),
        ("a-little-bit-longer-string", -1_486_304_829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
        ("abc", 479_470_107),
    ]);
    let mut text = "orderId,product,price\n".to_owned();
    for product in vectors.keys() {
        text.push_str(&format!("o,{product},1\n"));
    }
    let topic = topic(7);
    let args = ["--topic", &topic, "--input", "-", "--input-format", "csv", "-q"];
    run_with_input(&args, &text).expect_code(0);
    let records = records(&topic);
    assert_eq!(records.len(), vectors.len());
    for record in records {
        let expected = (vectors[record.key.as_str()] & 0x7fff_ffff) % 7;
        assert_eq!(record.partition, expected, "{}", record.key);
    }
}

#[test]
fn json_lines_are_imported_from_standard_input() {
    let text = concat!(
        "{\"id\": 1, \"name\": \"tea\", \"cost\": 2.5}\n",
        "{\"id\": 2, \"name\": \"tea\"}\n",
        "{\"id\": \"3\", \"name\": \"cake\", \"cost\": \"-1\"}\n",
        "not json\n",
    );
    let topic = topic(2);
    let args = ["--topic", &topic, "--input", "-", "--input-format", "jsonl", "-o", "json"];
    let map = ["--map", "orderId=id,product=name", "--map", "price=cost"];
    let finished = run_with_input(&[&args[..], &map].concat(), text);
    finished.expect_code(3);
    let summary = &finished.json_lines()[0];
    let numbers = ["sent", "acknowledged", "failed", "rejected"].map(|name| &summary[name]);
    assert_eq!(json!(numbers), json!([2, 2, 0, 2]));
    // Without --rejects the reasons are at least told.
    assert!(finished.stderr.contains("no key 'cost'"), "{finished:?}");
    assert_eq!(records(&topic).len(), 2);
}

#[test]
fn a_count_takes_the_first_rows_only() {
    let mut text = "orderId;product;price\n".to_owned();
    for n in 0..100 {
        text.push_str(&format!("{n};tea;1.5\n"));
    }
    let topic = topic(1);
    let args = ["--topic", &topic, "--input", "-", "--input-format", "csv", "--delimiter", ";"];
    run_with_input(&[&args[..], &["--count", "10", "-q"]].concat(), &text).expect_code(0);
    assert_eq!(records(&topic).len(), 10);
}

#[test]
fn a_header_without_the_columns_is_a_usage_error_before_anything_is_sent() {
    let directory = tempfile::tempdir().unwrap();
    let input = file(&directory, "sales.csv", b"Invoice,Description,Price\n1,a,1\n");
    let topic = topic(1);
    let finished = run(&["--topic", &topic, "--input", &input]);
    finished.expect_code(2);
    assert!(finished.stderr.contains("no column 'orderId'"), "{finished:?}");
    assert!(finished.stderr.contains("the columns are Invoice, Description, Price"));
    let missing = run(&["--topic", &topic, "--input", "/nonexistent.csv"]);
    missing.expect_code(2);
    assert!(missing.stderr.contains("/nonexistent.csv cannot be opened"), "{missing:?}");
    assert!(records(&topic).is_empty());
}
