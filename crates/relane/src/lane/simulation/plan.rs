//! What a seed chooses: the settings of the lanes, the orders, and how much goes wrong.

use std::time::Duration;

use kafka_io::writer::Guarantee;
use pipeline::dead_letter_limit::DeadLetterLimits;
use pipeline::retry::RetryPlan;
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

use crate::clock::now_ms;
use crate::lane::faulty::{Bug, planted};
use crate::lane::settings::LaneSettings;
use crate::lane::simulation::business::{Kind, Order};
use crate::settings::{KeyOrdering, OnDeadLetter, OnDeadLetterLimit, PipelineName, Topics};
use crate::stage::{SettingNames, Words};

/// The group of all schedules.
pub(crate) const GROUP: &str = "simulation";

/// The topic that is read.
pub(crate) const MAIN: &str = "orders";

/// Topics of all schedules.
pub(crate) fn topics() -> Topics {
    Topics {
        main: MAIN.to_owned(),
        retry: "orders-retry".to_owned(),
        dead_letter: "orders-dlq".to_owned(),
        state: Some("orders-averages".to_owned()),
        outcomes: Some("orders-outcomes".to_owned()),
        output: Some("orders-output".to_owned()),
    }
}

/// Limits that count, and that no schedule comes to.
fn never_reached() -> DeadLetterLimits {
    DeadLetterLimits::new(1.0, u32::MAX).expect("limits that can work")
}

/// See the module.
/// A handler that hangs is given up after this time.
const HANDLER_TIMEOUT: Duration = Duration::from_millis(700);

#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) guarantee: Guarantee,
    pub(crate) partitions: i32,
    pub(crate) processes_max: usize,
    /// Processes have an instance id each: static members, stable transactional ids.
    pub(crate) has_instances: bool,
    pub(crate) order: KeyOrdering,
    pub(crate) dedupe: Option<u32>,
    pub(crate) retries_max: u32,
    pub(crate) delays_ms: Vec<u64>,
    pub(crate) latency: Duration,
    pub(crate) concurrency: usize,
    pub(crate) turn_records_max: usize,
    pub(crate) waiting_records_max: usize,
    pub(crate) metadata_chars_max: usize,
    /// The retry topic takes small records only.
    pub(crate) has_narrow_retry: bool,
    pub(crate) away_ms: (i64, i64),
    /// Other tools change the group's offsets.
    pub(crate) has_resets: bool,
    pub(crate) orders: usize,
    pub(crate) keys: u32,
    pub(crate) faults: usize,
    /// Turns in which things go wrong; after them everything heals.
    pub(crate) turns: usize,
}

impl Plan {
    /// Seeds go through the four modes one after the other.
    pub(crate) fn of(seed: u64) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let random = &mut random;
        let order = if seed & 1 == 0 {
            KeyOrdering::None
        } else {
            KeyOrdering::Key {
                followers_max: if random.random_bool(0.3) {
                    random.random_range(1..4)
                } else {
                    1_000
                },
                on_dead_letter: if random.random_bool(0.4) {
                    OnDeadLetter::Hold
                } else {
                    OnDeadLetter::Release
                },
            }
        };
        let dedupe = (seed & 2 != 0).then(|| random.random_range(1..12));
        let has_latency = random.random_bool(0.25);
        let away_at = random.random_range(0..400);
        let away_for = if random.random_bool(0.2) { random.random_range(1..2_000) } else { 0 };
        let small = |random: &mut SmallRng, share, small: std::ops::Range<usize>, large| {
            if random.random_bool(share) { random.random_range(small) } else { large }
        };
        Self {
            seed,
            guarantee: Guarantee::ExactlyOnce,
            partitions: random.random_range(1..4),
            processes_max: random.random_range(1..4),
            has_instances: random.random_bool(0.4),
            order,
            dedupe,
            retries_max: random.random_range(1..4),
            delays_ms: (0..3).map(|_| random.random_range(1..300)).collect(),
            latency: Duration::from_millis(if has_latency {
                random.random_range(1..40)
            } else {
                0
            }),
            concurrency: random.random_range(1..16),
            turn_records_max: small(random, 0.6, 1..8, 1_000),
            waiting_records_max: small(random, 0.2, 1..6, 1_000),
            metadata_chars_max: small(random, 0.3, 32..80, 4_096),
            away_ms: (now_ms() + away_at, now_ms() + away_at + away_for),
            has_narrow_retry: random.random_bool(0.2),
            orders: random.random_range(5..50),
            keys: random.random_range(1..6),
            faults: random.random_range(0..9),
            turns: random.random_range(40..160),
            has_resets: random.random_bool(0.3),
        }
    }

    /// Settings of a lane, with an instance id if the plan has them.
    pub(crate) fn settings(&self, instance: usize) -> LaneSettings {
        let delays = self.delays_ms.iter().map(|ms| Duration::from_millis(*ms)).collect();
        LaneSettings {
            name: PipelineName::of("simulation"),
            words: Words {
                program: "simulation",
                records: "orders",
                state: "averages",
                settings: SettingNames { state: "state_topic({})", ..SettingNames::default() },
            },
            topics: topics(),
            group: GROUP.to_owned(),
            partitions: self.partitions,
            guarantee: self.guarantee,
            plan: RetryPlan::new(self.retries_max, delays, 0.5).expect("a plan within the limits"),
            order: self.order_of_lanes(),
            dedupe: self.dedupe,
            handler_timeout: HANDLER_TIMEOUT,
            concurrency: self.concurrency,
            turn_records_max: self.turn_records_max,
            waiting_records_max: self.waiting_records_max,
            dead_letter_limits: Some(never_reached()),
            on_dead_letter_limit: OnDeadLetterLimit::Pause,
            accepts_gap: false,
            writes_connect_headers: false,
            instance_id: self.has_instances.then(|| format!("i{instance}")),
            main_ends: None,
            bootstrap_servers: "model:9092".to_owned(),
        }
    }

    /// The order that lanes are told to keep: another, where that bug is planted.
    fn order_of_lanes(&self) -> KeyOrdering {
        match self.order {
            KeyOrdering::Key { followers_max, .. } if planted() == Some(Bug::FollowersKept) => {
                KeyOrdering::Key { followers_max, on_dead_letter: OnDeadLetter::Release }
            }
            order => order,
        }
    }

    /// The next order and its key.
    pub(crate) fn order(&self, serial: u64, random: &mut SmallRng) -> (Option<String>, Order) {
        let kind = match random.random_range(0..20) {
            0 => Kind::Poison,
            1 => Kind::Invalid,
            2..=7 => Kind::Flaky(random.random_range(1..self.retries_max + 2)),
            8 if random.random_bool(0.5) => Kind::Early(now_ms() + random.random_range(0..800)),
            _ => Kind::Fine,
        };
        let is_again = self.dedupe.is_some() && random.random_bool(0.3);
        let id = if is_again { serial.saturating_sub(random.random_range(1..6)) } else { serial };
        let key = random.random_range(0..=self.keys);
        let order = Order {
            serial,
            id: format!("o{id}"),
            product: format!("p{}", random.random_range(0..3)),
            amount: random.random_range(0..4_000_000_000_i128),
            kind,
            is_large: random.random_bool(0.15),
        };
        ((key > 0).then(|| format!("k{key}")), order)
    }
}
