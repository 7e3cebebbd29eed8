//! `--print-orders`: a line for each settled attempt.

use crate::averages::Total;
use relane::stage::{Fate, Settled};
use serde_json::{Map, Value, json};
use service_kit::live::{fit, stdout_columns, width};
use service_kit::terminal::tame_json;

use crate::printer::Lines;
use crate::view::time_of_day;

/// Widest order id and product in a line for people, in columns.
const NAME_COLUMNS_MAX: usize = 60;

/// Least columns for order id and product on a terminal.
const SUBJECT_COLUMNS_MIN: usize = 12;

/// Longest text in a line for programs, in bytes.
const TEXT_BYTES_MAX: usize = 64 * 1024;

/// Form of the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// For people.
    Text,
    /// A JSON object each.
    Json,
}

/// Prints what becomes of orders.
#[derive(Debug, Clone)]
pub(crate) struct SettledLines {
    lines: Lines,
    form: Form,
    topic: String,
}

impl SettledLines {
    pub(crate) const fn new(lines: Lines, form: Form, topic: String) -> Self {
        Self { lines, form, topic }
    }

    /// Prints a line for each attempt.
    pub(crate) fn print<'a>(&self, attempts: impl Iterator<Item = Settled<'a, Total>>) {
        let (form, columns) = (self.form, stdout_columns());
        self.lines.print(attempts.map(|attempt| match form {
            Form::Text => text(&attempt, &self.topic, columns) + "\n",
            Form::Json => tame_json(object(&attempt, &self.topic).to_string()) + "\n",
        }));
    }
}

/// What stands for lines that were dropped.
pub(crate) fn gap(form: Form) -> fn(u64) -> String {
    match form {
        Form::Text => {
            |lines| format!("({lines} lines were dropped: stdout was not read fast enough)\n")
        }
        Form::Json => |lines| format!("{}\n", json!({"outcome": "dropped", "lines": lines})),
    }
}

/// A line for people: at most as wide as the terminal, if there is one.
fn text(settled: &Settled<'_, Total>, topic: &str, columns: Option<usize>) -> String {
    let attempt = settled.attempt;
    let (word, tail) = match &settled.fate {
        Fate::Succeeded((count, sum)) => {
            let average = orders::average(*sum, *count).unwrap_or(0.0);
            let at = if attempt > 1 { format!(" at attempt {attempt}") } else { String::new() };
            ("counted", format!("{at}: average {average:.4} of {count}"))
        }
        Fate::Duplicate => ("duplicate", ": not counted".to_owned()),
        Fate::Retried { failure, due_at_ms } => {
            let (reason, due) = (failure.reason.as_str(), time_of_day(*due_at_ms));
            ("retried", format!(": attempt {attempt} failed ({reason}), due {due}"))
        }
        Fate::DeadLettered(failure) => {
            let (class, reason) = (failure.class().as_str(), failure.reason.as_str());
            ("dead-lettered", format!(": {class}, {reason}, attempt {attempt}"))
        }
    };
    let name = settled.name;
    let subject = if name.id.is_empty() && name.subject.is_empty() {
        format!("{topic}/{}@{}", settled.partition, settled.offset)
    } else {
        let short = |text| fit(text, NAME_COLUMNS_MAX);
        format!("{} ({})", short(&name.id), short(&name.subject))
    };
    let Some(columns) = columns else { return format!("{word} {subject}{tail}") };
    let room = columns.saturating_sub(word.len() + 1 + width(&tail)).max(SUBJECT_COLUMNS_MIN);
    fit(&format!("{word} {}{tail}", fit(&subject, room)), columns)
}

/// An object for programs.
fn object(settled: &Settled<'_, Total>, topic: &str) -> Value {
    let cut = |text: &str| text[..text.floor_char_boundary(TEXT_BYTES_MAX)].to_owned();
    let known = |text: &str| (!text.is_empty()).then(|| cut(text));
    let key = settled.key.map(|key| cut(&String::from_utf8_lossy(key)));
    let mut object = Map::new();
    let mut put = |name: &str, value: Value| _ = object.insert(name.to_owned(), value);
    let outcome = match &settled.fate {
        Fate::Succeeded(_) => "succeeded",
        Fate::Duplicate => "duplicate",
        Fate::Retried { .. } => "retried",
        Fate::DeadLettered(_) => "dead_lettered",
    };
    put("outcome", json!(outcome));
    put("order_id", json!(known(&settled.name.id)));
    put("product", json!(known(&settled.name.subject)));
    put("topic", json!(topic));
    put("partition", json!(settled.partition));
    put("offset", json!(settled.offset));
    put("key", json!(key));
    put("attempt", json!(settled.attempt));
    match &settled.fate {
        Fate::Succeeded((count, sum)) => {
            put("count", json!(count));
            put("sum", json!(sum.to_string()));
            put("average", json!(orders::average(*sum, *count)));
        }
        Fate::Duplicate => {}
        Fate::Retried { failure, .. } | Fate::DeadLettered(failure) => {
            put("class", json!(failure.class().as_str()));
            put("reason", json!(failure.reason.as_str()));
            put("detail", json!(cut(&failure.detail)));
        }
    }
    if let Fate::Retried { due_at_ms, .. } = &settled.fate {
        put("due_at_ms", json!(due_at_ms));
    }
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    use orders::Amount;
    use pipeline::failure::{Failure, FailureReason};
    use relane::stage::RecordId;

    use super::*;

    fn names(order_id: &str, product: &str) -> RecordId {
        RecordId { id: order_id.to_owned(), subject: product.to_owned() }
    }

    fn failure(reason: FailureReason) -> Failure {
        Failure { reason, schema_id: None, detail: "why".to_owned() }
    }

    /// An attempt of each kind.
    fn each(name: &RecordId, look: impl Fn(&Settled<'_, Total>)) {
        let total = (14, Amount::from_ten_thousandths(280_600));
        let (failed, invalid) =
            (failure(FailureReason::Simulated), failure(FailureReason::NegativePrice));
        for (attempt, fate) in [
            (1, Fate::Succeeded(&total)),
            (2, Fate::Succeeded(&total)),
            (1, Fate::Duplicate),
            (1, Fate::Retried { failure: &failed, due_at_ms: 52_898_000 }),
            (1, Fate::DeadLettered(&invalid)),
        ] {
            look(&Settled { partition: 2, offset: 9, key: Some(b"k"), name, attempt, fate });
        }
    }

    #[test]
    fn each_kind_of_outcome_has_its_line() {
        let lines = std::cell::RefCell::new(Vec::new());
        let known = names("o-7-16", "espresso");
        each(&known, |it| lines.borrow_mut().push(text(it, "orders", None)));
        let expected = [
            "counted o-7-16 (espresso): average 2.0043 of 14",
            "counted o-7-16 (espresso) at attempt 2: average 2.0043 of 14",
            "duplicate o-7-16 (espresso): not counted",
            "retried o-7-16 (espresso): attempt 1 failed (simulated), due 14:41:38Z",
            "dead-lettered o-7-16 (espresso): invalid, negative-price, attempt 1",
        ];
        assert_eq!(lines.take(), expected);
        let unknown = RecordId::default();
        each(&unknown, |it| lines.borrow_mut().push(text(it, "orders", None)));
        assert_eq!(lines.take()[4], "dead-lettered orders/2@9: invalid, negative-price, attempt 1");
    }

    #[test]
    fn a_line_fits_the_terminal_and_foreign_names_do_not_drive_it() {
        for name in
            ["日本茶と珈琲と紅茶と麦茶と抹茶と烏龍茶", "a\u{1b}[2J\nb\u{202e}", &"w".repeat(900)]
        {
            let names = names(name, name);
            for columns in 20..=200 {
                each(&names, |it| {
                    let line = text(it, "orders", Some(columns));
                    assert!(width(&line) <= columns, "{columns}: {line:?}");
                    assert!(
                        !line.contains(|c: char| c.is_control() || c == '\u{202e}'),
                        "{line:?}"
                    );
                    assert!(
                        columns < 80
                            || line.contains("attempt")
                            || line.contains("of 14")
                            || line.ends_with("not counted"),
                        "{line:?}"
                    );
                });
            }
        }
    }

    #[test]
    fn an_object_has_what_is_known() {
        let objects = std::cell::RefCell::new(Vec::new());
        each(&names("o-1", "tea"), |it| {
            objects.borrow_mut().push(object(it, "orders").to_string())
        });
        let start = r#""order_id":"o-1","product":"tea","topic":"orders","partition":2,"offset":9,"key":"k","attempt":"#;
        let expected = [
            format!(
                r#"{{"outcome":"succeeded",{start}1,"count":14,"sum":"28.0600","average":2.0042857142857144}}"#
            ),
            format!(
                r#"{{"outcome":"succeeded",{start}2,"count":14,"sum":"28.0600","average":2.0042857142857144}}"#
            ),
            format!(r#"{{"outcome":"duplicate",{start}1}}"#),
            format!(
                r#"{{"outcome":"retried",{start}1,"class":"transient","reason":"simulated","detail":"why","due_at_ms":52898000}}"#
            ),
            format!(
                r#"{{"outcome":"dead_lettered",{start}1,"class":"invalid","reason":"negative-price","detail":"why"}}"#
            ),
        ];
        assert_eq!(objects.take(), expected);
        each(&RecordId::default(), |it| {
            objects.borrow_mut().push(object(it, "orders")["order_id"].to_string())
        });
        assert_eq!(objects.take()[4], "null");
    }
}
