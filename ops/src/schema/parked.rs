//! What waits in retry and lies in the dead letters, read with another schema.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use codec::any::AnyDecoder;
use codec::candidate::Candidate;
use codec::decode::{DecodeError, Decoder};
use codec::frame;
use codec::registry::RegistrySettings;
use codec::resolver::SchemaResolver;
use serde::Serialize;
use serde::de::IgnoredAny;
use service_kit::exit::AppError;

use super::registry::Asking;

/// Longest wait for the registry's answer about one schema.
const SCHEMA_MAX: Duration = Duration::from_millis(3500);

/// Pause between two looks whether it has come.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Most groups that are told apart; a stream of invented ids does not take all memory.
const GROUPS_MAX: usize = 10_000;

/// How a record is read with a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reading {
    /// It is read.
    Readable,
    /// Its own schema reads it, and the candidate does not.
    Unreadable,
    /// No schema reads it: it was damaged before, or its schema is not there.
    Broken,
}

/// Records of one topic and schema that are read alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Group {
    /// Topic.
    pub topic: String,
    /// Schema that they were written with; none where they have no frame.
    pub schema_id: Option<u32>,
    /// How they are read.
    pub reading: Reading,
    /// Why they are not.
    pub why: Option<String>,
    /// How many.
    pub count: u64,
    /// `PARTITION:OFFSET` of the first one.
    pub example: String,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Parked {
    /// Nothing that its own schema reads is unreadable with the candidate.
    pub ok: bool,
    /// Records that were read.
    pub checked: u64,
    /// Records that would become unreadable.
    pub unreadable: u64,
    /// By topic, schema and reading.
    pub groups: Vec<Group>,
    #[serde(skip)]
    by_kind: BTreeMap<Kind, (u64, String, Option<String>)>,
}

type Kind = (String, Option<u32>, Reading, &'static str);

/// How a record is read, the reason by which it is told apart from others, and the reason in words.
pub(super) type Judged = (Reading, &'static str, Option<String>);

impl Parked {
    /// Takes in how one record was read.
    pub(super) fn add(
        &mut self,
        (topic, partition, offset): (&str, i32, i64),
        schema_id: Option<u32>,
        (reading, reason, why): Judged,
    ) {
        self.checked += 1;
        self.unreadable += u64::from(reading == Reading::Unreadable);
        let has_room = self.by_kind.len() < GROUPS_MAX;
        let kind = (topic.to_owned(), schema_id, reading, reason);
        match self.by_kind.get_mut(&kind) {
            Some(known) => known.0 += 1,
            None if has_room => {
                self.by_kind.insert(kind, (1, format!("{partition}:{offset}"), why));
            }
            None => {}
        }
    }

    /// All records were read.
    pub(super) fn close(&mut self) {
        self.ok = self.unreadable == 0;
        let groups = std::mem::take(&mut self.by_kind).into_iter();
        self.groups = groups
            .map(|((topic, schema_id, reading, _), (count, example, why))| Group {
                topic,
                schema_id,
                reading,
                why,
                count,
                example,
            })
            .collect();
    }
}

/// What one record's readings come to: that with its own schema, and that with the candidate.
fn judge(
    own: Result<(), DecodeError>,
    candidate: impl FnOnce() -> Result<(), DecodeError>,
) -> Result<Judged, DecodeError> {
    let blamed = |reading, error| match error {
        DecodeError::Failed(failure) => {
            let reason = failure.reason.as_str();
            Ok((reading, reason, Some(format!("{reason}: {}", failure.detail))))
        }
        unresolved => Err(unresolved),
    };
    if let Err(error) = own {
        return blamed(Reading::Broken, error);
    }
    match candidate() {
        Ok(()) => Ok((Reading::Readable, "", None)),
        Err(error) => blamed(Reading::Unreadable, error),
    }
}

/// Reads records with a candidate.
pub(super) struct Trial {
    own: AnyDecoder<IgnoredAny>,
    candidate: Decoder<Candidate>,
    // Last: what asks the registry ends after what is asked.
    asking: Asking,
}

impl Trial {
    pub(super) fn new(settings: RegistrySettings, reader: &str) -> Result<Self, AppError> {
        let asking = Asking::new(settings)?;
        let resolver =
            SchemaResolver::new(asking.registry.clone(), asking.runtime.handle().clone());
        let candidate = Decoder::of_schema(resolver.clone(), reader).map_err(|why| {
            AppError::usage(format!("this pipeline cannot use it as a reader schema: {why}"))
        })?;
        Ok(Self { own: AnyDecoder::new(resolver), candidate, asking })
    }

    /// Reads one record. Blocks while the registry is asked for its schema.
    pub(super) fn read(&mut self, value: Option<&[u8]>) -> Result<(Option<u32>, Judged), AppError> {
        let mut give_up_at = None;
        loop {
            let own = self.own.decode(value).map(|IgnoredAny| ());
            match judge(own, || self.candidate.decode(value)) {
                Ok(judged) => return Ok((frame::schema_id(value), judged)),
                Err(error) => {
                    let give_up_at = *give_up_at.get_or_insert_with(|| Instant::now() + SCHEMA_MAX);
                    if Instant::now() >= give_up_at {
                        let registry = self.asking.registry.address();
                        return Err(AppError::failed(format!("{error} (registry {registry})")).hint(
                            "name another one with --schema-registry-url or SCHEMA_REGISTRY_URL",
                        ));
                    }
                    std::thread::sleep(LOOK_EVERY);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use pipeline::failure::{Failure, FailureReason};

    use super::*;

    fn failed(reason: FailureReason) -> Result<(), DecodeError> {
        let detail = "by hand".to_owned();
        Err(DecodeError::Failed(Failure { reason, schema_id: None, detail }))
    }

    #[test]
    fn only_what_its_own_schema_reads_can_become_unreadable() {
        let resolve = || failed(FailureReason::CannotResolve);
        let reading = |own, candidate| judge(own, || candidate).expect("known").0;
        assert_eq!(reading(Ok(()), Ok(())), Reading::Readable);
        assert_eq!(reading(Ok(()), resolve()), Reading::Unreadable);
        assert_eq!(reading(failed(FailureReason::BadMagic), resolve()), Reading::Broken);
        let unresolved = || Err(DecodeError::Unresolved { schema_id: 7, away: None });
        assert!(judge(unresolved(), || Ok(())).is_err(), "nothing is said of it yet");
        assert!(judge(Ok(()), unresolved).is_err(), "nothing is said of it yet");
    }

    #[test]
    fn records_are_counted_by_schema_and_the_first_one_is_named() {
        let mut parked = Parked::default();
        let why = || Some("cannot-resolve: field user".to_owned());
        parked.add(("dlq", 0, 4), Some(7), (Reading::Readable, "", None));
        parked.add(("dlq", 1, 5), Some(8), (Reading::Unreadable, "cannot-resolve", why()));
        parked.add(("dlq", 2, 6), Some(8), (Reading::Unreadable, "cannot-resolve", why()));
        parked.add(("dlq", 2, 7), None, (Reading::Broken, "bad-magic", why()));
        parked.close();
        assert_eq!((parked.ok, parked.checked, parked.unreadable), (false, 4, 2));
        let told: Vec<_> = parked.groups.iter().map(|one| (one.count, &*one.example)).collect();
        assert_eq!(told, [(1, "2:7"), (1, "0:4"), (2, "1:5")]);
        let mut none = Parked::default();
        none.close();
        assert!(none.ok, "where nothing waits nothing is lost");
    }
}
