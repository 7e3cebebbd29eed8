//! The model broker: logs, the transaction coordinator, group offsets. Requests arrive when the
//! network lets them, which may be late or twice.

mod offsets;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

use crate::clock::simulated as clock;
use crate::model::fault::{Fault, goes_wrong};
use crate::model::group::{Group, MemberRef};
use crate::model::log::{Log, Stored, Target, Topic, Txn};
#[cfg(test)]
use crate::model::request::name;
use crate::model::request::{Answer, GroupOffset, ProducerRef, Request};

/// The coordinator aborts a transaction that is open for this long.
const TRANSACTION_MAX: Duration = Duration::from_millis(1_500);

/// The marker of a partition whose leader is slow is written this much later at most.
const MARKER_LATE_MS: u64 = 1_200;

/// A transaction of nobody in the model; those of producers count from 1.
#[cfg(test)]
const HELD: Txn = 0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Empty,
    Ongoing,
    Prepared { commits: bool, markers_left: usize },
    Complete { commits: bool },
}

#[derive(Debug)]
struct Producer {
    number: u64,
    epoch: u16,
    status: Status,
    txn: Txn,
    partitions: BTreeSet<Option<Target>>,
    deadline: Duration,
}

#[derive(Debug)]
enum Arrival {
    #[cfg(test)]
    Request(Request),
    Marker {
        id: String,
        txn: Txn,
        target: Option<Target>,
        commits: bool,
    },
}

/// See the module.
pub(crate) struct Broker {
    pub(crate) random: SmallRng,
    pub(crate) logs: BTreeMap<Target, Log>,
    pub(crate) group: Group,
    pub(crate) metadata_chars_max: usize,
    /// The retry topic takes values of at most so many bytes.
    pub(crate) retry_bytes_max: Option<usize>,
    /// Markers are written at once, as if no leader were slow.
    pub(crate) is_prompt: bool,
    pub(crate) is_told: bool,
    names: [Option<Rc<str>>; 6],
    offsets: BTreeMap<Target, (i64, String)>,
    pending: BTreeMap<Txn, Vec<GroupOffset>>,
    producers: BTreeMap<String, Producer>,
    network: BTreeMap<(Duration, u64), Arrival>,
    numbers: u64,
}

impl Broker {
    pub(crate) fn new(
        seed: u64,
        names: [Option<Rc<str>>; 6],
        partitions: i32,
        metadata_chars_max: usize,
    ) -> Self {
        let targets = Topic::ALL.into_iter().flat_map(|t| (0..partitions).map(move |p| (t, p)));
        Self {
            random: SmallRng::seed_from_u64(seed ^ 0x5eed_0fb2),
            logs: targets.map(|target| (target, Log::default())).collect(),
            group: Group::new(partitions),
            metadata_chars_max,
            retry_bytes_max: None,
            is_prompt: false,
            is_told: false,
            names,
            offsets: BTreeMap::new(),
            pending: BTreeMap::new(),
            producers: BTreeMap::new(),
            network: BTreeMap::new(),
            numbers: 0,
        }
    }

    /// Tells a step, where the schedule is to be told.
    pub(crate) fn tell(&self, text: impl FnOnce() -> String) {
        if self.is_told {
            eprintln!("{:>11.4} s  {}", clock::now().as_secs_f64(), text());
        }
    }

    /// The topic of this name.
    pub(crate) fn topic(&self, name: &str) -> Topic {
        let is_it = |topic: &Topic| self.names[*topic as usize].as_deref() == Some(name);
        Topic::ALL.into_iter().find(is_it).expect("a topic of the model")
    }

    /// What a topic is called; one that there is not has no records.
    pub(crate) fn name(&self, topic: Topic) -> Rc<str> {
        self.names[topic as usize].clone().unwrap_or_default()
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    pub(crate) fn log(&mut self, target: Target) -> &mut Log {
        self.logs.get_mut(&target).expect("a partition of the model")
    }

    /// Moves the clock, and lets arrive what is on its way.
    pub(crate) fn advance(&mut self, wait: Duration) {
        let until = clock::now() + wait;
        loop {
            let arrival = self.network.first_key_value().map(|((at, _), _)| *at);
            let open = self.producers.values().filter(|p| p.status == Status::Ongoing);
            let deadline = open.map(|producer| producer.deadline).min();
            let expiry = self.group.next_expiry();
            let Some(next) = [arrival, deadline, expiry].into_iter().flatten().min() else { break };
            if next > until {
                break;
            }
            clock::set(clock::now().max(next));
            if arrival == Some(next) {
                let (_, arrival) = self.network.pop_first().expect("looked up above");
                self.arrive(arrival);
            } else if deadline == Some(next) {
                self.time_out(next);
            } else {
                let gone = self.group.expire(next);
                self.tell(|| format!("broker: members {gone:?} are gone, their session is over"));
            }
        }
        clock::set(clock::now().max(until));
    }

    /// Puts a request on its way: it arrives later, and nobody waits for the answer.
    #[cfg(test)]
    pub(crate) fn delay(&mut self, request: Request, wait: Duration) {
        self.tell(|| format!("network: {} arrives in {wait:?}", name(&request)));
        self.post(Arrival::Request(request), wait);
    }

    fn post(&mut self, arrival: Arrival, wait: Duration) {
        let key = (clock::now() + wait, self.number());
        self.network.insert(key, arrival);
    }

    fn arrive(&mut self, arrival: Arrival) {
        match arrival {
            #[cfg(test)]
            Arrival::Request(request) => {
                let text = self.is_told.then(|| name(&request));
                let answer = self.apply(request);
                self.tell(|| format!("broker: a late {} → {answer:?}", text.unwrap_or_default()));
            }
            Arrival::Marker { id, txn, target, commits } => self.mark(&id, txn, target, commits),
        }
    }

    fn time_out(&mut self, now: Duration) {
        let is_late = |p: &Producer| p.status == Status::Ongoing && p.deadline <= now;
        let late = self.producers.iter().filter(|(_, producer)| is_late(producer));
        for id in late.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            self.tell(|| format!("broker: the transaction of {id} took too long"));
            self.producers.get_mut(&id).expect("listed above").epoch += 1;
            self.prepare(&id, false);
        }
    }

    /// Gives a producer its number and epoch, once what was open before is decided.
    pub(crate) fn init_producer(&mut self, id: &str) -> Result<ProducerRef, Answer> {
        if !self.producers.contains_key(id) {
            let number = self.number();
            let (status, partitions) = (Status::Empty, BTreeSet::new());
            let deadline = Duration::ZERO;
            let new = Producer { number, epoch: 0, status, txn: 0, partitions, deadline };
            self.producers.insert(id.to_owned(), new);
        }
        let producer = self.producers.get_mut(id).expect("made above");
        match producer.status {
            Status::Ongoing => {
                producer.epoch += 1;
                self.prepare(id, false);
                Err(Answer::Concurrent)
            }
            Status::Prepared { .. } => Err(Answer::Concurrent),
            Status::Empty | Status::Complete { .. } => {
                producer.epoch += 1;
                producer.status = Status::Empty;
                Ok(ProducerRef {
                    id: id.to_owned(),
                    number: producer.number,
                    epoch: producer.epoch,
                })
            }
        }
    }

    /// Whether the leader refuses a record for its size, and the batch that it is in.
    pub(crate) fn refuses(&self, (topic, _): Target, record: &Stored) -> bool {
        let bytes = record.value.as_ref().map_or(0, |value| value.len());
        topic == Topic::Retry && self.retry_bytes_max.is_some_and(|most| bytes > most)
    }

    /// Answers a request that has arrived.
    pub(crate) fn apply(&mut self, request: Request) -> Answer {
        match request {
            Request::AddPartition(producer, target) => self.add_partition(&producer, target),
            Request::Produce { producer, target, sequence, records } => {
                self.produce(producer, target, sequence, records)
            }
            Request::SendOffsets(producer, member, offsets) => {
                self.send_offsets(&producer, &member, offsets)
            }
            Request::End { producer, commits } => self.end(&producer, commits),
        }
    }

    fn is_fenced(&self, producer: &ProducerRef) -> bool {
        let known = self.producers.get(&producer.id).expect("it was initialized");
        known.epoch != producer.epoch && !goes_wrong(Fault::FencingOff)
    }

    fn add_partition(&mut self, producer: &ProducerRef, target: Option<Target>) -> Answer {
        if self.is_fenced(producer) {
            return Answer::Fenced;
        }
        let txn = self.number();
        let known = self.producers.get_mut(&producer.id).expect("it was initialized");
        match known.status {
            Status::Prepared { .. } => return Answer::Concurrent,
            Status::Ongoing => {}
            Status::Empty | Status::Complete { .. } => {
                known.status = Status::Ongoing;
                known.txn = txn;
                known.partitions.clear();
                known.deadline = clock::now() + TRANSACTION_MAX;
            }
        }
        known.partitions.insert(target);
        Answer::Done
    }

    fn produce(
        &mut self,
        producer: Option<ProducerRef>,
        target: Target,
        sequence: usize,
        records: Vec<Stored>,
    ) -> Answer {
        let mut txn = None;
        if let Some(producer) = producer {
            if self.is_fenced(&producer) {
                return Answer::Fenced;
            }
            let known = self.producers.get(&producer.id).expect("it was initialized");
            if known.status != Status::Ongoing || !known.partitions.contains(&Some(target)) {
                return Answer::InvalidState;
            }
            txn = Some(known.txn);
            let next =
                self.log(target).sequences.entry((producer.number, producer.epoch)).or_default();
            if sequence < *next && !goes_wrong(Fault::IdempotenceOff) {
                return Answer::WrittenBefore;
            }
            *next = sequence + records.len();
        }
        let log = self.log(target);
        let first = log.end();
        let txn = txn.filter(|_| !goes_wrong(Fault::RecordsOutside));
        for record in records {
            log.append(record, txn);
        }
        Answer::Written(first)
    }

    fn send_offsets(
        &mut self,
        producer: &ProducerRef,
        member: &MemberRef,
        offsets: Vec<GroupOffset>,
    ) -> Answer {
        if self.is_fenced(producer) {
            return Answer::Fenced;
        }
        let known = self.producers.get(&producer.id).expect("it was initialized");
        if known.status != Status::Ongoing || !known.partitions.contains(&None) {
            return Answer::InvalidState;
        }
        if !self.group.knows(member) && !goes_wrong(Fault::GenerationUnchecked) {
            return Answer::StaleMember;
        }
        if offsets.iter().any(|offset| offset.metadata.len() > self.metadata_chars_max) {
            return Answer::MetadataTooLarge;
        }
        let txn = known.txn;
        self.pending.entry(txn).or_default().extend(offsets);
        Answer::Done
    }

    fn end(&mut self, producer: &ProducerRef, commits: bool) -> Answer {
        if self.is_fenced(producer) {
            return Answer::Fenced;
        }
        let status = self.producers.get(&producer.id).expect("it was initialized").status;
        match status {
            Status::Ongoing
                if commits && goes_wrong(Fault::CommitLost) && self.random.random_bool(0.1) =>
            {
                self.prepare(&producer.id, false);
                Answer::Done
            }
            Status::Ongoing => {
                self.prepare(&producer.id, commits);
                Answer::Done
            }
            Status::Prepared { commits: as_asked, .. } if as_asked == commits => Answer::Concurrent,
            Status::Complete { commits: as_asked } if as_asked == commits => Answer::Done,
            _ => Answer::InvalidState,
        }
    }

    /// Decides a transaction; its markers follow, each when its leader writes it.
    fn prepare(&mut self, id: &str, commits: bool) {
        let producer = self.producers.get_mut(id).expect("its transaction is open");
        let (txn, partitions) = (producer.txn, std::mem::take(&mut producer.partitions));
        producer.status = Status::Prepared { commits, markers_left: partitions.len() };
        for target in partitions {
            if self.is_prompt {
                self.mark(id, txn, target, commits);
                continue;
            }
            let is_slow = self.random.random_bool(0.04);
            let most_us = if is_slow { MARKER_LATE_MS * 1_000 } else { 900 };
            let wait = Duration::from_micros(self.random.random_range(0..most_us));
            if is_slow {
                self.tell(|| format!("broker: the marker of {target:?} follows in {wait:?}"));
            }
            self.post(Arrival::Marker { id: id.to_owned(), txn, target, commits }, wait);
        }
    }

    fn mark(&mut self, id: &str, txn: Txn, target: Option<Target>, commits: bool) {
        match target {
            Some(target) => self.log(target).decide(txn, commits),
            None => {
                let offsets = self.pending.remove(&txn).unwrap_or_default();
                for GroupOffset { target, position, metadata } in offsets {
                    if commits {
                        self.offsets.insert(target, (position, metadata));
                    }
                }
            }
        }
        let producer = self.producers.get_mut(id).expect("its transaction was decided");
        let Status::Prepared { markers_left, .. } = &mut producer.status else {
            unreachable!("only a decided transaction has markers")
        };
        *markers_left -= 1;
        if *markers_left == 0 {
            producer.status = Status::Complete { commits };
        }
    }

    /// Whether no transaction is decided in one place and not yet in another.
    #[cfg(test)]
    pub(crate) fn is_even(&self) -> bool {
        !self.producers.values().any(|p| matches!(p.status, Status::Prepared { .. }))
    }

    /// Whether nothing is open and nothing is on its way.
    #[cfg(test)]
    pub(crate) fn is_quiet(&self) -> bool {
        self.network.is_empty() && !self.producers.values().any(|p| p.status == Status::Ongoing)
    }
}
