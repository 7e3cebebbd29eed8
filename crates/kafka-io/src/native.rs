//! The one module that calls librdkafka itself. Everything unsafe in the workspace is here and in
//! its parts.
//!
//! The safe crate lacks four things that delivery depends on: header names and offset
//! metadata that are not UTF-8 (it panics on both), headers that are copied and edited byte
//! for byte, and a look at the generation of a group member before its offsets are sent; and two
//! that a clear error depends on: what is wrong with a broker's certificate ([`trust`]), and which
//! permissions a client has ([`access`]). It also lacks the questions about many partitions at one go, and
//! about all that a group has committed ([`listing`]), groups of the newer protocol ([`groups`]), and many records
//! with one call ([`batch`]), and which broker answers a client. And the C library returns freed memory only when it is asked
//! ([`return_freed_memory`]).

#![expect(unsafe_code, reason = "the named FFI module")]

use std::ffi::{CStr, CString, c_void};
use std::ptr;
use std::slice;
use std::time::Duration;

use rdkafka::bindings as sys;
use rdkafka::client::Client;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::RDKafkaErrorCode;
#[cfg(any(test, feature = "mock"))]
use rdkafka::producer::DefaultProducerContext;
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};
use rdkafka::{ClientContext, TopicPartitionList};

pub(crate) mod access;
mod batch;
mod group;
pub(crate) mod groups;
mod headers;
pub(crate) mod listing;
mod memory;
mod request;
pub(crate) mod settings;
pub(crate) mod trust;

pub use batch::{BatchQueue, NativeMessage};
pub(crate) use group::{GroupMetadata, send_offsets};
pub use group::{Membership, membership};
pub use headers::{HeaderIter, RecordHeaders};
pub(crate) use headers::{headers_of, last_header};
pub use memory::return_freed_memory;

/// An error as librdkafka's transaction calls give it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct NativeError {
    /// Kafka's or librdkafka's error code.
    pub code: RDKafkaErrorCode,
    /// The producer can do nothing more.
    pub is_fatal: bool,
    /// The transaction must be aborted before the next one.
    pub requires_abort: bool,
    /// librdkafka's words.
    pub text: String,
}

impl NativeError {
    /// Takes over an error object; `None` stands for success.
    fn take(error: *mut sys::rd_kafka_error_t) -> Option<Self> {
        if error.is_null() {
            return None;
        }
        // SAFETY: `error` is a live error object that this call owns and frees once.
        unsafe {
            let taken = Self {
                code: sys::rd_kafka_error_code(error).into(),
                is_fatal: sys::rd_kafka_error_is_fatal(error) != 0,
                requires_abort: sys::rd_kafka_error_txn_requires_abort(error) != 0,
                text: CStr::from_ptr(sys::rd_kafka_error_string(error)).to_string_lossy().into(),
            };
            sys::rd_kafka_error_destroy(error);
            Some(taken)
        }
    }
}

/// Sets how long the groups of a client's mock cluster wait for more members once the first has
/// joined, as `group.initial.rebalance.delay.ms` does for a broker.
#[cfg(any(test, feature = "mock"))]
pub(crate) fn set_join_wait_of_mock(client: &Client<DefaultProducerContext>, wait: Duration) {
    let wait_ms = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the client is alive, and so is the cluster, which is a part of it; null stands for
    // a client without one.
    unsafe {
        let cluster = sys::rd_kafka_handle_mock_cluster(client.native_ptr());
        if !cluster.is_null() {
            sys::rd_kafka_mock_group_initial_rebalance_delay_ms(cluster, wait_ms);
        }
    }
}

/// # Safety
///
/// `data` is null or points to `size` readable bytes that live for `'a`.
unsafe fn bytes<'a>(data: *const c_void, size: usize) -> Option<&'a [u8]> {
    // SAFETY: as promised by the caller.
    (!data.is_null()).then(|| unsafe { slice::from_raw_parts(data.cast::<u8>(), size) })
}

/// One record to produce; borrowed parts are copied by the call.
#[derive(Debug)]
pub struct Outgoing<'a> {
    /// Topic.
    pub topic: &'a CStr,
    /// Partition, never chosen by a hash.
    pub partition: i32,
    /// Key as bytes.
    pub key: Option<&'a [u8]>,
    /// Value as bytes.
    pub value: Option<&'a [u8]>,
    /// Headers, given to the record.
    pub headers: Option<RecordHeaders>,
}

/// Hands a record to the producer's queue. `tag` comes back with the delivery report.
///
/// # Errors
///
/// Fails when the queue is full, or for a fatal or transaction state of the producer.
pub fn produce<C>(
    producer: &BaseProducer<C>,
    record: Outgoing<'_>,
    tag: usize,
) -> Result<(), NativeError>
where
    C: ProducerContext<DeliveryOpaque = usize>,
{
    use sys::rd_kafka_vtype_t as vtype;
    let entry = |vtype, u| sys::rd_kafka_vu_t { vtype, u };
    let mem = |bytes: Option<&[u8]>| {
        let (data, size) = bytes.map_or((ptr::null(), 0), |b| (b.as_ptr(), b.len()));
        sys::rd_kafka_vu_s__bindgen_ty_1 {
            mem: sys::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 {
                ptr: data.cast_mut().cast::<c_void>(),
                size,
            },
        }
    };
    let headers = record.headers.map(std::mem::ManuallyDrop::new);
    let list = headers.as_ref().map_or(ptr::null_mut(), |headers| headers.0.as_ptr());
    let copy = sys::RD_KAFKA_MSG_F_COPY;
    let mut values = [
        entry(
            vtype::RD_KAFKA_VTYPE_TOPIC,
            sys::rd_kafka_vu_s__bindgen_ty_1 { cstr: record.topic.as_ptr() },
        ),
        entry(
            vtype::RD_KAFKA_VTYPE_PARTITION,
            sys::rd_kafka_vu_s__bindgen_ty_1 { i32_: record.partition },
        ),
        entry(vtype::RD_KAFKA_VTYPE_MSGFLAGS, sys::rd_kafka_vu_s__bindgen_ty_1 { i: copy }),
        entry(vtype::RD_KAFKA_VTYPE_KEY, mem(record.key)),
        entry(vtype::RD_KAFKA_VTYPE_VALUE, mem(record.value)),
        entry(
            vtype::RD_KAFKA_VTYPE_OPAQUE,
            sys::rd_kafka_vu_s__bindgen_ty_1 { ptr: tag as *mut c_void },
        ),
        entry(vtype::RD_KAFKA_VTYPE_HEADERS, sys::rd_kafka_vu_s__bindgen_ty_1 { headers: list }),
    ];
    let count = if list.is_null() { values.len() - 1 } else { values.len() };
    // SAFETY: key and value are copied by the call (F_COPY); the header list is taken over on
    // success only, and is still owned here on failure.
    let error = unsafe {
        sys::rd_kafka_produceva(producer.client().native_ptr(), values.as_mut_ptr(), count)
    };
    match NativeError::take(error) {
        None => Ok(()),
        Some(error) => {
            drop(headers.map(std::mem::ManuallyDrop::into_inner));
            Err(error)
        }
    }
}

/// Has a producer hold back the records of a topic's partitions, or send them. Those that it does not know are
/// passed over.
pub(crate) fn set_sending<C>(
    producer: &BaseProducer<C>,
    topic: &str,
    partition_count: usize,
    sends: bool,
) where
    C: ProducerContext,
{
    let last = i32::try_from(partition_count).unwrap_or(i32::MAX) - 1;
    let mut list = TopicPartitionList::with_capacity(partition_count);
    list.add_partition_range(topic, 0, last);
    let client = producer.client().native_ptr();
    // SAFETY: client and list are live; the call keeps neither.
    unsafe {
        if sends {
            sys::rd_kafka_resume_partitions(client, list.ptr());
        } else {
            sys::rd_kafka_pause_partitions(client, list.ptr());
        }
    }
}

/// Start and end of a partition as the last fetch answer told them; no request is made.
pub fn cached_bounds<C: ConsumerContext>(
    reader: &BaseConsumer<C>,
    topic: &str,
    partition: i32,
) -> Option<(i64, i64)> {
    let topic = CString::new(topic).ok()?;
    let (mut low, mut high) = (-1, -1);
    // SAFETY: client and name are live; both out pointers are valid for the call.
    let error = unsafe {
        sys::rd_kafka_get_watermark_offsets(
            reader.client().native_ptr(),
            topic.as_ptr(),
            partition,
            &mut low,
            &mut high,
        )
    };
    let is_known = error == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
    (is_known && low >= 0 && high >= 0).then_some((low, high))
}

/// Asks any broker for nothing but the brokers, and says which one has answered: its number, or -1 where it is known by
/// its address only; none without an answer in time. The safe crate asks for one topic, which may make it, or for all.
pub(crate) fn answering_broker<C: ClientContext>(
    client: &Client<C>,
    limit: Duration,
) -> Option<i32> {
    let limit_ms = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
    let mut answer = ptr::null();
    // SAFETY: the client is live, no topic is named, and the out pointer is valid for the call. The answer is owned by
    // this call, which frees it once.
    unsafe {
        let ask = sys::rd_kafka_metadata;
        let error = ask(client.native_ptr(), 0, ptr::null_mut(), &mut answer, limit_ms);
        if error != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR || answer.is_null() {
            return None;
        }
        let number = (*answer).orig_broker_id;
        sys::rd_kafka_metadata_destroy(answer);
        Some(number)
    }
}

/// Metadata of a committed offset as bytes; empty if there is none.
pub fn metadata_bytes(list: &TopicPartitionList, index: usize) -> Vec<u8> {
    assert!(index < list.count(), "index {index} of {} partitions", list.count());
    // SAFETY: the list is live and `index` is inside it; the metadata has the given size.
    unsafe {
        let element = &*(*list.ptr()).elems.add(index);
        bytes(element.metadata, element.metadata_size).unwrap_or_default().to_vec()
    }
}
