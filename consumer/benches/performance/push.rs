//! How many records `push` brings to a service on this machine.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::bars::Bars;
use crate::orders_log::{OrdersLog, PARTITIONS};
use crate::output::number;
use crate::program::{build, programs, run as run_program};

const RECORDS_DEFAULT: u64 = 200_000;
const PRODUCTS: u64 = 1_000;

pub(crate) fn run() {
    build(&["--package", "push", "--bin", "push"]);
    let log = OrdersLog::fill(number("BENCH_RECORDS", RECORDS_DEFAULT), PRODUCTS);
    let what = format!("{} records, one POST each, 256 at once, one lane", log.records);
    let mut bars = Bars::new("push", &what);
    let received = Arc::new(AtomicU64::new(0));
    let to = receive(&received);
    let partitions = PARTITIONS.to_string();
    let own = [
        "--to",
        &to,
        "--as",
        "raw",
        "--concurrency",
        "256",
        "--lanes",
        "1",
        "--create-topics",
        "--create-partitions",
        &partitions,
        "--metrics-addr",
        "off",
        "--exit-at-end",
        "-o",
        "json",
    ];
    let arguments: Vec<String> =
        log.pipeline.engine_args().into_iter().chain(own).map(str::to_owned).collect();
    let (cost, _) = run_program(&programs().join("push"), &arguments, &[], log.records);
    assert_eq!(received.load(Ordering::Relaxed), log.records, "requests received");
    let rate = cost.records_per_second();
    bars.at_least("push to a receiver of two lines, start and end included", rate, 20_000.0, "/s");
    bars.told("CPU of push for a record", cost.cpu_micros(), "µs");
    bars.told("memory of push", cost.memory_mib, "MiB");
    bars.publish();
}

/// Answers every request with 200 on a thread for each connection; the address.
fn receive(received: &Arc<AtomicU64>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound");
    let received = Arc::clone(received);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let received = Arc::clone(&received);
            thread::spawn(move || answer(&stream, &received));
        }
    });
    format!("http://{address}/")
}

/// Answers until the caller leaves.
fn answer(stream: &TcpStream, received: &AtomicU64) {
    let (mut reader, mut writer) = (BufReader::new(stream), stream);
    let (mut line, mut body) = (String::new(), Vec::new());
    loop {
        let mut length = 0;
        loop {
            line.clear();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let Some((name, value)) = line.split_once(':') else {
                if line.trim().is_empty() {
                    break;
                }
                continue;
            };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().expect("a length");
            }
        }
        body.resize(length, 0);
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        received.fetch_add(1, Ordering::Relaxed);
        if writer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").is_err() {
            return;
        }
    }
}
