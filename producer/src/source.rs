//! Where orders come from.

use std::time::Duration;

use orders::Order;

use crate::import::{ImportedRow, InputError, RejectedRow};

/// What a planted bad record looks like on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Defect {
    /// No value at all.
    NoValue,
    /// Fewer bytes than a frame header.
    TooShort,
    /// A first byte that is not the frame's.
    BadMagic,
    /// The body ends in the middle of the order.
    CutOff,
    /// Bytes follow the order.
    TrailingBytes,
}

impl Defect {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::NoValue, Self::TooShort, Self::BadMagic, Self::CutOff, Self::TrailingBytes];

    /// Damages a framed order; returns what to send as the value.
    pub fn apply(self, value: &mut Vec<u8>) -> Option<&[u8]> {
        const FRAME_HEADER_BYTES: usize = 5;
        match self {
            Self::NoValue => return None,
            Self::TooShort => value.truncate(FRAME_HEADER_BYTES - 1),
            Self::BadMagic => value[0] = 0x7f,
            // What is left says how long the order id is, but not the id.
            Self::CutOff => value.truncate(FRAME_HEADER_BYTES + 1),
            Self::TrailingBytes => value.extend_from_slice(b"???"),
        }
        Some(value)
    }
}

/// One order on its way.
#[derive(Debug, Clone, PartialEq)]
pub struct Outgoing {
    /// The order.
    pub order: Order,
    /// How its record is damaged, if it is.
    pub defect: Option<Defect>,
}

/// What a source has next.
#[derive(Debug)]
pub enum Next {
    /// An order to send.
    Order(Outgoing),
    /// An order of an input.
    Row(ImportedRow),
    /// A row that cannot become an order.
    Rejected(RejectedRow),
    /// Nothing yet; ask again.
    Pending,
    /// Nothing any more.
    End,
    /// The input cannot be read any further.
    Failed(InputError),
}

/// A stream of orders that never blocks for long.
pub trait Source {
    /// Returns what is next, waiting for it at most for `limit`.
    fn next(&mut self, limit: Duration) -> Next;
}
