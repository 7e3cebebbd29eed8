//! What the consumer does with orders: it keeps count and sum of each product.

use codec::decode::{DecodeError, Decoder};
use codec::encode::Encoder;
use codec::frame;
use codec::resolver::SchemaResolver;
use codec::wire::{ProductAverage, ProductAverageRef};
use engine::stage::{HandleError, Names, Settled, Stage, Total, Trial};
use orders::{Amount, Order};
use pipeline::averages::Averages;

use crate::handler::Handler;
use crate::products::Products;
use crate::settled_lines::SettledLines;

/// Running averages per product.
pub(crate) struct AveragesStage {
    orders: Decoder<Order>,
    averages: Decoder<ProductAverage>,
    encoder: Encoder<ProductAverage>,
    handler: Handler,
    buffer: Vec<u8>,
    prints: Option<SettledLines>,
}

impl AveragesStage {
    pub(crate) fn new(
        resolver: &SchemaResolver,
        encoder: Encoder<ProductAverage>,
        handler: Handler,
        prints: Option<SettledLines>,
    ) -> Self {
        Self {
            orders: Decoder::new(resolver.clone()),
            averages: Decoder::new(resolver.clone()),
            encoder,
            handler,
            buffer: Vec::new(),
            prints,
        }
    }
}

impl Stage for AveragesStage {
    type Input = Order;
    type State = Averages;
    /// Totals by product, the first ones by name.
    type Summary = Products;
    /// Count and sum of the order's product in its partition.
    type Note = Total;

    fn decode(&mut self, value: Option<&[u8]>) -> Result<Order, DecodeError> {
        self.orders.decode(value)
    }

    fn names(&self, order: Order) -> Names {
        Names { order_id: order.order_id, product: order.product }
    }

    fn is_valid(&self, order: &Order) -> bool {
        orders::validate(order).is_ok()
    }

    fn handle(&mut self, order: &Order, trial: Trial<'_, '_, Averages>) -> Result<(), HandleError> {
        match self.handler.attempt(order, trial.attempt, trial.redrives) {
            Ok(amount) => {
                trial.state.count(&order.product, amount);
                Ok(())
            }
            Err(mut error) => {
                if let HandleError::Failed(failure) | HandleError::Downstream(failure) = &mut error
                {
                    failure.schema_id = frame::schema_id(trial.value);
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
        averages.stamp(now_ms);
        for partial in averages.touched() {
            let average = ProductAverageRef {
                product: &partial.product,
                count: i64::try_from(partial.count).unwrap_or(i64::MAX),
                sum: engine::planted::told_sum(partial.sum),
                average: orders::average(engine::planted::told_sum(partial.sum), partial.count)
                    .unwrap_or(0.0),
                updated_at_ms: partial.updated_at_ms,
            };
            self.buffer.clear();
            self.encoder.encode_into(&mut self.buffer, &average);
            put(partial.product.as_bytes(), &self.buffer)?;
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
                averages.restore(product, 0, Amount::ZERO, 0);
            }
            return Ok(true);
        }
        let average = match self.averages.decode(value) {
            Ok(average) => average,
            Err(DecodeError::Unresolved { .. }) => return Ok(false),
            Err(DecodeError::Failed(failure)) => return Err(failure.detail),
        };
        let count = u64::try_from(average.count).map_err(|_| "it has a negative count")?;
        averages.restore(&average.product, count, average.sum, average.updated_at_ms);
        Ok(true)
    }

    fn hears_settled(&self) -> bool {
        self.prints.is_some()
    }

    fn note(&self, order: &Order, averages: &Averages) -> Total {
        averages.get(&order.product).map_or((0, Amount::ZERO), |one| (one.count, one.sum))
    }

    fn settled<'a>(&mut self, attempts: impl Iterator<Item = Settled<'a, Total>>) {
        if let Some(prints) = &self.prints {
            prints.print(attempts);
        }
    }

    fn summarize<'a>(states: impl Iterator<Item = &'a Averages>) -> Self::Summary {
        let mut products = Products::default();
        for averages in states {
            let counted = averages.partials().iter().filter(|partial| partial.count > 0);
            products.note_partition(counted.clone().count());
            counted.for_each(|one| products.add(&one.product, (one.count, one.sum)));
        }
        products
    }
}
