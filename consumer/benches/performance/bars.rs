//! Figures beside the bars that they are held to.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::figures::Setting;
use crate::output::{publish, write_json};

/// A figure and its bar.
struct Row {
    what: String,
    bar: String,
    figure: String,
    /// `None` where there is no bar.
    is_met: Option<bool>,
}

/// All figures of a part.
pub(crate) struct Bars {
    part: &'static str,
    setting: Setting,
    rows: Vec<Row>,
}

impl Bars {
    pub(crate) fn new(part: &'static str, what: &str) -> Self {
        Self { part, setting: Setting::here(what.to_owned(), 0), rows: Vec::new() }
    }

    /// A figure that may be `most` at most, in `unit`.
    pub(crate) fn at_most(&mut self, what: &str, figure: f64, most: f64, unit: &str) {
        let bar = format!("≤ {most} {unit}");
        self.row(what, bar, format!("{} {unit}", short(figure)), Some(figure <= most));
    }

    /// A figure that has to be `least` at least, in `unit`.
    pub(crate) fn at_least(&mut self, what: &str, figure: f64, least: f64, unit: &str) {
        let bar = format!("≥ {least} {unit}");
        self.row(what, bar, format!("{} {unit}", short(figure)), Some(figure >= least));
    }

    /// A figure without a bar.
    pub(crate) fn told(&mut self, what: &str, figure: f64, unit: &str) {
        self.row(what, String::new(), format!("{} {unit}", short(figure)), None);
    }

    fn row(&mut self, what: &str, bar: String, figure: String, is_met: Option<bool>) {
        eprintln!("{what}: {figure} {bar}");
        self.rows.push(Row { what: what.to_owned(), bar, figure, is_met });
    }

    /// Prints the table, puts it into the page, and writes the JSON.
    pub(crate) fn publish(self) {
        self.publish_with(&Value::Null);
    }

    /// As [`Self::publish`], with what the figures were made of for the JSON.
    pub(crate) fn publish_with(self, rounds: &Value) {
        let mut text =
            format!("{}.\n\n| | bar | measured | |\n|---|--:|--:|---|\n", self.setting.line());
        for Row { what, bar, figure, is_met } in &self.rows {
            let verdict = is_met.map_or("", |is_met| if is_met { "met" } else { "**missed**" });
            writeln!(text, "| {what} | {bar} | {figure} | {verdict} |").expect("a text takes it");
        }
        publish(self.part, &text);
        let rows = self.rows.iter().map(|Row { what, bar, figure, is_met }| {
            json!({ "what": what, "bar": bar, "figure": figure, "is_met": is_met })
        });
        let rows = rows.collect::<Value>();
        write_json(
            self.part,
            &json!({ "setting": self.setting.json(), "figures": rows, "rounds": rounds }),
        );
    }
}

/// Three digits that count.
fn short(figure: f64) -> String {
    match figure.abs() {
        large if large >= 100.0 => format!("{figure:.0}"),
        middle if middle >= 10.0 => format!("{figure:.1}"),
        _ => format!("{figure:.2}"),
    }
}
