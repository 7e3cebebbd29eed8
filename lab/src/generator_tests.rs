use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::asked::{Asked, Shares};
use crate::measure::{Window, measure};
use crate::past::Past;
use crate::results::Run;
use crate::schedule::planned_us;
use crate::workload::{Arrivals, Paradigm, Segment};

const STALL: Duration = Duration::from_millis(600);
const SERVICE: Duration = Duration::from_micros(200);

/// One worker, which serves one request after the other, and once stands still.
struct OneWorker {
    worker: tokio::sync::Mutex<()>,
    served: AtomicU64,
    /// The request that it stands still at.
    stalls_at: u64,
    /// How long each was worked on, as a client sees it that waits for each answer before it asks again.
    worked_us: Mutex<Vec<u64>>,
}

impl OneWorker {
    fn stalling_at(stalls_at: u64) -> Self {
        let worker = tokio::sync::Mutex::new(());
        Self { worker, served: AtomicU64::new(0), stalls_at, worked_us: Mutex::default() }
    }
}

impl Target for OneWorker {
    async fn place(&self, _: &Asked) -> Answered {
        let _turn = self.worker.lock().await;
        let begun = Instant::now();
        let served = self.served.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(if served == self.stalls_at { STALL } else { SERVICE }).await;
        self.worked_us.lock().unwrap().push(u64::try_from(begun.elapsed().as_micros()).unwrap());
        Answered { answer: Answer::Accepted, is_outcome: true, failure: None }
    }

    async fn poison(&self) -> Poisoned {
        Poisoned::TurnedAway
    }
}

fn asks(rate_per_s: f64, length: Duration) -> Arc<Asks> {
    let planned = planned_us(&[Segment { rate_per_s, length }], Arrivals::Constant, 1);
    Arc::new(Asks::new("t", &planned, &["tea".to_owned()], Shares::default(), 1))
}

fn runtime(workers: usize) -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()
        .unwrap()
}

fn run_of<T: Target>(asks: &Arc<Asks>, target: &Arc<T>, runtime: &tokio::runtime::Runtime) -> Run {
    let book = Arc::new(Book::new(asks, Past::default()));
    drive(asks, &book, target, runtime.handle(), &Shutdown::new(), Duration::from_secs(20));
    let (traces, others) = book.read();
    let mut run = Run::new("a", Paradigm::SyncRest, 0, 0.0, 0.0);
    let to_us = asks.requests.last().unwrap().at_us + 1;
    measure(&mut run, &traces, &others, Some(0), Window { from_us: 0, to_us, fault: None });
    run
}

/// Coordinated omission: of 200 requests one meets the stall, and all that were planned meanwhile wait for it.
#[test]
fn a_stall_of_the_system_shows_in_every_order_that_was_planned_meanwhile() {
    let target = Arc::new(OneWorker::stalling_at(50));
    let run = run_of(&asks(100.0, Duration::from_secs(2)), &target, &runtime(2));
    let waited = run.outcome.buckets.iter().filter(|(us, _)| *us > 100_000).map(|(_, n)| n);
    let waited: u64 = waited.sum();
    // 60 were planned in the 600 ms, and 50 of them more than 100 ms before its end.
    assert!(waited >= 45, "{waited} waited");
    assert!(run.outcome.quantiles.p90_us > 250_000, "{:?}", run.outcome.quantiles);
    assert!(run.outcome.quantiles.max_us > 500_000, "{:?}", run.outcome.quantiles);
    // What a client in a closed loop would have seen: one slow answer, or a few on a busy machine.
    let worked = target.worked_us.lock().unwrap();
    let seen = worked.iter().filter(|us| **us > 100_000).count() as u64;
    assert!(seen >= 1 && seen * 10 <= waited, "{seen} seen, {waited} waited");
    let audit = run.audit.unwrap();
    assert_eq!((audit.planned, audit.done_once), (200, 200));
}

/// Blocks the one thread that sends requests, as an overloaded generator does.
struct BlocksItsThread(AtomicU64);

impl Target for BlocksItsThread {
    async fn place(&self, _: &Asked) -> Answered {
        if self.0.fetch_add(1, Ordering::Relaxed) == 20 {
            std::thread::sleep(Duration::from_millis(300));
        }
        Answered { answer: Answer::Accepted, is_outcome: true, failure: None }
    }

    async fn poison(&self) -> Poisoned {
        Poisoned::TurnedAway
    }
}

#[test]
fn a_stall_of_the_generator_shows_as_send_delay_and_makes_the_run_void() {
    let target = Arc::new(BlocksItsThread(AtomicU64::new(0)));
    let run = run_of(&asks(100.0, Duration::from_secs(1)), &target, &runtime(1));
    assert!(run.send_delay.p99_us > 150_000, "{:?}", run.send_delay);
    assert!(run.void.as_deref().is_some_and(|why| why.contains("bottleneck")), "{:?}", run.void);
    // The times are not flattered all the same.
    assert!(run.outcome.quantiles.p99_us >= run.send_delay.p99_us);
}

/// Never answers.
struct Silent;

impl Target for Silent {
    async fn place(&self, _: &Asked) -> Answered {
        std::future::pending().await
    }

    async fn poison(&self) -> Poisoned {
        std::future::pending().await
    }
}

#[test]
fn what_the_generator_has_no_room_for_is_not_sent_and_makes_the_run_void() {
    let asks = asks(10_000.0, Duration::from_millis(200));
    let book = Arc::new(Book::new(&asks, Past::default()));
    let limit = Duration::from_millis(100);
    drive(&asks, &book, &Arc::new(Silent), runtime(1).handle(), &Shutdown::new(), limit);
    let (traces, others) = book.read();
    let mut run = Run::new("a", Paradigm::SyncRest, 0, 0.0, 0.0);
    let to_us = asks.requests.last().unwrap().at_us + 1;
    let window = Window { from_us: 0, to_us, fault: None };
    measure(&mut run, &traces, &others, None, window);
    let audit = run.audit.unwrap();
    let not_sent = (2_000 - UNDER_WAY_MAX) as u64;
    assert_eq!((audit.planned, audit.not_sent, audit.failed), (2_000, not_sent, 0));
    assert!(others.failures.is_empty(), "no paradigm is to blame: {:?}", others.failures);
    let void = run.void.expect("the generator was the bottleneck");
    assert!(void.contains("1100 orders were not sent"), "{void}");
    assert!(run.is_saturated, "900 requests have no answer");
}

/// Tells of each invalid message something else.
struct Puts(AtomicU64);

impl Target for Puts {
    async fn place(&self, _: &Asked) -> Answered {
        Answered { answer: Answer::Accepted, is_outcome: true, failure: None }
    }

    async fn poison(&self) -> Poisoned {
        let all = [Poisoned::TurnedAway, Poisoned::Put, Poisoned::Unknown, Poisoned::NotSent];
        all[usize::try_from(self.0.fetch_add(1, Ordering::Relaxed)).unwrap() % all.len()]
    }
}

#[test]
fn an_invalid_message_that_did_not_arrive_is_not_counted() {
    let planned: Vec<u64> = (0..8).collect();
    let shares = Shares { poison: 1.0, again: 0.0 };
    let asks = Arc::new(Asks::new("t", &planned, &["tea".to_owned()], shares, 1));
    let book = Arc::new(Book::new(&asks, Past::default()));
    let target = Arc::new(Puts(AtomicU64::new(0)));
    drive(&asks, &book, &target, runtime(1).handle(), &Shutdown::new(), Duration::from_secs(5));
    let (_, others) = book.read();
    let counts = (others.poison, others.poison_turned_away, others.poison_unknown);
    assert_eq!(counts, (6, 2, 2), "8 were tried");
}

#[test]
fn a_stop_ends_sending() {
    let (asks, stop) = (asks(10.0, Duration::from_secs(600)), Shutdown::new());
    stop.request();
    let book = Arc::new(Book::new(&asks, Past::default()));
    let target = Arc::new(OneWorker::stalling_at(u64::MAX));
    drive(&asks, &book, &target, runtime(1).handle(), &stop, Duration::from_secs(5));
    assert_eq!(book.so_far(), (0, 0, 0));
}
