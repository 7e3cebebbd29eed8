//! What may run, against a plain list of all records.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// Where one record of the model is.
#[derive(Debug, Clone, Copy, PartialEq)]
enum At {
    Main,
    Retry { offset: i64, due: i64, runs: bool },
    Coming,
}

/// Records as a plain list: key, origin, place.
#[derive(Debug, Default)]
struct Model {
    records: Vec<(Option<u8>, i64, At)>,
    next_offset: i64,
    next_origin: i64,
    /// Held main records that nobody has been told of since they could move.
    stirred: BTreeMap<i64, u8>,
}

impl Model {
    fn rank(&(_, origin, at): &(Option<u8>, i64, At)) -> (i64, i64) {
        let place = match at {
            At::Main => -1,
            At::Retry { offset, .. } => offset,
            At::Coming => i64::MAX,
        };
        (origin, place)
    }

    fn may_run(&self, index: usize) -> bool {
        let record = &self.records[index];
        let is_first = || {
            let same_key = self.records.iter().filter(|other| other.0 == record.0);
            same_key.map(Self::rank).min() == Some(Self::rank(record))
        };
        record.0.is_none() || is_first()
    }

    fn due(&self, now_ms: i64) -> Vec<i64> {
        let mut due: Vec<(i64, i64)> = Vec::new();
        for (index, (_, _, at)) in self.records.iter().enumerate() {
            if let At::Retry { offset, due: at_ms, runs: false } = at
                && *at_ms <= now_ms
                && self.may_run(index)
            {
                due.push((*at_ms, *offset));
            }
        }
        due.sort_unstable();
        due.into_iter().map(|(_, offset)| offset).collect()
    }

    fn standing(&self, key: u8, origin: i64, followers_max: usize) -> Standing {
        let of_key = || self.records.iter().filter(|record| record.0 == Some(key));
        let in_retry = of_key().filter(|record| record.2 != At::Main).count();
        let is_after_held = of_key().any(|record| record.2 == At::Main && record.1 < origin);
        match in_retry {
            0 if of_key().all(|record| record.1 >= origin) => Standing::Free,
            0 => Standing::Behind,
            n if n > followers_max => Standing::Full,
            _ if is_after_held => Standing::Behind,
            _ => Standing::Parked,
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Step {
    /// A new record of a key (or of none) arrives in retry.
    Arrive(Option<u8>, i64),
    Expect(u8),
    HoldMain(u8),
    /// The n-th record goes on: what is coming arrives, what waits leaves, main is released.
    Next(usize, i64),
    GiveUp(usize),
    Start(usize),
    Postpone(usize, i64),
    /// The n-th record, which waits, fails and is on its way again.
    Fail(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let key = || 0_u8..4;
    prop_oneof![
        3 => (prop::option::weighted(0.8, key()), 0_i64..6).prop_map(|(k, d)| Step::Arrive(k, d)),
        2 => key().prop_map(Step::Expect),
        2 => key().prop_map(Step::HoldMain),
        6 => (any::<usize>(), 0_i64..6).prop_map(|(n, d)| Step::Next(n, d)),
        1 => any::<usize>().prop_map(Step::GiveUp),
        2 => any::<usize>().prop_map(Step::Start),
        2 => (any::<usize>(), 0_i64..6).prop_map(|(n, d)| Step::Postpone(n, d)),
        3 => any::<usize>().prop_map(Step::Fail),
    ]
}

fn sequence(key: &Option<u8>, origin: i64) -> Option<Sequence<'_>> {
    key.as_ref().map(|key| Sequence { key: std::slice::from_ref(key), origin: Offset(origin) })
}

/// Applies a step to both; steps that make no sense for the record they hit do nothing.
fn apply(model: &mut Model, waiting: &mut Waiting<()>, step: Step) {
    let count = model.records.len().max(1);
    let new = |model: &mut Model, key, at| {
        model.next_origin += 1;
        model.records.push((key, model.next_origin, at));
        model.next_origin
    };
    match step {
        Step::Arrive(key, due) => {
            model.next_offset += 1;
            let offset = model.next_offset;
            let origin = new(model, key, At::Retry { offset, due, runs: false });
            waiting.insert_sequenced(Offset(offset), due, 1, (), sequence(&key, origin));
        }
        Step::Expect(key) => {
            let origin = new(model, Some(key), At::Coming);
            waiting.expect(sequence(&Some(key), origin));
        }
        Step::HoldMain(key) => {
            let origin = new(model, Some(key), At::Main);
            waiting.hold_main(sequence(&Some(key), origin));
        }
        Step::Next(n, due) => {
            let Some(&(key, origin, at)) = model.records.get(n % count) else { return };
            match at {
                At::Main => waiting.release_main(sequence(&key, origin)),
                At::Retry { offset, .. } => assert!(waiting.remove(Offset(offset)).is_some()),
                At::Coming => {
                    model.next_offset += 1;
                    let offset = model.next_offset;
                    model.records[n % count].2 = At::Retry { offset, due, runs: false };
                    waiting.insert_sequenced(Offset(offset), due, 1, (), sequence(&key, origin));
                    return;
                }
            }
            model.records.remove(n % count);
        }
        Step::GiveUp(n) => {
            if let Some(&(key, origin, At::Coming)) = model.records.get(n % count) {
                waiting.give_up(sequence(&key, origin));
                model.records.remove(n % count);
            }
        }
        Step::Start(n) => {
            if let Some((_, _, At::Retry { offset, runs, .. })) = model.records.get_mut(n % count) {
                waiting.start(Offset(*offset));
                *runs = true;
            }
        }
        Step::Postpone(n, later) => {
            if let Some((_, _, At::Retry { offset, due, runs })) = model.records.get_mut(n % count)
            {
                waiting.postpone(Offset(*offset), later);
                (*due, *runs) = (later, false);
            }
        }
        Step::Fail(n) => {
            if let Some((key @ Some(_), origin, at)) = model.records.get_mut(n % count)
                && let At::Retry { offset, .. } = *at
            {
                assert!(waiting.remove(Offset(offset)).is_some());
                waiting.expect(sequence(key, *origin));
                *at = At::Coming;
            }
        }
    }
}

proptest! {
    #[test]
    fn what_may_run_is_what_the_rule_says(steps in prop::collection::vec(step(), 0..100)) {
        // No hysteresis to model: the limit is not reached here.
        const FOLLOWERS_MAX: usize = 1000;
        let (mut model, mut waiting) = (Model::default(), Waiting::in_order(FOLLOWERS_MAX));
        for step in steps {
            let standings = |model: &Model| -> BTreeMap<i64, (u8, Standing)> {
                let mains = model.records.iter().filter(|record| record.2 == At::Main);
                mains
                    .map(|&(key, origin, _)| {
                        let key = key.expect("main records have one here");
                        (origin, (key, model.standing(key, origin, FOLLOWERS_MAX)))
                    })
                    .collect()
            };
            let before = standings(&model);
            apply(&mut model, &mut waiting, step);
            for (origin, (key, standing)) in standings(&model) {
                let was = before.get(&origin).map(|(_, standing)| *standing);
                if was == Some(Standing::Behind) && standing != Standing::Behind {
                    model.stirred.insert(origin, key);
                }
            }
            let mut stirred = Vec::new();
            while let Some(offset) = waiting.pop_stirred() {
                stirred.push(offset.0);
            }
            for origin in std::mem::take(&mut model.stirred).into_keys() {
                prop_assert!(stirred.contains(&origin), "{} is free and nobody is told", origin);
            }
            for now_ms in 0..6 {
                let due: Vec<i64> = waiting.due(now_ms).map(|offset| offset.0).collect();
                prop_assert_eq!(&due, &model.due(now_ms));
                for &(_, _, at) in &model.records {
                    if let At::Retry { offset, .. } = at {
                        let may_run = waiting.may_run(Offset(offset), now_ms);
                        prop_assert_eq!(may_run, due.contains(&offset));
                    }
                }
            }
            for key in 0..4 {
                for origin in [1, model.next_origin / 2, model.next_origin + 1] {
                    let expected = model.standing(key, origin, FOLLOWERS_MAX);
                    let seen = waiting.standing(sequence(&Some(key), origin));
                    prop_assert_eq!(seen, expected, "key {} at {}", key, origin);
                }
            }
            let mut parked: Vec<_> =
                model.records.iter().filter(|r| r.2 != At::Main).filter_map(|r| r.0).collect();
            parked.sort_unstable();
            parked.dedup();
            prop_assert_eq!(waiting.parked_keys(), parked.len());
        }
    }
}
