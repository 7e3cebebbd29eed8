use std::time::Duration;

use service_kit::metrics_recorder::Samples;

use crate::status::{Numbers, Rhythm, Sources, table};

const QUEUES: Sources = Sources {
    settled: ("deliveries_total", "result"),
    retries: "retries_total",
    dead_letters: Some("dead_total"),
    waiting: None,
};

const ANSWERS: Sources = Sources { dead_letters: None, waiting: Some("unfinished"), ..QUEUES };

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn front(accepted: u64, confirmed: u64, refused: u64) -> Samples {
    Samples::of(format!(
        "# TYPE orders_accepted_total counter\n\
         orders_accepted_total {accepted}\n\
         order_outcomes_total{{outcome=\"confirmed\"}} {confirmed}\n\
         order_outcomes_total{{outcome=\"out-of-stock\"}} {refused}\n\
         order_outcomes_total{{outcome=\"dead-lettered\"}} 1\n\
         retries_total{{queue=\"inventory\"}} 2\n\
         retries_total{{queue=\"notification\"}} 3\n\
         dead_total{{queue=\"inventory\",class=\"malformed\"}} 1\n\
         dead_total{{queue=\"notification\",class=\"transient\"}} 4\n\
         unfinished 7\n"
    ))
}

fn behind(done: u64) -> Samples {
    Samples::of(format!(
        "deliveries_total{{queue=\"inventory\",result=\"done\"}} {done}\n\
         deliveries_total{{queue=\"notification\",result=\"done\"}} 1\n\
         deliveries_total{{queue=\"inventory\",result=\"retried\"}} 2\n\
         deliveries_total{{queue=\"inventory\",result=\"duplicate\"}} 0\n"
    ))
}

#[test]
fn the_table_has_a_row_for_each_outcome_that_came_and_the_sums_of_all_services() {
    let text = table(&front(20, 12, 3), &QUEUES, seconds(80));
    let expected = "\
OUTCOME        ORDERS
confirmed          12
dead-lettered       1
out-of-stock        3
waiting             4
taken              20

retries 5, dead letters 5
up for 1m20s, 0.3 orders per second
";
    assert_eq!(text, expected);
}

#[test]
fn where_the_answer_is_the_outcome_refused_orders_were_taken_and_what_waits_is_counted() {
    let text = table(&front(12, 12, 3), &ANSWERS, seconds(10));
    let row = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).expect(name);
        line.split_whitespace().last().map(str::to_owned)
    };
    assert_eq!([row("taken"), row("waiting")].map(Option::unwrap), ["15", "7"]);
}

#[test]
fn without_the_front_the_table_says_what_was_settled() {
    let text = table(&behind(5), &QUEUES, seconds(2));
    assert!(text.starts_with("RESULT   COUNT\ndone         6\nretried      2\n\n"), "{text}");
    assert!(text.ends_with("up for 2s, 4 settled per second\n"), "{text}");
}

#[test]
fn a_line_comes_every_ten_seconds_while_something_changes_and_once_a_minute_otherwise() {
    let numbers = |accepted| Numbers::of(&front(accepted, 0, 0), &QUEUES);
    let mut rhythm = Rhythm::new();
    assert_eq!(rhythm.due(seconds(5), &numbers(10), ""), None, "too soon");
    assert_eq!(rhythm.due(seconds(10), &numbers(25), ""), Some(2.5));
    for quiet in (20..70).step_by(10) {
        assert_eq!(rhythm.due(seconds(quiet), &numbers(25), ""), None, "nothing has changed");
    }
    assert_eq!(rhythm.due(seconds(70), &numbers(25), ""), Some(0.0), "a sign of life");
    assert_eq!(rhythm.due(seconds(80), &numbers(25), "rabbitmq"), Some(0.0), "it is unavailable");
    assert_eq!(rhythm.due(seconds(90), &numbers(25), ""), Some(0.0), "it is back");
    assert_eq!(rhythm.due(seconds(100), &numbers(26), ""), Some(0.1));
}

#[test]
fn before_the_first_order_there_is_a_line_a_minute() {
    let idle = Numbers::of(&behind(0), &Sources { settled: ("none", "result"), ..QUEUES });
    let mut rhythm = Rhythm::new();
    assert_eq!(rhythm.due(seconds(10), &idle, ""), None);
    assert_eq!(rhythm.due(seconds(60), &idle, ""), Some(0.0));
}
