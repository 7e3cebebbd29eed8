//! Rows: what a change sees, what it leaves, and how many are kept.

use order_store::{Rows, Store, StoreError, Table};

use crate::opened;

const NUMBERS: Table = Table::named("numbers");
const LAST_THREE: Table = Table::bounded("last-three", 3);

fn add_one(rows: &Rows<'_>) -> Result<u32, StoreError> {
    let number = rows.get::<u32>(NUMBERS, "n")?.unwrap_or(0) + 1;
    rows.put(NUMBERS, "n", &number)?;
    Ok(number)
}

fn put(store: &Store, key: &'static str) {
    store.change_blocking(move |rows| rows.put(LAST_THREE, key, &key)).unwrap();
}

fn kept(store: &Store) -> Vec<&'static str> {
    let is_kept = |key: &&str| store.get::<String>(LAST_THREE, key).unwrap().is_some();
    ["a", "b", "c", "d", "e"].into_iter().filter(is_kept).collect()
}

#[tokio::test]
async fn changes_see_each_other_whatever_commit_they_share() {
    let (_folder, path, store) = opened();
    let all: Vec<_> = (0..1_000)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.change(add_one).await })
        })
        .collect();
    let mut seen = Vec::new();
    for task in all {
        seen.push(task.await.unwrap().unwrap());
    }
    seen.sort_unstable();
    assert_eq!(seen, (1..=1_000).collect::<Vec<_>>());
    drop(store);
    let reopened = Store::open(&path).unwrap();
    assert_eq!(reopened.get::<u32>(NUMBERS, "n"), Ok(Some(1_000)));
}

#[test]
fn a_step_that_fails_leaves_nothing_and_harms_no_other() {
    let (_folder, _path, store) = opened();
    store.change_blocking(add_one).unwrap();
    let wrong = store.change_blocking(|rows| {
        rows.put(NUMBERS, "other", &7)?;
        rows.remove(NUMBERS, "n");
        rows.put(NUMBERS, "text", &"seven")?;
        rows.get::<u32>(NUMBERS, "text")
    });
    assert!(matches!(wrong, Err(StoreError::Row { .. })), "{wrong:?}");
    assert_eq!(store.get::<u32>(NUMBERS, "other"), Ok(None));
    assert_eq!(store.change_blocking(add_one), Ok(2));
}

#[test]
fn a_step_sees_what_it_has_put_and_removed() {
    let (_folder, _path, store) = opened();
    let seen = store.change_blocking(|rows| {
        rows.put(NUMBERS, "n", &1)?;
        let put = rows.get::<u32>(NUMBERS, "n")?;
        rows.remove(NUMBERS, "n");
        Ok((put, rows.get::<u32>(NUMBERS, "n")?))
    });
    assert_eq!(seen, Ok((Some(1), None)));
    assert_eq!(store.get::<u32>(NUMBERS, "n"), Ok(None));
}

#[test]
fn of_a_bounded_table_the_rows_go_that_were_put_first() {
    let (_folder, path, store) = opened();
    for key in ["a", "b", "c"] {
        put(&store, key);
    }
    // Put again, a keeps its place: it is the oldest.
    put(&store, "a");
    assert_eq!(kept(&store), ["a", "b", "c"]);
    put(&store, "d");
    assert_eq!(kept(&store), ["b", "c", "d"]);
    let remove = |rows: &Rows<'_>| {
        rows.remove(LAST_THREE, "c");
        Ok(())
    };
    store.change_blocking(remove).unwrap();
    drop(store);
    let store = Store::open(&path).unwrap();
    put(&store, "e");
    assert_eq!(kept(&store), ["b", "d", "e"]);
    assert_eq!(store.len(LAST_THREE), Ok(3));
    put(&store, "a");
    assert_eq!(kept(&store), ["a", "d", "e"]);
}
