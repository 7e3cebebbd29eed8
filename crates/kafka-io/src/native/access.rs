//! What the brokers let this client do with topics.

use std::ffi::{CStr, CString};
use std::os::raw::c_char;
use std::ptr::{self, NonNull};
use std::slice;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::bindings as sys;
use rdkafka::client::Client;
use rdkafka::error::RDKafkaErrorCode;

use super::NativeError;

/// What may be done with a topic; those that the programs need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Fetch its records, commit offsets for it.
    Read,
    /// Produce to it.
    Write,
    /// Delete its records.
    Delete,
    /// Read its settings.
    DescribeConfigs,
}

impl Operation {
    /// The name that `kafka-acls --operation` takes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "Read",
            Self::Write => "Write",
            Self::Delete => "Delete",
            Self::DescribeConfigs => "DescribeConfigs",
        }
    }

    const fn of(native: sys::rd_kafka_AclOperation_t) -> Option<Self> {
        use sys::rd_kafka_AclOperation_t as N;
        match native {
            N::RD_KAFKA_ACL_OPERATION_READ => Some(Self::Read),
            N::RD_KAFKA_ACL_OPERATION_WRITE => Some(Self::Write),
            N::RD_KAFKA_ACL_OPERATION_DELETE => Some(Self::Delete),
            N::RD_KAFKA_ACL_OPERATION_DESCRIBE_CONFIGS => Some(Self::DescribeConfigs),
            _ => None,
        }
    }
}

/// A topic and what may be done with it, or why that is not told. `None`: the broker does not say.
pub(crate) type TopicAccess = (String, Result<Option<Vec<Operation>>, RDKafkaErrorCode>);

/// Frees one of librdkafka's objects when it goes.
pub(super) struct Owned<T>(NonNull<T>, unsafe extern "C" fn(*mut T));

impl<T> Owned<T> {
    pub(super) fn new(object: *mut T, free: unsafe extern "C" fn(*mut T)) -> Self {
        Self(NonNull::new(object).expect("librdkafka allocates or aborts"), free)
    }

    pub(super) const fn as_ptr(&self) -> *mut T {
        self.0.as_ptr()
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: the object is owned by this value, and the function is the one that frees it.
        unsafe { (self.1)(self.0.as_ptr()) }
    }
}

/// Asks what this client may do with each of the topics. Makes no topic. Blocks for at most `limit`.
///
/// # Errors
///
/// Fails without an answer in time.
pub(crate) fn topic_access<C: ClientContext>(
    client: &Client<C>,
    names: &[&str],
    limit: Duration,
) -> Result<Vec<TopicAccess>, NativeError> {
    let limit_ms = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
    let names: Vec<CString> =
        names.iter().map(|n| CString::new(*n).expect("topic names hold no NUL")).collect();
    let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
    let rk = client.native_ptr();
    // SAFETY: the client is live for the whole call; every object made here is owned by a value
    // that frees it, in the reverse order; names are copied by the collection.
    let event = unsafe {
        let queue = Owned::new(sys::rd_kafka_queue_new(rk), sys::rd_kafka_queue_destroy);
        let kind = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
        let options = Owned::new(
            sys::rd_kafka_AdminOptions_new(rk, kind),
            sys::rd_kafka_AdminOptions_destroy,
        );
        let wanted =
            sys::rd_kafka_AdminOptions_set_include_authorized_operations(options.as_ptr(), 1);
        if let Some(error) = NativeError::take(wanted) {
            return Err(error);
        }
        sys::rd_kafka_AdminOptions_set_request_timeout(
            options.as_ptr(),
            limit_ms,
            ptr::null_mut(),
            0,
        );
        let topics = Owned::new(
            sys::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len()),
            sys::rd_kafka_TopicCollection_destroy,
        );
        sys::rd_kafka_DescribeTopics(rk, topics.as_ptr(), options.as_ptr(), queue.as_ptr());
        sys::rd_kafka_queue_poll(queue.as_ptr(), limit_ms)
    };
    if event.is_null() {
        return Err(no_answer());
    }
    let event = Owned::new(event, sys::rd_kafka_event_destroy);
    read_answer(&event)
}

pub(super) fn no_answer() -> NativeError {
    NativeError {
        code: RDKafkaErrorCode::OperationTimedOut,
        is_fatal: false,
        requires_abort: false,
        text: "no answer in time".to_owned(),
    }
}

/// # Errors
///
/// Fails with what a whole answer says instead of results.
///
/// # Safety
///
/// The event is live.
pub(super) unsafe fn refusal(event: &Owned<sys::rd_kafka_event_t>) -> Result<(), NativeError> {
    // SAFETY: as promised by the caller; the text points into the event and is copied.
    unsafe {
        let code = sys::rd_kafka_event_error(event.as_ptr());
        if code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Ok(());
        }
        let text = CStr::from_ptr(sys::rd_kafka_event_error_string(event.as_ptr()));
        let text = text.to_string_lossy().into_owned();
        Err(NativeError { code: code.into(), text, ..no_answer() })
    }
}

fn read_answer(event: &Owned<sys::rd_kafka_event_t>) -> Result<Vec<TopicAccess>, NativeError> {
    // SAFETY: the event is live; everything read here points into it and is copied.
    unsafe {
        refusal(event)?;
        let result = sys::rd_kafka_event_DescribeTopics_result(event.as_ptr());
        if result.is_null() {
            return Err(no_answer());
        }
        let mut count = 0;
        let topics = sys::rd_kafka_DescribeTopics_result_topics(result, &mut count);
        let topics = if count == 0 { &[] } else { slice::from_raw_parts(topics, count) };
        Ok(topics.iter().map(|topic| read_topic(*topic)).collect())
    }
}

/// # Safety
///
/// `topic` is a description inside a live event.
unsafe fn read_topic(topic: *const sys::rd_kafka_TopicDescription_t) -> TopicAccess {
    // SAFETY: as promised by the caller; a null error object reads as "no error".
    unsafe {
        let name = CStr::from_ptr(sys::rd_kafka_TopicDescription_name(topic));
        let name = name.to_string_lossy().into_owned();
        let error = sys::rd_kafka_TopicDescription_error(topic);
        let code = sys::rd_kafka_error_code(error);
        if code != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return (name, Err(code.into()));
        }
        let mut count = 0;
        let operations = sys::rd_kafka_TopicDescription_authorized_operations(topic, &mut count);
        if operations.is_null() || count == 0 {
            return (name, Ok(None));
        }
        let operations = slice::from_raw_parts(operations, count).iter();
        (name, Ok(Some(operations.filter_map(|operation| Operation::of(*operation)).collect())))
    }
}
