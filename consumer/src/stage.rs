//! What the consumer does with orders: it keeps count and sum of each product.

use std::borrow::Cow;

use codec::decode::{DecodeError, Decoder};
use codec::frame;
use codec::resolver::SchemaResolver;
use codec::scalar::AvroRecord as _;
use order_schemas::{OrderOutcomeRef, OrderRecord, ProductAverage, ProductAverageRef};
use orders::{Amount, Order};
use pipeline::failure::FailureClass;
use relane::stage::{
    AttemptOutcome, Context, Delivery, HandleError, Outcome, RecordId, Settled, Stage, Work,
    idle_work,
};

use crate::averages::{Averages, Partial, Total};
use crate::handler::Handler;
use crate::products::Products;
use crate::registry::Encoders;
use crate::settled_lines::SettledLines;

/// Longest order id or product in an entry of the outcome log, in bytes.
const OUTCOME_TEXT_BYTES_MAX: usize = 64 * 1024;

/// Orders at most that are kept for their memory: as many as handlers work on at once where nothing else is set.
const SPARE_ORDERS_MAX: usize = 256;

/// Room for texts in each of them, in bytes; one with more goes.
const SPARE_TEXT_BYTES_MAX: usize = 4 * 1024;

/// Running averages per product.
pub(crate) struct AveragesStage {
    orders: Decoder<OrderRecord>,
    averages: Decoder<ProductAverage>,
    encoders: Encoders,
    handler: Handler,
    buffer: Vec<u8>,
    /// Orders that are done with, and whose texts have room for those of the next ones.
    #[expect(clippy::vec_box, reason = "each is handed on in its box")]
    spare: Vec<Box<Order>>,
    prints: Option<SettledLines>,
}

impl AveragesStage {
    pub(crate) fn new(
        resolver: &SchemaResolver,
        encoders: Encoders,
        handler: Handler,
        prints: Option<SettledLines>,
    ) -> Self {
        Self {
            orders: Decoder::new(resolver.clone()),
            averages: Decoder::new(resolver.clone()),
            encoders,
            handler,
            buffer: Vec::new(),
            spare: Vec::new(),
            prints,
        }
    }
}

impl Stage for AveragesStage {
    /// Boxed: it is handed on several times, and its memory serves for the next one.
    type Input = Box<Order>;
    type State = Averages;
    /// Totals by product, the first ones by name.
    type Summary = Products;
    /// Count and sum of the order's product in its partition.
    type Note = Total;

    fn decode(&mut self, value: Option<&[u8]>) -> Result<Box<Order>, DecodeError> {
        let mut order = self.spare.pop().unwrap_or_else(|| Box::new(OrderRecord::blank()));
        self.orders.decode_into(value, &mut order).map(|()| order)
    }

    fn recycle(&mut self, order: Box<Order>) {
        let text_bytes = order.order_id.capacity() + order.product.capacity();
        if self.spare.len() < SPARE_ORDERS_MAX && text_bytes <= SPARE_TEXT_BYTES_MAX {
            self.spare.push(order);
        }
    }

    fn name(&self, order: Box<Order>) -> RecordId {
        let order = *order;
        RecordId { id: order.order_id, subject: order.product }
    }

    fn is_valid(&self, order: &Box<Order>) -> bool {
        orders::validate(order).is_ok()
    }

    fn identity<'i>(&self, order: &'i Box<Order>, _: Option<&'i [u8]>) -> Option<Cow<'i, str>> {
        Some(Cow::Borrowed(&order.order_id))
    }

    fn waits(&self) -> bool {
        !self.handler.latency.is_zero()
    }

    fn start(&mut self, _: &Box<Order>, _: &Delivery<'_>) -> Work {
        idle_work(self.handler.latency)
    }

    fn handle(
        &mut self,
        order: &Box<Order>,
        context: Context<'_, '_, Averages>,
    ) -> Result<(), HandleError> {
        match self.handler.attempt(order, context.attempt, context.redrives) {
            Ok(amount) => {
                context.state.entry(&*order.product).count(amount);
                Ok(())
            }
            Err(mut error) => {
                if let Some(failure) = error.failure_mut() {
                    failure.schema_id = frame::schema_id(context.value);
                }
                Err(error)
            }
        }
    }

    fn write_state<E>(
        &mut self,
        averages: &mut Averages,
        now_ms: i64,
        mut put: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        averages.changed_mut(|partial| partial.updated_at_ms = now_ms);
        for (product, partial) in averages.touched() {
            let sum = partial.sum;
            let average = ProductAverageRef {
                product,
                count: i64::try_from(partial.count).unwrap_or(i64::MAX),
                sum,
                average: orders::average(sum, partial.count).unwrap_or(0.0),
                updated_at_ms: partial.updated_at_ms,
            };
            self.buffer.clear();
            self.encoders.averages.encode_into(&mut self.buffer, &average);
            put(product.as_bytes(), &self.buffer)?;
        }
        Ok(())
    }

    fn read_state(
        &mut self,
        averages: &mut Averages,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<bool, String> {
        if value.is_none() {
            if let Some(product) = key.and_then(|key| std::str::from_utf8(key).ok()) {
                averages.restore(product, None);
            }
            return Ok(true);
        }
        let average = match self.averages.decode(value) {
            Ok(average) => average,
            Err(DecodeError::Unresolved { .. }) => return Ok(false),
            Err(DecodeError::Failed(failure)) => return Err(failure.detail),
        };
        let count = u64::try_from(average.count).map_err(|_| "it has a negative count")?;
        let partial = Partial { count, sum: average.sum, updated_at_ms: average.updated_at_ms };
        averages.restore(&*average.product, Some(partial));
        Ok(true)
    }

    fn write_outcome(&mut self, outcome: &AttemptOutcome<'_>, value: &mut Vec<u8>) {
        let Some(encoder) = &self.encoders.outcomes else { return };
        let entry = OrderOutcomeRef {
            order_id: cut(&outcome.name.id),
            product: cut(&outcome.name.subject),
            origin_partition: outcome.origin_partition,
            origin_offset: outcome.origin_offset,
            attempt: i32::try_from(outcome.attempt).unwrap_or(i32::MAX),
            outcome: match outcome.outcome {
                Outcome::Succeeded => order_schemas::Outcome::Succeeded,
                Outcome::Duplicate => order_schemas::Outcome::Duplicate,
                Outcome::Retried => order_schemas::Outcome::Retried,
                Outcome::DeadLettered => order_schemas::Outcome::DeadLettered,
            },
            failure_class: outcome.class.map(FailureClass::as_str),
            settled_at_ms: outcome.settled_at_ms,
        };
        encoder.encode_into(value, &entry);
    }

    fn hears_settled(&self) -> bool {
        self.prints.is_some()
    }

    fn note(&self, order: &Box<Order>, averages: &Averages) -> Total {
        averages.get(&*order.product).map_or((0, Amount::ZERO), |one| (one.count, one.sum))
    }

    fn settled<'a>(&mut self, attempts: impl Iterator<Item = Settled<'a, Total>>) {
        if let Some(prints) = &self.prints {
            prints.print(attempts);
        }
    }

    fn summarize<'a>(states: impl Iterator<Item = &'a Averages>) -> Self::Summary {
        let mut products = Products::default();
        for averages in states {
            let counted = averages.iter().filter(|(_, partial)| partial.count > 0);
            products.note_partition(counted.clone().count());
            counted.for_each(|(product, one)| products.add(product, (one.count, one.sum)));
        }
        products
    }
}

/// A text as the outcome log holds it.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(OUTCOME_TEXT_BYTES_MAX)]
}
