//! The identity of a cluster and the storage of its brokers, both made once.

use std::fs::{self, File};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::thread;
use std::time::Duration;

use super::KafkaConfig;
use crate::node::write;
use crate::{JavaTools, StackError};

/// How long formatting a broker's storage may take.
const FORMAT_LIMIT: Duration = Duration::from_secs(60);

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
    tools: &JavaTools,
    cluster_id: &str,
) -> Result<(), StackError> {
    let users: Vec<String> = config
        .scram_users
        .iter()
        .map(|(name, password)| format!("SCRAM-SHA-512=[name={name},password={password}]"))
        .collect();
    let format_one = |id: u16| {
        let dir = config.dir.join(format!("broker-{id}"));
        let (data, formatted, properties) =
            (dir.join("data"), dir.join("formatted"), dir.join("server.properties"));
        if formatted.exists() {
            return Ok(());
        }
        if data.exists() {
            // Left by a formatting that was interrupted.
            fs::remove_dir_all(&data).map_err(StackError::io("cannot remove", &data))?;
        }
        let properties = properties.to_string_lossy();
        let mut args = vec!["format", "--cluster-id", cluster_id, "--config", &properties];
        args.extend(users.iter().flat_map(|user| ["--add-scram", user]));
        tools.run("kafka.tools.StorageTool", &args, FORMAT_LIMIT)?.checked()?;
        File::create(&formatted).map(drop).map_err(StackError::io("cannot write", &formatted))
    };
    thread::scope(|scope| {
        let format_one = &format_one;
        let running: Vec<_> =
            (1..=config.brokers).map(|id| scope.spawn(move || format_one(id))).collect();
        running.into_iter().try_for_each(|thread| thread.join().expect("formatting does not panic"))
    })
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
