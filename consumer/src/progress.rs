//! Shows how a running consumer is doing: a view on a terminal, log lines elsewhere.

use std::collections::VecDeque;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use relane::{Snapshot, Watcher};
use service_kit::clock::now_ms;
use service_kit::live::{Leave, Live, Paint, SHOW_EVERY};

use crate::products::Products;
use crate::rest::Rest;
use crate::troubles::Troubles;
use crate::view::Picture;

/// Without a terminal there is a line this often while something changes.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// And this often when nothing does.
const LINE_EVERY_WHEN_IDLE: Duration = Duration::from_secs(60);

/// Rates are those of so much time.
const RATE_OVER: Duration = Duration::from_secs(5);

/// A thread that shows how a consumer is doing until [`Progress::end`].
#[derive(Debug)]
pub struct Progress {
    thread: Option<JoinHandle<()>>,
    end: mpsc::Sender<Leave>,
}

impl Progress {
    /// Starts to show it: in the view if there is one, else in the log.
    pub(crate) fn start(watcher: Watcher<Products>, live: Option<Live>) -> Self {
        let (end, ended) = mpsc::channel();
        let run = move || match live {
            Some(live) => show(&watcher, live, &ended),
            None => log(&watcher, &ended),
        };
        let thread = std::thread::Builder::new().name("progress".to_owned()).spawn(run);
        if let Err(error) = &thread {
            tracing::warn!(%error, "progress is not shown");
        }
        Self { thread: thread.ok(), end }
    }

    /// Ends it, and with it the view.
    pub fn end(mut self, leave: Leave) {
        let _ = self.end.send(leave);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // it looks five times a second
        }
    }
}

fn show(watcher: &Watcher<Products>, live: Live, ended: &mpsc::Receiver<Leave>) {
    let paint = Paint::on_stderr();
    let mut course = Course::new();
    loop {
        let now = watcher.snapshot();
        let mut products = Products::default();
        watcher.summaries().iter().for_each(|lane| products.add_all(lane));
        let at = Moment::now();
        course.note(&now, &at);
        let picture = Picture {
            products: &products,
            running_for: at.instant - course.began_at,
            per_second: course.per_second(),
            troubles: &course.troubles.all(),
            rest: Rest::new(&now, course.per_second()),
            now: &now,
            now_ms: at.epoch_ms,
        };
        live.show(picture.lines(live.size(), paint));
        if let Ok(leave) = ended.recv_timeout(SHOW_EVERY) {
            live.end(leave);
            return;
        }
    }
}

fn log(watcher: &Watcher<Products>, ended: &mpsc::Receiver<Leave>) {
    let mut course = Course::new();
    let mut said: Option<(Snapshot, Instant)> = None;
    while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(LINE_EVERY) {
        let (now, at) = (watcher.snapshot(), Moment::now());
        course.note(&now, &at);
        let is_idle = said.as_ref().is_some_and(|(before, _)| now.is_idle_since(before));
        let is_due = said.as_ref().is_none_or(|(_, said_at)| {
            at.instant.duration_since(*said_at) >= LINE_EVERY_WHEN_IDLE - LINE_EVERY / 2
        });
        if !is_idle || is_due {
            say(&now, &course, &at);
            said = Some((now, at.instant));
        }
    }
}

fn say(now: &Snapshot, course: &Course, at: &Moment) {
    let rest = Rest::new(now, course.per_second());
    let troubles: Vec<String> = course.troubles.all().iter().map(|it| it.words()).collect();
    tracing::info!(
        orders_per_second = (course.per_second() * 10.0).round() / 10.0,
        consumed = now.consumed,
        counted = now.succeeded,
        retried = now.retried,
        dead_lettered = now.dead_letters(),
        waiting = now.waiting,
        lag = now.lag,
        left = rest.map(|rest| rest.left()),
        seconds_left = rest.and_then(|rest| rest.takes(at.epoch_ms)).map(|takes| takes.as_secs()),
        not_ready = (!troubles.is_empty()).then(|| troubles.join("; ")),
        "progress"
    );
}

/// A moment on both clocks.
struct Moment {
    instant: Instant,
    epoch_ms: i64,
}

impl Moment {
    fn now() -> Self {
        Self { instant: Instant::now(), epoch_ms: now_ms() }
    }
}

/// What was seen until now.
struct Course {
    began_at: Instant,
    /// Counts of consumed records, the oldest first.
    consumed: VecDeque<(Instant, u64)>,
    troubles: Troubles,
}

impl Course {
    fn new() -> Self {
        let began_at = Instant::now();
        let consumed = VecDeque::from([(began_at, 0)]);
        Self { began_at, consumed, troubles: Troubles::default() }
    }

    /// Takes in what is seen now. What is older than [`RATE_OVER`] is forgotten, but for the last
    /// before.
    fn note(&mut self, now: &Snapshot, at: &Moment) {
        self.troubles.update(&now.reasons, at.instant, at.epoch_ms);
        self.consumed.push_back((at.instant, now.consumed));
        let is_old = |(noted_at, _): &(Instant, u64)| at.instant - *noted_at >= RATE_OVER;
        while self.consumed.get(1).is_some_and(is_old) {
            self.consumed.pop_front();
        }
    }

    fn per_second(&self) -> f64 {
        match (self.consumed.front(), self.consumed.back()) {
            (Some((from, before)), Some((to, now))) if to > from => {
                now.saturating_sub(*before) as f64 / (*to - *from).as_secs_f64()
            }
            _ => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let mut course = Course::new();
        for tenths in 1..=200_u64 {
            let at = Moment {
                instant: course.began_at + Duration::from_millis(tenths * 100),
                epoch_ms: 0,
            };
            let consumed = if tenths <= 100 { tenths * 100 } else { 10_000 + (tenths - 100) * 10 };
            course.note(&Snapshot { consumed, ..Snapshot::default() }, &at);
            if tenths == 100 {
                assert!((course.per_second() - 1_000.0).abs() < 1.0, "{}", course.per_second());
            }
        }
        assert!((course.per_second() - 100.0).abs() < 1.0, "{}", course.per_second());
        assert!(course.consumed.len() <= 52, "what is old is forgotten");
    }

    #[test]
    fn what_changes_nothing_but_words_is_idle() {
        let reason = |condition: &str, detail: &str| service_kit::health::Reason {
            condition: condition.to_owned(),
            detail: detail.to_owned(),
        };
        let before = Snapshot { reasons: vec![reason("broker", "for 4 s")], ..Snapshot::default() };
        let later = Snapshot { reasons: vec![reason("broker", "for 9 s")], ..Snapshot::default() };
        assert!(later.is_idle_since(&before));
        assert!(!Snapshot::default().is_idle_since(&before));
        assert!(!Snapshot { waiting: 1, ..before.clone() }.is_idle_since(&before));
    }
}
