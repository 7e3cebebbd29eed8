//! Foreign bytes cannot drive a terminal, fake a log line, or reach from one field into another;
//! and metrics are for this machine unless somebody says otherwise.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

use testkit::{Cluster, Input, Process, machine, wait};

use super::LIMIT;

/// A text that clears the screen, fakes a line, rings, and reorders what follows.
const HOSTILE: &str = "o-1\u{1b}[2J\r\nFAKED line\u{7}\u{9b}31m\u{202e}";

#[track_caller]
fn assert_tame(what: &str, text: &str) {
    let wild = |c: char| c.is_control() && c != '\n' && c != '\t' || c == '\u{202e}';
    assert_eq!(text.find(wild), None, "{what}: {text:?}");
    assert!(!text.lines().any(|line| line.starts_with("FAKED")), "{what}: {text}");
}

#[test]
fn texts_of_records_stay_inside_their_lines() {
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(1);
    let orders = pipeline.orders_v1();
    let hostile = orders.input(0, HOSTILE, HOSTILE, 1.0).with_header(HOSTILE, None);
    let hostile = hostile.with_header("x-failure-detail", Some(HOSTILE.as_bytes()));
    let malformed = Input::new(0, Some(HOSTILE.as_bytes()), Some(HOSTILE.as_bytes()));
    for format in ["text", "json"] {
        let input = [hostile.clone(), malformed.clone(), orders.input(0, HOSTILE, "p", -1.0)];
        pipeline.send(&pipeline.orders, &input);
        let mut args = pipeline.consumer_args();
        args.push("--exit-at-end".to_owned());
        let output = if format == "text" { "table" } else { "json" };
        let variables =
            [("LOG_FORMAT", format), ("RUST_LOG", "trace"), ("CONSUMER_OUTPUT", output)];
        let finished = Process::start("consumer", &args, &variables).wait(LIMIT);
        finished.expect_code(0);
        assert_tame(format, &finished.stderr);
        assert_tame("stdout", &finished.stdout);
        assert!(finished.stdout.contains("FAKED"), "the product is told: {}", finished.stdout);
        let lines = finished.stderr.lines();
        let json = lines.filter(|line| serde_json::from_str::<serde_json::Value>(line).is_ok());
        let is_json = json.count() == finished.stderr.lines().count();
        assert_eq!(is_json, format == "json", "{}", finished.stderr);
    }
    let mut consumer = Process::consumer(&pipeline, &[]);
    consumer.wait_ready(LIMIT);
    let faked = |line: &str| line.starts_with("FAKED");
    wait::is_true("the product being told", LIMIT, || {
        let metrics = consumer.get("/metrics").body;
        assert!(!metrics.lines().any(faked), "{metrics}");
        metrics.contains("FAKED")
    });
}

#[test]
fn texts_of_an_imported_file_stay_inside_their_lines() {
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(1);
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("orders.csv");
    let rows = format!("orderId,product,price\n\"{HOSTILE}\",\"{HOSTILE}\",1\n1,p,\"{HOSTILE}\"\n");
    std::fs::write(&file, rows).expect("a file");
    let input = file.to_str().expect("UTF-8");
    for format in ["table", "jsonl"] {
        let args = ["--input", input, "-o", format];
        let finished = Process::producer(&pipeline, &args).wait(LIMIT);
        finished.expect_code(3);
        assert_tame(format, &finished.stdout);
        assert_tame(format, &finished.stderr);
        assert!(finished.stdout.contains("FAKED"), "the key is told: {}", finished.stdout);
        assert!(finished.stderr.contains("FAKED"), "the row is told: {}", finished.stderr);
    }
}

#[test]
fn a_registrys_words_and_its_address_stay_inside_their_lines() {
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(1);
    let escaped = serde_json::to_string(HOSTILE).expect("a text");
    let body = format!("{{\"error_code\":50001,\"message\":{escaped}}}");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let answer = format!(
        "HTTP/1.1 500 Oops\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    );
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 4096];
            let _the_client_may_be_gone =
                stream.read(&mut request).and_then(|_| stream.write_all(answer.as_bytes()));
        }
    });
    for program in ["consumer", "producer"] {
        for url in [format!("http://{address}"), format!("ftp://{HOSTILE}")] {
            let mut pipeline = pipeline.clone();
            pipeline.servers.registry_url = url;
            let args = match program {
                "consumer" => pipeline.consumer_args(),
                _ => pipeline.producer_args(),
            };
            let finished = Process::start(program, &args, &[]).wait(LIMIT);
            assert_ne!(finished.code, Some(0));
            assert!(finished.stderr.contains("FAKED"), "it is told: {}", finished.stderr);
            assert_tame(program, &finished.stderr);
        }
    }
}

#[test]
fn metrics_are_served_to_this_machine_only_unless_said_otherwise() {
    let _machine = machine::shared();
    let pipeline = Cluster::shared().pipeline(1);
    let without_address = |mut args: Vec<String>| {
        let at = args.iter().position(|arg| arg == "--metrics-addr").expect("it is there");
        args.drain(at..at + 2);
        args
    };
    let consumer = without_address(pipeline.consumer_args());
    let mut producer = without_address(pipeline.producer_args());
    producer.extend(["--count", "0", "--rate", "1/s"].map(str::to_owned));
    for (program, args) in [("consumer", consumer), ("producer", producer)] {
        let mut process = Process::start(program, &args, &[]);
        let address = process.metrics_addr();
        assert!(address.starts_with("127.0.0.1:"), "{program} serves at {address}");
        assert_eq!(process.get("/metrics").status, 200);
        process.sigterm();
        process.wait(LIMIT).expect_code(0);
    }
}
