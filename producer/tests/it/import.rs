//! Files become orders; what cannot become one is kept with its line and reason.

use std::collections::HashMap;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::harness::{
    Finished, Running, producer, records, run, run_with_input, topic, topic_with,
};

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
        b"1.00,5,\"BROKEN\" TEXT,UK\r\n",
        b"3.5,6,after the broken one,UK\r\n",
        b"free,7,no price,UK\r\n",
        b"1.00,8\r\n",
        b"1.00,9,caf\xe9,UK\r\n",
        b"\r\n",
        b"4.25,10,last,UK\r\n",
        b"1.00,11,\"NEVER CLOSED,UK\r\n",
        b"1.00,12,inside,UK",
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
        finished.stderr.contains("sent 6, acknowledged 6, failed 0, rejected 5"),
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
        row("7", "text after a closing quote", b"1.00,5,\"BROKEN\" TEXT,UK"),
        row("9", "price is not a number: \"free\"", b"free,7,no price,UK"),
        row("10", "2 fields instead of 4", b"1.00,8"),
        row("11", "product is not UTF-8", b"1.00,9,caf\xe9,UK"),
        row(
            "14",
            "a quote is opened and never closed: lines 14 to 15 all belong to this row",
            b"1.00,11,\"NEVER CLOSED,UK",
        ),
    ];
    assert_eq!(rows, expected);
}

/// Lines and reasons of the file of rejected rows.
fn rejected(path: &str) -> Vec<(u64, String)> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let row = |row: Result<csv::ByteRecord, csv::Error>| {
        let row = row.unwrap();
        let text = |index: usize| String::from_utf8(row[index].to_vec()).unwrap();
        (text(0).parse().unwrap(), text(1))
    };
    let mut rows: Vec<_> = reader.byte_records().map(row).collect();
    rows.sort();
    rows
}

fn keys(topic: &str) -> Vec<String> {
    let mut keys: Vec<String> = records(topic).into_iter().map(|record| record.key).collect();
    keys.sort();
    keys
}

#[test]
fn a_row_that_is_too_large_for_the_producer_is_one_reject_and_its_neighbours_are_delivered() {
    let directory = tempfile::tempdir().unwrap();
    let long = |bytes: usize, c: &str| c.repeat(bytes);
    // One that no consumer counts, and one that is too large only with its key beside the value.
    let text = format!(
        "orderId,product,price\n1,a,2\n2,{},3\n{},{},3\n3,b,4\n",
        long(500_000, "y"),
        long(300_000, "i"),
        long(399_000, "z"),
    );
    let input = file(&directory, "large.csv", text.as_bytes());
    for (key, expected) in [("product", vec![3, 4]), ("order-id", vec![3])] {
        let rejects = directory.path().join(format!("{key}.csv"));
        let rejects = rejects.to_str().unwrap();
        let topic = topic(1);
        let args = ["--topic", &topic, "--input", &input, "--rejects", rejects, "-q", "--key", key];
        run(&args).expect_code(3);
        let lines: Vec<u64> = rejected(rejects).into_iter().map(|(line, _)| line).collect();
        assert_eq!(lines, expected, "{key}");
        assert_eq!(records(&topic).len(), 4 - lines.len(), "{key}");
    }
}

#[test]
fn a_row_that_only_the_broker_finds_too_large_is_one_reject_and_its_neighbours_are_delivered() {
    let directory = tempfile::tempdir().unwrap();
    let topic = topic_with(3, &[("max.message.bytes", "20000")]);
    let mut text = "orderId,product,price\n".to_owned();
    // More rows than fit one request of this size, some of them too large alone.
    for n in 0..2_000 {
        let product = if n % 400 == 7 { "x".repeat(15_000 + n) } else { format!("p{}", n % 10) };
        text.push_str(&format!("o-{n},{product},1.5\n"));
    }
    let input = file(&directory, "sales.csv", text.as_bytes());
    let rejects = directory.path().join("rejects.csv");
    let rejects = rejects.to_str().unwrap();
    let finished = run(&["--topic", &topic, "--input", &input, "--rejects", rejects, "-q"]);
    finished.expect_code(3);
    let rows = rejected(rejects);
    assert_eq!(rows.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [9, 409, 809, 1209, 1609]);
    assert!(
        rows.iter().all(|(_, reason)| reason.contains("larger than the broker takes")),
        "{rows:?}"
    );
    assert_eq!(finished.stdout, "sent 1995, acknowledged 1995, failed 0, rejected 5");
    assert_eq!(records(&topic).len(), 1_995, "each of the others once");
}

#[test]
fn the_input_is_not_overwritten_by_its_rejects_under_any_name() {
    let directory = tempfile::tempdir().unwrap();
    let text = "orderId,product,price\n1,a,free\n";
    let input = file(&directory, "in.csv", text.as_bytes());
    let name = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    std::fs::hard_link(&input, name("hard.csv")).unwrap();
    std::os::unix::fs::symlink(&input, name("soft.csv")).unwrap();
    for rejects in [input.clone(), name("hard.csv"), name("soft.csv"), name("./in.csv")] {
        let from_file = ["--input", &input, "--rejects", &rejects];
        let from_stdin = ["--input", "-", "--input-format", "csv", "--rejects", &rejects];
        for args in [&from_file[..], &from_stdin] {
            let stdin = std::fs::File::open(&input).unwrap();
            let finished = Running::start(producer(args).stdin(stdin)).finish();
            finished.expect_code(2);
            assert!(finished.stderr.contains("the input file itself"), "{finished:?}");
            assert_eq!(std::fs::read_to_string(&input).unwrap(), text, "{rejects}");
        }
    }
}

#[test]
fn a_start_that_fails_leaves_the_rejects_of_the_run_before() {
    let directory = tempfile::tempdir().unwrap();
    let input = file(&directory, "in.csv", b"orderId,product,price\n1,a,free\n");
    let wrong = file(&directory, "wrong.csv", b"id,product,price\n1,a,free\n");
    let rejects = file(&directory, "rejects.csv", b"line,reason,row\n7,old,x\n");
    let topic = topic(1);
    let registry = "http://127.0.0.1:1";
    let starts: [&[&str]; 5] = [
        &["--input", &wrong],
        &["--input", "/nonexistent.csv"],
        &["--input", &input, "--topic", "no-such-topic"],
        &["--input", &input, "-b", "127.0.0.1:1"],
        &["--input", &input, "--topic", &topic, "--schema-registry-url", registry],
    ];
    for start in starts {
        let finished = run(&[start, &["--rejects", &rejects]].concat());
        assert_ne!(finished.code, Some(0), "{finished:?}");
        assert_eq!(rejected(&rejects), [(7, "old".to_owned())], "{start:?}");
    }
    run(&["--input", &input, "--topic", &topic, "--rejects", &rejects]).expect_code(3);
    assert_eq!(rejected(&rejects)[0].0, 2);
}

#[test]
fn a_price_that_is_not_representable_is_told_once_or_rejected() {
    let topic = topic(1);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/beyond-float.csv");
    let sent = run(&["--topic", &topic, "--input", path, "-q"]);
    sent.expect_code(0);
    let warning = "warning: 2 prices were not representable; the first is in line 2: price \
                   12345678.91 becomes 12345679";
    assert_eq!(sent.stderr.matches("not representable").count(), 1, "{sent:?}");
    assert!(sent.stderr.contains(warning), "{sent:?}");
    run(&["--topic", &topic, "--input", path, "-q", "--strict-prices"]).expect_code(3);
    assert_eq!(records(&topic).len(), 2);
}

/// Stops an import after some rows and follows its advice until it is done.
fn stopped_and_gone_on(signal: nix::sys::signal::Signal) {
    const ROWS: usize = 3_000;
    let directory = tempfile::tempdir().unwrap();
    let mut text = "orderId,product,price\n".to_owned();
    for n in 0..ROWS {
        let price = if n % 100 == 99 { "free" } else { "1.5" };
        text.push_str(&format!("o-{n},\"tea\n{n}\",{price}\n"));
    }
    let input = file(&directory, "sales.csv", text.as_bytes());
    let rejects = directory.path().join("rejects.csv");
    let rejects = rejects.to_str().unwrap();
    let topic = topic(3);
    let args = ["--topic", &topic, "--input", &input, "--rejects", rejects, "--key", "order-id"];
    let mut running = Running::start(&mut producer(&[&args[..], &["--rate", "500/s"]].concat()));
    for _ in 0..200 {
        running.next_stdout();
    }
    running.signal(signal);
    let finished: Finished = running.finish();
    finished.expect_code(3);
    let (_, advice) = finished.stderr.split_once("add --skip-rows ").expect("advice");
    let skip = advice.split_whitespace().next().unwrap();
    assert!((200..ROWS).contains(&skip.parse().unwrap()), "{finished:?}");
    run(&[&args[..], &["-q", "--skip-rows", skip]].concat()).expect_code(3);
    let mut expected: Vec<String> =
        (0..ROWS).filter(|n| n % 100 != 99).map(|n| format!("o-{n}")).collect();
    expected.sort();
    assert_eq!(keys(&topic), expected, "each order once");
    assert_eq!(rejected(rejects).len(), ROWS / 100, "the rejects of both parts");
    let done = run(&[&args[..], &["-q", "--skip-rows", &ROWS.to_string()]].concat());
    done.expect_code(0);
    assert!(done.stderr.contains("no rows after the 3000"), "{done:?}");
}

#[test]
fn a_stopped_import_goes_on_where_it_says_and_nothing_is_lost_or_doubled() {
    stopped_and_gone_on(nix::sys::signal::Signal::SIGINT);
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
