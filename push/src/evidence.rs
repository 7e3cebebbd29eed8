//! Whether the service works at all: what tells a record that it always refuses from an outage.
//!
//! 503 and its like, and no answer, may be about one record or about all. They are about this record where the service
//! has accepted or refused another one since this one first failed. Where it has not, nothing can tell: the record
//! waits, because a dead letter of an outage is the worse mistake.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use relane::Record;
use service_kit::clock::now_ms;
use tokio::sync::Notify;
use tokio::time::timeout;

/// Longest wait, after a first attempt that is the last as well, for others to show whether the service works.
const OTHERS_MAX: Duration = Duration::from_secs(1);

/// Records that are remembered because their only attempt failed while nothing could tell; of more, the one that failed
/// longest ago is forgotten, and waits for one more accepted record.
const REMEMBERED_MAX: usize = 1_000;

/// A time that was not yet.
const NEVER: i64 = i64::MIN;

/// See the module.
#[derive(Debug)]
pub(crate) struct Evidence {
    /// Attempts at a record.
    attempts_max: u32,
    others_max: Duration,
    /// When a record was accepted or refused last, in epoch milliseconds.
    worked_at_ms: AtomicI64,
    worked: Notify,
    /// When the only attempt at these records failed first, by idempotency key.
    failed_first_ms: Mutex<HashMap<String, i64>>,
}

impl Evidence {
    /// For a handler that may take so long, and so many attempts at a record.
    pub(crate) fn new(attempts_max: u32, handler_timeout: Duration) -> Self {
        Self {
            attempts_max,
            others_max: OTHERS_MAX.min(handler_timeout / 25),
            worked_at_ms: AtomicI64::new(NEVER),
            worked: Notify::new(),
            failed_first_ms: Mutex::default(),
        }
    }

    /// The service has accepted or refused this record.
    pub(crate) fn note_worked<T>(&self, record: &Record<T>) {
        self.note_worked_at(now_ms());
        if record.attempt >= self.attempts_max {
            self.failed_first().remove(&record.idempotency_key);
        }
    }

    pub(crate) fn note_worked_at(&self, at_ms: i64) {
        self.worked_at_ms.fetch_max(at_ms, Ordering::Relaxed);
        self.worked.notify_waiters();
    }

    /// Whether this attempt at a record is the last.
    pub(crate) fn is_last<T>(&self, record: &Record<T>) -> bool {
        record.attempt >= self.attempts_max
    }

    /// Whether its only attempt has failed before, while nothing could tell why.
    pub(crate) fn is_remembered<T>(&self, record: &Record<T>) -> bool {
        self.is_last(record) && self.failed_first().contains_key(&record.idempotency_key)
    }

    /// Whether a failure of the last attempt at a record that may be about all records is about this one.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has at most remembered that the record failed.
    pub(crate) async fn is_of_the_record<T>(&self, record: &Record<T>) -> bool {
        let (since_ms, waits) = match record.failing_since_ms() {
            Some(since_ms) => (since_ms, Duration::ZERO),
            None => (self.remember(record), self.others_max),
        };
        let works = || self.worked_at_ms.load(Ordering::Relaxed) > since_ms;
        let shown = timeout(waits, async {
            loop {
                let worked = self.worked.notified();
                if works() {
                    return;
                }
                worked.await;
            }
        });
        let is_shown = shown.await.is_ok();
        if is_shown {
            self.failed_first().remove(&record.idempotency_key);
        }
        is_shown
    }

    /// Notes that the only attempt at a record has failed: when it did so first, in epoch milliseconds.
    pub(crate) fn remember<T>(&self, record: &Record<T>) -> i64 {
        let key = record.idempotency_key.as_str();
        let mut all = self.failed_first();
        if !all.contains_key(key) && all.len() >= REMEMBERED_MAX {
            let oldest = all.iter().min_by_key(|(_, at_ms)| **at_ms).map(|(key, _)| key.clone());
            oldest.and_then(|key| all.remove(&key));
        }
        *all.entry(key.to_owned()).or_insert_with(now_ms)
    }

    fn failed_first(&self) -> std::sync::MutexGuard<'_, HashMap<String, i64>> {
        self.failed_first_ms.lock().expect("no panic while it is held")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn record(offset: i64, attempt: u32) -> Record<()> {
        Record {
            value: Arc::new(()),
            key: None,
            headers: Vec::new(),
            topic: "t".to_owned(),
            partition: 0,
            offset,
            idempotency_key: format!("t/0/{offset}"),
            timestamp_ms: 0,
            written_at_ms: 0,
            attempt,
            redrives: 0,
        }
    }

    fn is_of_the_record(evidence: &Evidence, offset: i64, meanwhile: impl FnOnce()) -> bool {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.expect("a runtime").block_on(async {
            let record = record(offset, 1);
            // It looks once before anything else happens.
            tokio::join!(evidence.is_of_the_record(&record), async { meanwhile() }).0
        })
    }

    #[test]
    fn an_only_attempt_is_about_its_record_where_others_are_accepted_afterwards() {
        let evidence = Evidence::new(1, HOUR);
        evidence.note_worked_at(now_ms() - 5);
        assert!(is_of_the_record(&evidence, 1, || evidence.note_worked_at(now_ms() + 5)));
        let brief = Evidence::new(1, Duration::from_millis(25));
        brief.note_worked_at(now_ms() - 5);
        assert!(!is_of_the_record(&brief, 1, || {}), "nothing was accepted since");
        assert!(brief.is_remembered(&record(1, 1)));
        brief.note_worked_at(now_ms() + 5);
        assert!(is_of_the_record(&brief, 1, || {}), "another was accepted since it failed first");
        assert!(!brief.is_remembered(&record(1, 1)), "it is given up, and forgotten");
    }

    #[test]
    fn no_more_records_are_remembered_than_the_limit() {
        let evidence = Evidence::new(1, HOUR);
        let first = evidence.remember(&record(0, 1));
        let most = i64::try_from(REMEMBERED_MAX).expect("few");
        for offset in 1..=most {
            evidence.failed_first().insert("t/0/0".to_owned(), first - 1);
            evidence.remember(&record(offset, 1));
        }
        assert_eq!(evidence.failed_first().len(), REMEMBERED_MAX);
        assert!(evidence.is_remembered(&record(most, 1)));
    }
}
