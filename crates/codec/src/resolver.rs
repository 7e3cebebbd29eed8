//! Schema ids to writer schemas, shared by all lanes: asks the registry once per id, never
//! blocks, and forgets nothing but outages.
//!
//! | the registry said | kept | asked again |
//! |---|---|---|
//! | a schema, or one that is not Avro | while there is room | never: ids do not change |
//! | not found, for [`ResolverLimits::not_found_grace`] at least | [`ResolverLimits::not_found_ttl`] | after that |
//! | not found, for less: a replica may lag | as nothing that counts | every [`ResolverLimits::absent_retry`], while somebody wants it |
//! | nothing that counts (it is away) | only as the reason | after a growing delay, while somebody wants it |

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};

use crate::registry::{Registry, RegistryError};
use crate::writer_schema::{NotAvro, WriterSchema};

/// Largest id that a frame can carry: registries count with signed 32-bit integers, and
/// answer a larger one with errors that look like an outage.
const SCHEMA_ID_MAX: u32 = i32::MAX.cast_unsigned();

/// Bounds of a resolver.
#[derive(Debug, Clone, Copy)]
pub struct ResolverLimits {
    /// Ids kept. Beyond it the least recently used one is dropped, those without a schema
    /// first, so that a stream of invented ids cannot push out the real ones.
    pub ids_max: usize,
    /// Requests at the same time; others wait their turn.
    pub fetches_max: usize,
    /// How long the registry must have said "not found" before it is believed.
    pub not_found_grace: Duration,
    /// Wait before an id is asked for again meanwhile.
    pub absent_retry: Duration,
    /// How long "not found" is believed.
    pub not_found_ttl: Duration,
    /// Wait after the first answer that does not count; doubled with each.
    pub retry_delay_min: Duration,
    /// Longest such wait.
    pub retry_delay_max: Duration,
    /// How long an outage is reported after somebody last wanted an id that it withholds.
    pub away_recall: Duration,
}

impl Default for ResolverLimits {
    fn default() -> Self {
        Self {
            ids_max: 1_000,
            fetches_max: 8,
            not_found_grace: Duration::ZERO,
            absent_retry: Duration::from_secs(1),
            not_found_ttl: Duration::from_secs(5),
            retry_delay_min: Duration::from_millis(100),
            retry_delay_max: Duration::from_secs(5),
            away_recall: Duration::from_secs(15),
        }
    }
}

/// What is known of a schema id.
#[derive(Debug, Clone)]
pub enum Lookup {
    /// The schema.
    Ready(Arc<WriterSchema>),
    /// Being asked for; nothing is known yet.
    Pending,
    /// The registry is well and has no such id.
    NotFound,
    /// The id is of a schema that is not Avro; why.
    Unusable(String),
    /// The registry is away; why. It is asked again while somebody calls.
    Away(String),
}

/// Knows the schemas of ids. Cheap to clone; all clones share what they know.
#[derive(Debug, Clone)]
pub struct SchemaResolver {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Where to ask, and on which runtime; `None` knows only what was inserted.
    source: Option<(Registry, Handle)>,
    limits: ResolverLimits,
    known: Mutex<Known>,
    /// Counts what became known.
    generation: watch::Sender<u64>,
    permits: Semaphore,
}

#[derive(Debug, Default)]
struct Known {
    slots: HashMap<u32, Slot>,
    /// Counts uses, to find the least recent one.
    uses: u64,
}

#[derive(Debug)]
struct Slot {
    state: State,
    is_fetching: bool,
    last_use: u64,
    asked_at: Instant,
    /// When the registry first said that it has no such id.
    absent_since: Option<Instant>,
}

#[derive(Debug)]
enum State {
    Unknown,
    /// Not found, and not for long enough to be believed.
    Absent {
        again_at: Instant,
    },
    Ready(Arc<WriterSchema>),
    Unusable(String),
    NotFound {
        until: Instant,
    },
    Away {
        detail: String,
        failure_count: u32,
        retry_at: Instant,
    },
}

impl SchemaResolver {
    /// A resolver that asks this registry from tasks on this runtime.
    pub fn new(registry: Registry, runtime: Handle) -> Self {
        Self::with_limits(registry, runtime, ResolverLimits::default())
    }

    /// As [`SchemaResolver::new`], with other limits.
    pub fn with_limits(registry: Registry, runtime: Handle, limits: ResolverLimits) -> Self {
        Self::build(Some((registry, runtime)), limits)
    }

    /// A resolver that asks nobody: ids that were not inserted are not found.
    pub fn offline() -> Self {
        Self::build(None, ResolverLimits::default())
    }

    fn build(source: Option<(Registry, Handle)>, limits: ResolverLimits) -> Self {
        let shared = Shared {
            source,
            limits,
            known: Mutex::default(),
            generation: watch::Sender::new(0),
            permits: Semaphore::new(limits.fetches_max),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Makes a schema known without asking, for instance one that was just registered.
    ///
    /// # Errors
    ///
    /// If it is not an Avro schema.
    pub fn insert(&self, id: u32, schema: &str) -> Result<(), NotAvro> {
        let schema = WriterSchema::parse(schema, &[])?;
        let mut known = self.shared.known();
        known.make_room(self.shared.limits.ids_max);
        known.set(id, State::Ready(Arc::new(schema)), Instant::now());
        drop(known);
        self.shared.announce();
        Ok(())
    }

    /// Says what is known of an id and, where something is missing, sees to it that the
    /// registry is asked. Never blocks.
    pub fn get(&self, id: u32) -> Lookup {
        if id > SCHEMA_ID_MAX {
            return Lookup::NotFound;
        }
        let now = Instant::now();
        let mut known = self.shared.known();
        if !known.slots.contains_key(&id) {
            if self.shared.source.is_none() {
                return Lookup::NotFound;
            }
            if !known.make_room(self.shared.limits.ids_max) {
                return Lookup::Pending; // every id that we keep is being asked for
            }
            known.set(id, State::Unknown, now);
        }
        let slot = known.touch(id, now);
        let (lookup, is_wanting) = slot.look(now);
        let starts = is_wanting && !slot.is_fetching;
        slot.is_fetching |= is_wanting;
        drop(known);
        if starts {
            self.start_fetch(id);
        }
        lookup
    }

    /// As [`SchemaResolver::get`], but waits for the answer: never [`Lookup::Pending`].
    ///
    /// # Cancel safety
    ///
    /// Safe: the request goes on and its answer is kept.
    pub async fn resolve(&self, id: u32) -> Lookup {
        loop {
            let since = self.generation();
            match self.get(id) {
                Lookup::Pending => drop(self.changed(since).await),
                lookup => return lookup,
            }
        }
    }

    /// Number that changes whenever an answer came in; cheap to compare.
    pub fn generation(&self) -> u64 {
        *self.shared.generation.borrow()
    }

    /// Waits until [`SchemaResolver::generation`] is not `since` and returns it.
    ///
    /// # Cancel safety
    ///
    /// Safe: nothing is consumed.
    pub async fn changed(&self, since: u64) -> u64 {
        let mut generation = self.shared.generation.subscribe();
        // The sender lives in `self`, so that waiting cannot fail.
        generation.wait_for(|now| *now != since).await.map_or(since, |now| *now)
    }

    /// Why the registry is away, if an id that somebody wants cannot be had; for readiness.
    pub fn is_away(&self) -> Option<String> {
        let now = Instant::now();
        let recall = self.shared.limits.away_recall;
        let known = self.shared.known();
        let wanted = known.slots.values().filter(|slot| now - slot.asked_at < recall);
        wanted.into_iter().find_map(|slot| match &slot.state {
            State::Away { detail, .. } => Some(detail.clone()),
            _ => None,
        })
    }

    /// Drops the waits after outages: the next [`SchemaResolver::get`] asks at once.
    pub fn forget_transient(&self) {
        self.shared.known().forget_delays();
    }

    fn start_fetch(&self, id: u32) {
        let Some((registry, runtime)) = &self.shared.source else { return };
        let (registry, shared) = (registry.clone(), Arc::clone(&self.shared));
        // Owned by the slot: `is_fetching` bounds it to one per id, the client to a few seconds.
        runtime.spawn(async move {
            let permit = shared.permits.acquire().await;
            let answer = tokio::spawn(async move { fetch(&registry, id).await }).await;
            drop(permit);
            let answer = answer.unwrap_or_else(|error| {
                let detail = format!("asking for schema {id} ended early: {error}");
                Err(RegistryError::Away { detail })
            });
            shared.learn(id, answer);
        });
    }
}

/// Asks for a schema and parses it; the inner error says that it is not Avro.
async fn fetch(
    registry: &Registry,
    id: u32,
) -> Result<Result<WriterSchema, NotAvro>, RegistryError> {
    let fetched = registry.schema_by_id(id).await?;
    if fetched.kind != "AVRO" {
        return Ok(Err(NotAvro(format!("schema {id} is of type {}", fetched.kind))));
    }
    Ok(WriterSchema::parse(&fetched.text, &fetched.references))
}

impl Shared {
    fn known(&self) -> MutexGuard<'_, Known> {
        // Nothing under this lock panics half-way through a change.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn announce(&self) {
        self.generation.send_modify(|generation| *generation += 1);
    }

    fn learn(&self, id: u32, answer: Result<Result<WriterSchema, NotAvro>, RegistryError>) {
        let now = Instant::now();
        let mut known = self.known();
        let Some(slot) = known.slots.get_mut(&id) else { return };
        slot.is_fetching = false;
        let was_away = matches!(slot.state, State::Away { .. });
        if answer.is_ok() {
            slot.absent_since = None;
        }
        slot.state = match answer {
            Ok(Ok(schema)) => State::Ready(Arc::new(schema)),
            Ok(Err(not_avro)) => State::Unusable(not_avro.to_string()),
            Err(RegistryError::NotFound { .. }) => {
                let since = *slot.absent_since.get_or_insert(now);
                if now - since < self.limits.not_found_grace {
                    State::Absent { again_at: now + self.limits.absent_retry }
                } else {
                    State::NotFound { until: now + self.limits.not_found_ttl }
                }
            }
            Err(RegistryError::Away { detail }) => {
                slot.state.after_failure(detail, now, &self.limits)
            }
            Err(error @ (RegistryError::Incompatible { .. } | RegistryError::Rejected { .. })) => {
                State::Unusable(error.to_string())
            }
        };
        let is_away = matches!(slot.state, State::Away { .. });
        if was_away && !is_away {
            // The registry is back: whoever waits for another id need not wait longer.
            known.forget_delays();
        }
        drop(known);
        match (was_away, is_away) {
            (false, true) => tracing::warn!(schema_id = id, "schema registry is away"),
            (true, false) => tracing::info!(schema_id = id, "schema registry is back"),
            _ => {}
        }
        self.announce();
    }
}

impl Known {
    fn set(&mut self, id: u32, state: State, now: Instant) {
        self.uses += 1;
        let (last_use, asked_at) = (self.uses, now);
        let slot = Slot { state, is_fetching: false, last_use, asked_at, absent_since: None };
        self.slots.insert(id, slot);
    }

    fn touch(&mut self, id: u32, now: Instant) -> &mut Slot {
        self.uses += 1;
        let slot = self.slots.get_mut(&id).expect("the caller made sure of it");
        slot.last_use = self.uses;
        slot.asked_at = now;
        slot
    }

    /// Drops an id if there is no room for another; false where none can be dropped.
    fn make_room(&mut self, ids_max: usize) -> bool {
        if self.slots.len() < ids_max {
            return true;
        }
        let droppable = self.slots.iter().filter(|(_, slot)| !slot.is_fetching);
        let victim = droppable
            .min_by_key(|(_, slot)| (matches!(slot.state, State::Ready(_)), slot.last_use));
        let victim = victim.map(|(id, _)| *id);
        victim.is_some_and(|id| self.slots.remove(&id).is_some())
    }

    fn forget_delays(&mut self) {
        let now = Instant::now();
        for slot in self.slots.values_mut() {
            if let State::Away { retry_at, failure_count, .. } = &mut slot.state {
                (*retry_at, *failure_count) = (now, 0);
            }
        }
    }
}

impl Slot {
    /// What to answer, and whether the registry should be asked.
    fn look(&self, now: Instant) -> (Lookup, bool) {
        match &self.state {
            State::Ready(schema) => (Lookup::Ready(Arc::clone(schema)), false),
            State::Unusable(why) => (Lookup::Unusable(why.clone()), false),
            State::NotFound { until } if now < *until => (Lookup::NotFound, false),
            State::NotFound { .. } | State::Unknown => (Lookup::Pending, true),
            State::Absent { again_at } => (Lookup::Pending, now >= *again_at),
            State::Away { detail, retry_at, .. } => {
                (Lookup::Away(detail.clone()), now >= *retry_at)
            }
        }
    }
}

impl State {
    fn after_failure(&self, detail: String, now: Instant, limits: &ResolverLimits) -> Self {
        let failure_count = match self {
            Self::Away { failure_count, .. } => failure_count.saturating_add(1),
            _ => 1,
        };
        let doubled = limits.retry_delay_min.saturating_mul(1 << (failure_count - 1).min(16));
        let retry_at = now + doubled.min(limits.retry_delay_max);
        Self::Away { detail, failure_count, retry_at }
    }
}
