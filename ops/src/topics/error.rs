//! Why topics could not be looked at or changed.

use service_kit::exit::{AppError, ExitStatus};

use crate::dlq::BROKER_HINT;

/// Why topics could not be looked at or changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TopicsError {
    /// A setting that cannot be used.
    #[error("{0}")]
    Settings(String),
    /// The file of declarations cannot be used.
    #[error("the file of topics {file}: {why}")]
    File {
        /// The file.
        file: String,
        /// What is wrong.
        why: String,
    },
    /// The file declares no such topic.
    #[error("{file} declares no topic {name}")]
    Undeclared {
        /// The file.
        file: String,
        /// The name that was asked for.
        name: String,
        /// A name that may be meant.
        near: Option<String>,
    },
    /// A topic that may not be deleted.
    #[error("{name} is not deleted: {why}")]
    Kept {
        /// The topic.
        name: String,
        /// Why not.
        why: &'static str,
    },
    /// There is no such topic.
    #[error("the topic {name} does not exist at {servers}")]
    Missing {
        /// Its name.
        name: String,
        /// Brokers that were asked.
        servers: String,
        /// A name that may be meant.
        near: Option<String>,
    },
    /// The brokers are not there, or refuse.
    #[error("{detail}")]
    Kafka {
        /// What the client says.
        detail: String,
        /// What to do next, where the client knows.
        hint: Option<&'static str>,
    },
}

/// Each with the exit code and the next step that is safe.
impl From<TopicsError> for AppError {
    fn from(error: TopicsError) -> Self {
        let meant = |near: &Option<String>| match near {
            Some(near) => format!("did you mean {near}? "),
            None => String::new(),
        };
        let (status, hint) = match &error {
            TopicsError::Settings(_) => (ExitStatus::Usage, None),
            TopicsError::File { .. } => (
                ExitStatus::Usage,
                Some(
                    "name one with -f FILE; 'orders topics describe -o toml' prints one".to_owned(),
                ),
            ),
            TopicsError::Undeclared { near, .. } => {
                (ExitStatus::Usage, Some(format!("{}the names follow 'name =' in it", meant(near))))
            }
            TopicsError::Kept { .. } => (ExitStatus::Usage, None),
            TopicsError::Missing { near, .. } => (
                ExitStatus::Failed,
                Some(format!("{}'orders topics list' shows all of them", meant(near))),
            ),
            TopicsError::Kafka { hint, .. } => {
                (ExitStatus::Failed, Some(hint.unwrap_or(BROKER_HINT).to_owned()))
            }
        };
        let failed = Self::new(status, error.to_string());
        match hint {
            Some(hint) => failed.hint(hint),
            None => failed,
        }
    }
}
