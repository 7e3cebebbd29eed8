//! What becomes of a record, by what its handler does and by what cuts the handler off: one table, on the
//! test kit and on the real broker.

mod real;
mod simulated;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use relane::settings::OnDeadLetter;
use relane::{Builder, HandleError, Record};

use crate::rig::{DELAY, FINE, text};

/// What happens while handlers are at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    Nothing,
    Rebalance,
    Stop,
    Outage,
}

/// A record, told apart by its value.
struct Row {
    value: &'static str,
    key: &'static str,
    /// Its handler is at work when the cut comes; one that comes behind another of its key is not.
    is_out: bool,
}

const fn row(value: &'static str, key: &'static str, is_out: bool) -> Row {
    Row { value, key, is_out }
}

/// What the handlers of a partition do. Each partition has these records, in this order.
const ROWS: [Row; 7] = [
    row("quick", "a", true),
    row("sleeps", "b", true),
    row("hangs", "c", true),
    row("panics", "d", true),
    row("slow-1", "slow", true),
    row("slow-2", "slow", false),
    row("slow-3", "slow", false),
];

const PARTITIONS: i32 = 2;

/// Records of as many keys whose handlers find what they call unavailable: more than the lane waits for.
const UNAVAILABLE: usize = 25;

/// How long a handler may take that nothing cuts off.
const TIMEOUT: Duration = Duration::from_millis(300);

const DEAD: Option<(&str, &str)> = Some(("transient", "handler"));

impl Row {
    /// The attempts that its handler is given when nothing has cut it off, and what it comes to.
    fn wanted(&self, cut: Cut) -> (Vec<u32>, Option<(&str, &str)>) {
        match self.value {
            "panics" => (vec![1, 2, 3], DEAD),
            // The cut ends it, before its timeout does.
            "hangs" if cut == Cut::Nothing => (vec![1, 2, 3], DEAD),
            _ => (vec![1], None),
        }
    }
}

/// The records of all partitions, with their partition, key and value.
fn records(cut: Cut) -> Vec<(i32, String, String)> {
    let mut all = Vec::new();
    for partition in 0..PARTITIONS {
        all.extend(ROWS.iter().map(|row| (partition, row.key.to_owned(), row.value.to_owned())));
    }
    if cut == Cut::Outage {
        all.extend((0..UNAVAILABLE).map(|n| (0, format!("o-{n}"), "unavailable".to_owned())));
    }
    all
}

fn with_settings(builder: Builder, cut: Cut) -> Builder {
    let builder = builder
        .order_by_key(OnDeadLetter::Release)
        .lanes(1) // an outage is one lane's
        .retries(2, [DELAY]);
    if cut == Cut::Nothing { builder.handler_timeout(TIMEOUT) } else { builder }
}

/// What handlers do, and what they were seen to do.
#[derive(Debug)]
struct Script {
    cut: Cut,
    /// The cut is over: nobody waits for it any more.
    is_over: AtomicBool,
    /// Attempts by partition and value, one for each call.
    calls: Mutex<BTreeMap<(i32, String), Vec<u32>>>,
    /// Values of the records that were handled well, by partition, in that order.
    ended: Mutex<BTreeMap<i32, Vec<String>>>,
}

impl Script {
    fn new(cut: Cut) -> Arc<Self> {
        let is_over = AtomicBool::new(cut == Cut::Nothing);
        Arc::new(Self { cut, is_over, calls: Mutex::default(), ended: Mutex::default() })
    }

    fn end_cut(&self) {
        self.is_over.store(true, Ordering::SeqCst);
    }

    /// Calls of the handlers that are out when the cut comes, by partition: what each of them has at least.
    fn calls_of_those_out(&self) -> Vec<usize> {
        let calls = self.calls.lock().expect("no panic while held");
        let of = |partition| {
            let out = ROWS.iter().filter(|row| row.is_out);
            let count =
                |row: &Row| calls.get(&(partition, row.value.to_owned())).map_or(0, Vec::len);
            out.map(count).min().unwrap_or(0)
        };
        (0..PARTITIONS).map(of).collect()
    }

    fn are_all_out(&self) -> bool {
        self.calls_of_those_out().iter().all(|calls| *calls > 0)
    }

    fn is_a_partition_cut_off(&self) -> bool {
        self.calls_of_those_out().iter().any(|calls| *calls > 1)
    }

    /// Notes a call; whether it is the first one for the record.
    fn note_call(&self, partition: i32, value: &str, attempt: u32) -> bool {
        let mut calls = self.calls.lock().expect("no panic while held");
        let of_record = calls.entry((partition, value.to_owned())).or_default();
        of_record.push(attempt);
        of_record.len() == 1
    }

    async fn handle(self: Arc<Self>, record: Record<Option<Box<[u8]>>>) -> Result<(), HandleError> {
        let (value, key) = (text(record.value.as_deref()), text(record.key.as_deref()));
        let partition = record.idempotency_key.split('/').nth(1).and_then(|p| p.parse().ok());
        let partition = partition.expect("topic/partition/offset");
        let name = if value == "unavailable" { key } else { value.clone() };
        let is_first = self.note_call(partition, &name, record.attempt);
        if value == "unavailable" {
            while is_first && !self.are_all_out() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            return if is_first { Err(HandleError::unavailable("no route")) } else { FINE };
        }
        let is_cut_off = is_first && self.cut != Cut::Nothing;
        while is_cut_off && !self.is_over.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        match value.as_str() {
            "sleeps" => tokio::time::sleep(Duration::from_millis(20)).await,
            "slow-1" | "slow-2" | "slow-3" => tokio::time::sleep(Duration::from_millis(40)).await,
            "hangs" if self.cut == Cut::Nothing => std::future::pending().await,
            "panics" => panic!("as the test asks"),
            _ => {}
        }
        let mut ended = self.ended.lock().expect("no panic while held");
        ended.entry(partition).or_default().push(value);
        FINE
    }

    /// Compares what was seen with the table. `letters` has partition, value, class and reason of each dead
    /// letter.
    fn judge(&self, letters: &[(i32, String, String, String)]) {
        let cut = self.cut;
        let mut partitions_cut_off = 0;
        for partition in 0..PARTITIONS {
            let is_cut_off = self.calls_of_those_out()[partition as usize] > 1;
            partitions_cut_off += usize::from(is_cut_off);
            for row in &ROWS {
                let at = format!("{cut:?}: {partition}/{}", row.value);
                self.judge_calls(partition, row, is_cut_off && row.is_out, &at);
                let of_row = |(p, value, ..): &&(i32, String, String, String)| {
                    *p == partition && value == row.value
                };
                let of_row: Vec<_> = letters.iter().filter(of_row).collect();
                let fate = of_row.first().map(|(_, _, class, reason)| (&**class, &**reason));
                assert_eq!((fate, of_row.len() < 2), (row.wanted(cut).1, true), "{at}: {of_row:?}");
            }
            self.judge_order(partition);
        }
        let wanted = match cut {
            Cut::Nothing => 0,
            Cut::Rebalance => 1, // the other partition stays where it is
            Cut::Stop | Cut::Outage => 2,
        };
        assert_eq!(partitions_cut_off, wanted, "{cut:?}");
    }

    fn judge_calls(&self, partition: i32, row: &Row, is_cut_off: bool, at: &str) {
        let calls = self.calls.lock().expect("no panic while held");
        let mut calls = calls.get(&(partition, row.value.to_owned())).cloned().unwrap_or_default();
        let firsts = calls.iter().take_while(|attempt| **attempt == 1).count();
        // An outage that ends undoes what it may have failed, so that more is called again.
        let is_right = if self.cut == Cut::Outage {
            firsts > usize::from(is_cut_off)
        } else {
            firsts == 1 + usize::from(is_cut_off)
        };
        assert!(is_right, "{at}: {calls:?}");
        calls.drain(..firsts - 1);
        assert_eq!(calls, row.wanted(self.cut).0, "{at}");
    }

    /// The records of a key end in their order.
    fn judge_order(&self, partition: i32) {
        let ended = self.ended.lock().expect("no panic while held");
        let last = |name: &str| ended[&partition].iter().rposition(|value| value == name);
        let all = ["slow-1", "slow-2", "slow-3"].map(last);
        assert!(all.iter().all(Option::is_some) && all.is_sorted(), "{:?}: {ended:?}", self.cut);
    }
}
