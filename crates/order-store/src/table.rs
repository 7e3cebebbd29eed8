//! Tables and what their rows look like in the file.

use redb::{ReadableTable, TableDefinition};

use crate::store::StoreError;

/// A table, by name: text to a row that serde knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Table {
    pub(crate) name: &'static str,
    pub(crate) rows_max: Option<u64>,
}

/// What stands before the row in the file: when it was first put, among all rows of its table.
const SEQUENCE_BYTES: usize = 8;

impl Table {
    /// A table that keeps everything: its keys must be few by nature.
    pub const fn named(name: &'static str) -> Self {
        Self { name, rows_max: None }
    }

    /// A table that keeps `rows_max` rows. When one more is put, the one goes that was put
    /// first; a row that is put again keeps its place.
    pub const fn bounded(name: &'static str, rows_max: u64) -> Self {
        Self { name, rows_max: Some(rows_max) }
    }

    pub(crate) const fn rows(self) -> TableDefinition<'static, &'static str, &'static [u8]> {
        TableDefinition::new(self.name)
    }

    /// Name of the table of keys in the order in which they came.
    fn order_name(self) -> String {
        format!("{}.order", self.name)
    }

    /// Reads a row's bytes out of what stands in the file.
    pub(crate) fn row_of(self, key: &str, stored: &[u8]) -> Result<Vec<u8>, StoreError> {
        stored.get(SEQUENCE_BYTES..).map(<[u8]>::to_vec).ok_or_else(|| StoreError::Row {
            table: self.name,
            key: key.to_owned(),
            detail: "it is too short".to_owned(),
        })
    }

    /// Writes or removes one row; drops what is beyond the limit.
    pub(crate) fn apply(
        self,
        transaction: &redb::WriteTransaction,
        key: &str,
        row: Option<&[u8]>,
    ) -> Result<(), redb::Error> {
        let order_name = self.order_name();
        let mut rows = transaction.open_table(self.rows())?;
        let mut order =
            transaction.open_table(TableDefinition::<u64, &str>::new(order_name.as_str()))?;
        let before = rows.get(key)?.and_then(|stored| sequence_of(stored.value()));
        let Some(row) = row else {
            rows.remove(key)?;
            if let Some(sequence) = before {
                order.remove(sequence)?;
            }
            return Ok(());
        };
        let sequence = match before {
            Some(sequence) => sequence,
            None => {
                let last = order.last()?.map_or(0, |(last, _)| last.value());
                order.insert(last + 1, key)?;
                last + 1
            }
        };
        let stored = [sequence.to_be_bytes().as_slice(), row].concat();
        rows.insert(key, stored.as_slice())?;
        if self.rows_max.is_some_and(|max| order_len(&order).is_ok_and(|len| len > max)) {
            let oldest = order.pop_first()?.map(|(_, key)| key.value().to_owned());
            if let Some(oldest) = oldest {
                rows.remove(oldest.as_str())?;
            }
        }
        Ok(())
    }
}

fn order_len(order: &redb::Table<'_, u64, &'static str>) -> Result<u64, redb::StorageError> {
    use redb::ReadableTableMetadata as _;
    order.len()
}

fn sequence_of(stored: &[u8]) -> Option<u64> {
    stored.first_chunk::<SEQUENCE_BYTES>().copied().map(u64::from_be_bytes)
}
