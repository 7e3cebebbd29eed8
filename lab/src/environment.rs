//! What a comparison ran on, and what each paradigm promised there.

use std::fs;
use std::path::Path;

use serde_json::Value;
use service_kit::program::Program;

use crate::priority;
use crate::programs::Programs;
use crate::results::{Environment, ParadigmInfo, ServerInfo};
use crate::servers::Servers;
use crate::workload::{Paradigm, WorkloadFile};

/// Account of a RabbitMQ that the lab has started: it lets in nobody from elsewhere.
const GUEST: (&str, &str) = ("guest", "guest");

/// Why RabbitMQ's memory grows while a comparison lasts.
const RAFT_LOG: &str = "raft.wal_max_size_bytes: its default of 512 MiB. What quorum queues write stays in memory as well \
                        until the log has that size, also what was acknowledged long ago";

/// What Kafka's services are told about order, and what that costs.
const KEPT_ORDER: &str = "orders of one item are decided, and their customers told, in the order of the log (--order key): \
                          one that takes long or is tried again holds up the later ones of its item";

/// Looks at the machine and the servers.
pub(crate) async fn look(
    program: &Program,
    programs: &Programs,
    servers: &Servers,
    http: &reqwest::Client,
    dir: &Path,
    file: &WorkloadFile,
) -> Environment {
    let mut infos = Vec::new();
    if let Some(url) = servers.rabbit_management_url() {
        infos.push(rabbit(http, &url, file.rabbitmq_nodes).await);
    }
    if let Some(classpath) = servers.kafka_classpath() {
        let command = servers.kafka_pid().map(|pid| format!("/proc/{pid}/cmdline"));
        let command = command.and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
        infos.push(kafka(&classpath, &command, file.kafka_brokers));
    }
    Environment { servers: infos, ..machine(program, programs.profile(), dir) }
}

/// Looks at the machine.
#[must_use]
pub(crate) fn machine(program: &Program, profile: &str, dir: &Path) -> Environment {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let memory = field(&read("/proc/meminfo"), "MemTotal").unwrap_or_default();
    let memory_kib: u64 = memory.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0);
    let load = read("/proc/loadavg");
    Environment {
        version: program.version.to_owned(),
        commit: program.commit.to_owned(),
        profile: profile.to_owned(),
        cpu: field(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| "unknown".to_owned()),
        cores: std::thread::available_parallelism().map_or(0, |n| n.get() as u64),
        memory_bytes: memory_kib << 10,
        kernel: format!("Linux {}", read("/proc/sys/kernel/osrelease").trim()),
        storage: storage_of(&read("/proc/mounts"), dir),
        load_before: load.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0.0),
        is_generator_first: std::thread::spawn(priority::raise).join().unwrap_or(false),
        servers: Vec::new(),
        warm_ups: Vec::new(),
    }
}

/// File system of a folder, by the longest mount point that it lies below.
fn storage_of(mounts: &str, dir: &Path) -> String {
    let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_path_buf());
    let of_line = |line: &str| {
        let mut words = line.split(' ').skip(1);
        let (point, kind) = (words.next()?.to_owned(), words.next()?.to_owned());
        dir.starts_with(&point).then_some((point.len(), kind))
    };
    let found = mounts.lines().filter_map(of_line).max_by_key(|(length, _)| *length);
    found.map_or_else(|| "unknown".to_owned(), |(_, kind)| kind)
}

async fn rabbit(http: &reqwest::Client, url: &str, nodes: u16) -> ServerInfo {
    let request = http.get(format!("{url}/api/overview")).basic_auth(GUEST.0, Some(GUEST.1));
    let overview: Value = match request.send().await {
        Ok(answer) => answer.json().await.unwrap_or_default(),
        Err(_) => Value::Null,
    };
    let text = |name: &str| overview[name].as_str().unwrap_or("unknown").to_owned();
    ServerInfo {
        name: "RabbitMQ".to_owned(),
        version: format!("{}, Erlang {}", text("rabbitmq_version"), text("erlang_version")),
        settings: match nodes {
            1 => vec![
                "one node".to_owned(),
                "quorum queues of one member".to_owned(),
                RAFT_LOG.to_owned(),
            ],
            n => vec![
                format!("{n} nodes, each with clients of its own"),
                format!("quorum queues of {n} members"),
                "cluster_partition_handling=pause_minority".to_owned(),
                RAFT_LOG.to_owned(),
            ],
        },
        is_mock: false,
    }
}

fn kafka(classpath: &str, command: &str, brokers: u16) -> ServerInfo {
    let in_sync = if brokers == 1 { 1 } else { 2 };
    ServerInfo {
        name: "Apache Kafka".to_owned(),
        version: kafka_version(classpath).unwrap_or_else(|| "unknown".to_owned()),
        settings: vec![
            format!("{brokers} broker{}, KRaft", if brokers == 1 { "" } else { "s" }),
            format!("default.replication.factor={brokers}"),
            format!("min.insync.replicas={in_sync}"),
            "log.flush.interval: the operating system's".to_owned(),
            format!("java {}", java_flags(command)),
        ],
        is_mock: false,
    }
}

/// What a server's Java was told about its memory and threads, from its command line as `/proc` has it.
fn java_flags(command: &str) -> String {
    let is_about = |arg: &&str| arg.starts_with("-Xm") || arg.starts_with("-XX:");
    // Those say nothing of how fast it is once it runs.
    let is_other = |arg: &&str| arg.contains("Unlock") || arg.contains("SharedArchive");
    let flags = command.split('\0').filter(is_about).filter(|arg| !is_other(arg));
    let flags = flags.collect::<Vec<_>>().join(" ");
    if flags.is_empty() { "with its defaults".to_owned() } else { flags }
}

/// The version in the name of the broker's jar.
fn kafka_version(classpath: &str) -> Option<String> {
    let folders = classpath.split(':').map(|part| part.trim_end_matches('*'));
    for folder in folders {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let version =
                name.strip_prefix("kafka_2.13-").and_then(|rest| rest.strip_suffix(".jar"));
            if let Some(version) = version {
                return Some(version.to_owned());
            }
        }
    }
    None
}

/// What an acceptance means where the lab has started nothing: what the owners say.
#[must_use]
pub(crate) fn promises_elsewhere(paradigm: Paradigm, told: Option<&Vec<String>>) -> ParadigmInfo {
    let not_told =
        "not told: the services run elsewhere, and the targets file has no `durability` for them";
    let durability = told.cloned().unwrap_or_else(|| vec![not_told.to_owned()]);
    ParadigmInfo { paradigm, durability }
}

/// What an acceptance means in each paradigm, as it is run here.
#[must_use]
pub(crate) fn promises(paradigm: Paradigm, file: &WorkloadFile) -> ParadigmInfo {
    let lines: &[&str] = match paradigm {
        Paradigm::SyncRest => &[
            "200 says that inventory has reserved and notification has told: acceptance and outcome are one moment",
            "each of the three services commits to its own file, with fsync, before it answers; requests that wait share a flush",
            "one copy, on one disk",
        ],
        Paradigm::Rabbit if file.rabbitmq_nodes == 3 => &[
            "202 says that two of the three members of a durable quorum queue have the order, and the broker has confirmed it (publisher confirms, mandatory)",
            "a member flushes its write-ahead log before it counts; order, inventory and notification commit to files of their own, with fsync",
            "replicas = 3, here on one disk; the stores of the services have one copy each",
        ],
        Paradigm::Rabbit => &[
            "202 says that a durable quorum queue has the order and the broker has confirmed it (publisher confirms, mandatory)",
            "the broker flushes its write-ahead log before it confirms; order, inventory and notification commit to files of their own, with fsync",
            "one queue member, on one disk: a cluster of three would keep three",
        ],
        Paradigm::Streaming if file.kafka_brokers == 3 => &[
            "202 says that all in-sync replicas have the order (acks=all, idempotent producer, min.insync.replicas=2)",
            "replicas have it in memory; the operating system writes it later: it is safe as long as not all of them lose power at once",
            "replicas = 3, here on one disk; results, state and offsets of a step are one transaction; members have names (--instance-id)",
            KEPT_ORDER,
        ],
        Paradigm::Streaming => &[
            "202 says that the broker has the order (acks=all, idempotent producer)",
            "the broker has it in memory, and the operating system writes it later: no flush before the answer. A killed broker loses nothing, a power failure may",
            "one copy: a cluster of three would keep three; results, state and offsets of a step are one transaction; members have names (--instance-id)",
            KEPT_ORDER,
        ],
    };
    ParadigmInfo { paradigm, durability: lines.iter().map(|line| (*line).to_owned()).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_a_java_server_and_its_collector_are_told_as_they_were_given() {
        let command = "/usr/bin/java\0-XX:+UseSerialGC\0-XX:+UnlockDiagnosticVMOptions\0-Xshare:auto\0-Xmx768m\0\
                       -XX:SharedArchiveFile=/tmp/a.jsa\0-cp\0libs/*\0kafka.Kafka\0server.properties\0";
        assert_eq!(java_flags(command), "-XX:+UseSerialGC -Xmx768m");
        assert_eq!(java_flags(""), "with its defaults");
    }

    #[test]
    fn the_file_system_is_that_of_the_nearest_mount_point() {
        let mounts = "a / ext4 rw 0 0\nb /dev/shm tmpfs rw 0 0\n";
        assert_eq!(storage_of(mounts, Path::new("/dev/shm/not-there")), "tmpfs");
        assert_eq!(storage_of(mounts, Path::new("/not-there")), "ext4");
    }
}
