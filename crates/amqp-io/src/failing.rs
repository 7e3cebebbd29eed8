//! What becomes of messages that fail: a retry queue, or the dead letters.

use pipeline::failure::Failure;
use pipeline::retry::RetryPlan;
use pipeline::route::{Route, route};

use crate::lineage::Failed;
use crate::metrics;
use crate::publish::{Address, Message, Publisher};
use crate::received::Received;
use crate::topology::QueueNames;
use service_kit::clock::now_ms;

/// Longest id that AMQP has room for among the properties of a message.
const MESSAGE_ID_BYTES_MAX: usize = 255;

/// Sends failed messages where they belong.
#[derive(Debug, Clone)]
pub struct Failing {
    /// What sends them.
    pub publisher: Publisher,
    /// The queue that is worked on.
    pub queue: QueueNames,
    /// When an attempt is made again.
    pub plan: RetryPlan,
    /// Who hears of a dead letter before it is one, under the id of what it is about.
    pub told_first: Option<Address>,
}

impl Failing {
    /// Sends a failed message to a retry queue, or to the dead letters; returns when it is there.
    pub async fn send_away(
        &self,
        received: &Received,
        failure: &Failure,
        subject_id: Option<String>,
    ) -> &'static str {
        match route(failure, received.attempt(), &self.plan, 0.0) {
            Route::Retry(delay) => {
                let now_ms = now_ms();
                let delay_ms = i64::try_from(delay.as_millis()).unwrap_or(i64::MAX);
                let due_at_ms = now_ms.saturating_add(delay_ms);
                let failed = failed(&self.queue.name, received, failure, now_ms);
                let headers = failed.to_retry(&received.headers, due_at_ms);
                let message =
                    Message::sent_on(received.body.clone(), &received.properties, &headers)
                        .sent_in(received.sent_on());
                let to = Address::queue(self.queue.retry(delay));
                self.publisher.publish_until_confirmed(&to, &message).await;
                metrics::retried(self.queue.label);
                "retried"
            }
            Route::DeadLetter => {
                self.dead_letter(received, failure, subject_id).await;
                "dead-lettered"
            }
        }
    }

    /// Sends a message to the dead letters, and says so to those who are asked about its subject;
    /// returns when both is safe.
    pub async fn dead_letter(
        &self,
        received: &Received,
        failure: &Failure,
        subject_id: Option<String>,
    ) {
        let headers =
            failed(&self.queue.name, received, failure, now_ms()).to_dead_letter(&received.headers);
        let message = Message::sent_on(received.body.clone(), &received.properties, &headers);
        // Where the process dies in between, the message comes again and does both again. Told
        // first, its subject is never a dead letter and pending for good.
        let subject_id = subject_id.filter(|id| id.len() <= MESSAGE_ID_BYTES_MAX);
        if let (Some(events), Some(subject_id)) = (&self.told_first, subject_id) {
            let mut event = message.clone(); // news of it, which is no step on its way
            event.properties = event.properties.with_message_id(subject_id.as_str().into());
            self.publisher.publish_until_confirmed(events, &event).await;
        }
        let dead_letters = Address::queue(self.queue.dead_letters());
        let message = message.sent_in(received.sent_on());
        self.publisher.publish_until_confirmed(&dead_letters, &message).await;
        metrics::dead_lettered(self.queue.label, failure.class());
        tracing::warn!(
            queue = self.queue.name,
            class = failure.class().as_str(),
            reason = failure.reason.as_str(),
            request_id = received.request_id(),
            detail = failure.detail,
            "dead letter"
        );
    }
}

fn failed<'a>(
    queue: &'a str,
    received: &Received,
    failure: &'a Failure,
    now_ms: i64,
) -> Failed<'a> {
    let (attempt, made_at_ms) = (received.attempt(), received.made_at_ms());
    Failed { queue, failure, attempt, made_at_ms, now_ms }
}
