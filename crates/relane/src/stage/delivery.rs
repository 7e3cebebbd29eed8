//! A record for its handler, and the handler's work.

use std::pin::Pin;
use std::time::Duration;

use kafka_io::native::RecordHeaders;

use crate::stage::HandleError;

/// Work on one record outside of Kafka. It runs on the async runtime while its lane continues.
///
/// # Cancel safety
///
/// The lane may drop it at each `await`, and then asks [`Stage::start`](crate::stage::Stage::start) for new work on the same
/// record. A panic in it is a failure of its record.
pub type Work = Pin<Box<dyn Future<Output = Result<(), HandleError>> + Send>>;

/// Work that takes this long and does nothing: a stand-in for a slow service. Dropped, it leaves nothing behind.
#[must_use]
pub fn idle_work(time: Duration) -> Work {
    Box::pin(async move {
        crate::clock::pass(time).await;
        Ok(())
    })
}

/// A record and where it comes from, as [`Stage::start`](crate::stage::Stage::start) gets it.
#[derive(Clone, Copy)]
pub struct Delivery<'r> {
    /// The main topic from which the record was read first.
    pub topic: &'r str,
    /// Its partition there.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
    /// When it was written first, in milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
    /// When it was written to the topic that it was read from, in milliseconds since the Unix epoch: for a retry, when
    /// the attempt before this one failed.
    pub written_at_ms: i64,
    /// Number of this attempt; the first is 1.
    pub attempt: u32,
    /// How often the record was redriven from the dead-letter queue.
    pub redrives: u32,
    /// Its key.
    pub key: Option<&'r [u8]>,
    /// Its value, as it was read.
    pub value: Option<&'r [u8]>,
    /// Its headers, as they were read.
    pub headers: Option<&'r RecordHeaders>,
}

impl Delivery<'_> {
    /// `topic/partition/offset` of the record's first appearance: the same for every attempt at
    /// this record, also after retries and redrives, and unique to it.
    #[must_use]
    pub fn idempotency_key(&self) -> String {
        format!("{}/{}/{}", self.topic, self.partition, self.offset)
    }
}

impl std::fmt::Debug for Delivery<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery")
            .field("record", &self.idempotency_key())
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}
