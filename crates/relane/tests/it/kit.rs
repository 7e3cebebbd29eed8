//! The test kit, as those use it who write handlers and stages.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use relane::settings::{EngineSettings, OnDeadLetter, Topics};
use relane::stage::{Context, RecordId, Stage};
use relane::table::Table;
use relane::testing::{self, CommitFailure, Route};
use relane::{
    Builder, DecodeError, FailureClass, HandleError, Handler, Pipeline, ReasonName, Record, payload,
};

use crate::rig::{FINE, text};

const BUSY: ReasonName = ReasonName::of("busy");
const MINUTE: Duration = Duration::from_secs(60);

fn builder() -> Builder {
    Pipeline::builder("clicks", testing::kafka()).partitions(1).retries(1, [MINUTE])
}

/// Counts visits by page. A page that begins with `!` is busy at the first attempt.
struct Visits;

impl Stage for Visits {
    type Input = String;
    type State = Table<Box<str>, u64>;
    type Summary = ();
    type Note = ();

    fn decode(&mut self, value: Option<&[u8]>) -> Result<String, DecodeError> {
        Ok(text(value))
    }

    fn name(&self, id: String) -> RecordId {
        RecordId { id, subject: String::new() }
    }

    fn is_valid(&self, _: &String) -> bool {
        true
    }

    fn handle(
        &mut self,
        page: &String,
        context: Context<'_, '_, Self::State>,
    ) -> Result<(), HandleError> {
        if page.starts_with('!') && context.attempt == 1 {
            return Err(HandleError::transient(BUSY, "try later"));
        }
        *context.state.entry(&**page) += 1;
        FINE
    }

    fn write_state<E>(
        &mut self,
        state: &mut Self::State,
        _: i64,
        mut put: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        state.touched().try_for_each(|(page, n)| put(page.as_bytes(), n.to_string().as_bytes()))
    }

    fn read_state(
        &mut self,
        state: &mut Self::State,
        page: Option<&[u8]>,
        count: Option<&[u8]>,
    ) -> Result<bool, String> {
        state.restore(&*text(page), text(count).parse().ok());
        Ok(true)
    }

    fn note(&self, _: &String, _: &Self::State) {}

    fn summarize<'a>(_: impl Iterator<Item = &'a Self::State>) {}
}

#[test]
fn a_stage_counts_each_record_once_over_retries_failed_commits_restarts_and_crashes() {
    let settings = builder().settings().expect("they fit together");
    let topics = Topics { state: Some("visits".to_owned()), ..settings.topics.clone() };
    let settings = EngineSettings { topics, ..settings };
    let mut pipeline = testing::with_stage(settings, || Visits).expect("it starts");
    let visits = |pipeline: &testing::TestPipeline<Visits>, page: &str| {
        pipeline.state(0).and_then(|visits| visits.get(page).copied())
    };
    let busy = pipeline.send("ann", "!tea");
    pipeline.send("bob", "cake");
    pipeline.fail_commits([CommitFailure::Lost, CommitFailure::Unanswered]);
    pipeline.settle().expect("it goes on");
    assert_eq!((visits(&pipeline, "!tea"), visits(&pipeline, "cake")), (None, Some(1)));
    pipeline.restart().expect("it goes on");
    assert_eq!(visits(&pipeline, "cake"), Some(1), "it was read back");
    pipeline.advance(MINUTE - Duration::from_secs(2)).expect("it goes on");
    assert!(matches!(pipeline.route(busy), Route::Retried { attempts: 1, .. }));
    pipeline.crash().expect("it goes on");
    pipeline.advance(Duration::from_secs(2)).expect("it goes on");
    assert_eq!(pipeline.route(busy), Route::Settled { attempts: 2 });
    assert_eq!((visits(&pipeline, "!tea"), visits(&pipeline, "cake")), (Some(1), Some(1)));
    let written = pipeline.records("visits");
    assert!(written.iter().any(|record| record.key.as_deref() == Some(b"!tea")), "{written:?}");
}

type Raw = Option<Box<[u8]>>;

/// A handler that counts its calls, and finds its service busy for a record that says so.
fn counting() -> (Arc<AtomicUsize>, impl Handler<Raw>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let handler = move |record: Record<Raw>| {
        counted.fetch_add(1, Ordering::SeqCst);
        std::future::ready(match record.value.as_deref() {
            Some(b"busy") => Err(HandleError::transient(BUSY, "try later")),
            _ => FINE,
        })
    };
    (calls, handler)
}

#[test]
fn a_handler_is_called_again_after_a_commit_that_was_lost_and_not_after_one_without_an_answer() {
    for (failure, wanted) in [(CommitFailure::Lost, 2), (CommitFailure::Unanswered, 1)] {
        let (calls, handler) = counting();
        let pipeline = testing::with_handler(builder(), payload::raw(), handler);
        let mut pipeline = pipeline.expect("it starts");
        let tea = pipeline.send("ann", "/tea");
        pipeline.fail_commits([failure]);
        pipeline.settle().expect("it goes on");
        assert_eq!(pipeline.route(tea), Route::Settled { attempts: 1 }, "{failure:?}");
        assert_eq!(calls.load(Ordering::SeqCst), wanted, "{failure:?}");
    }
}

#[test]
fn a_record_that_fails_is_due_after_the_wait_to_the_millisecond_and_then_a_dead_letter() {
    let (_, handler) = counting();
    let mut pipeline =
        testing::with_handler(builder(), payload::raw(), handler).expect("it starts");
    let busy = pipeline.send("ann", "busy");
    pipeline.settle().expect("it goes on");
    assert_eq!(pipeline.route(busy).due_in(), Some(MINUTE));
    pipeline.advance(MINUTE - Duration::from_millis(1)).expect("it goes on");
    let route = pipeline.route(busy);
    assert_eq!(
        (route.due_in(), pipeline.elapsed()),
        (Some(Duration::from_millis(1)), MINUTE - Duration::from_millis(1))
    );
    pipeline.advance(Duration::from_millis(1)).expect("it goes on");
    let Route::DeadLettered { attempts, failure } = pipeline.route(busy) else {
        panic!("{:?}", pipeline.route(busy))
    };
    assert_eq!((attempts, failure.class, &*failure.reason), (2, FailureClass::Transient, "busy"));
    let letter = &pipeline.records("clicks-dlq")[0];
    assert_eq!(letter.header("kafka_dlt-exception-fqcn"), Some("clicks.transient"));
}

#[test]
fn a_record_waits_behind_one_of_its_key_where_the_order_is_kept() {
    let (calls, handler) = counting();
    let builder = builder().order_by_key(OnDeadLetter::Release);
    let mut pipeline = testing::with_handler(builder, payload::raw(), handler).expect("it starts");
    let (busy, next) = (pipeline.send("ann", "busy"), pipeline.send("ann", "/tea"));
    let other = pipeline.send("bob", "/tea");
    pipeline.settle().expect("it goes on");
    assert_eq!(pipeline.route(next), Route::Behind);
    assert_eq!(pipeline.route(other), Route::Settled { attempts: 1 });
    pipeline.advance(MINUTE).expect("it goes on");
    pipeline.settle().expect("it goes on");
    assert!(matches!(pipeline.route(busy), Route::DeadLettered { attempts: 2, .. }));
    assert_eq!(pipeline.route(next), Route::Settled { attempts: 1 });
    assert_eq!(calls.load(Ordering::SeqCst), 4);
}

#[test]
fn while_the_brokers_answer_nothing_no_record_is_settled_and_none_is_lost() {
    let (_, handler) = counting();
    let mut pipeline =
        testing::with_handler(builder(), payload::raw(), handler).expect("it starts");
    pipeline.stop_brokers();
    let tea = pipeline.send("ann", "/tea");
    pipeline.advance(MINUTE).expect("it goes on");
    assert_eq!(pipeline.route(tea), Route::Unsettled);
    pipeline.start_brokers();
    pipeline.settle().expect("it goes on");
    assert_eq!(pipeline.route(tea), Route::Settled { attempts: 1 });
}

#[test]
fn an_outage_of_what_a_handler_calls_is_told_and_no_attempt_is_used_up() {
    let is_away = Arc::new(AtomicUsize::new(1));
    let asked = Arc::clone(&is_away);
    let handler = move |_: Record<Raw>| {
        let is_away = asked.load(Ordering::SeqCst) == 1;
        std::future::ready(if is_away { Err(HandleError::away("no route")) } else { FINE })
    };
    let mut pipeline =
        testing::with_handler(builder(), payload::raw(), handler).expect("it starts");
    let tea = pipeline.send("ann", "/tea");
    pipeline.advance(MINUTE).expect("it goes on");
    assert_eq!(
        (pipeline.outage().as_deref(), pipeline.route(tea)),
        (Some("no route"), Route::Unsettled)
    );
    is_away.store(0, Ordering::SeqCst);
    pipeline.settle().expect("it goes on");
    assert_eq!((pipeline.outage(), pipeline.route(tea)), (None, Route::Settled { attempts: 1 }));
}

#[test]
fn nothing_is_asked_of_what_is_away_before_it_has_said_to_be_back() {
    // By one answer that says so of all, and by those of many keys.
    for (keys, error) in [
        (1, HandleError::away_for(10 * MINUTE, "closed for maintenance")),
        (24, HandleError::unavailable_for(10 * MINUTE, "503")),
    ] {
        let calls = Arc::new(AtomicUsize::new(0));
        let (counted, first) = (Arc::clone(&calls), error.clone());
        let handler = move |_: Record<Raw>| {
            let is_first = counted.fetch_add(1, Ordering::SeqCst) < keys;
            std::future::ready(if is_first { Err(first.clone()) } else { FINE })
        };
        let mut pipeline =
            testing::with_handler(builder(), payload::raw(), handler).expect("it starts");
        let sent: Vec<_> = (0..keys).map(|key| pipeline.send(&key.to_string(), "/tea")).collect();
        pipeline.advance(9 * MINUTE).expect("it goes on");
        assert_eq!(calls.load(Ordering::SeqCst), keys, "{error:?}");
        assert!(pipeline.outage().is_some(), "{error:?}");
        pipeline.advance(3 * MINUTE).expect("it goes on");
        for record in sent {
            assert_eq!(pipeline.route(record), Route::Settled { attempts: 1 }, "{error:?}");
        }
    }
}

#[test]
fn a_payload_that_needs_a_registry_is_refused() {
    let handler = |_: Record<String>| std::future::ready(FINE);
    let error = testing::with_handler(builder(), payload::avro::<String>(), handler);
    assert!(error.expect_err("no registry").is_setting);
}
