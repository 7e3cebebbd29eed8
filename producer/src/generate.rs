//! Made-up orders: the same seed gives the same orders.

use std::num::NonZeroU32;
use std::time::Duration;

use orders::Order;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};

use crate::source::{Defect, Next, Outgoing, Source};
use service_kit::clock::now_ms;

/// Names of the first products; further ones get a number: `espresso 2`.
const PRODUCTS: [&str; 20] = [
    "espresso",
    "burger",
    "laptop",
    "notebook",
    "bicycle",
    "headphones",
    "teapot",
    "umbrella",
    "keyboard",
    "backpack",
    "desk lamp",
    "novel",
    "sneakers",
    "skateboard",
    "camera",
    "puzzle",
    "garden chair",
    "toaster",
    "wall clock",
    "guitar",
];

const PRICE_CENTS_MIN: u32 = 199;
/// Base prices of products lie in a band of this width above [`PRICE_CENTS_MIN`].
const PRICE_CENTS_SPREAD: u32 = 49_801;
/// A prime, so that neighboring products differ in price.
const PRICE_STEP: u32 = 7_919;
/// A single price lies between 80 and 120 percent of its product's base price.
const PRICE_PERCENT_MIN: u32 = 80;
const PRICE_PERCENT_SPREAD: u32 = 41;
const USER_COUNT: u32 = 1_000;
const QUANTITY_MAX: u32 = 5;

// Separate random streams: planting bad orders does not change the good ones.
const STREAM_ORDERS: u64 = 0;
const STREAM_DEFECTS: u64 = 1;

/// What is generated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GeneratorSettings {
    /// The same seed gives the same orders.
    pub seed: u64,
    /// Number of different products.
    pub products: NonZeroU32,
    /// Share of orders with a negative price, 0 to 1.
    pub negative_rate: f64,
    /// Share of records that are no order at all, 0 to 1.
    pub malformed_rate: f64,
}

impl GeneratorSettings {
    /// Returns settings for good orders of ten products.
    #[must_use]
    pub fn with_seed(seed: u64) -> Self {
        const PRODUCTS: NonZeroU32 = NonZeroU32::new(10).expect("ten is not zero");
        Self { seed, products: PRODUCTS, negative_rate: 0.0, malformed_rate: 0.0 }
    }
}

/// An endless stream of orders; ids are `o-<seed>-<n>`, n from 1.
///
/// Creation times are of the clock, so with schema version 2 they differ from run to run; nothing
/// else does.
#[derive(Debug)]
pub struct Generator {
    settings: GeneratorSettings,
    orders: ChaCha8Rng,
    defects: ChaCha8Rng,
    generated: u64,
}

impl Generator {
    /// Returns the stream for these settings.
    #[must_use]
    pub fn new(settings: GeneratorSettings) -> Self {
        let stream = |number| {
            let mut stream = ChaCha8Rng::seed_from_u64(settings.seed);
            stream.set_stream(number);
            stream
        };
        Self {
            settings,
            orders: stream(STREAM_ORDERS),
            defects: stream(STREAM_DEFECTS),
            generated: 0,
        }
    }
}

impl Iterator for Generator {
    type Item = Outgoing;

    fn next(&mut self) -> Option<Outgoing> {
        self.generated += 1;
        let product = below(&mut self.orders, self.settings.products.get());
        let percent = PRICE_PERCENT_MIN + below(&mut self.orders, PRICE_PERCENT_SPREAD);
        let user = below(&mut self.orders, USER_COUNT);
        let quantity = 1 + below(&mut self.orders, QUANTITY_MAX);
        let is_malformed = happens(&mut self.defects, self.settings.malformed_rate);
        let is_negative = happens(&mut self.defects, self.settings.negative_rate);
        let kind = below(&mut self.defects, 5);

        let id = format!("o-{}-{}", self.settings.seed, self.generated);
        let price = price(base_cents(product) * percent / 100);
        let price = if is_negative { -price } else { price };
        let mut order = Order::new(id, product_name(product), price);
        order.user_id = Some(format!("user-{user}"));
        order.quantity = i32::try_from(quantity).unwrap_or(1);
        order.created_at_ms = Some(now_ms());
        let defect = is_malformed.then(|| Defect::ALL[kind as usize]);
        Some(Outgoing { order, defect })
    }
}

impl Source for Generator {
    fn next(&mut self, _limit: Duration) -> Next {
        Iterator::next(self).map_or(Next::End, Next::Order)
    }
}

/// Returns the name of the product with this number.
#[must_use]
pub fn product_name(number: u32) -> String {
    let count = u32::try_from(PRODUCTS.len()).unwrap_or(1);
    let name = PRODUCTS[(number % count) as usize];
    match number / count {
        0 => name.to_owned(),
        round => format!("{name} {}", round + 1),
    }
}

fn base_cents(product: u32) -> u32 {
    PRICE_CENTS_MIN + product.wrapping_mul(PRICE_STEP) % PRICE_CENTS_SPREAD
}

/// The float nearest to so many cents: both operands are exact and a division rounds once.
#[expect(clippy::cast_precision_loss, reason = "cents are far below 2^24")]
fn price(cents: u32) -> f32 {
    cents as f32 / 100.0
}

/// A number below `bound`. Not `random_range`: its choice may change with the library's version,
/// and the same seed must give the same orders.
fn below(stream: &mut ChaCha8Rng, bound: u32) -> u32 {
    let wide = u64::from(stream.next_u32()) * u64::from(bound);
    u32::try_from(wide >> 32).unwrap_or(0)
}

fn happens(stream: &mut ChaCha8Rng, rate: f64) -> bool {
    let drawn = f64::from(stream.next_u32()) / (f64::from(u32::MAX) + 1.0);
    drawn < rate
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// What is the same in every run: everything but the time.
    fn taken(settings: GeneratorSettings, count: usize) -> Vec<Outgoing> {
        let without_time = |mut outgoing: Outgoing| {
            outgoing.order.created_at_ms = None;
            outgoing
        };
        Generator::new(settings).map(without_time).take(count).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_orders_and_another_seed_gives_others() {
        let settings = GeneratorSettings::with_seed(7);
        assert_eq!(taken(settings, 500), taken(settings, 500));
        let prices = |seed| -> Vec<f32> {
            let orders = taken(GeneratorSettings::with_seed(seed), 500);
            orders.into_iter().map(|outgoing| outgoing.order.price).collect()
        };
        assert_ne!(prices(7), prices(8));
    }

    #[test]
    fn seeds_keep_their_orders_across_versions_of_this_program() {
        let first = &taken(GeneratorSettings::with_seed(42), 1)[0].order;
        let written = format!("{} {} {}", first.order_id, first.product, first.price);
        assert_eq!(written, PINNED_FIRST_ORDER_OF_SEED_42);
    }

    /// Changing it breaks every script that names a seed.
    const PINNED_FIRST_ORDER_OF_SEED_42: &str = "o-42-1 laptop 171.59";

    #[test]
    fn planting_bad_orders_leaves_the_good_ones_as_they_are() {
        let good = taken(GeneratorSettings::with_seed(7), 1_000);
        let rates = GeneratorSettings {
            negative_rate: 0.2,
            malformed_rate: 0.1,
            ..GeneratorSettings::with_seed(7)
        };
        let mixed = taken(rates, 1_000);
        for (good, mixed) in good.iter().zip(&mixed) {
            assert_eq!(good.order.order_id, mixed.order.order_id);
            assert_eq!(good.order.price, mixed.order.price.abs());
        }
        let negative = mixed.iter().filter(|outgoing| outgoing.order.price < 0.0).count();
        let malformed = mixed.iter().filter(|outgoing| outgoing.defect.is_some()).count();
        assert!((150..250).contains(&negative), "{negative} of 200 expected");
        assert!((70..130).contains(&malformed), "{malformed} of 100 expected");
        let kinds: HashSet<Defect> = mixed.iter().filter_map(|outgoing| outgoing.defect).collect();
        assert_eq!(kinds.len(), Defect::ALL.len());
    }

    #[test]
    fn rates_of_zero_and_one_are_never_and_always() {
        let rates = |negative_rate, malformed_rate| GeneratorSettings {
            negative_rate,
            malformed_rate,
            ..GeneratorSettings::with_seed(1)
        };
        for outgoing in taken(rates(0.0, 0.0), 1_000) {
            assert!(outgoing.order.price > 0.0 && outgoing.defect.is_none());
        }
        for outgoing in taken(rates(1.0, 1.0), 1_000) {
            assert!(outgoing.order.price < 0.0 && outgoing.defect.is_some());
        }
    }

    #[test]
    fn prices_have_whole_cents() {
        for outgoing in taken(GeneratorSettings::with_seed(3), 1_000) {
            let written = outgoing.order.price.to_string();
            let cents = written.split_once('.').map_or("", |(_, cents)| cents);
            assert!(cents.len() <= 2, "{written}");
        }
    }

    #[test]
    fn there_are_as_many_products_as_asked_for() {
        let products = NonZeroU32::new(50).unwrap();
        let settings = GeneratorSettings { products, ..GeneratorSettings::with_seed(5) };
        let names: HashSet<String> =
            taken(settings, 5_000).into_iter().map(|outgoing| outgoing.order.product).collect();
        assert_eq!(names.len(), 50);
        assert!(names.contains("espresso") && names.contains("espresso 3"));
    }

    #[test]
    fn a_defect_damages_the_frame_in_its_own_way() {
        let frame = [0, 0, 0, 0, 1, 6, b'o', b'-', b'1', 2, b'p', 0, 0, 0, 0];
        let damaged = |defect: Defect| defect.apply(&mut frame.to_vec()).map(<[u8]>::to_vec);
        assert_eq!(damaged(Defect::NoValue), None);
        assert_eq!(damaged(Defect::TooShort).unwrap().len(), 4);
        assert_ne!(damaged(Defect::BadMagic).unwrap()[0], 0);
        assert_eq!(damaged(Defect::CutOff).unwrap(), frame[..6]);
        assert_eq!(damaged(Defect::TrailingBytes).unwrap().len(), frame.len() + 3);
    }
}
