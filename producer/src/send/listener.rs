//! What is told of a run, on its way and at its end.

use std::io;

use kafka_io::publisher::{Counts, Placed};

use crate::import::RejectedRow;

/// What became of one order.
#[derive(Debug)]
pub struct Delivered<'a> {
    /// Id of the order.
    pub order_id: &'a str,
    /// The record's key.
    pub key: &'a [u8],
    /// Where it was written, or why it was not.
    pub outcome: &'a Result<Placed, String>,
}

/// Numbers of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Sent, acknowledged and failed orders.
    pub counts: Counts,
    /// Rows that could not become an order.
    pub rejected: u64,
}

/// Hears what happens, on the thread that sends.
pub trait Listener: Send + Sync {
    /// One order was acknowledged or has failed.
    fn delivered(&self, _delivered: &Delivered<'_>) {}

    /// A row cannot become an order.
    ///
    /// # Errors
    ///
    /// An error ends the run: a reject that is not kept would be lost.
    fn rejected(&self, _row: &RejectedRow) -> io::Result<()> {
        Ok(())
    }

    /// A row became an order that was not acknowledged.
    ///
    /// # Errors
    ///
    /// As above.
    fn undelivered(&self, _row: &RejectedRow) -> io::Result<()> {
        Ok(())
    }

    /// Called about four times a second; `away` says why no broker is reachable, if that is so.
    fn progressed(&self, _totals: Totals, _away: Option<String>) {}
}

/// A listener that does not care.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Listener for Silent {}

/// Prices that the records could not carry as they were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InexactPrices {
    /// How many.
    pub count: u64,
    /// Line of the first one.
    pub first_line: u64,
    /// What became of it.
    pub first: String,
}

/// How a run ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// The numbers; nothing is in flight any more.
    pub totals: Totals,
    /// A stop was asked for before the source had ended.
    pub is_stopped: bool,
    /// Orders and rejected rows that were taken from the source.
    pub taken: u64,
    /// Prices that became others.
    pub inexact: Option<InexactPrices>,
    /// Lines of the rows that were not acknowledged, in ascending order; there is a limit to them.
    pub undelivered_lines: Vec<u64>,
}
