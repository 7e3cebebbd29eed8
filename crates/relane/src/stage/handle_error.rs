//! What a handler says of a record that it could not handle: who is at fault.

use std::time::Duration;

use pipeline::failure::{Failure, FailureReason, ReasonName};

/// Why a record could not be handled. What it says decides what becomes of the record:
///
/// | made by | who is at fault | what becomes of the record |
/// |---|---|---|
/// | [`permanent`](Self::permanent) | the record | a dead letter at once |
/// | [`transient`](Self::transient) | the record, or chance | tried again after the retry delays; a dead letter after the last attempt |
/// | [`unavailable`](Self::unavailable) | what the handler called, perhaps for this record alone | as above; where the records of many keys fail so, the pipeline waits |
/// | [`away`](Self::away) | something that all records need | nothing: the pipeline waits, and uses up no attempt |
///
/// Details are words for people. They stand in the log and in the headers of retries and dead letters, cut to 1 KiB there:
/// write neither secrets nor payloads into them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HandleError {
    /// This attempt at this record failed. Its class decides whether it is tried again.
    Failed(Failure),
    /// Something that the handler called failed. The record may be at fault; if the records of many
    /// keys fail in the same way, it is an outage.
    Downstream {
        /// Why it failed.
        failure: Failure,
        /// How long this record is not to be tried again, from now on; zero if nothing was said. The retry delay
        /// counts where it is longer.
        wait: Duration,
    },
    /// A dependency of all records is unavailable. No record is at fault: the pipeline waits, and
    /// nothing is retried or dead-lettered.
    Away {
        /// What is unavailable, in words.
        detail: String,
        /// How long it is not to be asked again, from now on; zero if nothing was said. At most an hour counts, and
        /// the pipeline's own pause (0.5 s to 36 s) where it is longer.
        wait: Duration,
    },
}

impl HandleError {
    /// This record failed, and no later attempt can succeed: it becomes a dead letter of class
    /// `refused`.
    ///
    /// ```
    /// use relane::{HandleError, ReasonName};
    ///
    /// const BAD_ADDRESS: ReasonName = ReasonName::of("bad-address");
    /// let error = HandleError::permanent(BAD_ADDRESS, "no @ in the address");
    /// assert!(matches!(error, HandleError::Failed(failure) if !failure.class().is_transient()));
    /// ```
    pub fn permanent(reason: ReasonName, detail: impl Into<String>) -> Self {
        Self::Failed(failure(FailureReason::Permanent(reason), detail))
    }

    /// This record failed, and a later attempt may succeed: it is tried again after the retry delays,
    /// and becomes a dead letter of class `transient` when its attempts are used up.
    pub fn transient(reason: ReasonName, detail: impl Into<String>) -> Self {
        Self::Failed(failure(FailureReason::Transient(reason), detail))
    }

    /// Something that the handler called failed, and may fail for every record. Like
    /// [`transient`](Self::transient), but after failures of 20 keys in a row the pipeline waits,
    /// and uses up no further attempts.
    ///
    /// ```
    /// use relane::HandleError;
    ///
    /// let error = HandleError::unavailable("the search index answers 500");
    /// assert!(matches!(error, HandleError::Downstream { wait, .. } if wait.is_zero()));
    /// ```
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::unavailable_for(Duration::ZERO, detail)
    }

    /// As [`unavailable`](Self::unavailable), where what was asked has said when to come again: this record is
    /// not tried before. Of a wait above 30 days, 30 days count. If the failures turn out to be an outage, the pipeline
    /// does not ask again before the longest of their waits is over, of which an hour counts.
    ///
    /// ```
    /// use std::time::Duration;
    /// use relane::HandleError;
    ///
    /// let busy = HandleError::unavailable_for(Duration::from_secs(120), "429 Too Many Requests");
    /// assert!(matches!(busy, HandleError::Downstream { wait, .. } if wait.as_secs() == 120));
    /// ```
    pub fn unavailable_for(wait: Duration, detail: impl Into<String>) -> Self {
        Self::Downstream { failure: failure(FailureReason::Handler, detail), wait }
    }

    /// A dependency of all records is unavailable: the pipeline waits at once.
    pub fn away(detail: impl Into<String>) -> Self {
        Self::away_for(Duration::ZERO, detail)
    }

    /// As [`away`](Self::away), where it has said when to come again: the pipeline asks nothing of it before, for an
    /// hour at most.
    ///
    /// ```
    /// use std::time::Duration;
    /// use relane::HandleError;
    ///
    /// let closed = HandleError::away_for(Duration::from_secs(600), "closed for maintenance");
    /// assert_eq!(closed.wait(), Duration::from_secs(600));
    /// ```
    pub fn away_for(wait: Duration, detail: impl Into<String>) -> Self {
        Self::Away { detail: detail.into(), wait }
    }

    /// How long what was called asks to be left alone; zero where nothing was said.
    #[must_use]
    pub const fn wait(&self) -> Duration {
        match self {
            Self::Failed(_) => Duration::ZERO,
            Self::Downstream { wait, .. } | Self::Away { wait, .. } => *wait,
        }
    }

    /// The failure of the record, so that more can be said of it; `None` where no record is at fault.
    pub const fn failure_mut(&mut self) -> Option<&mut Failure> {
        match self {
            Self::Failed(failure) | Self::Downstream { failure, .. } => Some(failure),
            Self::Away { .. } => None,
        }
    }
}

fn failure(reason: FailureReason, detail: impl Into<String>) -> Failure {
    Failure { reason, schema_id: None, detail: detail.into() }
}
