//! Settings that librdkafka knows under two names. A configuration that holds both means either: which one
//! librdkafka takes is chance.

use rdkafka::config::ClientConfig;

/// Names of the same setting, of those that a user may add.
const SAME: [[&str; 2]; 4] = [
    ["fetch.message.max.bytes", "max.partition.fetch.bytes"],
    ["queue.buffering.max.ms", "linger.ms"],
    ["compression.codec", "compression.type"],
    ["sasl.mechanisms", "sasl.mechanism"],
];

/// The other name of a setting, if it has two.
fn other_name(key: &str) -> Option<&'static str> {
    SAME.iter().find_map(|[one, other]| match key {
        key if key == *one => Some(*other),
        key if key == *other => Some(*one),
        _ => None,
    })
}

/// Sets a setting, whichever of its names it had before: what is set last counts.
pub(super) fn set(config: &mut ClientConfig, key: &str, value: &str) {
    if let Some(other) = other_name(key) {
        config.remove(other);
    }
    config.set(key, value);
}

/// Sets those settings that the user has not set, under neither of their names.
pub fn set_defaults<'a>(
    config: &mut ClientConfig,
    defaults: impl IntoIterator<Item = (&'a str, &'a str)>,
) {
    for (key, value) in defaults {
        let is_set = config.get(key).is_some()
            || other_name(key).is_some_and(|other| config.get(other).is_some());
        if !is_set {
            config.set(key, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::allow_list;
    use super::*;

    #[test]
    fn both_names_mean_the_same_to_librdkafka_and_may_be_set() {
        for [one, other] in SAME {
            let value = if one == "compression.codec" { "zstd" } else { "1000" };
            let mut config = ClientConfig::new();
            config.set(one, value);
            let native = config.create_native_config().expect("it takes the value");
            let told = native.get(other).expect("it knows the other name");
            assert_eq!(told.trim_end_matches('\0'), value, "{one} and {other}");
            for name in [one, other] {
                assert_eq!(allow_list::check(name), Ok(()), "{name}");
            }
        }
    }

    #[test]
    fn a_default_yields_to_either_name_and_the_last_name_counts() {
        for [one, other] in SAME {
            for (given, default) in [(one, other), (other, one), (one, one)] {
                let mut config = ClientConfig::new();
                set(&mut config, given, "7");
                set_defaults(&mut config, [(default, "9")]);
                assert_eq!(config.get(given), Some("7"));
                assert!(given == default || config.get(default).is_none(), "{given} {default}");
            }
            let mut config = ClientConfig::new();
            set(&mut config, one, "1");
            set(&mut config, other, "2");
            assert_eq!((config.get(one), config.get(other)), (None, Some("2")));
            set_defaults(&mut config, [("fetch.min.bytes", "1")]);
            assert_eq!(config.get("fetch.min.bytes"), Some("1"));
        }
    }
}
