//! What the consumer does with orders: it keeps count and sum of each product.

use codec::decode::{DecodeError, Decoder};
use codec::encode::Encoder;
use codec::frame;
use codec::resolver::SchemaResolver;
use codec::wire::{ProductAverage, ProductAverageRef};
use engine::stage::{HandleError, Names, Stage, Trial};
use orders::{Amount, Order};
use pipeline::averages::Averages;

use crate::handler::Handler;
use crate::products::Products;

/// Running averages per product.
pub(crate) struct AveragesStage {
    orders: Decoder<Order>,
    averages: Decoder<ProductAverage>,
    encoder: Encoder<ProductAverage>,
    handler: Handler,
    buffer: Vec<u8>,
}

impl AveragesStage {
    pub(crate) fn new(
        resolver: &SchemaResolver,
        encoder: Encoder<ProductAverage>,
        handler: Handler,
    ) -> Self {
        Self {
            orders: Decoder::new(resolver.clone()),
            averages: Decoder::new(resolver.clone()),
            encoder,
            handler,
            buffer: Vec::new(),
        }
    }
}

impl Stage for AveragesStage {
    type Input = Order;
    type State = Averages;
    /// Totals by product, the first ones by name.
    type Summary = Products;

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

    fn summarize<'a>(states: impl Iterator<Item = &'a Averages>) -> Self::Summary {
        let mut products = Products::default();
        for partial in states.flat_map(Averages::partials) {
            products.add(&partial.product, (partial.count, partial.sum));
        }
        products
    }
}
