//! What one change sees and changes.

use std::cell::RefCell;
use std::collections::BTreeMap;

use redb::ReadableTable as _;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::store::{StoreError, failed, parse};
use crate::table::Table;

/// The state after all changes before this one, and this one's own so far. They take effect
/// together, if the step succeeds.
pub struct Rows<'a> {
    transaction: &'a redb::WriteTransaction,
    own: RefCell<BTreeMap<RowKey, Option<Vec<u8>>>>,
}

/// Of a row that the step has put, or removed.
type RowKey = (Table, String);

impl<'a> Rows<'a> {
    pub(crate) fn new(transaction: &'a redb::WriteTransaction) -> Self {
        Self { transaction, own: RefCell::default() }
    }

    /// Reads a row.
    ///
    /// # Errors
    ///
    /// If the disk fails, or the row is not what this program writes.
    pub fn get<T: DeserializeOwned>(
        &self,
        table: Table,
        key: &str,
    ) -> Result<Option<T>, StoreError> {
        if let Some(own) = self.own.borrow().get(&(table, key.to_owned())) {
            return own.as_deref().map(|bytes| parse(table, key, bytes)).transpose();
        }
        let read = || -> Result<Option<Vec<u8>>, redb::Error> {
            let rows = self.transaction.open_table(table.rows())?;
            Ok(rows.get(key)?.map(|row| row.value().to_vec()))
        };
        let stored = read().map_err(|error| failed(&error))?;
        stored.map(|stored| parse(table, key, &table.row_of(key, &stored)?)).transpose()
    }

    /// Writes a row.
    ///
    /// # Errors
    ///
    /// If the row is nothing that JSON can say.
    pub fn put<T: Serialize>(&self, table: Table, key: &str, row: &T) -> Result<(), StoreError> {
        let bytes = serde_json::to_vec(row).map_err(|error| failed(&error))?;
        self.own.borrow_mut().insert((table, key.to_owned()), Some(bytes));
        Ok(())
    }

    /// Removes a row, if it is there.
    pub fn remove(&self, table: Table, key: &str) {
        self.own.borrow_mut().insert((table, key.to_owned()), None);
    }

    /// Writes what the step has changed into the transaction.
    pub(crate) fn apply(self) -> Result<(), redb::Error> {
        for ((table, key), row) in self.own.into_inner() {
            table.apply(self.transaction, &key, row.as_deref())?;
        }
        Ok(())
    }
}
