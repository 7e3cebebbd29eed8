//! What a run prints: deliveries and results on stdout, progress on stderr.
//!
//! On a terminal progress is a view at its foot, below deliveries and the log; elsewhere it is a line of
//! the log every few seconds.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;
use service_kit::args::{LogFormat, OutputFormat};
use service_kit::fold::{self, Stream};
use service_kit::live::{Leave, Live, above};
use service_kit::output::note;
use service_kit::telemetry::colors_wanted;
use service_kit::terminal::{one_line, tame_json};
use service_kit::unavailable::Reporter;

use crate::import::{RejectedRow, RejectsFile};
use crate::progress::{Goal, Look, Progress};
use crate::send::{Delivered, Listener, Summary, Totals};

/// Without a terminal, progress is a line of the log this often.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);
/// Deliveries that are kept until the view is drawn again: more are written at once.
const PENDING_BYTES_MAX: usize = 64 * 1024;
/// So many failed orders and rejected rows are logged one by one; all of them are counted.
const DETAILS_MAX: u64 = 10;

/// What a run prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsoleSettings {
    /// Format of the results.
    pub output: OutputFormat,
    /// Form of the log.
    pub log_format: LogFormat,
    /// Do not print each delivery.
    pub is_quiet: bool,
    /// Orders of the run, if known.
    pub orders_total: Option<u64>,
    /// Bytes of the input, if known.
    pub bytes_total: Option<u64>,
}

/// Prints deliveries, progress and the summary of a run, and keeps rejected rows.
pub struct Console {
    settings: ConsoleSettings,
    prints_deliveries: bool,
    out: Mutex<Out>,
    shown: Mutex<Shown>,
    rejects: Mutex<Option<RejectsFile>>,
    rejected_shown: AtomicU64,
    failed_shown: AtomicU64,
    bytes_read: Option<Arc<AtomicU64>>,
    kafka: Reporter,
    start: Instant,
}

/// Stdout; once its reader has gone, there is nothing to print any more, and sending goes on.
struct Out {
    stdout: Option<io::Stdout>,
    pending: Vec<u8>,
    flushes_each_line: bool,
}

struct Shown {
    progress: Progress,
    live: Option<Live>,
    is_colored: bool,
    logged_at: Instant,
}

impl std::fmt::Debug for Console {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Console").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Console {
    /// Returns the console of one run. `kafka` reports whether brokers are reachable.
    #[must_use]
    pub fn new(
        settings: ConsoleSettings,
        bytes_read: Option<Arc<AtomicU64>>,
        kafka: Reporter,
    ) -> Self {
        let prints_deliveries = !settings.is_quiet && settings.output != OutputFormat::Json;
        let live = Live::on_stderr(settings.log_format);
        let now = Instant::now();
        Self {
            settings,
            prints_deliveries,
            out: Mutex::new(Out {
                stdout: Some(io::stdout()),
                pending: Vec::new(),
                // Below a view, lines wait for its next change: each of them would draw it again.
                flushes_each_line: io::stdout().is_terminal() && live.is_none(),
            }),
            shown: Mutex::new(Shown {
                progress: Progress::new(settings.goal()),
                live,
                is_colored: colors_wanted(),
                logged_at: now,
            }),
            rejects: Mutex::new(None),
            rejected_shown: AtomicU64::new(0),
            failed_shown: AtomicU64::new(0),
            bytes_read,
            kafka,
            start: now,
        }
    }

    /// From now on rejected rows are kept in this file.
    pub fn keep_rejects(&self, rejects: RejectsFile) {
        *lock(&self.rejects) = Some(rejects);
    }

    /// Prints how the run ended.
    ///
    /// # Errors
    ///
    /// Fails if the file of rejected rows cannot be written.
    pub fn finish(&self, summary: &Summary, seed: Option<u64>) -> io::Result<()> {
        lock(&self.out).flush();
        if let Some(live) = lock(&self.shown).live.take() {
            live.end(Leave::Nothing);
        }
        if let Some(rejects) = lock(&self.rejects).as_mut() {
            rejects.flush()?;
            if summary.totals.rejected > 0 {
                note(&format!(
                    "{} rejected rows are in {}",
                    summary.totals.rejected,
                    rejects.path().display()
                ));
            }
        }
        let Totals { counts, rejected } = summary.totals;
        match self.settings.output {
            OutputFormat::Table => self.print_text(&text(summary.totals)),
            OutputFormat::Jsonl => note(&text(summary.totals)),
            OutputFormat::Json => self.print(
                &json!({
                    "sent": counts.sent,
                    "acknowledged": counts.acknowledged,
                    "failed": counts.failed,
                    "rejected": rejected,
                    "seed": seed,
                })
                .to_string(),
            ),
        }
        lock(&self.out).flush();
        Ok(())
    }

    fn print(&self, line: &str) {
        lock(&self.out).print(line);
    }

    /// Prints a line for people, which fits their terminal.
    fn print_text(&self, line: &str) {
        self.print(&fold::for_stream(line, Stream::Stdout));
    }

    fn show_progress(&self, totals: Totals, unavailable: Option<String>) {
        let bytes_read = self.bytes_read.as_ref().map_or(0, |bytes| bytes.load(Ordering::Relaxed));
        let mut shown = lock(&self.shown);
        let Shown { progress, live, is_colored, logged_at } = &mut *shown;
        progress.note(self.start.elapsed(), Look { totals, bytes_read, unavailable });
        if let Some(live) = live {
            // The last column stays free: what erases the rest of a line takes it along.
            let columns = live.size().columns.saturating_sub(1);
            live.show(progress.lines(columns, *is_colored));
        } else if logged_at.elapsed() >= PROGRESS_INTERVAL {
            *logged_at = Instant::now();
            progress.log();
        }
    }
}

impl ConsoleSettings {
    const fn goal(&self) -> Goal {
        match (self.bytes_total, self.orders_total) {
            (Some(bytes), _) => Goal::Bytes(bytes),
            (None, Some(orders)) => Goal::Orders(orders),
            (None, None) => Goal::Open,
        }
    }
}

impl Listener for Console {
    fn delivered(&self, delivered: &Delivered<'_>) {
        let key = String::from_utf8_lossy(delivered.key);
        match delivered.outcome {
            Ok(placed) if self.prints_deliveries => {
                if self.settings.output == OutputFormat::Jsonl {
                    let delivery = json!({
                        "partition": placed.partition,
                        "offset": placed.offset,
                        "key": key,
                        "order_id": delivered.order_id,
                    });
                    self.print(&tame_json(delivery.to_string()));
                } else {
                    self.print_text(&format!(
                        "delivered {} ({}) to partition {} at offset {}",
                        one_line(delivered.order_id),
                        one_line(&key),
                        placed.partition,
                        placed.offset
                    ));
                }
            }
            Ok(_) => {}
            Err(reason) => {
                if self.failed_shown.fetch_add(1, Ordering::Relaxed) < DETAILS_MAX {
                    tracing::error!(order_id = %delivered.order_id, %key, reason, "order not delivered");
                }
            }
        }
    }

    fn rejected(&self, row: &RejectedRow) -> io::Result<()> {
        if self.rejected_shown.fetch_add(1, Ordering::Relaxed) < DETAILS_MAX {
            tracing::warn!(line = row.line, reason = %row.reason, "row rejected");
        }
        match lock(&self.rejects).as_mut() {
            Some(rejects) => rejects.write(row),
            None => Ok(()),
        }
    }

    fn undelivered(&self, row: &RejectedRow) -> io::Result<()> {
        match lock(&self.rejects).as_mut() {
            Some(rejects) => rejects.write(row),
            None => Ok(()),
        }
    }

    fn progressed(&self, totals: Totals, away: Option<String>) {
        self.kafka.note(away.clone());
        #[expect(clippy::cast_precision_loss, reason = "the queue is far below 2^52")]
        metrics::gauge!("orders_produce_in_flight").set(totals.counts.in_flight() as f64);
        lock(&self.out).flush();
        self.show_progress(totals, away);
    }
}

impl Out {
    fn print(&mut self, line: &str) {
        if self.stdout.is_none() {
            return;
        }
        self.pending.extend_from_slice(line.as_bytes());
        self.pending.push(b'\n');
        if self.flushes_each_line || self.pending.len() >= PENDING_BYTES_MAX {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let Some(stdout) = &mut self.stdout else { return };
        if self.pending.is_empty() {
            return;
        }
        let pending = &self.pending;
        if above(|| stdout.write_all(pending).and_then(|()| stdout.flush())).is_err() {
            self.stdout = None;
        }
        self.pending.clear();
    }
}

fn text(totals: Totals) -> String {
    let Totals { counts, rejected } = totals;
    let mut text = format!(
        "sent {}, acknowledged {}, failed {}",
        counts.sent, counts.acknowledged, counts.failed
    );
    if rejected > 0 {
        let _ = write!(text, ", rejected {rejected}");
    }
    text
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
