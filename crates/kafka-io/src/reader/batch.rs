//! What a reader has taken and not handed out yet, and how far each partition was handed out.

use std::collections::HashMap;

use rdkafka::error::RDKafkaErrorCode;

use crate::native::NativeMessage;

/// Records that are taken with one call at most. More bring nothing: the call's cost is spread by then.
const BATCH_RECORDS_MAX: usize = 1_000;

/// Bytes that a batch should have at most. Where records are so large that the last one had more, the next one
/// has fewer records. What librdkafka has fetched ahead is the limit in any case.
const BATCH_BYTES_MAX: usize = 4 << 20;

/// Records of a batch where the last one was small or empty, at least.
const BATCH_RECORDS_MIN: usize = 64;

/// A partition that is read.
struct Place {
    topic: Box<str>,
    partition: i32,
    /// The topic's identity inside librdkafka, learned from the first message; 0 until then.
    topic_id: usize,
    /// The offset after what was handed out last; `None` before the first message.
    position: Option<i64>,
}

/// Messages in hand, and the partitions that are read.
///
/// librdkafka's own position of a partition is that of what was *taken*, and one beyond it where an end was
/// among it. What counts here is what was handed out.
#[derive(Default)]
pub(super) struct Batch {
    /// `None` is a message that was handed out, or dropped with its partition.
    messages: Vec<Option<NativeMessage>>,
    next: usize,
    /// Bytes of the messages that were taken last, and how many they were.
    bytes: usize,
    places: Vec<Place>,
    /// Place of the last message: most often that of the next one, too.
    last: usize,
}

impl Batch {
    /// The next message of a partition that is read.
    pub(super) fn next(&mut self) -> Option<NativeMessage> {
        while let Some(slot) = self.messages.get_mut(self.next) {
            self.next += 1;
            if let Some(message) = slot.take()
                && self.note(&message)
            {
                return Some(message);
            }
        }
        None
    }

    /// Takes more in, once nothing is in hand.
    pub(super) fn refill(&mut self, take: impl FnOnce(usize, &mut Vec<Option<NativeMessage>>)) {
        let most = records_of_next(self.messages.len(), self.bytes);
        self.messages.clear();
        self.next = 0;
        take(most, &mut self.messages);
        self.bytes = self.messages.iter().flatten().map(NativeMessage::bytes).sum();
    }

    /// Whether nothing was taken with the last refill.
    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// A partition is read from here on.
    pub(super) fn start(&mut self, topic: &str, partition: i32) {
        self.places.push(Place { topic: topic.into(), partition, topic_id: 0, position: None });
    }

    /// A partition is not read any more: what was taken of it is dropped.
    pub(super) fn stop(&mut self, topic: &str, partition: i32) {
        self.places.retain(|place| place.partition != partition || &*place.topic != topic);
        self.last = 0;
        for slot in self.messages.iter_mut().skip(self.next) {
            slot.take_if(|message| message.partition() == partition && message.topic() == topic);
        }
    }

    /// Offsets after what was handed out, of all partitions of which anything was.
    pub(super) fn positions(&self) -> HashMap<(String, i32), i64> {
        let place =
            |place: &Place| Some(((place.topic.to_string(), place.partition), place.position?));
        self.places.iter().filter_map(place).collect()
    }

    /// Notes what is handed out; `false` for a message of a partition that is not read.
    #[inline]
    fn note(&mut self, message: &NativeMessage) -> bool {
        let (topic_id, partition) = (message.topic_id(), message.partition());
        if topic_id == 0 {
            return true; // news of no partition
        }
        let is_it = |place: &Place| place.topic_id == topic_id && place.partition == partition;
        if !self.places.get(self.last).is_some_and(is_it) {
            let by_name =
                |place: &Place| place.partition == partition && *place.topic == *message.topic();
            let found = self.places.iter().position(is_it);
            let Some(index) = found.or_else(|| self.places.iter().position(by_name)) else {
                return false;
            };
            self.places[index].topic_id = topic_id;
            self.last = index;
        }
        let position = match message.error() {
            None => message.offset() + 1,
            Some(RDKafkaErrorCode::PartitionEOF) => message.offset(),
            Some(_) => return true,
        };
        self.places[self.last].position = Some(position);
        true
    }
}

/// Records of the next batch at most, by how many the last one had and how large they were.
fn records_of_next(count: usize, bytes: usize) -> usize {
    if bytes > BATCH_BYTES_MAX {
        return (BATCH_BYTES_MAX / (bytes / count.max(1))).max(1);
    }
    count.saturating_mul(2).clamp(BATCH_RECORDS_MIN, BATCH_RECORDS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_grows_to_its_limit_and_shrinks_where_records_are_large() {
        let mut count = 0;
        let mut grown = Vec::new();
        for _ in 0..6 {
            count = records_of_next(count, count * 100);
            grown.push(count);
        }
        assert_eq!(grown, [64, 128, 256, 512, 1_000, 1_000]);
        let bytes_each = 1 << 20;
        let after_large = records_of_next(1_000, 1_000 * bytes_each);
        assert_eq!(after_large * bytes_each, BATCH_BYTES_MAX);
        assert_eq!(
            records_of_next(1, 2 * BATCH_BYTES_MAX),
            1,
            "one record is taken, however large"
        );
        assert_eq!(records_of_next(4, 4 * 100), BATCH_RECORDS_MIN, "small ones again");
    }
}
