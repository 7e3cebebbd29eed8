//! Changes settings of a topic one by one. The safe crate can only write all of them at once, and resets
//! those that it does not name.

use std::ffi::{CStr, CString};
use std::slice;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::bindings as sys;
use rdkafka::client::Client;

use super::NativeError;
use super::request::{Owned, ask, no_answer};

/// Sets these settings of a topic, and leaves all others as they are. Blocks for at most `limit`.
///
/// # Errors
///
/// Fails as the broker says, with its words, and without an answer in time. None is changed then, but
/// where no answer came all may be.
pub(crate) fn set_topic_settings<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    settings: &[(String, String)],
    limit: Duration,
) -> Result<(), NativeError> {
    let invalid = |_| NativeError {
        code: rdkafka::error::RDKafkaErrorCode::InvalidConfig,
        text: "a name or value holds a NUL character".to_owned(),
        ..no_answer()
    };
    let name = CString::new(topic).map_err(invalid)?;
    // SAFETY: names and values are live for the calls, which copy them; the resource is freed once.
    let resource = unsafe {
        let kind = sys::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC;
        let resource = Owned::new(
            sys::rd_kafka_ConfigResource_new(kind, name.as_ptr()),
            sys::rd_kafka_ConfigResource_destroy,
        );
        for (key, value) in settings {
            let key = CString::new(key.as_str()).map_err(invalid)?;
            let value = CString::new(value.as_str()).map_err(invalid)?;
            let error = sys::rd_kafka_ConfigResource_add_incremental_config(
                resource.as_ptr(),
                key.as_ptr(),
                sys::rd_kafka_AlterConfigOpType_t::RD_KAFKA_ALTER_CONFIG_OP_TYPE_SET,
                value.as_ptr(),
            );
            if let Some(error) = NativeError::take(error) {
                return Err(error);
            }
        }
        resource
    };
    let mut resources = [resource.as_ptr()];
    let kind = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_INCREMENTALALTERCONFIGS;
    let event = ask(client, kind, limit, |rk, options, queue| {
        // SAFETY: all are live for the call, which copies the resource.
        unsafe {
            sys::rd_kafka_IncrementalAlterConfigs(rk, resources.as_mut_ptr(), 1, options, queue);
        }
        Ok(())
    })?;
    // SAFETY: the event is live; everything read here points into it and is copied.
    unsafe {
        let result = sys::rd_kafka_event_IncrementalAlterConfigs_result(event.as_ptr());
        if result.is_null() {
            return Err(no_answer());
        }
        let mut count = 0;
        let answers = sys::rd_kafka_IncrementalAlterConfigs_result_resources(result, &mut count);
        let answers = if count == 0 { &[] } else { slice::from_raw_parts(answers, count) };
        for answer in answers {
            let code = sys::rd_kafka_ConfigResource_error(*answer);
            if code != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                let text = sys::rd_kafka_ConfigResource_error_string(*answer);
                let text = match text.is_null() {
                    true => "the broker gives no reason".to_owned(),
                    false => CStr::from_ptr(text).to_string_lossy().into_owned(),
                };
                return Err(NativeError { code: code.into(), text, ..no_answer() });
            }
        }
    }
    Ok(())
}
