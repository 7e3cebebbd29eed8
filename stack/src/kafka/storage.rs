//! The identity of a cluster and the storage of its brokers, both made once.
//!
//! Kafka's own tool formats a folder, in a second of processor time. Of what it writes only the names of cluster, broker and
//! folder differ, as long as no users are made with it: so the rest is kept beside the jars, and copied from then on.

use std::fs::{self, File};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::KafkaConfig;
use crate::node::{create_dir, write};
use crate::{Jars, JavaTools, StackError};

/// How long formatting a broker's storage may take.
const FORMAT_LIMIT: Duration = Duration::from_secs(60);

/// What a formatted folder holds: whose it is, and the records that every cluster of this version of Kafka begins with.
const IDENTITY: &str = "meta.properties";
const FIRST_RECORDS: &str = "bootstrap.checkpoint";

/// Returns how many brokers the cluster in the folder has, if one lies there.
pub(super) fn brokers_there(config: &KafkaConfig) -> Option<u16> {
    let text = fs::read_to_string(config.dir.join("cluster")).ok()?;
    text.split_whitespace().nth(1)?.parse().ok()
}

/// Returns the id of the cluster in the folder, made at its first start.
pub(super) fn cluster_id(config: &KafkaConfig) -> Result<String, StackError> {
    let path = config.dir.join("cluster");
    let asked = format!("{} broker(s)", config.brokers);
    if let Ok(text) = fs::read_to_string(&path) {
        let (id, found) = text.trim_end().split_once(' ').unwrap_or_default();
        if found == asked {
            return Ok(id.to_owned());
        }
        let found = format!("a Kafka cluster of {found}");
        return Err(StackError::OtherContent { path: config.dir.clone(), found, asked });
    }
    let id = random_uuid();
    write(&path, &format!("{id} {asked}\n"))?;
    Ok(id)
}

/// Returns 16 random bytes as Kafka writes UUIDs: base64url without padding, never with a leading `-`.
fn random_uuid() -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let half = || u128::from(RandomState::new().build_hasher().finish());
    let bits = half() << 64 | half();
    // 128 bits are 21 letters and 2 bits, which stand in front of the last letter.
    let letter = |bits: u128| char::from(LETTERS[usize::from((bits & 63) as u8)]);
    let id: String =
        (0..21).map(|index| letter(bits >> (122 - 6 * index))).chain([letter(bits << 4)]).collect();
    if id.starts_with('-') { id.replacen('-', "A", 1) } else { id }
}

/// Formats the storage of the brokers that have none, all at once.
pub(super) fn format(
    config: &KafkaConfig,
    jars: &Jars,
    tools: &JavaTools,
    cluster_id: &str,
) -> Result<(), StackError> {
    let kept = kept_records(jars);
    let format_one = |id: u16| {
        let dir = config.dir.join(format!("broker-{id}"));
        let (data, formatted) = (dir.join("data"), dir.join("formatted"));
        if formatted.exists() {
            return Ok(());
        }
        if data.exists() {
            // Left by a formatting that was interrupted.
            fs::remove_dir_all(&data).map_err(StackError::io("cannot remove", &data))?;
        }
        match fs::read(&kept) {
            Ok(records) if config.scram_users.is_empty() => {
                write_formatted(&data, cluster_id, id, &records)?;
            }
            _ => {
                format_with_tool(config, tools, cluster_id, &dir)?;
                if config.scram_users.is_empty() {
                    // Without them a later start takes longer; that is all.
                    let _not_kept = keep(&data.join(FIRST_RECORDS), &kept);
                }
            }
        }
        File::create(&formatted).map(drop).map_err(StackError::io("cannot write", &formatted))
    };
    thread::scope(|scope| {
        let format_one = &format_one;
        let running: Vec<_> =
            (1..=config.brokers).map(|id| scope.spawn(move || format_one(id))).collect();
        running.into_iter().try_for_each(|thread| thread.join().expect("formatting does not panic"))
    })
}

/// Returns where the first records are kept, for the version of Kafka whose jars these are.
fn kept_records(jars: &Jars) -> PathBuf {
    jars.dir().join(format!("kafka-{FIRST_RECORDS}"))
}

/// Formats the storage of the broker in `dir` with Kafka's own tool.
fn format_with_tool(
    config: &KafkaConfig,
    tools: &JavaTools,
    cluster_id: &str,
    dir: &Path,
) -> Result<(), StackError> {
    let users: Vec<String> = config
        .scram_users
        .iter()
        .map(|(name, password)| format!("SCRAM-SHA-512=[name={name},password={password}]"))
        .collect();
    let properties = dir.join("server.properties");
    let properties = properties.to_string_lossy();
    let mut args = vec!["format", "--cluster-id", cluster_id, "--config", &properties];
    args.extend(users.iter().flat_map(|user| ["--add-scram", user]));
    tools.run("kafka.tools.StorageTool", &args, FORMAT_LIMIT)?.checked().map(drop)
}

/// Writes what the tool writes, with these first records.
fn write_formatted(
    data: &Path,
    cluster_id: &str,
    node: u16,
    records: &[u8],
) -> Result<(), StackError> {
    create_dir(data)?;
    let path = data.join(FIRST_RECORDS);
    fs::write(&path, records).map_err(StackError::io("cannot write", &path))?;
    let directory_id = random_uuid();
    let identity = format!(
        "cluster.id={cluster_id}\ndirectory.id={directory_id}\nnode.id={node}\nversion=1\n"
    );
    write(&data.join(IDENTITY), &identity)
}

/// Copies `records` to where later starts find them, whole or not at all: other processes may look at the same time.
fn keep(records: &Path, kept: &Path) -> std::io::Result<()> {
    let name = format!("{FIRST_RECORDS}-{}", random_uuid());
    let staging = kept.with_file_name(name);
    fs::copy(records, &staging)?;
    fs::rename(&staging, kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_id_has_22_letters_and_no_two_are_equal() {
        let (first, second) = (random_uuid(), random_uuid());
        assert_eq!((first.len(), second.len()), (22, 22));
        assert_ne!(first, second);
        // The last letter carries two bits: the other four are zero.
        assert!("AQgw".contains(&first[21..]));
    }
}
