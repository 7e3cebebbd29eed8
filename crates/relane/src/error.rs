//! Why a pipeline did not start, or ended by itself.

use service_kit::exit::{AppError, ExitStatus};

/// Why a pipeline did not start, or ended by itself: what went wrong, and what to do next.
///
/// As text it is one line, and a second one with the hint; of a hint with several commands each has its line.
///
/// ```
/// let error = relane::Kafka::new("", []).expect_err("no broker is named");
/// assert!(error.is_setting && !error.to_string().contains('\n'), "{error}");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{}", .message, .hint.as_deref().map(hint_lines).unwrap_or_default())]
pub struct Error {
    /// What went wrong.
    pub message: String,
    /// What to do next, where that is known.
    pub hint: Option<String>,
    /// Whether a setting is wrong: then nothing was done, and another try fails in the same way.
    pub is_setting: bool,
}

impl Error {
    pub(crate) fn setting(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, is_setting: true }
    }

    pub(crate) fn failed(error: &dyn std::fmt::Display) -> Self {
        Self { message: error.to_string(), hint: None, is_setting: false }
    }
}

/// The hint in lines of its own. A shell takes commands as well in several lines.
fn hint_lines(hint: &str) -> String {
    format!("\nhint: {}", hint.replace(" && ", " &&\n      "))
}

impl From<AppError> for Error {
    fn from(error: AppError) -> Self {
        Self {
            message: error.message().to_owned(),
            hint: error.hint_text().map(ToOwned::to_owned),
            is_setting: error.status() == ExitStatus::Usage,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_stands_in_lines_of_its_own_a_command_in_each() {
        let error = Error::from(AppError::failed("two topics are wrong"));
        assert_eq!(error.to_string(), "two topics are wrong");
        let error = Error::from(AppError::failed("two topics are wrong").hint("a 1 && b 2"));
        assert_eq!(error.to_string(), "two topics are wrong\nhint: a 1 &&\n      b 2");
    }
}
