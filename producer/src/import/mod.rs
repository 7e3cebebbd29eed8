//! Orders from a CSV or JSON Lines file, or from standard input.
//!
//! The file is read by a thread of its own: reading may block (a pipe, a terminal), and the program
//! must still stop when asked to. What it reads goes through a short channel, so that memory does
//! not depend on the size of the file.

mod convert;
mod csv_rows;
mod lines;
mod rejects;

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use orders::Order;

pub use convert::{FieldMap, FieldMapError};
pub use rejects::RejectsFile;

use crate::source::{Next, Outgoing, Source};

/// Rows between the reading thread and the sending one. A row may be a mebibyte, so this also
/// bounds memory.
const CHANNEL_ROWS_MAX: usize = 64;

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
    /// What separates the fields of a CSV row.
    pub delimiter: u8,
}

/// A row that cannot become an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedRow {
    /// Number of its first line in the file, from 1.
    pub line: u64,
    /// Why.
    pub reason: String,
    /// The row as it stands in the file, without its line end; only the start if it is too long.
    pub raw: Vec<u8>,
}

/// Why the whole input cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// It cannot be opened.
    #[error("{input} cannot be opened: {source}")]
    Open {
        /// The input.
        input: String,
        /// What the operating system says.
        source: io::Error,
    },
    /// Reading failed on the way.
    #[error("{input} cannot be read after line {line}: {source}")]
    Read {
        /// The input.
        input: String,
        /// Last line that was read.
        line: u64,
        /// What the operating system says.
        source: io::Error,
    },
    /// A CSV file has no header line.
    #[error("{input} has no header line; the first line of a CSV file must name its columns")]
    NoHeader {
        /// The input.
        input: String,
    },
    /// The header is no CSV row.
    #[error("the header line of {input} is broken: {reason}")]
    BrokenHeader {
        /// The input.
        input: String,
        /// Why.
        reason: String,
    },
    /// A column is not in the header.
    #[error("{input}: {source}")]
    Columns {
        /// The input.
        input: String,
        /// Which column.
        source: FieldMapError,
    },
}

impl InputError {
    /// Returns whether the settings are to blame (exit code 2) and not the machine.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        !matches!(self, Self::Read { .. })
    }
}

enum Message {
    Opened,
    Order(Order),
    Rejected(RejectedRow),
    Failed(InputError),
}

/// The rows of an input as orders.
#[derive(Debug)]
pub struct Importer {
    messages: Receiver<Message>,
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
        let (sender, messages) = sync_channel(CHANNEL_ROWS_MAX);
        let bytes_read = Arc::new(AtomicU64::new(0));
        let bytes_total = match &settings.input {
            Input::File(path) => {
                path.metadata().ok().filter(std::fs::Metadata::is_file).map(|file| file.len())
            }
            Input::Stdin => None,
        };
        let counter = Arc::clone(&bytes_read);
        thread::Builder::new().name("import".to_owned()).spawn(move || {
            if let Err(error) = read_all(&settings, counter, &sender) {
                // The receiver is gone when the program stops; then nobody wants to know.
                let _ = sender.send(Message::Failed(error));
            }
        })?;
        Ok(Self { messages, bytes_read, bytes_total })
    }

    /// Waits until the input is open and its header understood, as long as `keep_waiting` says so
    /// (a pipe opens only when its other side does). Returns whether it is open.
    ///
    /// # Errors
    ///
    /// Fails if the input cannot be opened or its header does not fit the mapping.
    pub fn wait_until_open(&self, keep_waiting: impl Fn() -> bool) -> Result<bool, InputError> {
        const SLICE: Duration = Duration::from_millis(50);
        loop {
            match self.messages.recv_timeout(SLICE) {
                Ok(Message::Opened) => return Ok(true),
                Ok(Message::Failed(error)) => return Err(error),
                // Rows follow only after `Opened`.
                Ok(Message::Order(_) | Message::Rejected(_)) => {}
                Err(RecvTimeoutError::Timeout) if keep_waiting() => {}
                Err(_) => return Ok(false),
            }
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
        match self.messages.recv_timeout(limit) {
            Ok(Message::Order(order)) => Next::Order(Outgoing { order, defect: None }),
            Ok(Message::Rejected(row)) => Next::Rejected(row),
            Ok(Message::Failed(error)) => Next::Failed(error),
            Ok(Message::Opened) | Err(RecvTimeoutError::Timeout) => Next::Pending,
            Err(RecvTimeoutError::Disconnected) => Next::End,
        }
    }
}

/// Counts bytes on their way.
struct Counting<R> {
    inner: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.count.fetch_add(length as u64, Ordering::Relaxed);
        Ok(length)
    }
}

fn read_all(
    settings: &ImportSettings,
    count: Arc<AtomicU64>,
    sender: &SyncSender<Message>,
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
    let lines = lines::Lines::new(Counting { inner, count });
    match settings.format {
        InputFormat::Csv => {
            let rows = csv_rows::CsvRows::new(lines, settings.delimiter);
            convert::from_csv(&input, rows, &settings.map, sender)
        }
        InputFormat::Jsonl => convert::from_jsonl(&input, lines, &settings.map, sender),
    }
}
