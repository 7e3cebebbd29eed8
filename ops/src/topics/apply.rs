//! Makes topics as they are declared, and looks whether they are.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde::Serialize;
use service_kit::exit::ExitStatus;

use super::brokers::Brokers;
use super::declared::Declared;
use super::error::TopicsError;
use super::plan::{Plan, Step};

/// Longest wait until brokers tell what was changed.
const SEEN_MAX: Duration = Duration::from_secs(15);

/// Pause between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What became of one step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Taken {
    /// The topic.
    pub topic: String,
    /// The step.
    #[serde(flatten)]
    pub step: Step,
    /// Why it failed; none where it was done.
    pub error: Option<String>,
}

/// What became of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Applied {
    /// Each step, in order.
    pub steps: Vec<Taken>,
    /// What differs afterwards.
    pub left: Plan,
}

impl Applied {
    /// Done, partly done, or failed where no step was.
    #[must_use]
    pub fn status(&self) -> ExitStatus {
        let failed = self.steps.iter().filter(|taken| taken.error.is_some()).count();
        match failed {
            0 if !self.left.has_drift() => ExitStatus::Done,
            failed if failed > 0 && failed == self.steps.len() => ExitStatus::Failed,
            _ => ExitStatus::Partial,
        }
    }
}

/// Does every step of a plan; one that fails stops no other topic.
///
/// # Errors
///
/// Fails where the brokers do not tell what there is afterwards.
pub(super) fn apply(
    brokers: &Brokers,
    plan: &Plan,
    declared: &[Declared],
    delete: &BTreeSet<String>,
) -> Result<Applied, TopicsError> {
    let mut steps = Vec::new();
    for topic in &plan.topics {
        for step in &topic.steps {
            let error = brokers.take(&topic.name, step).err().map(|error| error.to_string());
            let has_failed = error.is_some();
            steps.push(Taken { topic: topic.name.clone(), step: step.clone(), error });
            if has_failed {
                break; // what follows may rely on it
            }
        }
    }
    // Another broker may tell a moment later what one has done.
    let waits = steps.iter().all(|taken| taken.error.is_none());
    let give_up_at = Instant::now() + SEEN_MAX;
    loop {
        let left = Plan::of(declared, &brokers.of(declared, delete)?, delete);
        if !waits || !left.has_steps() || Instant::now() >= give_up_at {
            return Ok(Applied { steps, left });
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topics::plan::{Conflict, TopicPlan};

    fn taken(error: Option<&str>) -> Taken {
        let (topic, step) = ("t".to_owned(), Step::AddPartitions { from: 1, to: 2 });
        Taken { topic, step, error: error.map(str::to_owned) }
    }

    #[test]
    fn a_plan_of_which_a_part_failed_or_stays_is_partly_done() {
        let conflict = TopicPlan {
            name: "t".to_owned(),
            key: None,
            steps: vec![],
            conflicts: vec![Conflict::TooManyPartitions { has: 3, declared: 2 }],
            left_alone: Default::default(),
        };
        let none = || Plan { topics: vec![] };
        for (steps, left, expected) in [
            (vec![], none(), ExitStatus::Done),
            (vec![taken(None)], none(), ExitStatus::Done),
            (vec![taken(None), taken(Some("no"))], none(), ExitStatus::Partial),
            (vec![taken(None)], Plan { topics: vec![conflict.clone()] }, ExitStatus::Partial),
            (vec![], Plan { topics: vec![conflict] }, ExitStatus::Partial),
            (vec![taken(Some("no"))], none(), ExitStatus::Failed),
        ] {
            let applied = Applied { steps, left };
            assert_eq!(applied.status(), expected, "{applied:?}");
        }
    }
}
