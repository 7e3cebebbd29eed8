//! Sends offsets, in requests that brokers take, from a thread of its own: the call may never return.
//!
//! librdkafka looks for the group's coordinator first and does not keep the call's limit there. A
//! coordinator that dies and is forgotten with the next metadata leaves the call waiting for a
//! change in some broker's connection, which a quiet cluster does not make (librdkafka issues
//! 5456 and 5511; seen on three brokers, one of them killed). What is stuck is left behind with its
//! producer, which ends both when the call returns, at the latest when a broker closes an idle
//! connection; its transaction is given up by the coordinator or by the next writer.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::BaseProducer;

use super::{COORDINATOR_MAX, Writer, WriterContext};
use crate::access::unreadable;
use crate::member::{Member, OffsetCommit, offset_list};
use crate::native::{self, GroupMetadata, NativeError};
use crate::permission::Needs;
use crate::write_error::{WriteError, sort, sort_native};

/// A request with offsets carries about 1 MB of metadata at most; split well below it.
const OFFSETS_REQUEST_BYTES_MAX: usize = 512 * 1024;

/// Answers come within the limit that librdkafka is given, unless the call is stuck: this much
/// later it is taken for that.
const OVERDUE: Duration = Duration::from_millis(500);

/// Offsets on their way into the open transaction.
struct Ask {
    member: GroupMetadata,
    offsets: TopicPartitionList,
    limit: Duration,
}

/// The thread of one producer.
pub(super) struct OffsetsThread {
    asks: Option<SyncSender<Ask>>,
    answers: Receiver<Result<(), NativeError>>,
    thread: Option<JoinHandle<()>>,
}

impl OffsetsThread {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// Fails when the system has no room for a thread.
    pub(super) fn start(producer: Arc<BaseProducer<WriterContext>>) -> io::Result<Self> {
        let (asks, asked) = sync_channel::<Ask>(1);
        let (answer, answers) = sync_channel(1);
        let work = move || {
            for Ask { member, offsets, limit } in asked {
                let result = native::send_offsets(&producer, &member, &offsets, limit);
                if answer.send(result).is_err() {
                    break; // left behind
                }
            }
        };
        let thread = std::thread::Builder::new().name("offsets".to_owned()).spawn(work)?;
        Ok(Self { asks: Some(asks), answers, thread: Some(thread) })
    }

    /// Sends offsets; `None` when the call is stuck, after which the producer can do nothing more.
    pub(super) fn send(
        &mut self,
        member: GroupMetadata,
        offsets: TopicPartitionList,
        limit: Duration,
    ) -> Option<Result<(), NativeError>> {
        let is_asked = self.asks.as_ref()?.send(Ask { member, offsets, limit }).is_ok();
        if is_asked && let Ok(answer) = self.answers.recv_timeout(limit + OVERDUE) {
            return Some(answer);
        }
        self.asks = None;
        self.thread = None;
        None
    }
}

impl Drop for OffsetsThread {
    fn drop(&mut self) {
        self.asks = None;
        if let Some(thread) = self.thread.take() {
            // It waits for offsets, of which there are no more.
            let _panicked = thread.join().is_err();
        }
    }
}

/// Splits offsets into requests that stay below the size that brokers take.
pub(super) fn chunks(offsets: &[OffsetCommit]) -> impl Iterator<Item = &[OffsetCommit]> {
    let mut rest = offsets;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = rest.iter().take_while(|commit| {
            bytes += commit.metadata.len() + commit.topic.len() + 24;
            bytes <= OFFSETS_REQUEST_BYTES_MAX
        });
        let count = fits.count().max(1).min(rest.len());
        let (chunk, left) = rest.split_at(count);
        rest = left;
        (!chunk.is_empty()).then_some(chunk)
    })
}

impl Writer {
    /// Adds the offsets of a turn to its transaction, as the member that owns their partitions.
    pub(super) fn send_offsets(
        &mut self,
        member: &Member,
        offsets: &[OffsetCommit],
    ) -> Result<(), WriteError> {
        let stale = |generation| {
            let text = format!("the member is not in its group (generation {generation})");
            WriteError::StaleMember(text)
        };
        let thread = self.offsets.as_mut();
        let needs = Needs::transactional_id(&self.transactional_id)
            .and(Needs::group("Read", member.group()));
        let list = offset_list(offsets).map_err(|error| sort(&error, needs))?;
        let metadata = GroupMetadata::of_joined(member.consumer()).map_err(stale)?;
        let sent = thread.and_then(|thread| thread.send(metadata, list, COORDINATOR_MAX));
        let error = match sent {
            Some(Ok(())) => return Ok(()),
            Some(Err(error)) => error,
            None => {
                let text =
                    "the group's coordinator is unavailable: no answer to the offsets in time";
                return Err(WriteError::Unknown(text.to_owned()));
            }
        };
        let sorted = sort_native(&error, needs);
        match error.code {
            // It names partitions, and not what is missing.
            RDKafkaErrorCode::TopicAuthorizationFailed => {
                let topics = offsets.iter().map(|commit| commit.topic.as_str());
                let missing = unreadable(member.consumer().client(), topics);
                Err(missing.map_or(sorted, WriteError::Denied))
            }
            _ => Err(sorted),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use pipeline::record::CommitPosition;
    use rdkafka::ClientConfig;
    use rdkafka::mocking::{MockCluster, MockCoordinator};
    use rdkafka::producer::Producer as _;

    use super::*;
    use crate::member::{Member, offset_list};

    const LIMIT: Duration = Duration::from_millis(300);

    fn offsets(next: i64) -> TopicPartitionList {
        let commit = OffsetCommit {
            topic: "orders".into(),
            partition: 0,
            position: CommitPosition(next),
            metadata: String::new(),
        };
        offset_list(&[commit]).expect("a valid offset")
    }

    fn joined(member: &Member) -> GroupMetadata {
        let give_up_at = Instant::now() + Duration::from_secs(30);
        loop {
            member.serve();
            if let Ok(metadata) = GroupMetadata::of_joined(member.consumer()) {
                return metadata;
            }
            assert!(Instant::now() < give_up_at, "the member did not join in time");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn a_call_that_does_not_return_is_left_behind_in_time() {
        let cluster = MockCluster::new(2).expect("a mock cluster");
        cluster.create_topic("orders", 1, 1).expect("a topic");
        let place = |coordinator, broker| cluster.coordinator(coordinator, broker).expect("moved");
        place(MockCoordinator::Transaction("t".into()), 1);
        place(MockCoordinator::Group("g".into()), 2);
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", cluster.bootstrap_servers());
        let member = Member::join(&config, "g", None, "orders").expect("good settings");
        let metadata = joined(&member);
        config.set("transactional.id", "t");
        let producer = config.create_with_context(WriterContext::default()).expect("good settings");
        let producer: Arc<BaseProducer<WriterContext>> = Arc::new(producer);
        producer.init_transactions(Duration::from_secs(10)).expect("a writer");
        let mut thread = OffsetsThread::start(Arc::clone(&producer)).expect("a thread");
        producer.begin_transaction().expect("a transaction");
        let sent = thread.send(joined(&member), offsets(1), Duration::from_secs(10));
        assert_eq!(sent, Some(Ok(())));

        cluster.broker_down(2).expect("a broker less");
        let started = Instant::now();
        assert_eq!(thread.send(metadata, offsets(2), LIMIT), None, "librdkafka keeps its limit");
        let took = started.elapsed();
        assert!(took >= LIMIT && took < LIMIT + 4 * OVERDUE, "{took:?}");
        drop(thread);
        assert!(Arc::strong_count(&producer) > 1, "the call has returned");
        assert!(started.elapsed() < took + OVERDUE, "the end waited for the call");
    }

    #[test]
    fn offsets_are_split_by_the_size_of_their_metadata() {
        let offset = |n: i32, len: usize| OffsetCommit {
            topic: "orders".into(),
            partition: n,
            position: CommitPosition(1),
            metadata: "m".repeat(len),
        };
        let offsets: Vec<_> = (0..300).map(|n| offset(n, 4096)).collect();
        let sizes: Vec<_> = chunks(&offsets).map(<[_]>::len).collect();
        assert_eq!(sizes.iter().sum::<usize>(), 300);
        assert!(sizes.iter().all(|size| size * 4096 <= OFFSETS_REQUEST_BYTES_MAX), "{sizes:?}");
        assert!(sizes.len() <= 4, "{sizes:?}");
        let huge = [offset(0, OFFSETS_REQUEST_BYTES_MAX + 1), offset(1, 1)];
        assert_eq!(chunks(&huge).map(<[_]>::len).collect::<Vec<_>>(), [1, 1]);
        assert_eq!(chunks(&[]).count(), 0);
    }
}
