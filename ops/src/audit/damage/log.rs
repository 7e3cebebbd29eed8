//! A right log of ten orders in partition 0, in memory.
//!
//! | order | becomes |
//! |---|---|
//! | 3 | a dead letter at once: its price is negative |
//! | 5 | retried, then counted |
//! | 6 | waits in retry |
//! | 7 | retried, then a dead letter |
//! | others | counted |

use kafka_io::member::Committed;
use kafka_io::native::RecordHeaders;
use kafka_io::reader::HeldRecord;
use order_schemas::{OrderOutcome, Outcome, ProductAverage};
use orders::{Amount, Order};
use pipeline::failure::{Failure, FailureReason};
use pipeline::headers::{Dialects, HeaderEdit, Hop, Origin};
use pipeline::record::{CommitPosition, Offset, Timestamp, TimestampType};
use pipeline::window::Window;

use crate::audit::books::Books;
use crate::audit::borrowed::Borrowed;
use crate::audit::cut::{AllBounds, Begins, Cut, Offsets, Settled};
use crate::audit::flags::{Flags, Settings};
use crate::audit::orders_read::Value;
use crate::audit::report::Report;
use crate::audit::surroundings::Surroundings;
use crate::scan::Bounds;

/// When everything happens, in epoch milliseconds.
pub(crate) const NOW_MS: i64 = 1_790_000_000_000;
/// How dead letters of orders speak to other tools.
pub(crate) const OURS: Dialects<'_> = Dialects { connect: false, name: "orders" };
const PRODUCTS: [&str; 2] = ["tea", "cake"];

/// A record before it is sent.
#[derive(Debug, Clone)]
pub(crate) struct Rec {
    pub(crate) offset: i64,
    pub(crate) timestamp: Timestamp,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Rec {
    pub(crate) fn new(key: &str, value: &[u8]) -> Self {
        Self {
            offset: 0,
            timestamp: Timestamp { ms: NOW_MS, kind: TimestampType::CreateTime },
            key: Some(key.as_bytes().to_vec()),
            value: Some(value.to_vec()),
            headers: Vec::new(),
        }
    }

    fn hold(&self) -> HeldRecord {
        let boxed = |bytes: &Option<Vec<u8>>| bytes.clone().map(Vec::into_boxed_slice);
        let mut headers = RecordHeaders::new();
        for (name, value) in &self.headers {
            headers.add(name.as_bytes(), value.as_deref());
        }
        HeldRecord {
            partition: 0,
            offset: Offset(self.offset),
            timestamp: self.timestamp,
            key: boxed(&self.key),
            value: boxed(&self.value),
            headers: (!self.headers.is_empty()).then_some(headers),
        }
    }

    pub(crate) fn header(&mut self, name: &str) -> &mut Option<Vec<u8>> {
        let found = self.headers.iter_mut().find(|(found, _)| found == name);
        &mut found.unwrap_or_else(|| panic!("{name} is there")).1
    }

    /// Replaces a header's value, or adds it.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.headers.retain(|(found, _)| found != name);
        self.headers.push((name.to_owned(), Some(value.as_bytes().to_vec())));
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.headers.retain(|(found, _)| found != name);
    }

    pub(crate) fn double(&mut self, name: &str) {
        let value = self.header(name).clone();
        self.headers.push((name.to_owned(), value));
    }
}

/// Everything that lies in the topics of one partition.
pub(crate) struct Log {
    pub(crate) flags: Flags,
    pub(crate) compacted: Vec<&'static str>,
    pub(crate) orders: Vec<(Rec, Value)>,
    pub(crate) retries: Vec<Rec>,
    pub(crate) dead_letters: Vec<Rec>,
    pub(crate) averages: Vec<(Rec, Option<ProductAverage>)>,
    pub(crate) outcomes: Vec<(Rec, OrderOutcome)>,
    pub(crate) main: Window,
    pub(crate) retry: Window,
    /// First offsets of main, retry, dead letters and outcomes.
    pub(crate) lows: [i64; 4],
    /// Committed offset and metadata, where they are not those of the windows.
    pub(crate) committed: [Option<(i64, String)>; 2],
}

pub(crate) fn offset(at: usize) -> i64 {
    i64::try_from(at).expect("few")
}

pub(crate) fn amount(n: u8) -> Amount {
    Amount::from_price(f32::from(n) + 0.1).expect("a valid price")
}

impl Log {
    /// A log in which everything is right.
    pub(crate) fn right() -> Self {
        let mut log = Self::of((0..10).map(|n| (n, format!("o-{n}"))));
        (0..10).for_each(|offset| log.main.settle_new(Offset(offset)));
        (0..3).for_each(|offset| log.retry.hold(Offset(offset)));
        [0, 2].into_iter().for_each(|offset| log.retry.settle(Offset(offset)));
        log.retries = [5, 6, 7].map(|n| log.retry_of(n, 1, 1_000)).to_vec();
        log.dead_letters = vec![
            log.dead_letter_of(3, 1, FailureReason::NegativePrice),
            log.dead_letter_of(7, 2, FailureReason::Simulated),
        ];
        log.averages = vec![log.average("tea", &[0, 2, 4, 8]), log.average("cake", &[1, 5, 9])];
        let first = |n: i64| match n {
            3 => Outcome::DeadLettered,
            5..=7 => Outcome::Retried,
            _ => Outcome::Succeeded,
        };
        log.outcomes = (0..9).map(|n| log.outcome(n, 1, first(n))).collect();
        // Order 9 comes last, so that the orders of each key end in their order.
        log.outcomes.push(log.outcome(5, 2, Outcome::Succeeded));
        log.outcomes.push(log.outcome(7, 2, Outcome::DeadLettered));
        log.outcomes.push(log.outcome(9, 1, Outcome::Succeeded));
        log
    }

    /// Orders of which nothing is settled. The price of the fourth is negative.
    pub(crate) fn of(ids: impl Iterator<Item = (u8, String)>) -> Self {
        let order = |(n, id): (u8, String)| {
            let product = PRODUCTS[usize::from(n % 2)];
            let mut rec = Rec::new(product, &[0, 0, 0, 0, 7, n, n, n]);
            rec.headers.push(("trace".to_owned(), Some(vec![n])));
            rec.timestamp.ms = NOW_MS - i64::from(n);
            let order = Order::new(id, product, if n == 3 { -1.0 } else { f32::from(n) + 0.1 });
            let value = match n {
                3 => Value::Invalid(order, FailureReason::NegativePrice),
                _ => Value::Good(order, amount(n)),
            };
            (rec, value)
        };
        Self {
            flags: Flags::default(),
            compacted: Vec::new(),
            orders: ids
                .map(order)
                .enumerate()
                .map(|(at, (rec, value))| (Rec { offset: offset(at), ..rec }, value))
                .collect(),
            retries: Vec::new(),
            dead_letters: Vec::new(),
            averages: Vec::new(),
            outcomes: Vec::new(),
            main: Window::new(CommitPosition(0)),
            retry: Window::new(CommitPosition(0)),
            lows: [0; 4],
            committed: [None, None],
        }
    }

    fn hop(
        &self,
        n: usize,
        attempt: u32,
        reason: Option<FailureReason>,
        to: impl Fn(&Hop<'_>) -> HeaderEdit,
    ) -> Rec {
        let (order, _) = &self.orders[n];
        let origin = Origin {
            topic: "orders".to_owned(),
            partition: 0,
            offset: order.offset,
            timestamp: order.timestamp,
            group: "order-consumer".to_owned(),
        };
        self.hop_of(order, &origin, attempt, reason, to)
    }

    /// What a hop makes of a record.
    pub(crate) fn hop_of(
        &self,
        record: &Rec,
        origin: &Origin,
        attempt: u32,
        reason: Option<FailureReason>,
        to: impl Fn(&Hop<'_>) -> HeaderEdit,
    ) -> Rec {
        let failure = reason.map(|reason| Failure {
            reason,
            schema_id: codec::frame::schema_id(record.value.as_deref()),
            detail: "by hand".to_owned(),
        });
        let hop = Hop {
            origin,
            carries_lineage: false,
            carries_first_failed: false,
            attempt,
            failure: failure.as_ref(),
            now_ms: NOW_MS,
        };
        let mut made = Rec { offset: 0, ..record.clone() };
        made.timestamp.ms = NOW_MS + 5;
        let edit = to(&hop);
        made.headers.retain(|(name, _)| !edit.remove.contains(&name.as_str()));
        made.headers
            .extend(edit.add.into_iter().map(|(name, value)| (name.to_owned(), Some(value))));
        made
    }

    /// The record of order `n` in the retry topic.
    pub(crate) fn retry_of(&self, n: usize, attempt: u32, due_at_ms: i64) -> Rec {
        let reason = (attempt > 0).then_some(FailureReason::Simulated);
        self.hop(n, attempt, reason, |hop| hop.to_retry(due_at_ms))
    }

    /// The dead letter of order `n`.
    pub(crate) fn dead_letter_of(&self, n: usize, attempt: u32, reason: FailureReason) -> Rec {
        self.dead_letter_in(n, attempt, reason, OURS, true)
    }

    pub(crate) fn dead_letter_in(
        &self,
        n: usize,
        attempt: u32,
        reason: FailureReason,
        dialects: Dialects<'_>,
        with_detail: bool,
    ) -> Rec {
        self.hop(n, attempt, Some(reason), |hop| hop.to_dead_letter(dialects, with_detail))
    }

    /// The partial of a product over these orders.
    pub(crate) fn average(&self, product: &str, of: &[u8]) -> (Rec, Option<ProductAverage>) {
        let sum: Amount = of.iter().map(|n| amount(*n)).sum();
        let average = orders::average(sum, of.len() as u64).expect("some orders");
        let count = offset(of.len());
        let mut rec = Rec::new(product, b"average");
        let position = |window: &Window| window.position().to_string();
        rec.set("x-group", "order-consumer");
        rec.set("x-main-offset", &position(&self.main));
        rec.set("x-retry-offset", &position(&self.retry));
        let product = product.to_owned();
        (rec, Some(ProductAverage { product, count, sum, average, updated_at_ms: NOW_MS }))
    }

    /// An entry of the outcome log.
    pub(crate) fn outcome(&self, n: i64, attempt: i32, outcome: Outcome) -> (Rec, OrderOutcome) {
        let (order, value) = &self.orders[usize::try_from(n).expect("an order")];
        let (order_id, product) = value.names();
        let class = match outcome {
            Outcome::Retried => Some("transient"),
            Outcome::DeadLettered if n == 3 => Some("invalid"),
            Outcome::DeadLettered => Some("transient"),
            _ => None,
        };
        let told = OrderOutcome {
            order_id: order_id.to_owned(),
            product: product.to_owned(),
            origin_partition: 0,
            origin_offset: order.offset,
            attempt,
            outcome,
            failure_class: class.map(Into::into),
            settled_at_ms: NOW_MS,
        };
        (Rec { key: order.key.clone(), ..Rec::new("", b"outcome") }, told)
    }

    fn settled(&self, window: &Window, which: usize) -> Settled {
        let committed = match &self.committed[which] {
            Some((position, text)) => {
                Committed { position: Some(CommitPosition(*position)), metadata: text.clone() }
            }
            None => Committed {
                position: Some(window.position()),
                metadata: window.completion().encode(),
            },
        };
        Settled::of(&committed).expect("a version that is known")
    }

    /// Gives everything to the books.
    pub(crate) fn audit(&self, with_outcomes: bool) -> Report {
        let outcomes_topic = with_outcomes.then(|| "outcomes".to_owned());
        let flags = Flags { outcomes_topic, ..self.flags.clone() };
        let settings = Settings::check(&flags).expect("settings are good");
        let surroundings = Surroundings::with_compacted(&self.compacted);
        let offsets =
            Offsets { main: self.settled(&self.main, 0), retry: self.settled(&self.retry, 1) };
        let [main, retry, dead_letter, outcomes] = self.lows;
        let end = self.orders.last().map_or(main, |(rec, _)| rec.offset + 1).max(main);
        let bounds = |low, length: usize| Bounds { low, end: offset(length).max(low) };
        let bounds = AllBounds {
            main: Bounds { low: main, end },
            retry: bounds(retry, self.retries.len()),
            dead_letter: bounds(dead_letter, self.dead_letters.len()),
            averages: bounds(0, self.averages.len()),
            outcomes: bounds(outcomes, self.outcomes.len()),
        };
        let (before, after, begins) = (offsets.clone(), offsets, Begins::default());
        let cut = Cut { partition: 0, begins, before, after, bounds };
        let mut books = Books::new(&settings, &surroundings, cut);
        let from = |low: i64| usize::try_from(low).expect("an offset");
        let placed = |at: usize, rec: &Rec| Rec { offset: offset(at), ..rec.clone() }.hold();
        for (at, (rec, average)) in self.averages.iter().enumerate() {
            books.take_average(&Borrowed::of_held(&placed(at, rec)), Ok(average.clone()));
        }
        books.adopt_notes();
        for (at, rec) in self.retries.iter().enumerate().skip(from(retry)) {
            books.take_retry(&placed(at, rec), |record| self.stranger(record));
        }
        for (at, rec) in self.dead_letters.iter().enumerate().skip(from(dead_letter)) {
            books.take_dead_letter(&placed(at, rec));
        }
        if with_outcomes {
            for (at, (rec, told)) in self.outcomes.iter().enumerate().skip(from(outcomes)) {
                books.take_outcome(&placed(at, rec), Ok(told.clone()));
            }
        }
        books.before_orders();
        for (rec, value) in self.orders.iter().filter(|(rec, _)| rec.offset >= main) {
            books.take_order(rec.offset, rec.key.as_deref(), value, || rec.hold());
        }
        books.close();
        books.report
    }

    /// A record of another program in the retry topic costs 2.5 and is called by its value.
    #[expect(clippy::unused_self, reason = "what a record is worth belongs to the log")]
    fn stranger(&self, record: &HeldRecord) -> Value {
        match record.value.as_deref().map(std::str::from_utf8) {
            Some(Ok(id)) if !id.is_empty() => {
                let price = Amount::from_price(2.5).expect("a valid price");
                Value::Good(Order::new(id, "rice", 2.5), price)
            }
            _ => Value::Bad(FailureReason::NoValue),
        }
    }
}
