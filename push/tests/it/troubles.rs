//! Services that do not do well, and a push that is killed: each record is taken, none becomes a dead letter, and
//! the records of a key are taken in their order.

use std::collections::{BTreeMap, HashSet};
use std::net::TcpListener;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::{Process, machine, wait};

use crate::examples::Example;
use crate::receiver::{Call, Receiver, Reply};
use crate::rig::{LIMIT, Rig};

const RECORDS: usize = 60;
/// Fewer than show an outage by their number: what is known of HTTP must tell it from poison.
const KEYS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
const CONCURRENCY: &str = "16";

/// How a service does, by call and number among the calls of its record.
type Plan = Box<dyn Fn(&Call, usize) -> Reply + Send + Sync>;

/// A row: how the service does, and whether a record may be taken twice: an outage or a kill may cost an answer.
struct Row {
    name: &'static str,
    repeats: bool,
    plan: Plan,
}

fn row(
    name: &'static str,
    repeats: bool,
    plan: impl Fn(&Call, usize) -> Reply + Send + Sync + 'static,
) -> Row {
    Row { name, repeats, plan: Box::new(plan) }
}

fn well() -> Reply {
    Reply::after(Duration::from_millis(5))
}

/// What a plan does until so long after its first call.
fn until(
    limit: Duration,
    bad: impl Fn(&Call, usize) -> Reply + Send + Sync + 'static,
) -> impl Fn(&Call, usize) -> Reply + Send + Sync + 'static {
    let began_at = OnceLock::new();
    move |call, number| {
        let is_bad = began_at.get_or_init(Instant::now).elapsed() < limit;
        if is_bad { bad(call, number) } else { well() }
    }
}

fn send(rig: &Rig) {
    rig.send((0..RECORDS).map(|n| (KEYS[n % KEYS.len()], format!("{{\"amount\": {n}}}"))));
}

/// Longer than any answer takes on a busy machine: one that is late is asked for again.
const TIMEOUT: &str = "20s";

fn start(rig: &Rig, to: &str, timeout: &str) -> Process {
    let retries = ["--retry-delay", "200ms", "--max-retries", "3", "--handler-timeout", timeout];
    let order = ["--order", "key", "--concurrency", CONCURRENCY, "--lanes", "1"];
    rig.push(to, &[retries, order].concat())
}

/// Checks what was taken: offsets in the order of their first taking, and how many were taken again.
#[track_caller]
fn check(name: &str, rig: &Rig, taken: &[usize], repeats: bool) {
    let mut of_key: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    let mut seen = HashSet::new();
    for offset in taken.iter().filter(|offset| seen.insert(**offset)) {
        of_key.entry(KEYS[offset % KEYS.len()]).or_default().push(*offset);
    }
    assert_eq!(seen.len(), RECORDS, "{name}: each record is taken");
    for (key, offsets) in of_key {
        assert!(offsets.is_sorted(), "{name}: {key} in another order: {offsets:?}");
    }
    let again = taken.len() - RECORDS;
    assert!(repeats || again == 0, "{name}: {again} were taken twice");
    assert!(again <= RECORDS, "{name}: {again} were taken again");
    assert_eq!(rig.dead_letters(), [], "{name}: an outage is not poison");
}

fn is_settled(rig: &Rig) -> bool {
    rig.topics.lag() == 0
}

/// Offsets of the records that a service has answered well, in order.
fn taken(receiver: &Receiver) -> Vec<usize> {
    let mut calls = receiver.calls();
    calls.retain(Call::was_well);
    calls.sort_by_key(|call| call.answered_at);
    calls.iter().map(|call| offset(call.id())).collect()
}

fn offset(id: &str) -> usize {
    id.rsplit('/').next().and_then(|text| text.parse().ok()).expect("topic/partition/offset")
}

fn run(row: Row) {
    let Row { name, repeats, plan } = row;
    let rig = Rig::new(1);
    send(&rig);
    let receiver = Receiver::start(plan);
    let timeout = if name.starts_with("hangs") { "1s" } else { TIMEOUT };
    let push = start(&rig, &receiver.url(), timeout);
    wait::is_true(name, LIMIT, || is_settled(&rig));
    let finished = push.stop();
    finished.expect_code(0);
    eprintln!("{name}: {:?}, {} calls", finished.elapsed, receiver.calls().len());
    check(name, &rig, &taken(&receiver), repeats);
}

/// Nobody listens at first.
fn comes_late() {
    let rig = Rig::new(1);
    send(&rig);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound").to_string();
    drop(listener);
    let mut push = start(&rig, &format!("http://{address}/in"), TIMEOUT);
    let told = push.wait_for_log(" is unavailable", LIMIT);
    assert!(told.contains(&format!("no connection to http://{address}/in")), "{told}");
    let ready = push.get("/readyz");
    assert!(ready.status == 503 && ready.body.contains("downstream"), "{ready:?}");
    let receiver = Receiver::start_at(&address, |_, _| well());
    wait::is_true("a service that comes late", LIMIT, || is_settled(&rig));
    push.stop().expect_code(0);
    check("a service that comes late", &rig, &taken(&receiver), false);
}

/// `kill -9` of push, twice.
fn push_is_killed() {
    let rig = Rig::new(1);
    send(&rig);
    let receiver = Receiver::start(|_, _| Reply::after(Duration::from_millis(100)));
    for taken_before in [10, 30] {
        let mut push = start(&rig, &receiver.url(), TIMEOUT);
        wait::is_true("records being taken", LIMIT, || taken(&receiver).len() >= taken_before);
        push.kill_9();
    }
    let push = start(&rig, &receiver.url(), TIMEOUT);
    wait::is_true("a push that was killed", LIMIT, || is_settled(&rig));
    push.stop().expect_code(0);
    check("a push that was killed", &rig, &taken(&receiver), true);
}

/// `kill -9` of the receiver in Python, which is started again on the same port.
fn receiver_is_killed() {
    let rig = Rig::new(1);
    send(&rig);
    let mut receiver = Example::start("python3", "receiver.py", 0);
    let port = receiver.address.rsplit(':').next().and_then(|port| port.parse().ok());
    let push = start(&rig, &format!("http://{}/in", receiver.address), TIMEOUT);
    wait::is_true("a record being taken", LIMIT, || !receiver.taken().is_empty());
    receiver.kill_9();
    let before = receiver.taken();
    let receiver = Example::start("python3", "receiver.py", port.expect("a port"));
    wait::is_true("a service that was killed", LIMIT, || is_settled(&rig));
    push.stop().expect_code(0);
    let all = [before, receiver.taken()].concat();
    let id = |line: &Value| offset(line["id"].as_str().expect("it has an id"));
    check("a service that was killed", &rig, &all.iter().map(id).collect::<Vec<_>>(), true);
}

#[test]
fn no_trouble_loses_a_record_or_an_order_or_makes_a_dead_letter() {
    let _machine = machine::shared();
    let limit = Duration::from_secs(4);
    let rows = [
        row("answers 503 for seconds", true, until(limit, |_, _| Reply::status(503))),
        row("answers 429 for seconds", true, until(limit, |_, _| Reply::status(429))),
        row("hangs for seconds", true, until(limit / 2, |_, _| Reply::Nothing)),
        row("answers slowly", false, |_, _| Reply::after(Duration::from_millis(150))),
        row("answers garbage first", false, |_, number| match number {
            1 => Reply::Garbage,
            _ => well(),
        }),
        row("fails every third record first", false, |call, number| {
            let is_third = offset(call.id()).is_multiple_of(3);
            if is_third && number == 1 { Reply::status(500) } else { well() }
        }),
    ];
    let others: [(&str, fn()); 3] =
        [("comes late", comes_late), ("push", push_is_killed), ("receiver", receiver_is_killed)];
    let mut failed = Vec::new();
    thread::scope(|scope| {
        let mut running = Vec::new();
        for row in rows {
            running.push((row.name, scope.spawn(move || run(row))));
        }
        for (name, other) in others {
            running.push((name, scope.spawn(other)));
        }
        for (name, thread) in running {
            if thread.join().is_err() {
                failed.push(name);
            }
        }
    });
    assert!(failed.is_empty(), "{failed:?}");
}
