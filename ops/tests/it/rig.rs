//! Runs the audit, and makes logs by hand.

use std::time::Duration;

use codec::encode::Encoder;
use kafka_io::client_config::{KafkaSettings, Role};
use kafka_io::member::{Member, OffsetCommit};
use order_schemas::{OrderOutcome, Outcome, ProductAverage};
use orders::Amount;
use pipeline::failure::{Failure, FailureReason};
use pipeline::headers::{Dialects, HeaderEdit, Hop, Origin};
use pipeline::record::{CommitPosition, Offset, Timestamp, TimestampType};
use pipeline::window::Window;
use serde_json::Value;
use testkit::{Finished, Input, LogRecord, Pipeline, Process, wait};

/// Longest time for one audit of a small log.
const AUDIT_MAX: Duration = Duration::from_secs(60);

/// Longest time until a lone member is in its group.
const JOIN_MAX: Duration = Duration::from_secs(20);

/// Runs `orders audit -o json`.
pub(crate) fn audit(pipeline: &Pipeline, with_outcomes: bool, flags: &[&str]) -> Finished {
    let mut all = pipeline.audit_args(with_outcomes);
    all.extend(["-o", "json"].iter().chain(flags).map(|flag| (*flag).to_owned()));
    Process::start("orders", &all, &[]).wait(AUDIT_MAX)
}

/// Audits with and without the outcome log, and expects green.
#[track_caller]
pub(crate) fn expect_green(pipeline: &Pipeline, flags: &[&str]) {
    for with_outcomes in [true, false] {
        let finished = audit(pipeline, with_outcomes, flags);
        let report = finished.stats();
        assert_eq!(report["ok"], true, "outcomes {with_outcomes}: {report:#}");
        assert_eq!(finished.code, Some(0), "outcomes {with_outcomes}: {report:#}");
    }
}

/// The verdict of one invariant.
pub(crate) fn verdict<'a>(report: &'a Value, invariant: &str) -> &'a Value {
    let verdicts = report["verdicts"].as_array().expect("a list of verdicts");
    verdicts.iter().find(|v| v["invariant"] == invariant).expect("one for each invariant")
}

/// Names of the invariants that are violated.
pub(crate) fn red(report: &Value) -> Vec<&str> {
    let verdicts = report["verdicts"].as_array().expect("a list of verdicts");
    let red = verdicts.iter().filter(|verdict| verdict["ok"] == false);
    red.map(|verdict| verdict["invariant"].as_str().expect("a name")).collect()
}

/// Whether a violation of an invariant names this record, or this order, and holds this text.
#[track_caller]
pub(crate) fn expect_violation(report: &Value, invariant: &str, at: (&str, i64), text: &str) {
    let violations = verdict(report, invariant)["violations"].as_array().expect("a list");
    let names = |place: &Value| place["topic"] == at.0 && place["offset"] == at.1;
    let fits = |violation: &&Value| {
        (names(violation) || names(&violation["origin"]))
            && violation["what"].as_str().is_some_and(|what| what.contains(text))
    };
    assert!(violations.iter().any(|v| fits(&v)), "{invariant} {at:?} {text:?}: {report:#}");
}

/// Deletes the topic of dead letters, and makes it anew under its name.
pub(crate) fn make_dead_letters_anew(pipeline: &Pipeline, partitions: i32) {
    pipeline.delete(&pipeline.dlq);
    pipeline.create(testkit::Role::DeadLetter, partitions, &[]);
}

/// A right log of ten orders in partition 0, made by hand, before anything of it is sent.
///
/// | order | becomes |
/// |---|---|
/// | 3 | a dead letter at once: its price is negative |
/// | 5 | retried, then counted |
/// | 6 | waits in retry |
/// | 7 | retried, then a dead letter |
/// | others | counted |
pub(crate) struct Log {
    pub(crate) pipeline: Pipeline,
    pub(crate) orders: Vec<LogRecord>,
    pub(crate) retries: Vec<Input>,
    pub(crate) dead_letters: Vec<Input>,
    pub(crate) averages: Vec<ProductAverage>,
    pub(crate) outcomes: Vec<(String, OrderOutcome)>,
    pub(crate) main: Window,
    pub(crate) retry: Window,
}

const PRODUCTS: [&str; 2] = ["tea", "cake"];

impl Log {
    /// Sends the orders, and makes everything else up without sending it.
    pub(crate) fn new(pipeline: Pipeline) -> Self {
        let encoder = pipeline.orders_v1();
        let order = |n: u8| {
            let price = if n == 3 { -1.0 } else { f32::from(n) + 0.1 };
            encoder.input(0, &format!("o-{n}"), PRODUCTS[usize::from(n % 2)], price)
        };
        pipeline.send(&pipeline.orders, &(0..10).map(order).collect::<Vec<_>>());
        let mut log = Self::empty(pipeline);
        (0..10).for_each(|offset| log.main.settle_new(Offset(offset)));
        (0..3).for_each(|offset| log.retry.hold(Offset(offset)));
        [0, 2].into_iter().for_each(|offset| log.retry.settle(Offset(offset)));
        log.retries = [5, 6, 7].map(|n| log.retry_of(n, 1, 1_000)).to_vec();
        log.dead_letters = vec![
            log.dead_letter_of(3, 1, FailureReason::NegativePrice),
            log.dead_letter_of(7, 2, FailureReason::Simulated),
        ];
        log.averages = vec![log.average("tea", &[0, 2, 4, 8]), log.average("cake", &[1, 5, 9])];
        let first = |n: i64| match n {
            3 => Outcome::DeadLettered,
            5..=7 => Outcome::Retried,
            _ => Outcome::Succeeded,
        };
        log.outcomes = (0..9).map(|n| log.outcome(n, 1, first(n))).collect();
        // Order 9 comes last, so that the orders of each key end in their order.
        log.outcomes.push(log.outcome(5, 2, Outcome::Succeeded));
        log.outcomes.push(log.outcome(7, 2, Outcome::DeadLettered));
        log.outcomes.push(log.outcome(9, 1, Outcome::Succeeded));
        log
    }

    /// A log of the orders that lie there, of which nothing is settled.
    pub(crate) fn empty(pipeline: Pipeline) -> Self {
        let start = CommitPosition(0);
        Self {
            orders: pipeline.records(&pipeline.orders),
            pipeline,
            retries: Vec::new(),
            dead_letters: Vec::new(),
            averages: Vec::new(),
            outcomes: Vec::new(),
            main: Window::new(start),
            retry: Window::new(start),
        }
    }

    fn hop(
        &self,
        n: usize,
        attempt: u32,
        reason: FailureReason,
        of: impl Fn(&Hop<'_>) -> HeaderEdit,
    ) -> Input {
        let order = &self.orders[n];
        let origin = Origin {
            topic: self.pipeline.orders.clone(),
            partition: order.partition,
            offset: order.offset,
            timestamp: Timestamp { ms: order.timestamp_ms, kind: TimestampType::CreateTime },
            group: self.pipeline.group.clone(),
        };
        let failure = Failure { reason, schema_id: None, detail: "by hand".to_owned() };
        let hop = Hop {
            origin: &origin,
            carries_lineage: false,
            carries_first_failed: false,
            attempt,
            failure: Some(&failure),
            now_ms: 1,
        };
        let input = Input::new(order.partition, order.key.as_deref(), order.value.as_deref());
        let headers = of(&hop).add.into_iter();
        headers.fold(input, |input, (name, value)| input.with_header(name, Some(&value)))
    }

    /// The record of order `n` in the retry topic.
    pub(crate) fn retry_of(&self, n: usize, attempt: u32, due_at_ms: i64) -> Input {
        self.hop(n, attempt, FailureReason::Simulated, |hop| hop.to_retry(due_at_ms))
    }

    /// The dead letter of order `n`.
    pub(crate) fn dead_letter_of(&self, n: usize, attempt: u32, reason: FailureReason) -> Input {
        let dialects = Dialects { connect: false, name: "orders" };
        self.hop(n, attempt, reason, |hop| hop.to_dead_letter(dialects, true))
    }

    /// The partial of a product over these orders.
    pub(crate) fn average(&self, product: &str, of: &[u8]) -> ProductAverage {
        let amount = |n: &u8| Amount::from_price(f32::from(*n) + 0.1).expect("a valid price");
        let sum: Amount = of.iter().map(amount).sum();
        let average = orders::average(sum, of.len() as u64).expect("some orders");
        let count = i64::try_from(of.len()).expect("few");
        ProductAverage { product: product.to_owned(), count, sum, average, updated_at_ms: 1 }
    }

    /// An entry of the outcome log, with its key.
    pub(crate) fn outcome(&self, n: i64, attempt: i32, outcome: Outcome) -> (String, OrderOutcome) {
        let product = PRODUCTS[usize::try_from(n % 2).expect("0 or 1")].to_owned();
        let told = OrderOutcome {
            order_id: format!("o-{n}"),
            product: product.clone(),
            origin_partition: 0,
            origin_offset: n,
            attempt,
            outcome,
            failure_class: match outcome {
                Outcome::Retried => Some("transient".into()),
                Outcome::DeadLettered if n == 3 => Some("invalid".into()),
                Outcome::DeadLettered => Some("transient".into()),
                _ => None,
            },
            settled_at_ms: 1,
        };
        (product, told)
    }

    /// An entry of a counted order of tea with an id of its own.
    pub(crate) fn outcome_of(&self, order_id: &str, n: i64) -> (String, OrderOutcome) {
        let (_, told) = self.outcome(n, 1, Outcome::Succeeded);
        let (order_id, product) = (order_id.to_owned(), "tea".to_owned());
        (product.clone(), OrderOutcome { order_id, product, ..told })
    }

    /// Sends everything and commits the offsets of both windows.
    pub(crate) fn send(&self) {
        let pipeline = &self.pipeline;
        let id = pipeline.register_for(&pipeline.averages, order_schemas::PRODUCT_AVERAGE_V1);
        let encoder =
            Encoder::with_schema(order_schemas::PRODUCT_AVERAGE_V1, id).expect("its schema");
        let averages = self.averages.iter().map(|average: &ProductAverage| {
            let mut value = Vec::new();
            encoder.encode_into(&mut value, average);
            let text = |window: &Window| window.position().to_string().into_bytes();
            Input::new(0, Some(average.product.as_bytes()), Some(&value))
                .with_header("x-group", Some(pipeline.group.as_bytes()))
                .with_header("x-main-offset", Some(&text(&self.main)))
                .with_header("x-retry-offset", Some(&text(&self.retry)))
        });
        let averages: Vec<Input> = averages.collect();
        let id = pipeline.register_for(&pipeline.outcomes, order_schemas::ORDER_OUTCOME_V1);
        let encoder =
            Encoder::with_schema(order_schemas::ORDER_OUTCOME_V1, id).expect("its schema");
        let outcomes = self.outcomes.iter().map(|(key, told): &(String, OrderOutcome)| {
            let mut value = Vec::new();
            encoder.encode_into(&mut value, told);
            Input::new(0, Some(key.as_bytes()), Some(&value))
        });
        let outcomes: Vec<Input> = outcomes.collect();
        pipeline.send(&pipeline.averages, &averages);
        pipeline.send(&pipeline.retry, &self.retries);
        pipeline.send(&pipeline.dlq, &self.dead_letters);
        pipeline.send(&pipeline.outcomes, &outcomes);
        self.commit();
    }

    /// Commits the offsets of both windows in the name of a member of the group.
    pub(crate) fn commit(&self) {
        let pipeline = &self.pipeline;
        let config = KafkaSettings::new("it", &pipeline.servers.bootstrap_servers, Vec::new())
            .expect("brokers are named")
            .base(Role::Consumer);
        let member = Member::join(&config, &pipeline.group, None, &pipeline.orders).expect("joins");
        wait::is_true("being in the group", JOIN_MAX, || {
            member.serve();
            member.membership().is_joined()
        });
        let offset = |topic: &str, window: &Window| {
            OffsetCommit::new(topic, 0, &window.completion(), window.position())
        };
        let offsets = [offset(&pipeline.orders, &self.main), offset(&pipeline.retry, &self.retry)];
        wait::is_true("a commit", JOIN_MAX, || {
            member.serve();
            member.commit(&offsets).is_ok()
        });
        member.leave();
    }
}
