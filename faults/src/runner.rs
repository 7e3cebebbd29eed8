//! Runs scenarios one after the other and says how they went.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use service_kit::output::note;

use crate::run::{Figure, Run, Size};
use crate::scenario::Scenario;

/// Longest run of all scenarios together.
const TOTAL_MAX: Duration = Duration::from_secs(15 * 60);

/// How a scenario went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// As it must.
    Passed,
    /// Something was not as it must be.
    Failed(String),
    /// It ran on for longer than its limit; what it does still goes on.
    TimedOut(Duration),
    /// One before it timed out, or the time for all was over.
    NotRun,
}

/// A scenario that was run.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Which.
    pub scenario: Scenario,
    /// Its seed.
    pub seed: u64,
    /// How long it took.
    pub elapsed: Duration,
    /// How it went.
    pub verdict: Verdict,
    /// What it measured.
    pub figures: Vec<Figure>,
}

impl Outcome {
    /// Whether it went as it must.
    #[must_use]
    pub fn is_passed(&self) -> bool {
        self.verdict == Verdict::Passed
    }
}

/// Runs one scenario on a thread of its own, for no longer than its limit.
#[must_use]
pub fn execute(scenario: &Scenario, size: Size, seed: u64) -> Outcome {
    execute_within(scenario, size, seed, scenario.limit(size))
}

fn execute_within(scenario: &Scenario, size: Size, seed: u64, limit: Duration) -> Outcome {
    let (name, run) = (scenario.name, scenario.run);
    note(&format!("faults: {name} begins, seed {seed}, at most {} s", limit.as_secs()));
    let (done, finished) = mpsc::sync_channel(1);
    let started_at = Instant::now();
    let work = move || {
        let mut state = Run::new(name, size, seed);
        let result = catch_unwind(AssertUnwindSafe(|| run(&mut state)));
        let verdict =
            result.map_or_else(|panic| Verdict::Failed(words_of(&*panic)), |()| Verdict::Passed);
        // Nobody waits any more after the limit.
        drop(done.send((verdict, state.into_figures())));
    };
    let thread =
        std::thread::Builder::new().name(name.to_owned()).spawn(work).expect("room for a thread");
    let (verdict, figures) = match finished.recv_timeout(limit) {
        Ok(result) => {
            thread.join().expect("its panics are caught");
            result
        }
        Err(RecvTimeoutError::Timeout) => (Verdict::TimedOut(limit), Vec::new()),
        Err(RecvTimeoutError::Disconnected) => {
            (Verdict::Failed("it ended without a verdict".to_owned()), Vec::new())
        }
    };
    let elapsed = started_at.elapsed();
    let word = if verdict == Verdict::Passed { "passed" } else { "FAILED" };
    note(&format!("faults: {name} {word} after {:.1} s (seed {seed})", elapsed.as_secs_f64()));
    Outcome { scenario: *scenario, seed, elapsed, verdict, figures }
}

/// Runs scenarios in order, for no longer than 15 minutes. After one that timed out the others
/// are not run: it may still hold what they need.
#[must_use]
pub fn execute_all(scenarios: &[&Scenario], size: Size, seed: u64) -> Vec<Outcome> {
    let give_up_at = Instant::now() + TOTAL_MAX;
    let mut outcomes: Vec<Outcome> = Vec::new();
    for scenario in scenarios {
        let left = give_up_at.saturating_duration_since(Instant::now());
        let is_over = outcomes
            .last()
            .is_some_and(|last| !matches!(last.verdict, Verdict::Passed | Verdict::Failed(_)));
        outcomes.push(if is_over || left.is_zero() {
            let (elapsed, verdict, figures) = (Duration::ZERO, Verdict::NotRun, Vec::new());
            Outcome { scenario: **scenario, seed, elapsed, verdict, figures }
        } else {
            execute_within(scenario, size, seed, scenario.limit(size).min(left))
        });
    }
    outcomes
}

fn words_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn scenario(name: &'static str, run: fn(&mut Run)) -> Scenario {
        Scenario { name, rows: &[], does: "", expects: "", full_max_s: 1, run }
    }

    #[test]
    fn a_panic_is_a_verdict_with_its_words() {
        let outcome = execute(&scenario("a", |run| panic!("seed {}", run.seed())), Size::Short, 7);
        assert_eq!(outcome.verdict, Verdict::Failed("seed 7".to_owned()));
    }

    #[test]
    fn figures_survive_a_pass_and_a_panic() {
        let measure: fn(&mut Run) = |run| run.figure("speed", "1/s");
        let fail: fn(&mut Run) = |run| {
            run.figure("speed", "1/s");
            panic!("then");
        };
        for run in [measure, fail] {
            assert_eq!(execute(&scenario("a", run), Size::Full, 7).figures.len(), 1);
        }
    }

    #[test]
    fn what_runs_on_is_given_up_and_nothing_is_begun_after_it() {
        let stuck = scenario("stuck", |_| {
            loop {
                std::thread::park();
            }
        });
        let next = scenario("next", |_| ());
        let outcomes = execute_all(&[&stuck, &next], Size::Full, 7);
        let verdicts: Vec<_> = outcomes.into_iter().map(|outcome| outcome.verdict).collect();
        assert_eq!(verdicts, [Verdict::TimedOut(Duration::from_secs(1)), Verdict::NotRun]);
    }
}
