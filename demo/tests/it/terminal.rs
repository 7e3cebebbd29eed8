//! On a terminal: a view that is redrawn in place.

use std::fs::File;
use std::process::Stdio;
use std::thread::JoinHandle;

use nix::pty::{Winsize, openpty};

use crate::program::{Running, collect, demo};

/// Moves the cursor up and clears what was drawn.
const REDRAW: &str = "A\r\x1b[J";
/// Begins green text.
const GREEN: &str = "\x1b[32m";
/// Begins bold text.
const BOLD: &str = "\x1b[1m";

/// The program on a terminal.
struct OnTerminal {
    running: Running,
    output: JoinHandle<String>,
}

impl OnTerminal {
    fn start((rows, columns): (u16, u16), args: &[&str], variables: &[(&str, &str)]) -> Self {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None).unwrap();
        let mut command = demo(args);
        command.stdout(Stdio::from(pty.slave)).env("TERM", "xterm");
        command.envs(variables.iter().copied());
        let output = collect(File::from(pty.master));
        Self { running: Running::start(command), output }
    }

    /// Waits for the end and returns what the terminal was sent.
    fn finish(self) -> String {
        let finished = self.running.finish();
        assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""));
        self.output.join().unwrap()
    }
}

/// Widths of the lines of the view, in characters, without the escapes.
fn widths(output: &str) -> impl Iterator<Item = usize> + '_ {
    let (_, view) = output.split_once(REDRAW).expect("a view");
    let (view, _) = view.rsplit_once(REDRAW).expect("more than one frame");
    view.lines().map(console::measure_text_width)
}

#[test]
fn a_terminal_gets_a_view_that_is_redrawn_within_its_width_colored_unless_no_color_is_set() {
    let colored = OnTerminal::start((24, 64), &[], &[]);
    let uncolored = OnTerminal::start((24, 80), &[], &[("NO_COLOR", "1")]);
    let (colored, uncolored) = (colored.finish(), uncolored.finish());
    for (output, columns) in [(&colored, 64), (&uncolored, 80)] {
        assert!(output.matches(REDRAW).count() > 20, "{output}");
        assert!(widths(output).all(|width| width < columns), "{output}");
        assert!(output.contains("orders-dlq, grouped by cause"), "{output}");
        let is_too_wide = |line: &str| console::measure_text_width(line) > columns;
        assert!(!output.lines().any(is_too_wide), "{output}");
    }
    let cut = widths(&uncolored).any(|width| width == 79);
    assert!(!cut, "at 80 columns nothing of the view is cut: {uncolored}");
    assert!(colored.contains(GREEN));
    assert!(!uncolored.contains(GREEN) && !uncolored.contains(BOLD), "{uncolored}");
}

#[test]
fn a_terminal_that_is_too_small_and_the_flag_plain_get_lines() {
    let small = OnTerminal::start((12, 80), &[], &[]);
    let plain = OnTerminal::start((24, 80), &["--plain"], &[]);
    for output in [small.finish(), plain.finish()] {
        assert!(!output.contains(REDRAW) && output.contains("dead-lettered as"), "{output}");
        let is_too_wide = |line: &str| console::measure_text_width(line) > 80;
        assert!(!output.lines().any(is_too_wide), "{output}");
    }
}
