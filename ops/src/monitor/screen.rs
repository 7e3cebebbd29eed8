//! The whole terminal for us, and given back as it was: at the end, by an error, and by a panic.

use std::io::{self, IsTerminal as _, Stdout, Write};
use std::panic;
use std::sync::Once;
use std::time::Duration;

use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::crossterm::{execute, queue};
use ratatui::{Frame, Terminal};

use super::view::Press;

/// The hook that gives the terminal back before a panic is told.
static HOOK: Once = Once::new();

/// What came from the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Input {
    Press(Press),
    Resized,
}

/// The terminal, taken over; it is given back when this goes.
pub struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Screen {
    /// Whether there is a terminal to take over: keys come from stdin, and stdout moves its cursor.
    #[must_use]
    pub fn is_possible() -> bool {
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        io::stdin().is_terminal() && io::stdout().is_terminal() && !is_dumb
    }

    /// Takes the terminal over.
    ///
    /// # Errors
    ///
    /// Fails where the terminal does not take it.
    pub fn enter() -> io::Result<Self> {
        HOOK.call_once(|| {
            let before = panic::take_hook();
            panic::set_hook(Box::new(move |info| {
                leave();
                before(info);
            }));
        });
        enable_raw_mode()?;
        // From here on it is given back, whatever fails.
        let mut screen = Self { terminal: Terminal::new(CrosstermBackend::new(io::stdout()))? };
        execute!(screen.terminal.backend_mut(), EnterAlternateScreen, Hide, Clear(ClearType::All))?;
        Ok(screen)
    }

    /// Draws; only what has changed is sent.
    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.terminal.draw(draw).map(|_| ())
    }

    /// Wipes the screen, and forgets what stood there.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        // The terminal's own way to clear asks where the cursor is, and waits for an answer.
        execute!(self.terminal.backend_mut(), Clear(ClearType::All))?;
        self.terminal.swap_buffers();
        Ok(())
    }

    /// Waits for input, at most for `limit`.
    pub(super) fn input(&self, limit: Duration) -> io::Result<Option<Input>> {
        if !event::poll(limit)? {
            return Ok(None);
        }
        Ok(match event::read()? {
            Event::Key(key) if key.kind != KeyEventKind::Release => press_of(key).map(Input::Press),
            Event::Resize(..) => Some(Input::Resized),
            _ => None,
        })
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        leave();
    }
}

/// Gives the terminal back; one that has gone is no matter.
fn leave() {
    let _ = disable_raw_mode();
    let mut out = io::stdout();
    let _ = queue!(out, LeaveAlternateScreen, Show).and_then(|()| out.flush());
}

fn press_of(key: KeyEvent) -> Option<Press> {
    let has_control = key.modifiers.contains(KeyModifiers::CONTROL);
    Some(match key.code {
        KeyCode::Char('c') if has_control => Press::Interrupt,
        KeyCode::Char('l') if has_control => Press::Redraw,
        KeyCode::Char(_) if has_control => return None,
        KeyCode::Char(c) => Press::Char(c),
        KeyCode::Enter => Press::Enter,
        KeyCode::Esc => Press::Esc,
        KeyCode::Backspace => Press::Backspace,
        KeyCode::Up => Press::Up,
        KeyCode::Down => Press::Down,
        KeyCode::PageUp => Press::PageUp,
        KeyCode::PageDown => Press::PageDown,
        KeyCode::Home => Press::Home,
        KeyCode::Tab | KeyCode::Right => Press::Next,
        KeyCode::BackTab | KeyCode::Left => Press::Previous,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_the_terminal_are_told_in_our_words() {
        let none = KeyModifiers::NONE;
        for (code, modifiers, expected) in [
            (KeyCode::Char('q'), none, Some(Press::Char('q'))),
            (KeyCode::Char('?'), KeyModifiers::SHIFT, Some(Press::Char('?'))),
            (KeyCode::Char('c'), KeyModifiers::CONTROL, Some(Press::Interrupt)),
            (KeyCode::Char('l'), KeyModifiers::CONTROL, Some(Press::Redraw)),
            (KeyCode::Char('x'), KeyModifiers::CONTROL, None),
            (KeyCode::Tab, none, Some(Press::Next)),
            (KeyCode::BackTab, KeyModifiers::SHIFT, Some(Press::Previous)),
            (KeyCode::F(1), none, None),
        ] {
            assert_eq!(press_of(KeyEvent::new(code, modifiers)), expected, "{code:?}");
        }
    }
}
