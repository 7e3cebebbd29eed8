//! Why a pipeline did not start, or ended by itself.

use service_kit::exit::{AppError, ExitStatus};

/// Why a pipeline did not start, or ended by itself: what went wrong, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{}", .message, .hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default())]
pub struct Error {
    /// What went wrong.
    pub message: String,
    /// What to do next, where that is known.
    pub hint: Option<String>,
    /// A setting is wrong; nothing was done.
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

impl From<AppError> for Error {
    fn from(error: AppError) -> Self {
        Self {
            message: error.message().to_owned(),
            hint: error.hint_text().map(ToOwned::to_owned),
            is_setting: error.status() == ExitStatus::Usage,
        }
    }
}
