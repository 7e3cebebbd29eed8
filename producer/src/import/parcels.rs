//! Rows on their way from the thread that reads to the one that sends: many at a time, since to wake a thread costs more
//! than to send a record.

use std::cell::RefCell;
use std::sync::mpsc::SyncSender;

use super::Message;

/// Parcels between the two threads. With [`BYTES_MAX`], and a row that may be a mebibyte, this bounds memory: 20 MiB.
pub(super) const PARCELS_MAX: usize = 16;

/// Rows in one parcel.
const ROWS_MAX: usize = 256;

/// A parcel of so many bytes of rows goes.
const BYTES_MAX: usize = 256 * 1_024;

/// Nobody takes rows any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Closed;

/// Collects messages, and sends them on.
#[derive(Debug)]
pub(super) struct Parcels {
    sender: SyncSender<Vec<Message>>,
    open: RefCell<Open>,
}

#[derive(Debug, Default)]
struct Open {
    messages: Vec<Message>,
    bytes: usize,
}

impl Parcels {
    pub(super) fn new(sender: SyncSender<Vec<Message>>) -> Self {
        Self { sender, open: RefCell::default() }
    }

    /// Takes a message of so many bytes, and sends the parcel when it is full; then it waits for room.
    pub(super) fn put(&self, message: Message, bytes: usize) -> Result<(), Closed> {
        let mut open = self.open.borrow_mut();
        if open.messages.capacity() == 0 {
            open.messages.reserve(ROWS_MAX);
        }
        open.messages.push(message);
        open.bytes += bytes;
        let is_full = open.messages.len() >= ROWS_MAX || open.bytes >= BYTES_MAX;
        drop(open);
        if is_full { self.dispatch() } else { Ok(()) }
    }

    /// Sends what there is, if there is anything, and waits for room.
    pub(super) fn dispatch(&self) -> Result<(), Closed> {
        let Open { messages, .. } = self.open.take();
        if messages.is_empty() {
            return Ok(());
        }
        self.sender.send(messages).map_err(|_| Closed)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::super::RejectedRow;
    use super::*;

    fn row(line: u64) -> Message {
        Message::Rejected(RejectedRow { line, reason: String::new(), raw: vec![b'x'] })
    }

    #[test]
    fn a_parcel_goes_when_it_is_full_or_when_somebody_says_so() {
        let (sender, receiver) = sync_channel(PARCELS_MAX);
        let parcels = Parcels::new(sender);
        (0..=ROWS_MAX as u64).for_each(|line| parcels.put(row(line), 1).unwrap());
        assert_eq!(receiver.try_iter().map(|parcel| parcel.len()).collect::<Vec<_>>(), [ROWS_MAX]);
        parcels.dispatch().unwrap();
        parcels.dispatch().unwrap();
        parcels.put(row(0), BYTES_MAX).unwrap();
        assert_eq!(receiver.try_iter().map(|parcel| parcel.len()).collect::<Vec<_>>(), [1, 1]);
        drop(receiver);
        assert_eq!(parcels.put(row(0), BYTES_MAX), Err(Closed));
    }
}
