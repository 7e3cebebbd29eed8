//! Records and events of a consumer's partitions, many with one call.
//!
//! The safe crate takes them one by one: for each it reads the clock and allocates. A consumer that is read
//! from here must not be polled as well.

use std::ffi::CStr;
use std::ops::Deref;
use std::ptr::{self, NonNull};
use std::time::Duration;

use pipeline::record::{Timestamp, TimestampType};
use rdkafka::bindings as sys;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::RDKafkaErrorCode;

use super::bytes;

/// Log lines that are handed on at one go: to who debugs, librdkafka may say more while these are written.
const LOG_LINES_MAX: usize = 1_000;

/// A record, or an event of a partition. It owns its memory, and with it a share of the answer that it came in.
#[derive(Debug)]
#[repr(transparent)] // a list of them is what librdkafka fills
pub struct NativeMessage(NonNull<sys::rd_kafka_message_t>);

// SAFETY: the message is owned by this value alone, and librdkafka takes it back on any thread.
unsafe impl Send for NativeMessage {}

impl NativeMessage {
    const fn get(&self) -> &sys::rd_kafka_message_t {
        // SAFETY: the message is live until this value is dropped.
        unsafe { self.0.as_ref() }
    }

    pub(super) const fn as_ptr(&self) -> *mut sys::rd_kafka_message_t {
        self.0.as_ptr()
    }

    /// What happened, if it is an event and no record.
    pub fn error(&self) -> Option<RDKafkaErrorCode> {
        let error = self.get().err;
        (error != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR).then(|| error.into())
    }

    /// The same for all messages of one topic, while a partition of it is read; 0 where an event has none.
    pub fn topic_id(&self) -> usize {
        self.get().rkt as usize
    }

    /// Topic; empty where an event has none.
    pub fn topic(&self) -> &str {
        let topic = self.get().rkt;
        if topic.is_null() {
            return "";
        }
        // SAFETY: the message keeps its topic alive, and with it the name, which ends with a NUL.
        let name = unsafe { CStr::from_ptr(sys::rd_kafka_topic_name(topic)) };
        name.to_str().unwrap_or_default()
    }

    /// Partition.
    pub const fn partition(&self) -> i32 {
        self.get().partition
    }

    /// Offset of a record; of an end, the offset that the next record will have at least.
    pub const fn offset(&self) -> i64 {
        self.get().offset
    }

    /// Key; `None` is a null key, not an empty one.
    pub fn key(&self) -> Option<&[u8]> {
        let message = self.get();
        // SAFETY: the key is null or of that size, and lives as long as the message.
        unsafe { bytes(message.key, message.key_len) }
    }

    /// Value; `None` is a tombstone.
    pub fn value(&self) -> Option<&[u8]> {
        let message = self.get();
        // SAFETY: the value is null or of that size, and lives as long as the message.
        unsafe { bytes(message.payload, message.len) }
    }

    /// Bytes of key and value.
    pub const fn bytes(&self) -> usize {
        let message = self.get();
        message.key_len + message.len
    }

    /// When it was written.
    pub fn timestamp(&self) -> Timestamp {
        use sys::rd_kafka_timestamp_type_t as kinds;
        let mut kind = kinds::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is live, and the out pointer is valid for the call.
        let ms = unsafe { sys::rd_kafka_message_timestamp(self.0.as_ptr(), &mut kind) };
        match kind {
            _ if ms == -1 => Timestamp { ms, kind: TimestampType::NoTimestampType },
            kinds::RD_KAFKA_TIMESTAMP_CREATE_TIME => {
                Timestamp { ms, kind: TimestampType::CreateTime }
            }
            kinds::RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME => {
                Timestamp { ms, kind: TimestampType::LogAppendTime }
            }
            kinds::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE => {
                Timestamp { ms: -1, kind: TimestampType::NoTimestampType }
            }
        }
    }
}

impl Drop for NativeMessage {
    fn drop(&mut self) {
        // SAFETY: owned by this value and freed once.
        unsafe { sys::rd_kafka_message_destroy(self.0.as_ptr()) }
    }
}

/// A queue of librdkafka, of which this value has a share.
struct Queue(NonNull<sys::rd_kafka_queue_t>);

impl Queue {
    /// # Safety
    ///
    /// `queue` is a share that nobody else gives back.
    unsafe fn own(queue: *mut sys::rd_kafka_queue_t) -> Self {
        Self(NonNull::new(queue).expect("a consumer with a group id has a queue"))
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: the share is owned by this value and given back once.
        unsafe { sys::rd_kafka_queue_destroy(self.0.as_ptr()) }
    }
}

// SAFETY: librdkafka's queues may be used from any thread, one at a time here.
unsafe impl Send for Queue {}

/// What arrives for a consumer. Messages that it gives must go before it does.
pub struct BatchQueue<H> {
    messages: Queue,
    /// Log lines, which would otherwise be printed by whoever takes messages.
    logs: Queue,
    /// Dropped after the queues, which belong to it.
    consumer: H,
}

impl<C, H> BatchQueue<H>
where
    C: ConsumerContext + 'static,
    H: Deref<Target = BaseConsumer<C>> + Clone,
{
    /// The queue of a consumer, which has a group id and is not polled any more. The queue shares the handle.
    pub fn of(consumer: &H) -> Self {
        // What the client has said until now goes the way of the safe crate.
        while consumer.poll(Duration::ZERO).is_some() {}
        let client = consumer.client().native_ptr();
        // SAFETY: the client is live, as it is for as long as the shares; it takes one of its own in
        // the queue for logs.
        unsafe {
            let messages = Queue::own(sys::rd_kafka_queue_get_consumer(client));
            let logs = Queue::own(sys::rd_kafka_queue_new(client));
            sys::rd_kafka_set_log_queue(client, logs.0.as_ptr());
            Self { messages, logs, consumer: consumer.clone() }
        }
    }

    /// Adds up to `most` messages to a list, as many as there are after at most `limit`. With time to wait
    /// it does so until there are `most`.
    pub(crate) fn take(
        &self,
        limit: Duration,
        most: usize,
        messages: &mut Vec<Option<NativeMessage>>,
    ) {
        let limit_ms = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
        messages.reserve(most);
        // SAFETY: there is room for `most` pointers, which are written from the start on. `Option` of a
        // transparent `NonNull` is such a pointer, and owns what it points to from here on.
        unsafe {
            let room = messages.as_mut_ptr().add(messages.len());
            let take = sys::rd_kafka_consume_batch_queue;
            let count = take(self.messages.0.as_ptr(), limit_ms, room.cast(), most);
            messages.set_len(messages.len() + usize::try_from(count).unwrap_or(0));
        }
    }

    /// Visits up to `most` messages, as [`Self::take`] gives them, and says how many.
    pub fn visit(&self, limit: Duration, most: usize, visit: impl FnMut(&NativeMessage)) -> usize {
        let mut messages = Vec::new();
        self.take(limit, most, &mut messages);
        messages.iter().flatten().for_each(visit);
        messages.len()
    }

    /// Hands what librdkafka has to say to the consumer's context, up to [`LOG_LINES_MAX`].
    pub(crate) fn serve_logs(&self) {
        let context = self.consumer.context();
        for _ in 0..LOG_LINES_MAX {
            let (mut facility, mut text, mut level) = (ptr::null(), ptr::null(), 0);
            // SAFETY: the queue is live, and so is the event until it is destroyed; facility and text are
            // strings in it, where it is a line of the log.
            unsafe {
                let event = sys::rd_kafka_queue_poll(self.logs.0.as_ptr(), 0);
                if event.is_null() {
                    return;
                }
                if sys::rd_kafka_event_log(event, &mut facility, &mut text, &mut level) == 0 {
                    let level = log_level(level);
                    let facility = CStr::from_ptr(facility).to_string_lossy();
                    let text = CStr::from_ptr(text).to_string_lossy();
                    context.log(level, facility.trim(), text.trim());
                }
                sys::rd_kafka_event_destroy(event);
            }
        }
    }
}

/// A level of syslog as the safe crate names it.
const fn log_level(level: i32) -> RDKafkaLogLevel {
    match level {
        0 => RDKafkaLogLevel::Emerg,
        1 => RDKafkaLogLevel::Alert,
        2 => RDKafkaLogLevel::Critical,
        3 => RDKafkaLogLevel::Error,
        4 => RDKafkaLogLevel::Warning,
        5 => RDKafkaLogLevel::Notice,
        6 => RDKafkaLogLevel::Info,
        _ => RDKafkaLogLevel::Debug,
    }
}
