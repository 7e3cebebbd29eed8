//! The file, and the one thread that writes it.
//!
//! Changes that come while a commit is on its way to the disk are committed together by the next
//! one: each is durable when it returns, and a busy service pays for one flush per batch.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use redb::{
    Database, DatabaseError, ReadableDatabase as _, ReadableTable as _, ReadableTableMetadata as _,
    TableDefinition, TableError,
};
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot};

use crate::rows::Rows;
use crate::table::Table;

/// Most changes in one commit.
const COMMIT_CHANGES_MAX: usize = 512;
/// Changes that wait for the writer. Who comes then waits for room.
const WAITING_MAX: usize = 1_024;
/// Memory for pages of the file.
const CACHE_BYTES_MAX: usize = 32 << 20;

/// Layout of tables and rows. A file with a higher number was written by a later version.
const FORMAT: u64 = 1;
const FORMAT_TABLE: TableDefinition<'_, &str, u64> = TableDefinition::new("order-store.format");
const FORMAT_KEY: &str = "format";

/// Why something cannot be kept, or read back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file cannot be opened or made.
    #[error("store {path} cannot be opened: {detail}; check its folder, or choose another one")]
    Open {
        /// The file.
        path: String,
        /// What the system says.
        detail: String,
    },
    /// Another process works with it.
    #[error("store {path} is used by another process: stop that process, or choose another folder")]
    InUse {
        /// The file.
        path: String,
    },
    /// It is not a store, or it is damaged.
    #[error(
        "store {path} is damaged or not a store: {detail}; restore it from a copy, or move it away to start with an empty store"
    )]
    Damaged {
        /// The file.
        path: String,
        /// What does not fit.
        detail: String,
    },
    /// A later version of the program has written it.
    #[error(
        "store {path} has format {found}, but this program knows only {FORMAT}: run the newer version"
    )]
    Newer {
        /// The file.
        path: String,
        /// Its format.
        found: u64,
    },
    /// The disk, or what stands on it, fails.
    #[error("the store failed: {0}; check its disk and start again")]
    Failed(String),
    /// A row is not what this program writes.
    #[error(
        "row {key} of table {table} cannot be read: {detail}; was it written by a later version?"
    )]
    Row {
        /// The table.
        table: &'static str,
        /// Its key.
        key: String,
        /// What is wrong with it.
        detail: String,
    },
}

/// A file with tables. Clones share it; it is closed with the last of them.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    database: Arc<Database>,
    has_failed: Arc<AtomicBool>,
    /// Taken when the store is closed.
    writer: Option<(mpsc::Sender<Step>, JoinHandle<()>)>,
}

/// A change, which says whether it is to be applied, and whom to tell about the commit.
type Step = Box<dyn FnOnce(&Rows<'_>) -> (bool, Tell) + Send>;
type Tell = Box<dyn FnOnce(Result<(), StoreError>)>;

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

impl Store {
    /// Opens or makes the file, and the folders above it.
    ///
    /// # Errors
    ///
    /// If it cannot be opened, is in use, damaged, or of a later version.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let name = || path.display().to_string();
        let open = |detail: String| StoreError::Open { path: name(), detail };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| open(error.to_string()))?;
        }
        let database = Database::builder()
            .set_cache_size(CACHE_BYTES_MAX)
            .create(path)
            .map_err(|error| open_error(name(), error))?;
        check_format(&database, &name())?;
        let database = Arc::new(database);
        let has_failed = Arc::new(AtomicBool::new(false));
        let (changes, waiting) = mpsc::channel(WAITING_MAX);
        let theirs = (Arc::clone(&database), Arc::clone(&has_failed));
        let writer = std::thread::Builder::new()
            .name("order-store".to_owned())
            .spawn(move || write_all(&theirs.0, &theirs.1, waiting))
            .map_err(|error| open(error.to_string()))?;
        let writer = Some((changes, writer));
        Ok(Self { shared: Arc::new(Shared { database, has_failed, writer }) })
    }

    /// Whether a commit has failed: nothing can be kept any more until the program starts again.
    pub fn has_failed(&self) -> bool {
        self.shared.has_failed.load(Ordering::Relaxed)
    }

    /// Reads one row, as of the last commit.
    ///
    /// # Errors
    ///
    /// If the disk fails, or the row is not what this program writes.
    pub fn get<T: DeserializeOwned>(
        &self,
        table: Table,
        key: &str,
    ) -> Result<Option<T>, StoreError> {
        let read = || -> Result<Option<Vec<u8>>, redb::Error> {
            let transaction = self.shared.database.begin_read()?;
            let rows = match transaction.open_table(table.rows()) {
                Ok(rows) => rows,
                Err(TableError::TableDoesNotExist(_)) => return Ok(None),
                Err(error) => return Err(error.into()),
            };
            Ok(rows.get(key)?.map(|row| row.value().to_vec()))
        };
        let stored = read().map_err(|error| failed(&error))?;
        stored.map(|stored| parse(table, key, &table.row_of(key, &stored)?)).transpose()
    }

    /// Up to `rows_max` rows of a table with their keys, in the order of the keys, as of the last
    /// commit.
    ///
    /// # Errors
    ///
    /// If the disk fails, or a row is not what this program writes.
    pub fn rows<T: DeserializeOwned>(
        &self,
        table: Table,
        rows_max: usize,
    ) -> Result<Vec<(String, T)>, StoreError> {
        let read = || -> Result<Vec<(String, Vec<u8>)>, redb::Error> {
            let transaction = self.shared.database.begin_read()?;
            let rows = match transaction.open_table(table.rows()) {
                Ok(rows) => rows,
                Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
                Err(error) => return Err(error.into()),
            };
            let row =
                |row: Result<(redb::AccessGuard<'_, &str>, redb::AccessGuard<'_, &[u8]>), _>| {
                    row.map(|(key, row)| (key.value().to_owned(), row.value().to_vec()))
                };
            Ok(rows.iter()?.take(rows_max).map(row).collect::<Result<_, redb::StorageError>>()?)
        };
        let stored = read().map_err(|error| failed(&error))?;
        let row = |(key, stored): (String, Vec<u8>)| {
            let row = parse(table, &key, &table.row_of(&key, &stored)?)?;
            Ok((key, row))
        };
        stored.into_iter().map(row).collect()
    }

    /// Number of rows of a table, as of the last commit.
    ///
    /// # Errors
    ///
    /// If the disk fails.
    pub fn len(&self, table: Table) -> Result<u64, StoreError> {
        let read = || -> Result<u64, redb::Error> {
            let transaction = self.shared.database.begin_read()?;
            match transaction.open_table(table.rows()) {
                Ok(rows) => Ok(rows.len()?),
                Err(TableError::TableDoesNotExist(_)) => Ok(0),
                Err(error) => Err(error.into()),
            }
        };
        read().map_err(|error| failed(&error))
    }

    /// Makes a change, and returns what it says when it is durable. A step that fails changes
    /// nothing.
    ///
    /// # Errors
    ///
    /// If the step fails, or the commit: then it is not known whether the change is kept.
    ///
    /// # Cancel safety
    ///
    /// A change that is waited for no longer is made all the same.
    pub async fn change<R: Send + 'static>(
        &self,
        step: impl FnOnce(&Rows<'_>) -> Result<R, StoreError> + Send + 'static,
    ) -> Result<R, StoreError> {
        let (step, result) = prepared(step);
        self.changes().send(step).await.map_err(|_| gone())?;
        result.await.map_err(|_| gone())?
    }

    /// As [`Store::change`], for a thread that may wait.
    ///
    /// # Errors
    ///
    /// As [`Store::change`].
    ///
    /// # Panics
    ///
    /// If it is called inside an async runtime.
    pub fn change_blocking<R: Send + 'static>(
        &self,
        step: impl FnOnce(&Rows<'_>) -> Result<R, StoreError> + Send + 'static,
    ) -> Result<R, StoreError> {
        let (step, result) = prepared(step);
        self.changes().blocking_send(step).map_err(|_| gone())?;
        result.blocking_recv().map_err(|_| gone())?
    }

    fn changes(&self) -> &mpsc::Sender<Step> {
        let (changes, _) = self.shared.writer.as_ref().expect("it is taken in drop only");
        changes
    }
}

impl Drop for Shared {
    /// Waits for the last commit, so that the file is free when the store is gone.
    fn drop(&mut self) {
        if let Some((changes, writer)) = self.writer.take() {
            drop(changes);
            // It has told everybody who waited; a panic of it has nothing to add.
            let _ = writer.join();
        }
    }
}

fn prepared<R: Send + 'static>(
    step: impl FnOnce(&Rows<'_>) -> Result<R, StoreError> + Send + 'static,
) -> (Step, oneshot::Receiver<Result<R, StoreError>>) {
    let (sender, receiver) = oneshot::channel();
    let step: Step = Box::new(move |rows| {
        let result = step(rows);
        let is_ok = result.is_ok();
        let tell: Tell = Box::new(move |committed| {
            // Nobody may be waiting any more.
            let _ = sender.send(committed.and(result));
        });
        (is_ok, tell)
    });
    (step, receiver)
}

/// Makes changes until nobody can ask for any, as many at a time as are waiting.
fn write_all(database: &Database, has_failed: &AtomicBool, mut waiting: mpsc::Receiver<Step>) {
    let mut steps = Vec::with_capacity(COMMIT_CHANGES_MAX);
    while waiting.blocking_recv_many(&mut steps, COMMIT_CHANGES_MAX) > 0 {
        let changes = steps.len();
        let mut tells = Vec::with_capacity(changes);
        let committed = commit(database, steps.drain(..), &mut tells);
        if let Err(error) = &committed {
            has_failed.store(true, Ordering::Relaxed);
            tracing::error!(%error, changes, "changes were not committed");
        }
        for tell in tells {
            tell(committed.clone());
        }
    }
}

/// Steps that are not reached are dropped, which tells those who wait for them.
fn commit(
    database: &Database,
    steps: impl Iterator<Item = Step>,
    tells: &mut Vec<Tell>,
) -> Result<(), StoreError> {
    let transaction = database.begin_write().map_err(|error| failed(&error))?;
    for step in steps {
        let rows = Rows::new(&transaction);
        let (is_ok, tell) = step(&rows);
        tells.push(tell);
        if is_ok {
            rows.apply().map_err(|error| failed(&error))?;
        }
    }
    transaction.commit().map_err(|error| failed(&error))
}

fn check_format(database: &Database, path: &str) -> Result<(), StoreError> {
    let check = || -> Result<u64, redb::Error> {
        let transaction = database.begin_write()?;
        let found = {
            let mut format = transaction.open_table(FORMAT_TABLE)?;
            let found = format.get(FORMAT_KEY)?.map(|found| found.value());
            if found.is_none() {
                format.insert(FORMAT_KEY, FORMAT)?;
            }
            found
        };
        match found {
            Some(_) => transaction.abort()?,
            None => transaction.commit()?,
        }
        Ok(found.unwrap_or(FORMAT))
    };
    let found = check().map_err(|error| StoreError::Damaged {
        path: path.to_owned(),
        detail: error.to_string(),
    })?;
    if found > FORMAT { Err(StoreError::Newer { path: path.to_owned(), found }) } else { Ok(()) }
}

fn open_error(path: String, error: DatabaseError) -> StoreError {
    use redb::StorageError::{Corrupted, Io};
    match error {
        DatabaseError::DatabaseAlreadyOpen => StoreError::InUse { path },
        DatabaseError::Storage(Corrupted(detail)) => StoreError::Damaged { path, detail },
        DatabaseError::Storage(Io(error))
            if matches!(
                error.kind(),
                std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof
            ) =>
        {
            StoreError::Damaged { path, detail: error.to_string() }
        }
        DatabaseError::Storage(error) => StoreError::Open { path, detail: error.to_string() },
        error => StoreError::Damaged { path, detail: error.to_string() },
    }
}

fn gone() -> StoreError {
    StoreError::Failed("the store no longer accepts writes".to_owned())
}

pub(crate) fn failed(error: &dyn fmt::Display) -> StoreError {
    StoreError::Failed(error.to_string())
}

pub(crate) fn parse<T: DeserializeOwned>(
    table: Table,
    key: &str,
    bytes: &[u8],
) -> Result<T, StoreError> {
    serde_json::from_slice(bytes).map_err(|error| StoreError::Row {
        table: table.name,
        key: key.to_owned(),
        detail: error.to_string(),
    })
}
