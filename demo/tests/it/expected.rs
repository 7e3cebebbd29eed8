//! The end of a story, computed from the orders by the published rules: no code of the consumer.

use std::collections::BTreeMap;

use demo::{ORDERS, Story};
use producer::generate::Generator;
use producer::source::{Defect, Outgoing};

/// Numbers that the program must tell.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Expected {
    /// Count and sum, in ten-thousandths, by product.
    pub(crate) products: BTreeMap<String, (u64, i128)>,
    /// Dead letters by class and reason.
    pub(crate) dead: BTreeMap<(String, String), u64>,
    /// Failed attempts that were followed by another one.
    pub(crate) retries: u64,
    /// Orders that were counted at so many attempts.
    pub(crate) counted_at: BTreeMap<u32, u64>,
}

impl Expected {
    pub(crate) fn of(story: &Story) -> Self {
        let mut expected = Self::default();
        let count = usize::try_from(ORDERS).unwrap();
        for outgoing in Generator::new(story.generator()).take(count) {
            expected.add(story, &outgoing);
        }
        expected
    }

    pub(crate) fn counted(&self) -> u64 {
        self.products.values().map(|(count, _)| count).sum()
    }

    pub(crate) fn dead_lettered(&self) -> u64 {
        self.dead.values().sum()
    }

    fn add(&mut self, story: &Story, Outgoing { order, defect }: &Outgoing) {
        if let Some(defect) = defect {
            return self.bury("malformed", reason(*defect));
        }
        if order.price < 0.0 {
            return self.bury("invalid", "negative-price");
        }
        for attempt in 1..=story.max_retries + 1 {
            if fails(&order.order_id, attempt, story) {
                self.retries += u64::from(attempt <= story.max_retries);
                continue;
            }
            let totals = self.products.entry(order.product.clone()).or_default();
            *totals = (totals.0 + 1, totals.1 + ten_thousandths(&order.price.to_string()));
            *self.counted_at.entry(attempt).or_default() += 1;
            return;
        }
        self.bury("transient", "simulated");
    }

    fn bury(&mut self, class: &str, reason: &str) {
        *self.dead.entry((class.to_owned(), reason.to_owned())).or_default() += 1;
    }
}

fn reason(defect: Defect) -> &'static str {
    match defect {
        Defect::NoValue => "no-value",
        Defect::TooShort => "too-short",
        Defect::BadMagic => "bad-magic",
        Defect::CutOff => "avro-decode",
        Defect::TrailingBytes => "trailing-bytes",
    }
}

fn fails(order_id: &str, attempt: u32, story: &Story) -> bool {
    let text = format!("{order_id}:{attempt}:{}", story.seed);
    let share = f64::from(crc32fast::hash(text.as_bytes()) % 10_000);
    share < (story.failure_rate * 10_000.0).round()
}

/// A decimal text of at most four decimals as a whole number of ten-thousandths.
pub(crate) fn ten_thousandths(text: &str) -> i128 {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    assert!(decimals.len() <= 4, "{text}");
    format!("{whole}{decimals:0<4}").parse().unwrap()
}

#[test]
fn the_default_story_has_every_kind_of_ending() {
    let expected = Expected::of(&Story::new(Story::SEED_DEFAULT));
    assert_eq!(expected.counted() + expected.dead_lettered(), ORDERS);
    assert_eq!(expected.counted_at.keys().copied().collect::<Vec<_>>(), [1, 2, 3]);
    for class in ["invalid", "malformed", "transient"] {
        let lying = expected.dead.iter().filter(|((of, _), _)| of == class);
        assert!(lying.map(|(_, count)| count).sum::<u64>() >= 2, "{class}: {expected:?}");
    }
}
