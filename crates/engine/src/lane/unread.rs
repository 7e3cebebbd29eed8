//! Records that a lane has written to the retry topic and has not read back yet. They wait like
//! the others, and reading back lags behind writing: a limit of what waits must count them.

use std::collections::VecDeque;

use pipeline::record::Offset;

/// Those of one partition, in the order of their offsets.
#[derive(Debug, Default)]
pub(crate) struct Unread {
    written: VecDeque<(Offset, usize)>,
    bytes: usize,
}

impl Unread {
    /// A record of `bytes` was written and is committed. Where the broker did not say at which
    /// offset, it counts until the one before it is read.
    pub(crate) fn push(&mut self, offset: Option<Offset>, bytes: usize) {
        let last = self.written.back().map(|(offset, _)| *offset);
        if let Some(at) = offset.max(last) {
            self.written.push_back((at, bytes));
            self.bytes += bytes;
        }
    }

    /// Everything below `top` was read.
    pub(crate) fn read_to(&mut self, top: i64) {
        while let Some((_, bytes)) = self.written.front().filter(|(offset, _)| offset.0 < top) {
            self.bytes -= bytes;
            self.written.pop_front();
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.written.len()
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_counts_from_its_commit_until_it_is_read() {
        let mut unread = Unread::default();
        for (offset, bytes) in [(5, 10), (6, 20), (9, 30)] {
            unread.push(Some(Offset(offset)), bytes);
        }
        assert_eq!((unread.len(), unread.bytes()), (3, 60));
        for (top, left) in [(5, (3, 60)), (6, (2, 50)), (8, (1, 30)), (9, (1, 30)), (10, (0, 0))] {
            unread.read_to(top);
            assert_eq!((unread.len(), unread.bytes()), left, "up to {top}");
        }
    }

    #[test]
    fn one_whose_offset_is_not_known_or_comes_late_counts_with_the_one_before() {
        let mut unread = Unread::default();
        unread.push(None, 10); // nothing tells when it is read
        assert_eq!(unread.len(), 0);
        unread.push(Some(Offset(7)), 10);
        unread.push(None, 10);
        unread.push(Some(Offset(4)), 10); // sent alone, after the others
        unread.read_to(7);
        assert_eq!(unread.len(), 3);
        unread.read_to(8);
        assert_eq!((unread.len(), unread.bytes()), (0, 0));
    }
}
