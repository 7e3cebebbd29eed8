//! A thread for each broker: it sends a fetch, and reads the response. What is asked, and when, the reader decides.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;

use anyhow::Result;
use kafka_protocol::messages::{FetchRequest, FetchResponse};

use crate::connection::Connection;

/// What a broker said, or why it said nothing.
pub(crate) struct Answer {
    pub(crate) broker: i32,
    /// Which asker of this broker it was.
    pub(crate) asker: u64,
    pub(crate) response: Result<FetchResponse>,
}

/// The reader's end of the thread, which ends with it: at once, or after the answer that it waits for.
pub(crate) struct Asker {
    pub(crate) id: u64,
    requests: SyncSender<FetchRequest>,
    /// Which partitions were asked for by the request in flight, by the ids of their places.
    pub(crate) asked: Option<Vec<u64>>,
}

impl Asker {
    pub(crate) fn start(broker: i32, address: &str, id: u64, answers: SyncSender<Answer>) -> Self {
        let (requests, receiver) = sync_channel(1);
        let address = address.to_owned();
        thread::spawn(move || run(broker, &address, id, &receiver, &answers));
        Self { id, requests, asked: None }
    }

    /// Sends a request; one may be in flight.
    pub(crate) fn ask(&mut self, request: FetchRequest, asked: Vec<u64>) {
        match self.requests.try_send(request) {
            // One that has ended has said why.
            Ok(()) | Err(TrySendError::Disconnected(_)) => self.asked = Some(asked),
            Err(TrySendError::Full(_)) => unreachable!("one request is in flight at most"),
        }
    }
}

fn run(
    broker: i32,
    address: &str,
    asker: u64,
    requests: &Receiver<FetchRequest>,
    answers: &SyncSender<Answer>,
) {
    let mut connection = None;
    while let Ok(request) = requests.recv() {
        let response = answer(&mut connection, address, &request);
        let is_lost = response.is_err();
        if answers.send(Answer { broker, asker, response }).is_err() || is_lost {
            return;
        }
    }
}

fn answer(
    connection: &mut Option<Connection>,
    address: &str,
    request: &FetchRequest,
) -> Result<FetchResponse> {
    let open = match connection.take() {
        Some(open) => open,
        None => Connection::open(address)?,
    };
    connection.insert(open).ask(request)
}
