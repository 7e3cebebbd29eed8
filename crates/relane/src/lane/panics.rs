//! A panic in the business is the failure of one record, and not the end of its lane.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use codec::decode::DecodeError;
use pipeline::failure::{Failure, FailureReason};

use crate::stage::{HandleError, Stage};

/// Runs a stage's code on a record; `None` if it panics. What the code changes it has to change
/// last, after everything that may panic.
///
/// In place: else what the work takes and gives is copied twice for each record.
#[inline(always)]
pub(crate) fn contained<T>(work: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => Some(done),
        Err(panic) => {
            tell(&*panic);
            None
        }
    }
}

#[cold]
fn tell(panic: &(dyn Any + Send)) {
    tracing::error!("a panic over a record: {}", words(panic));
}

/// The answer of a handler that panicked. Not downstream's: a bad deploy is the limit's to
/// stop, and no outage.
pub(crate) fn handler_error(schema_id: Option<u32>) -> Result<(), HandleError> {
    Err(HandleError::Failed(failure_of(FailureReason::Handler, schema_id, "handler")))
}

/// The words of a panic stay in the log: they may quote the record.
fn failure_of(reason: FailureReason, schema_id: Option<u32>, who: &str) -> Failure {
    Failure {
        reason,
        schema_id,
        detail: format!("the {who} panicked; the log has the panic's message"),
    }
}

/// Decodes a value; a decoder that panics over it fails it.
#[inline(always)]
pub(crate) fn decode<S: Stage>(
    stage: &mut S,
    value: Option<&[u8]>,
) -> Result<S::Input, DecodeError> {
    decoded(value, |value| stage.decode(value))
}

#[inline(always)]
fn decoded<T>(
    value: Option<&[u8]>,
    decode: impl FnOnce(Option<&[u8]>) -> Result<T, DecodeError>,
) -> Result<T, DecodeError> {
    match contained(|| decode(value)) {
        Some(decoded) => decoded,
        None => Err(decoder_error(value)),
    }
}

#[cold]
fn decoder_error(value: Option<&[u8]>) -> DecodeError {
    let schema_id = codec::frame::schema_id(value);
    DecodeError::Failed(failure_of(FailureReason::AvroDecode, schema_id, "decoder"))
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no words")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_contained_and_its_words_are_known() {
        assert_eq!(contained(|| 7), Some(7));
        assert_eq!(contained(|| panic!("plain")), None::<()>);
        let panic = catch_unwind(|| panic!("number {}", 7)).unwrap_err();
        assert_eq!(words(&*panic), "number 7");
        assert_eq!(words(&7), "no words");
    }

    #[test]
    fn a_decoder_that_panics_fails_its_record_and_tells_none_of_its_words() {
        let value = [0, 0, 0, 0, 7, 1];
        let decoded = decoded::<()>(Some(&value), |_| panic!("secret"));
        let Err(DecodeError::Failed(failure)) = decoded else { panic!("{decoded:?}") };
        assert_eq!((failure.reason, failure.schema_id), (FailureReason::AvroDecode, Some(7)));
        assert!(!failure.detail.contains("secret"), "{failure:?}");
    }
}
