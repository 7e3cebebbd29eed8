//! The handler without a broker: records go in, the clock is moved, and what became of each record is seen.

use relane::FailureClass;
use relane::testing::{self, Route};

use super::*;

#[test]
fn a_payment_is_charged_when_the_bank_is_not_busy_any_more_and_a_negative_one_never() {
    let settings =
        Pipeline::builder("payments", testing::kafka()).retries(3, [Duration::from_secs(60)]);
    // JSON stands for Avro, which needs a registry: the handler gets the same values.
    let mut pipeline =
        testing::with_handler(settings, payload::json::<Payment>(), charge).expect("it starts");
    let ada = pipeline.send("ada", r#"{"account": "ada-1", "cents": 500}"#);
    let bob = pipeline.send("bob", r#"{"account": "bob-7", "cents": 800}"#);
    let eve = pipeline.send("eve", r#"{"account": "eve-3", "cents": -300}"#);
    pipeline.settle().expect("it goes on");
    assert_eq!(pipeline.route(ada), Route::Settled { attempts: 1 });
    assert_eq!(pipeline.route(bob).due_in(), Some(Duration::from_secs(60)));
    let refused = pipeline.route(eve);
    let failure = refused.failure().expect("it is a dead letter");
    assert_eq!((failure.class, &*failure.reason), (FailureClass::Refused, "negative-amount"));
    pipeline.advance(Duration::from_secs(60)).expect("it goes on");
    pipeline.settle().expect("it goes on"); // the bank takes a while
    assert_eq!(pipeline.route(bob), Route::Settled { attempts: 2 });
}

#[test]
fn a_payment_that_is_at_work_when_the_program_dies_is_charged_by_the_next_one() {
    let settings = Pipeline::builder("payments", testing::kafka());
    let mut pipeline =
        testing::with_handler(settings, payload::json::<Payment>(), charge).expect("it starts");
    let ada = pipeline.send("ada", r#"{"account": "ada-1", "cents": 500}"#);
    pipeline.advance(Duration::from_millis(1)).expect("it goes on");
    assert_eq!(pipeline.route(ada), Route::Unsettled);
    pipeline.crash().expect("it goes on");
    pipeline.settle().expect("it goes on");
    assert_eq!(pipeline.route(ada), Route::Settled { attempts: 1 });
}
