//! Headers byte for byte: of a fetched record, borrowed, and of one to be sent, owned.

use std::ffi::{CStr, CString, c_void};
use std::marker::PhantomData;
use std::os::raw::c_char;
use std::ptr::{self, NonNull};

use pipeline::headers::HeaderEdit;
use rdkafka::bindings as sys;

use super::{NativeMessage, bytes};

/// Headers of a record, copied byte for byte: names and values of any encoding, null values,
/// duplicates and order included.
#[derive(Debug)]
pub struct RecordHeaders(pub(super) NonNull<sys::rd_kafka_headers_t>);

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
    pub(crate) fn of(record: &NativeMessage) -> Option<Self> {
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
    pub fn iter(&self) -> HeaderIter<'_> {
        // SAFETY: the list is owned by this value, which is borrowed for as long.
        unsafe { HeaderIter::of(self.0.as_ptr()) }
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
pub(crate) fn last_header<'a>(record: &'a NativeMessage, name: &str) -> Option<&'a [u8]> {
    last_value(borrowed_headers(record)?, name)
}

/// Every header of a fetched record in order, name and value as bytes, without a copy of any.
pub(crate) fn headers_of(record: &NativeMessage) -> HeaderIter<'_> {
    let list = borrowed_headers(record).unwrap_or(ptr::null_mut());
    // SAFETY: the list is null, or belongs to the record, which is borrowed for as long.
    unsafe { HeaderIter::of(list) }
}

fn borrowed_headers(record: &NativeMessage) -> Option<*mut sys::rd_kafka_headers_t> {
    let mut list = ptr::null_mut();
    // SAFETY: the record is live; the list belongs to it. Headers that cannot be parsed are
    // an error code, which reads as none.
    let error = unsafe { sys::rd_kafka_message_headers(record.as_ptr(), &mut list) };
    (error == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR && !list.is_null())
        .then_some(list)
}

/// Headers in order, name and value as bytes. How many they are is known from the start.
#[derive(Debug)]
pub struct HeaderIter<'a> {
    list: *const sys::rd_kafka_headers_t,
    next: usize,
    count: usize,
    list_is_borrowed: PhantomData<&'a ()>,
}

impl HeaderIter<'_> {
    /// # Safety
    ///
    /// `list` is null or live for as long as the iterator and what it gives.
    unsafe fn of(list: *const sys::rd_kafka_headers_t) -> Self {
        // SAFETY: as promised by the caller.
        let count = if list.is_null() { 0 } else { unsafe { sys::rd_kafka_header_cnt(list) } };
        Self { list, next: 0, count, list_is_borrowed: PhantomData }
    }
}

impl<'a> Iterator for HeaderIter<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.next == self.count {
            return None;
        }
        let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0_usize);
        // SAFETY: the list is live; the out pointers point into it, and are set where there is no error.
        unsafe {
            let get = sys::rd_kafka_header_get_all;
            let error = get(self.list, self.next, &mut name, &mut value, &mut size);
            let is_there = error == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
            assert!(is_there, "header {} of {}", self.next, self.count);
            self.next += 1;
            Some((CStr::from_ptr(name).to_bytes(), bytes(value, size)))
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.count - self.next;
        (left, Some(left))
    }
}

impl ExactSizeIterator for HeaderIter<'_> {}

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
