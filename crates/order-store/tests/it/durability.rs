//! What was answered is on the disk: under `kill -9` at any moment.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use order_store::Store;
use order_store::inventory::{decision, decisions, levels, reserve_once};
use orders::{InventoryOutcome, Menu, MenuItem, Order, SimulatedRefusals, Stock};

/// Where the child finds its store; the parent has no such variable.
const CHILD_STORE: &str = "ORDER_STORE_TEST_CHILD";

fn menu() -> Menu {
    let item = MenuItem { price: 1.0, stock: Stock::Pieces(1_000_000) };
    Menu::new([("burger".to_owned(), item)]).unwrap()
}

/// Four threads reserve without end, and say each order whose reservation has returned.
fn reserve_for_ever(path: &Path) -> ! {
    let store = Store::open(path).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let store = store.clone();
            scope.spawn(move || {
                for n in 0_u64.. {
                    let id = format!("o-{thread}-{n}");
                    let order = Order::new(id.as_str(), "burger", 1.0);
                    let step = move |rows: &order_store::Rows<'_>| {
                        reserve_once(rows, &menu(), SimulatedRefusals::OFF, &order, 7)
                    };
                    store.change_blocking(step).unwrap();
                    println!("reserved {id}");
                }
            });
        }
    });
    unreachable!("the threads have no end")
}

#[test]
fn a_reservation_that_was_answered_survives_a_kill_and_none_is_half_there() {
    if let Some(path) = std::env::var_os(CHILD_STORE) {
        reserve_for_ever(path.as_ref());
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let mut answered = Vec::new();
    for round in 1..=5 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", "durability::a_reservation_that_was_answered_survives_a_kill_and_none_is_half_there"])
            .env(CHILD_STORE, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ids = lines
            .map_while(Result::ok)
            .filter_map(|line| line.split_once("reserved ").map(|(_, id)| id.to_owned()));
        answered.extend(ids.take(200 * round));
        child.kill().unwrap();
        child.wait().unwrap();

        let store = Store::open(&path).unwrap();
        for id in &answered {
            let found = decision(&store, id).unwrap().map(|decision| decision.outcome);
            assert_eq!(found, Some(InventoryOutcome::Reserved), "round {round}: {id}");
        }
        let reserved = levels(&store, &menu()).unwrap()[0].reserved;
        assert_eq!(reserved, decisions(&store).unwrap(), "round {round}: one piece per decision");
    }
    assert_eq!(answered.len(), 3_000, "the child was killed in the middle of its work");
}
