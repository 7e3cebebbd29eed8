//! Committed offsets of the group, as members and other tools see and set them.

use pipeline::completion::Completion;
use pipeline::record::CommitPosition;

use super::Broker;
#[cfg(test)]
use super::HELD;
use crate::model::fault::{Fault, goes_wrong};
use crate::model::group::MemberRef;
use crate::model::log::Target;
use crate::model::request::{Answer, GroupOffset};

impl Broker {
    /// Offsets of the group; `None` while a transaction over one of them is undecided.
    pub(crate) fn stable_offsets(&self, targets: &[Target]) -> Option<Vec<Option<(i64, String)>>> {
        let undecided = self.pending.values().flatten().any(|o| targets.contains(&o.target));
        if undecided && !goes_wrong(Fault::UnstableOffsets) {
            return None;
        }
        Some(targets.iter().map(|target| self.offsets.get(target).cloned()).collect())
    }

    /// A transaction over these offsets stays undecided, until [`Self::decide_held`].
    #[cfg(test)]
    pub(crate) fn hold_offsets(&mut self, targets: impl Iterator<Item = Target>) {
        let offset = |target| GroupOffset { target, position: 0, metadata: String::new() };
        self.pending.insert(HELD, targets.map(offset).collect());
    }

    /// That transaction is aborted.
    #[cfg(test)]
    pub(crate) fn decide_held(&mut self) {
        self.pending.remove(&HELD);
    }

    /// The offset of a partition as it stands.
    #[cfg(test)]
    pub(crate) fn offsets_now(&self, target: Target) -> Option<(i64, String)> {
        self.offsets.get(&target).cloned()
    }

    /// Whether the group's offsets say that a record is settled.
    pub(crate) fn is_settled(&self, target: Target, offset: i64) -> bool {
        let Some((position, metadata)) = self.offsets.get(&target) else { return false };
        let at = CommitPosition(*position);
        let ranges = Completion::decode(metadata, at).map(|it| it.settled_ranges(at));
        offset < *position
            || ranges
                .is_ok_and(|all| all.iter().any(|(low, high)| (*low..=*high).contains(&offset)))
    }

    /// Another tool sets the offset of a partition, without metadata, or deletes it.
    #[cfg(test)]
    pub(crate) fn set_offset(&mut self, target: Target, position: Option<i64>) {
        self.tell(|| format!("another tool: the offset of {target:?} is {position:?}"));
        match position {
            Some(position) => _ = self.offsets.insert(target, (position, String::new())),
            None => _ = self.offsets.remove(&target),
        }
    }

    /// Commits offsets outside of any transaction.
    pub(crate) fn commit_offsets(
        &mut self,
        member: &MemberRef,
        offsets: Vec<GroupOffset>,
    ) -> Answer {
        if !self.group.knows(member) {
            return Answer::StaleMember;
        }
        for GroupOffset { target, position, metadata } in offsets {
            self.offsets.insert(target, (position, metadata));
        }
        Answer::Done
    }
}
