//! What a run prints: deliveries and results on stdout, progress on stderr.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use service_kit::args::OutputFormat;
use service_kit::health::Conditions;
use service_kit::terminal::{one_line, tame_json};

use crate::import::{RejectedRow, RejectsFile};
use crate::send::{Delivered, Listener, Summary, Totals};

/// Without a terminal, progress is a line this often.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);
/// So many failed orders and rejected rows are logged one by one; all of them are counted.
const DETAILS_MAX: u64 = 10;

/// What a run prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsoleSettings {
    /// Form of the results.
    pub output: OutputFormat,
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
    progress: Mutex<Progress>,
    rejects: Mutex<Option<RejectsFile>>,
    rejected_shown: AtomicU64,
    failed_shown: AtomicU64,
    bytes_read: Option<Arc<AtomicU64>>,
    health: Conditions,
    start: Instant,
}

/// Stdout; once its reader has gone, there is nothing to print any more, and sending goes on.
struct Out {
    stdout: Option<io::BufWriter<io::Stdout>>,
    flushes_each_line: bool,
}

struct Progress {
    bar: Option<ProgressBar>,
    printed_at: Instant,
}

impl std::fmt::Debug for Console {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Console").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Console {
    /// Returns the console of one run. `health` hears whether brokers are reachable.
    #[must_use]
    pub fn new(
        settings: ConsoleSettings,
        bytes_read: Option<Arc<AtomicU64>>,
        health: Conditions,
    ) -> Self {
        let prints_deliveries = !settings.is_quiet && settings.output != OutputFormat::Json;
        let is_terminal = io::stdout().is_terminal();
        // A bar and lines on one terminal would overwrite each other.
        let has_bar = io::stderr().is_terminal() && !(prints_deliveries && is_terminal);
        let now = Instant::now();
        Self {
            settings,
            prints_deliveries,
            out: Mutex::new(Out {
                stdout: Some(io::BufWriter::new(io::stdout())),
                flushes_each_line: is_terminal,
            }),
            progress: Mutex::new(Progress {
                bar: has_bar.then(|| bar(&settings)),
                printed_at: now,
            }),
            rejects: Mutex::new(None),
            rejected_shown: AtomicU64::new(0),
            failed_shown: AtomicU64::new(0),
            bytes_read,
            health,
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
        if let Some(bar) = lock(&self.progress).bar.take() {
            bar.finish_and_clear();
        }
        if let Some(rejects) = lock(&self.rejects).as_mut() {
            rejects.flush()?;
            if summary.totals.rejected > 0 {
                say(&format!(
                    "{} rejected rows are in {}",
                    summary.totals.rejected,
                    rejects.path().display()
                ));
            }
        }
        let Totals { counts, rejected } = summary.totals;
        match self.settings.output {
            OutputFormat::Table => self.print(&text(summary.totals)),
            OutputFormat::Jsonl => say(&text(summary.totals)),
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

    fn show_progress(&self, totals: Totals) {
        let mut progress = lock(&self.progress);
        let Totals { counts, .. } = totals;
        if let Some(bar) = &progress.bar {
            let bytes = self.bytes_read.as_ref().map(|bytes| bytes.load(Ordering::Relaxed));
            bar.set_position(bytes.unwrap_or(counts.sent));
            bar.set_message(text(totals));
        } else if progress.printed_at.elapsed() >= PROGRESS_INTERVAL {
            progress.printed_at = Instant::now();
            say(&format!("{} after {} s", text(totals), self.start.elapsed().as_secs()));
        }
    }
}

impl Listener for Console {
    fn delivered(&self, delivered: &Delivered<'_>) {
        let key = String::from_utf8_lossy(delivered.key);
        match delivered.outcome {
            Ok(placed) if self.prints_deliveries => {
                let mut line = String::new();
                if self.settings.output == OutputFormat::Jsonl {
                    let delivery = json!({
                        "partition": placed.partition,
                        "offset": placed.offset,
                        "key": key,
                        "order_id": delivered.order_id,
                    });
                    line = tame_json(delivery.to_string());
                } else {
                    let _ = write!(
                        line,
                        "delivered {} ({}) to partition {} at offset {}",
                        one_line(delivered.order_id),
                        one_line(&key),
                        placed.partition,
                        placed.offset
                    );
                }
                self.print(&line);
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
        match away {
            Some(detail) => self.health.fail("kafka", detail),
            None => self.health.pass("kafka"),
        }
        #[expect(clippy::cast_precision_loss, reason = "the queue is far below 2^52")]
        metrics::gauge!("orders_produce_in_flight").set(totals.counts.in_flight() as f64);
        lock(&self.out).flush();
        self.show_progress(totals);
    }
}

impl Out {
    fn print(&mut self, line: &str) {
        let Some(stdout) = &mut self.stdout else { return };
        let result = writeln!(stdout, "{line}");
        if result.is_err() {
            self.stdout = None;
        } else if self.flushes_each_line {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if self.stdout.as_mut().is_some_and(|stdout| stdout.flush().is_err()) {
            self.stdout = None;
        }
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

/// A line on stderr; a closed stderr is no reason to stop sending.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

fn bar(settings: &ConsoleSettings) -> ProgressBar {
    let target = ProgressDrawTarget::stderr_with_hz(4);
    let (length, template) = match (settings.bytes_total, settings.orders_total) {
        (Some(bytes), _) => (Some(bytes), "[{bar:30}] {bytes}/{total_bytes} {msg} eta {eta}"),
        (None, Some(orders)) => (Some(orders), "[{bar:30}] {pos}/{len} {msg} eta {eta}"),
        (None, None) => (None, "{spinner} {elapsed} {msg}"),
    };
    let style = ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ");
    ProgressBar::with_draw_target(length, target).with_style(style)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
