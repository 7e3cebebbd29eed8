//! What becomes of messages that fail: a retry queue, or the dead letters.

use orders::simulate;
use pipeline::failure::{Failure, FailureReason};
use pipeline::retry::RetryPlan;
use pipeline::route::{Route, route};

use crate::consume::Trouble;
use crate::lineage::Failed;
use crate::metrics;
use crate::publish::{Address, Message, Publisher};
use crate::received::Received;
use crate::topology::{Topology, WorkQueue};
use service_kit::clock::now_ms;

/// Longest id that AMQP has room for among the properties of a message.
const MESSAGE_ID_BYTES_MAX: usize = 255;

/// When attempts fail, and what follows.
#[derive(Debug, Clone)]
pub(crate) struct Failures {
    pub(crate) plan: RetryPlan,
    /// Share of attempts that fail on request.
    pub(crate) simulated_rate: f64,
    pub(crate) seed: u64,
}

impl Failures {
    /// The failure of this attempt that was asked for, if any.
    pub(crate) fn simulated(&self, order_id: &str, received: &Received) -> Result<(), Trouble> {
        let (attempt, redrives) = (received.attempt(), received.past.redrive_count);
        if simulate::fails(order_id, attempt, self.seed, redrives, self.simulated_rate) {
            let detail = format!("attempt {attempt} fails on request");
            return Err(Trouble::Failed(received.failure(FailureReason::Simulated, detail)));
        }
        Ok(())
    }
}

/// Sends failed messages where they belong.
#[derive(Debug, Clone)]
pub(crate) struct Failing {
    pub(crate) publisher: Publisher,
    pub(crate) topology: Topology,
    pub(crate) failures: Failures,
}

impl Failing {
    /// Sends a failed message to a retry queue, or to the dead letters; returns when it is there.
    pub(crate) async fn send_away(
        &self,
        queue: WorkQueue,
        received: &Received,
        failure: &Failure,
        order_id: Option<String>,
    ) -> &'static str {
        match route(failure, received.attempt(), &self.failures.plan, 0.0) {
            Route::Retry(delay) => {
                let now_ms = now_ms();
                let delay_ms = i64::try_from(delay.as_millis()).unwrap_or(i64::MAX);
                let due_at_ms = now_ms.saturating_add(delay_ms);
                let name = self.topology.queue(queue);
                let failed = failed(&name, received, failure, now_ms);
                let headers = failed.to_retry(&received.headers, due_at_ms);
                let message =
                    Message::sent_on(received.body.clone(), &received.properties, &headers);
                let to = Address::queue(self.topology.retry_queue(queue, delay));
                self.publisher.publish_until_confirmed(&to, &message).await;
                metrics::retried(queue);
                "retried"
            }
            Route::DeadLetter => {
                self.dead_letter(queue, received, failure, order_id).await;
                "dead-lettered"
            }
        }
    }

    /// Sends a message to the dead letters, and says so to those who are asked about its order;
    /// returns when both is safe.
    pub(crate) async fn dead_letter(
        &self,
        queue: WorkQueue,
        received: &Received,
        failure: &Failure,
        order_id: Option<String>,
    ) {
        let name = self.topology.queue(queue);
        let headers = failed(&name, received, failure, now_ms()).to_dead_letter(&received.headers);
        let message = Message::sent_on(received.body.clone(), &received.properties, &headers);
        // Where the process dies in between, the message comes again and does both again. Told
        // first, the order is never a dead letter and pending for good.
        let order_id = order_id.filter(|id| id.len() <= MESSAGE_ID_BYTES_MAX);
        if let (WorkQueue::Inventory, Some(order_id)) = (queue, order_id) {
            let mut event = message.clone();
            event.properties = event.properties.with_message_id(order_id.as_str().into());
            let events = Address::queue(self.topology.queue(WorkQueue::Outcomes));
            self.publisher.publish_until_confirmed(&events, &event).await;
        }
        let dead_letters = Address::queue(self.topology.dead_letter_queue(queue));
        self.publisher.publish_until_confirmed(&dead_letters, &message).await;
        metrics::dead_lettered(queue, failure.class());
        tracing::warn!(
            queue = name,
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
