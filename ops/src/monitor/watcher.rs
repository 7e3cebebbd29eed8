//! Looks at the cluster on a thread of its own: brokers that do not answer hold no key up.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use kafka_io::client_config::KafkaSettings;
use kafka_io::member::AskError;
use service_kit::clock::now_ms;
use service_kit::shutdown::Shutdown;

use super::brokers::Brokers;
use super::dead::DeadLetters;
use super::picture::{self, BROKERS, Picture, Unavailable};
use crate::dlq::Record;
use crate::lag::look::{ASK, Look, Observer};
use crate::lag::report::{GroupLag, Judge};
use crate::tail::{Drained, Patience, Place, Tail};

/// Lag is judged over this time.
const WINDOW: Duration = Duration::from_secs(30);

/// Lags of a group that are kept for its trend.
const TREND_MAX: usize = 64;

/// Longest time in one look for counting dead letters.
const DEAD_SLICE: Duration = Duration::from_millis(100);

/// Wait for the first of them after the start.
const DEAD_PATIENCE: Duration = Duration::from_millis(100);

/// The longest that an end of the program waits for a question that is on its way.
const STOP_MAX: Duration = Duration::from_millis(500);

/// One wait for that.
const STOP_LOOK_EVERY: Duration = Duration::from_millis(10);

/// Looks on a thread of its own, until it is stopped.
pub(super) struct Watcher {
    latest: Arc<Mutex<Option<Arc<Picture>>>>,
    stop: Shutdown,
    thread: JoinHandle<()>,
}

impl Watcher {
    /// Starts to look, as often as `interval` says.
    pub(super) fn start(
        observer: Observer,
        kafka: &KafkaSettings,
        dead_topic: &str,
        interval: Duration,
    ) -> Result<Self, AskError> {
        let latest = Arc::new(Mutex::new(None));
        let stop = Shutdown::new();
        let refused = |error: kafka_io::KafkaError| AskError::Refused(error.to_string());
        let mut work = Work {
            observer,
            tail: Tail::new(kafka, Patience::Long).map_err(refused)?,
            judge: Judge::new(WINDOW),
            brokers: Brokers::default(),
            group_trends: BTreeMap::new(),
            picture: Picture {
                servers: kafka.bootstrap_servers().to_owned(),
                dead_topic: dead_topic.to_owned(),
                ..Picture::default()
            },
        };
        let (shared, stopped) = (Arc::clone(&latest), stop.clone());
        let thread = thread::Builder::new().name("watcher".to_owned()).spawn(move || {
            let mut next = Instant::now();
            loop {
                let is_sketch = work.look();
                let picture = Arc::new(work.picture.clone());
                *shared.lock().unwrap_or_else(PoisonError::into_inner) = Some(picture);
                // A look that took too long is not made up for.
                let pause = if is_sketch { Duration::ZERO } else { interval };
                next = (next + pause).max(Instant::now());
                if stopped.wait(next.saturating_duration_since(Instant::now())) {
                    return;
                }
            }
        });
        let thread = thread.map_err(|error| AskError::Away(error.to_string()))?;
        Ok(Self { latest, stop, thread })
    }

    /// What was found last.
    pub(super) fn latest(&self) -> Option<Arc<Picture>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether it has ended, which it does by a panic only.
    pub(super) fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Ends it; a question that is on its way is not waited for.
    pub(super) fn stop(self) {
        self.stop.request();
        let give_up_at = Instant::now() + STOP_MAX;
        while !self.thread.is_finished() && Instant::now() < give_up_at {
            thread::sleep(STOP_LOOK_EVERY);
        }
    }
}

/// What the thread works on.
struct Work {
    observer: Observer,
    tail: Tail,
    judge: Judge,
    brokers: Brokers,
    group_trends: BTreeMap<String, VecDeque<u64>>,
    picture: Picture,
}

impl Work {
    /// Looks once, and returns whether the next look has to tell the rest.
    fn look(&mut self) -> bool {
        let asked_ms = now_ms();
        match self.observer.look() {
            Ok(look) => {
                let is_sketch = look.is_sketch;
                self.take(look);
                if is_sketch {
                    return true;
                }
                let counted = self.count_dead_letters();
                let dead_topic = self.picture.dead_topic.clone();
                self.note(&dead_topic, counted, asked_ms);
                self.note(BROKERS, Ok(()), asked_ms);
            }
            Err(error) => {
                self.picture.at_ms = now_ms();
                self.note(BROKERS, Err(error), asked_ms);
            }
        }
        false
    }

    fn note(&mut self, what: &str, answer: Result<(), AskError>, at_ms: i64) {
        let answer = answer.map_err(|error| match error {
            AskError::Away(text) => text, // that it is unavailable is said already
            other => other.to_string(),
        });
        picture::note(&mut self.picture.unavailable, what, answer, at_ms);
    }

    fn take(&mut self, look: Look) {
        let Look { at_ms, layout, ends, mut groups, trouble, is_sketch } = look;
        if !is_sketch {
            self.judge.judge(&mut groups, at_ms);
        }
        self.brokers.add(&layout.brokers, at_ms);
        let picture = &mut self.picture;
        (picture.at_ms, picture.layout, picture.is_sketch) = (at_ms, layout, is_sketch);
        picture.rates.add(&ends, at_ms);
        picture.ends = ends;
        picture.brokers = self.brokers.all();
        picture.unavailable.retain(|away| !away.what.starts_with("broker "));
        let missing = picture.brokers.iter().filter_map(|broker| {
            Some(Unavailable {
                what: format!("broker {} at {}", broker.id, broker.address),
                since_ms: broker.missing_since_ms?,
                why: "the other brokers no longer list it".to_owned(),
            })
        });
        let missing: Vec<Unavailable> = missing.collect();
        picture.unavailable.extend(missing);
        match trouble {
            // What was known of the groups stays.
            Some(error) => self.note("groups", Err(error), at_ms),
            None => {
                self.note("groups", Ok(()), at_ms);
                self.take_groups(groups);
            }
        }
    }

    fn take_groups(&mut self, groups: Vec<GroupLag>) {
        self.group_trends.retain(|name, _| groups.iter().any(|group| group.group.name == *name));
        for group in &groups {
            let trend = self.group_trends.entry(group.group.name.clone()).or_default();
            trend.push_back(group.lag());
            if trend.len() > TREND_MAX {
                trend.pop_front();
            }
        }
        let picture = &mut self.picture;
        picture.group_trends = self
            .group_trends
            .iter()
            .map(|(name, of)| (name.clone(), of.iter().copied().collect()))
            .collect();
        let all = groups.iter().flat_map(|group| &group.partitions);
        picture.trends = all
            .map(|found| ((found.group.clone(), found.place()), self.judge.lags(found)))
            .collect();
        picture.groups = groups;
    }

    /// Counts what is new, and begins with what is there.
    fn count_dead_letters(&mut self) -> Result<(), AskError> {
        let topic = self.picture.dead_topic.clone();
        let ends = self.picture.ends.iter().filter(|((name, _), _)| *name == topic);
        let ends: BTreeMap<Place, i64> = ends.map(|(place, end)| (place.clone(), *end)).collect();
        // A topic that was made anew is counted anew.
        let is_anew =
            ends.iter().any(|(place, end)| self.tail.position(place).is_some_and(|at| at > *end));
        let new: Vec<Place> = ends
            .keys()
            .filter(|place| is_anew || self.tail.position(place).is_none())
            .cloned()
            .collect();
        if is_anew {
            self.picture.dead = DeadLetters::default();
        }
        let has_new = !new.is_empty();
        if has_new {
            self.tail.look_up(&[&topic], ASK);
            self.follow(&new)?;
        }
        let dead = &mut self.picture.dead;
        let patience = if has_new { DEAD_PATIENCE } else { Duration::ZERO };
        let drained = self.tail.drain(patience, DEAD_SLICE, |_, fetched| {
            let ms = fetched.timestamp().ms;
            dead.add(Record {
                partition: fetched.partition(),
                offset: fetched.offset().0,
                written_ms: (ms >= 0).then_some(ms),
                key: None,
                value: fetched.value(),
                headers: fetched.headers().collect(),
            });
        });
        let left = |(place, end): (&Place, &i64)| {
            self.tail.position(place).map_or(0, |at| u64::try_from(end - at).unwrap_or(0))
        };
        self.picture.dead.left = ends.iter().map(left).sum();
        match drained {
            Drained::All | Drained::Some => Ok(()),
            Drained::Refused(text) => Err(AskError::Refused(text)),
            Drained::CutOff => {
                let followed: Vec<Place> = self.tail.positions().keys().cloned().collect();
                self.follow(&followed)
            }
        }
    }

    /// Follows partitions from their first record, or from where they are if that lies above it.
    fn follow(&mut self, places: &[Place]) -> Result<(), AskError> {
        for (place, start) in self.observer.starts_of(places)? {
            let end = self.picture.ends.get(&place).copied().unwrap_or(i64::MAX);
            let from = self
                .tail
                .position(&place)
                .filter(|at| *at <= end)
                .map_or(start, |at| at.max(start));
            let followed = self.tail.follow(&place, from);
            followed.map_err(|error| AskError::Refused(error.to_string()))?;
        }
        Ok(())
    }
}
