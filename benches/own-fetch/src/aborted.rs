//! Which batches of a response belong to transactions that were aborted.

use kafka_protocol::messages::fetch_response::AbortedTransaction;

use crate::batch::Header;

/// The aborted transactions that reach into one partition of one response. A broker names each of them by producer and
/// first offset; it ends at the producer's next marker of an abort.
#[derive(Default)]
pub(crate) struct Aborted {
    /// First offset and producer, the lowest last.
    ahead: Vec<(i64, i64)>,
    /// Producers whose aborted transaction has begun and not ended.
    open: Vec<i64>,
}

impl Aborted {
    pub(crate) fn new(transactions: &[AbortedTransaction]) -> Self {
        let mut ahead: Vec<_> =
            transactions.iter().map(|it| (it.first_offset, it.producer_id.0)).collect();
        ahead.sort_unstable_by(|one, other| other.cmp(one));
        Self { ahead, open: Vec::new() }
    }

    /// Goes on to a batch of any kind: transactions that begin up to its end have begun.
    pub(crate) fn reach(&mut self, header: &Header) {
        while let Some((_, producer)) = self.ahead.pop_if(|it| it.0 <= header.last_offset) {
            self.open.push(producer);
        }
    }

    /// Whether a batch of records that was reached is part of an aborted transaction.
    pub(crate) fn covers(&self, header: &Header) -> bool {
        header.is_transactional() && self.open.contains(&header.producer_id)
    }

    /// Notes the marker of an abort.
    pub(crate) fn end(&mut self, producer_id: i64) {
        self.open.retain(|open| *open != producer_id);
    }
}
