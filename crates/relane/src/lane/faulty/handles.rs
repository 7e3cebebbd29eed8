//! Handles that do what a planted bug says, and else what those do that they stand around.

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString};
use std::time::Duration;

use fail::fail_point;
use kafka_io::member::{AskError, Change, Committed, OffsetCommit};
use kafka_io::native::{Membership, RecordHeaders};
use kafka_io::writer::{Guarantee, WriteError};
use kafka_io::{ClientConfig, KafkaError, RDKafkaErrorCode};
use pipeline::completion::Completion;
use pipeline::headers::{ATTEMPT, DUE_AT_MS, FAILURE_CLASS, HeaderEdit};
use pipeline::record::Offset;

use super::{Bug, planted};
use crate::lane::bare_handles;
use crate::lane::checkpoint::{
    NOTE_KEY, STATE_GROUP, STATE_MAIN_COMPLETION, STATE_MAIN_OFFSET, STATE_RETRY_COMPLETION,
};
use crate::lane::limits::WRITER_OPEN;

/// As `kafka_io::member::Member`.
pub(crate) struct Member(bare_handles::Member);

impl Member {
    pub(crate) fn join(
        config: &ClientConfig,
        group: &str,
        instance_id: Option<&str>,
        topic: &str,
    ) -> Result<Self, KafkaError> {
        bare_handles::Member::join(config, group, instance_id, topic).map(Self)
    }

    pub(crate) fn serve(&self) -> Vec<Change> {
        self.0.serve()
    }

    pub(crate) fn membership(&self) -> Membership {
        self.0.membership()
    }

    pub(crate) fn fatal(&self) -> Option<(RDKafkaErrorCode, String)> {
        self.0.fatal()
    }

    pub(crate) fn committed(
        &self,
        partitions: &[(&str, i32)],
        limit: Duration,
    ) -> Result<Vec<Committed>, AskError> {
        let mut committed = self.0.committed(partitions, limit)?;
        if planted() == Some(Bug::CompletionIgnored) {
            committed.iter_mut().for_each(forget_completion);
        }
        Ok(committed)
    }

    pub(crate) fn unowned(&self, partitions: i32, limit: Duration) -> Result<Vec<i32>, AskError> {
        self.0.unowned(partitions, limit)
    }

    pub(crate) fn rejoin(&self) -> Result<(), KafkaError> {
        self.0.rejoin()
    }

    pub(crate) fn stand_aside(&self) {
        self.0.stand_aside();
    }

    pub(crate) fn come_back(&self) -> Result<(), KafkaError> {
        self.0.come_back()
    }

    pub(crate) fn leave(self) {
        self.0.leave();
    }

    /// Commits offsets outside of any transaction.
    fn commit(&self, offsets: &[OffsetCommit]) -> Result<(), WriteError> {
        let committed = self.0.commit(offsets);
        committed.map_err(|error| WriteError::StaleMember(error.to_string()))
    }
}

/// Takes out of an offset of ours what is settled above it.
fn forget_completion(committed: &mut Committed) {
    let Some(position) = committed.position else { return };
    let is_ours = Completion::decode(&committed.metadata, position)
        .is_ok_and(|completion| completion.belongs_to(position));
    if is_ours {
        committed.metadata = Completion::at(position).encode();
    }
}

/// An offset without the tally that travels with it.
fn without_tally(commit: &OffsetCommit) -> OffsetCommit {
    let completion = Completion::decode(&commit.metadata, commit.position);
    let metadata = completion.map(|it| it.with_tally(None, usize::MAX).encode());
    OffsetCommit { metadata: metadata.unwrap_or_default(), ..commit.clone() }
}

/// A record that is written later than the lane believes.
struct Delayed {
    topic: CString,
    partition: i32,
    key: Option<Box<[u8]>>,
    value: Option<Box<[u8]>>,
    headers: Option<RecordHeaders>,
    tag: usize,
}

/// As `kafka_io::writer::Writer`.
pub(crate) struct Writer {
    inner: bare_handles::Writer,
    /// Writes without transactions, for what is to be outside of them.
    aside: Option<bare_handles::Writer>,
    delayed: RefCell<Vec<Delayed>>,
    /// Something was written since the turn began.
    settles: Cell<bool>,
}

impl Writer {
    pub(crate) fn open(
        config: &ClientConfig,
        guarantee: Guarantee,
        transactional_id: &str,
        limit: Duration,
    ) -> Result<Self, WriteError> {
        let inner = bare_handles::Writer::open(config, guarantee, transactional_id, limit)?;
        let aside = match planted() {
            Some(Bug::DeadLettersOutside | Bug::StateOutside) => {
                let alo = Guarantee::AtLeastOnce;
                Some(bare_handles::Writer::open(config, alo, "", WRITER_OPEN)?)
            }
            _ => None,
        };
        Ok(Self { inner, aside, delayed: RefCell::default(), settles: Cell::default() })
    }

    pub(crate) fn must_be_replaced(&self) -> bool {
        self.inner.must_be_replaced()
    }

    pub(crate) fn explain(&self, error: WriteError) -> WriteError {
        self.inner.explain(error)
    }

    pub(crate) fn take_delivered(&self) -> Vec<(usize, Offset)> {
        self.inner.take_delivered()
    }

    pub(crate) fn begin(&mut self) -> Result<(), WriteError> {
        self.delayed.take();
        self.settles.set(false);
        if let Some(aside) = &mut self.aside {
            aside.begin()?;
        }
        self.inner.begin()
    }

    pub(crate) fn produce(
        &self,
        topic: &CStr,
        partition: i32,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: Option<&RecordHeaders>,
        tag: usize,
    ) -> Result<(), WriteError> {
        self.settles.set(true);
        let (is_state, is_dead) = (is_state(headers), is_dead_letter(headers));
        let (mut partition, mut edit) = (partition, HeaderEdit::default());
        match planted() {
            Some(Bug::NoteNeedsState) if is_state && key == Some(NOTE_KEY) => return Ok(()),
            Some(Bug::NotedIgnored) if is_state => {
                edit.remove.extend([STATE_MAIN_COMPLETION, STATE_RETRY_COMPLETION]);
            }
            Some(Bug::AttemptKept) if headers.is_some_and(|all| all.last(ATTEMPT).is_some()) => {
                edit.remove.push(ATTEMPT);
                edit.add.push((ATTEMPT, b"1".to_vec()));
            }
            Some(Bug::WrongPartition) if is_dead => partition ^= 1,
            Some(Bug::OffsetsFirst) => {
                self.delayed.borrow_mut().push(Delayed {
                    topic: topic.to_owned(),
                    partition,
                    key: key.map(Into::into),
                    value: value.map(Into::into),
                    headers: headers.cloned(),
                    tag,
                });
                return Ok(());
            }
            _ => {}
        }
        let is_outside = match planted() {
            Some(Bug::DeadLettersOutside) => is_dead,
            Some(Bug::StateOutside) => is_state,
            _ => false,
        };
        let writer = self.aside.as_ref().filter(|_| is_outside).unwrap_or(&self.inner);
        let edited = headers.filter(|_| !edit.remove.is_empty()).map(|headers| {
            let mut headers = headers.clone();
            headers.apply(&edit);
            headers
        });
        writer.produce(topic, partition, key, value, edited.as_ref().or(headers), tag)
    }

    pub(crate) fn acknowledged(&self) -> Result<(), WriteError> {
        self.aside.as_ref().map_or(Ok(()), bare_handles::Writer::acknowledged)?;
        self.inner.acknowledged()
    }

    pub(crate) fn commit(
        &mut self,
        member: &Member,
        offsets: &[OffsetCommit],
        offsets_are_sent: impl FnOnce(),
    ) -> Result<(), WriteError> {
        match planted() {
            Some(Bug::OffsetsFirst) => {
                member.commit(offsets)?;
                fail_point!("between-commits", self.settles.get(), |_| std::process::abort());
                for late in self.delayed.take() {
                    let Delayed { topic, partition, key, value, headers, tag } = &late;
                    let (key, value) = (key.as_deref(), value.as_deref());
                    self.inner.produce(topic, *partition, key, value, headers.as_ref(), *tag)?;
                }
                self.inner.acknowledged()?;
                self.inner.commit(&member.0, offsets, offsets_are_sent)
            }
            Some(Bug::OffsetsOutside) => {
                self.inner.commit(&member.0, &[], offsets_are_sent)?;
                fail_point!("between-commits", self.settles.get(), |_| std::process::abort());
                member.commit(offsets)
            }
            Some(Bug::TallyForgotten) => {
                let offsets: Vec<OffsetCommit> = offsets.iter().map(without_tally).collect();
                self.inner.commit(&member.0, &offsets, offsets_are_sent)
            }
            _ => self.inner.commit(&member.0, offsets, offsets_are_sent),
        }
    }

    pub(crate) fn abort(&mut self) -> Result<(), WriteError> {
        self.delayed.take();
        self.inner.abort()
    }
}

/// Whether a record is one of the state, by what it notes.
fn is_state(headers: Option<&RecordHeaders>) -> bool {
    let has = |name| headers.is_some_and(|headers| headers.last(name).is_some());
    has(STATE_GROUP) && has(STATE_MAIN_OFFSET)
}

/// Whether a record is a dead letter: it failed, and is due no more.
fn is_dead_letter(headers: Option<&RecordHeaders>) -> bool {
    let has = |name| headers.is_some_and(|headers| headers.last(name).is_some());
    has(FAILURE_CLASS) && !has(DUE_AT_MS)
}
