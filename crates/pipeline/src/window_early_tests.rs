use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn settled_above(window: &Window) -> Vec<(i64, i64)> {
    window.completion().settled_ranges(window.position())
}

#[test]
fn an_early_record_is_repeated_when_it_is_fetched_and_is_held_from_then_on() {
    let mut window = Window::new(CommitPosition(10));
    assert_eq!(window.hold_early(Offset(12)), Fetched::New);
    assert_eq!((window.top(), window.position()), (10, CommitPosition(10)));
    assert_eq!(window.fetched(Offset(10)), Fetched::New);
    window.settle_new(Offset(10));
    assert_eq!(window.fetched(Offset(12)), Fetched::Repeated);
    assert_eq!((window.top(), window.position()), (13, CommitPosition(12)));
    window.settle(Offset(12));
    assert_eq!(window.position(), CommitPosition(13));
}

#[test]
fn a_record_that_settles_while_it_is_early_is_a_settled_range_above_the_position() {
    let mut window = Window::new(CommitPosition(0));
    for offset in [4, 6, 5] {
        assert_eq!(window.hold_early(Offset(offset)), Fetched::New);
        window.settle(Offset(offset));
    }
    assert_eq!((window.position(), settled_above(&window)), (CommitPosition(0), vec![(4, 6)]));
    assert_eq!(window.fetched(Offset(0)), Fetched::New);
    window.hold(Offset(0));
    assert_eq!(window.fetched(Offset(4)), Fetched::Settled);
    assert_eq!(window.fetched(Offset(5)), Fetched::Repeated);
    assert_eq!((window.top(), window.unsettled()), (7, 1));
}

#[test]
fn an_early_record_right_at_the_top_moves_the_position_when_it_settles() {
    let mut window = Window::new(CommitPosition(7));
    assert_eq!(window.hold_early(Offset(7)), Fetched::New);
    window.settle(Offset(7));
    assert_eq!((window.top(), window.position()), (8, CommitPosition(8)));
    assert_eq!(window.fetched(Offset(7)), Fetched::Repeated);
}

#[test]
fn a_record_is_held_early_once() {
    let mut window = Window::new(CommitPosition(0));
    assert_eq!(window.hold_early(Offset(3)), Fetched::New);
    assert_eq!(window.hold_early(Offset(3)), Fetched::Repeated);
    window.settle(Offset(3));
    assert_eq!(window.hold_early(Offset(3)), Fetched::Settled);
    window.pass(9);
    assert_eq!(window.hold_early(Offset(8)), Fetched::Repeated);
}

#[test]
fn a_reader_that_is_already_past_an_early_record_leaves_it_held() {
    let mut window = Window::new(CommitPosition(0));
    assert_eq!(window.hold_early(Offset(3)), Fetched::New);
    window.pass(9);
    assert_eq!((window.top(), window.position()), (9, CommitPosition(3)));
    window.settle(Offset(3));
    assert_eq!(window.position(), CommitPosition(9));
}

/// Every second record of many transactions settles early: each is a range of its own.
#[test]
fn the_budget_counts_early_records_as_well() {
    let limit_bytes = Completion::bytes_for_chars(4096);
    let base = 1_i64 << 40;
    let mut window = Window::new(CommitPosition(base));
    for n in 1..20_000 {
        assert_eq!(window.hold_early(Offset(base + n)), Fetched::New);
    }
    let mut next = base + 2;
    while let budget @ 1.. = window.settle_budget(limit_bytes) {
        for _ in 0..budget {
            window.settle(Offset(next));
            next += 2;
        }
    }
    let text = window.completion().encode();
    assert!(text.len() <= 4096 && text.len() > 3900, "{} characters", text.len());
}

/// One thing that happens to a window; offsets count from its start.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// Fetches the next record and settles it in its turn.
    FetchAndSettle,
    /// Fetches the next record and keeps it.
    FetchAndHold,
    /// Holds a record this far above the reader.
    Early(usize),
    /// Settles one of the held records.
    Settle(usize),
    /// Moves to just before the next record.
    Pass,
    /// Starts anew from what would be committed.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::FetchAndSettle),
        3 => Just(Step::FetchAndHold),
        3 => (0_usize..8).prop_map(Step::Early),
        4 => any::<usize>().prop_map(Step::Settle),
        1 => Just(Step::Pass),
        1 => Just(Step::Restart),
    ]
}

/// The same as sets of offsets.
struct Model {
    records: Vec<i64>,
    next: usize,
    held: BTreeSet<i64>,
    settled: BTreeSet<i64>,
}

impl Model {
    fn reader(&self) -> i64 {
        self.next.checked_sub(1).map_or(0, |last| self.records[last] + 1)
    }

    fn apply(&mut self, window: &mut Window, step: Step) {
        match step {
            Step::FetchAndSettle | Step::FetchAndHold => {
                let Some(&x) = self.records.get(self.next) else { return };
                self.next += 1;
                let seen = window.fetched(Offset(x));
                let is_new = !self.held.contains(&x) && !self.settled.contains(&x);
                assert_eq!(seen == Fetched::New, is_new, "offset {x} was {seen:?}");
                if is_new && matches!(step, Step::FetchAndHold) {
                    window.hold(Offset(x));
                    self.held.insert(x);
                } else if is_new {
                    window.settle_new(Offset(x));
                    self.settled.insert(x);
                }
            }
            Step::Early(distance) => {
                let Some(&x) = self.records.get(self.next + distance) else { return };
                let is_new = !self.held.contains(&x) && !self.settled.contains(&x);
                assert_eq!(window.hold_early(Offset(x)) == Fetched::New, is_new, "offset {x}");
                if is_new {
                    self.held.insert(x);
                }
            }
            Step::Settle(index) => {
                let Some(&x) = self.held.iter().nth(index % self.held.len().max(1)) else { return };
                window.settle(Offset(x));
                self.held.remove(&x);
                self.settled.insert(x);
            }
            Step::Pass => {
                if let Some(&x) = self.records.get(self.next) {
                    window.pass(x);
                }
            }
            Step::Restart => {
                let position = window.position();
                let text = window.completion().encode();
                let completion = Completion::decode(&text, position).expect("just written");
                *window = Window::restore(position, &completion);
                assert_eq!(window.completion().encode(), text);
                self.held.clear();
                self.next = self.records.partition_point(|x| *x < position.0);
            }
        }
    }

    /// Nothing unsettled lies below the position, and nothing settled above it is forgotten.
    fn check(&self, window: &Window) {
        let position = window.position();
        let held: Vec<i64> = window.unsettled_offsets().map(|offset| offset.0).collect();
        assert_eq!(held, self.held.iter().copied().collect::<Vec<_>>());
        assert_eq!(window.unsettled(), held.len());
        let lowest = self.records.iter().find(|x| !self.settled.contains(x));
        assert!(lowest.is_none_or(|x| position.0 <= *x), "{position} passes {lowest:?}");
        let fetched_held = self.held.iter().find(|x| **x < window.top());
        assert_eq!(position.0, fetched_held.copied().unwrap_or_else(|| window.top()));
        assert!(window.top() >= self.reader());

        let mut restored = Window::restore(position, &window.completion());
        for &x in self.records.iter().filter(|x| **x >= position.0) {
            let is_new = restored.fetched(Offset(x)) == Fetched::New;
            assert_eq!(is_new, !self.settled.contains(&x), "offset {x} after a restart");
            if is_new {
                restored.hold(Offset(x));
            }
        }
    }
}

proptest! {
    #[test]
    fn after_each_step_nothing_settled_runs_again_and_nothing_unsettled_is_skipped(
        gaps in prop::collection::vec(1_i64..4, 1..40),
        steps in prop::collection::vec(step(), 0..120),
    ) {
        let records = gaps.iter().scan(-1, |x, gap| { *x += gap; Some(*x) }).collect();
        let mut model =
            Model { records, next: 0, held: BTreeSet::new(), settled: BTreeSet::new() };
        let mut window = Window::new(CommitPosition(0));
        for step in steps {
            model.apply(&mut window, step);
            model.check(&window);
        }
        // Once everything was fetched, it is as if nothing had been early.
        while model.next < model.records.len() {
            model.apply(&mut window, Step::FetchAndHold);
        }
        let mut plain = Window::new(window.position());
        for &x in model.records.iter().filter(|x| **x >= window.position().0) {
            match plain.fetched(Offset(x)) {
                Fetched::New if model.settled.contains(&x) => plain.settle_new(Offset(x)),
                Fetched::New => plain.hold(Offset(x)),
                Fetched::Settled | Fetched::Repeated => {}
            }
        }
        prop_assert_eq!(settled_above(&plain).len(), settled_above(&window).len());
        prop_assert_eq!(plain.position(), window.position());
    }
}
