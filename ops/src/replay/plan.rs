//! What a replay would do, in numbers, and what speaks against it.

use serde::Serialize;
use service_kit::exit::AppError;

use crate::audit::{Begins, Cut};
use crate::standing::{Partials, Retries};

/// What was found in one partition.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) cut: Cut,
    /// Where it is to begin.
    pub(crate) to: i64,
    /// Where the present count began.
    pub(crate) begins: Begins,
    pub(crate) partials: Partials,
    pub(crate) retries: Retries,
    /// Dead letters of the present count.
    pub(crate) dead_letters: u64,
    /// Of them, those that were sent back.
    pub(crate) redriven: u64,
}

/// What becomes of one partition.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct PartitionPlan {
    /// Partition.
    pub partition: i32,
    /// Commit position of the group on the topic of orders; none where it has committed nothing.
    pub from: Option<i64>,
    /// Offset from which it is to count.
    pub to: i64,
    /// End of the topic of orders.
    pub end: i64,
    /// Settled orders that are read again.
    pub read_again: u64,
    /// Orders below the new start that the present count has settled: they are not read again.
    pub left_out: u64,
    /// Orders below the new start that were never settled: nobody will read them.
    pub skipped: u64,
    /// Orders that the averages hold now, and that are taken out.
    pub counted: u64,
    /// Products of which they are.
    pub products: u64,
    /// Retries that wait and are given up.
    pub waiting: u64,
    /// Orders that another program put into the retry topic: they are not read again.
    pub foreign: u64,
    /// Commit position on the retry topic afterwards: its end.
    pub retry_to: i64,
    /// Dead letters that the present count has made: they stay where they are.
    pub dead_letters: u64,
    /// Of them, those that were sent back.
    pub redriven: u64,
}

/// What a replay would do, or has done.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Plan {
    /// Names the replay that was done; none where nothing was changed.
    pub replay_id: Option<String>,
    /// Consumer group.
    pub group: String,
    /// Where it begins, as the operator wrote it.
    pub to: String,
    /// Averages that lack something are wanted.
    pub partial: bool,
    /// Members of the group: while there are any, nothing is changed.
    pub members: Vec<String>,
    /// Why the averages would lack something.
    pub refused: Vec<String>,
    /// What is worth knowing before.
    pub warnings: Vec<String>,
    /// Each partition.
    pub partitions: Vec<PartitionPlan>,
    #[serde(skip)]
    pub(crate) has_outcomes: bool,
}

impl PartitionPlan {
    pub(crate) fn of(found: &Found) -> Self {
        let Found { cut, to, begins, partials, retries, dead_letters, redriven } = found;
        let (settled, bounds) = (&cut.before.main, cut.bounds.main);
        let below = u64::try_from(to - begins.main).unwrap_or(0);
        let left_out = match settled.position {
            // Whatever was deleted before is settled, or its loss is the audit's to tell.
            Some(_) => settled.settled_between(begins.main, *to),
            None => 0,
        };
        let unread_from = bounds.low.max(begins.main).min(*to);
        let skipped = u64::try_from(*to - unread_from).unwrap_or(0)
            - settled.settled_between(unread_from, *to);
        Self {
            partition: cut.partition,
            from: settled.position,
            to: *to,
            end: bounds.end,
            read_again: settled.settled_between(*to, bounds.end),
            left_out: left_out.min(below),
            skipped,
            counted: partials.values().map(|(count, _)| count).sum(),
            products: partials.len() as u64,
            waiting: retries.waiting,
            foreign: retries.foreign,
            retry_to: cut.bounds.retry.end,
            dead_letters: *dead_letters,
            redriven: *redriven,
        }
    }
}

impl Plan {
    pub(crate) fn new(group: &str, to: &str, partial: bool, found: &[Found]) -> Self {
        let partitions = found.iter().map(PartitionPlan::of).collect();
        let mut plan = Self {
            group: group.to_owned(),
            to: to.to_owned(),
            partial,
            partitions,
            ..Self::default()
        };
        plan.refused = plan.objections();
        plan
    }

    /// Sum over all partitions.
    pub(crate) fn sum(&self, of: impl Fn(&PartitionPlan) -> u64) -> u64 {
        self.partitions.iter().map(of).sum()
    }

    /// Why the averages would not be those of all orders.
    fn objections(&self) -> Vec<String> {
        let mut objections = Vec::new();
        let mut object = |count: u64, what: &str| {
            if count > 0 {
                objections.push(format!("{count} {what}"));
            }
        };
        object(
            self.sum(|one| one.left_out),
            "orders below the new start are settled and would not be read again: an order \
             cannot be subtracted from a sum, so the averages would include only the orders \
             after it",
        );
        object(
            self.sum(|one| one.skipped),
            "orders below the new start are not settled: they would never be counted",
        );
        object(
            self.sum(|one| one.foreign),
            "orders were put into the retry topic by another program: they are in no topic that is \
             read again",
        );
        objections
    }

    /// What is worth knowing before.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let waiting = self.sum(|one| one.waiting);
        if waiting > 0 {
            warnings.push(format!(
                "{waiting} waiting retries are discarded; their orders are read again if they are above \
                 the new start"
            ));
        }
        let dead = self.sum(|one| one.dead_letters);
        if dead > 0 {
            warnings.push(format!(
                "{dead} dead letters stay where they are. Orders above the new start are read again, and \
                 those that fail as before become dead letters a second time. Redrive skips the \
                 old ones"
            ));
        }
        let redriven = self.sum(|one| one.redriven);
        if redriven > 0 {
            warnings.push(format!(
                "{redriven} of them were redriven and may have been counted then: unless the cause is \
                 fixed they fail again and must be redriven again"
            ));
        }
        if !self.has_outcomes {
            warnings.push(
                "no outcome log is given: if the consumer writes one, give it with --outcomes-topic, or \
                 later audits cannot use it"
                    .to_owned(),
            );
        }
        warnings
    }

    /// Refuses what would make averages that lack something, unless that is wanted.
    ///
    /// # Errors
    ///
    /// Fails with all reasons.
    pub(crate) fn refuse(&self) -> Result<(), AppError> {
        if self.partial || self.refused.is_empty() {
            return Ok(());
        }
        let why = self.refused.join("; ");
        Err(AppError::failed(format!("nothing was changed: {why}"))
            .hint("--to earliest counts everything again; --partial accepts the loss"))
    }
}

#[cfg(test)]
mod tests {
    use orders::Amount;

    use super::*;
    use crate::audit::{Offsets, Settled};
    use crate::scan::Bounds;

    fn found(position: Option<i64>, low: i64, end: i64, to: i64) -> Found {
        let settled = Settled::at(position);
        let offsets = Offsets { main: settled.clone(), retry: settled };
        let begins = Begins::default();
        let mut cut = Cut {
            partition: 0,
            begins,
            before: offsets.clone(),
            after: offsets,
            bounds: crate::audit::AllBounds::default(),
        };
        cut.bounds.main = Bounds { low, end };
        cut.bounds.retry = Bounds { low: 0, end: 7 };
        let partials = Partials::from([("tea".into(), (5, Amount::ZERO))]);
        let retries = Retries::default();
        Found { cut, to, begins, partials, retries, dead_letters: 0, redriven: 0 }
    }

    fn refused(found: Found) -> Vec<String> {
        Plan::new("g", "earliest", false, &[found]).refused
    }

    #[test]
    fn a_replay_from_the_start_reads_all_again_and_nothing_speaks_against_it() {
        let plan = PartitionPlan::of(&found(Some(10), 0, 12, 0));
        let expected = PartitionPlan {
            from: Some(10),
            end: 12,
            read_again: 10,
            counted: 5,
            products: 1,
            retry_to: 7,
            ..PartitionPlan::default()
        };
        assert_eq!(plan, expected);
        assert_eq!(refused(found(Some(10), 0, 12, 0)), Vec::<String>::new());
        assert_eq!(refused(found(None, 0, 12, 0)), Vec::<String>::new());
    }

    #[test]
    fn a_start_in_the_middle_leaves_out_what_was_counted_below_it() {
        let plan = PartitionPlan::of(&found(Some(10), 0, 12, 4));
        assert_eq!((plan.read_again, plan.left_out, plan.skipped), (6, 4, 0));
        assert!(refused(found(Some(10), 0, 12, 4))[0].starts_with("4 orders below the new start"));
    }

    #[test]
    fn a_start_ahead_skips_what_was_never_settled() {
        let plan = PartitionPlan::of(&found(Some(10), 0, 12, 12));
        assert_eq!((plan.read_again, plan.left_out, plan.skipped), (0, 10, 2));
        let told = refused(found(Some(10), 0, 12, 12));
        assert!(told[1].starts_with("2 orders below the new start are not settled"), "{told:?}");
    }

    #[test]
    fn orders_that_retention_took_are_missed_unless_an_earlier_count_had_them() {
        let plan = PartitionPlan::of(&found(Some(10), 3, 12, 3));
        assert_eq!((plan.left_out, plan.skipped), (3, 0));
        let mut later = found(Some(10), 3, 12, 3);
        later.begins.main = 3;
        assert_eq!(PartitionPlan::of(&later).left_out, 0);
        assert_eq!(refused(later), Vec::<String>::new());
    }

    #[test]
    fn what_is_refused_is_done_where_it_is_wanted() {
        let mut foreign = found(Some(10), 0, 12, 0);
        foreign.retries.foreign = 2;
        let mut plan = Plan::new("g", "earliest", false, &[foreign]);
        let error = plan.refuse().expect_err("it is refused");
        assert!(error.message().contains("2 orders were put into"), "{}", error.message());
        assert!(error.hint_text().is_some_and(|hint| hint.contains("--partial")));
        plan.partial = true;
        assert!(plan.refuse().is_ok());
    }

    #[test]
    fn what_is_worth_knowing_is_told() {
        let mut one = found(Some(10), 0, 12, 0);
        (one.retries.waiting, one.dead_letters, one.redriven) = (4, 3, 2);
        let mut plan = Plan::new("g", "earliest", false, &[one]);
        let told = plan.warnings();
        assert_eq!(told.len(), 4, "{told:?}");
        for (line, start) in told.iter().zip(["4 waiting", "3 dead letters", "2 of them", "no out"])
        {
            assert!(line.starts_with(start), "{line}");
        }
        plan.has_outcomes = true;
        assert_eq!(plan.warnings().len(), 3);
    }
}
