//! Stdout: a block that is redrawn in place on a terminal, lines otherwise.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};

use console::{Term, truncate_str};
use service_kit::fold::{self, Stream};

/// Smallest terminal that holds the block, in columns and rows.
const COLUMNS_MIN: u16 = 60;
const ROWS_MIN: u16 = 21;

/// The few colors that are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Color {
    Green,
    Yellow,
    Red,
    Bold,
    Dim,
}

/// Where the story is told. Once the reader of stdout has gone, nothing more is written.
pub(crate) struct Screen {
    term: Term,
    is_live: bool,
    is_colored: bool,
    /// Lines of the block on the terminal.
    drawn: usize,
    /// The reader of stdout has gone.
    is_gone: bool,
}

impl Screen {
    /// Looks at what stdout is. `plain` asks for lines whatever it is.
    pub(crate) fn new(plain: bool) -> Self {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
        let is_terminal = io::stdout().is_terminal() && !is_dumb;
        let term = Term::stdout();
        let (rows, columns) = term.size();
        // Log lines on the same terminal would be drawn over.
        let is_logged_over = set("RUST_LOG") && io::stderr().is_terminal();
        let fits = rows >= ROWS_MIN && columns >= COLUMNS_MIN;
        Self {
            term,
            is_live: is_terminal && fits && !plain && !is_logged_over,
            is_colored: is_terminal && !set("NO_COLOR"),
            drawn: 0,
            is_gone: false,
        }
    }

    /// Whether there is a block to redraw.
    pub(crate) const fn is_live(&self) -> bool {
        self.is_live
    }

    /// Whether nobody reads stdout any more.
    pub(crate) const fn is_gone(&self) -> bool {
        self.is_gone
    }

    /// Returns the text in a color, if there are colors.
    pub(crate) fn paint(&self, text: &str, color: Color) -> String {
        if !self.is_colored {
            return text.to_owned();
        }
        let code = match color {
            Color::Green => 32,
            Color::Yellow => 33,
            Color::Red => 31,
            Color::Bold => 1,
            Color::Dim => 2,
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    /// Columns of the terminal, if there is one.
    pub(crate) fn columns(&self) -> Option<usize> {
        fold::columns(Stream::Stdout)
    }

    /// Prints text that stays, below what was drawn, folded to a terminal's width.
    pub(crate) fn print(&mut self, text: &str) {
        self.drawn = 0;
        let text = fold::for_stream(text, Stream::Stdout);
        self.write(&format!("{text}\n"));
    }

    /// Draws the block anew, over the one before, cut to the terminal's width.
    pub(crate) fn draw(&mut self, lines: &[String]) {
        let columns = usize::from(self.term.size().1).saturating_sub(1);
        let mut frame = String::new();
        if self.drawn > 0 {
            let _ = write!(frame, "\x1b[{}A\r\x1b[J", self.drawn);
        }
        for line in lines {
            frame.push_str(&truncate_str(line, columns, "…"));
            frame.push('\n');
        }
        self.drawn = lines.len();
        self.write(&frame);
    }

    fn write(&mut self, text: &str) {
        let mut stdout = io::stdout().lock();
        if !self.is_gone {
            self.is_gone = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).is_err();
        }
    }
}
