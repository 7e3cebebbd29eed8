//! What the group gives and takes, and what becomes of a lane's place in it while the brokers are away.
//!
//! librdkafka forgets the id of a member whose heartbeats have had no answer for a session. The broker
//! knows it still: from the heartbeat that lay in its socket while it stood still, or from the log of
//! the group after a restart. So it lets the group wait for that member, for a whole session. A
//! lane therefore stands aside shortly before: it asks to leave the group and does not serve what
//! follows, which keeps the id. When the group's coordinator answers, the member leaves under
//! its id, which nobody waits for then, and joins anew.

use fail::fail_point;
use kafka_io::ClientConfig;
use kafka_io::member::{AskError, Change};

use crate::clock::Instant;
use crate::lane::error::LaneError;
use crate::lane::handles::Member;
use crate::lane::lane_core::{Core, failed};
use crate::lane::limits::{
    COORDINATOR_ASK, COVERAGE_AGAIN, COVERAGE_ASK, COVERAGE_EVERY, FENCE_AGAIN, OWN_FENCE_WITHIN,
};
use crate::lane::settings::LaneSettings;
use crate::stage::Stage;

/// Whether the fence of a static member can be its own doing. A request to join whose answer an
/// outage swallowed may have been heard: librdkafka asks again with the id that it knows, and that
/// one is fenced. Each outage may do that; another instance fences the new member again without.
fn may_have_fenced_itself(away_at: Option<Instant>, fenced_at: Option<Instant>) -> bool {
    let Some(away_at) = away_at.filter(|at| at.elapsed() < OWN_FENCE_WITHIN) else { return false };
    fenced_at.is_none_or(|at| at < away_at || at.elapsed() >= FENCE_AGAIN)
}

/// A lane's place in its group.
pub(crate) struct Membership {
    member: Member,
    config: ClientConfig,
    has_assignment: bool,
    fenced_at: Option<Instant>,
    /// When to look next whether every partition has an owner, and which had none last time.
    coverage_at: Instant,
    unowned_before: Vec<i32>,
    /// The member is not served: it leaves the group and joins anew when its coordinator answers.
    stands_aside: bool,
}

impl Membership {
    /// Joins the group.
    ///
    /// # Errors
    ///
    /// Fails for settings that librdkafka does not accept.
    pub(crate) fn join(
        config: &ClientConfig,
        settings: &LaneSettings,
        index: usize,
    ) -> Result<Self, LaneError> {
        let instance = settings.instance_id.as_ref().map(|id| format!("{id}-{index}"));
        let (group, topic) = (&settings.group, &settings.topics.main);
        Ok(Self {
            member: Member::join(config, group, instance.as_deref(), topic).map_err(failed)?,
            config: config.clone(),
            has_assignment: false,
            fenced_at: None,
            coverage_at: Instant::now() + COVERAGE_AGAIN,
            unowned_before: Vec::new(),
            stands_aside: false,
        })
    }

    pub(crate) const fn member(&self) -> &Member {
        &self.member
    }

    /// Whether the group has given out its partitions since this member joined.
    pub(crate) const fn has_assignment(&self) -> bool {
        self.has_assignment
    }

    /// Whether it is in the group and knows what it owns.
    pub(crate) fn is_joined(&self) -> bool {
        self.member.membership().is_joined() && self.has_assignment && !self.stands_aside
    }

    /// Leaves the group.
    pub(crate) fn leave(self) {
        self.member.leave();
    }

    /// Takes in what the group gave and took since the last turn.
    pub(crate) fn follow<S: Stage>(&mut self, core: &mut Core<S>) -> Result<(), LaneError> {
        if !self.stands_aside {
            for change in self.member.serve() {
                self.apply(core, change);
            }
        }
        let Some((code, text)) = self.member.fatal() else { return Ok(()) };
        let error = LaneError::member(&core.settings, code, &text, &core.instance());
        if matches!(error, LaneError::IdTaken { .. })
            && may_have_fenced_itself(core.brokers.away_at(), self.fenced_at)
        {
            tracing::warn!(
                lane = core.index,
                "fenced after an outage, possibly by its own request; joining again"
            );
            return self.join_anew(core);
        }
        Err(error)
    }

    /// Gives up the member with all that it owned, and joins the group as a new one.
    fn join_anew<S: Stage>(&mut self, core: &mut Core<S>) -> Result<(), LaneError> {
        for partition in core.processor.partitions() {
            core.drop_partition(partition);
        }
        core.processor.discard_turn();
        self.has_assignment = false;
        self.fenced_at = Some(Instant::now());
        let instance = core.settings.instance_id.as_ref().map(|_| core.instance());
        let (group, topic) = (&core.settings.group, &core.settings.topics.main);
        self.member =
            Member::join(&self.config, group, instance.as_deref(), topic).map_err(failed)?;
        Ok(())
    }

    /// Takes in what the group gave or took.
    fn apply<S: Stage>(&mut self, core: &mut Core<S>, change: Change) {
        core.metrics.rebalances.increment(1);
        match change {
            Change::Assigned(partitions) => {
                tracing::debug!(lane = core.index, ?partitions, "partitions assigned");
                self.has_assignment = true;
                for partition in partitions {
                    core.drop_partition(partition);
                    core.add_partition(partition, true);
                }
            }
            Change::Revoked(partitions) => {
                fail_point!("in-revoke", |_| std::process::abort());
                tracing::info!(lane = core.index, ?partitions, "partitions revoked");
                for partition in partitions {
                    core.drop_partition(partition);
                }
                // What is owned next is known when the group has shared out anew.
                self.has_assignment &= core.processor.iter().next().is_some();
            }
        }
    }

    /// What the group gave and took while a commit was refused for it; whether it took any.
    pub(crate) fn look_again<S: Stage>(&mut self, core: &mut Core<S>) -> bool {
        let changes = self.member.serve();
        let is_revoked = changes.iter().any(|change| matches!(change, Change::Revoked(_)));
        for change in changes {
            self.apply(core, change);
        }
        is_revoked
    }

    /// Stands aside before the member would forget its id, and comes back when the group's coordinator
    /// answers.
    pub(crate) fn keep_place<S: Stage>(&mut self, core: &mut Core<S>) {
        if self.stands_aside {
            if !core.brokers.is_reader_away() && self.does_coordinator_answer(core) {
                match self.member.come_back() {
                    Ok(()) => self.stands_aside = false,
                    Err(error) => tracing::warn!(%error, "joining again failed"),
                }
            }
            return;
        }
        if core.settings.instance_id.is_some() // its place is kept for it
            || !core.brokers.is_silent()
            || !self.member.membership().is_joined()
        {
            return;
        }
        if self.does_coordinator_answer(core) {
            core.brokers.note_coordinator();
            return;
        }
        tracing::debug!(lane = core.index, "leaving the group until its coordinator answers");
        self.member.stand_aside();
        self.stands_aside = true;
        core.brokers.note_no_coordinator();
    }

    /// Whether the group's coordinator answers. It is asked for an offset that nobody commits: one
    /// in an undecided transaction would have no answer from a coordinator that is well.
    fn does_coordinator_answer<S: Stage>(&self, core: &Core<S>) -> bool {
        let nobodys = [(core.settings.topics.dead_letter.as_str(), 0)];
        let answer = self.member.committed(&nobodys, COORDINATOR_ASK);
        !matches!(answer, Err(AskError::Away(_) | AskError::Undecided))
    }

    /// Looks now and then whether every partition has an owner; if one has none twice in a
    /// row, joins the group anew.
    pub(crate) fn check_coverage<S: Stage>(&mut self, core: &Core<S>) {
        if core.index != 0
            || Instant::now() < self.coverage_at
            || !self.member.membership().is_joined()
        {
            return;
        }
        self.coverage_at = Instant::now() + COVERAGE_EVERY;
        let unowned = match self.member.unowned(core.settings.partitions, COVERAGE_ASK) {
            Ok(unowned) => unowned,
            Err(error) => {
                tracing::debug!(%error, "the owners of the partitions are unknown");
                return;
            }
        };
        let is_second = std::mem::replace(&mut self.unowned_before, unowned.clone()) == unowned;
        if unowned.is_empty() {
            return;
        }
        self.coverage_at = Instant::now() + COVERAGE_AGAIN;
        if is_second {
            tracing::warn!(partitions = ?unowned, "the group is stable, but these partitions have no owner; joining again");
            self.unowned_before.clear();
            if let Err(error) = self.member.rejoin() {
                tracing::warn!(%error, "joining again failed");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::sleep;

    /// The brokers were away or a member was fenced so many seconds ago.
    fn judged(away_s: Option<u64>, fenced_s: Option<u64>) -> bool {
        let begun = Instant::now();
        sleep(Duration::from_secs(600));
        let ago = |seconds| begun + Duration::from_secs(600 - seconds);
        may_have_fenced_itself(away_s.map(ago), fenced_s.map(ago))
    }

    #[test]
    fn each_outage_may_make_a_member_fence_itself_once() {
        assert!(judged(Some(5), None));
        assert!(judged(Some(5), Some(20)), "a second outage within a minute");
        assert!(judged(Some(30), Some(70)));
    }

    #[test]
    fn a_fence_without_an_outage_since_the_last_one_is_another_instance() {
        assert!(!judged(None, None));
        assert!(!judged(Some(90), None), "that outage is long over");
        assert!(!judged(Some(20), Some(5)));
        assert!(!judged(None, Some(5)));
    }
}
