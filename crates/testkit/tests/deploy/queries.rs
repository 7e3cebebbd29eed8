//! Every expression that somebody looks at or is woken by: of dashboards, alerts and recording rules.

use serde_json::Value;

use crate::files::{read, under, yaml};

/// One expression, and where it stands.
pub(crate) struct Query {
    pub(crate) place: String,
    pub(crate) text: String,
}

/// All dashboards, by file.
pub(crate) fn dashboards() -> Vec<(String, Value)> {
    let files = under("deploy/grafana/dashboards", "json");
    let read = |file: String| {
        let dashboard = serde_json::from_str(&read(&file));
        let dashboard = dashboard.unwrap_or_else(|error| panic!("{file}: {error}"));
        (file, dashboard)
    };
    files.into_iter().map(read).collect()
}

/// All rules, by file: each has `record` or `alert`, and `expr`.
pub(crate) fn rules() -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for file in under("deploy/prometheus/rules", "yml") {
        for group in list(&yaml(&file)[0], "groups") {
            all.extend(list(&group, "rules").into_iter().map(|rule| (file.clone(), rule)));
        }
    }
    all
}

/// The panels of a dashboard that show something.
pub(crate) fn panels(dashboard: &Value) -> Vec<Value> {
    let panels = list(dashboard, "panels").into_iter();
    panels.filter(|panel| panel["type"] != "row").collect()
}

/// What Prometheus is asked. Grafana's variables have the values that they would have here; an alert is asked for both
/// sides of its threshold, as on a good day it has nothing to say.
pub(crate) fn queries(group: &str) -> Vec<Query> {
    let mut all = Vec::new();
    for (file, dashboard) in dashboards() {
        for panel in panels(&dashboard) {
            for target in list(&panel, "targets") {
                let text = target["expr"].as_str().expect("a target asks something");
                let text = text.replace("$__rate_interval", "30s").replace("$__range", "5m");
                let text = text.replace("$group", group);
                assert!(!text.contains('$'), "{file}: a variable without a value here: {text}");
                all.push(Query { place: format!("{file}: {}", panel["title"]), text });
            }
        }
    }
    for (file, rule) in rules() {
        let text = rule["expr"].as_str().expect("a rule asks something");
        let name = rule["alert"].as_str().or(rule["record"].as_str()).expect("a name");
        let text = if rule["alert"].is_string() { with_bool(text) } else { text.to_owned() };
        all.push(Query { place: format!("{file}: {name}"), text });
    }
    all
}

/// The same with comparisons that answer 0 or 1 for each series, in place of dropping it.
fn with_bool(text: &str) -> String {
    const COMPARISONS: [&str; 6] = [" > ", " < ", " == ", " != ", " >= ", " <= "];
    let replace = |text: String, sign: &str| text.replace(sign, &format!("{sign}bool "));
    let compared = COMPARISONS.into_iter().fold(text.to_owned(), replace);
    assert_ne!(compared, text, "an alert compares with a threshold");
    compared
}

/// The items of a list that must be there.
pub(crate) fn list(of: &Value, name: &str) -> Vec<Value> {
    let found = of[name].as_array();
    found.unwrap_or_else(|| panic!("no list {name} in {of}")).clone()
}
