//! Commands of Kafka's own tools that hints propose: the only flags that messages of this crate hold.

/// Sets the offset of a group at partitions that are written as `0,1,2`; `to` is `to-earliest`, or `to-offset N`.
pub(crate) fn reset(servers: &str, group: &str, place: (&str, &str), to: &str) -> String {
    let (topic, partitions) = place;
    format!(
        "kafka-consumer-groups --bootstrap-server {servers} --group {group} --topic {topic}:{partitions} \
         --reset-offsets --{to} --execute"
    )
}

/// Sets settings of a topic, `name=value` with commas between.
pub(crate) fn set_topic(servers: &str, topic: &str, settings: &str) -> String {
    format!(
        "kafka-configs --bootstrap-server {servers} --alter --topic {topic} --add-config {settings}"
    )
}

/// Adds partitions to a topic.
pub(crate) fn add_partitions(servers: &str, topic: &str, partitions: i32) -> String {
    format!(
        "kafka-topics --bootstrap-server {servers} --alter --topic {topic} --partitions {partitions}"
    )
}

/// Shows the transactions that are open over a partition.
pub(crate) fn describe_producers(servers: &str, topic: &str, partition: i32) -> String {
    format!(
        "kafka-transactions --bootstrap-server {servers} describe-producers --topic {topic} --partition {partition}"
    )
}
