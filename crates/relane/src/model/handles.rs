//! What a lane takes for its handles: they speak to the model broker.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::marker::PhantomData;
use std::rc::Rc;
use std::time::Duration;

use kafka_io::member::{AskError, Change, Committed, OffsetCommit};
use kafka_io::native::{Membership, RecordHeaders};
use kafka_io::reader::HeldRecord;
use kafka_io::{ClientConfig, RDKafkaErrorCode};
use pipeline::record::{CommitPosition, Offset, Timestamp, TimestampType};

use crate::model::fault::{Fault, goes_wrong};
use crate::model::group::{Client, MemberRef};
use crate::model::log::{Seen, Stored, Target};
use crate::model::request::{Answer, GroupOffset};
use crate::model::world::{Step, broker, idle, is_away, step};

/// Setting that tells a handle which process it is part of.
pub(crate) const PROCESS: &str = "client.id";

/// Number of the process that settings belong to.
pub(crate) fn process_of(config: &ClientConfig) -> usize {
    config.get(PROCESS).and_then(|id| id.parse().ok()).expect("the simulation names the process")
}

/// Nothing answers within the time.
fn no_answer(limit: Duration) -> AskError {
    broker(|broker| broker.advance(limit));
    AskError::Away("no answer".to_owned())
}

/// As `kafka_io::ends::Ends`.
pub(crate) struct Ends(usize);

impl Ends {
    pub(crate) fn new(config: &ClientConfig) -> Result<Self, kafka_io::KafkaError> {
        Ok(Self(process_of(config)))
    }

    pub(crate) fn bounds(
        &self,
        topic: &str,
        partition: i32,
        limit: Duration,
    ) -> Result<(i64, i64), AskError> {
        step(self.0, Step::Ask);
        if is_away() {
            return Err(no_answer(limit));
        }
        Ok(broker(|broker| {
            let log = broker.log((broker.topic(topic), partition));
            (0, if goes_wrong(Fault::StableEnd) { log.stable_end() } else { log.end() })
        }))
    }

    pub(crate) fn of_topic(
        &self,
        topic: &str,
        partitions: i32,
        limit: Duration,
    ) -> Result<Vec<i64>, AskError> {
        (0..partitions).map(|p| self.bounds(topic, p, limit).map(|(_, end)| end)).collect()
    }
}

/// As `kafka_io::member::Member`.
pub(crate) struct Member(usize);

impl Member {
    pub(crate) fn join(
        config: &ClientConfig,
        _: &str,
        instance_id: Option<&str>,
        _: &str,
    ) -> Result<Self, kafka_io::KafkaError> {
        let process = process_of(config);
        broker(|broker| {
            let instance = instance_id.map(str::to_owned);
            broker.group.clients.insert(process, Client::new(instance));
        });
        Ok(Self(process))
    }

    pub(crate) fn serve(&self) -> Vec<Change> {
        step(self.0, Step::Serve);
        if is_away() {
            return Vec::new(); // its heartbeats have no answer
        }
        let changes = broker(|broker| {
            let (group, random) = (&mut broker.group, &mut broker.random);
            group.serve(self.0, random)
        });
        for change in &changes {
            broker(|broker| broker.tell(|| format!("process {}: {change:?}", self.0)));
        }
        changes
    }

    pub(crate) fn membership(&self) -> Membership {
        let member = self.member();
        let MemberRef { id, generation } = member.unwrap_or(MemberRef { id: 0, generation: -1 });
        let member_id = member.map_or(String::new(), |_| id.to_string());
        Membership { generation, member_id }
    }

    pub(crate) fn member(&self) -> Option<MemberRef> {
        broker(|broker| broker.group.clients[&self.0].member())
    }

    pub(crate) fn fatal(&self) -> Option<(RDKafkaErrorCode, String)> {
        let is_fenced = broker(|broker| broker.group.clients[&self.0].is_fenced);
        is_fenced.then(|| (RDKafkaErrorCode::FencedInstanceId, "another has the id".to_owned()))
    }

    pub(crate) fn committed(
        &self,
        partitions: &[(&str, i32)],
        limit: Duration,
    ) -> Result<Vec<Committed>, AskError> {
        step(self.0, Step::Ask);
        if is_away() {
            return Err(no_answer(limit));
        }
        let offsets = broker(|broker| {
            let target = |(topic, partition): &(&str, i32)| (broker.topic(topic), *partition);
            let targets: Vec<Target> = partitions.iter().map(target).collect();
            let offsets = broker.stable_offsets(&targets);
            if offsets.is_none() {
                broker.advance(limit);
            }
            offsets
        });
        let committed = |offset: Option<(i64, String)>| {
            let (position, mut metadata) = offset
                .map_or((None, String::new()), |(position, metadata)| {
                    (Some(CommitPosition(position)), metadata)
                });
            if goes_wrong(Fault::MetadataForgotten) {
                metadata.clear();
            }
            Committed { position, metadata }
        };
        Ok(offsets.ok_or(AskError::Undecided)?.into_iter().map(committed).collect())
    }

    pub(crate) fn commit(&self, offsets: &[OffsetCommit]) -> Result<(), AskError> {
        step(self.0, Step::Request);
        if is_away() {
            return Err(AskError::Away("no answer".to_owned()));
        }
        let member = self.member().ok_or_else(|| AskError::Away("not in its group".to_owned()))?;
        let offsets = group_offsets(offsets);
        match broker(|broker| broker.commit_offsets(&member, offsets)) {
            Answer::Done => Ok(()),
            other => Err(AskError::Away(format!("{other:?}"))),
        }
    }

    pub(crate) fn unowned(&self, _: i32, _: Duration) -> Result<Vec<i32>, AskError> {
        Ok(Vec::new())
    }

    pub(crate) fn rejoin(&self) -> Result<(), kafka_io::KafkaError> {
        Ok(())
    }

    #[expect(clippy::unused_self, reason = "as the handle that it stands for")]
    pub(crate) const fn stand_aside(&self) {}

    pub(crate) fn come_back(&self) -> Result<(), kafka_io::KafkaError> {
        broker(|broker| broker.group.come_back(self.0));
        Ok(())
    }

    pub(crate) fn leave(self) {
        broker(|broker| broker.group.leave(self.0));
    }
}

/// Offsets as requests carry them.
pub(crate) fn group_offsets(offsets: &[OffsetCommit]) -> Vec<GroupOffset> {
    let target =
        |commit: &OffsetCommit| broker(|broker| (broker.topic(&commit.topic), commit.partition));
    let group_offset = |commit: &OffsetCommit| GroupOffset {
        target: target(commit),
        position: commit.position.0,
        metadata: commit.metadata.clone(),
    };
    offsets.iter().map(group_offset).collect()
}

/// As `kafka_io::reader::Fetched`.
pub(crate) struct Fetched<'a> {
    name: Rc<str>,
    target: Target,
    offset: i64,
    record: Rc<Stored>,
    reader: PhantomData<&'a ()>,
}

impl Fetched<'_> {
    pub(crate) fn topic(&self) -> &str {
        &self.name
    }

    pub(crate) fn topic_id(&self) -> usize {
        self.target.0 as usize + 1
    }

    pub(crate) const fn partition(&self) -> i32 {
        self.target.1
    }

    pub(crate) const fn offset(&self) -> Offset {
        Offset(self.offset)
    }

    pub(crate) fn key(&self) -> Option<&[u8]> {
        self.record.key.as_deref()
    }

    pub(crate) fn value(&self) -> Option<&[u8]> {
        self.record.value.as_deref()
    }

    pub(crate) fn timestamp(&self) -> Timestamp {
        Timestamp { ms: self.record.timestamp_ms, kind: TimestampType::CreateTime }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&[u8]> {
        self.record.header(name)
    }

    pub(crate) fn hold(&self) -> HeldRecord {
        let headers = (!self.record.headers.is_empty()).then(|| {
            let mut headers = RecordHeaders::new();
            for (name, value) in &self.record.headers {
                headers.add(name, value.as_deref());
            }
            headers
        });
        HeldRecord {
            partition: self.partition(),
            offset: self.offset(),
            timestamp: self.timestamp(),
            key: self.record.key.clone(),
            value: self.record.value.clone(),
            headers,
        }
    }
}

/// As `kafka_io::reader::Polled`.
pub(crate) enum Polled<'a> {
    Record(Fetched<'a>),
    End(i32),
    Nothing,
}

/// As `kafka_io::reader::Reader`.
pub(crate) struct Reader {
    process: usize,
    /// Position of each partition that is read, and the end that was told last.
    positions: RefCell<BTreeMap<Target, (i64, Option<i64>)>>,
    last: Cell<Option<Target>>,
}

impl Reader {
    pub(crate) fn new(config: &ClientConfig, _: &str) -> Result<Self, kafka_io::KafkaError> {
        let (positions, last) = (RefCell::default(), Cell::default());
        Ok(Self { process: process_of(config), positions, last })
    }

    #[expect(clippy::unused_self, reason = "as the handle that it stands for")]
    pub(crate) const fn look_up(&self, _: &[&str], _: Duration) {}

    pub(crate) fn start(
        &self,
        topic: &str,
        partition: i32,
        position: CommitPosition,
    ) -> Result<(), kafka_io::KafkaError> {
        let process = self.process;
        let target = broker(|broker| {
            let target = (broker.topic(topic), partition);
            broker.tell(|| format!("process {process}: reads {target:?} from {position}"));
            target
        });
        let before = self.positions.borrow_mut().insert(target, (position.0, None));
        assert!(before.is_none(), "{target:?} is read already");
        Ok(())
    }

    pub(crate) fn stop(&self, topic: &str, partition: i32) -> Result<(), kafka_io::KafkaError> {
        let target = broker(|broker| {
            let target = (broker.topic(topic), partition);
            broker.tell(|| format!("process {}: stops {target:?}", self.process));
            target
        });
        let before = self.positions.borrow_mut().remove(&target);
        assert!(before.is_some(), "{target:?} is not read");
        Ok(())
    }

    pub(crate) fn poll(&self, limit: Duration) -> Polled<'_> {
        step(self.process, Step::Poll);
        if is_away() {
            idle(limit);
            return Polled::Nothing;
        }
        let mut positions = self.positions.borrow_mut();
        let polled = broker(|broker| {
            use rand::Rng as _;
            let mut targets: Vec<Target> = positions.keys().copied().collect();
            if !targets.is_empty() {
                let middle = broker.random.random_range(0..targets.len());
                targets.rotate_left(middle);
            }
            if let Some(last) = self.last.get().filter(|_| broker.random.random_bool(0.8)) {
                targets.insert(0, last); // records of one partition come in batches
            }
            for target in targets {
                let Some((position, told_end)) = positions.get_mut(&target) else { continue };
                loop {
                    let seen =
                        broker.log(target).look(*position, goes_wrong(Fault::ReadUncommitted));
                    match seen {
                        Seen::Gap => *position += 1,
                        Seen::Record(record) => {
                            let offset = *position;
                            let process = self.process;
                            broker.tell(|| format!("process {process}: {target:?} {offset}"));
                            *position += 1;
                            self.last.set(Some(target));
                            let reader = PhantomData;
                            let name = broker.name(target.0);
                            return Polled::Record(Fetched {
                                name,
                                target,
                                offset,
                                record,
                                reader,
                            });
                        }
                        Seen::End if *told_end == Some(*position) => break,
                        Seen::End => {
                            *told_end = Some(*position);
                            return Polled::End(target.1);
                        }
                    }
                }
            }
            Polled::Nothing
        });
        if matches!(polled, Polled::Nothing) {
            idle(limit);
        }
        polled
    }

    pub(crate) const fn cached_bounds(&self, _: &str, _: i32) -> Option<(i64, i64)> {
        None
    }

    pub(crate) fn positions(&self) -> HashMap<(String, i32), i64> {
        let positions = self.positions.borrow();
        let named = |((topic, partition), (at, _)): (&Target, &(i64, _))| {
            ((broker(|broker| broker.name(*topic)).to_string(), *partition), *at)
        };
        positions.iter().map(named).collect()
    }
}
