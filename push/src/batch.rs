//! Calls with several records of one partition: who goes together, and what an answer says of each.
//!
//! The engine lets the handlers of many records work at once. Those of one partition that begin within
//! [`GATHER_MAX`] go together; the engine needs to know nothing of it. Each waits for what is answered to its record,
//! and is settled by itself. With `--order key` only one record of a key is at work, so that no call has two of one key.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use relane::Record;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;

use crate::body::Body;
use crate::caller::{ANSWER_BYTES_MAX, Called, Caller};
use crate::encoding::header_value;
use crate::event;
use crate::verdict::{Speaks, Verdict};

/// Most records of a call. A partition has at most 384 records unsettled, of which some are to gather while others
/// are under way.
pub(crate) const BATCH_RECORDS_MAX: usize = 256;

/// Longest wait of a record for others to go with it.
const GATHER_MAX: Duration = Duration::from_millis(5);

/// Records go together up to so many bytes, which servers take by default; a larger one goes alone.
const BATCH_BYTES_MAX: usize = 1 << 20;

/// Bytes of an answer that are read for each record of a call: a status, and a title.
const ANSWER_BYTES_PER_RECORD: usize = 2 * 1024;

/// A partition, by which records go together: its topic and number.
type PlaceName = (String, i32);

/// A record on its way.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    place: PlaceName,
    offset: i64,
    json: Bytes,
}

impl Event {
    /// Bytes of a body with it alone.
    pub(crate) fn bytes(&self) -> usize {
        self.json.len() + 2
    }
}

/// What an answer says of one record of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    /// This is about it.
    Of(Verdict),
    /// This is about all records of the call.
    OfAll(Verdict),
    /// It is about one of them, and nobody knows which.
    OfOneOfThem,
}

/// Where that goes.
type Sender = oneshot::Sender<Told>;

/// Records that gather.
#[derive(Debug, Default)]
struct Open {
    /// With their offsets, by which they are ordered within a call.
    events: Vec<(i64, Bytes, Sender)>,
    bytes: usize,
    /// Tells the task that waits for more that there will be none.
    is_full: Arc<Notify>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Batches {
    inner: Arc<Inner>,
    records_max: usize,
    gather_max: Duration,
}

#[derive(Debug)]
struct Inner {
    caller: Arc<Caller>,
    open: Mutex<HashMap<PlaceName, Open>>,
}

impl Batches {
    pub(crate) fn new(caller: &Arc<Caller>, records_max: usize, handler_timeout: Duration) -> Self {
        let inner = Inner { caller: Arc::clone(caller), open: Mutex::default() };
        let gather_max = GATHER_MAX.min(handler_timeout / 100);
        Self { inner: Arc::new(inner), records_max, gather_max }
    }

    /// A record as it goes into a call.
    pub(crate) fn event(&self, record: &Record<Body>) -> Event {
        let place = (record.topic.clone(), record.partition);
        Event { place, offset: record.offset, json: event::of(record) }
    }

    /// Sends a record in a call of its own.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it ends the call; the service may have taken the record.
    pub(crate) async fn send_alone(&self, event: Event) -> Verdict {
        let Event { place, json, .. } = event;
        let called = self.inner.call(&place, &[json]).await;
        match self.inner.told(called, 1).pop() {
            Some(Told::Of(verdict) | Told::OfAll(verdict)) => verdict,
            Some(Told::OfOneOfThem) | None => Verdict::Unavailable {
                detail: "207 without an array of one status".to_owned(),
                wait: None,
                speaks: Speaks::OfTheRequest,
            },
        }
    }

    /// Sends a record with others of its partition.
    ///
    /// # Cancel safety
    ///
    /// Dropped before its call begins, the record is not sent. Dropped later, it may have been taken; the call ends when
    /// all of its records are dropped.
    pub(crate) async fn send_with_others(&self, event: Event) -> Told {
        let (sender, answer) = oneshot::channel();
        self.gather(event, sender);
        // Without an answer, which no path leaves out, it is sent alone.
        answer.await.unwrap_or(Told::OfOneOfThem)
    }

    fn gather(&self, event: Event, sender: Sender) {
        let Event { place, offset, json } = event;
        let mut all = self.inner.lock();
        let is_beyond = |open: &Open| open.bytes + json.len() > BATCH_BYTES_MAX;
        if all.get(&place).is_some_and(is_beyond) {
            let full = all.remove(&place);
            self.send_now(place.clone(), full);
        }
        let open = all.entry(place.clone()).or_default();
        let is_first = open.events.is_empty();
        open.bytes += json.len();
        open.events.push((offset, json, sender));
        if open.events.len() >= self.records_max || open.bytes > BATCH_BYTES_MAX {
            let full = all.remove(&place);
            self.send_now(place, full);
        } else if is_first {
            let (inner, gather_max) = (Arc::clone(&self.inner), self.gather_max);
            let is_full = Arc::clone(&open.is_full);
            tokio::spawn(async move {
                if timeout(gather_max, is_full.notified()).await.is_err() {
                    let gathered = inner.take(&place, &is_full);
                    inner.send(&place, gathered).await;
                }
            });
        }
    }

    fn send_now(&self, place: PlaceName, open: Option<Open>) {
        let Some(open) = open else { return };
        open.is_full.notify_one();
        let inner = Arc::clone(&self.inner);
        tokio::spawn(async move { inner.send(&place, Some(open)).await });
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, HashMap<PlaceName, Open>> {
        self.open.lock().expect("no panic while it is held")
    }

    /// What has gathered, if it is still what this task waits for.
    fn take(&self, place: &PlaceName, is_full: &Arc<Notify>) -> Option<Open> {
        let mut all = self.lock();
        let is_this = all.get(place).is_some_and(|open| Arc::ptr_eq(&open.is_full, is_full));
        if is_this { all.remove(place) } else { None }
    }

    /// Sends what has gathered, but for records whose handlers are gone.
    async fn send(&self, place: &PlaceName, open: Option<Open>) {
        let Some(mut open) = open else { return };
        open.events.sort_by_key(|(offset, ..)| *offset);
        let waiting = open.events.into_iter().filter(|(.., sender)| !sender.is_closed());
        let (events, mut senders): (Vec<Bytes>, Vec<Sender>) =
            waiting.map(|(_, json, sender)| (json, sender)).unzip();
        if events.is_empty() {
            return;
        }
        let called = tokio::select! {
            called = self.call(place, &events) => called,
            () = all_gone(&mut senders) => return,
        };
        for (sender, told) in senders.into_iter().zip(self.told(called, events.len())) {
            _ = sender.send(told); // its handler may be gone
        }
    }

    async fn call(&self, (topic, partition): &PlaceName, events: &[Bytes]) -> Called {
        let mut headers = HeaderMap::with_capacity(3);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(event::BATCH_TYPE));
        if let Some(topic) = header_value(topic, usize::MAX) {
            headers.insert(HeaderName::from_static("kafka-topic"), topic);
        }
        headers.insert(HeaderName::from_static("kafka-partition"), HeaderValue::from(*partition));
        let answer_max = ANSWER_BYTES_MAX + events.len() * ANSWER_BYTES_PER_RECORD;
        self.caller.post(headers, array(events), answer_max).await
    }

    /// What an answer says of each of so many records.
    fn told(&self, called: Called, records: usize) -> Vec<Told> {
        let Called { status, body, verdict } = called;
        if status == Some(StatusCode::MULTI_STATUS) {
            let each = event::verdicts(&body, records, self.caller.url(), SystemTime::now());
            return match each {
                Some(each) => each.into_iter().map(Told::Of).collect(),
                None => vec![Told::OfOneOfThem; records],
            };
        }
        if records == 1 {
            return vec![Told::Of(verdict)];
        }
        // A refusal, and a failure that may be of one record, do not say of which.
        let is_of_one = match &verdict {
            Verdict::Done | Verdict::Unreachable { .. } => false,
            Verdict::Refused { .. } => true,
            Verdict::Unavailable { speaks, .. } => *speaks == Speaks::OfTheRequest,
        };
        let told = if is_of_one { Told::OfOneOfThem } else { Told::OfAll(verdict) };
        vec![told; records]
    }
}

/// Waits until nobody waits for an answer any more.
async fn all_gone(senders: &mut [Sender]) {
    for sender in senders {
        sender.closed().await;
    }
}

fn array(events: &[Bytes]) -> Bytes {
    let bytes: usize = events.iter().map(|event| event.len() + 1).sum();
    let mut body = Vec::with_capacity(bytes + 1);
    for (event, before) in events.iter().zip(std::iter::once(b'[').chain(std::iter::repeat(b','))) {
        body.push(before);
        body.extend_from_slice(event);
    }
    body.push(b']');
    body.into()
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;
