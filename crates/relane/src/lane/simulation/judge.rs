//! Judges a schedule by what lies in the logs and in the group's offsets, and by nothing that a
//! lane says of itself.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use kafka_io::writer::Guarantee;
use pipeline::completion::{Completion, METADATA_CHARS_MAX};
use pipeline::headers::{FAILURE_REASON, Lineage};
use pipeline::record::CommitPosition;

use crate::lane::simulation::business::{Kind, Order, SMALL_BYTES_MAX, Told, has_worked, partial};
use crate::lane::simulation::outside;
use crate::lane::simulation::plan::{GROUP, MAIN, Plan};
use crate::model::broker::Broker;
use crate::model::log::{Stored, Topic};
use crate::settings::{KeyOrdering, OnDeadLetter};
use crate::stage::Outcome;

/// A record of the main topic, as it was put there.
#[derive(Debug, Clone)]
pub(crate) struct Placed {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) key: Option<String>,
    pub(crate) order: Order,
}

/// What is to become of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Counted { attempt: u32 },
    Dead { attempt: u32 },
    Duplicate,
}

/// Position of a topic's partition, and which offsets above it are settled.
struct Settled {
    position: i64,
    ranges: Vec<(i64, i64)>,
}

impl Settled {
    fn of(broker: &Broker, target: (Topic, i32)) -> Result<Self, String> {
        let offsets = broker.offsets_now(target);
        let (position, metadata) = offsets.unwrap_or_default();
        let noted = metadata.is_empty().then(|| outside::noted(broker, target)).flatten();
        let (base, metadata) =
            noted.filter(|(base, _)| *base <= position).unwrap_or((position, metadata));
        let base = CommitPosition(base);
        let completion = Completion::decode(&metadata, base).map_err(|error| error.to_string())?;
        Ok(Self { position, ranges: completion.settled_ranges(base) })
    }

    fn has(&self, offset: i64) -> bool {
        offset < self.position
            || self.ranges.iter().any(|(first, last)| (*first..=*last).contains(&offset))
    }
}

/// Where the records of a partition are, by the offset of their origin.
#[derive(Debug, Default)]
struct Places {
    counted: u32,
    dead: u32,
    duplicate: u32,
    waiting: u32,
}

/// See the module.
pub(crate) struct Judge<'a> {
    pub(crate) broker: &'a Broker,
    pub(crate) plan: &'a Plan,
    pub(crate) placed: &'a [Placed],
}

pub(crate) fn lineage(record: &Stored) -> Result<Lineage, String> {
    Lineage::read(|name| record.header(name)).ok_or_else(|| "a record without a past".to_owned())
}

impl Judge<'_> {
    const fn allows_repeats(&self) -> bool {
        matches!(self.plan.guarantee, Guarantee::AtLeastOnce)
    }

    /// What holds at every moment at which no transaction is half decided: each record is
    /// unsettled, or exactly one of counted, waiting, dead-lettered and a duplicate; and the
    /// averages are those of what was counted. At least once, a settled one is any of them.
    pub(crate) fn look(&self) -> Result<(), String> {
        if !self.allows_repeats() {
            self.look_at_tally()?;
        }
        (0..self.plan.partitions).try_for_each(|partition| {
            self.look_at_places(partition)?;
            if self.allows_repeats() {
                return Ok(());
            }
            self.look_at_state(partition)?;
            self.look_at_note(partition)
        })
    }

    /// The tally that stands with the offset of a lone partition knows of every dead letter since
    /// the last record that ended well. It may know of more: what was noted before a good record,
    /// and kept by a lane that lost the partition meanwhile.
    fn look_at_tally(&self) -> Result<(), String> {
        let is_in_several_logs = self.plan.partitions > 1;
        let may_be_left_out = self.plan.metadata_chars_max < METADATA_CHARS_MAX;
        // Another tool that sets an offset takes its metadata away.
        if is_in_several_logs || may_be_left_out || self.plan.has_resets {
            return Ok(());
        }
        let (position, metadata) = self.broker.offsets_now((Topic::Main, 0)).unwrap_or_default();
        let at = CommitPosition(position);
        let completion = Completion::decode(&metadata, at).map_err(|error| error.to_string())?;
        let noted = completion.tally(at).map_or(0, |tally| tally.consecutive());
        let mut followers = BTreeSet::new();
        for (_, record) in self.committed(Topic::DeadLetter, 0) {
            if record.header(FAILURE_REASON) == Some(b"predecessor-dead") {
                followers.insert(lineage(&record)?.origin.offset);
            }
        }
        let mut row = 0;
        for outcome in self.outcomes(0) {
            match outcome.outcome {
                Outcome::Succeeded | Outcome::Duplicate => row = 0,
                Outcome::DeadLettered if !followers.contains(&outcome.origin_offset) => row += 1,
                _ => {}
            }
        }
        if noted >= row {
            return Ok(());
        }
        Err(format!("{row} dead letters in a row, and the offset tells of {noted}"))
    }

    fn committed(&self, topic: Topic, partition: i32) -> Vec<(i64, Rc<Stored>)> {
        self.broker.logs[&(topic, partition)].committed().collect()
    }

    fn outcomes(&self, partition: i32) -> Vec<Told> {
        let records = self.committed(Topic::Outcomes, partition);
        let read = |(_, record): &(i64, Rc<Stored>)| {
            Told::read(record.value.as_deref().unwrap_or_default()).expect("the lane wrote it")
        };
        records.iter().map(read).collect()
    }

    fn look_at_places(&self, partition: i32) -> Result<(), String> {
        let main = Settled::of(self.broker, (Topic::Main, partition))?;
        let retry = Settled::of(self.broker, (Topic::Retry, partition))?;
        let mut places: BTreeMap<i64, Places> = BTreeMap::new();
        let mut by_serial = BTreeMap::new();
        for placed in self.placed.iter().filter(|placed| placed.partition == partition) {
            places.insert(placed.offset, Places::default());
            by_serial.insert(placed.order.serial.to_string(), placed);
        }
        let at = |offset, topic| format!("{topic:?}/{partition} has an unknown origin {offset}");
        for (_, record) in self.committed(Topic::Output, partition) {
            let serial = String::from_utf8_lossy(record.key.as_deref().unwrap_or_default());
            let placed = by_serial.get(&*serial).ok_or_else(|| at(-1, Topic::Output))?;
            places.get_mut(&placed.offset).expect("inserted above").counted += 1;
        }
        for (offset, record) in self.committed(Topic::Retry, partition) {
            let lineage = lineage(&record)?;
            if lineage.origin.group != GROUP || retry.has(offset) {
                continue;
            }
            let origin = lineage.origin.offset;
            places.get_mut(&origin).ok_or_else(|| at(origin, Topic::Retry))?.waiting += 1;
        }
        for (_, record) in self.committed(Topic::DeadLetter, partition) {
            let origin = lineage(&record)?.origin.offset;
            places.get_mut(&origin).ok_or_else(|| at(origin, Topic::DeadLetter))?.dead += 1;
        }
        for outcome in self.outcomes(partition).iter().filter(|o| o.outcome == Outcome::Duplicate) {
            let origin = outcome.origin_offset;
            places.get_mut(&origin).ok_or_else(|| at(origin, Topic::Outcomes))?.duplicate += 1;
        }
        for (offset, found) in places {
            let sum = found.counted + found.dead + found.duplicate + found.waiting;
            let is_settled = main.has(offset);
            let repeats = self.allows_repeats() && sum > 0;
            if sum != u32::from(is_settled) && !repeats {
                return Err(format!(
                    "record {offset} of partition {partition} is settled: {is_settled}, {found:?}"
                ));
            }
        }
        Ok(())
    }

    fn look_at_state(&self, partition: i32) -> Result<(), String> {
        let mut told: BTreeMap<String, (u64, i128)> = BTreeMap::new();
        let states = self.committed(Topic::State, partition).into_iter();
        for (_, record) in states.filter(|(_, record)| record.value.is_some()) {
            let text = |part: &Option<Box<[u8]>>| {
                String::from_utf8_lossy(part.as_deref().unwrap_or_default()).into_owned()
            };
            told.insert(text(&record.key), partial(&text(&record.value)).ok_or("no numbers")?);
        }
        let mut counted: BTreeMap<String, (u64, i128)> = BTreeMap::new();
        let serials: BTreeMap<String, &Order> = self
            .placed
            .iter()
            .map(|placed| (placed.order.serial.to_string(), &placed.order))
            .collect();
        for (_, record) in self.committed(Topic::Output, partition) {
            let serial = String::from_utf8_lossy(record.key.as_deref().unwrap_or_default());
            let order = serials.get(&*serial).ok_or("an output that nobody ordered")?;
            let entry = counted.entry(order.product.clone()).or_default();
            *entry = (entry.0 + 1, entry.1 + order.amount);
        }
        if told == counted {
            return Ok(());
        }
        Err(format!("averages of partition {partition} are {told:?}, counted was {counted:?}"))
    }

    /// Where an attempt has ended, the state notes how far the offsets were: else nobody could say
    /// that they were set back.
    fn look_at_note(&self, partition: i32) -> Result<(), String> {
        let is_tried = !self.committed(Topic::Outcomes, partition).is_empty();
        if is_tried && outside::noted(self.broker, (Topic::Main, partition)).is_none() {
            return Err(format!("nothing is noted of what was settled in partition {partition}"));
        }
        Ok(())
    }

    /// Tells what became of all records, where the schedule is told.
    pub(crate) fn tell(&self) {
        for partition in 0..self.plan.partitions {
            let records = self.committed(Topic::Outcomes, partition);
            for ((at, _), outcome) in records.iter().zip(self.outcomes(partition)) {
                let Told { origin_offset, attempt, outcome } = outcome;
                let key = self
                    .placed
                    .iter()
                    .find(|placed| (placed.partition, placed.offset) == (partition, origin_offset));
                let (key, kind) = key.map(|placed| (&placed.key, placed.order.kind)).unzip();
                self.broker.tell(|| {
                    format!("partition {partition} {at}: {origin_offset} {key:?} {kind:?}: {attempt} {outcome:?}")
                });
            }
        }
    }

    /// What holds once everything is settled.
    pub(crate) fn end(&self) -> Result<(), String> {
        self.look()?;
        if self.allows_repeats() {
            return Ok(()); // nothing is lost, and nothing else is promised
        }
        (0..self.plan.partitions).try_for_each(|partition| {
            let placed: Vec<&Placed> =
                self.placed.iter().filter(|placed| placed.partition == partition).collect();
            let outcomes = self.outcomes(partition);
            self.look_at_fates(&placed, &outcomes)?;
            self.look_at_dead_letters(partition, &placed)?;
            match self.plan.order {
                KeyOrdering::None => Ok(()),
                KeyOrdering::Key { .. } => self.look_at_order(partition, &placed, &outcomes),
            }?;
            if self.holds_followers() { self.look_at_followers(partition, &placed) } else { Ok(()) }
        })
    }

    /// Whether a valid order with this id lies a little lower in the log.
    fn is_duplicate(&self, placed: &[&Placed], of: &Placed) -> bool {
        let Some(reach) = self.plan.dedupe else { return false };
        let counts = |kind| !matches!(kind, Kind::Poison | Kind::Invalid);
        let near = of.offset - i64::from(reach)..of.offset;
        counts(of.order.kind)
            && placed.iter().any(|other| {
                near.contains(&other.offset)
                    && other.order.id == of.order.id
                    && counts(other.order.kind)
            })
    }

    fn fate(&self, placed: &[&Placed], of: &Placed) -> Fate {
        if self.is_duplicate(placed, of) {
            return Fate::Duplicate;
        }
        match of.order.kind {
            Kind::Poison | Kind::Invalid => Fate::Dead { attempt: 1 },
            Kind::Flaky(failures) if failures > self.plan.retries_max => {
                Fate::Dead { attempt: self.plan.retries_max + 1 }
            }
            Kind::Flaky(failures) => Fate::Counted { attempt: failures + 1 },
            Kind::Early(_) if of.order.fails_once() => Fate::Counted { attempt: 2 },
            Kind::Fine | Kind::Early(_) => Fate::Counted { attempt: 1 },
        }
    }

    const fn holds_followers(&self) -> bool {
        matches!(self.plan.order, KeyOrdering::Key { on_dead_letter: OnDeadLetter::Hold, .. })
    }

    /// Whether the retry topic would refuse a record for its size.
    pub(crate) fn may_be_refused(&self, of: &Placed) -> bool {
        self.plan.has_narrow_retry && of.order.value().len() > SMALL_BYTES_MAX
    }

    /// Each attempt is told once, in order, and the last one is what the record is to come to.
    fn look_at_fates(&self, placed: &[&Placed], outcomes: &[Told]) -> Result<(), String> {
        for of in placed {
            let told: Vec<(u32, Outcome)> = outcomes
                .iter()
                .filter(|outcome| outcome.origin_offset == of.offset)
                .map(|outcome| (outcome.attempt, outcome.outcome))
                .collect();
            let is_counted = told.last().is_some_and(|(_, last)| *last == Outcome::Succeeded);
            let key = format!("{}/{}/{}", MAIN, of.partition, of.offset);
            if is_counted && !self.plan.latency.is_zero() && !has_worked(&key) {
                return Err(format!("{of:?} was counted, and its handler never ended"));
            }
            let (last, attempt) = match self.fate(placed, of) {
                Fate::Counted { attempt } => (Outcome::Succeeded, attempt),
                Fate::Dead { attempt } => (Outcome::DeadLettered, attempt),
                Fate::Duplicate => (Outcome::Duplicate, 1),
            };
            let mut wanted: Vec<_> =
                (1..).zip(vec![Outcome::Retried; attempt as usize - 1]).collect();
            wanted.push((attempt, last));
            let is_given_up = told.last().is_some_and(|(_, last)| *last == Outcome::DeadLettered);
            let may_follow = self.holds_followers() && of.key.is_some();
            let is_refused = self.may_be_refused(of) && told.len() == 1;
            let is_given_up_early = is_given_up && (may_follow || is_refused);
            if told != wanted && !is_given_up_early {
                return Err(format!("{of:?} came to {told:?}, not to {wanted:?}"));
            }
        }
        Ok(())
    }

    /// A dead letter keeps key and value, and was given up for a reason that holds.
    fn look_at_dead_letters(&self, partition: i32, placed: &[&Placed]) -> Result<(), String> {
        for (_, record) in self.committed(Topic::DeadLetter, partition) {
            let lineage = lineage(&record)?;
            let origin = lineage.origin.offset;
            let of = placed.iter().find(|placed| placed.offset == origin);
            let of = of.ok_or("a dead letter that nobody ordered")?;
            let keeps_key = record.key.as_deref() == of.key.as_deref().map(str::as_bytes);
            if !keeps_key || record.value.as_deref() != Some(&*of.order.value()) {
                return Err(format!("the dead letter of {of:?} is {record:?}"));
            }
            if lineage.origin.partition != partition || lineage.origin.topic != MAIN {
                return Err(format!("the dead letter of {of:?} comes from {:?}", lineage.origin));
            }
            let is_right = match record.header(FAILURE_REASON) {
                Some(b"predecessor-dead") => self.holds_followers(), // whom it follows: see there
                Some(b"too-large-to-retry") => self.may_be_refused(of),
                _ => self.fate(placed, of) == Fate::Dead { attempt: lineage.attempt },
            };
            if !is_right {
                return Err(format!("{of:?} is dead: {:?}", lineage.attempt));
            }
        }
        Ok(())
    }

    /// The ends of a key's records are told in the order in which they were put there. One that
    /// the retry topic refuses cannot wait for those before it, nor can those that go with it.
    fn look_at_order(
        &self,
        partition: i32,
        placed: &[&Placed],
        outcomes: &[Told],
    ) -> Result<(), String> {
        let mut last: BTreeMap<&str, i64> = BTreeMap::new();
        let ends = [Outcome::Succeeded, Outcome::DeadLettered];
        let early = self.followers_of_refused(partition, placed)?;
        for outcome in outcomes.iter().filter(|outcome| ends.contains(&outcome.outcome)) {
            let origin = outcome.origin_offset;
            let of = placed.iter().find(|placed| placed.offset == origin);
            let of = of.filter(|of| !self.may_be_refused(of) && !early.contains(&of.offset));
            let Some(key) = of.and_then(|placed| placed.key.as_deref()) else { continue };
            let before = last.insert(key, origin).unwrap_or(-1);
            if before >= origin {
                return Err(format!(
                    "of key {key} in partition {partition}, {origin} ends after {before}"
                ));
            }
        }
        Ok(())
    }
}
