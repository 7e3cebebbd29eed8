//! A file that cannot be used says so, and names what to do.

use std::fs;

use order_store::{Store, StoreError};

use crate::opened;

#[test]
fn a_file_has_one_owner() {
    let (_folder, path, store) = opened();
    assert!(matches!(Store::open(&path), Err(StoreError::InUse { .. })));
    drop(store);
    assert!(Store::open(&path).is_ok());
}

#[test]
fn a_file_of_something_else_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    fs::write(&path, "shopping list\n".repeat(1_000)).unwrap();
    let error = Store::open(&path).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
    assert!(error.to_string().contains("notes.txt"), "{error}");
}

#[test]
fn a_file_that_was_cut_is_refused() {
    let (_folder, path, store) = opened();
    drop(store);
    let bytes = fs::read(&path).unwrap();
    for kept in [100, bytes.len() / 2] {
        fs::write(&path, &bytes[..kept]).unwrap();
        let error = Store::open(&path).unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{kept}: {error:?}");
    }
}

#[test]
fn a_file_of_a_later_version_is_refused() {
    let (_folder, path, store) = opened();
    drop(store);
    let database = redb::Database::open(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    let format = redb::TableDefinition::<&str, u64>::new("order-store.format");
    transaction.open_table(format).unwrap().insert("format", 2).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let error = Store::open(&path).unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 2, .. }), "{error:?}");
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let error = Store::open("/dev/null/shop/store.redb".as_ref()).unwrap_err();
    assert!(matches!(error, StoreError::Open { .. }), "{error:?}");
}
