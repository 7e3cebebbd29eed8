//! A member's standing in its group, and its offsets in a transaction.

use std::ffi::CStr;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::bindings as sys;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};

use super::NativeError;

/// Where a group member stands: its generation and id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// Generation of the group, -1 outside of it.
    pub generation: i32,
    /// Member id, empty outside of the group.
    pub member_id: String,
}

impl Membership {
    /// Whether offsets may be sent in the member's name. A broker accepts offsets of
    /// generation -1 without any check, so they must never be sent.
    pub fn is_joined(&self) -> bool {
        self.generation >= 0 && !self.member_id.is_empty()
    }
}

/// What a member tells the broker of itself with its offsets, as of one moment.
pub(crate) struct GroupMetadata(*mut sys::rd_kafka_consumer_group_metadata_t);

// SAFETY: the object is a copy that is owned by this value alone and has no tie to a thread.
unsafe impl Send for GroupMetadata {}

impl GroupMetadata {
    fn of<C: ConsumerContext>(member: &BaseConsumer<C>) -> Option<Self> {
        // SAFETY: the client is live; the metadata object is owned by this value.
        let metadata =
            unsafe { sys::rd_kafka_consumer_group_metadata(member.client().native_ptr()) };
        (!metadata.is_null()).then_some(Self(metadata))
    }

    /// The metadata of a member that is in its group.
    ///
    /// # Errors
    ///
    /// Fails with the generation when it is not.
    pub(crate) fn of_joined<C: ConsumerContext>(member: &BaseConsumer<C>) -> Result<Self, i32> {
        let metadata = Self::of(member).ok_or(-1)?;
        let membership = metadata.membership();
        if membership.is_joined() { Ok(metadata) } else { Err(membership.generation) }
    }

    fn membership(&self) -> Membership {
        // SAFETY: the metadata object is live; the id is a NUL-terminated string inside it.
        unsafe {
            let id = sys::rd_kafka_consumer_group_metadata_member_id(self.0);
            Membership {
                generation: sys::rd_kafka_consumer_group_metadata_generation_id(self.0),
                member_id: CStr::from_ptr(id).to_string_lossy().into_owned(),
            }
        }
    }
}

impl Drop for GroupMetadata {
    fn drop(&mut self) {
        // SAFETY: owned by this value and freed once.
        unsafe { sys::rd_kafka_consumer_group_metadata_destroy(self.0) }
    }
}

/// Reads where a member stands in its group at this moment.
pub fn membership<C: ConsumerContext>(member: &BaseConsumer<C>) -> Membership {
    GroupMetadata::of(member)
        .map_or(Membership { generation: -1, member_id: String::new() }, |m| m.membership())
}

/// Sends offsets in the open transaction in a member's name.
///
/// librdkafka does not keep `limit` while it looks for the group's coordinator: the call may take
/// for ever.
///
/// # Errors
///
/// Fails as librdkafka says.
pub(crate) fn send_offsets<P: ProducerContext>(
    producer: &BaseProducer<P>,
    member: &GroupMetadata,
    offsets: &TopicPartitionList,
    limit: Duration,
) -> Result<(), NativeError> {
    let limit_ms = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: producer, offsets and metadata are live for the call.
    let error = unsafe {
        sys::rd_kafka_send_offsets_to_transaction(
            producer.client().native_ptr(),
            offsets.ptr(),
            member.0,
            limit_ms,
        )
    };
    NativeError::take(error).map_or(Ok(()), Err)
}
