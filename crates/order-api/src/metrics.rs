//! What all three paradigms measure, under the same names; docs/paradigms.md explains it.

use std::time::Duration;

use orders::{FailureReason, InventoryOutcome};

use crate::paradigm::Placed;

/// Time from the first byte of a new order to the answer that accepts it: 200 or 202.
const ACCEPT_SECONDS: &str = "order_accept_seconds";
/// Time from the first byte of a new order, or its `createdAt`, to its outcome, by outcome.
const OUTCOME_SECONDS: &str = "order_outcome_seconds";
/// New orders accepted: answered 200 or 202.
pub(crate) const ACCEPTED: &str = "orders_accepted_total";
/// Orders not accepted, by reason: the last part of the problem's type.
const REJECTED: &str = "orders_rejected_total";
/// Answers that were given before, to a client's retry.
const REPLAYED: &str = "orders_replayed_total";
/// Outcomes that became known, by outcome: `confirmed`, why the inventory said no, or
/// `dead-lettered`.
pub(crate) const OUTCOMES: &str = "order_outcomes_total";

/// Why any front may refuse an order; a paradigm has more, see
/// [`REJECTS`](crate::Paradigm::REJECTS).
const REASONS: [&str; 10] = [
    "bad-idempotency-key",
    "in-progress",
    "internal",
    "invalid-avro",
    "invalid-json",
    "invalid-order",
    "key-reused",
    "registry-away",
    "unknown-item",
    "unsupported-media-type",
];

/// Describes what is measured, and lets every counter begin at 0: one that comes into being with its
/// first event hides that event from a rate.
pub(crate) fn start(more_reasons: &[&'static str]) {
    metrics::describe_histogram!(ACCEPT_SECONDS, "first byte of a new order to its acceptance");
    metrics::describe_histogram!(OUTCOME_SECONDS, "a new order to its outcome, by outcome");
    metrics::describe_counter!(ACCEPTED, "new orders answered 200 or 202");
    metrics::describe_counter!(REJECTED, "orders not accepted, by reason");
    metrics::describe_counter!(REPLAYED, "earlier answers repeated to a client's retry");
    metrics::describe_counter!(OUTCOMES, "outcomes that became known, by outcome");
    metrics::counter!(ACCEPTED).increment(0);
    metrics::counter!(REPLAYED).increment(0);
    for reason in REASONS.iter().chain(more_reasons) {
        metrics::counter!(REJECTED, "reason" => *reason).increment(0);
    }
    let failed = FailureReason::ALL.map(FailureReason::as_str);
    for outcome in failed.into_iter().chain(["confirmed", "dead-lettered"]) {
        metrics::counter!(OUTCOMES, "outcome" => outcome).increment(0);
    }
}

/// A new order was placed; where that settles it, its outcome is known as well.
pub(crate) fn placed(placed: Placed, elapsed: Duration) {
    match placed {
        Placed::Accepted | Placed::Settled(InventoryOutcome::Reserved) => {
            metrics::counter!(ACCEPTED).increment(1);
            metrics::histogram!(ACCEPT_SECONDS).record(elapsed.as_secs_f64());
        }
        Placed::Settled(InventoryOutcome::Failed(reason)) => rejected(reason.as_str()),
    }
    if let Placed::Settled(inventory) = placed {
        outcome(inventory, Some(elapsed));
    }
}

/// An order was not accepted.
pub fn rejected(reason: &'static str) {
    metrics::counter!(REJECTED, "reason" => reason).increment(1);
}

/// A client's retry was given the answer of its first try.
pub fn replayed() {
    metrics::counter!(REPLAYED).increment(1);
}

/// The message of an order became a dead letter before inventory decided.
pub(crate) fn dead_lettered() {
    metrics::counter!(OUTCOMES, "outcome" => "dead-lettered").increment(1);
}

/// The outcome of an order became known.
pub(crate) fn outcome(inventory: InventoryOutcome, elapsed: Option<Duration>) {
    let outcome = match inventory {
        InventoryOutcome::Reserved => "confirmed",
        InventoryOutcome::Failed(reason) => reason.as_str(),
    };
    metrics::counter!(OUTCOMES, "outcome" => outcome).increment(1);
    if let Some(elapsed) = elapsed {
        metrics::histogram!(OUTCOME_SECONDS, "outcome" => outcome).record(elapsed.as_secs_f64());
    }
}
