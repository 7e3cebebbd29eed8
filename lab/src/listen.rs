//! Hears of outcomes: reads what customers are told, and notes it in the book the moment that it comes.
//!
//! | paradigm | an outcome is known when |
//! |---|---|
//! | `sync-rest` | the answer comes: it says that the customer was told |
//! | `rabbit` | the message `notification.sent` comes out of its queue |
//! | `streaming` | the record in `notification-events` is read, its transaction committed |

mod kafka;
mod rabbit;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use service_kit::shutdown::Shutdown;
use tokio::runtime::Handle;

use crate::book::Book;
use crate::flow::Brokers;
use crate::priority;
use crate::stopping::STOPPED;
use crate::workload::Paradigm;

/// Longest wait until the reader stands at the end of what there is.
const READY_MAX: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Reads until it is dropped.
#[derive(Debug)]
pub struct Listener {
    stop: Shutdown,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Listener {
    /// Starts to read what customers of this paradigm are told from now on, or since the reader before it ended; nothing
    /// for `sync-rest`.
    ///
    /// # Errors
    ///
    /// Fails if the broker does not let it read within a minute, or the comparison is stopped meanwhile.
    pub fn start(
        paradigm: Paradigm,
        brokers: &Brokers,
        book: &Arc<Book>,
        runtime: &Handle,
        is_over: &Shutdown,
    ) -> Result<Self, String> {
        let stop = Shutdown::new();
        let (ready, is_ready) = sync_channel(1);
        let (book, stopped) = (Arc::clone(book), stop.clone());
        let thread = match paradigm {
            Paradigm::SyncRest => return Ok(Self { stop, thread: None }),
            Paradigm::Rabbit => {
                let (url, queue) = (brokers.rabbit_url.clone(), brokers.notifications_queue());
                let runtime = runtime.clone();
                let read =
                    move || runtime.block_on(rabbit::read(&url, &queue, &book, &stopped, &ready));
                spawn(read)?
            }
            Paradigm::Streaming => {
                let (settings, topic) = (brokers.kafka.clone(), brokers.notification_topic.clone());
                spawn(move || kafka::read(&settings, &topic, &book, &stopped, &ready))?
            }
        };
        let listener = Self { stop, thread: Some(thread) };
        wait_ready(&is_ready, is_over).map(|()| listener)
    }
}

fn wait_ready(is_ready: &Receiver<Result<(), String>>, is_over: &Shutdown) -> Result<(), String> {
    let deadline = Instant::now() + READY_MAX;
    loop {
        match is_ready.recv_timeout(LOOK_EVERY) {
            Ok(result) => return result,
            Err(RecvTimeoutError::Disconnected) => return Err("the reader has ended".to_owned()),
            Err(RecvTimeoutError::Timeout) if is_over.is_requested() => {
                return Err(STOPPED.to_owned());
            }
            Err(RecvTimeoutError::Timeout) if Instant::now() > deadline => {
                let limit_s = READY_MAX.as_secs();
                return Err(format!("what customers are told cannot be read within {limit_s} s"));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop.request();
        if let Some(thread) = self.thread.take() {
            // A reader that panicked has said why.
            let _ = thread.join();
        }
    }
}

fn spawn(read: impl FnOnce() + Send + 'static) -> Result<std::thread::JoinHandle<()>, String> {
    let thread = std::thread::Builder::new().name("outcomes".to_owned());
    let read = move || {
        let _ = priority::raise(); // what came of it stands in the results
        read();
    };
    thread.spawn(read).map_err(|error| error.to_string())
}
