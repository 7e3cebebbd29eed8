//! Administrative requests that the safe crate does not have: sent, and waited for.

use std::ffi::CStr;
use std::ptr::{self, NonNull};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::bindings as sys;
use rdkafka::client::Client;
use rdkafka::error::RDKafkaErrorCode;

use super::NativeError;

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

/// An answer of the brokers.
pub(super) type Answer = Owned<sys::rd_kafka_event_t>;

/// Sends a request and waits for its answer, for at most `limit`. `send` gets client, options and the
/// queue of the answer, all live for the call.
///
/// # Errors
///
/// Fails as `send` does, and without an answer in time.
pub(super) fn ask<C: ClientContext>(
    client: &Client<C>,
    kind: sys::rd_kafka_admin_op_t,
    limit: Duration,
    send: impl FnOnce(
        *mut sys::rd_kafka_t,
        *mut sys::rd_kafka_AdminOptions_t,
        *mut sys::rd_kafka_queue_t,
    ) -> Result<(), NativeError>,
) -> Result<Answer, NativeError> {
    let limit_ms = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
    let rk = client.native_ptr();
    // SAFETY: the client is live for the whole call; every object made here is owned by a value
    // that frees it, in the reverse order.
    let event = unsafe {
        let queue = Owned::new(sys::rd_kafka_queue_new(rk), sys::rd_kafka_queue_destroy);
        let options = Owned::new(
            sys::rd_kafka_AdminOptions_new(rk, kind),
            sys::rd_kafka_AdminOptions_destroy,
        );
        sys::rd_kafka_AdminOptions_set_request_timeout(
            options.as_ptr(),
            limit_ms,
            ptr::null_mut(),
            0,
        );
        send(rk, options.as_ptr(), queue.as_ptr())?;
        sys::rd_kafka_queue_poll(queue.as_ptr(), limit_ms)
    };
    if event.is_null() {
        return Err(no_answer());
    }
    let event = Owned::new(event, sys::rd_kafka_event_destroy);
    // SAFETY: the event is live.
    unsafe { refusal(&event)? };
    Ok(event)
}

/// # Errors
///
/// Fails with what a whole answer says instead of results.
///
/// # Safety
///
/// The event is live.
pub(super) unsafe fn refusal(event: &Answer) -> Result<(), NativeError> {
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

pub(super) fn no_answer() -> NativeError {
    NativeError {
        code: RDKafkaErrorCode::OperationTimedOut,
        is_fatal: false,
        requires_abort: false,
        text: "no answer in time".to_owned(),
    }
}
