//! Tests of what is known of orders.

use orders::{FailureReason, Menu, MenuItem, Stock};
use service_kit::http::StatusCode;

use super::*;
use crate::{News, Progress, read_json};

const CONFIRMED: InventoryOutcome = InventoryOutcome::Reserved;
const SOLD_OUT: InventoryOutcome = InventoryOutcome::Failed(FailureReason::OutOfStock);

fn opened() -> (tempfile::TempDir, Orders) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("orders.redb")).unwrap();
    (folder, Orders::new(store))
}

fn order(key: &str, quantity: u32) -> NewOrder {
    let item = MenuItem { price: 2.0, stock: Stock::Unlimited };
    let menu = Menu::new([("tea".to_owned(), item)]).unwrap();
    let body = format!(r#"{{"user_id":"u1","item":"tea","quantity":{quantity}}}"#);
    read_json(body.as_bytes(), Some(key), &menu).unwrap()
}

async fn accept(orders: &Orders, order: &NewOrder) -> KnownOrder {
    orders.placed(order, Placed::Accepted, Some("k"), Instant::now()).await.unwrap()
}

#[tokio::test]
async fn an_outcome_settles_what_was_accepted_and_the_first_one_counts() {
    let (_folder, orders) = opened();
    let order = order("k", 1);
    let id = &order.order.order_id;
    assert_eq!(accept(&orders, &order).await.status, OrderStatus::Pending);
    assert!(orders.settle(id, SOLD_OUT, None).await.unwrap());
    assert!(!orders.settle(id, CONFIRMED, None).await.unwrap(), "it is settled");
    let found = orders.find(id).unwrap().unwrap();
    assert_eq!(
        (found.status, found.reason.as_deref()),
        (OrderStatus::Failed, Some("out-of-stock"))
    );
    assert_eq!(found.wish.unwrap().quantity, 1, "what was asked for stays known");
}

#[tokio::test]
async fn an_outcome_may_come_before_the_order_is_stored() {
    let (_folder, orders) = opened();
    let order = order("k", 1);
    let id = &order.order.order_id;
    assert!(orders.settle(id, CONFIRMED, Some(0)).await.unwrap());
    assert_eq!(orders.known(&order, Some("k")).unwrap(), None, "an answer is still owed");
    let stored = accept(&orders, &order).await;
    assert_eq!((stored.status, stored.wish.is_some()), (OrderStatus::Confirmed, true));
    assert_eq!(orders.find(id).unwrap(), Some(stored));
}

#[tokio::test]
async fn a_key_and_an_id_belong_to_one_order() {
    let (_folder, orders) = opened();
    let first = order("k", 1);
    accept(&orders, &first).await;
    assert!(orders.known(&first, Some("k")).unwrap().is_some());
    let refused = |order: &NewOrder, key| orders.known(order, key).unwrap_err();
    for problem in [
        refused(&order("k", 2), Some("k")),
        refused(&order("k", 2), None),
        refused(&order("another", 1), Some("k")),
    ] {
        assert_eq!(problem.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(problem.slug(), "key-reused");
    }
    assert_eq!(orders.known(&order("another", 1), Some("another")).unwrap(), None);
}

#[tokio::test]
async fn a_key_that_another_instance_has_heard_of_belongs_to_that_order() {
    let (_folder, orders) = opened();
    let first = order("k", 1);
    let (order_id, wish) = (first.order.order_id.clone(), Some(Wish::of(&first.order)));
    let news = News { order_id, progress: Progress::Placed, wish, created_at_ms: None };
    orders.note_all(vec![news], |_| Ok(())).await.unwrap();
    assert_eq!(orders.known(&first, Some("k")).unwrap(), None, "an answer is still owed");
    assert_eq!(orders.known(&order("k", 2), Some("k")).unwrap_err().slug(), "key-reused");
}

#[tokio::test]
async fn many_are_accepted_in_one_commit_and_keep_their_outcomes() {
    let (_folder, orders) = opened();
    let many: Vec<NewOrder> = (0..100).map(|i| order(&format!("k#{i}"), 1)).collect();
    let early = &many[7].order.order_id;
    orders.settle(early, CONFIRMED, None).await.unwrap();
    let stored = orders.accepted(&many, Instant::now()).await.unwrap();
    let ids =
        |orders: &mut dyn Iterator<Item = &str>| orders.map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(
        ids(&mut stored.iter().map(|order| order.order_id.as_str())),
        ids(&mut many.iter().map(|order| order.order.order_id.as_str())),
    );
    let settled = stored.iter().filter(|order| order.status == OrderStatus::Confirmed);
    assert_eq!(settled.map(|order| &order.order_id).collect::<Vec<_>>(), [early]);
}

#[test]
fn an_age_is_never_negative_and_needs_a_time() {
    assert_eq!((age(None), age(Some(-1)), age(Some(i64::MAX))), (None, None, None));
    assert!(age(Some(0)).unwrap() > Duration::from_secs(1));
}
