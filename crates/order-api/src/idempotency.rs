//! The client's retry: one key, one order, one answer.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use service_kit::http::{HeaderMap, Problem, StatusCode};
use sha2::{Digest as _, Sha256};

/// Header with the name that a client gives to one order, the same at each of its retries.
pub const IDEMPOTENCY_KEY_HEADER: &str = "idempotency-key";

/// Header of an answer that was given before.
pub const REPLAYED_HEADER: &str = "idempotent-replayed";

/// Longest key.
const KEY_CHARS_MAX: usize = 255;

/// When to ask again about an order that is being placed.
const RUNNING_RETRY_AFTER: Duration = Duration::from_secs(1);

/// Separates the ids made of keys from anything else that is hashed.
const KEY_CONTEXT: &[u8] = b"order of idempotency key\0";

/// The client's key, if it sent one; quotes around it are not part of it.
///
/// # Errors
///
/// A problem for the client if there are several, or one that is no visible ASCII or too long.
pub fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut sent = headers.get_all(IDEMPOTENCY_KEY_HEADER).iter();
    let Some(value) = sent.next() else { return Ok(None) };
    let bad = || {
        let detail =
            format!("send one Idempotency-Key of 1 to {KEY_CHARS_MAX} visible ASCII characters");
        Problem::new(
            StatusCode::BAD_REQUEST,
            "bad-idempotency-key",
            "The key cannot be used",
            detail,
        )
    };
    let text = value.to_str().map_err(|_| bad())?.trim();
    let text = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(text);
    let is_visible = text.bytes().all(|b| b.is_ascii_graphic());
    if sent.next().is_some() || text.is_empty() || text.len() > KEY_CHARS_MAX || !is_visible {
        return Err(bad());
    }
    Ok(Some(text.to_owned()))
}

/// The order that belongs to a key. A pure function, so that a retry after a crash asks every
/// service for the same order, whether or not its first try was stored.
pub(crate) fn order_id_of(key: &str) -> String {
    let digest = Sha256::new().chain_update(KEY_CONTEXT).chain_update(key).finalize();
    let (half, _) = digest.split_at(16);
    half.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An id for an order whose client gave it no name.
pub(crate) fn random_order_id() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// The orders that are being placed now; at most as many as requests are worked on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Running {
    order_ids: Arc<Mutex<HashSet<String>>>,
}

/// One of them; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct RunningOrder {
    running: Running,
    order_id: String,
}

impl Running {
    /// Begins an order that nobody else is placing.
    ///
    /// # Errors
    ///
    /// A problem for the client (409) while another request places the same order.
    pub(crate) fn begin(&self, order_id: &str) -> Result<RunningOrder, Problem> {
        if self.lock().insert(order_id.to_owned()) {
            return Ok(RunningOrder { running: self.clone(), order_id: order_id.to_owned() });
        }
        let detail = "the first request for this order is still being processed; repeat this request later for its answer";
        let status = StatusCode::CONFLICT;
        let problem = Problem::new(status, "in-progress", "The order is being placed", detail)
            .with("order_id", order_id)
            .retry_after(RUNNING_RETRY_AFTER);
        Err(problem)
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<String>> {
        self.order_ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for RunningOrder {
    fn drop(&mut self) {
        self.running.lock().remove(&self.order_id);
    }
}

/// The problem of a key, or an order id, that came before with another order.
pub(crate) fn reused(order_id: &str) -> Problem {
    let detail = "this Idempotency-Key or order id was used before for another order; use a new one for a new order";
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    Problem::new(status, "key-reused", "The key belongs to another order", detail)
        .with("order_id", order_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Result<Option<String>, Problem> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(IDEMPOTENCY_KEY_HEADER, value.parse().unwrap());
        }
        key(&headers)
    }

    #[test]
    fn a_key_may_be_quoted_and_needs_no_certain_form() {
        let found = |value| read(&[value]).unwrap().unwrap();
        assert_eq!(found("8e03978e-40d5"), "8e03978e-40d5");
        assert_eq!(found("\"8e03978e-40d5\""), "8e03978e-40d5");
        assert_eq!(found(&"k".repeat(255)).len(), 255);
        assert_eq!(read(&[]).unwrap(), None);
    }

    #[test]
    fn two_keys_or_one_that_cannot_be_used_are_the_clients_fault() {
        let too_long = "k".repeat(256);
        for values in [&["a", "b"][..], &[""], &["\"\""], &["a b"], &[&too_long]] {
            let problem = read(values).unwrap_err();
            assert_eq!(problem.status(), StatusCode::BAD_REQUEST, "{values:?}");
        }
    }

    #[test]
    fn the_order_of_a_key_is_always_the_same_one() {
        assert_eq!(order_id_of("k1"), order_id_of("k1"));
        assert_ne!(order_id_of("k1"), order_id_of("k2"));
        assert_eq!(order_id_of("k1").len(), 32);
    }

    #[test]
    fn an_order_is_placed_by_one_request_at_a_time() {
        let running = Running::default();
        let first = running.begin("o-1").unwrap();
        assert_eq!(running.begin("o-1").unwrap_err().status(), StatusCode::CONFLICT);
        assert!(running.begin("o-2").is_ok());
        drop(first);
        assert!(running.begin("o-1").is_ok());
    }
}
