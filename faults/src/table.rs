//! Outcomes as a table and as JSON.

use serde_json::{Value, json};
use service_kit::table::{Side, Table};

use crate::runner::{Outcome, Verdict};

/// Lines of a failure's words that the table shows.
const WORDS_LINES_MAX: usize = 6;

fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "passed",
        Verdict::Failed(_) => "FAILED",
        Verdict::TimedOut(_) => "TIMED OUT",
        Verdict::NotRun => "not run",
    }
}

/// Aligned columns, the failures' words below.
pub(crate) fn table(outcomes: &[Outcome]) -> String {
    let mut table = Table::new(&[
        ("SCENARIO", Side::Left),
        ("SEED", Side::Right),
        ("SECONDS", Side::Right),
        ("VERDICT", Side::Left),
        ("FIGURES", Side::Left),
    ]);
    for outcome in outcomes {
        let figures: Vec<String> =
            outcome.figures.iter().map(|f| format!("{} {}", f.name, f.value)).collect();
        table.row([
            outcome.scenario.name.to_owned(),
            outcome.seed.to_string(),
            format!("{:.1}", outcome.elapsed.as_secs_f64()),
            word(&outcome.verdict).to_owned(),
            figures.join(", "),
        ]);
    }
    let mut text = table.text() + "\n";
    for outcome in outcomes {
        if let Some(words) = words(&outcome.verdict) {
            let shown: Vec<&str> = words.lines().take(WORDS_LINES_MAX).collect();
            text += &format!("\n{}: {}\n", outcome.scenario.name, shown.join("\n  "));
        }
    }
    let passed = outcomes.iter().filter(|outcome| outcome.is_passed()).count();
    text + &format!("\n{passed} passed, {} not", outcomes.len() - passed)
}

fn words(verdict: &Verdict) -> Option<String> {
    match verdict {
        Verdict::Passed | Verdict::NotRun => None,
        Verdict::Failed(words) => Some(words.clone()),
        Verdict::TimedOut(limit) => Some(format!("it ran on for more than {} s", limit.as_secs())),
    }
}

/// One object with `ok` and a list of scenarios.
pub(crate) fn json(outcomes: &[Outcome]) -> Value {
    let one = |outcome: &Outcome| {
        let figures =
            outcome.figures.iter().map(|f| (f.name.clone(), Value::from(f.value.as_str())));
        json!({
            "scenario": outcome.scenario.name,
            "rows": outcome.scenario.rows,
            "seed": outcome.seed,
            "seconds": (outcome.elapsed.as_secs_f64() * 10.0).round() / 10.0,
            "verdict": word(&outcome.verdict).to_lowercase(),
            "detail": words(&outcome.verdict),
            "figures": figures.collect::<serde_json::Map<_, _>>(),
        })
    };
    json!({
        "ok": outcomes.iter().all(Outcome::is_passed),
        "scenarios": outcomes.iter().map(one).collect::<Vec<_>>(),
    })
}
