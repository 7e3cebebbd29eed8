//! What the process needs and cannot have at this moment: what, since when, and why.
//!
//! One place knows it. The log, the metric `orders_unavailable` and `/readyz` are all derived from it,
//! so that they cannot disagree: each thing is one line when it becomes unavailable, and one
//! with the duration when it is available again, however many parts of the process notice.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::health::Reason;

/// What the metrics of programs begin with; those of a pipeline begin with its own name.
const PREFIX: &str = "orders";
/// 1 while a thing is unavailable, by thing.
const UNAVAILABLE: &str = "unavailable";
/// 1 while anything is.
const BREAKER_OPEN: &str = "breaker_open";

/// Something outside of the process that it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Thing {
    /// Label of the metric.
    pub label: &'static str,
    /// What people call it; a line may begin with it.
    pub name: &'static str,
}

impl Thing {
    /// Brokers of Kafka: every part of a process that needs them calls them so.
    pub const KAFKA: Self = Self { label: "kafka", name: "Kafka" };
}

/// The detail of a reason for narrow places: how long a thing has been unavailable and why, without what it is.
#[must_use]
pub fn in_short(detail: &str) -> &str {
    detail.split_once(BEEN).map_or(detail, |(_thing, short)| short)
}

/// Stands between a thing and how long it has been unavailable.
const BEEN: &str = " has been ";

/// A thing that is unavailable at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outage {
    /// What.
    pub thing: Thing,
    /// Since when, by the wall clock.
    pub since: SystemTime,
    /// For how long.
    pub lasts: Duration,
    /// What is known of the cause.
    pub why: String,
}

/// The place. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Unavailable(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    reporters: u64,
    outages: BTreeMap<Thing, Since>,
    /// Things that the metrics tell of, by what these begin with.
    told: BTreeMap<String, BTreeSet<Thing>>,
}

#[derive(Debug)]
struct Since {
    clock: SystemTime,
    instant: Instant,
    /// What each reporter says, by its number: condition and cause.
    said: BTreeMap<u64, (&'static str, String)>,
}

/// The place of this process.
pub fn of_process() -> &'static Unavailable {
    static PLACE: OnceLock<Unavailable> = OnceLock::new();
    PLACE.get_or_init(Unavailable::default)
}

impl Unavailable {
    /// A part of the process that notices whether a thing is there; `condition` is what `/readyz`
    /// calls it. From now on the metric reports the dependency.
    #[must_use]
    pub fn reporter(&self, thing: Thing, condition: &'static str) -> Reporter {
        self.reporter_as(PREFIX, thing, condition)
    }

    /// The same, for what has metrics that begin with something else: `PREFIX_unavailable`.
    #[must_use]
    pub fn reporter_as(&self, prefix: &str, thing: Thing, condition: &'static str) -> Reporter {
        let mut known = self.lock();
        known.reporters += 1;
        let unavailable = format!("{prefix}_{UNAVAILABLE}");
        metrics::describe_gauge!(unavailable, "1 while it is unavailable, by dependency");
        let breaker_open = format!("{prefix}_{BREAKER_OPEN}");
        metrics::describe_gauge!(breaker_open, "1 while anything is unavailable");
        known.told.entry(prefix.to_owned()).or_default().insert(thing);
        known.set_gauges(thing);
        Reporter { place: self.clone(), number: known.reporters, thing, condition }
    }

    /// Everything that is unavailable now. Cheap: nobody is asked.
    #[must_use]
    pub fn now(&self) -> Vec<Outage> {
        let known = self.lock();
        let outage = |(thing, since): (&Thing, &Since)| Outage {
            thing: *thing,
            since: since.clock,
            lasts: since.instant.elapsed(),
            why: since.said.values().next().map_or_else(String::new, |(_, why)| why.clone()),
        };
        known.outages.iter().map(outage).collect()
    }

    /// The same for `/readyz`: one reason for each condition and cause.
    #[must_use]
    pub fn reasons(&self) -> Vec<Reason> {
        let known = self.lock();
        let mut reasons = Vec::new();
        for (thing, since) in &known.outages {
            for (condition, why) in since.said.values() {
                let (condition, name) = ((*condition).to_owned(), thing.name);
                let lasts = since.instant.elapsed().as_secs();
                let detail = format!("{name}{BEEN}unavailable for {lasts} s: {why}");
                let reason = Reason { condition, detail };
                if !reasons.contains(&reason) {
                    reasons.push(reason);
                }
            }
        }
        reasons
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn set_gauges(&self, thing: Thing) {
        let of = |is_it: bool| f64::from(u8::from(is_it));
        let is_unavailable = self.outages.contains_key(&thing);
        for (prefix, things) in self.told.iter().filter(|(_, things)| things.contains(&thing)) {
            let unavailable = format!("{prefix}_{UNAVAILABLE}");
            metrics::gauge!(unavailable, "what" => thing.label).set(of(is_unavailable));
            let is_any = things.iter().any(|thing| self.outages.contains_key(thing));
            metrics::gauge!(format!("{prefix}_{BREAKER_OPEN}")).set(of(is_any));
        }
    }

    /// Removes what a reporter said; returns since when the thing was unavailable if nobody else
    /// says so.
    fn take_back(&mut self, number: u64, thing: Thing) -> Option<Instant> {
        let since = self.outages.get_mut(&thing)?;
        since.said.remove(&number)?;
        if !since.said.is_empty() {
            return None;
        }
        let since = self.outages.remove(&thing)?;
        self.set_gauges(thing);
        Some(since.instant)
    }
}

/// One that notices. Dropping it takes back what it said.
pub struct Reporter {
    place: Unavailable,
    number: u64,
    thing: Thing,
    condition: &'static str,
}

impl fmt::Debug for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reporter").field("thing", &self.thing.name).finish_non_exhaustive()
    }
}

impl Reporter {
    /// Says why the thing is unavailable, or that it is available. May be called as often as one
    /// likes: only changes are reported.
    pub fn note(&self, why: Option<String>) {
        match why {
            Some(why) => self.unavailable(why),
            None => self.available(),
        }
    }

    /// The thing is unavailable.
    pub fn unavailable(&self, why: impl Into<String>) {
        let why = why.into();
        let mut known = self.place.lock();
        let mut is_news = false;
        let since = known.outages.entry(self.thing).or_insert_with(|| {
            is_news = true;
            let (clock, instant) = (SystemTime::now(), Instant::now());
            Since { clock, instant, said: BTreeMap::new() }
        });
        let line = is_news.then(|| why.clone());
        since.said.insert(self.number, (self.condition, why));
        if let Some(why) = line {
            known.set_gauges(self.thing);
            // Under the lock, so that the line of the end cannot come before it.
            tracing::warn!(why, "{} is unavailable", self.thing.name);
        }
    }

    /// The thing is available.
    pub fn available(&self) {
        let mut known = self.place.lock();
        if let Some(since) = known.take_back(self.number, self.thing) {
            let seconds = since.elapsed().as_secs_f64();
            tracing::info!("{} is available again after {seconds:.1} s", self.thing.name);
        }
    }

    /// Nobody asks for the thing any more: whether it is available is not known.
    pub fn forget(&self) {
        let mut known = self.place.lock();
        if let Some(since) = known.take_back(self.number, self.thing) {
            let seconds = since.elapsed().as_secs_f64();
            tracing::info!(
                "{} was unavailable at the last request; nothing has needed it since, so the \
                 report ends after {seconds:.1} s",
                self.thing.name
            );
        }
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        self.place.lock().take_back(self.number, self.thing);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const KAFKA: Thing = Thing::KAFKA;
    const REGISTRY: Thing = Thing { label: "registry", name: "the schema registry" };

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// Lines that are logged meanwhile: level and text.
    fn lines_of(run: impl FnOnce()) -> Vec<String> {
        let sink = Sink::default();
        let inner = sink.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || inner.clone())
            .without_time()
            .with_target(false)
            .with_ansi(false)
            .finish();
        tracing::subscriber::with_default(subscriber, run);
        let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| line.trim().to_owned()).collect()
    }

    #[test]
    fn a_thing_is_reported_once_when_it_goes_and_once_when_it_is_back() {
        let place = Unavailable::default();
        let (one, other) = (place.reporter(KAFKA, "broker"), place.reporter(KAFKA, "kafka-read"));
        let lines = lines_of(|| {
            one.note(Some("no answer".to_owned()));
            other.note(Some("no answer either".to_owned()));
            one.note(Some("another cause".to_owned()));
            one.note(None);
            one.note(None);
            assert_eq!(place.now().len(), 1, "the other one still says so");
            other.note(None);
            other.note(None);
        });
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].starts_with("WARN Kafka is unavailable why="), "{lines:?}");
        assert!(lines[1].starts_with("INFO Kafka is available again after 0."), "{lines:?}");
        assert!(place.now().is_empty() && place.reasons().is_empty());
    }

    #[test]
    fn readiness_names_each_condition_and_a_snapshot_each_thing() {
        let place = Unavailable::default();
        let kafka = ["broker", "kafka-read"].map(|condition| place.reporter(KAFKA, condition));
        let registry = place.reporter(REGISTRY, "registry");
        kafka.iter().for_each(|reporter| reporter.unavailable("no answer"));
        registry.unavailable("connection refused");
        let conditions: Vec<_> = place.reasons().into_iter().map(|r| r.condition).collect();
        assert_eq!(conditions, ["broker", "kafka-read", "registry"]);
        let short = in_short(&place.reasons()[2].detail).to_owned();
        assert_eq!(short, "unavailable for 0 s: connection refused");
        let now = place.now();
        assert_eq!(now.iter().map(|outage| outage.thing).collect::<Vec<_>>(), [KAFKA, REGISTRY]);
        assert!(now[1].why == "connection refused" && now[1].since <= SystemTime::now());
    }

    #[test]
    fn what_nobody_asks_for_any_more_is_not_said_to_be_available() {
        let place = Unavailable::default();
        let registry = place.reporter(REGISTRY, "registry");
        let lines = lines_of(|| {
            registry.unavailable("connection refused");
            registry.forget();
        });
        assert!(lines.len() == 2 && !lines[1].contains("available again"), "{lines:?}");
        assert!(place.now().is_empty());
    }

    #[test]
    fn metrics_tell_of_a_thing_under_the_names_of_those_that_need_it() {
        let (recorder, rendered) = crate::metrics_recorder::unregistered();
        metrics::with_local_recorder(&recorder, || {
            let place = Unavailable::default();
            let clicks = place.reporter_as("clicks", KAFKA, "broker");
            let registry = place.reporter(REGISTRY, "registry");
            clicks.unavailable("no answer");
            let samples = rendered.samples();
            let of = |name, what| samples.sum(name, &[("what", what)]);
            assert_eq!(of("clicks_unavailable", "kafka"), Some(1));
            assert_eq!(of("orders_unavailable", "kafka"), None, "no program needs it");
            assert_eq!(samples.sum("clicks_breaker_open", &[]), Some(1));
            assert_eq!(samples.sum("orders_breaker_open", &[]), Some(0));
            registry.unavailable("connection refused");
            clicks.available();
            let samples = rendered.samples();
            assert_eq!(samples.sum("clicks_breaker_open", &[]), Some(0));
            assert_eq!(samples.sum("orders_breaker_open", &[]), Some(1));
        });
    }

    #[test]
    fn one_that_ends_takes_back_what_it_said() {
        let place = Unavailable::default();
        let kafka = place.reporter(KAFKA, "broker");
        kafka.unavailable("no answer");
        drop(kafka);
        assert!(place.now().is_empty());
    }
}
