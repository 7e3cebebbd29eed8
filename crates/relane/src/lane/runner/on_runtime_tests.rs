use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tokio::runtime::Runtime;
use tokio::sync::Notify;

use super::*;
use crate::stage::HandleError;

const LIMIT: Duration = Duration::from_secs(20);

/// Work that counts its begin, and ends when it is told to.
fn work(begun: &Arc<AtomicUsize>, end: &Arc<Notify>) -> Work {
    let (begun, end) = (Arc::clone(begun), Arc::clone(end));
    Box::pin(async move {
        begun.fetch_add(1, Ordering::SeqCst);
        end.notified().await;
        Ok(())
    })
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .expect("a runtime")
}

/// The next answer, waited for as a lane does.
#[track_caller]
fn answer(runner: &mut Runner) -> (Ticket, Answer) {
    let give_up_at = Instant::now() + LIMIT;
    loop {
        if let Some(answer) = runner.next() {
            return answer;
        }
        assert!(Instant::now() < give_up_at, "no answer within {LIMIT:?}");
        runner.wait(Duration::from_millis(10));
    }
}

#[test]
fn an_attempt_that_takes_too_long_ends_and_its_place_is_free() {
    let runtime = runtime();
    let mut runner = Runner::new(runtime.handle().clone(), 1);
    let (begun, end) = (Arc::<AtomicUsize>::default(), Arc::<Notify>::default());
    let first = runner.run(1, work(&begun, &end), Duration::from_millis(20), Some(7));
    let second = runner.run(2, work(&begun, &end), LIMIT, None);
    let (ticket, ended) = answer(&mut runner);
    let Err(HandleError::Failed(failure)) = ended else { panic!("{ended:?}") };
    assert_eq!((ticket, failure.schema_id), (1, Some(7)));
    assert_eq!(failure.detail, "the handler did not end within 20ms");
    end.notify_one();
    assert_eq!(answer(&mut runner), (2, Ok(())));
    drop((first, second));
}

#[test]
fn work_that_is_stopped_goes_at_once_and_answers_nothing() {
    let runtime = runtime();
    let mut runner = Runner::new(runtime.handle().clone(), 1);
    let (begun, end) = (Arc::<AtomicUsize>::default(), Arc::<Notify>::default());
    let stopped = runner.run(1, work(&begun, &end), LIMIT, None);
    let next = runner.run(2, Box::pin(std::future::ready(Ok(()))), LIMIT, None);
    runner.hand_over();
    let give_up_at = Instant::now() + LIMIT;
    while begun.load(Ordering::SeqCst) == 0 {
        assert!(Instant::now() < give_up_at, "it did not begin");
        std::thread::yield_now();
    }
    drop(stopped);
    assert_eq!(answer(&mut runner), (2, Ok(())), "its place went to the next");
    assert_eq!((runner.next(), Arc::strong_count(&end)), (None, 1), "its work is gone");
    drop(next);
}

#[test]
fn a_panic_is_an_answer_and_its_place_is_free() {
    let runtime = runtime();
    let mut runner = Runner::new(runtime.handle().clone(), 1);
    let panics: Work = Box::pin(async { panic!("no words") });
    let tasks = [
        runner.run(1, panics, LIMIT, None),
        runner.run(2, Box::pin(std::future::ready(Ok(()))), LIMIT, None),
    ];
    let (ticket, ended) = answer(&mut runner);
    assert!(matches!((ticket, ended), (1, Err(HandleError::Failed(_)))));
    assert_eq!(answer(&mut runner), (2, Ok(())));
    tasks.into_iter().for_each(Task::end);
}

#[test]
fn nothing_is_left_when_the_lane_ends() {
    let runtime = runtime();
    let mut runner = Runner::new(runtime.handle().clone(), 4);
    let (begun, end) = (Arc::<AtomicUsize>::default(), Arc::<Notify>::default());
    let tasks: Vec<Task> = (0..8).map(|n| runner.run(n, work(&begun, &end), LIMIT, None)).collect();
    runner.hand_over();
    let pool = Arc::downgrade(&runner.pool);
    drop((tasks, runner));
    let give_up_at = Instant::now() + LIMIT;
    while Arc::strong_count(&end) > 1 || pool.strong_count() > 0 {
        assert!(Instant::now() < give_up_at, "tasks are left");
        std::thread::yield_now();
    }
}

/// Counts how many are under way at once.
async fn counted(now: Arc<AtomicUsize>, most: Arc<AtomicUsize>, turns: u64) -> Answer {
    let under_way = now.fetch_add(1, Ordering::SeqCst) + 1;
    most.fetch_max(under_way, Ordering::SeqCst);
    for _ in 0..turns {
        tokio::task::yield_now().await;
    }
    if turns == 6 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    now.fetch_sub(1, Ordering::SeqCst);
    Ok(())
}

#[test]
fn each_of_many_answers_once_and_never_more_are_under_way_than_may_be() {
    const CONCURRENCY: usize = 16;
    const ALL: u64 = 20_000;
    let runtime = runtime();
    let mut runner = Runner::new(runtime.handle().clone(), CONCURRENCY);
    let (now, most) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let mut tasks = std::collections::BTreeMap::new();
    let mut answered = BTreeSet::new();
    for ticket in 0..ALL {
        let work = counted(Arc::clone(&now), Arc::clone(&most), ticket % 7);
        tasks.insert(ticket, runner.run(ticket, Box::pin(work), LIMIT, None));
        while tasks.len() >= CONCURRENCY + 8 {
            let (ticket, ended) = answer(&mut runner);
            assert!(answered.insert(ticket) && ended.is_ok(), "{ticket}: {ended:?}");
            tasks.remove(&ticket).expect("it was not answered").end();
        }
    }
    while !tasks.is_empty() {
        let (ticket, ended) = answer(&mut runner);
        assert!(answered.insert(ticket) && ended.is_ok(), "{ticket}: {ended:?}");
        tasks.remove(&ticket).expect("it was not answered").end();
    }
    assert_eq!(answered.len() as u64, ALL);
    assert!(most.load(Ordering::SeqCst) <= CONCURRENCY, "{most:?} at once");
}

#[test]
fn what_stands_ready_begins_when_other_work_has_ended_unless_it_was_taken_back() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let mut runner = Runner::new(runtime.handle().clone(), 1);
    let (begun, end) = (Arc::<AtomicUsize>::default(), Arc::<Notify>::default());
    let tasks: Vec<Task> = (0..3).map(|n| runner.run(n, work(&begun, &end), LIMIT, None)).collect();
    runner.hand_over();
    // Each task comes to its turn several times.
    let pass = || {
        runtime.block_on(async {
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
        });
    };
    pass();
    assert_eq!(begun.load(Ordering::SeqCst), 1);
    assert!(!tasks[0].take_back(), "it has begun");
    assert!(tasks[1].take_back(), "it has not");
    end.notify_one();
    pass();
    assert_eq!(begun.load(Ordering::SeqCst), 2, "the third, without a look at the answers");
    assert!(!tasks[2].take_back());
    end.notify_one();
    pass();
    let answers: Vec<_> = std::iter::from_fn(|| runner.next()).collect();
    assert_eq!(answers, [(0, Ok(())), (2, Ok(()))]);
}
