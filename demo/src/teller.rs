//! Tells what happens while it happens, and knows when the story is over.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use consumer::Running;
use service_kit::exit::AppError;
use service_kit::units::DurationArg;

use crate::feed::{Event, Feed, Kind};
use crate::screen::{Color, Screen};
use crate::sending::Sending;
use crate::story::{ORDERS, RETRY_DELAY, STORY_MAX};

/// Time between two frames on a terminal.
const FRAME: Duration = Duration::from_millis(100);
/// Time between two lines elsewhere.
const LINE: Duration = Duration::from_secs(1);
/// Events in view.
const EVENTS_SHOWN: usize = 6;
/// Width of bars, in characters.
const BAR_WIDTH: usize = 30;

/// Numbers of one moment.
struct Snapshot {
    sent: u64,
    consumed: u64,
    counted: u64,
    retried: u64,
    dead_lettered: u64,
    /// Product, count, average.
    averages: Vec<(String, u64, f64)>,
}

impl Snapshot {
    /// Orders that have ended: counted or given up.
    const fn ended(&self) -> u64 {
        self.counted + self.dead_lettered
    }

    /// Orders that failed and have not ended.
    const fn waiting(&self) -> u64 {
        self.consumed.saturating_sub(self.ended())
    }
}

/// See the module.
pub(crate) struct Teller {
    screen: Screen,
    feed: Feed,
    sending: Sending,
    started_at: Instant,
    told_at: Instant,
    events: VecDeque<Event>,
}

impl Teller {
    /// Begins the story.
    pub(crate) fn new(screen: Screen, feed: Feed, sending: Sending, started_at: Instant) -> Self {
        Self { screen, feed, sending, started_at, told_at: started_at, events: VecDeque::new() }
    }

    /// Looks at the pipeline and tells what is due. Returns whether the story is over: the
    /// producer has ended and so has every order that it sent.
    ///
    /// # Errors
    ///
    /// Fails when the producer did, or when the story takes too long.
    pub(crate) fn look(&mut self, app: &Running<'_>) -> Result<bool, AppError> {
        self.events.extend(self.feed.drain());
        let has_ended = self.sending.has_ended()?;
        let snapshot = self.snapshot(app);
        let is_over = has_ended && snapshot.ended() >= snapshot.sent;
        let period = if self.screen.is_live() { FRAME } else { LINE };
        if is_over || self.told_at.elapsed() >= period {
            self.told_at = Instant::now();
            self.tell(&snapshot, is_over);
        }
        if !is_over && self.started_at.elapsed() >= STORY_MAX {
            return Err(AppError::failed(format!(
                "{} of {} orders have ended after {STORY_MAX:?}",
                snapshot.ended(),
                snapshot.sent
            ))
            .hint("run it with RUST_LOG=info to see what it waits for"));
        }
        Ok(is_over)
    }

    /// Whether nobody listens any more.
    pub(crate) const fn is_alone(&self) -> bool {
        self.screen.is_gone()
    }

    /// Orders that Kafka acknowledged, and the screen to go on with.
    pub(crate) fn into_parts(self) -> (u64, Screen) {
        (self.sending.acknowledged(), self.screen)
    }

    fn snapshot(&self, app: &Running<'_>) -> Snapshot {
        let ([consumed, counted, retried, dead_lettered], _) = app.progress();
        let (sent, averages) = (self.sending.acknowledged(), app.averages());
        Snapshot { sent, consumed, counted, retried, dead_lettered, averages }
    }

    fn tell(&mut self, snapshot: &Snapshot, is_over: bool) {
        if self.screen.is_live() {
            while self.events.len() > EVENTS_SHOWN {
                self.events.pop_front();
            }
            let frame = self.frame(snapshot, is_over);
            self.screen.draw(&frame);
        } else {
            let text = self.lines(snapshot);
            self.events.clear();
            self.screen.print(&text);
        }
    }

    /// The block on a terminal. The last one leaves the averages out: their final table follows.
    fn frame(&self, snapshot: &Snapshot, is_over: bool) -> Vec<String> {
        let paint = |text: String, color| self.screen.paint(&text, color);
        let seconds = self.started_at.elapsed().as_secs_f64();
        let mut lines = vec![
            format!(
                "{seconds:5.1} s  [{}] {} of {ORDERS} sent",
                bar(snapshot.sent, ORDERS),
                snapshot.sent
            ),
            format!(
                "         {}   {}   {}   retries {}",
                paint(format!("counted {:>3}", snapshot.counted), Color::Green),
                paint(format!("waiting for a retry {:>2}", snapshot.waiting()), Color::Yellow),
                paint(format!("dead-lettered {:>2}", snapshot.dead_lettered), Color::Red),
                snapshot.retried,
            ),
            String::new(),
        ];
        if !is_over {
            lines.extend(self.table(snapshot));
            lines.push(String::new());
        }
        for event in &self.events {
            lines.push(self.event(event));
        }
        lines
    }

    fn table(&self, snapshot: &Snapshot) -> Vec<String> {
        if snapshot.averages.is_empty() {
            let text = "the consumer joins its group";
            return vec![self.screen.paint(text, Color::Dim)];
        }
        let heading = format!("{:<12} {:>5} {:>11}", "PRODUCT", "COUNT", "AVERAGE");
        let mut lines = vec![self.screen.paint(&heading, Color::Bold)];
        let most = snapshot.averages.iter().map(|(_, count, _)| *count).max().unwrap_or(1);
        for (product, count, average) in &snapshot.averages {
            let bar = self.screen.paint(bar(*count, most).trim_end(), Color::Green);
            lines.push(format!("{product:<12} {count:>5} {average:>11.4}  {bar}"));
        }
        lines
    }

    fn event(&self, event: &Event) -> String {
        let Event { order, product, attempt, kind } = event;
        let (label, color, text) = match kind {
            Kind::Retried => {
                let delay = DurationArg::from(RETRY_DELAY);
                (
                    "retry",
                    Color::Yellow,
                    format!("attempt {attempt} failed, next attempt in {delay}"),
                )
            }
            Kind::Recovered { waited } => {
                let waited = waited.as_secs_f64();
                let text = format!("attempt {attempt} was counted, {waited:.2} s after the last");
                ("recovered", Color::Green, text)
            }
            Kind::DeadLettered { class } if *attempt > 1 => {
                ("dead", Color::Red, format!("attempt {attempt} failed: dead-lettered as {class}"))
            }
            Kind::DeadLettered { class } => {
                ("dead", Color::Red, format!("dead-lettered as {class}, without a retry"))
            }
        };
        let label = self.screen.paint(&format!("{label:<9}"), color);
        format!("{label} {order:<10} {product:<10} {text}")
    }

    /// A line with the numbers, and below it what happened since the last one: all dead letters,
    /// and one event of each other kind.
    fn lines(&self, snapshot: &Snapshot) -> String {
        let seconds = self.started_at.elapsed().as_secs_f64();
        let mut text = format!(
            "{seconds:5.1} s  sent {:>3}, counted {:>3}, waiting for a retry {:>2}, dead-lettered {:>2}",
            snapshot.sent,
            snapshot.counted,
            snapshot.waiting(),
            snapshot.dead_lettered
        );
        if snapshot.consumed == 0 {
            text.push_str("\n  the consumer joins its group");
        } else if let Some((product, count, average)) =
            snapshot.averages.iter().max_by_key(|(_, count, _)| *count)
        {
            let orders = format!("{count} orders");
            let start = format!("{:<9} {orders:<10} {product:<10}", "average");
            text.push_str(&format!("\n  {start} cost {average:.4} on average"));
        }
        let (mut has_retried, mut has_recovered) = (false, false);
        for event in &self.events {
            let was_told = match event.kind {
                Kind::Retried => std::mem::replace(&mut has_retried, true),
                Kind::Recovered { .. } => std::mem::replace(&mut has_recovered, true),
                Kind::DeadLettered { .. } => false,
            };
            if !was_told {
                text.push_str(&format!("\n  {}", self.event(event)));
            }
        }
        text
    }
}

/// A bar of [`BAR_WIDTH`] characters.
fn bar(part: u64, whole: u64) -> String {
    let width = BAR_WIDTH as u64;
    let filled = usize::try_from(part.min(whole) * width / whole.max(1)).unwrap_or(BAR_WIDTH);
    format!("{:<BAR_WIDTH$}", "=".repeat(filled))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_full_at_the_end_and_empty_at_the_start() {
        assert_eq!(bar(0, 160), " ".repeat(BAR_WIDTH));
        assert_eq!(bar(160, 160), "=".repeat(BAR_WIDTH));
        assert_eq!(bar(80, 160).trim_end().len(), BAR_WIDTH / 2);
        assert_eq!(bar(0, 0).trim_end(), "");
    }
}
