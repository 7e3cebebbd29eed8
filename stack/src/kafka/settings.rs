//! What a broker reads at its start: its settings, and what it logs.

use std::path::Path;

use super::{BrokerPorts, KafkaConfig};
use crate::ports;

/// Log to standard output, where the node's log file takes it.
const LOG_PLACE: &str = "status = error
rootLogger.appenderRef.out.ref = out
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{ISO8601} %p %m (%c{1})%n%ex
";

const LOG_ALL: &str = "rootLogger.level = info\n";

/// Of a broker that lives for seconds: what is wrong, and the transactions that were left without a marker, which tests look
/// for. All that it says until it answers are 1,300 lines.
const LOG_WARNINGS: &str = "rootLogger.level = warn
logger.markers.name = kafka.coordinator.transaction.TransactionMarkerChannelManager
logger.markers.level = info
";

/// Settings of a broker that lives for seconds. By default 128 MB are cleared for the compaction of its logs, and each
/// figure is published for a tool that nobody starts.
const QUICK_SETTINGS: &str = "
log.cleaner.dedupe.buffer.size=16777216
metric.reporters=";

/// Returns the configuration of the log.
pub(super) fn logging(config: &KafkaConfig) -> String {
    let levels = if config.is_quick() { LOG_WARNINGS } else { LOG_ALL };
    format!("{levels}{LOG_PLACE}")
}

/// Returns the configuration of broker `id`, one setting per line, the caller's last and in place of ours.
pub(super) fn server_properties(
    config: &KafkaConfig,
    ports: &[BrokerPorts],
    id: u16,
    dir: &Path,
) -> String {
    let own = &ports[usize::from(id) - 1];
    let voters: Vec<String> = ports
        .iter()
        .zip(1..)
        .map(|(broker, id)| format!("{id}@{}", ports::address(broker.controller)))
        .collect();
    let plain = format!("PLAINTEXT://{}", ports::address(own.plain));
    let mut listeners =
        vec![plain.clone(), format!("CONTROLLER://{}", ports::address(own.controller))];
    let mut advertised = vec![plain];
    let mut protocols = vec!["CONTROLLER:PLAINTEXT".to_owned(), "PLAINTEXT:PLAINTEXT".to_owned()];
    for (listener, port) in config.listeners.iter().zip(&own.extra) {
        let address = ports::address(*port);
        let told = listener.advertised.get(usize::from(id) - 1).unwrap_or(&address);
        listeners.push(format!("{}://{address}", listener.name));
        advertised.push(format!("{}://{told}", listener.name));
        protocols.push(format!("{}:{}", listener.name, listener.protocol));
    }
    // A broker that is frozen for longer than its session fences itself. Alone, it then finds no
    // leader for the markers of its transactions, leaves them out, and readers wait for ever.
    // Yet after a kill -9 it is not let in again before its old session is over.
    let session_ms = if config.brokers == 1 { 20_000 } else { 9_000 };
    let replicas = config.brokers;
    let replicas_in_sync_min = if replicas == 1 { 1 } else { 2 };
    let defaults = format!(
        "process.roles=broker,controller
node.id={id}
controller.quorum.voters={voters}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listeners={listeners}
advertised.listeners={advertised}
listener.security.protocol.map={protocols}
log.dirs={data}
auto.create.topics.enable=false
num.partitions=3
default.replication.factor={replicas}
min.insync.replicas={replicas_in_sync_min}
offsets.topic.replication.factor={replicas}
offsets.topic.num.partitions=4
transaction.state.log.replication.factor={replicas}
transaction.state.log.min.isr={replicas_in_sync_min}
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor={replicas}
share.coordinator.state.topic.min.isr={replicas_in_sync_min}
share.coordinator.state.topic.num.partitions=4
group.initial.rebalance.delay.ms=0
num.io.threads=3
num.network.threads=2
background.threads=3
group.coordinator.threads=1
share.coordinator.threads=1
broker.session.timeout.ms={session_ms}",
        voters = voters.join(","),
        listeners = listeners.join(","),
        advertised = advertised.join(","),
        protocols = protocols.join(","),
        data = dir.join("data").display(),
    );
    let defaults = if config.is_quick() { defaults + QUICK_SETTINGS } else { defaults };
    with_callers(&defaults, &config.properties)
}

/// Settings, one per line, with the caller's last and in place of those of the same name.
fn with_callers(defaults: &str, properties: &[String]) -> String {
    let key_of = |line: &str| line.split('=').next().unwrap_or_default().trim().to_owned();
    let replaced: Vec<String> = properties.iter().map(|line| key_of(line)).collect();
    let kept = defaults.lines().filter(|line| !replaced.contains(&key_of(line)));
    kept.chain(properties.iter().map(String::as_str))
        .fold(String::new(), |text, line| text + line + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties_of(config: &KafkaConfig) -> String {
        let broker = |plain| BrokerPorts { plain, controller: plain + 1, extra: vec![plain + 2] };
        let ports: Vec<_> = (0..config.brokers).map(|index| broker(100 + 10 * index)).collect();
        server_properties(config, &ports, 1, Path::new("/data"))
    }

    #[test]
    fn a_property_of_the_caller_replaces_the_default() {
        let properties =
            vec!["num.partitions=7".to_owned(), "offset.metadata.max.bytes=512".to_owned()];
        let text = properties_of(&KafkaConfig { properties, ..KafkaConfig::in_dir("/data") });
        assert!(!text.contains("num.partitions=3\n"));
        assert!(
            text.contains("\nnum.partitions=7\n")
                && text.contains("\noffset.metadata.max.bytes=512\n")
        );
        assert!(text.contains("\noffsets.topic.num.partitions=4\n"));
    }

    #[test]
    fn only_a_broker_that_lives_for_seconds_leaves_things_out() {
        let quick = KafkaConfig::in_dir("/data");
        assert!(properties_of(&quick).contains("\nmetric.reporters=\n"));
        assert!(logging(&quick).contains("rootLogger.level = warn\n"));
        let measured = KafkaConfig { is_measured: true, ..quick };
        assert!(!properties_of(&measured).contains("metric.reporters"));
        assert!(logging(&measured).contains("rootLogger.level = info\n"));
    }

    #[test]
    fn three_brokers_replicate_to_all_and_need_two() {
        let text = properties_of(&KafkaConfig { brokers: 3, ..KafkaConfig::in_dir("/data") });
        assert!(text.contains(
            "controller.quorum.voters=1@127.0.0.1:101,2@127.0.0.1:111,3@127.0.0.1:121\n"
        ));
        assert!(
            text.contains("\noffsets.topic.replication.factor=3\n")
                && text.contains("\nmin.insync.replicas=2\n")
        );
    }

    #[test]
    fn an_extra_listener_is_bound_to_its_port_and_advertised_where_it_is_told() {
        let advertised = vec!["127.0.0.1:7000".to_owned()];
        let listeners = vec![crate::kafka::Listener {
            name: "PROXIED".into(),
            protocol: "PLAINTEXT".into(),
            advertised,
        }];
        let text = properties_of(&KafkaConfig { listeners, ..KafkaConfig::in_dir("/data") });
        assert!(text.contains("\nlisteners=PLAINTEXT://127.0.0.1:100,CONTROLLER://127.0.0.1:101,PROXIED://127.0.0.1:102\n"));
        assert!(text.contains(
            "\nadvertised.listeners=PLAINTEXT://127.0.0.1:100,PROXIED://127.0.0.1:7000\n"
        ));
        assert!(text.contains(",PROXIED:PLAINTEXT\n"));
    }
}
