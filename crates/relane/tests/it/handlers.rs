//! What becomes of a record, by what its handler does.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use relane::settings::OnDeadLetter;
use relane::{HandleError, ReasonName, Record, payload};
use testkit::machine;

use crate::rig::{DELAY, FINE, Journal, Rig, text};

const BAD_ADDRESS: ReasonName = ReasonName::of("bad-address");
const TRY_LATER: ReasonName = ReasonName::of("try-later");

/// How long a handler of these tests may take.
const TIMEOUT: Duration = Duration::from_millis(300);

/// Does what the value says.
async fn obey(record: Record<Option<Box<[u8]>>>) -> Result<(), HandleError> {
    let order = text(record.value.as_deref());
    let is_first = record.attempt == 1;
    match order.as_str() {
        "sleep" => tokio::time::sleep(Duration::from_millis(20)).await,
        "permanent" => return Err(HandleError::permanent(BAD_ADDRESS, "no @ in it")),
        "transient" => return Err(HandleError::transient(TRY_LATER, "busy")),
        "once" if is_first => return Err(HandleError::transient(TRY_LATER, "busy")),
        "panic" => panic!("as the test asks"),
        "panic-once" if is_first => panic!("as the test asks"),
        "hang" => std::future::pending().await,
        "hang-once" if is_first => std::future::pending().await,
        _ => {}
    }
    FINE
}

#[test]
fn each_way_in_which_a_handler_ends_decides_about_its_record_alone() {
    // What the handler does, the attempts that it is given, and what the record comes to.
    let dead = |class: &str, reason: &str| Some((class.to_owned(), reason.to_owned()));
    let all = [
        ("fine", &[1][..], None),
        ("sleep", &[1], None),
        ("permanent", &[1], dead("refused", "bad-address")),
        ("transient", &[1, 2, 3], dead("transient", "try-later")),
        ("once", &[1, 2], None),
        ("panic", &[1, 2, 3], dead("transient", "handler")),
        ("panic-once", &[1, 2], None),
        ("hang", &[1, 2, 3], dead("transient", "handler")),
        ("hang-once", &[1, 2], None),
    ];
    let _machine = machine::shared();
    let rig = Rig::new(1);
    rig.send(all.iter().map(|(order, ..)| order));
    let journal = Journal::default();
    let noted = journal.clone();
    let handler = move |record: Record<Option<Box<[u8]>>>| {
        noted.note(&record);
        obey(record)
    };
    let builder = rig.builder().handler_timeout(TIMEOUT);
    let report = builder.run(payload::raw(), handler).expect("it ends well");
    assert!(report.reached_end);
    assert_eq!((report.consumed, report.succeeded, report.dead_lettered), (9, 5, 4));
    let attempts = journal.attempts(&rig.topics.orders);
    let mut letters = rig.dead_letters();
    for (offset, (order, wanted, fate)) in all.iter().enumerate() {
        assert_eq!(attempts[&offset], *wanted, "{order}");
        let at = letters.iter().position(|(key, ..)| *key == offset.to_string());
        let letter = at.map(|at| letters.remove(at)).map(|(_, class, reason)| (class, reason));
        assert_eq!(letter, *fate, "{order}");
    }
    assert_eq!(letters, []);
    assert_eq!(rig.topics.lag(), 0);
    assert_eq!(rig.topics.records(&rig.topics.averages), [], "there is no state to write");
}

#[test]
fn handlers_of_a_lane_work_side_by_side_up_to_the_concurrency() {
    let _machine = machine::shared();
    let rig = Rig::new(1);
    rig.send((0..40).map(|n: u32| n.to_string()));
    let (busy, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let seen = Arc::clone(&most);
    let handler = move |_: Record<Option<Box<[u8]>>>| {
        let (busy, most) = (Arc::clone(&busy), Arc::clone(&most));
        async move {
            most.fetch_max(busy.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(50)).await;
            busy.fetch_sub(1, Ordering::SeqCst);
            FINE
        }
    };
    let report = rig.builder().concurrency(8).run(payload::raw(), handler).expect("it ends well");
    assert_eq!(report.succeeded, 40);
    assert_eq!(seen.load(Ordering::SeqCst), 8);
}

#[test]
fn with_the_order_of_keys_a_handler_starts_when_the_one_before_it_has_ended_well() {
    let _machine = machine::shared();
    let rig = Rig::new(1);
    let inputs: Vec<testkit::input::Input> =
        (0..30_u8).map(|n| testkit::input::Input::new(0, Some(&[n % 3]), Some(&[n]))).collect();
    rig.topics.send(&rig.topics.orders, &inputs);
    let ended: Arc<Mutex<Vec<u8>>> = Arc::default();
    let noted = Arc::clone(&ended);
    let handler = move |record: Record<Option<Box<[u8]>>>| {
        let ended = Arc::clone(&noted);
        async move {
            let n = record.value.as_deref().unwrap_or_default()[0];
            tokio::time::sleep(Duration::from_millis(u64::from(30 - n))).await;
            if n.is_multiple_of(7) && record.attempt == 1 {
                return Err(HandleError::transient(TRY_LATER, "busy"));
            }
            ended.lock().expect("no panic while held").push(n);
            FINE
        }
    };
    let builder = rig.builder().order_by_key(OnDeadLetter::Release);
    let report = builder.run(payload::raw(), handler).expect("it ends well");
    assert_eq!(report.succeeded, 30);
    let ended = ended.lock().expect("no panic while held");
    for key in 0..3 {
        let of_key: Vec<u8> = ended.iter().copied().filter(|n| n % 3 == key).collect();
        assert!(of_key.is_sorted(), "key {key}: {of_key:?}");
        assert_eq!(of_key.len(), 10);
    }
}

#[test]
fn an_outage_that_all_handlers_meet_uses_up_no_attempt() {
    const RECORDS: usize = 60;
    let _machine = machine::shared();
    let rig = Rig::new(1);
    rig.send((0..RECORDS).map(|n| n.to_string()));
    let journal = Journal::default();
    let (noted, until) = (journal.clone(), Instant::now() + Duration::from_secs(4));
    let handler = move |record: Record<Option<Box<[u8]>>>| {
        noted.note(&record);
        async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            if Instant::now() < until { Err(HandleError::unavailable("no route")) } else { FINE }
        }
    };
    // Without the breaker two retries after 200 ms would be used up long before the outage ends.
    assert!(DELAY * 3 < Duration::from_secs(4));
    let report = rig.builder().concurrency(4).run(payload::raw(), handler).expect("it ends well");
    assert_eq!((report.succeeded, report.dead_lettered), (RECORDS as u64, 0));
    assert_eq!(journal.attempts(&rig.topics.orders).len(), RECORDS);
}

#[test]
fn a_record_that_fails_fast_does_not_keep_an_outage_up_when_the_others_take_longer() {
    const RECORDS: usize = 60;
    let _machine = machine::shared();
    let rig = Rig::new(1);
    rig.send((0..RECORDS).map(|n| n.to_string()));
    let until = Instant::now() + Duration::from_secs(2);
    let handler = move |record: Record<Option<Box<[u8]>>>| async move {
        let is_poison = record.value.as_deref() == Some(b"0");
        if is_poison || Instant::now() < until {
            return Err(HandleError::unavailable("no route"));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        FINE
    };
    let report = rig.builder().run(payload::raw(), handler).expect("it ends well");
    assert_eq!((report.succeeded, report.dead_lettered), (RECORDS as u64 - 1, 1));
}

#[test]
fn a_handler_that_says_when_to_come_again_is_not_called_before() {
    const WAIT: Duration = Duration::from_millis(1500);
    let _machine = machine::shared();
    let rig = Rig::new(1);
    rig.send(["busy", "fine"]);
    let calls: Arc<Mutex<Vec<(String, Instant)>>> = Arc::default();
    let noted = Arc::clone(&calls);
    let handler = move |record: Record<Option<Box<[u8]>>>| {
        let order = text(record.value.as_deref());
        assert_eq!(record.idempotency_key, format!("{}/{}/{}", record.topic, 0, record.offset));
        noted.lock().expect("no panic while held").push((order.clone(), Instant::now()));
        let is_busy = order == "busy" && record.attempt == 1;
        async move { if is_busy { Err(HandleError::unavailable_for(WAIT, "429")) } else { FINE } }
    };
    assert!(DELAY < WAIT, "else the retry delay would hold it up");
    let report = rig.builder().run(payload::raw(), handler).expect("it ends well");
    assert_eq!((report.succeeded, report.retried, report.dead_lettered), (2, 1, 0));
    let calls = calls.lock().expect("no panic while held");
    let of: Vec<Instant> =
        calls.iter().filter(|(order, _)| order == "busy").map(|(_, at)| *at).collect();
    // Due times are whole milliseconds.
    let earliest = WAIT - Duration::from_millis(1);
    assert!(of.len() == 2 && of[1] - of[0] >= earliest, "{calls:?}");
}

#[test]
fn what_a_handler_has_done_when_another_meets_an_outage_is_not_asked_of_it_again() {
    const RECORDS: usize = 12;
    let _machine = machine::shared();
    let rig = Rig::new(1);
    rig.send((0..RECORDS).map(|n| n.to_string()));
    let (journal, is_away) = (Journal::default(), Arc::new(AtomicBool::new(true)));
    let (noted, away) = (journal.clone(), Arc::clone(&is_away));
    let handler = move |record: Record<Option<Box<[u8]>>>| {
        noted.note(&record);
        let is_first = record.value.as_deref() == Some(b"0");
        let away = Arc::clone(&away);
        async move {
            if is_first && away.swap(false, Ordering::SeqCst) {
                return Err(HandleError::away("nobody listens"));
            }
            // They end while the first one has opened the breaker.
            tokio::time::sleep(Duration::from_millis(100)).await;
            FINE
        }
    };
    let report = rig.builder().run(payload::raw(), handler).expect("it ends well");
    assert_eq!((report.succeeded, report.retried), (RECORDS as u64, 0));
    let attempts = journal.attempts(&rig.topics.orders);
    let again: Vec<_> = attempts.iter().filter(|(_, of)| of.len() > 1).collect();
    assert_eq!(again, [(&0, &vec![1, 1])]);
}
