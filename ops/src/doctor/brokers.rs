//! What the brokers tell: whether each answers, topics beside what the pipeline needs, the group.

use std::collections::BTreeMap;
use std::net::{TcpStream, ToSocketAddrs};
use std::thread;
use std::time::{Duration, Instant};

use kafka_io::admin::TopicDetail;
use kafka_io::client_config::{BROKER_PROBE_LIMIT, Role, probe_brokers};
use kafka_io::cluster::{Broker, Cluster, Edge};
use serde::Serialize;

use super::found::{Brokers, KAFKA, Server};
use crate::audit::{Settings, runtime};
use crate::connected::places;
use crate::lag::look::{Breadth, Observer, Which};
use crate::scan::offsets;

/// Longest wait for one answer.
const ASK: Duration = Duration::from_secs(3);

/// Longest wait for a connection to a broker.
const REACH_MAX: Duration = Duration::from_secs(1);

/// Most brokers that are reached for; of a larger cluster the first ones.
const BROKERS_MAX: usize = 32;

/// What a topic is for the pipeline, and so what it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Part {
    /// Orders as they came in.
    #[default]
    Orders,
    /// Waiting retries.
    Retry,
    /// Dead letters.
    DeadLetters,
    /// Running averages.
    Averages,
    /// The outcome log.
    Outcomes,
}

/// A topic of the pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub(super) struct TopicTold {
    pub(super) name: String,
    pub(super) part: Part,
    /// Partitions; none where the topic does not exist.
    pub(super) partitions: Option<usize>,
    pub(super) replicas: usize,
    pub(super) cleanup_policy: Option<String>,
    pub(super) retention_ms: Option<i64>,
    /// What differs from what the pipeline needs.
    pub(super) differs: Vec<String>,
}

/// Asks for everything.
pub(super) fn ask(settings: &Settings) -> Brokers {
    let (kafka, servers) = (&settings.kafka, settings.kafka.bootstrap_servers());
    let config = kafka.base(Role::Admin);
    let begun_at = Instant::now();
    // Before the question whether anybody is there: they connect meanwhile.
    let cluster = Cluster::new(&config);
    let which = Which::One(settings.group.clone());
    let observer = Observer::new(kafka, which, Breadth::OfGroups, &settings.topics.retry);
    if let Err(error) = probe_brokers(&config, BROKER_PROBE_LIMIT) {
        return Brokers::of(Server::away(KAFKA, servers, error.to_string()));
    }
    let mut told = Brokers::of(Server::there(KAFKA, servers, begun_at.elapsed()));
    match cluster.and_then(|cluster| {
        told.servers.extend(reach(&cluster.layout(ASK)?.brokers));
        told.topics = topics(settings, &cluster)?;
        told.dead_letters_at_most = dead_letters(&told.topics, &cluster)?;
        Ok(())
    }) {
        Ok(()) => {}
        Err(error) => told.unknown.push(format!("topics: {error}")),
    }
    match observer.and_then(|mut observer| observer.look()) {
        Ok(look) => told.lag = look.groups.first().map(crate::lag::report::GroupLag::json),
        Err(error) => told.unknown.push(format!("group {}: {error}", settings.group)),
    }
    told
}

/// Connects to each broker at the address that it tells its clients.
fn reach(brokers: &[Broker]) -> Vec<Server> {
    thread::scope(|scope| {
        let reach = |broker: &Broker| {
            let (name, address) = (format!("broker {}", broker.id), broker.address.clone());
            scope.spawn(move || reach_one(&name, &address))
        };
        let reaching: Vec<_> = brokers.iter().take(BROKERS_MAX).map(reach).collect();
        reaching.into_iter().map(|one| one.join().expect("connecting does not panic")).collect()
    })
}

fn reach_one(name: &str, address: &str) -> Server {
    let begun_at = Instant::now();
    let addresses = match address.to_socket_addrs() {
        Ok(addresses) => addresses,
        Err(error) => return Server::away(name, address, error.to_string()),
    };
    let mut failed = "its name has no address".to_owned();
    for one in addresses {
        match TcpStream::connect_timeout(&one, REACH_MAX) {
            Ok(_) => return Server::there(name, address, begun_at.elapsed()),
            Err(error) => failed = error.to_string(),
        }
        if begun_at.elapsed() > REACH_MAX {
            break;
        }
    }
    Server::away(name, address, failed)
}

fn topics(
    settings: &Settings,
    cluster: &Cluster,
) -> Result<Vec<TopicTold>, kafka_io::member::AskError> {
    let names = settings.topics.names();
    let runtime = runtime().map_err(|error| kafka_io::member::AskError::Away(error.to_string()))?;
    let details = runtime.block_on(cluster.admin().details(Some(&names), ASK));
    runtime.shutdown_background();
    let details = details?;
    let partitions = details.get(names[0]).map(|topic| topic.partitions.len());
    let parts =
        [Part::Orders, Part::Retry, Part::DeadLetters, Part::Averages, Part::Outcomes].into_iter();
    Ok(names
        .iter()
        .zip(parts)
        .map(|(name, part)| judge(name, part, &details, partitions))
        .collect())
}

/// What is there beside what the pipeline needs.
fn judge(
    name: &str,
    part: Part,
    details: &BTreeMap<String, TopicDetail>,
    partitions: Option<usize>,
) -> TopicTold {
    let mut told = TopicTold { name: name.to_owned(), part, ..TopicTold::default() };
    let Some(detail) = details.get(name) else {
        told.differs
            .push("it does not exist: the consumer makes it with --create-topics".to_owned());
        return told;
    };
    let setting = |key: &str| detail.settings.get(key).and_then(|found| found.value.clone());
    let count = detail.partitions.len();
    told.partitions = Some(count);
    told.replicas = detail.partitions.iter().map(|found| found.replicas.len()).min().unwrap_or(0);
    told.cleanup_policy = setting("cleanup.policy");
    told.retention_ms = setting("retention.ms").and_then(|value| value.parse().ok());
    let differs = &mut told.differs;
    if let Some(wanted) = partitions.filter(|wanted| *wanted != count) {
        differs.push(format!(
            "it has {count} partitions and the topic of orders has {wanted}: a record keeps its number"
        ));
    }
    let leaderless = detail.partitions.iter().filter(|found| found.leader.is_none()).count();
    if leaderless > 0 {
        differs.push(format!("{leaderless} of its partitions have no leader"));
    }
    let behind =
        detail.partitions.iter().filter(|found| found.in_sync.len() < found.replicas.len());
    let behind = behind.count();
    if behind > 0 {
        differs.push(format!("{behind} of its partitions have replicas that are not in sync"));
    }
    if let Some(policy) = &told.cleanup_policy {
        let compacts = policy.split(',').any(|part| part.trim() == "compact");
        match (part, compacts) {
            (Part::Averages, false) => differs.push(format!(
                "cleanup.policy is {policy}: it must be compact, or old averages disappear"
            )),
            (Part::Averages, true) | (_, false) => {}
            (_, true) => differs.push(format!(
                "cleanup.policy is {policy}: it must be delete, or records disappear that have the \
                 same key as later ones"
            )),
        }
    }
    if part == Part::Retry
        && let Some(ms) = told.retention_ms.filter(|ms| *ms >= 0)
    {
        differs.push(format!(
            "retention.ms is {ms}: it must be -1, or retries disappear that wait for longer"
        ));
    }
    told
}

/// Offsets that the topic of dead letters holds.
fn dead_letters(
    topics: &[TopicTold],
    cluster: &Cluster,
) -> Result<Option<u64>, kafka_io::member::AskError> {
    let topic = topics.iter().find(|topic| topic.part == Part::DeadLetters);
    let Some((name, count)) = topic.and_then(|topic| Some((&topic.name, topic.partitions?))) else {
        return Ok(None);
    };
    let asked = places(name, i32::try_from(count).unwrap_or(i32::MAX));
    let bounds = cluster.bounds(&asked, Edge::StableEnd, ASK)?;
    Ok(Some(bounds.into_iter().map(|(low, end)| offsets(low, end)).sum()))
}

#[cfg(test)]
mod tests {
    use kafka_io::admin::{PartitionDetail, Setting, SettingSource};

    use super::*;

    fn topic(partitions: i32, settings: &[(&str, &str)]) -> TopicDetail {
        let partition = |number| PartitionDetail {
            number,
            leader: Some(1),
            replicas: vec![1],
            in_sync: vec![1],
        };
        let setting = |(key, value): &(&str, &str)| {
            let setting =
                Setting { value: Some((*value).to_owned()), source: SettingSource::Topic };
            ((*key).to_owned(), setting)
        };
        TopicDetail {
            partitions: (0..partitions).map(partition).collect(),
            settings: settings.iter().map(setting).collect(),
        }
    }

    #[test]
    fn a_topic_is_compared_with_what_the_pipeline_needs() {
        let delete = ("cleanup.policy", "delete");
        for (part, detail, expected) in [
            (Part::Orders, topic(3, &[delete]), &[][..]),
            (Part::Orders, topic(3, &[("cleanup.policy", "compact,delete")]), &["cleanup.policy"]),
            (Part::Retry, topic(3, &[delete, ("retention.ms", "-1")]), &[]),
            (Part::Retry, topic(3, &[delete, ("retention.ms", "1000")]), &["retention.ms is 1000"]),
            (Part::DeadLetters, topic(2, &[delete]), &["it has 2 partitions"]),
            (Part::Averages, topic(3, &[("cleanup.policy", "compact")]), &[]),
            (Part::Averages, topic(3, &[delete]), &["cleanup.policy is delete"]),
            (Part::Outcomes, topic(3, &[]), &[]), // the brokers may not tell
        ] {
            let details = BTreeMap::from([("t".to_owned(), detail)]);
            let told = judge("t", part, &details, Some(3));
            assert_eq!(told.differs.len(), expected.len(), "{part:?}: {told:?}");
            for (found, start) in told.differs.iter().zip(expected) {
                assert!(found.starts_with(start), "{found}");
            }
        }
        let absent = judge("t", Part::Retry, &BTreeMap::new(), Some(3));
        assert_eq!((absent.partitions, absent.differs.len()), (None, 1));
        let mut broken = topic(3, &[]);
        broken.partitions[1].leader = None;
        broken.partitions[2].in_sync.clear();
        let details = BTreeMap::from([("t".to_owned(), broken)]);
        assert_eq!(judge("t", Part::Orders, &details, Some(3)).differs.len(), 2);
    }

    #[test]
    fn a_broker_that_nobody_listens_for_does_not_answer() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("it has one").to_string();
        assert!(reach_one("broker 1", &address).answers);
        drop(listener);
        let away = reach_one("broker 1", &address);
        assert!(!away.answers && away.error.is_some(), "{away:?}");
    }
}
