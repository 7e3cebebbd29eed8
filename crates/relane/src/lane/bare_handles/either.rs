//! Handles of either kind. A handle belongs to the model where its thread has entered a simulated world.

use std::collections::HashMap;
use std::ffi::CStr;
use std::time::Duration;

use kafka_io::member::{AskError, Change, Committed, OffsetCommit};
use kafka_io::native::{Membership, RecordHeaders};
use kafka_io::reader::HeldRecord;
use kafka_io::writer::{Guarantee, WriteError};
use kafka_io::{ClientConfig, KafkaError, RDKafkaErrorCode, ends, member, reader, writer};
use pipeline::record::{CommitPosition, Offset, Timestamp};

use crate::model::{handles as model, world, writer as model_writer};

/// Does the same with what is inside of a handle, whichever it is.
macro_rules! either {
    ($handle:expr, $it:ident => $call:expr) => {
        match $handle {
            Self::Kafka($it) => $call,
            Self::Model($it) => $call,
        }
    };
}

/// Makes a handle of the kind that this thread asks for.
macro_rules! made {
    ($kafka:expr, $model:expr) => {
        if world::is_entered() { $model.map(Self::Model) } else { $kafka.map(Self::Kafka) }
    };
}

pub(crate) enum Ends {
    Kafka(ends::Ends),
    Model(model::Ends),
}

impl Ends {
    pub(crate) fn new(config: &ClientConfig) -> Result<Self, KafkaError> {
        made!(ends::Ends::new(config), model::Ends::new(config))
    }

    pub(crate) fn bounds(
        &self,
        topic: &str,
        partition: i32,
        limit: Duration,
    ) -> Result<(i64, i64), AskError> {
        either!(self, it => it.bounds(topic, partition, limit))
    }

    pub(crate) fn of_topic(
        &self,
        topic: &str,
        partitions: i32,
        limit: Duration,
    ) -> Result<Vec<i64>, AskError> {
        either!(self, it => it.of_topic(topic, partitions, limit))
    }
}

pub(crate) enum Member {
    Kafka(member::Member),
    Model(model::Member),
}

impl Member {
    pub(crate) fn join(
        config: &ClientConfig,
        group: &str,
        instance_id: Option<&str>,
        topic: &str,
    ) -> Result<Self, KafkaError> {
        made!(
            member::Member::join(config, group, instance_id, topic),
            model::Member::join(config, group, instance_id, topic)
        )
    }

    pub(crate) fn serve(&self) -> Vec<Change> {
        either!(self, it => it.serve())
    }

    pub(crate) fn membership(&self) -> Membership {
        either!(self, it => it.membership())
    }

    pub(crate) fn fatal(&self) -> Option<(RDKafkaErrorCode, String)> {
        either!(self, it => it.fatal())
    }

    pub(crate) fn committed(
        &self,
        partitions: &[(&str, i32)],
        limit: Duration,
    ) -> Result<Vec<Committed>, AskError> {
        either!(self, it => it.committed(partitions, limit))
    }

    /// Commits offsets outside of any transaction.
    #[cfg(any(test, feature = "failpoints"))]
    pub(crate) fn commit(&self, offsets: &[OffsetCommit]) -> Result<(), AskError> {
        either!(self, it => it.commit(offsets))
    }

    pub(crate) fn unowned(&self, partitions: i32, limit: Duration) -> Result<Vec<i32>, AskError> {
        either!(self, it => it.unowned(partitions, limit))
    }

    pub(crate) fn rejoin(&self) -> Result<(), KafkaError> {
        either!(self, it => it.rejoin())
    }

    pub(crate) fn stand_aside(&self) {
        either!(self, it => it.stand_aside());
    }

    pub(crate) fn come_back(&self) -> Result<(), KafkaError> {
        either!(self, it => it.come_back())
    }

    pub(crate) fn leave(self) {
        either!(self, it => it.leave());
    }
}

pub(crate) enum Fetched<'a> {
    Kafka(reader::Fetched<'a>),
    Model(model::Fetched<'a>),
}

impl Fetched<'_> {
    pub(crate) fn topic(&self) -> &str {
        either!(self, it => it.topic())
    }

    pub(crate) fn topic_id(&self) -> usize {
        either!(self, it => it.topic_id())
    }

    pub(crate) fn partition(&self) -> i32 {
        either!(self, it => it.partition())
    }

    pub(crate) fn offset(&self) -> Offset {
        either!(self, it => it.offset())
    }

    pub(crate) fn key(&self) -> Option<&[u8]> {
        either!(self, it => it.key())
    }

    pub(crate) fn value(&self) -> Option<&[u8]> {
        either!(self, it => it.value())
    }

    pub(crate) fn timestamp(&self) -> Timestamp {
        either!(self, it => it.timestamp())
    }

    pub(crate) fn header(&self, name: &str) -> Option<&[u8]> {
        either!(self, it => it.header(name))
    }

    pub(crate) fn hold(&self) -> HeldRecord {
        either!(self, it => it.hold())
    }
}

/// As `kafka_io::reader::Polled`.
pub(crate) enum Polled<'a> {
    Record(Fetched<'a>),
    End(#[expect(dead_code, reason = "as that of kafka_io")] i32),
    Nothing,
    OutOfRange,
    Away(String),
    Denied(String),
    Missing(String),
}

impl<'a> From<reader::Polled<'a>> for Polled<'a> {
    fn from(polled: reader::Polled<'a>) -> Self {
        match polled {
            reader::Polled::Record(record) => Self::Record(Fetched::Kafka(record)),
            reader::Polled::End(partition) => Self::End(partition),
            reader::Polled::Nothing => Self::Nothing,
            reader::Polled::OutOfRange => Self::OutOfRange,
            reader::Polled::Away(text) => Self::Away(text),
            reader::Polled::Denied(text) => Self::Denied(text),
            reader::Polled::Missing(text) => Self::Missing(text),
        }
    }
}

impl<'a> From<model::Polled<'a>> for Polled<'a> {
    fn from(polled: model::Polled<'a>) -> Self {
        match polled {
            model::Polled::Record(record) => Self::Record(Fetched::Model(record)),
            model::Polled::End(partition) => Self::End(partition),
            model::Polled::Nothing => Self::Nothing,
        }
    }
}

pub(crate) enum Reader {
    Kafka(reader::Reader),
    Model(model::Reader),
}

impl Reader {
    pub(crate) fn new(config: &ClientConfig, group: &str) -> Result<Self, KafkaError> {
        made!(reader::Reader::new(config, group), model::Reader::new(config, group))
    }

    pub(crate) fn look_up(&self, topics: &[&str], limit: Duration) {
        either!(self, it => it.look_up(topics, limit));
    }

    pub(crate) fn start(
        &self,
        topic: &str,
        partition: i32,
        position: CommitPosition,
    ) -> Result<(), KafkaError> {
        either!(self, it => it.start(topic, partition, position))
    }

    pub(crate) fn stop(&self, topic: &str, partition: i32) -> Result<(), KafkaError> {
        either!(self, it => it.stop(topic, partition))
    }

    pub(crate) fn poll(&self, limit: Duration) -> Polled<'_> {
        either!(self, it => it.poll(limit).into())
    }

    pub(crate) fn cached_bounds(&self, topic: &str, partition: i32) -> Option<(i64, i64)> {
        either!(self, it => it.cached_bounds(topic, partition))
    }

    pub(crate) fn positions(&self) -> HashMap<(String, i32), i64> {
        either!(self, it => it.positions())
    }
}

pub(crate) enum Writer {
    Kafka(writer::Writer),
    Model(model_writer::Writer),
}

impl Writer {
    pub(crate) fn open(
        config: &ClientConfig,
        guarantee: Guarantee,
        transactional_id: &str,
        limit: Duration,
    ) -> Result<Self, WriteError> {
        made!(
            writer::Writer::open(config, guarantee, transactional_id, limit),
            model_writer::Writer::open(config, guarantee, transactional_id, limit)
        )
    }

    pub(crate) fn must_be_replaced(&self) -> bool {
        either!(self, it => it.must_be_replaced())
    }

    pub(crate) fn explain(&self, error: WriteError) -> WriteError {
        either!(self, it => it.explain(error))
    }

    pub(crate) fn take_delivered(&self) -> Vec<(usize, Offset)> {
        either!(self, it => it.take_delivered())
    }

    pub(crate) fn begin(&mut self) -> Result<(), WriteError> {
        either!(self, it => it.begin())
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
        either!(self, it => it.produce(topic, partition, key, value, headers, tag))
    }

    pub(crate) fn acknowledged(&self) -> Result<(), WriteError> {
        either!(self, it => it.acknowledged())
    }

    pub(crate) fn commit(
        &mut self,
        member: &Member,
        offsets: &[OffsetCommit],
        offsets_are_sent: impl FnOnce(),
    ) -> Result<(), WriteError> {
        match (self, member) {
            (Self::Kafka(writer), Member::Kafka(member)) => {
                writer.commit(member, offsets, offsets_are_sent)
            }
            (Self::Model(writer), Member::Model(member)) => {
                writer.commit(member, offsets, offsets_are_sent)
            }
            _ => unreachable!("the handles of a lane are of one kind"),
        }
    }

    pub(crate) fn abort(&mut self) -> Result<(), WriteError> {
        either!(self, it => it.abort())
    }
}
