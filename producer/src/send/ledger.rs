//! What became of each order: deliveries are matched to orders here, and counted.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use foldhash::fast::RandomState;

use kafka_io::publisher::{Counts, Delivery, DeliveryObserver, Placed};

use super::{Delivered, Listener, Totals};
use crate::import::{RejectedRow, RowText};

/// So many lines of rows that were not acknowledged are remembered; all are counted.
const UNDELIVERED_LINES_MAX: usize = 100_000;

/// An order on its way.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) order_id: String,
    /// What it was made of, if it was imported.
    pub(super) row: Option<RowText>,
}

/// A record that a broker has refused for the size of its request.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) key: Vec<u8>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) entry: Entry,
}

impl Refused {
    pub(super) fn bytes(&self) -> usize {
        self.key.len() + self.value.as_ref().map_or(0, Vec::len)
    }
}

/// It holds as many orders as the publisher's queue holds records.
pub(super) struct Ledger {
    listener: Arc<dyn Listener>,
    state: Mutex<State>,
    /// Asked for once, at the first delivery: by then it is known where metrics go.
    counters: OnceLock<Counters>,
}

struct Counters {
    acknowledged: metrics::Counter,
    failed: metrics::Counter,
}

impl Counters {
    fn new() -> Self {
        let of = |result| metrics::counter!("orders_produced_total", "result" => result);
        Self { acknowledged: of("acknowledged"), failed: of("failed") }
    }
}

/// What the sending loop looks at before each order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    /// Bytes of the rows that are in flight or refused.
    pub(super) row_bytes: usize,
    /// A broker has refused records for the size of their request.
    pub(super) has_refused: bool,
    /// A row could not be kept: [`Ledger::check`] says why.
    pub(super) has_trouble: bool,
}

#[derive(Default)]
struct State {
    in_flight: HashMap<usize, Entry, RandomState>,
    /// Bytes of the rows that are in flight or refused.
    row_bytes: usize,
    refused: Vec<Refused>,
    counts: Counts,
    rejected: u64,
    undelivered_lines: Vec<u64>,
    /// Why a row could not be kept.
    trouble: Option<io::Error>,
}

impl Ledger {
    pub(super) fn new(listener: Arc<dyn Listener>) -> Self {
        Self { listener, state: Mutex::default(), counters: OnceLock::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes an order that is handed to the publisher for the first time.
    pub(super) fn note(&self, sequence: usize, entry: Entry) {
        let mut state = self.lock();
        state.counts.sent += 1;
        state.row_bytes += row_bytes(&entry);
        state.in_flight.insert(sequence, entry);
    }

    /// Notes one that is handed to it again.
    pub(super) fn note_again(&self, sequence: usize, entry: Entry) {
        self.lock().in_flight.insert(sequence, entry);
    }

    /// Takes back an order that the publisher did not take.
    pub(super) fn strike(&self, sequence: usize) -> Option<Entry> {
        let mut state = self.lock();
        let entry = state.in_flight.remove(&sequence)?;
        state.counts.sent -= 1;
        state.row_bytes -= row_bytes(&entry);
        Some(entry)
    }

    /// Takes back an order that was noted again.
    pub(super) fn strike_again(&self, sequence: usize) -> Option<Entry> {
        self.lock().in_flight.remove(&sequence)
    }

    pub(super) fn totals(&self) -> Totals {
        let state = self.lock();
        Totals { counts: state.counts, rejected: state.rejected }
    }

    pub(super) fn look(&self) -> Look {
        let state = self.lock();
        Look {
            row_bytes: state.row_bytes,
            has_refused: !state.refused.is_empty(),
            has_trouble: state.trouble.is_some(),
        }
    }

    pub(super) fn has_refused(&self) -> bool {
        !self.lock().refused.is_empty()
    }

    pub(super) fn take_refused(&self) -> Vec<Refused> {
        std::mem::take(&mut self.lock().refused)
    }

    /// Lines of the rows that were not acknowledged, in ascending order.
    pub(super) fn undelivered_lines(&self) -> Vec<u64> {
        let mut lines = self.lock().undelivered_lines.clone();
        lines.sort_unstable();
        lines
    }

    /// Fails if a row could not be kept since the last call.
    pub(super) fn check(&self) -> io::Result<()> {
        self.lock().trouble.take().map_or(Ok(()), Err)
    }

    /// A row is no order, or one that is too large.
    pub(super) fn reject(&self, row: RejectedRow) -> io::Result<()> {
        self.listener.rejected(&row)?;
        metrics::counter!("orders_import_rejected_total").increment(1);
        self.lock().rejected += 1;
        Ok(())
    }

    /// No broker takes this record, for its size: its row is rejected, or its order has failed.
    pub(super) fn refuse(&self, refused: Refused, reason: &str) -> io::Result<()> {
        let Refused { key, entry: Entry { order_id, row }, .. } = refused;
        let Some(row) = row else {
            let entry = Entry { order_id, row: None };
            self.settle(entry, &key, &Err(reason.to_owned()), true);
            return Ok(());
        };
        {
            let mut state = self.lock();
            state.counts.sent -= 1;
            state.row_bytes -= row.raw.len();
        }
        self.reject(RejectedRow { line: row.line, reason: reason.to_owned(), raw: row.raw })
    }

    /// This record was refused with others, and is not sent again.
    pub(super) fn give_up(&self, refused: Refused) {
        let reason =
            "a request with this record was too large, and there was no time left to send it alone";
        self.settle(refused.entry, &refused.key, &Err(reason.to_owned()), true);
    }

    fn settle(&self, entry: Entry, key: &[u8], outcome: &Result<Placed, String>, is_refused: bool) {
        let counters = self.counters.get_or_init(Counters::new);
        let counter = if outcome.is_ok() { &counters.acknowledged } else { &counters.failed };
        counter.increment(1);
        self.listener.delivered(&Delivered { order_id: &entry.order_id, key, outcome });
        let bytes = row_bytes(&entry);
        let kept = match (outcome, entry.row) {
            (Err(reason), Some(RowText { line, raw })) => {
                let certainty = match is_refused {
                    true => "not written",
                    false => "not acknowledged; it may have been written",
                };
                let reason = format!("{certainty}: {reason}");
                Some((line, self.listener.undelivered(&RejectedRow { line, reason, raw })))
            }
            _ => None,
        };
        let mut state = self.lock();
        state.row_bytes -= bytes;
        match outcome {
            Ok(_) => state.counts.acknowledged += 1,
            Err(_) => state.counts.failed += 1,
        }
        if let Some((line, kept)) = kept {
            if state.undelivered_lines.len() < UNDELIVERED_LINES_MAX {
                state.undelivered_lines.push(line);
            }
            if let Err(error) = kept {
                state.trouble.get_or_insert(error);
            }
        }
    }
}

fn row_bytes(entry: &Entry) -> usize {
    entry.row.as_ref().map_or(0, |row| row.raw.len())
}

impl DeliveryObserver for Ledger {
    fn delivered(&self, delivery: &Delivery<'_>) {
        let Some(entry) = self.lock().in_flight.remove(&delivery.sequence) else { return };
        let key = delivery.key.unwrap_or_default();
        if delivery.is_too_large {
            let (key, value) = (key.to_vec(), delivery.value.map(<[u8]>::to_vec));
            self.lock().refused.push(Refused { key, value, entry });
            return;
        }
        self.settle(entry, key, &delivery.outcome, delivery.is_refused);
    }
}
