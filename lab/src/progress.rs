//! Says what runs and how long is left: a view at the foot of a terminal, else a line for each run.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use service_kit::args::LogFormat;
use service_kit::live::{Leave, Live, SHOW_EVERY, fit};
use service_kit::output::note;
use service_kit::shutdown::Shutdown;

/// What runs now.
#[derive(Debug, Clone)]
struct Now {
    words: String,
    number: usize,
    of: usize,
    began: Instant,
    /// What is left by guess, this run included.
    left: Duration,
}

/// Where the comparison is.
pub(crate) struct Progress {
    now: Arc<Mutex<Option<Now>>>,
    ended: Shutdown,
    view: Option<JoinHandle<()>>,
}

impl Progress {
    pub(crate) fn start() -> Self {
        let (now, ended) = (Arc::new(Mutex::new(None)), Shutdown::new());
        let view = Live::on_stderr(LogFormat::Text).and_then(|live| {
            let (now, ended) = (Arc::clone(&now), ended.clone());
            let show = move || {
                while !ended.wait(SHOW_EVERY) {
                    let lines = lines_of(&now, live.size().columns);
                    live.show(lines);
                }
                live.end(Leave::Nothing);
            };
            std::thread::Builder::new().name("progress".to_owned()).spawn(show).ok()
        });
        Self { now, ended, view }
    }

    /// A run begins.
    pub(crate) fn begins(&self, words: &str, number: usize, of: usize, left: Duration) {
        let now = Now { words: words.to_owned(), number, of, began: Instant::now(), left };
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }

    /// A run has ended so.
    pub(crate) fn ended(&self, number: usize, of: usize, words: &str, left: Duration) {
        let left = if self.view.is_some() { String::new() } else { format!("; {}", about(left)) };
        note(&format!("{number:>4}/{of} {words}{left}"));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.ended.request();
        if let Some(view) = self.view.take() {
            // A view that panicked has said why.
            let _ = view.join();
        }
    }
}

fn lines_of(now: &Mutex<Option<Now>>, columns: usize) -> Vec<String> {
    let now = now.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let Some(now) = now else { return Vec::new() };
    let since = now.began.elapsed();
    let left = about(now.left.saturating_sub(since));
    let done = format!("run {} of {}, {left}", now.number, now.of);
    let what = format!("{} for {} s", now.words, since.as_secs());
    vec![fit(&done, columns), fit(&what, columns)]
}

/// A time that is left, as people say it.
pub(crate) fn about(left: Duration) -> String {
    match left.as_secs() {
        0 => "nearly done".to_owned(),
        _ => format!("about {} left", duration(left)),
    }
}

/// A time in seconds or minutes, whichever a person would say.
pub(crate) fn duration(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..90 => format!("{seconds} s"),
        seconds => format!("{} min", seconds.div_ceil(60)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_said_in_seconds_or_minutes() {
        let of = |seconds| about(Duration::from_secs(seconds));
        assert_eq!([of(0), of(89), of(90)], ["nearly done", "about 89 s left", "about 2 min left"]);
    }
}
