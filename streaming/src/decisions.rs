//! Analytics and notification: both read decisions. Their state is a [`Tally`] per partition, in a
//! topic of their own; analytics reports it, and notification tells customers besides.

use std::time::Duration;

use codec::decode::{DecodeError, Decoder};
use codec::encode::Encoder;
use codec::frame;
use codec::resolver::SchemaResolver;
use order_schemas::{InventoryResult, InventoryStatus, Notification, OrderTally};
use pipeline::failure::{Failure, FailureReason, ReasonName};
use relane::stage::{Context, Delivery, Emitted, HandleError, RecordId, Stage, Work, idle_work};

use crate::limits::CLOCK_AHEAD_MAX;
use crate::tally::{Ended, Tally};
use crate::trail;

/// Why a decision is refused that a later version made.
const UNKNOWN_STATUS: ReasonName = ReasonName::of("unknown-status");

/// Decisions to counts, and to messages where customers are told.
pub(crate) struct DecisionsStage {
    results: Decoder<InventoryResult>,
    tallies: Decoder<OrderTally>,
    encoder: Encoder<OrderTally>,
    messages: Option<Encoder<Notification>>,
    buffer: Vec<u8>,
    /// How long each attempt waits first.
    latency: Duration,
}

impl DecisionsStage {
    /// One that only counts, or tells customers as well.
    pub(crate) fn new(
        resolver: &SchemaResolver,
        encoder: Encoder<OrderTally>,
        messages: Option<Encoder<Notification>>,
        latency: Duration,
    ) -> Self {
        let (results, tallies) = (Decoder::new(resolver.clone()), Decoder::new(resolver.clone()));
        Self { results, tallies, encoder, messages, buffer: Vec::new(), latency }
    }

    /// Tells the customer.
    fn tell(
        &mut self,
        result: &InventoryResult,
        context: &mut Context<'_, '_, Tally>,
    ) -> Option<()> {
        let Some(encoder) = &self.messages else { return Some(()) };
        let message = Notification::new(&result.order(), result.outcome()?);
        self.buffer.clear();
        encoder.encode_into(&mut self.buffer, &message);
        context.emitted.push(Emitted {
            partition: context.partition,
            key: result.user_id.as_deref().unwrap_or_default().as_bytes().into(),
            value: self.buffer.as_slice().into(),
            headers: trail::followed_from(context.header),
        });
        Some(())
    }
}

impl Stage for DecisionsStage {
    type Input = InventoryResult;
    type State = Tally;
    type Summary = Tally;
    type Note = ();

    fn decode(&mut self, value: Option<&[u8]>) -> Result<InventoryResult, DecodeError> {
        self.results.decode(value)
    }

    fn name(&self, result: InventoryResult) -> RecordId {
        RecordId { id: result.order_id, subject: result.product }
    }

    fn is_valid(&self, result: &InventoryResult) -> bool {
        !result.order_id.is_empty()
    }

    fn waits(&self) -> bool {
        !self.latency.is_zero()
    }

    fn start(&mut self, _: &InventoryResult, _: &Delivery<'_>) -> Work {
        idle_work(self.latency)
    }

    fn handle(
        &mut self,
        result: &InventoryResult,
        mut context: Context<'_, '_, Tally>,
    ) -> Result<(), HandleError> {
        let ended = match result.status {
            InventoryStatus::Reserved => Some(Ended::Succeeded),
            InventoryStatus::Failed => Some(Ended::Failed),
            InventoryStatus::Unknown => None,
        };
        let told = ended.and_then(|ended| self.tell(result, &mut context).map(|()| ended));
        let Some(ended) = told else {
            // A later version's; whoever knows it can redrive it.
            let detail = "a status or reason that this version does not know".to_owned();
            let reason = FailureReason::Permanent(UNKNOWN_STATUS);
            let schema_id = frame::schema_id(context.value);
            return Err(HandleError::Failed(Failure { reason, schema_id, detail }));
        };
        context.state.count(ended, event_time_ms(result));
        Ok(())
    }

    fn write_state<E>(
        &mut self,
        tally: &mut Tally,
        _now_ms: i64,
        mut put: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        for (key, record) in tally.touched() {
            self.buffer.clear();
            self.encoder.encode_into(&mut self.buffer, &record);
            put(key.as_bytes(), &self.buffer)?;
        }
        Ok(())
    }

    fn read_state(
        &mut self,
        tally: &mut Tally,
        _key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<bool, String> {
        if value.is_none() {
            return Err("it has no value; nothing takes counts back one by one".to_owned());
        }
        match self.tallies.decode(value) {
            Ok(record) => tally.restore(&record),
            Err(DecodeError::Unresolved { .. }) => return Ok(false),
            Err(DecodeError::Failed(failure)) => return Err(failure.detail),
        }
        Ok(true)
    }

    fn note(&self, _: &InventoryResult, _: &Tally) {}

    fn summarize<'a>(states: impl Iterator<Item = &'a Tally>) -> Tally {
        states.fold(Tally::default(), |mut sum, tally| {
            sum.add(tally);
            sum
        })
    }
}

/// When the order was made; when it was decided, where nobody says or the clock that says so is
/// ahead: one order from the future would hide all minutes before it.
fn event_time_ms(result: &InventoryResult) -> i64 {
    let ahead_ms = i64::try_from(CLOCK_AHEAD_MAX.as_millis()).unwrap_or(i64::MAX);
    let latest = result.decided_at_ms.saturating_add(ahead_ms);
    result.created_at_ms.filter(|made| (0..=latest).contains(made)).unwrap_or(result.decided_at_ms)
}

#[cfg(test)]
mod tests {
    use orders::{InventoryOutcome, Order};

    use super::*;

    #[test]
    fn an_order_counts_when_it_was_made_unless_its_clock_is_wrong() {
        let at = |created_at_ms| {
            let order = Order { created_at_ms, ..Order::new("o-1", "tea", 1.0) };
            event_time_ms(&InventoryResult::new(&order, InventoryOutcome::Reserved, 1_000_000))
        };
        assert_eq!(at(Some(5)), 5);
        assert_eq!(at(Some(1_060_000)), 1_060_000);
        assert_eq!(at(Some(1_060_001)), 1_000_000);
        assert_eq!(at(Some(-1)), 1_000_000);
        assert_eq!(at(None), 1_000_000);
    }
}
