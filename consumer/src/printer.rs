//! Lines that lanes print: a thread writes them, so that a reader who is slow holds a lane up for a
//! short time only.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use service_kit::exit::AppError;
use service_kit::live;

/// Bytes of lines that wait to be written. When there is no room the lane waits, and then drops
/// lines and says how many.
const QUEUE_BYTES_MAX: usize = 1 << 20;

/// Longest wait of a lane for room, for all lines of a turn. Below the 3 s after which it is said not
/// to turn.
const TURN_WAIT_MAX: Duration = Duration::from_secs(2);

/// A reader who takes nothing for so long is not waited for, until he takes something.
const STILL_MAX: Duration = Duration::from_secs(1);

/// The same for the last lines of a run.
const STILL_MAX_AT_END: Duration = Duration::from_secs(5);

/// Longest wait for the last lines when a stop was requested.
const END_MAX_WHEN_STOPPED: Duration = Duration::from_millis(500);

/// Lines are written in pieces of about so many bytes: what is taken shows that somebody reads.
const PIECE_BYTES: usize = 8 << 10;

/// Where lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    Stdout,
    Stderr,
}

/// Writes lines until it is ended.
#[derive(Debug)]
pub(crate) struct Printer {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

/// Takes the lines of one lane.
#[derive(Debug, Clone)]
pub(crate) struct Lines(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    /// Lines were added, or the end was asked for.
    added: Condvar,
    /// Lines were written, or the end is reached.
    written: Condvar,
    /// Makes the line that stands for lines that were dropped.
    gap: fn(u64) -> String,
}

#[derive(Debug, Default)]
struct Queue {
    text: Vec<u8>,
    /// Pieces written so far.
    pieces: u64,
    /// Lines dropped since the last one that found room.
    dropped: u64,
    /// Nobody reads at the moment: lines that find no room are dropped at once.
    is_stuck: bool,
    /// Nothing is to be written any more: nobody reads, or it fails.
    is_over: bool,
    error: Option<String>,
    must_end: bool,
    has_ended: bool,
}

impl Printer {
    /// Starts to write lines there. `gap` makes the line that stands for so many that were dropped.
    pub(crate) fn start(target: Target, gap: fn(u64) -> String) -> io::Result<Self> {
        let write: fn(&[u8]) -> io::Result<()> = match target {
            Target::Stderr => |piece: &[u8]| live::Stderr.write_all(piece),
            Target::Stdout if io::stdout().is_terminal() => {
                |piece: &[u8]| live::above(|| write_stdout(piece))
            }
            Target::Stdout => write_stdout,
        };
        Self::start_with(write, gap)
    }

    fn start_with(
        write: impl FnMut(&[u8]) -> io::Result<()> + Send + 'static,
        gap: fn(u64) -> String,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            added: Condvar::new(),
            written: Condvar::new(),
            gap,
        });
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("printer".to_owned());
        let thread = thread.spawn(move || of_thread.write_all(write))?;
        Ok(Self { shared, thread })
    }

    pub(crate) fn lines(&self) -> Lines {
        Lines(Arc::clone(&self.shared))
    }

    /// Waits until all lines are written, while somebody reads them.
    ///
    /// # Errors
    ///
    /// Fails when they could not be written, as on a full disk. That nobody reads is no error.
    pub(crate) fn end(self, is_stopped: bool) -> Result<(), AppError> {
        let (still_max, limit) = match is_stopped {
            true => (END_MAX_WHEN_STOPPED, END_MAX_WHEN_STOPPED),
            false => (STILL_MAX_AT_END, Duration::MAX),
        };
        let mut queue = self.shared.lock();
        queue.must_end = true;
        self.shared.fill_gap(&mut queue);
        self.shared.added.notify_all();
        let mut patience = Patience::new(limit, queue.pieces);
        while !queue.has_ended && patience.lasts(queue.pieces, still_max) {
            queue = self.shared.wait(queue, &patience, still_max);
        }
        let left = queue.text.iter().filter(|byte| **byte == b'\n').count();
        let error = queue.error.take();
        let has_ended = queue.has_ended;
        drop(queue);
        if has_ended {
            let _ = self.thread.join();
        } else {
            tracing::warn!(lines = left, "lines were not printed: stdout is not being read");
        }
        match error {
            Some(error) => Err(AppError::failed(format!("stdout cannot be written: {error}"))),
            None => Ok(()),
        }
    }
}

impl Lines {
    /// Adds the lines of a turn, each with its line break.
    pub(crate) fn print(&self, lines: impl Iterator<Item = String>) {
        let mut patience = Patience::new(TURN_WAIT_MAX, self.0.lock().pieces);
        for line in lines {
            let mut queue = self.0.lock();
            if queue.is_over {
                return;
            }
            while !queue.has_room(line.len())
                && !queue.is_stuck
                && patience.lasts(queue.pieces, STILL_MAX)
            {
                queue = self.0.wait(queue, &patience, STILL_MAX);
            }
            if queue.has_room(line.len()) {
                self.0.fill_gap(&mut queue);
                queue.text.extend_from_slice(line.as_bytes());
                self.0.added.notify_one();
            } else {
                queue.is_stuck = true;
                queue.dropped += 1;
                let is_first = queue.dropped == 1;
                drop(queue);
                if is_first {
                    tracing::warn!("stdout is not read fast enough: printed lines are dropped");
                }
            }
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says how many lines were dropped, if any were.
    fn fill_gap(&self, queue: &mut Queue) {
        if queue.dropped > 0 && !queue.is_over {
            let text = (self.gap)(std::mem::take(&mut queue.dropped));
            queue.text.extend_from_slice(text.as_bytes());
        }
    }

    /// Waits until something was written, or patience ends.
    fn wait<'a>(
        &self,
        queue: MutexGuard<'a, Queue>,
        patience: &Patience,
        still_max: Duration,
    ) -> MutexGuard<'a, Queue> {
        let waited = self.written.wait_timeout(queue, patience.wait(still_max));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn write_all(&self, mut write: impl FnMut(&[u8]) -> io::Result<()>) {
        let mut text = Vec::new();
        loop {
            let mut queue = self.lock();
            while queue.text.is_empty() && !queue.must_end {
                queue = self.added.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
            if queue.text.is_empty() || queue.is_over {
                queue.has_ended = true;
                self.written.notify_all();
                return;
            }
            text.clear();
            std::mem::swap(&mut text, &mut queue.text);
            drop(queue);
            for piece in pieces(&text) {
                let result = write(piece);
                let mut queue = self.lock();
                queue.pieces += 1;
                queue.is_stuck = false;
                if let Err(error) = result {
                    queue.is_over = true;
                    queue.text.clear();
                    queue.error = Some(error)
                        .filter(|error| error.kind() != io::ErrorKind::BrokenPipe)
                        .map(|error| error.to_string());
                }
                let is_over = queue.is_over;
                drop(queue);
                self.written.notify_all();
                if is_over {
                    break;
                }
            }
        }
    }
}

impl Queue {
    /// A line that is longer than the queue has room when nothing else waits.
    fn has_room(&self, bytes: usize) -> bool {
        self.is_over || self.text.is_empty() || self.text.len() + bytes <= QUEUE_BYTES_MAX
    }
}

/// Waits while something moves, up to a limit.
struct Patience {
    since: Instant,
    limit: Duration,
    moved_at: Instant,
    pieces: u64,
}

impl Patience {
    fn new(limit: Duration, pieces: u64) -> Self {
        let now = Instant::now();
        Self { since: now, limit, moved_at: now, pieces }
    }

    fn lasts(&mut self, pieces: u64, still_max: Duration) -> bool {
        if pieces != self.pieces {
            (self.pieces, self.moved_at) = (pieces, Instant::now());
        }
        !self.wait(still_max).is_zero()
    }

    /// How much longer it lasts when nothing moves.
    fn wait(&self, still_max: Duration) -> Duration {
        let still = still_max.saturating_sub(self.moved_at.elapsed());
        still.min(self.limit.saturating_sub(self.since.elapsed()))
    }
}

/// Pieces that end at the ends of lines.
fn pieces(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let enough = rest.len().min(PIECE_BYTES);
        let end = rest[..enough].iter().rposition(|byte| *byte == b'\n');
        let end = end.or_else(|| rest.iter().position(|byte| *byte == b'\n'));
        let (piece, behind) = rest.split_at(end.map_or(rest.len(), |end| end + 1));
        rest = behind;
        (!piece.is_empty()).then_some(piece)
    })
}

fn write_stdout(piece: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(piece).and_then(|()| stdout.flush())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// What was written.
    type Written = Arc<Mutex<Vec<u8>>>;

    /// A writer that writes as often as it is allowed to, and what it has written.
    fn gated() -> (Printer, mpsc::Sender<io::Result<()>>, Written) {
        let (allow, allowed) = mpsc::channel::<io::Result<()>>();
        let written = Written::default();
        let out = Arc::clone(&written);
        let printer = Printer::start_with(
            move |piece| {
                // After the last permission all is written.
                allowed.recv().unwrap_or(Ok(()))?;
                out.lock().unwrap().extend_from_slice(piece);
                Ok(())
            },
            gap,
        );
        (printer.expect("a thread"), allow, written)
    }

    fn gap(lines: u64) -> String {
        format!("{lines} dropped\n")
    }

    fn lines(range: std::ops::Range<u32>) -> impl Iterator<Item = String> {
        range.map(|n| format!("{n:0>99}\n"))
    }

    #[test]
    fn lines_are_written_in_their_order() {
        let (printer, allow, written) = gated();
        drop(allow);
        printer.lines().print(lines(0..1_000));
        printer.lines().print(lines(1_000..1_500));
        printer.end(false).expect("all is written");
        let expected: String = lines(0..1_500).collect();
        assert!(*written.lock().unwrap() == expected.as_bytes());
    }

    #[test]
    fn what_finds_no_room_is_dropped_and_its_number_stands_in_its_place() {
        let (printer, allow, written) = gated();
        let all = 3 * u32::try_from(QUEUE_BYTES_MAX).unwrap() / 100;
        printer.lines().print(lines(0..all)); // nobody reads
        printer.lines().print(lines(0..10)); // dropped at once
        assert!(printer.shared.lock().text.len() <= QUEUE_BYTES_MAX);
        drop(allow); // now somebody does
        while !printer.shared.lock().text.is_empty() {
            std::thread::yield_now();
        }
        printer.lines().print(std::iter::once("last\n".to_owned()));
        printer.end(false).expect("all is written");
        let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        let kept = text.lines().take_while(|line| line.len() == 99).count();
        let rest: Vec<&str> = text.lines().skip(kept).collect();
        assert_eq!(rest, [format!("{} dropped", all as usize + 10 - kept).as_str(), "last"]);
    }

    #[test]
    fn a_reader_who_has_gone_ends_nothing_and_a_full_disk_is_an_error() {
        for (kind, is_ok) in
            [(io::ErrorKind::BrokenPipe, true), (io::ErrorKind::StorageFull, false)]
        {
            let (printer, allow, written) = gated();
            allow.send(Err(kind.into())).unwrap();
            printer.lines().print(lines(0..50_000));
            printer.lines().print(lines(0..50_000));
            assert_eq!(printer.end(false).is_ok(), is_ok, "{kind:?}");
            assert!(written.lock().unwrap().is_empty());
        }
    }

    #[test]
    fn after_a_stop_the_last_lines_are_not_waited_for_long() {
        let (printer, _allow, _written) = gated();
        printer.lines().print(lines(0..10));
        let started = Instant::now();
        printer.end(true).expect("a reader who takes nothing is no error");
        assert!(started.elapsed() < Duration::from_secs(5));
    }
}
