//! A stage that does wrong, or whose handler fails, as a test asks: the program has it only with the feature
//! `failpoints`, which no release has.
//!
//! `ORDERS_PLANTED_BUG=float-sum` and `dedupe-off` are bugs that an audit of the log must find.
//! `ORDERS_DOWNSTREAM_FAILS=PREFIX:SECONDS` lets the downstream fail for products that begin so, for that
//! long, and `PREFIX:FILE` for as long as there is such a file. `ORDERS_HANDLER_PANICS=PREFIX` lets a handler
//! panic for each such product, `ORDERS_HANDLER_BLOCKS=PREFIX:SECONDS` lets it block for the first one.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use codec::decode::DecodeError;
use orders::{Amount, Order};
use pipeline::failure::{Failure, FailureReason};
use relane::faulty::{Bug, planted};
use relane::stage::{
    AttemptOutcome, Context, Delivery, HandleError, RecordId, Settled, Stage, Work,
};

use crate::averages::{Averages, Total};
use crate::products::Products;
use crate::stage::AveragesStage;

/// See the module.
pub(crate) struct FaultyStage(pub(crate) AveragesStage);

impl Stage for FaultyStage {
    type Input = Box<Order>;
    type State = Averages;
    type Summary = Products;
    type Note = Total;

    fn decode(&mut self, value: Option<&[u8]>) -> Result<Box<Order>, DecodeError> {
        self.0.decode(value)
    }

    fn name(&self, order: Box<Order>) -> RecordId {
        self.0.name(order)
    }

    fn is_valid(&self, order: &Box<Order>) -> bool {
        planted() != Some(Bug::DedupeOff) && self.0.is_valid(order)
    }

    fn waits(&self) -> bool {
        self.0.waits()
    }

    fn start(&mut self, order: &Box<Order>, delivery: &Delivery<'_>) -> Work {
        self.0.start(order, delivery)
    }

    fn handle(
        &mut self,
        order: &Box<Order>,
        context: Context<'_, '_, Averages>,
    ) -> Result<(), HandleError> {
        let Context { state, emitted, .. } = context;
        if self.0.is_valid(order) && fails_downstream(&order.product) {
            // Not while all that orders need is away: that is no failure of this one.
            let mut aside = Averages::default();
            let tried = Context { state: &mut aside, emitted: &mut *emitted, ..context };
            if let Err(away @ HandleError::Away { .. }) = self.0.handle(order, tried) {
                return Err(away);
            }
            let failure = Failure {
                reason: FailureReason::Handler,
                schema_id: self.0.schema_id(context.value),
                detail: "the downstream failed, as a test requests".to_owned(),
            };
            return Err(HandleError::Downstream { failure, wait: Duration::ZERO });
        }
        if self.0.is_valid(order) {
            meet(&order.product);
        }
        self.0.handle(order, Context { state: &mut *state, emitted, ..context })?;
        if planted() == Some(Bug::FloatSum) {
            let partial = state.entry(&*order.product);
            partial.sum = through_float(partial.sum);
        }
        Ok(())
    }

    fn write_state<E>(
        &mut self,
        averages: &mut Averages,
        now_ms: i64,
        put: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.0.write_state(averages, now_ms, put)
    }

    fn read_state(
        &mut self,
        averages: &mut Averages,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<bool, String> {
        self.0.read_state(averages, key, value)
    }

    fn recycle(&mut self, order: Box<Order>) {
        self.0.recycle(order);
    }

    fn write_outcome(&mut self, outcome: &AttemptOutcome<'_>, value: &mut Vec<u8>) {
        self.0.write_outcome(outcome, value);
    }

    fn hears_settled(&self) -> bool {
        self.0.hears_settled()
    }

    fn note(&self, order: &Box<Order>, averages: &Averages) -> Total {
        self.0.note(order, averages)
    }

    fn settled<'a>(&mut self, attempts: impl Iterator<Item = Settled<'a, Total>>) {
        self.0.settled(attempts);
    }

    fn summarize<'a>(states: impl Iterator<Item = &'a Averages>) -> Products {
        AveragesStage::summarize(states)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the planted bug")]
fn through_float(sum: Amount) -> Amount {
    Amount::from_ten_thousandths(sum.ten_thousandths() as f32 as i128)
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

/// How long the downstream is to fail.
enum While {
    Before(Instant),
    Exists(PathBuf),
}

fn fails_downstream(product: &str) -> bool {
    static WANTED: OnceLock<Option<(String, While)>> = OnceLock::new();
    let wanted = WANTED.get_or_init(|| {
        let text = variable("ORDERS_DOWNSTREAM_FAILS");
        let (prefix, lasts) = text.split_once(':')?;
        let lasts = match lasts.parse() {
            Ok(seconds) => While::Before(Instant::now() + Duration::from_secs(seconds)),
            Err(_) => While::Exists(lasts.into()),
        };
        Some((prefix.to_owned(), lasts))
    });
    let fails = |(prefix, lasts): &(String, While)| {
        product.starts_with(prefix.as_str())
            && match lasts {
                While::Before(until) => Instant::now() < *until,
                While::Exists(file) => file.exists(),
            }
    };
    wanted.as_ref().is_some_and(fails)
}

/// Panics or blocks, if it is to for this product.
fn meet(product: &str) {
    static PANICS: OnceLock<String> = OnceLock::new();
    static BLOCKS: OnceLock<Option<(String, Duration)>> = OnceLock::new();
    static HAS_BLOCKED: AtomicBool = AtomicBool::new(false);
    let prefix = PANICS.get_or_init(|| variable("ORDERS_HANDLER_PANICS"));
    assert!(prefix.is_empty() || !product.starts_with(prefix), "as a test asks");
    let blocks = BLOCKS.get_or_init(|| {
        let text = variable("ORDERS_HANDLER_BLOCKS");
        let (prefix, seconds) = text.split_once(':')?;
        Some((prefix.to_owned(), Duration::from_secs(seconds.parse().ok()?)))
    });
    if let Some((prefix, time)) = blocks
        && product.starts_with(prefix)
        && !HAS_BLOCKED.swap(true, Ordering::Relaxed)
    {
        tracing::warn!(?time, "the handler blocks, as a test asks");
        std::thread::sleep(*time);
    }
}
