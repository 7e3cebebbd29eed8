//! Offsets of many partitions at one go, and all that a group has committed.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::ptr;
use std::slice;
use std::time::{Duration, Instant};

use rdkafka::bindings as sys;
use rdkafka::client::Client;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::{ClientContext, TopicPartitionList};

use super::request::{Answer, Owned, no_answer, refusal};
use super::{NativeError, bytes};

/// What is told of one partition: an offset, or why there is none.
pub(crate) type Told = Result<i64, RDKafkaErrorCode>;

/// Whose end is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Isolation {
    /// That of readers of all records.
    Uncommitted,
    /// That of readers of committed records.
    Committed,
}

/// One offset that a group has committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommittedOffset {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) metadata: Vec<u8>,
}

type Options = Owned<sys::rd_kafka_AdminOptions_t>;

fn options<C: ClientContext>(
    client: &Client<C>,
    kind: sys::rd_kafka_admin_op_t,
    limit: Duration,
) -> Options {
    // SAFETY: the client is live; the options are owned by the value that frees them.
    unsafe {
        let made = sys::rd_kafka_AdminOptions_new(client.native_ptr(), kind);
        let options = Owned::new(made, sys::rd_kafka_AdminOptions_destroy);
        let no_text = ptr::null_mut();
        sys::rd_kafka_AdminOptions_set_request_timeout(options.as_ptr(), in_ms(limit), no_text, 0);
        options
    }
}

fn in_ms(limit: Duration) -> i32 {
    i32::try_from(limit.as_millis()).unwrap_or(i32::MAX)
}

/// Asks for the offset that each element of `list` stands for: its beginning or its end. Blocks for at
/// most `limit`.
///
/// # Errors
///
/// Fails without an answer in time.
pub(crate) fn list_offsets<C: ClientContext>(
    client: &Client<C>,
    list: &TopicPartitionList,
    isolation: Isolation,
    limit: Duration,
) -> Result<HashMap<(String, i32), Told>, NativeError> {
    use sys::rd_kafka_IsolationLevel_t as Level;
    let kind = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTOFFSETS;
    let options = options(client, kind, limit);
    let rk = client.native_ptr();
    // SAFETY: client, list and options are live for the call, which copies what it keeps; queue and
    // event are owned by values that free them.
    let event = unsafe {
        let level = match isolation {
            Isolation::Uncommitted => Level::RD_KAFKA_ISOLATION_LEVEL_READ_UNCOMMITTED,
            Isolation::Committed => Level::RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED,
        };
        let set = sys::rd_kafka_AdminOptions_set_isolation_level(options.as_ptr(), level);
        if let Some(error) = NativeError::take(set) {
            return Err(error);
        }
        let queue = Owned::new(sys::rd_kafka_queue_new(rk), sys::rd_kafka_queue_destroy);
        sys::rd_kafka_ListOffsets(rk, list.ptr(), options.as_ptr(), queue.as_ptr());
        sys::rd_kafka_queue_poll(queue.as_ptr(), in_ms(limit))
    };
    if event.is_null() {
        return Err(no_answer());
    }
    let event: Answer = Owned::new(event, sys::rd_kafka_event_destroy);
    // SAFETY: the event is live; everything read here points into it and is copied.
    unsafe {
        refusal(&event)?;
        let result = sys::rd_kafka_event_ListOffsets_result(event.as_ptr());
        if result.is_null() {
            return Err(no_answer());
        }
        let mut count = 0;
        let infos = sys::rd_kafka_ListOffsets_result_infos(result, &mut count);
        let infos = if count == 0 { &[] } else { slice::from_raw_parts(infos, count) };
        let told = infos.iter().map(|info| {
            let place = &*sys::rd_kafka_ListOffsetsResultInfo_topic_partition(*info);
            let told = if is_error(place.err) { Err(place.err.into()) } else { Ok(place.offset) };
            ((text(place.topic), place.partition), told)
        });
        Ok(told.collect())
    }
}

/// Asks for all that each of the groups has committed, of any topic; what is undecided is not told.
/// Blocks for at most `limit`, for all of them.
pub(crate) fn group_offsets<C: ClientContext>(
    client: &Client<C>,
    groups: &[&str],
    limit: Duration,
) -> HashMap<String, Result<Vec<CommittedOffset>, NativeError>> {
    let kind = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS;
    let options = options(client, kind, limit);
    let give_up_at = Instant::now() + limit;
    let rk = client.native_ptr();
    let mut answers: HashMap<_, _> =
        groups.iter().map(|group| ((*group).to_owned(), Err(no_answer()))).collect();
    // SAFETY: client and options are live for the calls, which copy what they keep; queue, request and
    // events are owned by values that free them. A null list stands for all partitions.
    unsafe {
        let queue = Owned::new(sys::rd_kafka_queue_new(rk), sys::rd_kafka_queue_destroy);
        for group in groups {
            let Ok(name) = CString::new(*group) else { continue };
            let made = sys::rd_kafka_ListConsumerGroupOffsets_new(name.as_ptr(), ptr::null());
            let request = Owned::new(made, sys::rd_kafka_ListConsumerGroupOffsets_destroy);
            let mut requests = [request.as_ptr()];
            sys::rd_kafka_ListConsumerGroupOffsets(
                rk,
                requests.as_mut_ptr(),
                requests.len(),
                options.as_ptr(),
                queue.as_ptr(),
            );
        }
        for _ in groups {
            let left = give_up_at.saturating_duration_since(Instant::now());
            let event = sys::rd_kafka_queue_poll(queue.as_ptr(), in_ms(left));
            if event.is_null() {
                break;
            }
            let event: Answer = Owned::new(event, sys::rd_kafka_event_destroy);
            match read_group(&event) {
                Ok((group, answer)) => drop(answers.insert(group, answer)),
                // A whole answer does not say whom it is about: with one group that is known.
                Err(error) => {
                    let open = answers.values_mut().find(|answer| **answer == Err(no_answer()));
                    open.into_iter().for_each(|answer| *answer = Err(error.clone()));
                }
            }
        }
    }
    answers
}

type OfGroup = (String, Result<Vec<CommittedOffset>, NativeError>);

/// # Safety
///
/// The event is live.
unsafe fn read_group(event: &Answer) -> Result<OfGroup, NativeError> {
    // SAFETY: as promised by the caller; everything read here points into the event and is copied. A
    // null error object reads as "no error".
    unsafe {
        refusal(event)?;
        let result = sys::rd_kafka_event_ListConsumerGroupOffsets_result(event.as_ptr());
        if result.is_null() {
            return Err(no_answer());
        }
        let mut count = 0;
        let groups = sys::rd_kafka_ListConsumerGroupOffsets_result_groups(result, &mut count);
        if count == 0 {
            return Err(no_answer());
        }
        let group = *groups;
        let name = text(sys::rd_kafka_group_result_name(group));
        let error = sys::rd_kafka_group_result_error(group);
        let code = sys::rd_kafka_error_code(error);
        if is_error(code) {
            let text = text(sys::rd_kafka_error_string(error));
            return Ok((name, Err(NativeError { code: code.into(), text, ..no_answer() })));
        }
        let list = sys::rd_kafka_group_result_partitions(group);
        let count = if list.is_null() { 0 } else { usize::try_from((*list).cnt).unwrap_or(0) };
        let places = if count == 0 { &[] } else { slice::from_raw_parts((*list).elems, count) };
        let mut offsets = Vec::with_capacity(count);
        for place in places {
            if is_error(place.err) {
                let code: RDKafkaErrorCode = place.err.into();
                let error = NativeError { code, text: code.to_string(), ..no_answer() };
                return Ok((name, Err(error)));
            }
            // What stands for "nothing was committed" is negative.
            if place.offset >= 0 {
                offsets.push(CommittedOffset {
                    topic: text(place.topic),
                    partition: place.partition,
                    offset: place.offset,
                    metadata: bytes(place.metadata, place.metadata_size)
                        .unwrap_or_default()
                        .to_vec(),
                });
            }
        }
        Ok((name, Ok(offsets)))
    }
}

pub(super) fn is_error(code: sys::rd_kafka_resp_err_t) -> bool {
    code != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
}

/// # Safety
///
/// `name` is null or a string that ends with a zero byte.
pub(super) unsafe fn text(name: *const std::os::raw::c_char) -> String {
    if name.is_null() {
        return String::new();
    }
    // SAFETY: as promised by the caller.
    unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned()
}
