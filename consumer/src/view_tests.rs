use pipeline::failure::FailureClass;
use service_kit::live::width;

use super::*;

const AMOUNT: orders::Amount = orders::Amount::from_ten_thousandths(20_043);

fn trouble(condition: &str) -> Trouble {
    Trouble {
        condition: condition.to_owned(),
        detail: "127.0.0.1:9092 does not answer".to_owned(),
        since_ms: 52_898_000,
        lasts: Duration::from_secs(12),
    }
}

fn snapshot() -> Snapshot {
    Snapshot {
        consumed: 120_334,
        succeeded: 118_000,
        retried: 3_400,
        dead_lettered: vec![
            (FailureClass::Malformed, 12),
            (FailureClass::Invalid, 20),
            (FailureClass::Transient, 0),
        ],
        waiting: 12,
        next_due_at_ms: Some(52_901_500),
        last_due_at_ms: Some(52_905_000),
        lag: Some(4_321),
        ..Snapshot::default()
    }
}

fn products(names: &[&str]) -> Products {
    let mut products = Products::default();
    for (index, name) in names.iter().enumerate() {
        products.add(name, (index as u64 + 1, AMOUNT));
    }
    products.note_partition(names.len());
    products
}

fn lines(products: &Products, troubles: &[Trouble], size: Size, paint: Paint) -> Vec<String> {
    let now = snapshot();
    let rest = Rest::new(&Snapshot { main_left: Some(4_321), ..now.clone() }, 1_000.0);
    let running_for = Duration::from_secs(125);
    let picture = Picture {
        now: &now,
        products,
        running_for,
        per_second: 1_234.4,
        troubles,
        rest: rest.filter(|_| troubles.is_empty()),
        now_ms: 52_900_000,
    };
    picture.lines(size, paint)
}

#[test]
fn it_shows_what_is_happening_and_what_is_wrong() {
    let products = products(&["espresso", "tea"]);
    let size = Size { columns: 80, rows: 24 };
    let shown = lines(&products, &[trouble("broker"), trouble("group")], size, Paint::PLAIN);
    let expected = "\
consumer      1,234 orders/s, lag 4,321, running for 2 min 5 s
orders        120,334 consumed, 118,000 counted
retries       3,400 sent, 12 waiting, next due in 2 s
dead letters  32: 12 malformed, 20 invalid
unavailable   broker for 12 s (since 14:41:38Z): 127.0.0.1:9092 does not answer
not ready     group for 12 s (since 14:41:38Z): 127.0.0.1:9092 does not answer

PRODUCT          COUNT                   SUM         AVERAGE
espresso             1                2.0043          2.0043
tea                  2                2.0043          1.0022
all                  3                4.0086          1.3362";
    let shown: Vec<&str> = shown.iter().map(|line| line.trim_end()).collect();
    assert_eq!(shown.join("\n"), expected);
}

#[test]
fn a_run_with_an_end_has_a_bar_with_what_is_left() {
    let size = Size { columns: 80, rows: 24 };
    let shown = lines(&products(&["tea"]), &[], size, Paint::PLAIN);
    assert_eq!(
        shown[4], "to the end    [============= ]  96 % 4,333 left, about 5 s",
        "{shown:#?}"
    );
    assert_eq!(shown[5], "unavailable   nothing");
}

#[test]
fn more_products_than_fit_are_counted_and_the_busiest_are_shown() {
    let names: Vec<String> = (0..90).map(|n| format!("product-{n:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let shown = lines(&products(&names), &[], Size { columns: 80, rows: 24 }, Paint::PLAIN);
    assert_eq!(shown.len(), 19, "four rows of the terminal stay free for the log: {shown:#?}");
    let more = shown.iter().position(|line| line.starts_with("… and ")).expect("there are more");
    assert_eq!(shown[more].trim_end(), format!("… and {} more", 90 - (more - 8)));
    assert!(shown[8].starts_with("product-81"), "the busiest, by name: {}", shown[8]);
    let last = shown.last().expect("a line");
    assert!(last.starts_with("all") && last.contains(" 4095 "), "the total is that of all: {last}");
}

#[test]
fn of_products_beyond_those_known_by_name_it_says_how_many_there_are_at_least() {
    let names: Vec<String> = (0..1_000).map(|n| format!("product-{n:04}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut both = products(&names);
    both.add_all(&products(&names));
    let shown = lines(&both, &[], Size { columns: 80, rows: 24 }, Paint::PLAIN);
    let more = shown.iter().find(|line| line.starts_with("… and ")).expect("there are more");
    assert_eq!(more.trim_end(), "… and at least 991 more");
}

#[test]
fn no_line_is_wider_than_the_terminal_and_there_are_never_too_many() {
    let names = [
        "日本茶と珈琲と紅茶と麦茶と抹茶と烏龍茶",
        "👨‍👩‍👧‍👦 family box",
        "e\u{301}\u{301}clair",
        "\u{1b}[2J\n",
        "all",
        "x",
    ];
    let long = "w".repeat(5_000);
    let names: Vec<&str> = names.into_iter().chain([long.as_str()]).collect();
    let products = products(&names);
    for columns in 1..=200 {
        for rows in [1, 2, 5, 10, 24, 50] {
            for troubles in [&[][..], &[trouble("broker"), trouble("starting")]] {
                let size = Size { columns, rows };
                let plain = lines(&products, troubles, size, Paint::PLAIN);
                assert!(plain.len() < rows.max(2), "{} lines at {size:?}", plain.len());
                for line in &plain {
                    assert!(width(line) <= columns, "{size:?}: {line:?}");
                    assert!(!line.chars().any(char::is_control), "{line:?}");
                }
                let colored = lines(&products, troubles, size, Paint::COLORED);
                let widths = |lines: &[String]| lines.iter().map(|l| width(l)).collect::<Vec<_>>();
                assert_eq!(widths(&plain), widths(&colored), "colors take no room");
            }
        }
    }
}

#[test]
fn there_are_colors_only_where_they_are_wanted() {
    let size = Size { columns: 80, rows: 24 };
    for (paint, has_colors) in [(Paint::PLAIN, false), (Paint::COLORED, true)] {
        let all = lines(&products(&["tea"]), &[trouble("broker")], size, paint).concat();
        assert_eq!(all.contains('\u{1b}'), has_colors, "{all:?}");
    }
}

#[test]
fn numbers_and_times_are_written_for_people() {
    for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
        assert_eq!(grouped(number), text);
    }
    for (per_second, text) in [(0.0, "0"), (0.25, "0.2"), (9.94, "9.9"), (12_345.6, "12,346")] {
        assert_eq!(rate(per_second), text);
    }
    for (seconds, text) in [(0, "0 s"), (119, "119 s"), (125, "2 min 5 s"), (11_520, "3 h 12 min")]
    {
        assert_eq!(lasting(Duration::from_secs(seconds)), text);
    }
    for (in_ms, text) in [
        (1, "next due in 1 s"),
        (0, "next due now"),
        (-999, "next due now"),
        (-5_000, "next overdue for 5 s"),
    ] {
        assert_eq!(due(1_000_000 + in_ms, 1_000_000), text);
    }
}
