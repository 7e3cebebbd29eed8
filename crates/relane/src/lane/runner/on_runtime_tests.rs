use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use tokio::sync::Notify;

use super::*;

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
