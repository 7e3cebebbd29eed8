//! The report for people, at most 80 columns wide where names allow it.

use service_kit::fold::folded_line;
use service_kit::live::fit;
use service_kit::table::{Side, Table};
use service_kit::terminal::one_line;

use super::brokers::TopicTold;
use super::found::{Report, Server};
use super::told::SettingTold;

/// Columns of a page.
const COLUMNS: usize = 80;

/// Where a sentence goes on that is longer.
const INDENT: usize = 4;

/// Widest value of a setting in its table.
const VALUE_COLUMNS: usize = 42;

/// Widest address of a server in its table.
const ADDRESS_COLUMNS: usize = 48;

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// The whole page.
pub(super) fn page(report: &Report) -> String {
    let versions = &report.versions;
    let mut parts = vec![format!(
        "orders {} ({}), librdkafka {}, {}",
        versions.orders, versions.commit, versions.librdkafka, versions.platform
    )];
    parts.push(servers(report));
    parts.push(settings(&report.settings));
    if !report.brokers.topics.is_empty() {
        parts.push(topics(&report.brokers.topics));
    }
    parts.push(group(report));
    let unknown = report.brokers.unknown.iter().map(|what| format!("not known: {what}"));
    let found = report.findings.iter().map(|what| format!("finding: {what}"));
    let away = report.servers().filter(|server| !server.answers).map(away_line);
    let last = away.chain(unknown).chain(found);
    let mut last: Vec<String> =
        last.map(|text| folded_line(&one_line(&text), COLUMNS, INDENT).into_owned()).collect();
    if last.is_empty() {
        last.push("nothing found".to_owned());
    }
    parts.push(last.join("\n"));
    parts.join("\n\n") + "\n"
}

fn away_line(server: &Server) -> String {
    let error = server.error.as_deref().unwrap_or("nothing was heard");
    format!("no answer: {}: {error}", server.name)
}

fn servers(report: &Report) -> String {
    let mut table = Table::new(&[
        ("SERVER", Side::Left),
        ("ADDRESS", Side::Left),
        ("ANSWERS", Side::Left),
        ("MS", Side::Right),
    ]);
    for server in report.servers() {
        let answers = if server.answers { "yes" } else { "NO" };
        let latency = server.latency_ms.map_or_else(|| "-".to_owned(), |ms| ms.to_string());
        let address = fit(&one_line(&server.address), ADDRESS_COLUMNS);
        table.row([server.name.clone(), address, answers.to_owned(), latency]);
    }
    let mut text = table.text();
    if let Some(subjects) = report.registry.subjects {
        let rule = report.registry.compatibility.as_deref().unwrap_or("unknown");
        text += &format!("\nregistry: {subjects} subjects, compatibility {}", one_line(rule));
    }
    text
}

fn settings(settings: &[SettingTold]) -> String {
    let mut table =
        Table::new(&[("SETTING", Side::Left), ("VALUE", Side::Left), ("FROM", Side::Left)]);
    for SettingTold { name, value, source } in settings {
        let value = value.as_deref().map_or_else(|| "(not shown)".to_owned(), one_line);
        table.row([one_line(name), fit(&value, VALUE_COLUMNS), source.as_str().to_owned()]);
    }
    table.text()
}

fn topics(topics: &[TopicTold]) -> String {
    let mut table = Table::new(&[
        ("TOPIC", Side::Left),
        ("PARTS", Side::Right),
        ("REPLICAS", Side::Right),
        ("POLICY", Side::Left),
        ("RETENTION", Side::Right),
        ("NEEDS", Side::Left),
    ]);
    for topic in topics {
        let parts = topic.partitions.map_or_else(|| "-".to_owned(), |count| count.to_string());
        // What is only compacted is kept whatever its age.
        let expires =
            topic.cleanup_policy.as_deref().is_none_or(|policy| policy.contains("delete"));
        let retention = match topic.retention_ms.filter(|_| expires) {
            None => "-".to_owned(),
            Some(ms) if ms < 0 => "forever".to_owned(),
            Some(ms) if ms % DAY_MS == 0 => format!("{} d", ms / DAY_MS),
            Some(ms) => format!("{} s", ms / 1000),
        };
        let needs = if topic.differs.is_empty() { "met" } else { "DIFFER" };
        table.row([
            one_line(&topic.name),
            parts,
            topic.replicas.to_string(),
            topic.cleanup_policy.as_deref().map_or_else(|| "-".to_owned(), one_line),
            retention,
            needs.to_owned(),
        ]);
    }
    table.text()
}

fn group(report: &Report) -> String {
    let name = one_line(&report.group);
    let mut text = match &report.brokers.lag {
        None => format!("group {name}: nothing is known of it"),
        Some(lag) => {
            let count = |key: &str| lag[key].as_u64().unwrap_or(0);
            let state = lag["state"].as_str().unwrap_or("unknown");
            let mut table = Table::new(&[
                ("TOPIC", Side::Left),
                ("PART", Side::Right),
                ("COMMITTED", Side::Right),
                ("END", Side::Right),
                ("LAG", Side::Right),
                ("WAITING", Side::Right),
            ]);
            for one in lag["partitions"].as_array().into_iter().flatten() {
                let number = |key: &str| {
                    one[key].as_i64().map_or_else(|| "-".to_owned(), |number| number.to_string())
                };
                let topic = one_line(one["topic"].as_str().unwrap_or("-"));
                let numbers = ["partition", "committed", "end", "lag", "waiting"].map(number);
                table.row([topic].into_iter().chain(numbers));
            }
            format!(
                "group {name}: {}, members {}, lag {}, retries that wait {}\n{}",
                one_line(state),
                count("members"),
                count("lag"),
                count("waiting"),
                table.text()
            )
        }
    };
    if let Some(count) = report.brokers.dead_letters_at_most {
        text += &format!("\ndead letters: at most {count}; 'orders dlq stats' counts them");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;
    use service_kit::live::width;

    use super::super::brokers::Part;
    use super::super::found::{Brokers, KAFKA, RegistryTold, Versions};
    use super::super::told::Source;
    use super::*;

    fn topic(name: &str, policy: &str, differs: &[&str]) -> TopicTold {
        TopicTold {
            name: name.to_owned(),
            part: Part::Orders,
            partitions: Some(3),
            replicas: 1,
            cleanup_policy: Some(policy.to_owned()),
            retention_ms: Some(7 * DAY_MS),
            differs: differs.iter().map(|what| (*what).to_owned()).collect(),
        }
    }

    fn report() -> Report {
        let mut brokers = Brokers::of(Server::there(KAFKA, "127.0.0.1:9092", Duration::ZERO));
        brokers.topics = vec![
            topic("orders", "delete", &[]),
            topic("orders-averages", "compact", &["cleanup.policy is delete ".repeat(5).as_str()]),
        ];
        brokers.lag = Some(json!({
            "state": "Stable", "members": 1, "lag": 5, "waiting": 2,
            "partitions": [{"topic": "orders", "partition": 0, "committed": 4, "end": 9, "lag": 5}],
        }));
        let away = Server::away("registry", "http://a:1", "it \u{1b}[2J refused ".repeat(9));
        Report {
            versions: Versions {
                orders: "1",
                commit: "c",
                librdkafka: "2".to_owned(),
                platform: "p".to_owned(),
            },
            settings: vec![SettingTold {
                name: "KAFKA_SASL_PASSWORD".to_owned(),
                value: None,
                source: Source::Environment,
            }],
            brokers,
            registry: RegistryTold::of(away),
            group: "g".to_owned(),
            findings: Vec::new(),
        }
    }

    #[test]
    fn the_page_fits_80_columns_and_cuts_no_sentence() {
        let report = report().judged();
        let page = page(&report);
        assert!(page.lines().all(|line| width(line) <= COLUMNS), "{page}");
        assert!(!page.contains('\u{1b}') && !page.contains('…'), "{page}");
        assert_eq!(page.matches("refused").count(), 9, "{page}");
        for line in [
            "KAFKA_SASL_PASSWORD  (not shown)  environment",
            "orders               3         1  delete         7 d  met",
            "orders-averages      3         1  compact          -  DIFFER",
            "group g: Stable, members 1, lag 5, retries that wait 2",
            "orders     0          4    9    5        -",
        ] {
            assert!(page.lines().any(|found| found == line), "{line}: {page}");
        }
    }

    #[test]
    fn where_nothing_differs_the_page_says_so() {
        let mut report = report();
        report.brokers.topics.clear();
        report.registry = RegistryTold::of(Server::there("registry", "a", Duration::ZERO));
        assert!(page(&report.judged()).ends_with("\n\nnothing found\n"));
    }
}
