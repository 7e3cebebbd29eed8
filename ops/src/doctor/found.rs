//! What was found, as values and as the JSON that scripts read, and what of it is a finding.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use service_kit::exit::ExitStatus;

use super::brokers::TopicTold;
use super::told::SettingTold;
use crate::audit::Settings;

/// All of it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Report {
    pub(super) versions: Versions,
    pub(super) settings: Vec<SettingTold>,
    pub(super) brokers: Brokers,
    pub(super) registry: RegistryTold,
    /// Group that is meant.
    pub(super) group: String,
    /// What differs from what the pipeline needs.
    pub(super) findings: Vec<String>,
}

/// What runs.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Versions {
    pub(super) orders: &'static str,
    pub(super) commit: &'static str,
    pub(super) librdkafka: String,
    pub(super) platform: String,
}

/// A server and whether it answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Server {
    pub(super) name: String,
    pub(super) address: String,
    pub(super) answers: bool,
    /// Time to its answer, in milliseconds.
    pub(super) latency_ms: Option<u64>,
    pub(super) error: Option<String>,
}

impl Server {
    pub(super) fn there(name: &str, address: &str, latency: Duration) -> Self {
        let latency_ms = u64::try_from(latency.as_millis()).ok();
        let (name, address) = (name.to_owned(), address.to_owned());
        Self { name, address, answers: true, latency_ms, error: None }
    }

    pub(super) fn away(name: &str, address: &str, error: String) -> Self {
        let (name, address) = (name.to_owned(), address.to_owned());
        Self { name, address, answers: false, latency_ms: None, error: Some(error) }
    }

    /// One that has not answered when the time was up.
    pub(super) fn silent(name: &str, waited: Duration) -> Self {
        Self::away(name, "", format!("no answer within {} s", waited.as_secs_f32()))
    }
}

/// What the registry told.
#[derive(Debug, Clone, Serialize)]
pub(super) struct RegistryTold {
    #[serde(flatten)]
    pub(super) server: Server,
    pub(super) subjects: Option<usize>,
    /// Its rule for subjects that have none of their own.
    pub(super) compatibility: Option<String>,
}

impl RegistryTold {
    /// Nothing but the server itself.
    pub(super) const fn of(server: Server) -> Self {
        Self { server, subjects: None, compatibility: None }
    }
}

/// What the brokers told.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Brokers {
    /// The bootstrap servers as one, then each broker.
    pub(super) servers: Vec<Server>,
    pub(super) topics: Vec<TopicTold>,
    /// As 'orders lag show -o json' has it; none where the group does not exist.
    pub(super) lag: Option<Value>,
    /// Offsets that the topic of dead letters holds: it has at most so many dead letters.
    pub(super) dead_letters_at_most: Option<u64>,
    /// What could not be asked, and why.
    pub(super) unknown: Vec<String>,
}

impl Brokers {
    /// Nothing but this server.
    pub(super) fn of(server: Server) -> Self {
        Self { servers: vec![server], ..Self::default() }
    }

    /// They have not answered when the time was up.
    pub(super) fn silent(settings: &Settings, waited: Duration) -> Self {
        let mut server = Server::silent(KAFKA, waited);
        settings.kafka.bootstrap_servers().clone_into(&mut server.address);
        Self::of(server)
    }
}

/// What the bootstrap servers are called.
pub(super) const KAFKA: &str = "kafka";

impl Report {
    /// With its findings.
    pub(super) fn judged(mut self) -> Self {
        let differences = self.brokers.topics.iter().flat_map(|topic| {
            topic.differs.iter().map(|what| format!("topic {}: {what}", topic.name))
        });
        self.findings.extend(differences);
        let has_asked = self.brokers.servers.first().is_some_and(|server| server.answers);
        let count = |key: &str| self.brokers.lag.as_ref().and_then(|lag| lag[key].as_u64());
        match (count("members"), count("lag")) {
            (None, _) if has_asked && self.brokers.unknown.is_empty() => {
                self.findings.push(format!(
                    "group {} does not exist: no consumer of that name has committed anything",
                    self.group
                ));
            }
            (Some(0), Some(lag)) if lag > 0 => self.findings.push(format!(
                "group {} has no member: no consumer runs, and {lag} records wait",
                self.group
            )),
            _ => {}
        }
        self
    }

    /// Every server, the registry last.
    pub(super) fn servers(&self) -> impl Iterator<Item = &Server> {
        self.brokers.servers.iter().chain([&self.registry.server])
    }

    /// What the program ends with: what was not asked comes before what was found.
    pub(super) fn status(&self) -> ExitStatus {
        let all_answer = self.servers().all(|server| server.answers);
        match (all_answer && self.brokers.unknown.is_empty(), self.findings.is_empty()) {
            (false, _) => ExitStatus::Failed,
            (true, false) => ExitStatus::Finding,
            (true, true) => ExitStatus::Done,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report(lag: Option<Value>) -> Report {
        let there = |name| Server::there(name, "a:1", Duration::from_millis(2));
        Report {
            versions: Versions {
                orders: "1",
                commit: "c",
                librdkafka: "2".to_owned(),
                platform: "p".to_owned(),
            },
            settings: Vec::new(),
            brokers: Brokers { lag, ..Brokers::of(there(KAFKA)) },
            registry: RegistryTold::of(there("registry")),
            group: "g".to_owned(),
            findings: Vec::new(),
        }
    }

    #[test]
    fn what_differs_is_a_finding_and_what_does_not_answer_comes_first() {
        let sound = || report(Some(json!({"members": 1, "lag": 5})));
        assert_eq!(sound().judged().status(), ExitStatus::Done);
        let mut differs = sound();
        differs.brokers.topics = vec![TopicTold {
            name: "orders-retry".to_owned(),
            differs: vec!["retention.ms is 604800000".to_owned()],
            ..TopicTold::default()
        }];
        let differs = differs.judged();
        assert_eq!(differs.status(), ExitStatus::Finding);
        assert_eq!(differs.findings, ["topic orders-retry: retention.ms is 604800000"]);
        let mut away = differs.clone();
        away.registry = RegistryTold::of(Server::silent("registry", Duration::from_secs(4)));
        assert_eq!(away.status(), ExitStatus::Failed);
        let mut unknown = differs;
        unknown.brokers.unknown = vec!["topics: refused".to_owned()];
        assert_eq!(unknown.status(), ExitStatus::Failed);
    }

    #[test]
    fn a_group_that_does_not_exist_or_stands_still_is_a_finding() {
        let found = |lag| report(lag).judged().findings.len();
        assert_eq!(found(None), 1);
        assert_eq!(found(Some(json!({"members": 0, "lag": 5}))), 1);
        assert_eq!(found(Some(json!({"members": 0, "lag": 0}))), 0);
        let away = Server::away(KAFKA, "a:1", "no answer".to_owned());
        let away = Report { brokers: Brokers::of(away), ..report(None) };
        assert_eq!(away.judged().findings.len(), 0, "nobody was asked");
    }
}
