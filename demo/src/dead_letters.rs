//! What lies in the dead-letter topic, grouped by cause.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kafka_io::client_config::{KafkaSettings, Role};
use kafka_io::ends::Ends;
use kafka_io::reader::{Fetched, Polled};
use pipeline::headers;
use pipeline::record::CommitPosition;
use service_kit::exit::AppError;
use service_kit::terminal::one_line;

use crate::feed::reader;
use crate::servers::{DEAD_LETTERS, PARTITIONS, Servers};

/// Longest wait for one question about the ends.
const ASK_MAX: Duration = Duration::from_secs(5);
/// Longest time to read the topic.
const READ_MAX: Duration = Duration::from_secs(10);
/// Wait for the next record.
const POLL: Duration = Duration::from_millis(20);

/// Dead letters by class and reason.
pub(crate) type DeadLetters = BTreeMap<(String, String), Group>;

/// Dead letters of one cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    /// How many there are.
    pub(crate) count: u64,
    /// The one that lies first, by partition and offset.
    pub(crate) example: Example,
}

/// One dead letter as its headers describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Example {
    /// Partition and offset that it lies at.
    pub(crate) at: (i32, i64),
    /// Where it came from: `topic/partition@offset`.
    pub(crate) origin: String,
    /// Its key.
    pub(crate) key: String,
    /// The last failure in words.
    pub(crate) detail: String,
}

/// Reads the whole topic.
///
/// # Errors
///
/// Fails if it cannot be read to its end in time.
pub(crate) fn read(servers: &Servers) -> Result<DeadLetters, AppError> {
    let failed = |error: &dyn std::fmt::Display| AppError::failed(error.to_string());
    let settings = KafkaSettings::new("demo", &servers.bootstrap_servers(), Vec::new())
        .map_err(|error| failed(&error))?;
    let ends = Ends::new(&settings.base(Role::Consumer)).map_err(|error| failed(&error))?;
    let reader = reader(servers)?;
    let mut left = 0;
    for partition in 0..PARTITIONS {
        let (low, high) =
            ends.bounds(DEAD_LETTERS, partition, ASK_MAX).map_err(|error| failed(&error))?;
        reader.start(DEAD_LETTERS, partition, CommitPosition(low)).map_err(|e| failed(&e))?;
        left += high - low;
    }
    let give_up_at = Instant::now() + READ_MAX;
    let mut letters = DeadLetters::new();
    while left > 0 {
        if Instant::now() >= give_up_at {
            return Err(failed(&format!("{left} records of {DEAD_LETTERS} were not read")));
        }
        if let Polled::Record(record) = reader.poll(POLL) {
            add(&mut letters, &record);
            left -= 1;
        }
    }
    Ok(letters)
}

fn add(letters: &mut DeadLetters, record: &Fetched<'_>) {
    let header = |name| text(record.header(name));
    let at = (record.partition(), record.offset().0);
    let origin = [headers::ORIGIN_TOPIC, headers::ORIGIN_PARTITION, headers::ORIGIN_OFFSET];
    let [topic, partition, offset] = origin.map(header);
    let example = Example {
        at,
        origin: format!("{topic}/{partition}@{offset}"),
        key: text(record.key()),
        detail: header(headers::FAILURE_DETAIL),
    };
    let cause = (header(headers::FAILURE_CLASS), header(headers::FAILURE_REASON));
    letters
        .entry(cause)
        .and_modify(|group| {
            group.count += 1;
            if at < group.example.at {
                group.example = example.clone();
            }
        })
        .or_insert(Group { count: 1, example });
}

fn text(bytes: Option<&[u8]>) -> String {
    bytes.map_or_else(|| "-".to_owned(), |bytes| one_line(&String::from_utf8_lossy(bytes)))
}
