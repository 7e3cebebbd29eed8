//! Consumer groups of both protocols, with their members and what these own.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::os::raw::c_char;
use std::slice;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::bindings as sys;
use rdkafka::client::Client;
use rdkafka::error::RDKafkaErrorCode;

use super::NativeError;
use super::listing::{is_error, text};
use super::request::{ask, no_answer};

/// A group as the brokers describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Description {
    pub(crate) name: String,
    pub(crate) state: String,
    pub(crate) members: Vec<Described>,
}

/// A member of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Described {
    pub(crate) id: String,
    pub(crate) client_id: String,
    pub(crate) host: String,
    pub(crate) owned: BTreeMap<String, Vec<i32>>,
}

/// Names of all consumer groups. Where some brokers do not answer, those that the others know. Blocks for
/// at most `limit`.
///
/// # Errors
///
/// Fails where nobody answers in time.
pub(crate) fn list<C: ClientContext>(
    client: &Client<C>,
    limit: Duration,
) -> Result<Vec<String>, NativeError> {
    let kind = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPS;
    let event = ask(client, kind, limit, |rk, options, queue| {
        // SAFETY: client, options and queue are live for the call.
        unsafe { sys::rd_kafka_ListConsumerGroups(rk, options, queue) };
        Ok(())
    })?;
    // SAFETY: everything that is read points into the live event and is copied.
    unsafe {
        let result = sys::rd_kafka_event_ListConsumerGroups_result(event.as_ptr());
        if result.is_null() {
            return Err(no_answer());
        }
        let (mut count, mut errors) = (0, 0);
        let valid = sys::rd_kafka_ListConsumerGroups_result_valid(result, &mut count);
        let valid = if count == 0 { &[] } else { slice::from_raw_parts(valid, count) };
        let failed = sys::rd_kafka_ListConsumerGroups_result_errors(result, &mut errors);
        if valid.is_empty() && errors > 0 {
            return Err(error_of(*failed));
        }
        let name = |group: &*const sys::rd_kafka_ConsumerGroupListing_t| {
            text(sys::rd_kafka_ConsumerGroupListing_group_id(*group))
        };
        Ok(valid.iter().map(name).collect())
    }
}

/// Describes groups; one that does not exist is absent. Blocks for at most `limit`.
///
/// # Errors
///
/// Fails where one of them is not described in time, or may not be.
pub(crate) fn describe<C: ClientContext>(
    client: &Client<C>,
    names: &[&str],
    limit: Duration,
) -> Result<Vec<Description>, NativeError> {
    let names: Vec<CString> = names.iter().filter_map(|name| CString::new(*name).ok()).collect();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
    let kind = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS;
    let event = ask(client, kind, limit, |rk, options, queue| {
        // SAFETY: client, names, options and queue are live for the call, which copies what it keeps.
        unsafe {
            let (first, count) = (pointers.as_mut_ptr(), pointers.len());
            sys::rd_kafka_DescribeConsumerGroups(rk, first, count, options, queue);
        }
        Ok(())
    })?;
    // SAFETY: everything that is read points into the live event and is copied.
    unsafe {
        let result = sys::rd_kafka_event_DescribeConsumerGroups_result(event.as_ptr());
        if result.is_null() {
            return Err(no_answer());
        }
        let mut count = 0;
        let groups = sys::rd_kafka_DescribeConsumerGroups_result_groups(result, &mut count);
        let groups = if count == 0 { &[] } else { slice::from_raw_parts(groups, count) };
        let mut described = Vec::with_capacity(count);
        for group in groups {
            let error = sys::rd_kafka_ConsumerGroupDescription_error(*group);
            let code: RDKafkaErrorCode = sys::rd_kafka_error_code(error).into();
            match code {
                RDKafkaErrorCode::NoError => described.push(read_group(*group)),
                RDKafkaErrorCode::GroupIdNotFound => {}
                _ => return Err(error_of(error)),
            }
        }
        Ok(described)
    }
}

/// # Safety
///
/// The error object is live.
unsafe fn error_of(error: *const sys::rd_kafka_error_t) -> NativeError {
    // SAFETY: as promised by the caller.
    unsafe {
        let code = sys::rd_kafka_error_code(error);
        debug_assert!(is_error(code));
        NativeError {
            code: code.into(),
            text: text(sys::rd_kafka_error_string(error)),
            ..no_answer()
        }
    }
}

/// # Safety
///
/// `group` is a description inside a live event.
unsafe fn read_group(group: *const sys::rd_kafka_ConsumerGroupDescription_t) -> Description {
    // SAFETY: as promised by the caller; indexes are below the count.
    unsafe {
        let state = sys::rd_kafka_ConsumerGroupDescription_state(group);
        let count = sys::rd_kafka_ConsumerGroupDescription_member_count(group);
        let member = |at| read_member(sys::rd_kafka_ConsumerGroupDescription_member(group, at));
        Description {
            name: text(sys::rd_kafka_ConsumerGroupDescription_group_id(group)),
            state: text(sys::rd_kafka_consumer_group_state_name(state)),
            members: (0..count).map(member).collect(),
        }
    }
}

/// # Safety
///
/// `member` is a description inside a live event.
unsafe fn read_member(member: *const sys::rd_kafka_MemberDescription_t) -> Described {
    // SAFETY: as promised by the caller; a list has as many elements as it says.
    unsafe {
        let assignment = sys::rd_kafka_MemberDescription_assignment(member);
        let list = if assignment.is_null() {
            std::ptr::null()
        } else {
            sys::rd_kafka_MemberAssignment_partitions(assignment)
        };
        let count = if list.is_null() { 0 } else { usize::try_from((*list).cnt).unwrap_or(0) };
        let places = if count == 0 { &[] } else { slice::from_raw_parts((*list).elems, count) };
        let mut owned: BTreeMap<String, Vec<i32>> = BTreeMap::new();
        for place in places {
            owned.entry(text(place.topic)).or_default().push(place.partition);
        }
        Described {
            id: text(sys::rd_kafka_MemberDescription_consumer_id(member)),
            client_id: text(sys::rd_kafka_MemberDescription_client_id(member)),
            host: text(sys::rd_kafka_MemberDescription_host(member)),
            owned,
        }
    }
}
