//! How far a scan is: a bar at the foot of a terminal, and elsewhere a line every few seconds.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use service_kit::args::LogFormat;
use service_kit::live::{Live, SHOW_EVERY, fit, stdout_columns};
use service_kit::output::note;
use service_kit::shutdown::Shutdown;

use crate::scan::{Place, Watch};

/// Time between two lines where no terminal reads.
const TELL_EVERY: Duration = Duration::from_secs(3);

/// Columns of a bar with its brackets.
const BAR_COLUMNS: usize = 22;

/// Lines every few seconds, each about the partition that is read.
#[derive(Debug)]
pub(crate) struct Lines<F> {
    tell: F,
    next_at: Instant,
}

impl<F: FnMut(&str)> Lines<F> {
    pub(crate) fn new(tell: F) -> Self {
        Self { tell, next_at: Instant::now() + TELL_EVERY }
    }
}

impl<F: FnMut(&str)> Watch for Lines<F> {
    fn at(&mut self, place: Place<'_>, done: u64, all: u64) {
        let now = Instant::now();
        if now < self.next_at {
            return;
        }
        self.next_at = now + TELL_EVERY;
        let Place { topic, partition } = place;
        (self.tell)(&format!("{topic}/{partition}: {done} of {all} offsets"));
    }
}

/// What is printed on stdout while the scan goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Results {
    /// Something for each record.
    AsTheyCome,
    /// Everything at the end.
    AtTheEnd,
}

/// Something that is counted while a scan goes on, and the word for it.
#[derive(Debug, Clone)]
pub(crate) struct Count {
    number: Rc<Cell<u64>>,
    word: &'static str,
}

impl Count {
    pub(crate) fn of(word: &'static str) -> Self {
        Self { number: Rc::default(), word }
    }

    pub(crate) fn set(&self, number: u64) {
        self.number.set(number);
    }
}

/// How far the scan of a whole topic is.
pub(crate) struct Progress {
    what: String,
    state: State,
    live: Option<Live>,
    count: Option<Count>,
    stop: Option<Shutdown>,
    begun_at: Instant,
    next_at: Instant,
}

/// Offsets that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct State {
    /// Of the partitions before the one that is read.
    before: u64,
    /// Of the one that is read.
    here: u64,
    partition: i32,
    whole: u64,
}

impl Progress {
    /// Of `whole` offsets of a topic. A bar has no room beside results that come on the same terminal.
    pub(crate) fn of(topic: &str, whole: u64, format: LogFormat, results: Results) -> Self {
        let is_crowded = results == Results::AsTheyCome && stdout_columns().is_some();
        let live = if is_crowded { None } else { Live::on_stderr(format) };
        let now = Instant::now();
        // Nothing is drawn for what is done at once.
        let next_at = now + if live.is_some() { SHOW_EVERY } else { TELL_EVERY };
        let state = State { whole, partition: -1, ..State::default() };
        let what = topic.to_owned();
        Self { what, state, live, count: None, stop: None, begun_at: now, next_at }
    }

    /// The same, and tells a number beside it.
    pub(crate) fn with(mut self, count: Option<Count>) -> Self {
        self.count = count;
        self
    }

    /// The same, and ends the scan when this asks for it.
    pub(crate) fn until(mut self, stop: Option<Shutdown>) -> Self {
        self.stop = stop;
        self
    }
}

impl Watch for Progress {
    fn at(&mut self, place: Place<'_>, done: u64, _all: u64) {
        let state = &mut self.state;
        if state.partition != place.partition {
            *state = State {
                before: state.before + state.here,
                partition: place.partition,
                here: 0,
                ..*state
            };
        }
        state.here = done;
        let now = Instant::now();
        if now < self.next_at {
            return;
        }
        let count = self.count.as_ref().map(|count| (count.number.get(), count.word));
        let (done, whole) = (state.before + state.here, state.whole);
        let elapsed = now - self.begun_at;
        match &self.live {
            Some(live) => {
                self.next_at = now + SHOW_EVERY;
                let columns = live.size().columns;
                live.show(vec![bar_line(&self.what, done, whole, elapsed, count, columns)]);
            }
            None => {
                self.next_at = now + TELL_EVERY;
                note(&format!("orders: {}", text_line(&self.what, done, whole, elapsed, count)));
            }
        }
    }

    fn wants_stop(&self) -> bool {
        self.stop.as_ref().is_some_and(Shutdown::is_requested)
    }
}

/// `orders-dlq  [=====     ]  45 %  sent 1200  about 3 s left`, cut to the columns of the terminal.
fn bar_line(
    what: &str,
    done: u64,
    whole: u64,
    elapsed: Duration,
    count: Option<(u64, &str)>,
    columns: usize,
) -> String {
    let inner = BAR_COLUMNS - 2;
    let full = usize::try_from(percent(done, whole)).unwrap_or(100) * inner / 100;
    let bar = format!("[{}{}]", "=".repeat(full), " ".repeat(inner - full));
    let rest = rest(done, whole, elapsed, count);
    let name_columns = columns.saturating_sub(bar.len() + rest.len() + 2);
    fit(&format!("{}  {bar}{rest}", fit(what, name_columns)), columns)
}

/// The same where no terminal reads.
fn text_line(
    what: &str,
    done: u64,
    whole: u64,
    elapsed: Duration,
    count: Option<(u64, &str)>,
) -> String {
    format!("{what}: {done} of {whole} offsets{}", rest(done, whole, elapsed, count))
}

fn rest(done: u64, whole: u64, elapsed: Duration, count: Option<(u64, &str)>) -> String {
    let counted = count.map_or_else(String::new, |(number, word)| format!(", {word} {number}"));
    let left = left(done, whole, elapsed)
        .map_or_else(String::new, |left| format!(", about {} left", lasting(left)));
    format!(" {:>3} %{counted}{left}", percent(done, whole))
}

fn percent(done: u64, whole: u64) -> u64 {
    done.min(whole).saturating_mul(100).checked_div(whole).unwrap_or(100)
}

/// How long it takes to the end, if it goes on as it went; none before anything can be said.
fn left(done: u64, whole: u64, elapsed: Duration) -> Option<Duration> {
    if done == 0 || done >= whole {
        return None;
    }
    let seconds = elapsed.as_secs_f64() * (whole - done) as f64 / done as f64;
    Duration::try_from_secs_f64(seconds).ok()
}

/// A time span as people read it: `3 s`, `12 min`, `5 h`.
fn lasting(span: Duration) -> String {
    match span.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use service_kit::live::width;

    use super::*;

    #[test]
    fn a_bar_says_how_much_is_read_what_was_done_and_how_long_it_takes() {
        let line = bar_line("dlq", 250, 1_000, Duration::from_secs(5), Some((40, "sent")), 80);
        assert_eq!(line, "dlq  [=====               ]  25 %, sent 40, about 15 s left");
        let line = text_line("dlq", 1_000, 1_000, Duration::from_secs(5), None);
        assert_eq!(line, "dlq: 1000 of 1000 offsets 100 %");
    }

    #[test]
    fn a_bar_fits_the_terminal_and_the_name_is_cut_before_the_numbers() {
        let name = "日本茶\u{1b}[2J and a topic with a name of any length, as long as 249 letters";
        let count = Some((9_876_543_210, "discarded"));
        for columns in [80, 100] {
            let line = bar_line(name, 1, u64::MAX, Duration::from_secs(9), count, columns);
            assert!(width(&line) <= columns && !line.contains('\u{1b}'), "{line}");
            assert!(line.contains("  0 %, discarded 9876543210"), "{line}");
        }
        assert!(width(&bar_line(name, 1, 2, Duration::ZERO, None, 20)) <= 20);
    }

    #[test]
    fn nothing_is_said_of_the_time_before_it_is_known() {
        assert_eq!(left(0, 10, Duration::from_secs(1)), None);
        assert_eq!(left(10, 10, Duration::from_secs(1)), None);
        assert_eq!(left(1, 61, Duration::from_secs(2)).map(lasting).as_deref(), Some("2 min"));
        assert_eq!(percent(0, 0), 100, "an empty topic is read");
    }

    #[test]
    fn partitions_add_up() {
        let mut progress = Progress::of("dlq", 30, LogFormat::Text, Results::AtTheEnd);
        for (partition, done) in [(0, 3), (0, 10), (2, 1), (2, 4)] {
            progress.at(Place { topic: "dlq", partition }, done, 10);
        }
        assert_eq!((progress.state.before, progress.state.here), (10, 4));
    }

    #[test]
    fn a_scan_ends_when_a_stop_is_asked_for() {
        let stop = Shutdown::new();
        let progress = Progress::of("dlq", 1, LogFormat::Text, Results::AtTheEnd);
        let progress = progress.until(Some(stop.clone()));
        assert!(!progress.wants_stop());
        stop.request();
        assert!(progress.wants_stop());
    }
}
