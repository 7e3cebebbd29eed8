//! Tests of the store from outside: one program, so that it is linked once.

mod damage;
mod durability;
mod reserving;
mod tables;

use std::path::PathBuf;

use order_store::Store;

/// A store in a folder of its own, which goes with the first value.
fn opened() -> (tempfile::TempDir, PathBuf, Store) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/down.redb");
    let store = Store::open(&path).unwrap();
    (folder, path, store)
}
