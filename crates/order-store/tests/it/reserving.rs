//! Stock is never below zero, and an order takes its pieces once.

use std::collections::HashMap;

use order_store::inventory::{DECISIONS_MAX, Decision, decision, decisions, levels, reserve_once};
use order_store::{Store, StoreError};
use orders::{FailureReason, InventoryOutcome, Menu, MenuItem, Order, SimulatedRefusals, Stock};
use proptest::prelude::*;

use crate::opened;

fn menu(pieces: u32) -> Menu {
    let item = |stock| MenuItem { price: 1.0, stock };
    let items = [("few", Stock::Pieces(pieces)), ("many", Stock::Unlimited)];
    Menu::new(items.map(|(name, stock)| (name.to_owned(), item(stock)))).unwrap()
}

fn order(id: &str, item: &str, quantity: i32) -> Order {
    Order { quantity, ..Order::new(id, item, 1.0) }
}

fn reserve(store: &Store, menu: &Menu, order: &Order) -> Result<Decision, StoreError> {
    let (menu, order) = (menu.clone(), order.clone());
    store.change_blocking(move |rows| reserve_once(rows, &menu, SimulatedRefusals::OFF, &order, 7))
}

#[test]
fn an_order_that_comes_again_gets_the_same_answer_and_takes_nothing() {
    let (_folder, path, store) = opened();
    let menu = menu(3);
    let first = reserve(&store, &menu, &order("o-1", "few", 2)).unwrap();
    assert_eq!((first.outcome, first.is_first), (InventoryOutcome::Reserved, true));
    let out = InventoryOutcome::Failed(FailureReason::OutOfStock);
    assert_eq!(reserve(&store, &menu, &order("o-2", "few", 2)).unwrap().outcome, out);
    drop(store);
    let store = Store::open(&path).unwrap();
    for (id, outcome) in [("o-1", InventoryOutcome::Reserved), ("o-2", out)] {
        let again = reserve(&store, &menu, &order(id, "few", 2)).unwrap();
        let expected =
            Decision { outcome, decided_at_ms: 7, is_first: false, is_other_order: false };
        assert_eq!((again, decision(&store, id)), (expected, Ok(Some(expected))));
    }
    let few = levels(&store, &menu).unwrap().remove(0);
    assert_eq!((few.initial, few.reserved, few.left), (Some(3), 2, Some(1)));
    assert_eq!(decisions(&store), Ok(2));
}

#[test]
fn another_order_under_the_same_id_gets_nothing() {
    let (_folder, _path, store) = opened();
    let menu = menu(3);
    reserve(&store, &menu, &order("o-1", "few", 1)).unwrap();
    let other = reserve(&store, &menu, &order("o-1", "few", 2)).unwrap();
    assert!(other.is_other_order && !other.is_first);
    assert_eq!(levels(&store, &menu).unwrap()[0].reserved, 1);
    const { assert!(DECISIONS_MAX >= 1_000_000, "the horizon that the documents promise") };
}

#[test]
fn stock_that_is_added_to_the_menu_can_be_reserved() {
    let (_folder, _path, store) = opened();
    reserve(&store, &menu(1), &order("o-1", "few", 1)).unwrap();
    let out = InventoryOutcome::Failed(FailureReason::OutOfStock);
    assert_eq!(reserve(&store, &menu(1), &order("o-2", "few", 1)).unwrap().outcome, out);
    let filled = reserve(&store, &menu(2), &order("o-3", "few", 1)).unwrap();
    assert_eq!(filled.outcome, InventoryOutcome::Reserved);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_comes_in_whatever_order_stock_is_conserved(
        pieces in 0_u32..20,
        asked in prop::collection::vec((0_u8..20, prop::bool::ANY, -2_i32..6), 1..40),
    ) {
        let (_folder, path, store) = opened();
        let menu = menu(pieces);
        let mut answers: HashMap<String, InventoryOutcome> = HashMap::new();
        let mut reserved = HashMap::from([("few", 0_u64), ("many", 0)]);
        for (id, is_few, quantity) in asked {
            let (id, item) = (format!("o-{id}"), if is_few { "few" } else { "many" });
            let decision = reserve(&store, &menu, &order(&id, item, quantity)).unwrap();
            prop_assert_eq!(decision.is_first, !answers.contains_key(&id));
            if decision.is_first && decision.outcome == InventoryOutcome::Reserved {
                *reserved.get_mut(item).unwrap() += u64::try_from(quantity).unwrap_or(0);
            }
            prop_assert_eq!(*answers.entry(id).or_insert(decision.outcome), decision.outcome);
        }
        drop(store);
        let store = Store::open(&path).unwrap();
        for level in levels(&store, &menu).unwrap() {
            prop_assert_eq!(level.reserved, reserved[level.item.as_str()]);
            if let (Some(initial), Some(left)) = (level.initial, level.left) {
                prop_assert_eq!(u64::from(initial) - level.reserved, u64::from(left));
            }
        }
    }
}
