//! The orders of a schedule and what is done with them. What becomes of an order is a function
//! of its record alone, so that it can be told beforehand.

use codec::decode::DecodeError;
use orders::Amount;
use pipeline::averages::Averages;
use pipeline::failure::{Failure, FailureReason};

use crate::clock::now_ms;
use crate::stage::{Emitted, HandleError, Names, Stage, Trial};

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

/// Counts orders per product, and emits one record for each order that it counts.
pub(crate) struct Business {
    /// What every order needs is away between these times, in epoch milliseconds.
    pub(crate) away_ms: (i64, i64),
}

const fn failure(reason: FailureReason) -> Failure {
    Failure { reason, schema_id: None, detail: String::new() }
}

impl Stage for Business {
    type Input = Order;
    type State = Averages;
    type Summary = ();
    type Note = ();

    fn decode(&mut self, value: Option<&[u8]>) -> Result<Order, DecodeError> {
        let order = value.and_then(Order::read);
        let order = order.ok_or(DecodeError::Failed(failure(FailureReason::BadMagic)))?;
        match order.kind {
            Kind::Early(at_ms) if now_ms() < at_ms => {
                Err(DecodeError::Unresolved { schema_id: 9, away: None })
            }
            _ => Ok(order),
        }
    }

    fn names(&self, order: Order) -> Names {
        Names { order_id: order.id, product: order.product }
    }

    fn is_valid(&self, order: &Order) -> bool {
        order.kind != Kind::Invalid
    }

    fn handle(&mut self, order: &Order, trial: Trial<'_, '_, Averages>) -> Result<(), HandleError> {
        if (self.away_ms.0..self.away_ms.1).contains(&now_ms()) {
            return Err(HandleError::Away("what orders need is away".to_owned()));
        }
        match order.kind {
            Kind::Invalid => {
                return Err(HandleError::Failed(failure(FailureReason::NegativePrice)));
            }
            Kind::Early(_) if order.fails_once() && trial.attempt == 1 => {
                return Err(HandleError::Failed(failure(FailureReason::Simulated)));
            }
            Kind::Flaky(attempts) if trial.attempt <= attempts => {
                return Err(HandleError::Failed(failure(FailureReason::Simulated)));
            }
            _ => {}
        }
        trial.state.count(&order.product, Amount::from_ten_thousandths(order.amount));
        trial.emitted.push(Emitted {
            partition: trial.partition,
            key: order.serial.to_string().into_bytes().into(),
            value: trial.value.unwrap_or_default().into(),
            headers: Vec::new(),
        });
        Ok(())
    }

    fn write_state<E>(
        &mut self,
        state: &mut Averages,
        _: i64,
        mut put: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        for partial in state.touched() {
            let sum = crate::planted::told_sum(partial.sum).ten_thousandths();
            put(partial.product.as_bytes(), format!("{} {sum}", partial.count).as_bytes())?;
        }
        Ok(())
    }

    fn read_state(
        &mut self,
        state: &mut Averages,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<bool, String> {
        let text =
            |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
        let (count, sum) = partial(&text(value)).ok_or("a state record without two numbers")?;
        state.restore(&text(key), count, Amount::from_ten_thousandths(sum), 0);
        Ok(true)
    }

    fn note(&self, _: &Order, _: &Averages) {}

    fn summarize<'a>(_: impl Iterator<Item = &'a Averages>) {}
}

/// Count and sum of a state record.
pub(crate) fn partial(text: &str) -> Option<(u64, i128)> {
    let (count, sum) = text.split_once(' ')?;
    Some((count.parse().ok()?, sum.parse().ok()?))
}
