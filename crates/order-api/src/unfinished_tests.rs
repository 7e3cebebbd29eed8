//! Tests of what is noted of orders without an outcome.

use std::time::Instant;

use order_store::Store;
use orders::{InventoryOutcome, Menu, MenuItem, Stock};

use super::*;
use crate::{OrderStatus, Placed, read_json};

struct Rig {
    orders: Orders,
    order: NewOrder,
    _folder: tempfile::TempDir,
}

fn rig() -> Rig {
    let folder = tempfile::tempdir().unwrap();
    let orders = Orders::new(Store::open(&folder.path().join("orders.redb")).unwrap());
    let item = MenuItem { price: 0.1, stock: Stock::Unlimited };
    let menu = Menu::new([("tea".to_owned(), item)]).unwrap();
    let body = br#"{"user_id":"u1","item":"tea","quantity":3}"#;
    let order = read_json(body, Some("k"), &menu).unwrap();
    Rig { orders, order, _folder: folder }
}

impl Rig {
    fn id(&self) -> &str {
        &self.order.order.order_id
    }

    /// What is left to a process whose first attempt has this number.
    fn left(&self, first_attempt: u64) -> Option<(u64, Rest)> {
        let note = self.orders.unfinished(self.id()).unwrap()?;
        note.left(first_attempt).map(|left| (left.attempt, left.rest))
    }

    fn status(&self) -> Option<OrderStatus> {
        self.orders.find(self.id()).unwrap().map(|order| order.status)
    }
}

#[tokio::test]
async fn what_a_dead_process_has_begun_is_completed_by_the_next_one() {
    let rig = rig();
    assert_eq!(rig.orders.begin(&rig.order, 5).await.unwrap(), None);
    assert_eq!(rig.left(5), None, "it is being worked on");
    assert_eq!(rig.left(6), Some((5, Rest::Complete)));
    assert_eq!(rig.status(), Some(OrderStatus::Pending));
    let noted = rig.orders.all_unfinished(9).unwrap();
    assert_eq!((noted.len(), noted[0].1.order()), (1, rig.order.clone()));
}

#[tokio::test]
async fn the_outcome_and_the_end_of_the_note_are_one_commit() {
    let rig = rig();
    rig.orders.begin(&rig.order, 5).await.unwrap();
    let placed = Placed::Settled(InventoryOutcome::Reserved);
    rig.orders.placed(&rig.order, placed, Some("k"), Instant::now()).await.unwrap();
    assert_eq!((rig.left(9), rig.orders.unfinished_len()), (None, Ok(0)));
    assert_eq!(rig.status(), Some(OrderStatus::Confirmed));
}

#[tokio::test]
async fn an_attempt_that_did_nothing_leaves_what_was_left_before() {
    let rig = rig();
    rig.orders.begin(&rig.order, 5).await.unwrap();
    rig.orders.nothing_done(rig.id(), 5).await.unwrap();
    assert_eq!((rig.orders.unfinished_len(), rig.status()), (Ok(0), None));
    rig.orders.begin(&rig.order, 6).await.unwrap();
    rig.orders.leave(rig.id(), 6, Rest::Release).await.unwrap();
    assert_eq!(rig.status(), None, "it is given back");
    let left = rig.orders.begin(&rig.order, 7).await.unwrap();
    assert_eq!(left, Some(Left { attempt: 6, rest: Rest::Release }));
    rig.orders.nothing_done(rig.id(), 7).await.unwrap();
    assert_eq!(rig.left(9), Some((6, Rest::Release)));
}

#[tokio::test]
async fn a_release_ends_those_of_earlier_attempts_and_none_of_a_later_one() {
    let rig = rig();
    rig.orders.begin(&rig.order, 5).await.unwrap();
    rig.orders.leave(rig.id(), 5, Rest::Release).await.unwrap();
    rig.orders.begin(&rig.order, 6).await.unwrap();
    rig.orders.leave(rig.id(), 6, Rest::Release).await.unwrap();
    rig.orders.released(rig.id(), 5).await.unwrap();
    assert_eq!(rig.left(9), Some((6, Rest::Release)));
    rig.orders.released(rig.id(), 6).await.unwrap();
    assert_eq!(rig.orders.unfinished_len(), Ok(0));
}

#[tokio::test]
async fn once_the_customer_may_have_been_told_nothing_is_given_back() {
    let rig = rig();
    rig.orders.begin(&rig.order, 5).await.unwrap();
    rig.orders.leave(rig.id(), 5, Rest::Complete).await.unwrap();
    rig.orders.begin(&rig.order, 6).await.unwrap();
    rig.orders.leave(rig.id(), 6, Rest::Release).await.unwrap();
    assert_eq!(rig.left(9), Some((6, Rest::Complete)));
    rig.orders.released(rig.id(), 6).await.unwrap();
    assert_eq!(rig.left(9), Some((6, Rest::Complete)));
}
