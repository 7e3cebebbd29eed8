//! How fast calls are made.

use std::time::{Duration, Instant};

use crate::receiver::{Call, Receiver, Reply};
use crate::rig::Rig;

const RECORDS: usize = 10_000;
const CONCURRENCY: usize = 64;
/// What the service takes for each call.
const TAKES: Duration = Duration::from_millis(20);
/// Most that the whole may take, as a multiple of what the calls alone take.
const RATIO_MAX: f64 = 1.3;
/// What else the machine does only makes it longer: the best of so many counts.
const TRIES_MAX: usize = 3;

mod alone {
    use testkit::machine;

    use super::*;

    #[test]
    fn ten_thousand_records_take_little_longer_than_their_calls() {
        let _machine = machine::alone();
        let mut ratios = Vec::new();
        while ratios.len() < TRIES_MAX && ratios.iter().all(|ratio| *ratio >= RATIO_MAX) {
            ratios.push(ratio());
        }
        assert!(
            ratios.iter().any(|ratio| *ratio < RATIO_MAX),
            "{ratios:.2?} of what the calls take"
        );
    }

    /// What the whole takes, as a multiple of what the calls alone take.
    fn ratio() -> f64 {
        let rig = Rig::new(1);
        rig.send((0..RECORDS).map(|n| ("k", n.to_string())));
        let receiver = Receiver::start(|_, _| Reply::after(TAKES));
        rig.push_all(&receiver.url(), &["--lanes", "1", "--concurrency", "64"]);
        let calls = receiver.calls();
        assert_eq!(calls.len(), RECORDS, "each record is called once");
        let begin = calls.iter().map(|call| call.at).min().expect("there are some");
        let end: Instant = calls.iter().filter_map(|call| call.answered_at).max().expect("some");
        // What the service really took: a machine that is busy lets it wait as well.
        let took =
            |call: &Call| call.answered_at.map_or(TAKES, |answered_at| answered_at - call.at);
        let floor = calls.iter().map(took).sum::<Duration>().as_secs_f64() / CONCURRENCY as f64;
        (end - begin).as_secs_f64() / floor
    }
}
