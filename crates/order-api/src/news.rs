//! What is heard of orders after they were placed, here or by another instance.

use order_store::{Rows, StoreError};
use orders::InventoryOutcome;

use crate::known::{KnownOrder, ORDERS, OrderStatus, Row, Wish, age, words};
use crate::metrics;
use crate::paradigm::Placed;

/// What was heard of an order.
#[derive(Debug, Clone, PartialEq)]
pub struct News {
    /// Id of the order.
    pub order_id: String,
    /// How far it has come.
    pub progress: Progress,
    /// What it asks for, where the news says so.
    pub wish: Option<Wish>,
    /// When the order was made, for how long it took; `None` where nobody should know.
    pub created_at_ms: Option<i64>,
}

/// How far an order has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// It is on its way.
    Placed,
    /// Inventory has decided about it.
    Decided(InventoryOutcome),
    /// Its message became a dead letter before inventory decided: it failed, unless a decision
    /// comes after a redrive.
    DeadLettered {
        /// Class of the failure.
        class: String,
        /// Its reason.
        reason: String,
    },
}

impl Progress {
    fn words(&self) -> (OrderStatus, Option<String>, Option<String>) {
        match self {
            Self::Placed => (OrderStatus::Pending, None, None),
            Self::Decided(outcome) => {
                let (status, reason) = words(Placed::Settled(*outcome));
                (status, reason, None)
            }
            Self::DeadLettered { class, reason } => {
                (OrderStatus::Failed, Some(reason.clone()), Some(class.clone()))
            }
        }
    }

    /// Whether it says more than what is known.
    fn is_further_than(&self, known: &KnownOrder) -> bool {
        let is_decided = known.status != OrderStatus::Pending && known.class.is_none();
        match self {
            Self::Placed => false,
            Self::Decided(_) => !is_decided,
            Self::DeadLettered { .. } => known.status == OrderStatus::Pending,
        }
    }

    /// Counts an outcome that is the first of its order.
    pub(crate) fn measured(&self, created_at_ms: Option<i64>) {
        match self {
            Self::Placed => {}
            Self::Decided(outcome) => metrics::outcome(*outcome, age(created_at_ms)),
            Self::DeadLettered { .. } => metrics::dead_lettered(),
        }
    }
}

impl News {
    /// Notes it, and says whether it is the first outcome of its order.
    pub(crate) fn store(&self, rows: &Rows<'_>) -> Result<bool, StoreError> {
        let Some(mut row) = rows.get::<Row>(ORDERS, &self.order_id)? else {
            let (status, reason, class) = self.progress.words();
            let (order_id, wish) = (self.order_id.clone(), self.wish.clone());
            let order = KnownOrder { order_id, status, reason, class, wish };
            rows.put(ORDERS, &self.order_id, &Row { order, fingerprint: None })?;
            return Ok(status != OrderStatus::Pending);
        };
        let is_further = self.progress.is_further_than(&row.order);
        let adds_wish = row.order.wish.is_none() && self.wish.is_some();
        if is_further {
            (row.order.status, row.order.reason, row.order.class) = self.progress.words();
        }
        if adds_wish {
            row.order.wish.clone_from(&self.wish);
        }
        if is_further || adds_wish {
            rows.put(ORDERS, &self.order_id, &row)?;
        }
        Ok(is_further)
    }
}

#[cfg(test)]
mod tests {
    use order_store::Store;
    use orders::{FailureReason, Order};

    use super::*;
    use crate::Orders;

    const CONFIRMED: Progress = Progress::Decided(InventoryOutcome::Reserved);
    const SOLD_OUT: Progress =
        Progress::Decided(InventoryOutcome::Failed(FailureReason::OutOfStock));

    fn dead(class: &str) -> Progress {
        Progress::DeadLettered { class: class.to_owned(), reason: "simulated".to_owned() }
    }

    /// Tells the news one after the other, and returns which were first outcomes, and the end.
    async fn told(all: &[Progress]) -> (Vec<usize>, KnownOrder) {
        let folder = tempfile::tempdir().unwrap();
        let orders = Orders::new(Store::open(&folder.path().join("orders.redb")).unwrap());
        let mut first = Vec::new();
        for progress in all {
            let wish = Some(Wish::of(&Order::new("o-1", "tea", 2.0)));
            let (order_id, progress) = ("o-1".to_owned(), progress.clone());
            let news = News { order_id, progress, wish, created_at_ms: None };
            first.push(orders.note_all(vec![news], |_| Ok(())).await.unwrap());
        }
        (first, orders.find("o-1").unwrap().unwrap())
    }

    #[tokio::test]
    async fn an_order_whose_message_is_a_dead_letter_has_failed_with_its_class() {
        let (first, known) = told(&[Progress::Placed, dead("transient"), dead("malformed")]).await;
        assert_eq!(first, [0, 1, 0]);
        assert_eq!(known.status, OrderStatus::Failed);
        assert_eq!(known.reason.as_deref(), Some("simulated"));
        assert_eq!(known.class.as_deref(), Some("transient"));
        let text = serde_json::to_value(&known).unwrap();
        assert_eq!((&text["class"], &text["item"]), (&"transient".into(), &"tea".into()));
    }

    #[tokio::test]
    async fn a_decision_after_a_redrive_takes_the_place_of_a_dead_letter_and_never_the_reverse() {
        let (first, known) = told(&[dead("transient"), CONFIRMED, dead("transient")]).await;
        assert_eq!(first, [1, 1, 0]);
        assert_eq!((known.status, known.class), (OrderStatus::Confirmed, None));
        let (first, known) = told(&[SOLD_OUT, CONFIRMED, Progress::Placed]).await;
        assert_eq!(first, [1, 0, 0]);
        assert_eq!(known.reason.as_deref(), Some("out-of-stock"));
    }

    #[tokio::test]
    async fn an_order_that_another_instance_has_taken_is_pending_here() {
        let (first, known) = told(&[Progress::Placed]).await;
        assert_eq!((first, known.status), (vec![0], OrderStatus::Pending));
        assert_eq!(known.wish.unwrap().item, "tea");
    }
}
