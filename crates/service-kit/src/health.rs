//! Is the process alive, and is it ready? With reasons when it is not.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use serde::Serialize;

/// Why something is not well.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Reason {
    /// Name of the condition that does not hold, such as `registry`.
    pub condition: String,
    /// What is known about it.
    pub detail: String,
}

/// Reasons why something is not well; none means that it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HealthReport {
    /// One entry per condition that does not hold.
    pub reasons: Vec<Reason>,
}

impl HealthReport {
    /// A report of conditions and what is the trouble with each, if anything.
    pub fn of_troubles<'n>(all: impl IntoIterator<Item = (&'n str, Option<String>)>) -> Self {
        let reason = |(condition, trouble): (&str, Option<String>)| {
            Some(Reason { condition: condition.to_owned(), detail: trouble? })
        };
        Self { reasons: all.into_iter().filter_map(reason).collect() }
    }

    /// Returns whether every condition holds.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.reasons.is_empty()
    }
}

/// What the admin server asks. Both answers come from memory: neither may block.
pub trait HealthSource: Send + Sync {
    /// Returns whether the process makes progress; if not, a supervisor should restart it.
    fn live(&self) -> HealthReport;
    /// Returns whether the process does its work now; if not, waiting may help.
    fn ready(&self) -> HealthReport;
}

/// Named conditions for readiness and heartbeats for liveness. Clones share their state.
#[derive(Debug, Clone)]
pub struct Conditions {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    start: Instant,
    failing: Mutex<BTreeMap<String, String>>,
    heartbeats: Mutex<Vec<Weak<Pulse>>>,
}

#[derive(Debug)]
struct Pulse {
    name: String,
    silence_max: Duration,
    /// Milliseconds after `Shared::start` at which the next beat is overdue.
    overdue_at_ms: AtomicU64,
}

impl Default for Conditions {
    fn default() -> Self {
        Self::new()
    }
}

impl Conditions {
    /// Returns a set in which every condition holds.
    #[must_use]
    pub fn new() -> Self {
        let shared = Shared {
            start: Instant::now(),
            failing: Mutex::default(),
            heartbeats: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Says that `condition` does not hold: the process is not ready.
    pub fn fail(&self, condition: impl Into<String>, detail: impl Into<String>) {
        lock(&self.shared.failing).insert(condition.into(), detail.into());
    }

    /// Says that `condition` holds (again).
    pub fn pass(&self, condition: &str) {
        lock(&self.shared.failing).remove(condition);
    }

    /// Returns a heartbeat that must beat at least every `silence_max` from now on; otherwise the
    /// process is not alive. Dropping it ends the duty.
    #[must_use]
    pub fn heartbeat(&self, name: impl Into<String>, silence_max: Duration) -> Heartbeat {
        let pulse = Pulse { name: name.into(), silence_max, overdue_at_ms: AtomicU64::new(0) };
        let heartbeat = Heartbeat { pulse: Arc::new(pulse), start: self.shared.start };
        heartbeat.beat();
        let mut heartbeats = lock(&self.shared.heartbeats);
        heartbeats.retain(|pulse| pulse.strong_count() > 0);
        heartbeats.push(Arc::downgrade(&heartbeat.pulse));
        heartbeat
    }

    fn live_after(&self, elapsed: Duration) -> HealthReport {
        let now_ms = millis(elapsed);
        let heartbeats = lock(&self.shared.heartbeats);
        let overdue = heartbeats.iter().filter_map(Weak::upgrade).filter_map(|pulse| {
            let overdue_at_ms = pulse.overdue_at_ms.load(Ordering::Relaxed);
            let late_ms = now_ms.checked_sub(overdue_at_ms).filter(|late_ms| *late_ms > 0)?;
            let detail = format!("no heartbeat, overdue for {late_ms} ms");
            Some(Reason { condition: pulse.name.clone(), detail })
        });
        HealthReport { reasons: overdue.collect() }
    }

    fn ready_after(&self, elapsed: Duration) -> HealthReport {
        let mut report = self.live_after(elapsed);
        let failing = lock(&self.shared.failing);
        let failing = failing.iter().map(|(condition, detail)| Reason {
            condition: condition.clone(),
            detail: detail.clone(),
        });
        report.reasons.extend(failing);
        report
    }
}

impl HealthSource for Conditions {
    fn live(&self) -> HealthReport {
        self.live_after(self.shared.start.elapsed())
    }

    fn ready(&self) -> HealthReport {
        self.ready_after(self.shared.start.elapsed())
    }
}

/// A sign of life of one thread or loop.
#[derive(Debug)]
pub struct Heartbeat {
    pulse: Arc<Pulse>,
    start: Instant,
}

impl Heartbeat {
    /// Gives a sign of life.
    pub fn beat(&self) {
        self.announce(Duration::ZERO);
    }

    /// Gives a sign of life and announces a bounded blocking call: silence of up to `duration` more
    /// than usual is no alarm.
    pub fn announce(&self, duration: Duration) {
        let overdue_at = self.start.elapsed() + self.pulse.silence_max + duration;
        self.pulse.overdue_at_ms.store(millis(overdue_at), Ordering::Relaxed);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A panic elsewhere leaves these maps whole, so a poisoned lock is still good.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn it_is_ready_unless_a_condition_fails() {
        let conditions = Conditions::new();
        assert!(conditions.ready().is_ok());
        conditions.clone().fail("registry", "connection refused");
        let reason = Reason { condition: "registry".into(), detail: "connection refused".into() };
        assert_eq!(conditions.ready().reasons, [reason]);
        assert!(conditions.live().is_ok(), "an outage is no reason for a restart");
        conditions.pass("registry");
        assert!(conditions.ready().is_ok());
    }

    #[test]
    fn a_silent_heartbeat_is_not_alive_and_a_beating_one_is() {
        let conditions = Conditions::new();
        let heartbeat = conditions.heartbeat("lane-0", MINUTE);
        assert!(conditions.live_after(MINUTE / 2).is_ok());
        let report = conditions.live_after(MINUTE * 2);
        assert_eq!(report.reasons[0].condition, "lane-0");
        heartbeat.announce(MINUTE * 10);
        assert!(conditions.live_after(MINUTE * 10).is_ok());
    }

    #[test]
    fn a_dropped_heartbeat_owes_nothing() {
        let conditions = Conditions::new();
        drop(conditions.heartbeat("lane-0", MINUTE));
        assert!(conditions.live_after(MINUTE * 9).is_ok());
    }

    #[test]
    fn what_is_not_alive_is_not_ready() {
        let conditions = Conditions::new();
        let _heartbeat = conditions.heartbeat("lane-0", MINUTE);
        assert!(conditions.ready_after(MINUTE / 2).is_ok());
        assert_eq!(conditions.ready_after(MINUTE * 2).reasons[0].condition, "lane-0");
    }
}
