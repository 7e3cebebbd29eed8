//! The orders of a schedule and what is done with them. What becomes of an order is a function
//! of its record alone, so that it can be told beforehand.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::Duration;

use codec::decode::DecodeError;
use pipeline::failure::{Failure, FailureReason};

use crate::clock::{self, now_ms};
use crate::lane::faulty::{Bug, planted};
use crate::stage::{
    AttemptOutcome, Context, Delivery, Emitted, HandleError, Outcome, RecordId, Stage, Work,
};
use crate::table::Table;

/// What is the matter with an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Fine,
    /// It cannot be decoded.
    Poison,
    /// It breaks a business rule.
    Invalid,
    /// Its first attempts fail, this many.
    Flaky(u32),
    /// Its schema is known from this time on, in epoch milliseconds. One with an odd serial fails once.
    Early(i64),
}

/// An order, as its record holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Order {
    /// Tells records apart, whatever their ids are.
    pub(crate) serial: u64,
    pub(crate) id: String,
    pub(crate) product: String,
    pub(crate) amount: i128,
    pub(crate) kind: Kind,
    /// It has bytes that nobody needs, so that a retry topic may refuse it.
    pub(crate) is_large: bool,
}

/// Values above this are refused by a retry topic that takes small ones only, in bytes.
pub(crate) const SMALL_BYTES_MAX: usize = 200;

impl Order {
    pub(crate) fn value(&self) -> Box<[u8]> {
        let kind = match self.kind {
            Kind::Poison => return format!("poison {}", self.serial).into_bytes().into(),
            Kind::Fine => "fine".to_owned(),
            Kind::Invalid => "invalid".to_owned(),
            Kind::Flaky(attempts) => format!("flaky:{attempts}"),
            Kind::Early(at_ms) => format!("early:{at_ms}"),
        };
        let Self { serial, id, product, amount, .. } = self;
        let filler = if self.is_large { "x".repeat(SMALL_BYTES_MAX) } else { String::new() };
        format!("{serial}|{id}|{product}|{amount}|{kind}|{filler}").into_bytes().into()
    }

    /// Whether one whose schema is known late fails once.
    pub(crate) const fn fails_once(&self) -> bool {
        !self.serial.is_multiple_of(2)
    }

    fn read(value: &[u8]) -> Option<Self> {
        let mut parts = std::str::from_utf8(value).ok()?.split('|');
        let serial = parts.next()?.parse().ok()?;
        let (id, product) = (parts.next()?.to_owned(), parts.next()?.to_owned());
        let amount = parts.next()?.parse().ok()?;
        let kind = parts.next()?;
        let kind = match kind.split_once(':') {
            None if kind == "invalid" => Kind::Invalid,
            None => Kind::Fine,
            Some(("flaky", attempts)) => Kind::Flaky(attempts.parse().ok()?),
            Some((_, at_ms)) => Kind::Early(at_ms.parse().ok()?),
        };
        let is_large = parts.next().is_some_and(|filler| !filler.is_empty());
        Some(Self { serial, id, product, amount, kind, is_large })
    }
}

/// Orders counted by product, and their sum.
pub(crate) type Sums = Table<Box<str>, (u64, i128)>;

/// A sum as it is written: through a float, where that bug is planted.
pub(crate) fn written(sum: i128) -> i128 {
    if planted() != Some(Bug::FloatSum) {
        return sum;
    }
    #[expect(clippy::cast_possible_truncation, reason = "the planted bug")]
    let float = sum as f32 as i128;
    float
}

/// An entry of the outcome log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) origin_offset: i64,
    pub(crate) attempt: u32,
    pub(crate) outcome: Outcome,
}

impl Told {
    pub(crate) fn read(value: &[u8]) -> Option<Self> {
        const ALL: [Outcome; 4] =
            [Outcome::Succeeded, Outcome::Duplicate, Outcome::Retried, Outcome::DeadLettered];
        let mut parts = std::str::from_utf8(value).ok()?.split(' ');
        let (origin_offset, attempt) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let name = parts.next()?;
        let outcome = ALL.into_iter().find(|outcome| outcome.as_str() == name)?;
        Some(Self { origin_offset, attempt, outcome })
    }
}

thread_local! {
    /// Idempotency keys of the orders whose handlers have ended well.
    static WORKED: RefCell<BTreeSet<String>> = const { RefCell::new(BTreeSet::new()) };
}

/// Forgets what handlers have done: a schedule begins.
pub(crate) fn forget_work() {
    WORKED.take();
}

/// Whether a handler has ended well for the order.
pub(crate) fn has_worked(key: &str) -> bool {
    WORKED.with_borrow(|worked| worked.contains(key))
}

/// What a handler meets, where it is to meet something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meets {
    Nothing,
    Hangs,
    Panics,
}

/// How much longer some orders take.
const SLOW: u32 = 9;

/// Counts orders per product, and emits one record for each order that it counts.
pub(crate) struct Business {
    /// How long handlers wait; some wait longer.
    pub(crate) latency: Duration,
    /// What every order needs is away between these times, in epoch milliseconds.
    pub(crate) away_ms: (i64, i64),
    /// Questions for a schema that is known late.
    pub(crate) asked: u64,
}

impl Business {
    fn is_forgotten(&mut self) -> bool {
        self.asked += 1;
        self.asked.is_multiple_of(3)
    }
}

const fn failure(reason: FailureReason) -> Failure {
    Failure { reason, schema_id: None, detail: String::new() }
}

impl Stage for Business {
    type Input = Order;
    type State = Sums;
    type Summary = ();
    type Note = ();

    fn decode(&mut self, value: Option<&[u8]>) -> Result<Order, DecodeError> {
        let order = value.and_then(Order::read);
        let order = order.ok_or(DecodeError::Failed(failure(FailureReason::BadMagic)))?;
        match order.kind {
            // Later, too, it may be known to one question and not to the next: what is known is
            // forgotten after a while.
            Kind::Early(at_ms) if now_ms() < at_ms || self.is_forgotten() => {
                Err(DecodeError::Unresolved { schema_id: 9, away: None })
            }
            _ => Ok(order),
        }
    }

    fn name(&self, order: Order) -> RecordId {
        RecordId { id: order.id, subject: order.product }
    }

    fn is_valid(&self, order: &Order) -> bool {
        order.kind != Kind::Invalid && planted() != Some(Bug::DedupeOff)
    }

    /// Half of them borrow it, and are not decoded again; it is the same text either way.
    fn identity<'i>(&self, order: &'i Order, _: Option<&'i [u8]>) -> Option<Cow<'i, str>> {
        order.serial.is_multiple_of(2).then_some(Cow::Borrowed(&*order.id))
    }

    fn waits(&self) -> bool {
        !self.latency.is_zero()
    }

    fn start(&mut self, order: &Order, delivery: &Delivery<'_>) -> Work {
        let key = delivery.idempotency_key();
        let latency =
            if order.serial.is_multiple_of(5) { self.latency * SLOW } else { self.latency };
        let meets = match order.kind {
            Kind::Flaky(attempts) if delivery.attempt <= attempts => match order.serial % 3 {
                0 => Meets::Nothing, // it fails when it is to be counted
                1 => Meets::Hangs,
                _ => Meets::Panics,
            },
            _ => Meets::Nothing,
        };
        Box::pin(async move {
            clock::pass(latency).await;
            match meets {
                Meets::Nothing => {}
                Meets::Hangs => std::future::pending().await,
                // Without the hook, which would write a line for each.
                Meets::Panics => std::panic::resume_unwind(Box::new("as planned")),
            }
            WORKED.with_borrow_mut(|worked| worked.insert(key));
            Ok(())
        })
    }

    fn handle(&mut self, order: &Order, context: Context<'_, '_, Sums>) -> Result<(), HandleError> {
        if (self.away_ms.0..self.away_ms.1).contains(&now_ms()) {
            return Err(HandleError::away("what orders need is away"));
        }
        match order.kind {
            Kind::Invalid => {
                return Err(HandleError::Failed(failure(FailureReason::NegativePrice)));
            }
            Kind::Early(_) if order.fails_once() && context.attempt == 1 => {
                return Err(HandleError::Failed(failure(FailureReason::Simulated)));
            }
            Kind::Flaky(attempts) if context.attempt <= attempts => {
                return Err(HandleError::Failed(failure(FailureReason::Simulated)));
            }
            _ => {}
        }
        let (count, sum) = context.state.entry(&*order.product);
        *count += 1;
        *sum += order.amount;
        context.emitted.push(Emitted {
            partition: context.partition,
            key: order.serial.to_string().into_bytes().into(),
            value: context.value.unwrap_or_default().into(),
            headers: Vec::new(),
        });
        Ok(())
    }

    fn write_state<E>(
        &mut self,
        state: &mut Sums,
        _: i64,
        mut put: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        for (product, (count, sum)) in state.touched() {
            put(product.as_bytes(), format!("{count} {}", written(*sum)).as_bytes())?;
        }
        Ok(())
    }

    fn read_state(
        &mut self,
        state: &mut Sums,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<bool, String> {
        let text =
            |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
        let both = partial(&text(value)).ok_or("a state record without two numbers")?;
        state.restore(&*text(key), Some(both));
        Ok(true)
    }

    fn write_outcome(&mut self, outcome: &AttemptOutcome<'_>, value: &mut Vec<u8>) {
        let AttemptOutcome { origin_offset, attempt, outcome, .. } = outcome;
        let text = format!("{origin_offset} {attempt} {}", outcome.as_str());
        value.extend_from_slice(text.as_bytes());
    }

    fn note(&self, _: &Order, _: &Sums) {}

    fn summarize<'a>(_: impl Iterator<Item = &'a Sums>) {}
}

/// Count and sum of a state record.
pub(crate) fn partial(text: &str) -> Option<(u64, i128)> {
    let (count, sum) = text.split_once(' ')?;
    Some((count.parse().ok()?, sum.parse().ok()?))
}
