//! What clients ask of the model broker, and what it says.

use crate::model::group::MemberRef;
use crate::model::log::{Stored, Target};

/// A producer as its requests name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProducerRef {
    pub(crate) id: String,
    pub(crate) number: u64,
    pub(crate) epoch: u16,
}

/// An offset to be committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupOffset {
    pub(crate) target: Target,
    pub(crate) position: i64,
    pub(crate) metadata: String,
}

/// What a client asks.
#[derive(Debug, Clone)]
pub(crate) enum Request {
    /// `None` stands for the partition of the group's offsets.
    AddPartition(ProducerRef, Option<Target>),
    /// Without a producer it is in no transaction.
    Produce {
        producer: Option<ProducerRef>,
        target: Target,
        sequence: usize,
        records: Vec<Stored>,
    },
    SendOffsets(ProducerRef, MemberRef, Vec<GroupOffset>),
    End {
        producer: ProducerRef,
        commits: bool,
    },
}

/// What the broker says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Done,
    /// Written from this offset on.
    Written(i64),
    /// It was written before; where is not told.
    WrittenBefore,
    Fenced,
    /// The transaction before is not completed yet: ask again.
    Concurrent,
    InvalidState,
    StaleMember,
    MetadataTooLarge,
}

/// A request in words.
#[cfg(test)]
pub(crate) fn name(request: &Request) -> String {
    match request {
        Request::AddPartition(producer, target) => format!("add {target:?} of {}", at(producer)),
        Request::Produce { producer, target, sequence, records } => {
            let by = producer.as_ref().map_or("no transaction".to_owned(), at);
            format!("produce of {} to {target:?} from {sequence} by {by}", records.len())
        }
        Request::SendOffsets(producer, member, offsets) => {
            let offsets: Vec<_> = offsets.iter().map(|o| (o.target, o.position)).collect();
            format!("offsets {offsets:?} by {} as {member:?}", at(producer))
        }
        Request::End { producer, commits: true } => format!("commit by {}", at(producer)),
        Request::End { producer, commits: false } => format!("abort by {}", at(producer)),
    }
}

#[cfg(test)]
fn at(producer: &ProducerRef) -> String {
    format!("{} epoch {}", producer.id, producer.epoch)
}
