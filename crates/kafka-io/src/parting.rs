//! A handle whose end nobody waits for.
//!
//! librdkafka ends a handle by joining its threads, and an administrative handle's own thread looks only every
//! 100 ms whether it should end. A command that has its answer has no use for that time.

use std::ops::Deref;
use std::thread;

/// A handle that ends on a thread of its own when it is dropped. Where the process ends first, that is the
/// handle's end: only for handles that have nothing left to send, and belong to no group.
#[derive(Debug)]
pub struct Parting<T: Send + 'static>(Option<T>);

impl<T: Send + 'static> Parting<T> {
    /// Wraps a handle.
    pub const fn new(handle: T) -> Self {
        Self(Some(handle))
    }
}

impl<T: Send + 'static> Deref for Parting<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("it is taken only when it is dropped")
    }
}

impl<T: Send + 'static> Drop for Parting<T> {
    fn drop(&mut self) {
        let handle = self.0.take();
        // Where no thread can be made, the closure is dropped here and now, and the handle with it.
        let ends = thread::Builder::new().name("kafka-parting".to_owned());
        if let Err(error) = ends.spawn(move || drop(handle)) {
            tracing::debug!(%error, "the end of a handle was waited for");
        }
    }
}

/// Notes that a handle was made: each has connections of its own, which take their time.
pub(crate) fn note_made(what: &str) {
    tracing::debug!(target: "kafka_io::handles", what, "a handle was made");
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// Ends only when it is told to, and tells that it has.
    struct Slow(Receiver<()>, Sender<()>);

    impl Drop for Slow {
        fn drop(&mut self) {
            self.0.recv().expect("the test lets it end");
            self.1.send(()).expect("the test waits for it");
        }
    }

    #[test]
    fn the_end_of_a_handle_is_not_waited_for_and_comes() {
        let ((allow, allowed), (ended, end)) = (channel(), channel());
        drop(Parting::new(Slow(allowed, ended)));
        // This line is reached while the handle cannot have ended.
        assert!(end.try_recv().is_err());
        allow.send(()).expect("it waits");
        end.recv().expect("it ended");
    }
}
