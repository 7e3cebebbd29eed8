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
    /// A record of `bytes` was written and is committed; `next` is what is read next. A broker that was sent the
    /// record twice does not say at which offset it is: then it is taken to follow the one before it.
    pub(crate) fn push(&mut self, offset: Option<Offset>, next: Offset, bytes: usize) {
        let last = self.written.back().map(|(offset, _)| *offset);
        let follows = last.map_or(next, |last| Offset(last.0 + 1));
        let at = offset.map_or(follows, |offset| last.map_or(offset, |last| offset.max(last)));
        self.written.push_back((at, bytes));
        self.bytes += bytes;
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
            unread.push(Some(Offset(offset)), Offset(0), bytes);
        }
        assert_eq!((unread.len(), unread.bytes()), (3, 60));
        for (top, left) in [(5, (3, 60)), (6, (2, 50)), (8, (1, 30)), (9, (1, 30)), (10, (0, 0))] {
            unread.read_to(top);
            assert_eq!((unread.len(), unread.bytes()), left, "up to {top}");
        }
    }

    #[test]
    fn one_whose_offset_is_not_known_follows_the_one_before_and_one_that_comes_late_counts_with_it()
    {
        let mut unread = Unread::default();
        unread.push(None, Offset(5), 10);
        unread.push(None, Offset(5), 10);
        assert_eq!(unread.len(), 2);
        unread.read_to(6);
        assert_eq!(unread.len(), 1);
        unread.push(Some(Offset(9)), Offset(6), 10);
        unread.push(None, Offset(6), 10);
        unread.push(Some(Offset(4)), Offset(6), 10); // sent alone, after the others
        unread.read_to(10);
        assert_eq!(unread.len(), 2);
        unread.read_to(11);
        assert_eq!((unread.len(), unread.bytes()), (0, 0));
    }
}
