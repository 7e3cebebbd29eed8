//! The inventory service: decides about each order exactly once.

use std::time::Duration;

use codec::decode::{DecodeError, Decoder};
use codec::encode::Encoder;
use codec::frame;
use codec::resolver::SchemaResolver;
use order_schemas::{InventoryResult, OrderRecord, StockLevel};
use orders::{
    InvalidOrder, InventoryOutcome, Menu, Order, SimulatedRefusals, decide, simulate, validate,
};
use pipeline::failure::{Failure, FailureReason, ReasonName};
use relane::stage::{Context, Delivery, Emitted, HandleError, RecordId, Stage, Work, idle_work};

use crate::limits::ORDER_BYTES_MAX;
use crate::stock::{Given, NOT_ON_MENU, StockLevels};
use crate::trail;
use service_kit::clock::now_ms;

/// Why an order is refused whose texts are longer than they may be.
const TEXTS_TOO_LONG: ReasonName = ReasonName::of("texts-too-long");

/// What inventory goes by.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    pub(crate) menu: Menu,
    pub(crate) refusals: SimulatedRefusals,
    /// Share of attempts that fail.
    pub(crate) simulated_rate: f64,
}

/// Encoders of what inventory writes.
#[derive(Clone)]
pub(crate) struct InventoryEncoders {
    pub(crate) results: Encoder<InventoryResult>,
    pub(crate) levels: Encoder<StockLevel>,
}

/// Orders to decisions; its state is the stock.
pub(crate) struct InventoryStage {
    rules: Rules,
    orders: Decoder<OrderRecord>,
    levels: Decoder<StockLevel>,
    encoders: InventoryEncoders,
    buffer: Vec<u8>,
    /// How long each attempt waits first.
    latency: Duration,
}

impl InventoryStage {
    pub(crate) fn new(
        resolver: &SchemaResolver,
        encoders: InventoryEncoders,
        rules: Rules,
        latency: Duration,
    ) -> Self {
        let (orders, levels) = (Decoder::new(resolver.clone()), Decoder::new(resolver.clone()));
        Self { rules, orders, levels, encoders, buffer: Vec::new(), latency }
    }

    /// What keeps an order from being decided about at all.
    fn fault(&self, order: &Order, attempt: u32, redrives: u32) -> Option<(FailureReason, String)> {
        if let Err(rule) = validate(order) {
            return Some((broken_rule(rule), rule.to_string()));
        }
        let text = [&order.order_id, &order.product].into_iter().chain(&order.user_id);
        let bytes: usize = text.map(String::len).sum();
        if bytes > ORDER_BYTES_MAX {
            let detail = format!("texts of {bytes} bytes are above the limit of {ORDER_BYTES_MAX}");
            return Some((FailureReason::Permanent(TEXTS_TOO_LONG), detail));
        }
        let Rules { simulated_rate: rate, refusals, .. } = &self.rules;
        if simulate::fails(&order.order_id, attempt, refusals.seed, redrives, *rate) {
            let detail = format!("attempt {attempt} fails on request (--simulate-failures {rate})");
            return Some((FailureReason::Simulated, detail));
        }
        None
    }
}

impl Stage for InventoryStage {
    type Input = Order;
    type State = StockLevels;
    type Summary = StockLevels;
    type Note = ();

    fn decode(&mut self, value: Option<&[u8]>) -> Result<Order, DecodeError> {
        self.orders.decode(value)
    }

    fn name(&self, order: Order) -> RecordId {
        RecordId { id: order.order_id, subject: order.product }
    }

    fn is_valid(&self, order: &Order) -> bool {
        validate(order).is_ok()
    }

    fn waits(&self) -> bool {
        !self.latency.is_zero()
    }

    fn start(&mut self, _: &Order, _: &Delivery<'_>) -> Work {
        idle_work(self.latency)
    }

    fn handle(
        &mut self,
        order: &Order,
        context: Context<'_, '_, StockLevels>,
    ) -> Result<(), HandleError> {
        if let Some((reason, detail)) = self.fault(order, context.attempt, context.redrives) {
            let schema_id = frame::schema_id(context.value);
            return Err(HandleError::Failed(Failure { reason, schema_id, detail }));
        }
        let Rules { menu, refusals, .. } = &self.rules;
        let left = context.state.left(menu, &order.product);
        let outcome = decide(order, menu, left, *refusals);
        let pieces = match outcome {
            InventoryOutcome::Reserved => u64::try_from(order.quantity).unwrap_or(0),
            InventoryOutcome::Failed(_) => 0,
        };
        let is_on_menu = menu.item(&order.product).is_some();
        context.state.decided(if is_on_menu { &order.product } else { NOT_ON_MENU }, pieces);
        self.buffer.clear();
        let result = InventoryResult::new(order, outcome, now_ms());
        self.encoders.results.encode_into(&mut self.buffer, &result);
        context.emitted.push(Emitted {
            partition: context.partition,
            key: order.product.as_bytes().into(),
            value: self.buffer.as_slice().into(),
            headers: trail::followed_from(context.header),
        });
        Ok(())
    }

    fn write_state<E>(
        &mut self,
        levels: &mut StockLevels,
        now_ms: i64,
        mut put: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        levels.items.changed_mut(|given| given.updated_at_ms = now_ms);
        for (item, given) in levels.items.touched() {
            let level = StockLevel {
                item: item.to_string(),
                reserved: i64::try_from(given.reserved).unwrap_or(i64::MAX),
                decided: i64::try_from(given.decided).unwrap_or(i64::MAX),
                updated_at_ms: given.updated_at_ms,
            };
            self.buffer.clear();
            self.encoders.levels.encode_into(&mut self.buffer, &level);
            put(item.as_bytes(), &self.buffer)?;
        }
        Ok(())
    }

    fn read_state(
        &mut self,
        levels: &mut StockLevels,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<bool, String> {
        if value.is_none() {
            // A tombstone of an operator: nothing was given away of this item.
            if let Some(item) = key.and_then(|key| std::str::from_utf8(key).ok()) {
                levels.items.restore(item, None);
            }
            return Ok(true);
        }
        let level = match self.levels.decode(value) {
            Ok(level) => level,
            Err(DecodeError::Unresolved { .. }) => return Ok(false),
            Err(DecodeError::Failed(failure)) => return Err(failure.detail),
        };
        let count = |count| u64::try_from(count).map_err(|_| "it has a negative count".to_owned());
        let (reserved, decided) = (count(level.reserved)?, count(level.decided)?);
        let given = Given { reserved, decided, updated_at_ms: level.updated_at_ms };
        levels.items.restore(&*level.item, Some(given));
        Ok(true)
    }

    fn note(&self, _: &Order, _: &StockLevels) {}

    fn summarize<'a>(states: impl Iterator<Item = &'a StockLevels>) -> StockLevels {
        states.fold(StockLevels::default(), |mut sum, levels| {
            sum.add(levels);
            sum
        })
    }
}

pub(crate) const fn broken_rule(rule: InvalidOrder) -> FailureReason {
    match rule {
        InvalidOrder::EmptyOrderId => FailureReason::EmptyOrderId,
        InvalidOrder::EmptyProduct => FailureReason::EmptyProduct,
        InvalidOrder::NegativePrice => FailureReason::NegativePrice,
        InvalidOrder::PriceNotFinite => FailureReason::PriceNotFinite,
        InvalidOrder::PriceTooLarge => FailureReason::PriceTooLarge,
    }
}
