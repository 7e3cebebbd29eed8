//! How a program ends: five exit codes, one line that says what went wrong, one that says what to do.

use std::fmt;
use std::process::ExitCode;

use crate::output::note;
use crate::terminal::one_line;

/// The exit codes of every program; scripts rely on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ExitStatus {
    /// 0: everything that was asked for is done.
    Done = 0,
    /// 1: failed.
    Failed = 1,
    /// 2: a flag, an environment variable or a settings file is wrong; nothing was done.
    Usage = 2,
    /// 3: partly done, for example some rows of a file were rejected.
    Partial = 3,
    /// 4: a check found something: a red audit, a lag above its limit, a drift.
    Finding = 4,
}

impl ExitStatus {
    /// Returns the number that the operating system sees.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status.code())
    }
}

/// Checks a setting; `message` says what is wrong with it.
///
/// # Errors
///
/// Fails with exit code 2 if it does not hold.
pub fn require(holds: bool, message: impl FnOnce() -> String) -> Result<(), AppError> {
    if holds { Ok(()) } else { Err(AppError::usage(message())) }
}

/// An error that ends a program: what went wrong, what to do next, and the exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppError {
    status: ExitStatus,
    message: String,
    hint: Option<String>,
}

impl AppError {
    /// Returns an error with any status.
    pub fn new(status: ExitStatus, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), hint: None }
    }

    /// Returns an error that ends the program with code 1.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(ExitStatus::Failed, message)
    }

    /// Returns an error that ends the program with code 2: the settings are wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(ExitStatus::Usage, message)
    }

    /// Adds what the user can do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Returns how the program ends.
    #[must_use]
    pub const fn status(&self) -> ExitStatus {
        self.status
    }

    /// Returns what went wrong.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns what the user can do next.
    #[must_use]
    pub fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Returns the lines for stderr: `program: error: …` and, if there is one, `hint: …`.
    /// Control characters in either are escaped.
    #[must_use]
    pub fn render(&self, program: &str) -> String {
        let mut text = format!("{program}: error: {}\n", one_line(&self.message));
        if let Some(hint) = &self.hint {
            text.push_str(&format!("hint: {}\n", one_line(hint)));
        }
        text
    }
}

impl fmt::Display for AppError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for AppError {}

impl From<anyhow::Error> for AppError {
    /// Keeps an [`AppError`] that is wrapped; anything else ends the program with code 1.
    fn from(error: anyhow::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(own) => own,
            Err(other) => Self::failed(format!("{other:#}")),
        }
    }
}

/// Runs a program and turns its result into an exit code; an error goes to stderr.
///
/// Wrong flags never get here: clap prints its own message and ends with 2.
pub fn run_main<S: Into<ExitCode>>(
    program: &str,
    run: impl FnOnce() -> Result<S, AppError>,
) -> ExitCode {
    match run() {
        Ok(status) => status.into(),
        Err(error) => {
            note(error.render(program).trim_end());
            error.status().into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_rendered_with_its_hint() {
        let error = AppError::failed("no broker at 127.0.0.1:9").hint("start one");
        assert_eq!(
            error.render("producer"),
            "producer: error: no broker at 127.0.0.1:9\nhint: start one\n"
        );
        assert_eq!(AppError::usage("bad").render("x"), "x: error: bad\n");
    }

    #[test]
    fn a_message_cannot_fake_a_second_line() {
        let error = AppError::failed("topic 'a\nhint: rm -rf'");
        assert_eq!(error.render("x").lines().count(), 1);
    }

    #[test]
    fn codes_are_those_of_the_contract() {
        let statuses = [
            ExitStatus::Done,
            ExitStatus::Failed,
            ExitStatus::Usage,
            ExitStatus::Partial,
            ExitStatus::Finding,
        ];
        assert_eq!(statuses.map(ExitStatus::code), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn an_app_error_survives_its_way_through_anyhow() {
        let wrapped = anyhow::Error::new(AppError::usage("bad").hint("good"));
        assert_eq!(AppError::from(wrapped), AppError::usage("bad").hint("good"));
        let foreign = anyhow::anyhow!("inner").context("outer");
        assert_eq!(AppError::from(foreign), AppError::failed("outer: inner"));
    }

    #[test]
    fn run_main_returns_the_status_of_either_result() {
        let done = run_main("x", || Ok(ExitStatus::Partial));
        assert_eq!(format!("{done:?}"), format!("{:?}", ExitCode::from(3)));
        let failed = run_main("x", || {
            Err::<ExitStatus, _>(AppError::usage("expected in the test's stderr"))
        });
        assert_eq!(format!("{failed:?}"), format!("{:?}", ExitCode::from(2)));
    }
}
