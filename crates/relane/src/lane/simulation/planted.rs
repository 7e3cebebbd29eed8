//! What is done wrong on purpose, so that the simulation is seen to find it.

use std::cell::Cell;

use crate::lane::faulty::Bug;
use crate::model::fault::{self, Fault};

/// Bugs that can be planted in the lane itself.
pub(crate) const BUGS: [Bug; 13] = [
    Bug::OffsetsFirst,
    Bug::OffsetsOutside,
    Bug::DeadLettersOutside,
    Bug::StateOutside,
    Bug::CompletionIgnored,
    Bug::NotedIgnored,
    Bug::NoteNeedsState,
    Bug::AttemptKept,
    Bug::WrongPartition,
    Bug::FloatSum,
    Bug::DedupeOff,
    Bug::TallyForgotten,
    Bug::FollowersKept,
];

/// What is wrong in a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Planted {
    #[default]
    Nothing,
    Lane(Bug),
    Model(Fault),
}

thread_local! {
    static PLANTED: Cell<Planted> = const { Cell::new(Planted::Nothing) };
}

/// Plants something in the schedules of this thread.
pub(crate) fn plant(planted: Planted) {
    PLANTED.set(planted);
    fault::plant(match planted {
        Planted::Model(fault) => Some(fault),
        Planted::Nothing | Planted::Lane(_) => None,
    });
}

/// The bug that is planted in the schedules of this thread.
pub(crate) fn planted() -> Option<Bug> {
    match PLANTED.get() {
        Planted::Lane(bug) => Some(bug),
        Planted::Nothing | Planted::Model(_) => None,
    }
}
