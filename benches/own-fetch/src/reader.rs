//! Fetches exactly the given partitions, from exactly the given positions: the face of `kafka_io::reader`.

mod place;
mod polled;

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use kafka_protocol::error::ResponseError as E;
use kafka_protocol::messages::FetchResponse;
use kafka_protocol::messages::fetch_response::PartitionData;

use crate::aborted::Aborted;
use crate::asker::{Answer, Asker};
use crate::batch::{self, Fault};
use crate::chunk::{Chunk, Partition};
use crate::cluster::Cluster;
use crate::reader::place::{Place, request};
use crate::record::Record;

pub use crate::reader::polled::{Fetched, Polled};

/// Wait after anything that went wrong.
const RETRY: Duration = Duration::from_millis(100);

/// What is in hand, in the order in which it is handed out.
enum Item {
    Chunk(Chunk),
    End(Rc<Partition>, i64),
    News(Polled<'static>),
}

/// What is handed out next.
enum Next {
    Record(Record),
    Other(Polled<'static>),
}

/// Reads partitions under `read_committed`. For each broker one response is in hand or on its way while the one before
/// is handed out, and no more: that is the limit of its memory.
pub struct Reader {
    cluster: Cluster,
    askers: HashMap<i32, Asker>,
    answers: Receiver<Answer>,
    answer_to: SyncSender<Answer>,
    places: Vec<Place>,
    hand: VecDeque<Item>,
    /// When leaders have to be looked up; `None` while all are known.
    refresh_at: Option<Instant>,
    topics: Vec<Rc<str>>,
    next_id: u64,
}

impl Reader {
    /// Makes a reader that reads nothing yet. It connects when it is first polled.
    pub fn new(bootstrap: &str) -> Self {
        let (answer_to, answers) = sync_channel(1);
        Self {
            cluster: Cluster::new(bootstrap),
            askers: HashMap::new(),
            answers,
            answer_to,
            places: Vec::new(),
            hand: VecDeque::new(),
            refresh_at: None,
            topics: Vec::new(),
            next_id: 0,
        }
    }

    /// Learns where the partitions of `topics` are. It blocks, for some seconds where brokers are away.
    ///
    /// # Errors
    ///
    /// Fails if no broker answers; the first poll then tries again.
    pub fn look_up(&mut self, topics: &[&str]) -> anyhow::Result<()> {
        self.cluster.refresh(topics)
    }

    /// Starts to read a partition at an offset. One that is read already begins anew.
    pub fn start(&mut self, topic: &str, partition: i32, position: i64) {
        self.stop(topic, partition);
        let topic_id =
            self.topics.iter().position(|known| **known == *topic).unwrap_or_else(|| {
                self.topics.push(topic.into());
                self.topics.len() - 1
            });
        let topic = Rc::clone(&self.topics[topic_id]);
        if self.cluster.leader(&topic, partition).is_none() {
            self.refresh_at.get_or_insert_with(Instant::now);
        }
        let partition = Partition { topic, topic_id, partition, position: None.into() };
        let id = self.id();
        self.places.push(Place::new(partition, id, position));
    }

    /// Stops reading a partition; what was fetched of it is dropped.
    pub fn stop(&mut self, topic: &str, partition: i32) {
        let is_it = |it: &Partition| it.partition == partition && *it.topic == *topic;
        self.places.retain(|place| !is_it(&place.partition));
        self.hand.retain(|item| match item {
            Item::Chunk(Chunk { partition, .. }) | Item::End(partition, _) => !is_it(partition),
            Item::News(_) => true,
        });
    }

    /// Start and end of a partition according to the last response.
    pub fn cached_bounds(&self, topic: &str, partition: i32) -> Option<(i64, i64)> {
        let is_it =
            |it: &&Place| it.partition.partition == partition && *it.partition.topic == *topic;
        self.places.iter().find(is_it)?.bounds
    }

    /// Positions of everything that is read: the offset after the last record that was handed out, or the end that was
    /// told after it.
    pub fn positions(&self) -> HashMap<(String, i32), i64> {
        let position = |place: &Place| {
            let it = &*place.partition;
            Some(((it.topic.to_string(), it.partition), it.position.get()?))
        };
        self.places.iter().filter_map(position).collect()
    }

    /// Waits up to `limit` for the next record or event.
    pub fn poll(&mut self, limit: Duration) -> Polled<'_> {
        let next = match self.next() {
            None => self.wait(limit),
            next => next,
        };
        match (next, self.hand.front()) {
            (Some(Next::Record(record)), Some(Item::Chunk(chunk))) => {
                Polled::Record(Fetched { chunk, record })
            }
            (Some(Next::Other(polled)), _) => polled,
            _ => Polled::Nothing,
        }
    }

    /// Takes the next thing in hand. The chunk of a record stays in front.
    #[inline]
    fn next(&mut self) -> Option<Next> {
        loop {
            if let Item::Chunk(chunk) = self.hand.front_mut()? {
                match chunk.next() {
                    Ok(Some(record)) => {
                        chunk.partition.position.set(Some(record.offset + 1));
                        return Some(Next::Record(record));
                    }
                    Ok(None) => {}
                    Err(fault) => {
                        let partition = Rc::clone(&chunk.partition);
                        return Some(Next::Other(self.begin_again(&partition, fault)));
                    }
                }
            }
            match self.hand.pop_front()? {
                Item::Chunk(_) => {}
                Item::End(partition, end) => {
                    partition.position.set(Some(end));
                    return Some(Next::Other(Polled::End(partition.partition)));
                }
                Item::News(polled) => return Some(Next::Other(polled)),
            }
        }
    }

    /// Fetches until something is in hand or the time is over.
    fn wait(&mut self, limit: Duration) -> Option<Next> {
        let deadline = Instant::now() + limit;
        loop {
            self.ask();
            if let Some(next) = self.next() {
                return Some(next);
            }
            let now = Instant::now();
            let until =
                self.places.iter().filter_map(|place| place.retry_at).chain(self.refresh_at);
            let until = until.fold(deadline, Instant::min);
            match self.answers.recv_timeout(until.saturating_duration_since(now)) {
                Ok(answer) => self.take(answer),
                Err(_) if now >= deadline => return None,
                Err(_) => {}
            }
        }
    }

    /// Asks every broker that has no request in flight for what it leads.
    fn ask(&mut self) {
        let now = Instant::now();
        if self.refresh_at.is_some_and(|at| at <= now) {
            let topics: Vec<&str> = self.topics.iter().map(|topic| &**topic).collect();
            self.refresh_at = None;
            if let Err(error) = self.cluster.refresh(&topics) {
                self.hand.push_back(Item::News(Polled::Away(format!("{error:#}"))));
                self.refresh_at = Some(Instant::now() + RETRY);
            }
        }
        let mut of_brokers: HashMap<i32, Vec<(usize, i32)>> = HashMap::new();
        for (index, place) in self.places.iter_mut().enumerate() {
            if !place.wants(now) {
                continue;
            }
            match self.cluster.leader(&place.partition.topic, place.partition.partition) {
                Some(it) => of_brokers.entry(it.broker).or_default().push((index, it.epoch)),
                None => _ = self.refresh_at.get_or_insert(now + RETRY),
            }
        }
        for (broker, asked) in of_brokers {
            self.ask_broker(broker, &asked);
        }
    }

    fn ask_broker(&mut self, broker: i32, asked: &[(usize, i32)]) {
        if !self.askers.contains_key(&broker) {
            let Some(address) = self.cluster.address(broker).map(str::to_owned) else {
                self.refresh_at.get_or_insert_with(|| Instant::now() + RETRY);
                return;
            };
            let id = self.id();
            self.askers.insert(broker, Asker::start(broker, &address, id, self.answer_to.clone()));
        }
        let Some(asker) = self.askers.get_mut(&broker).filter(|it| it.asked.is_none()) else {
            return;
        };
        let ids = asked.iter().map(|(index, _)| self.places[*index].id).collect();
        asker.ask(request(&self.places, asked), ids);
        for (index, _) in asked {
            self.places[*index].is_asked = true;
        }
        self.places.rotate_left(1); // a broker fills its responses in the order of the request
    }

    /// Takes a response in, and asks for what follows.
    fn take(&mut self, answer: Answer) {
        let asker = self.askers.get_mut(&answer.broker).filter(|it| it.id == answer.asker);
        let Some(asked) = asker.and_then(|it| it.asked.take()) else { return };
        for place in self.places.iter_mut().filter(|place| asked.contains(&place.id)) {
            place.is_asked = false;
        }
        let response = answer.response.map_err(|error| format!("{error:#}"));
        match response {
            Ok(response) if response.error_code == 0 => self.take_response(response, &asked),
            Ok(response) => self.lost(answer.broker, format!("error {}", response.error_code)),
            Err(text) => self.lost(answer.broker, text),
        }
        self.ask();
    }

    /// A broker cannot be asked: its partitions may be led by another one now.
    fn lost(&mut self, broker: i32, text: String) {
        self.askers.remove(&broker);
        let retry_at = Instant::now() + RETRY;
        for place in self.places.iter_mut().filter(|place| !place.is_asked) {
            place.retry_at = Some(retry_at);
        }
        self.refresh_at.get_or_insert(retry_at);
        self.hand.push_back(Item::News(Polled::Away(format!("broker {broker}: {text}"))));
    }

    fn take_response(&mut self, response: FetchResponse, asked: &[u64]) {
        for topic in response.responses {
            for data in topic.partitions {
                let found = self.places.iter().position(|it| {
                    let (of, number) = (&it.partition.topic, it.partition.partition);
                    number == data.partition_index
                        && **of == **topic.topic
                        && asked.contains(&it.id)
                });
                match (found, data.error_code) {
                    (None, _) => {} // stopped, or begun anew
                    (Some(index), 0) => self.take_partition(index, data),
                    (Some(index), code) => self.refused(index, code),
                }
            }
        }
    }

    fn take_partition(&mut self, index: usize, data: PartitionData) {
        let place = &mut self.places[index];
        place.bounds = Some((data.log_start_offset, data.high_watermark));
        let batches = data.records.unwrap_or_default();
        if !batches.is_empty() {
            match batch::end(&batches).and_then(|end| end.ok_or(Fault::Length)) {
                Ok(end) => {
                    let aborted = Aborted::new(&data.aborted_transactions.unwrap_or_default());
                    let partition = Rc::clone(&place.partition);
                    self.hand.push_back(Item::Chunk(Chunk::new(
                        partition, batches, aborted, place.next,
                    )));
                    place.next = place.next.max(end);
                }
                Err(fault) => {
                    let partition = Rc::clone(&place.partition);
                    let news = self.begin_again(&partition, fault);
                    self.hand.push_back(Item::News(news));
                    return;
                }
            }
        }
        let is_new_end =
            place.next >= data.last_stable_offset && place.told_end != Some(place.next);
        if is_new_end {
            place.told_end = Some(place.next);
            self.hand.push_back(Item::End(Rc::clone(&place.partition), place.next));
        }
    }

    /// A broker refuses one partition.
    fn refused(&mut self, index: usize, code: i16) {
        let place = &mut self.places[index];
        let error = E::try_from_code(code).unwrap_or(E::Unknown(code));
        let text = format!("{} {}: {error}", place.partition.topic, place.partition.partition);
        place.retry_at = Some(Instant::now() + RETRY);
        let news = match error {
            E::OffsetOutOfRange => {
                place.retry_at = None;
                place.is_halted = true;
                Polled::OutOfRange
            }
            E::TopicAuthorizationFailed => Polled::Denied(text),
            E::UnknownTopicOrPartition => Polled::Missing(text),
            _ => Polled::Away(text),
        };
        self.refresh_at.get_or_insert_with(Instant::now);
        self.hand.push_back(Item::News(news));
    }

    /// Fetches a partition again from where it was handed out, after bytes that cannot be read.
    fn begin_again(&mut self, partition: &Rc<Partition>, fault: Fault) -> Polled<'static> {
        self.hand.retain(|item| match item {
            Item::Chunk(Chunk { partition: it, .. }) | Item::End(it, _) => {
                !Rc::ptr_eq(it, partition)
            }
            Item::News(_) => true,
        });
        let id = self.id();
        if let Some(place) = self.places.iter_mut().find(|it| Rc::ptr_eq(&it.partition, partition))
        {
            place.begin_again(id, Instant::now() + RETRY);
        }
        Polled::Away(format!("{} {}: {fault}", partition.topic, partition.partition))
    }

    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }
}
