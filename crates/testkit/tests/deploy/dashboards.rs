//! Dashboards and alerts: each query is one that Prometheus understands, and that programs have an answer to.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use stack::{PrometheusConfig, PrometheusServer, Server as _};
use testkit::{http, promtool, wait};

use crate::files::{read, root, yaml};
use crate::queries::{Query, dashboards, list, panels, queries, rules};
use crate::running::Running;

/// Longest wait until every query has an answer: two scrapes, two evaluations, and programs that are busy.
const ANSWERS_MAX: Duration = Duration::from_secs(90);

/// What Prometheus answers to a query, without samples that are no number: an empty list where a panel would stay empty.
fn ask(prometheus: &str, text: &str) -> Result<Vec<Value>, String> {
    let encoded: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let answer = http::get(prometheus, &format!("/api/v1/query?query={encoded}"));
    let answer = answer.map_err(|error| error.to_string())?.json();
    if answer["status"] != "success" {
        return Err(answer["error"].to_string());
    }
    let mut samples = list(&answer["data"], "result");
    samples.retain(|sample| sample["value"][1] != json!("NaN"));
    Ok(samples)
}

#[test]
fn every_query_of_every_dashboard_and_alert_is_answered_by_the_running_programs() {
    let mut running = Running::start();
    running.start_audit();
    let dir = tempfile::tempdir().unwrap();
    let config = PrometheusConfig {
        targets: running.targets.clone(),
        interval: Duration::from_secs(1),
        rule_files: vec![root().join("deploy/prometheus/rules/*.yml")],
        ..PrometheusConfig::in_dir(dir.path())
    };
    let prometheus = PrometheusServer::start(config).unwrap();
    let address = &prometheus.address();
    let mut open: Vec<Query> = queries(&running.pipeline.group);
    assert!(open.len() > 100, "{} queries", open.len());
    let has_answers = wait::within(ANSWERS_MAX, || {
        running.place_orders();
        open.retain(|query| match ask(address, &query.text) {
            Ok(samples) => samples.is_empty(),
            Err(error) => panic!("{}: {error}: {}", query.place, query.text),
        });
        open.is_empty()
    });
    let open: Vec<String> =
        open.iter().map(|query| format!("{}: {}", query.place, query.text)).collect();
    assert!(has_answers, "nothing is shown:\n{}", open.join("\n"));
    assert!(ask(address, "sum(orders_that_nobody_measures)").unwrap().is_empty());
    assert!(ask(address, "sum(").unwrap_err().contains("parse error"));
    let up = ask(address, "up == 0").unwrap();
    assert!(up.is_empty(), "not scraped: {up:?}");

    // What `orders audit --every` is for.
    wait::is_true("a green audit", ANSWERS_MAX, || {
        running.process("audit").metric("orders_audit_runs_total{verdict=\"green\"}") >= Some(1.0)
    });
    assert_eq!(running.process("audit").metric("orders_audit_red"), Some(0.0));
    promtool::check(&running.process("audit").get("/metrics").body);
    assert_eq!(running.process("audit").get("/readyz").status, 200);
}

#[test]
fn alerts_and_rules_hold_on_their_own_test_series_and_a_wrong_threshold_is_found() {
    let tests = read("deploy/prometheus/tests/alerts.yml");
    let run = |rules: &str| {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["rules", "tests"] {
            std::fs::create_dir(dir.path().join(folder)).unwrap();
        }
        let write = |path: &str, text: &str| std::fs::write(dir.path().join(path), text).unwrap();
        write("rules/recording.yml", &read("deploy/prometheus/rules/recording.yml"));
        write("rules/alerts.yml", rules);
        write("tests/alerts.yml", &tests);
        let arguments = ["test", "rules", "alerts.yml"];
        let folder = dir.path().join("tests");
        let output = Command::new("promtool").args(arguments).current_dir(folder).output();
        let output = output.expect("promtool comes with Debian's prometheus");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let alerts = read("deploy/prometheus/rules/alerts.yml");
    let (is_right, said) = run(&alerts);
    assert!(is_right, "{said}");
    let wrong = [
        ("RetriesOverdue", "overdue_seconds\"}) > 30", "overdue_seconds\"}) > 300"),
        ("NoProgress", "rate5m == 0", "rate5m == 1"),
        ("AuditRed", "(orders_audit_red) > 0", "(orders_audit_red) > 1"),
    ];
    let mutant = wrong.iter().fold(alerts.clone(), |text, (name, now, wrong)| {
        assert!(text.contains(now), "{name}");
        text.replacen(now, wrong, 1)
    });
    let (is_right, said) = run(&mutant);
    assert!(!is_right);
    for (name, _, wrong) in wrong {
        assert!(said.contains(name), "nobody noticed that {name} asks for {wrong}: {said}");
    }
    let tested = |rule: &Value| {
        let name = rule["alert"].as_str().unwrap_or_default();
        let has = |end: &str| tests.contains(&format!("name: {name} {end}\n"));
        (name.to_owned(), has("fires") && has("does not fire"))
    };
    let alerts = rules().into_iter().filter(|(_, rule)| rule["alert"].is_string());
    let untested: Vec<String> =
        alerts.map(|(_, rule)| tested(&rule)).filter(|(_, is)| !is).map(|(name, _)| name).collect();
    assert!(untested.is_empty(), "no series on which they must fire, or must not: {untested:?}");
}

#[test]
fn every_alert_says_what_is_wrong_and_what_to_do_in_a_page_that_is_there() {
    let mut names = BTreeSet::new();
    for (file, rule) in rules().into_iter().filter(|(_, rule)| rule["alert"].is_string()) {
        let name = rule["alert"].as_str().unwrap();
        assert!(names.insert(name.to_owned()), "{file}: two alerts are called {name}");
        let word = |part: &str, of: &str| rule[part][of].as_str().unwrap_or_default().to_owned();
        assert!(["warning", "critical"].contains(&&*word("labels", "severity")), "{name}");
        assert!(!word("annotations", "summary").is_empty(), "{name}: no summary");
        let action = word("annotations", "action");
        assert!(!action.is_empty(), "{name}: nothing to do");
        let pages = action.split([' ', ';']).filter(|word| word.contains(".md"));
        for page in pages {
            let (path, anchor) = page.split_once('#').unwrap_or((page, ""));
            let text = read(path);
            let is_heading = |line: &str| {
                line.starts_with('#')
                    && line.trim_start_matches(['#', ' ']).to_lowercase().replace(' ', "-")
                        == anchor
            };
            assert!(anchor.is_empty() || text.lines().any(is_heading), "{name}: no {page}");
        }
    }
    let page = read("docs/metrics.md");
    for name in names {
        assert!(page.contains(&format!("`{name}`")), "docs/metrics.md does not explain {name}");
    }
}

#[test]
fn dashboards_ask_the_provisioned_data_source_and_no_panel_lies_over_another() {
    let provisioned = yaml("deploy/grafana/provisioning/datasources/prometheus.yml");
    let source = provisioned[0]["datasources"][0]["uid"].clone();
    let mut uids = BTreeSet::new();
    for (file, dashboard) in dashboards() {
        let uid = dashboard["uid"].as_str().expect("a uid").to_owned();
        assert_eq!(file, format!("deploy/grafana/dashboards/{uid}.json"));
        assert!(uids.insert(uid), "{file}");
        let mut taken = BTreeSet::new();
        let mut ids = BTreeSet::new();
        for panel in panels(&dashboard) {
            let title = panel["title"].as_str().expect("a title");
            assert!(ids.insert(panel["id"].as_u64()), "{file}: {title}: its id is not its own");
            assert_eq!(panel["datasource"]["uid"], source, "{file}: {title}");
            assert!(
                !panel["fieldConfig"]["defaults"]["unit"].is_null(),
                "{file}: {title}: no unit"
            );
            let at = |side: &str| panel["gridPos"][side].as_u64().expect("a position");
            for x in at("x")..at("x") + at("w") {
                assert!(x < 24, "{file}: {title} is beyond the right edge");
                for y in at("y")..at("y") + at("h") {
                    assert!(taken.insert((x, y)), "{file}: {title} lies over another panel");
                }
            }
        }
    }
    let home = read("docker-compose.yml");
    assert!(home.contains("/var/lib/grafana/dashboards/orders.json") && uids.contains("orders"));
}
