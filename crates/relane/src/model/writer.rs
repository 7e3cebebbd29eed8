//! The writer that a lane takes for its own: it speaks to the model's coordinator and leaders.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CStr;
use std::time::Duration;

use kafka_io::member::OffsetCommit;
use kafka_io::native::RecordHeaders;
use kafka_io::writer::{Guarantee, NO_TAG, Refused, WriteError};
use kafka_io::{ClientConfig, RDKafkaErrorCode};
use pipeline::record::Offset;

use crate::model::fault::{Fault, goes_wrong};
use crate::model::handles::{Member, group_offsets, process_of};
use crate::model::log::{Stored, Target};
use crate::model::request::{Answer, ProducerRef, Request};
use crate::model::world::{Step, broker, is_away, request, step};

/// Longest wait for an answer that does not come.
const ANSWER_MAX: Duration = Duration::from_millis(1_000);

/// Wait before a coordinator is asked again that is busy with the transaction before.
const CONCURRENT_PAUSE: Duration = Duration::from_millis(2);

/// As `kafka_io::writer::Writer`.
pub(crate) struct Writer {
    process: usize,
    /// `None` writes without transactions.
    producer: Option<ProducerRef>,
    coordinator_lost: Cell<bool>,
    in_transaction: bool,
    queue: RefCell<Vec<(Target, usize, Stored)>>,
    delivered: RefCell<Vec<(usize, Offset)>>,
    sequences: RefCell<BTreeMap<Target, usize>>,
    added: RefCell<BTreeSet<Option<Target>>>,
}

impl Writer {
    pub(crate) fn open(
        config: &ClientConfig,
        guarantee: Guarantee,
        transactional_id: &str,
        limit: Duration,
    ) -> Result<Self, WriteError> {
        let process = process_of(config);
        step(process, Step::Request);
        if is_away() {
            broker(|broker| broker.advance(limit));
            return Err(WriteError::Unknown("no answer".to_owned()));
        }
        let mut producer = None;
        if guarantee == Guarantee::ExactlyOnce {
            let mut waited = Duration::ZERO;
            producer = loop {
                match broker(|broker| broker.init_producer(transactional_id)) {
                    Ok(producer) => break Some(producer),
                    Err(_) if waited >= limit => {
                        return Err(WriteError::Unknown("the coordinator is busy".to_owned()));
                    }
                    Err(_) => broker(|broker| broker.advance(CONCURRENT_PAUSE)),
                }
                waited += CONCURRENT_PAUSE;
            };
            broker(|broker| broker.tell(|| format!("process {process}: writer {producer:?}")));
        }
        Ok(Self {
            process,
            producer,
            coordinator_lost: Cell::default(),
            in_transaction: false,
            queue: RefCell::default(),
            delivered: RefCell::default(),
            sequences: RefCell::default(),
            added: RefCell::default(),
        })
    }

    pub(crate) fn must_be_replaced(&self) -> bool {
        self.coordinator_lost.get() && !goes_wrong(Fault::WriterKept)
    }

    /// Here a fence tells of itself, and a transaction has no time to outlast.
    pub(crate) fn explain(&self, error: WriteError) -> WriteError {
        broker(|broker| broker.tell(|| format!("process {}: {error}", self.process)));
        error
    }

    pub(crate) fn take_delivered(&self) -> Vec<(usize, Offset)> {
        self.delivered.take()
    }

    pub(crate) fn begin(&mut self) -> Result<(), WriteError> {
        self.queue.take();
        self.delivered.take();
        self.added.take();
        self.in_transaction = true;
        Ok(())
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
        let headers = headers.iter().flat_map(|headers| headers.iter());
        let record = Stored {
            key: key.map(Into::into),
            value: value.map(Into::into),
            headers: headers.map(|(name, value)| (name.into(), value.map(Into::into))).collect(),
            timestamp_ms: crate::clock::now_ms(),
        };
        let name = topic.to_str().expect("names of the model are text");
        let (topic, partitions) = broker(|broker| (broker.topic(name), broker.group.partitions()));
        // A planted bug writes to a partition that may not exist; there is always one more.
        self.queue.borrow_mut().push(((topic, partition % partitions), tag, record));
        Ok(())
    }

    pub(crate) fn acknowledged(&self) -> Result<(), WriteError> {
        let mut batches: BTreeMap<Target, (Vec<usize>, Vec<Stored>)> = BTreeMap::new();
        for (target, tag, record) in self.queue.take() {
            let (tags, records) = batches.entry(target).or_default();
            tags.push(tag);
            records.push(record);
        }
        let mut refused = Vec::new();
        for (target, (tags, records)) in batches {
            self.add(Some(target))?;
            if broker(|broker| records.iter().any(|record| broker.refuses(target, record))) {
                let code = RDKafkaErrorCode::MessageSizeTooLarge;
                refused.extend(tags.into_iter().map(|tag| Refused { tag, code }));
                continue; // it and its batch; what goes elsewhere is written
            }
            let sequence = self.sequences.borrow().get(&target).copied().unwrap_or_default();
            self.sequences.borrow_mut().insert(target, sequence + records.len());
            let producer = self.producer.clone();
            let answer = self.ask(&Request::Produce { producer, target, sequence, records })?;
            if let Answer::Written(first) = answer {
                let offsets = (first..).map(Offset);
                let delivered = tags.into_iter().zip(offsets).filter(|(tag, _)| *tag != NO_TAG);
                self.delivered.borrow_mut().extend(delivered);
            }
        }
        if refused.is_empty() { Ok(()) } else { Err(WriteError::Refused(refused)) }
    }

    fn add(&self, target: Option<Target>) -> Result<(), WriteError> {
        let Some(producer) = &self.producer else { return Ok(()) };
        if self.added.borrow().contains(&target) {
            return Ok(());
        }
        self.ask(&Request::AddPartition(producer.clone(), target))?;
        self.added.borrow_mut().insert(target);
        Ok(())
    }

    /// Sends a request until it is answered, and sorts the answer as `kafka_io` does.
    fn ask(&self, asked: &Request) -> Result<Answer, WriteError> {
        let mut waited = Duration::ZERO;
        loop {
            let sent = request(self.process, asked);
            self.coordinator_lost.set(self.coordinator_lost.get() || sent.is_coordinator_lost);
            let Some(answer) = sent.answer else {
                broker(|broker| broker.advance(ANSWER_MAX));
                return Err(WriteError::Unknown("no answer".to_owned()));
            };
            let text = || format!("{answer:?}");
            return match answer {
                Answer::Done | Answer::Written(_) | Answer::WrittenBefore => Ok(answer),
                Answer::Concurrent if waited < ANSWER_MAX => {
                    broker(|broker| broker.advance(CONCURRENT_PAUSE));
                    waited += CONCURRENT_PAUSE;
                    continue;
                }
                Answer::Concurrent => Err(WriteError::Unknown(text())),
                Answer::Fenced => Err(WriteError::Fenced(text())),
                Answer::InvalidState => Err(WriteError::Unknown(text())), // fatal in librdkafka
                Answer::StaleMember => Err(WriteError::StaleMember(text())),
                Answer::MetadataTooLarge => Err(WriteError::MetadataTooLarge),
            };
        }
    }

    pub(crate) fn commit(
        &mut self,
        member: &Member,
        offsets: &[OffsetCommit],
        offsets_are_sent: impl FnOnce(),
    ) -> Result<(), WriteError> {
        let Some(producer) = self.producer.clone() else {
            let result = member.commit(offsets);
            return result.map_err(|error| WriteError::StaleMember(error.to_string()));
        };
        if !offsets.is_empty() {
            let joined = member.member().filter(|member| member.generation >= 0);
            let as_member =
                joined.ok_or_else(|| WriteError::StaleMember("not in its group".to_owned()))?;
            self.add(None)?;
            let offsets = group_offsets(offsets);
            self.ask(&Request::SendOffsets(producer.clone(), as_member, offsets))?;
        }
        offsets_are_sent();
        if !self.added.borrow().is_empty() {
            self.ask(&Request::End { producer, commits: true })?;
        }
        self.in_transaction = false;
        Ok(())
    }

    pub(crate) fn abort(&mut self) -> Result<(), WriteError> {
        self.queue.take();
        let was_open = std::mem::take(&mut self.in_transaction);
        let Some(producer) = self.producer.clone().filter(|_| was_open) else { return Ok(()) };
        if self.added.borrow().is_empty() {
            return Ok(());
        }
        let asked = self.ask(&Request::End { producer, commits: false });
        asked.map(|_| ()).map_err(|error| match error {
            WriteError::Fenced(text) => WriteError::Fenced(text),
            other => WriteError::Unknown(other.to_string()),
        })
    }
}
