//! Schema ids to writer schemas, shared by all lanes: asks the registry once per id, never
//! blocks, and keeps no bad answer without an age.
//!
//! | the registry said | kept | asked again |
//! |---|---|---|
//! | a schema | while there is room | never: ids do not change |
//! | a schema that cannot be used | [`ResolverLimits::unusable_ttl`] | after that |
//! | not found, for [`ResolverLimits::not_found_grace`] at least |
//! [`ResolverLimits::not_found_ttl`] | after that |
//! | not found, for less: a replica may lag | as nothing that counts | every
//! [`ResolverLimits::absent_retry`], while somebody wants it |
//! | anything else (it is unavailable) | only as the reason | after a growing delay, while somebody
//! wants it |

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pipeline::failure::{Failure, FailureReason};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};

mod known;

use known::{Known, State};

use crate::decode::DecodeError;
use crate::registry::{AwayCause, Registry, RegistryError, reason};
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
    /// How long a schema is believed to be unusable: not Avro, or not resolvable to a reader's.
    pub unusable_ttl: Duration,
    /// Wait after the first answer that does not count; doubled with each.
    pub retry_delay_min: Duration,
    /// Longest such wait.
    pub retry_delay_max: Duration,
    /// How long an outage is reported after somebody last wanted an id that it withholds.
    pub away_recall: Duration,
}

/// How long "not found" must have been said before a record becomes a dead letter for it, where
/// nothing else is set.
pub const NOT_FOUND_GRACE: Duration = Duration::from_secs(30);

impl ResolverLimits {
    /// For records that would become dead letters: "not found" is believed after
    /// [`NOT_FOUND_GRACE`]. By default it is believed at once, as somebody who waits for an
    /// answer needs it.
    pub fn for_records() -> Self {
        Self { not_found_grace: NOT_FOUND_GRACE, ..Self::default() }
    }
}

impl Default for ResolverLimits {
    fn default() -> Self {
        Self {
            ids_max: 1_000,
            fetches_max: 8,
            not_found_grace: Duration::ZERO,
            absent_retry: Duration::from_secs(1),
            not_found_ttl: Duration::from_secs(5),
            unusable_ttl: Duration::from_secs(60),
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
    /// The registry is unavailable; why. It is asked again while somebody calls.
    Away(String),
}

impl Lookup {
    /// The schema, or whose fault it is that there is none.
    pub(crate) fn into_schema(self, schema_id: u32) -> Result<Arc<WriterSchema>, DecodeError> {
        let failed = |reason, detail| {
            Err(DecodeError::Failed(Failure { reason, schema_id: Some(schema_id), detail }))
        };
        let unresolved = |away| Err(DecodeError::Unresolved { schema_id, away });
        match self {
            Self::Ready(writer) => Ok(writer),
            Self::Pending => unresolved(None),
            Self::Away(detail) => unresolved(Some(detail)),
            Self::NotFound => {
                let detail = format!("the registry has no schema with id {schema_id}");
                failed(FailureReason::SchemaNotFound, detail)
            }
            Self::Unusable(detail) => failed(FailureReason::NotAvro, detail),
        }
    }
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

    /// As [`SchemaResolver::get`], but waits for the answer, and for "not found" until it is
    /// believed: never [`Lookup::Pending`].
    ///
    /// # Cancel safety
    ///
    /// Safe: the request goes on and its answer is kept.
    pub async fn resolve(&self, id: u32) -> Lookup {
        loop {
            let since = self.generation();
            match self.get(id) {
                // An id in its grace is asked for again without an answer in between.
                Lookup::Pending => {
                    let pause = self.shared.limits.absent_retry;
                    drop(tokio::time::timeout(pause, self.changed(since)).await);
                }
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

    /// Why the registry is unavailable, if an id that somebody wants cannot be had; for readiness.
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

    /// Whether an id that could not be had was not answered since, also where nobody wants it any
    /// more: whether the registry is back is not known then.
    pub fn has_unanswered(&self) -> bool {
        let known = self.shared.known();
        known.slots.values().any(|slot| matches!(slot.state, State::Away { .. }))
    }

    /// Drops the waits after outages: the next [`SchemaResolver::get`] asks at once.
    pub fn forget_transient(&self) {
        self.shared.known().forget_delays();
    }

    /// How long a schema is believed to be unusable.
    pub(crate) fn unusable_ttl(&self) -> Duration {
        self.shared.limits.unusable_ttl
    }

    /// Asks anew for a schema that turned out to be unusable, unless that was done already.
    pub(crate) fn doubt(&self, id: u32, schema: &Arc<WriterSchema>) {
        if self.shared.source.is_none() {
            return;
        }
        let mut known = self.shared.known();
        if let Some(slot) = known.slots.get_mut(&id)
            && matches!(&slot.state, State::Ready(ready) if Arc::ptr_eq(ready, schema))
        {
            slot.state = State::Unknown;
        }
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
                let detail = format!("the request for schema {id} ended early: {error}");
                Err(RegistryError::Away { cause: AwayCause::BrokenOff, detail })
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
        let unusable = |why| State::Unusable { why, until: now + self.limits.unusable_ttl };
        slot.state = match answer {
            Ok(Ok(schema)) => State::Ready(Arc::new(schema)),
            Ok(Err(not_avro)) => unusable(not_avro.to_string()),
            Err(RegistryError::NotFound { .. }) => {
                let since = *slot.absent_since.get_or_insert(now);
                if now - since < self.limits.not_found_grace {
                    State::Absent { again_at: now + self.limits.absent_retry }
                } else {
                    State::NotFound { until: now + self.limits.not_found_ttl }
                }
            }
            Err(RegistryError::Away { cause, detail }) => {
                slot.state.after_failure(reason(cause, &detail), now, &self.limits)
            }
            // What is said of a schema that is added says nothing about one that is read.
            Err(error @ (RegistryError::Incompatible { .. } | RegistryError::Rejected { .. })) => {
                slot.state.after_failure(error.to_string(), now, &self.limits)
            }
        };
        let detail = match &slot.state {
            State::Away { detail, .. } => Some(detail.clone()),
            _ => None,
        };
        let others = known.outages(now, self.limits.away_recall, id);
        let is_told = detail.as_deref().is_some_and(|detail| others.contains(&detail));
        let is_last = others.is_empty();
        if was_away && detail.is_none() {
            // The registry is back: whoever waits for another id need not wait longer.
            known.forget_delays();
        }
        drop(known);
        match (was_away, detail) {
            (false, Some(reason)) if !is_told => {
                tracing::debug!(schema_id = id, reason, "schema registry is unavailable");
            }
            (true, None) if is_last => {
                tracing::debug!(schema_id = id, "schema registry is available again");
            }
            _ => {}
        }
        self.announce();
    }
}
