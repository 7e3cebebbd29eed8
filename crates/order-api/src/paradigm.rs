//! What stands behind the front.

use orders::{InventoryOutcome, Order, OrderRequest};
use service_kit::http::{Problem, RequestContext};

/// How one paradigm places orders. The front has read and checked the order, knows it under its
/// id, and has seen to it that no other request of this process places it now.
pub trait Paradigm: Send + Sync + 'static {
    /// What a placed order is answered with, the first time and at each retry.
    const ANSWER: AnswerForm = AnswerForm::Accepted;

    /// Kinds of the problems for which it refuses orders, beside those of every front: labels of
    /// metrics, which begin at 0.
    const REJECTS: &'static [&'static str] = &[];

    /// Places an order, or hands it on.
    ///
    /// The same order may come again: from a client's retry after an error, after a crash, or
    /// after an answer that was lost. It must then do what is missing, and nothing twice.
    /// It is never dropped half-way.
    ///
    /// # Errors
    ///
    /// Why the order is not placed, or why nobody knows. It is not stored: the next try begins
    /// anew. A problem after which something may have been done has the member
    /// `"outcome": "unknown"` ([`outcome_unknown`](crate::outcome_unknown)).
    fn place(
        &self,
        order: &NewOrder,
        context: &RequestContext,
    ) -> impl Future<Output = Result<Placed, Problem>> + Send;
}

/// An order that nobody has settled before.
#[derive(Debug, Clone, PartialEq)]
pub struct NewOrder {
    /// What was asked for.
    pub request: OrderRequest,
    /// The record that travels, with id, price and `createdAt`.
    pub order: Order,
    /// What becomes of a price that the record cannot carry as it is.
    pub warning: Option<String>,
    /// Tells this wish from another under the same id.
    pub(crate) fingerprint: String,
}

/// The status of the answer to an order that was placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerForm {
    /// 202, whatever has become of the order in the meantime; the body says what is known.
    Accepted,
    /// 200, or 409 where inventory said no: the answer waits for the outcome.
    WithOutcome,
}

/// What became of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placed {
    /// Everything was done: 200, or 409 where inventory said no. The front stores it.
    Settled(InventoryOutcome),
    /// It is safely on its way: 202. The outcome follows through
    /// [`Orders::settle`](crate::Orders::settle).
    Accepted,
}
