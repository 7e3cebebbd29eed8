//! Publishes events, and reads them with a worker per partition.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use kafka_io::admin::Admin;
use kafka_io::client_config::{AwayReason, BROKER_PROBE_LIMIT, KafkaSettings, Role, probe_brokers};
use kafka_io::ends::Ends;
use kafka_io::publisher::{Delivery, DeliveryObserver, Placed, Publisher};
use kafka_io::reader::{HeldRecord, Polled, Reader};
use pipeline::record::CommitPosition;
use service_kit::exit::AppError;

use super::events::{Event, Topic};
use super::verdict::Seen;
use crate::dlq::BROKER_HINT;

/// Headers that name the run of a record, and the number of its event.
const RUN: &str = "x-run";
const NUMBER: &str = "x-number";

/// Longest wait for one answer about a partition.
const ASK: Duration = Duration::from_secs(4);

/// Longest wait for the acknowledgement of what was published.
const DELIVERED_MAX: Duration = Duration::from_secs(30);

/// Longest time without a record.
const STALL_MAX: Duration = Duration::from_secs(30);

/// Wait for the next record.
const POLL: Duration = Duration::from_millis(20);

/// Records that wait for a worker; beyond it the reader waits.
const QUEUE_RECORDS_MAX: usize = 256;

/// The name that librdkafka wants of a group. None is joined, and nothing is committed.
const READER_GROUP: &str = "orders-ecommerce-reader";

/// How records are placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Placement {
    /// By their keys, as Java's producer does.
    ByKey,
    /// In turns, whatever their keys are.
    InTurns,
}

/// The three topics, and where they ended before anything was published.
pub(super) struct Exchange {
    kafka: KafkaSettings,
    names: HashMap<Topic, String>,
    starts: Vec<(Topic, i32, i64)>,
}

impl Exchange {
    /// Asks where the topics end.
    pub(super) fn open(kafka: &KafkaSettings, prefix: &str) -> Result<Self, AppError> {
        let config = kafka.base(Role::Admin);
        probe_brokers(&config, BROKER_PROBE_LIMIT).map_err(|error| match error.reason {
            AwayReason::Settings => AppError::usage(error.to_string()),
            _ => AppError::failed(error.to_string()).hint(error.hint().unwrap_or(BROKER_HINT)),
        })?;
        let names: HashMap<Topic, String> =
            Topic::ALL.map(|topic| (topic, topic.name(prefix))).into();
        let failed = |error: &dyn std::fmt::Display| AppError::failed(error.to_string());
        let admin = Admin::new(&config).map_err(|error| failed(&error))?;
        let all: Vec<&str> = names.values().map(String::as_str).collect();
        let found = admin.partitions(&all, BROKER_PROBE_LIMIT).map_err(|error| failed(&error))?;
        let ends = Ends::new(&kafka.base(Role::Consumer)).map_err(|error| failed(&error))?;
        let mut starts = Vec::new();
        for topic in Topic::ALL {
            let name = &names[&topic];
            let Some(info) = found.get(name) else {
                return Err(AppError::failed(format!("the topic {name} does not exist")).hint(
                    format!(
                        "declare it in a file and create it with 'orders topics apply \
                         {name} --execute'"
                    ),
                ));
            };
            for partition in 0..info.partitions {
                let (_, end) = ends.bounds(name, partition, ASK).map_err(|error| failed(&error))?;
                starts.push((topic, partition, end));
            }
        }
        Ok(Self { kafka: kafka.clone(), names, starts })
    }

    /// Partitions of all topics.
    pub(super) fn partitions(&self) -> Vec<(Topic, i32)> {
        self.starts.iter().map(|(topic, partition, _)| (*topic, *partition)).collect()
    }

    /// Publishes events in their order. Returns where each was written.
    pub(super) fn publish(
        &self,
        run: &str,
        events: &[Event],
        placement: Placement,
    ) -> Result<Vec<Placed>, AppError> {
        let places = Places(Mutex::new(vec![None; events.len()]));
        let failed = |error: &dyn std::fmt::Display| AppError::failed(error.to_string());
        let publisher =
            Publisher::new(&self.kafka, DELIVERED_MAX, places).map_err(|error| failed(&error))?;
        let mut turns: HashMap<Topic, i32> = HashMap::new();
        for (sequence, event) in events.iter().enumerate() {
            let of_topic = self.starts.iter().filter(|(topic, ..)| *topic == event.topic);
            let count = i32::try_from(of_topic.count()).unwrap_or(i32::MAX);
            let turn = turns.entry(event.topic).or_insert(-1);
            *turn = (*turn + 1) % count.max(1);
            let partition = (placement == Placement::InTurns).then_some(*turn);
            let value = serde_json::to_vec(event).map_err(|error| failed(&error))?;
            let number = event.number.to_string();
            let headers = [(RUN, run.as_bytes()), (NUMBER, number.as_bytes())];
            let (name, key) = (&self.names[&event.topic], Some(event.key.as_bytes()));
            publisher
                .try_publish_with(name, partition, key, Some(&value), &headers, sequence)
                .map_err(|error| failed(&error))?;
        }
        publisher.flush(DELIVERED_MAX);
        let places = publisher.observer().0.lock().unwrap_or_else(PoisonError::into_inner);
        let placed = places.iter().map(|place| match place {
            Some(Ok(placed)) => Ok(*placed),
            Some(Err(why)) => Err(AppError::failed(format!("an event was not published: {why}"))),
            None => Err(AppError::failed("an event was not acknowledged in time")),
        });
        placed.collect()
    }

    /// Reads what was published: one reader hands the records of each partition to the worker of
    /// that partition.
    /// Returns what the workers have seen, worker by worker.
    pub(super) fn consume(
        &self,
        run: &str,
        events: &[Event],
        placed: &[Placed],
    ) -> Result<Vec<Seen>, AppError> {
        let mut last: HashMap<(Topic, i32), i64> = HashMap::new();
        for (event, place) in events.iter().zip(placed) {
            let last = last.entry((event.topic, place.partition)).or_insert(place.offset);
            *last = place.offset.max(*last);
        }
        thread::scope(|scope| {
            let mut queues = HashMap::new();
            let mut workers = Vec::new();
            for (topic, partition, _) in &self.starts {
                let (queue, records) = sync_channel(QUEUE_RECORDS_MAX);
                queues.insert((*topic, *partition), queue);
                workers.push(scope.spawn(|| work(run, *topic, records)));
            }
            let read = self.read(&last, &queues);
            drop(queues); // workers end when nothing more can come
            let seen = workers
                .into_iter()
                .flat_map(|worker| worker.join().expect("a worker only looks at records"));
            let seen: Vec<Seen> = seen.collect();
            read.map(|()| seen)
        })
    }

    fn read(
        &self,
        last: &HashMap<(Topic, i32), i64>,
        queues: &HashMap<(Topic, i32), SyncSender<HeldRecord>>,
    ) -> Result<(), AppError> {
        let failed = |error: &dyn std::fmt::Display| AppError::failed(error.to_string());
        let reader = Reader::new(&self.kafka.base(Role::Consumer), READER_GROUP)
            .map_err(|error| failed(&error))?;
        let names: Vec<&str> = self.names.values().map(String::as_str).collect();
        reader.look_up(&names, ASK);
        let mut left = last.clone();
        for (topic, partition, start) in &self.starts {
            if left.contains_key(&(*topic, *partition)) {
                reader
                    .start(&self.names[topic], *partition, CommitPosition(*start))
                    .map_err(|error| failed(&error))?;
            }
        }
        let mut give_up_at = Instant::now() + STALL_MAX;
        while !left.is_empty() {
            match reader.poll(POLL) {
                Polled::Record(record) => {
                    give_up_at = Instant::now() + STALL_MAX;
                    let name = record.topic();
                    let Some(topic) = Topic::ALL.into_iter().find(|t| self.names[t] == name) else {
                        continue;
                    };
                    let place = (topic, record.partition());
                    let Some(last) = left.get(&place) else { continue };
                    if record.offset().0 >= *last {
                        left.remove(&place);
                    }
                    if let Some(queue) = queues.get(&place) {
                        // A worker takes records until its queue is dropped.
                        let _ = queue.send(record.hold());
                    }
                }
                Polled::Denied(text) | Polled::Missing(text) => return Err(AppError::failed(text)),
                Polled::OutOfRange => {
                    return Err(AppError::failed("records were deleted before they were read")
                        .hint("run it again"));
                }
                Polled::End(_) | Polled::Nothing | Polled::Away(_) => {
                    if Instant::now() >= give_up_at {
                        let text = format!("no record arrived for {} s", STALL_MAX.as_secs());
                        return Err(AppError::failed(text)
                            .hint("is the broker running? run this command again"));
                    }
                }
            }
        }
        Ok(())
    }
}

/// The worker of one partition: looks at its records in their order.
fn work(run: &str, topic: Topic, records: Receiver<HeldRecord>) -> Vec<Seen> {
    let of_run = |record: HeldRecord| {
        let is_ours = record.header(RUN) == Some(run.as_bytes());
        let number = record.header(NUMBER).and_then(|number| std::str::from_utf8(number).ok());
        let number = number.filter(|_| is_ours)?.parse().ok()?;
        let key = record.key.as_deref().map(String::from_utf8_lossy);
        let key = key.unwrap_or_default().into_owned();
        Some(Seen { topic, partition: record.partition, key, number })
    };
    records.into_iter().filter_map(of_run).collect()
}

/// Where events were written, by their place in the list.
struct Places(Mutex<Vec<Option<Result<Placed, String>>>>);

impl DeliveryObserver for Places {
    fn delivered(&self, delivery: &Delivery<'_>) {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = places.get_mut(delivery.sequence) {
            *place = Some(delivery.outcome.clone());
        }
    }
}
