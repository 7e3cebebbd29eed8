//! What the brokers say about topics: which they are, and what this client may do with them.

use std::ffi::{CStr, CString};
use std::os::raw::c_char;
use std::slice;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::bindings as sys;
use rdkafka::client::Client;
use rdkafka::error::RDKafkaErrorCode;

use super::NativeError;
use super::request::{Owned, ask, no_answer};

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

/// What the brokers say about a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TopicTold {
    /// What this client may do with it; `None` where the broker does not say.
    pub(crate) operations: Option<Vec<Operation>>,
    /// The id that the topic was made with; another topic of the same name has another one. `None` where
    /// the broker does not say.
    pub(crate) id: Option<String>,
}

/// A topic and what is told about it, or why nothing is.
pub(crate) type TopicAnswer = (String, Result<TopicTold, RDKafkaErrorCode>);

/// Asks about each of the topics. Makes no topic. Blocks for at most `limit`.
///
/// # Errors
///
/// Fails without an answer in time.
pub(crate) fn topics<C: ClientContext>(
    client: &Client<C>,
    names: &[&str],
    limit: Duration,
) -> Result<Vec<TopicAnswer>, NativeError> {
    let names: Vec<CString> =
        names.iter().map(|n| CString::new(*n).expect("topic names hold no NUL")).collect();
    let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
    // SAFETY: names are copied by the collection, which is freed after the call that reads it.
    let topics = unsafe {
        Owned::new(
            sys::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len()),
            sys::rd_kafka_TopicCollection_destroy,
        )
    };
    let kind = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
    let event = ask(client, kind, limit, |rk, options, queue| {
        // SAFETY: all four are live for the call, which copies what it keeps.
        unsafe {
            let wanted = sys::rd_kafka_AdminOptions_set_include_authorized_operations(options, 1);
            if let Some(error) = NativeError::take(wanted) {
                return Err(error);
            }
            sys::rd_kafka_DescribeTopics(rk, topics.as_ptr(), options, queue);
        }
        Ok(())
    })?;
    // SAFETY: the event is live; everything read here points into it and is copied.
    unsafe {
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
unsafe fn read_topic(topic: *const sys::rd_kafka_TopicDescription_t) -> TopicAnswer {
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
        let operations = (!operations.is_null() && count > 0).then(|| {
            let operations = slice::from_raw_parts(operations, count).iter();
            operations.filter_map(|operation| Operation::of(*operation)).collect()
        });
        (name, Ok(TopicTold { operations, id: read_id(topic) }))
    }
}

/// # Safety
///
/// As [`read_topic`].
unsafe fn read_id(topic: *const sys::rd_kafka_TopicDescription_t) -> Option<String> {
    // SAFETY: as promised by the caller; the text belongs to the id, which belongs to the description.
    unsafe {
        let id = sys::rd_kafka_TopicDescription_topic_id(topic);
        if id.is_null() {
            return None;
        }
        let high = sys::rd_kafka_Uuid_most_significant_bits(id);
        let low = sys::rd_kafka_Uuid_least_significant_bits(id);
        let text = sys::rd_kafka_Uuid_base64str(id);
        let is_one = (high, low) != (0, 0) && !text.is_null();
        is_one.then(|| url_safe(&CStr::from_ptr(text).to_string_lossy()))
    }
}

/// An id as Kafka's own tools write it; librdkafka uses the other alphabet of base64.
fn url_safe(id: &str) -> String {
    id.replace('+', "-").replace('/', "_")
}

#[cfg(test)]
mod tests {
    use super::url_safe;

    #[test]
    fn an_id_is_written_as_kafkas_own_tools_write_it() {
        assert_eq!(url_safe("ESP5knxZ+Fe/lgeT1eM8Dg"), "ESP5knxZ-Fe_lgeT1eM8Dg");
    }
}
