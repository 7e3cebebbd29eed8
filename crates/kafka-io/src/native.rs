//! The one module that calls librdkafka itself. Everything unsafe in the workspace is here and in
//! its parts.
//!
//! The safe crate lacks four things that delivery depends on: header names and offset
//! metadata that are not UTF-8 (it panics on both), headers that are copied and edited byte
//! for byte, and a look at the generation of a group member before its offsets are sent; and two
//! that a clear error depends on: what is wrong with a broker's certificate ([`trust`]), and which
//! permissions a client has ([`access`]). It also lacks the questions about many partitions at one go, and
//! about all that a group has committed ([`listing`]), and groups of the newer protocol ([`groups`]).

#![expect(unsafe_code, reason = "the named FFI module")]

use std::ffi::{CStr, CString, c_void};
use std::os::raw::c_char;
use std::ptr::{self, NonNull};
use std::slice;
#[cfg(any(test, feature = "mock"))]
use std::time::Duration;

use pipeline::headers::HeaderEdit;
use rdkafka::TopicPartitionList;
use rdkafka::bindings as sys;
#[cfg(any(test, feature = "mock"))]
use rdkafka::client::Client;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::BorrowedMessage;
#[cfg(any(test, feature = "mock"))]
use rdkafka::producer::DefaultProducerContext;
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};

pub(crate) mod access;
mod group;
pub(crate) mod groups;
pub(crate) mod listing;
mod request;
pub(crate) mod settings;
pub(crate) mod trust;

pub(crate) use group::{GroupMetadata, send_offsets};
pub use group::{Membership, membership};

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

/// Headers of a record, copied byte for byte: names and values of any encoding, null values,
/// duplicates and order included.
#[derive(Debug)]
pub struct RecordHeaders(NonNull<sys::rd_kafka_headers_t>);

// SAFETY: the list is owned by this value alone and has no tie to a thread.
unsafe impl Send for RecordHeaders {}

impl RecordHeaders {
    /// An empty list.
    pub fn new() -> Self {
        // SAFETY: allocates a list that this value owns.
        let list = unsafe { sys::rd_kafka_headers_new(16) };
        Self(NonNull::new(list).expect("librdkafka allocates or aborts"))
    }

    /// Copies the headers of a fetched record; `None` if it has none.
    pub fn of(record: &BorrowedMessage<'_>) -> Option<Self> {
        let borrowed = borrowed_headers(record)?;
        // SAFETY: `borrowed` lives as long as `record`; the copy is owned by this value.
        NonNull::new(unsafe { sys::rd_kafka_headers_copy(borrowed) }).map(Self)
    }

    /// Removes and adds headers as `edit` says.
    pub fn apply(&mut self, edit: &HeaderEdit) {
        for name in &edit.remove {
            let name = header_name(name);
            // SAFETY: list and name are live; a missing name is an error code, ignored.
            unsafe { sys::rd_kafka_header_remove(self.0.as_ptr(), name.as_ptr()) };
        }
        for (name, value) in &edit.add {
            self.add(name.as_bytes(), Some(value));
        }
    }

    /// Adds one header after the others.
    pub fn add(&mut self, name: &[u8], value: Option<&[u8]>) {
        let (value_ptr, value_len) = value.map_or((ptr::null(), 0), |v| (v.as_ptr(), v.len()));
        // SAFETY: name and value are read for their given lengths and copied.
        unsafe {
            sys::rd_kafka_header_add(
                self.0.as_ptr(),
                name.as_ptr().cast::<c_char>(),
                name.len().cast_signed(),
                value_ptr.cast::<c_void>(),
                value_len.cast_signed(),
            );
        }
    }

    /// The last value of a header by name; `None` if it is absent or null.
    pub fn last(&self, name: &str) -> Option<&[u8]> {
        last_value(self.0.as_ptr(), name)
    }

    /// Every header in order, name and value as bytes.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        entries(self.0.as_ptr())
    }

    /// Bytes that the headers take in a record, names and values.
    pub fn bytes(&self) -> usize {
        self.iter().map(|(name, value)| name.len() + value.map_or(0, <[u8]>::len) + 4).sum()
    }
}

impl Default for RecordHeaders {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for RecordHeaders {
    fn clone(&self) -> Self {
        // SAFETY: the list is live; the copy is owned by the new value.
        let copy = unsafe { sys::rd_kafka_headers_copy(self.0.as_ptr()) };
        Self(NonNull::new(copy).expect("librdkafka allocates or aborts"))
    }
}

impl Drop for RecordHeaders {
    fn drop(&mut self) {
        // SAFETY: owned by this value and freed once.
        unsafe { sys::rd_kafka_headers_destroy(self.0.as_ptr()) }
    }
}

/// The last value of a fetched record's header; `None` if it is absent or null.
pub fn last_header<'a>(record: &'a BorrowedMessage<'_>, name: &str) -> Option<&'a [u8]> {
    last_value(borrowed_headers(record)?, name)
}

/// Every header of a fetched record in order, name and value as bytes, without a copy of any.
pub fn headers_of<'a>(
    record: &'a BorrowedMessage<'_>,
) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> {
    borrowed_headers(record).into_iter().flat_map(|list| entries(list))
}

fn borrowed_headers(record: &BorrowedMessage<'_>) -> Option<*mut sys::rd_kafka_headers_t> {
    let mut list = ptr::null_mut();
    // SAFETY: the record is live; the list belongs to it. Headers that cannot be parsed are
    // an error code, which reads as none.
    let error = unsafe { sys::rd_kafka_message_headers(record.ptr(), &mut list) };
    (error == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR && !list.is_null())
        .then_some(list)
}

/// The caller's lifetime must not outlive the list.
fn entries<'a>(
    list: *const sys::rd_kafka_headers_t,
) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> {
    (0..).map_while(move |index| {
        let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0_usize);
        // SAFETY: the list is live for the caller's lifetime; the out pointers point into it.
        unsafe {
            let error = sys::rd_kafka_header_get_all(list, index, &mut name, &mut value, &mut size);
            if error != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                return None;
            }
            Some((CStr::from_ptr(name).to_bytes(), bytes(value, size)))
        }
    })
}

fn last_value<'a>(list: *const sys::rd_kafka_headers_t, name: &str) -> Option<&'a [u8]> {
    let name = header_name(name);
    let (mut value, mut size) = (ptr::null(), 0_usize);
    // SAFETY: the list is live for the caller's lifetime; the value points into it.
    unsafe {
        let error = sys::rd_kafka_header_get_last(list, name.as_ptr(), &mut value, &mut size);
        if error != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return None;
        }
        bytes(value, size)
    }
}

fn header_name(name: &str) -> CString {
    CString::new(name).expect("header names of ours hold no NUL")
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

/// Has the threads of a producer look what there is to send.
pub(crate) fn wake<C: ProducerContext>(producer: &BaseProducer<C>) {
    // SAFETY: the client is live. Without time to wait, flushing does nothing but that.
    unsafe {
        sys::rd_kafka_flush(producer.client().native_ptr(), 0);
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

/// Metadata of a committed offset as bytes; empty if there is none.
pub fn metadata_bytes(list: &TopicPartitionList, index: usize) -> Vec<u8> {
    assert!(index < list.count(), "index {index} of {} partitions", list.count());
    // SAFETY: the list is live and `index` is inside it; the metadata has the given size.
    unsafe {
        let element = &*(*list.ptr()).elems.add(index);
        bytes(element.metadata, element.metadata_size).unwrap_or_default().to_vec()
    }
}
