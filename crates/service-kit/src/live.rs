//! A view of a running program at the foot of the terminal. What else is printed appears above it.
//!
//! ```text
//! 14:21:38 INFO consumer: …          the log, through [`Stderr`]
//! counted o-7-1 (espresso): …        results on the same terminal, through [`above`]
//! ────────────────────────
//! PRODUCT     COUNT     AVERAGE      the view, through [`Live::show`]: drawn over in place
//! espresso       14      2.0043
//! ```
//!
//! There is one terminal, and so one view in a process. A program asks for it and shows lines as
//! often as [`SHOW_EVERY`] allows, from one thread:
//!
//! ```no_run
//! use service_kit::args::LogFormat;
//! use service_kit::live::{Live, SHOW_EVERY};
//!
//! let Some(live) = Live::on_stderr(LogFormat::Text) else { return }; // no terminal: log instead
//! for sent in 0..100 {
//!     let size = live.size(); // may change at any time
//!     live.show(vec![format!("sent {sent} of 100, {} columns", size.columns)]);
//!     std::thread::sleep(SHOW_EVERY);
//! }
//! live.end(service_kit::live::Leave::Nothing);
//! ```
//!
//! Nothing but cursor movements and erasing is asked of the terminal, and each change is one write,
//! so that a program that is killed leaves a terminal that works.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use console::{Style, Term, measure_text_width, truncate_str};

use crate::args::LogFormat;
use crate::terminal::one_line;

/// A view changes five times a second at most: more cannot be read.
pub const SHOW_EVERY: Duration = Duration::from_millis(200);

/// Most characters of a foreign text that are looked at: some take no room on a terminal.
const FIT_CHARS_MAX: usize = 256;

/// What a terminal has that does not tell its size.
const SIZE_DEFAULT: Size = Size { columns: 80, rows: 24 };

/// The foot of the terminal behind stderr.
static FOOT: Mutex<Foot> = Mutex::new(Foot::EMPTY);

/// Columns and rows of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Characters of a line, as the terminal counts them: wide ones take two.
    pub columns: usize,
    /// Lines.
    pub rows: usize,
}

/// What of a view stays on the terminal when it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// Nothing: what follows takes its place.
    Nothing,
    /// Its last lines.
    LastLines,
}

/// The view of this process; without it, or after its end, the terminal is an ordinary one.
#[derive(Debug)]
pub struct Live {
    term: Term,
}

impl Live {
    /// Returns the view if stderr can show one: it is a terminal that moves its cursor, and the log
    /// is text.
    #[must_use]
    pub fn on_stderr(format: LogFormat) -> Option<Self> {
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        let can = format == LogFormat::Text && io::stderr().is_terminal() && !is_dumb;
        can.then(|| Self { term: Term::stderr() })
    }

    /// Returns the size of the terminal now.
    #[must_use]
    pub fn size(&self) -> Size {
        let told = self.term.size_checked().filter(|(rows, columns)| *rows > 0 && *columns > 0);
        told.map_or(SIZE_DEFAULT, |(rows, columns)| Size {
            columns: usize::from(columns),
            rows: usize::from(rows),
        })
    }

    /// Replaces what is shown. Lines that are too wide are cut, and those too many for the height
    /// are left out: one row stays free. Lines that are the same as before are not drawn again.
    ///
    /// A line may have colors; foreign text in it must have been tamed, as [`fit`] does.
    pub fn show(&self, lines: Vec<String>) {
        let change = foot().replace(lines, self.size());
        write_stderr(&change);
    }

    /// Ends the view.
    pub fn end(self, leave: Leave) {
        if leave == Leave::LastLines {
            *foot() = Foot::EMPTY;
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let change = foot().replace(Vec::new(), self.size());
        write_stderr(&change);
    }
}

/// Runs `write`, which prints whole lines on the terminal by other ways than stderr, while the view
/// is away. Without a view it just runs.
pub fn above<T>(write: impl FnOnce() -> T) -> T {
    let foot = foot();
    if foot.lines.is_empty() {
        drop(foot);
        return write();
    }
    let columns = columns();
    write_stderr(&foot.erased(columns));
    let result = write();
    write_stderr(&foot.drawn());
    result
}

/// Stderr for whole lines, such as a log's: they appear above the view.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stderr;

impl Write for Stderr {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let foot = foot();
        if foot.lines.is_empty() {
            drop(foot);
            io::stderr().lock().write_all(text)?;
        } else {
            let all = foot.with_above(text, columns());
            io::stderr().lock().write_all(&all)?;
        }
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}

/// Returns a foreign text as one line of at most so many columns, cut with `…` if need be. Control
/// characters are written as escapes.
///
/// ```
/// # use service_kit::live::fit;
/// assert_eq!(fit("日本茶と珈琲", 7), "日本茶…");
/// assert_eq!(fit("a\u{1b}[2J", 20), "a\\x1b[2J");
/// ```
#[must_use]
pub fn fit(text: &str, columns: usize) -> String {
    if columns == 0 {
        return String::new();
    }
    let start: String = text.chars().take(FIT_CHARS_MAX + 1).collect();
    let mut line = one_line(&start).replace('\t', " ");
    if text.len() > start.len() {
        line.push('…');
    }
    truncate_str(&line, columns, "…").into_owned()
}

/// Returns [`fit`]'s line, filled up with blanks to just so many columns.
#[must_use]
pub fn fill(text: &str, columns: usize) -> String {
    let mut line = fit(text, columns);
    let blanks = columns.saturating_sub(width(&line));
    line.extend(std::iter::repeat_n(' ', blanks));
    line
}

/// Returns how many columns a line takes; colors take none.
#[must_use]
pub fn width(line: &str) -> usize {
    measure_text_width(line)
}

/// Colors of lines, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paint {
    has_colors: bool,
}

impl Paint {
    /// No colors.
    pub const PLAIN: Self = Self { has_colors: false };

    /// Colors, whatever they are written to.
    pub const COLORED: Self = Self { has_colors: true };

    /// Colors if stderr is a terminal, and `NO_COLOR` does not forbid it.
    #[must_use]
    pub fn on_stderr() -> Self {
        Self { has_colors: crate::telemetry::colors_wanted() }
    }

    /// For heads and totals.
    #[must_use]
    pub fn bold(self, text: &str) -> String {
        self.styled(text, Style::new().bold())
    }

    /// For what need not be read each time.
    #[must_use]
    pub fn dim(self, text: &str) -> String {
        self.styled(text, Style::new().dim())
    }

    /// For what is wrong.
    #[must_use]
    pub fn red(self, text: &str) -> String {
        self.styled(text, Style::new().red())
    }

    fn styled(self, text: &str, style: Style) -> String {
        style.force_styling(self.has_colors).apply_to(text).to_string()
    }
}

/// Columns of the terminal behind stdout, if it is one.
#[must_use]
pub fn stdout_columns() -> Option<usize> {
    let term = Term::stdout();
    let told = io::stdout().is_terminal().then(|| term.size_checked());
    told.map(|size| match size {
        Some((_, columns)) if columns > 0 => usize::from(columns),
        _ => SIZE_DEFAULT.columns,
    })
}

/// What is drawn at the foot of the terminal. The cursor stands at the start of the row below.
#[derive(Debug)]
struct Foot {
    lines: Vec<String>,
    /// Columns of the terminal when they were drawn.
    columns: usize,
}

impl Foot {
    const EMPTY: Self = Self { lines: Vec::new(), columns: 0 };

    /// What replaces the lines by others; nothing when they are the same.
    fn replace(&mut self, lines: Vec<String>, size: Size) -> String {
        let cut = |line: String| truncate_str(&line, size.columns, "…").into_owned();
        let room = size.rows.saturating_sub(1);
        let lines: Vec<String> = lines.into_iter().take(room).map(cut).collect();
        let is_same = lines == self.lines && (lines.is_empty() || size.columns == self.columns);
        if is_same {
            return String::new();
        }
        let mut change = if size.columns == self.columns {
            self.at_start(size.columns)
        } else {
            self.erased(size.columns) // what was wrapped anew is not drawn over line by line
        };
        *self = Self { lines, columns: size.columns };
        change.push_str(&self.drawn());
        change.push_str("\x1b[J");
        change
    }

    /// Moves the cursor to where the first line starts.
    fn at_start(&self, columns: usize) -> String {
        match self.rows(columns) {
            0 => "\r".to_owned(),
            rows => format!("\r\x1b[{rows}A"),
        }
    }

    /// Rows that its lines take when the terminal has so many columns by now: one that is narrower
    /// wraps what stands on it.
    fn rows(&self, columns: usize) -> usize {
        self.lines.iter().map(|line| width(line).div_ceil(columns.max(1)).max(1)).sum()
    }

    fn erased(&self, columns: usize) -> String {
        self.at_start(columns) + "\x1b[J"
    }

    /// The lines, each in place of what stood in its row. A terminal that finds a character
    /// wider than we do must not wrap the line: it does not while they are drawn.
    fn drawn(&self) -> String {
        let mut text = String::from("\x1b[?7l");
        for line in &self.lines {
            // Erased first: behind a line that fills the row the cursor stands on its last character.
            let _ = write!(text, "\x1b[K{line}\r\n");
        }
        text.push_str("\x1b[?7h");
        text
    }

    /// Whole lines, and the view again below them, as one piece.
    fn with_above(&self, text: &[u8], columns: usize) -> Vec<u8> {
        let mut all = self.erased(columns).into_bytes();
        all.extend_from_slice(text);
        if !text.ends_with(b"\n") {
            all.push(b'\n');
        }
        all.extend_from_slice(self.drawn().as_bytes());
        all
    }
}

fn foot() -> MutexGuard<'static, Foot> {
    // A panic elsewhere leaves it whole.
    FOOT.lock().unwrap_or_else(PoisonError::into_inner)
}

fn columns() -> usize {
    let told = Term::stderr().size_checked().filter(|(_, columns)| *columns > 0);
    told.map_or(SIZE_DEFAULT.columns, |(_, columns)| usize::from(columns))
}

/// A terminal that has gone ends nothing.
fn write_stderr(text: &str) {
    if !text.is_empty() {
        let mut stderr = io::stderr().lock();
        let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
    }
}

#[cfg(test)]
#[path = "live_tests.rs"]
mod tests;
