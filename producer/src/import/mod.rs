//! Orders from a CSV or JSON Lines file, or from standard input.
//!
//! The file is read by a thread of its own: reading may block (a pipe, a terminal), and the program
//! must still stop when asked to. What it reads goes through a short channel, so that memory does
//! not depend on the size of the file.

mod convert;
mod csv_rows;
mod error;
pub(crate) mod foreign;
mod header;
mod lines;
mod parcels;
mod rejects;
mod rows;

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;
use std::vec;

use orders::Order;

pub use convert::PriceRules;
pub use error::InputError;
pub use header::{FieldMap, FieldMapError};
pub use rejects::{RejectsFile, RejectsMode, is_input};

use self::parcels::{PARCELS_MAX, Parcels};
use crate::source::{Next, Source};

/// Form of the input.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum InputFormat {
    /// Comma-separated values with a header line.
    Csv,
    /// One JSON object per line.
    Jsonl,
}

/// Where rows come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Standard input.
    Stdin,
    /// A file.
    File(PathBuf),
}

impl std::fmt::Display for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stdin => f.write_str("standard input"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// What is imported and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportSettings {
    /// Where rows come from.
    pub input: Input,
    /// Their form.
    pub format: InputFormat,
    /// Which column or key holds which field of an order.
    pub map: FieldMap,
    /// What separates the fields of a CSV row; by the `sep=` line or the header if it is not given.
    pub delimiter: Option<u8>,
    /// How prices are read.
    pub prices: PriceRules,
    /// So many rows are left out: those that an earlier part of the import has taken.
    pub skip_rows: u64,
}

/// A row as it stands in the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowText {
    /// Number of its first line in the file, from 1.
    pub line: u64,
    /// The row without its line end.
    pub raw: Vec<u8>,
}

/// A row that is an order.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportedRow {
    /// The order.
    pub order: Order,
    /// What it was made of.
    pub row: RowText,
    /// What becomes of its price, if the record cannot carry it as it is.
    pub loss: Option<String>,
}

/// A row that cannot become an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedRow {
    /// Number of its first line in the file, from 1.
    pub line: u64,
    /// Why.
    pub reason: String,
    /// The row as it stands in the file, without its line end; only the start if it is too long, and
    /// only the first line if a quote in it is never closed.
    pub raw: Vec<u8>,
}

#[derive(Debug)]
enum Message {
    Opened,
    Row(ImportedRow),
    Rejected(RejectedRow),
    Failed(InputError),
}

/// The rows of an input as orders.
#[derive(Debug)]
pub struct Importer {
    messages: Receiver<Vec<Message>>,
    /// What came last and was not asked for yet.
    received: vec::IntoIter<Message>,
    bytes_read: Arc<AtomicU64>,
    bytes_total: Option<u64>,
}

impl Importer {
    /// Starts to read.
    ///
    /// # Errors
    ///
    /// Fails if no thread can be started. Whether the input is there shows at
    /// [`wait_until_open`](Self::wait_until_open).
    pub fn start(settings: ImportSettings) -> io::Result<Self> {
        let (sender, messages) = sync_channel(PARCELS_MAX);
        let bytes_read = Arc::new(AtomicU64::new(0));
        let bytes_total = match &settings.input {
            Input::File(path) => {
                path.metadata().ok().filter(std::fs::Metadata::is_file).map(|file| file.len())
            }
            Input::Stdin => None,
        };
        let counter = Arc::clone(&bytes_read);
        thread::Builder::new().name("import".to_owned()).spawn(move || {
            let parcels = Rc::new(Parcels::new(sender));
            let read = read_all(&settings, counter, &parcels);
            // The receiver is gone when the program stops; then nobody wants to know.
            let _ = match read {
                Ok(()) => parcels.dispatch(),
                Err(error) => {
                    parcels.put(Message::Failed(error), 0).and_then(|()| parcels.dispatch())
                }
            };
        })?;
        Ok(Self { messages, received: Vec::new().into_iter(), bytes_read, bytes_total })
    }

    /// Waits until the input is open and its header understood, as long as `keep_waiting` says so
    /// (a pipe opens only when its other side does). Returns whether it is open.
    ///
    /// # Errors
    ///
    /// Fails if the input cannot be opened or its header does not fit the mapping.
    pub fn wait_until_open(&mut self, keep_waiting: impl Fn() -> bool) -> Result<bool, InputError> {
        const SLICE: Duration = Duration::from_millis(50);
        loop {
            match self.receive(SLICE) {
                Ok(Message::Opened) => return Ok(true),
                Ok(Message::Failed(error)) => return Err(error),
                // Rows follow only after `Opened`.
                Ok(Message::Row(_) | Message::Rejected(_)) => {}
                Err(RecvTimeoutError::Timeout) if keep_waiting() => {}
                Err(_) => return Ok(false),
            }
        }
    }

    fn receive(&mut self, limit: Duration) -> Result<Message, RecvTimeoutError> {
        loop {
            if let Some(message) = self.received.next() {
                return Ok(message);
            }
            self.received = self.messages.recv_timeout(limit)?.into_iter();
        }
    }

    /// Returns how many bytes have been read.
    #[must_use]
    pub fn bytes_read(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.bytes_read)
    }

    /// Returns the size of the input in bytes, if it is known.
    #[must_use]
    pub fn bytes_total(&self) -> Option<u64> {
        self.bytes_total
    }
}

impl Source for Importer {
    fn next(&mut self, limit: Duration) -> Next {
        match self.receive(limit) {
            Ok(Message::Row(row)) => Next::Row(row),
            Ok(Message::Rejected(row)) => Next::Rejected(row),
            Ok(Message::Failed(error)) => Next::Failed(error),
            Ok(Message::Opened) | Err(RecvTimeoutError::Timeout) => Next::Pending,
            Err(RecvTimeoutError::Disconnected) => Next::End,
        }
    }
}

/// Counts bytes on their way. Rows do not wait while more is read, which may take long.
struct Counting<R> {
    inner: R,
    count: Arc<AtomicU64>,
    parcels: Rc<Parcels>,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // Where nobody takes them any more, the next row finds out.
        let _ = self.parcels.dispatch();
        let length = self.inner.read(buffer)?;
        self.count.fetch_add(length as u64, Ordering::Relaxed);
        Ok(length)
    }
}

fn read_all(
    settings: &ImportSettings,
    count: Arc<AtomicU64>,
    parcels: &Rc<Parcels>,
) -> Result<(), InputError> {
    let input = settings.input.to_string();
    let inner: Box<dyn Read> = match &settings.input {
        Input::Stdin => Box::new(io::stdin()),
        Input::File(path) => {
            let opened = File::open(path).and_then(|file| {
                if file.metadata()?.is_dir() {
                    return Err(io::Error::from(io::ErrorKind::IsADirectory));
                }
                Ok(file)
            });
            Box::new(opened.map_err(|source| InputError::Open { input: input.clone(), source })?)
        }
    };
    let lines = lines::Lines::new(Counting { inner, count, parcels: Rc::clone(parcels) });
    let rows = rows::Rows::new(settings, parcels);
    match settings.format {
        InputFormat::Csv => rows.send_csv(lines),
        InputFormat::Jsonl => rows.send_jsonl(lines),
    }
}
