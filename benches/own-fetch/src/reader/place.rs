//! A partition that is read: what is asked of it next, and when.

use std::rc::Rc;
use std::time::Instant;

use kafka_protocol::messages::FetchRequest;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};

use crate::chunk::Partition;
use crate::cluster::{NO_REPLICA, READ_COMMITTED, topic_name};

/// How long a broker waits for the first record.
const FETCH_WAIT_MS: i32 = 100;

/// Bytes of one response, for all partitions of a broker. One batch that is larger comes all the same.
const RESPONSE_BYTES: i32 = 4 << 20;

/// Bytes of one partition in a response.
const PARTITION_BYTES: i32 = 1 << 20;

/// Where a partition is read.
pub(super) struct Place {
    pub(super) partition: Rc<Partition>,
    /// Another one after each start, so that a response to an earlier request is told apart.
    pub(super) id: u64,
    /// Where it was begun.
    from: i64,
    /// The offset that is asked for next.
    pub(super) next: i64,
    pub(super) is_asked: bool,
    /// Not before this is it asked again.
    pub(super) retry_at: Option<Instant>,
    /// Its offset does not exist: whoever reads it has to begin elsewhere.
    pub(super) is_halted: bool,
    pub(super) told_end: Option<i64>,
    pub(super) bounds: Option<(i64, i64)>,
}

impl Place {
    pub(super) fn new(partition: Partition, id: u64, from: i64) -> Self {
        Self {
            partition: Rc::new(partition),
            id,
            from,
            next: from,
            is_asked: false,
            retry_at: None,
            is_halted: false,
            told_end: None,
            bounds: None,
        }
    }

    /// Whether it is to be asked now.
    pub(super) fn wants(&mut self, now: Instant) -> bool {
        self.retry_at.take_if(|at| *at <= now);
        !self.is_asked && !self.is_halted && self.retry_at.is_none()
    }

    /// Asks again for what was not handed out; what is on its way is not taken.
    pub(super) fn begin_again(&mut self, id: u64, at: Instant) {
        let next = self.partition.position.get().unwrap_or(self.from);
        (self.id, self.next, self.is_asked, self.retry_at) = (id, next, false, Some(at));
    }
}

/// The request for some partitions, by their places and the epochs of their leaders.
pub(super) fn request(places: &[Place], asked: &[(usize, i32)]) -> FetchRequest {
    let mut topics: Vec<FetchTopic> = Vec::new();
    for (index, epoch) in asked {
        let place = &places[*index];
        let one = FetchPartition::default()
            .with_partition(place.partition.partition)
            .with_current_leader_epoch(*epoch)
            .with_fetch_offset(place.next)
            .with_partition_max_bytes(PARTITION_BYTES);
        match topics.iter_mut().find(|of| **of.topic == *place.partition.topic) {
            Some(of) => of.partitions.push(one),
            None => topics.push(
                FetchTopic::default()
                    .with_topic(topic_name(&place.partition.topic))
                    .with_partitions(vec![one]),
            ),
        }
    }
    FetchRequest::default()
        .with_replica_id(NO_REPLICA)
        .with_max_wait_ms(FETCH_WAIT_MS)
        .with_min_bytes(1)
        .with_max_bytes(RESPONSE_BYTES)
        .with_isolation_level(READ_COMMITTED)
        .with_session_id(0)
        .with_session_epoch(-1) // no session
        .with_topics(topics)
}
