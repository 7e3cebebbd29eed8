//! Without a terminal: lines, and numbers that anyone can check.

use std::collections::BTreeMap;
use std::time::Duration;

use demo::{ORDERS, Story};

use crate::expected::{Expected, ten_thousandths};
use crate::program::{Finished, Running, demo};

/// What the program promises.
const STORY_MAX: Duration = Duration::from_secs(20);

#[test]
fn two_stories_at_once_end_in_time_with_the_numbers_of_their_seeds() {
    let seeds = [Story::SEED_DEFAULT, 2026];
    let running = seeds.map(|seed| Running::start(demo(&["--seed", &seed.to_string()])));
    let [default, other] = running.map(Running::finish);
    for (seed, finished) in seeds.into_iter().zip([&default, &other]) {
        assert_eq!(finished.code, Some(0), "{finished:#?}");
        assert!(finished.duration < STORY_MAX, "{:?}", finished.duration);
        assert_eq!(finished.stderr, "");
        assert!(!finished.stdout.contains('\x1b'), "no terminal, no escapes");
        assert_numbers(&Expected::of(&Story::new(seed)), finished);
    }
    assert_words(&default.stdout);
    assert_begins_soon(&default.stdout);
}

/// The consumer is let into its group at once: a group of the mock as it comes waits for 3 s, in
/// which 60 orders are
/// sent.
#[track_caller]
fn assert_begins_soon(stdout: &str) {
    const SENT_MAX: u64 = 50;
    let number = |line: &str, name: &str| {
        let rest = line.split_once(name)?.1;
        rest.trim_start().split(',').next()?.parse::<u64>().ok()
    };
    let mut status = stdout
        .lines()
        .filter_map(|line| Some((number(line, "  sent ")?, number(line, ", counted ")?)));
    let (sent, counted) = status.find(|(_, counted)| *counted > 0).expect("a line that counts");
    assert!(sent <= SENT_MAX, "{sent} were sent when the first {counted} were counted: {stdout}");
}

/// It says at first what it runs on, then what happens, and at last how to go on.
#[track_caller]
fn assert_words(stdout: &str) {
    let first = stdout.lines().take(5).collect::<Vec<_>>().join(" ");
    for words in ["in-process mock", "at-least-once", "exactly-once", "make test"] {
        assert!(first.contains(words), "{words}: {first}");
    }
    let told = |words: &str| stdout.lines().any(|line| line.contains(words));
    for words in [
        "attempt 1 failed, next attempt in 1s",
        "attempt 2 was counted, 1.",
        "attempt 3 failed: dead-lettered as transient",
        "dead-lettered as invalid, without a retry",
        "dead-lettered as malformed, without a retry",
    ] {
        assert!(told(words), "{words}: {stdout}");
    }
    let last: Vec<&str> = stdout.lines().rev().take(12).collect();
    for command in ["--bin stack -- up", ". .stack/env", "--bin consumer", "--bin producer", "kcat"]
    {
        assert!(last.iter().any(|line| line.contains(command)), "{command}: {last:?}");
    }
}

#[track_caller]
fn assert_numbers(expected: &Expected, finished: &Finished) {
    let table = |heading: &str| -> Vec<Vec<&str>> {
        let lines = finished.stdout.lines().skip_while(|line| !line.starts_with(heading)).skip(1);
        let rows = lines.take_while(|line| !line.trim().is_empty());
        rows.filter(|line| !line.starts_with(' ')).map(|l| l.split_whitespace().collect()).collect()
    };
    let mut sums: BTreeMap<String, (u64, i128)> = BTreeMap::new();
    for row in table("PRODUCT") {
        let [product, count, sum, average] = row[..] else { panic!("{row:?}") };
        let (count, sum): (u64, _) = (count.parse().unwrap(), ten_thousandths(sum));
        #[expect(clippy::cast_precision_loss, reason = "a few millions")]
        let quotient = sum as f64 / 10_000.0 / count as f64;
        assert!((average.parse::<f64>().unwrap() - quotient).abs() < 0.000_1, "{row:?}");
        sums.insert(product.to_owned(), (count, sum));
    }
    let all = sums.remove("all").unwrap();
    assert_eq!(sums, expected.products);
    assert_eq!(all, sums.values().fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1)));

    let mut dead = BTreeMap::new();
    for row in table("CLASS") {
        let cause = (row[0].to_owned(), row[1].to_owned());
        assert!(row[3].starts_with("orders-dlq/"), "{row:?}");
        dead.insert(cause, row[2].parse::<u64>().unwrap());
    }
    assert_eq!(dead, expected.dead);

    let balance = format!(
        "{ORDERS} sent = {} counted + {} dead-lettered, after {} retries",
        expected.counted(),
        expected.dead_lettered(),
        expected.retries
    );
    assert!(finished.stdout.contains(&balance), "{balance}\n{}", finished.stdout);
    assert_eq!(expected.counted() + expected.dead_lettered(), ORDERS);
}
