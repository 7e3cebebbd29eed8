//! The service as the engine's handler: what a record comes to by what is answered.

use std::sync::Arc;

use relane::{HandleError, Handler, ReasonName, Record};

use crate::batch::{Batches, Told};
use crate::body::Body;
use crate::caller::{ANSWER_BYTES_MAX, Caller, NO_ANSWER, Place};
use crate::evidence::Evidence;
use crate::headers;
use crate::verdict::{Speaks, Verdict};

/// Largest body that is sent; a larger record is refused.
pub(crate) const BODY_BYTES_MAX: usize = 16 << 20;

/// Why a record is refused whose body is larger.
const BODY_TOO_LARGE: ReasonName = ReasonName::of("body-too-large");

/// The service.
#[derive(Debug)]
pub(crate) struct Service {
    caller: Arc<Caller>,
    evidence: Evidence,
    batches: Option<Batches>,
}

impl Service {
    /// A client; connects when it is first used.
    ///
    /// # Errors
    ///
    /// If no client can be made: the system lacks what TLS needs.
    pub(crate) fn new(place: &Place) -> Result<Self, reqwest::Error> {
        let caller = Arc::new(Caller::new(place)?);
        let batch = |records_max| Batches::new(&caller, records_max, place.handler_timeout);
        Ok(Self {
            batches: place.batch_max.map(batch),
            evidence: Evidence::new(place.attempts_max, place.handler_timeout),
            caller,
        })
    }

    /// The address for messages: without a query, which may hold a key.
    pub(crate) fn shown(&self) -> &str {
        self.caller.shown()
    }

    /// Sends a record, alone or with others.
    async fn send(&self, record: &Record<Body>) -> Result<Verdict, HandleError> {
        let Some(batches) = &self.batches else {
            check_size(record.value.bytes.len())?;
            let (headers, body) = (headers::of(record), record.value.bytes.clone());
            return Ok(self.caller.post(headers, body, ANSWER_BYTES_MAX).await.verdict);
        };
        let event = batches.event(record);
        check_size(event.bytes())?;
        // What has failed before may be why others would fail with it.
        let is_suspect = record.attempt > 1 || self.evidence.is_remembered(record);
        if is_suspect {
            return Ok(batches.send_alone(event).await);
        }
        match batches.send_with_others(event.clone()).await {
            // What may be about another record decides nothing where it would be the last word.
            Told::OfAll(Verdict::Unavailable { detail, wait, .. })
                if self.evidence.is_last(record) =>
            {
                let Some(wait) = wait else { return Ok(batches.send_alone(event).await) };
                self.evidence.remember(record);
                Err(HandleError::away_for(wait, alone(record, &detail)))
            }
            Told::Of(verdict) | Told::OfAll(verdict) => Ok(verdict),
            Told::OfOneOfThem => Ok(batches.send_alone(event).await),
        }
    }

    /// What a record comes to whose attempt was answered so.
    async fn outcome(&self, record: &Record<Body>, verdict: Verdict) -> Result<(), HandleError> {
        match verdict {
            Verdict::Done => {
                self.evidence.note_worked(record);
                Ok(())
            }
            Verdict::Refused { reason, detail } => {
                self.evidence.note_worked(record);
                Err(HandleError::permanent(reason, detail))
            }
            Verdict::Unreachable { detail } => Err(HandleError::away(detail)),
            Verdict::Unavailable { detail, wait, speaks } => {
                let (service, wait) = (self.shown(), wait.unwrap_or_default());
                let may_be_all = speaks == Speaks::OfItself && self.evidence.is_last(record);
                if may_be_all && !self.evidence.is_of_the_record(record).await {
                    return Err(HandleError::away_for(wait, alone(record, &detail)));
                }
                let said = if detail.starts_with(NO_ANSWER) { "gave" } else { "answered:" };
                Err(HandleError::unavailable_for(wait, format!("{service} {said} {detail}")))
            }
        }
    }
}

/// What is said of a last attempt that nothing can judge: what was answered, and whom it may be about.
fn alone(record: &Record<Body>, detail: &str) -> String {
    let Record { idempotency_key: name, attempt, .. } = record;
    let times = if *attempt == 1 { "time" } else { "times" };
    format!(
        "{detail}; record {name} has failed {attempt} {times} and nothing else was accepted since: it waits \
         (docs/push.md, 'A record that is alone waits')"
    )
}

fn check_size(bytes: usize) -> Result<(), HandleError> {
    if bytes > BODY_BYTES_MAX {
        let detail = format!("a body of {bytes} bytes is above the limit of {BODY_BYTES_MAX}");
        return Err(HandleError::permanent(BODY_TOO_LARGE, detail));
    }
    Ok(())
}

impl Handler<Body> for Service {
    async fn handle(&self, record: Record<Body>) -> Result<(), HandleError> {
        let verdict = self.send(&record).await?;
        self.outcome(&record, verdict).await
    }
}

#[cfg(test)]
#[path = "service_tests.rs"]
mod tests;
