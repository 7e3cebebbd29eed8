//! How hints of the engine name these flags.

use relane::stage::SettingNames;

/// The flags of every program with a pipeline. Those of topics and group are the program's own.
pub const FLAGS: SettingNames = SettingNames {
    group: "",
    state: "",
    retry: "",
    dead_letter: "",
    outcomes: "",
    output: "",
    create_topics: "--create-topics",
    accept_gap: "--accept-gap",
    accept_compacted: "--accept-compacted",
    no_dead_letter_limit: "--dlq-limit off",
    no_trim: "--trim-retry 0",
    instance_id: "--instance-id",
    brokers: "--bootstrap-server or KAFKA_BOOTSTRAP_SERVERS",
};

#[cfg(test)]
mod tests {
    use clap::{Args as _, Command};

    use super::*;
    use crate::EngineArgs;

    #[test]
    fn every_flag_that_a_hint_proposes_is_one_of_these() {
        let command = EngineArgs::augment_args(Command::new("program"));
        let is_known = |flag: &str| {
            command.get_arguments().any(|arg| arg.get_long().is_some_and(|long| long == flag))
        };
        let SettingNames { create_topics, accept_gap, accept_compacted, .. } = FLAGS;
        let SettingNames { no_dead_letter_limit, no_trim, instance_id, .. } = FLAGS;
        for name in [create_topics, accept_gap, accept_compacted].into_iter().chain([
            no_dead_letter_limit,
            no_trim,
            instance_id,
        ]) {
            let flag = name.split(' ').next().and_then(|flag| flag.strip_prefix("--"));
            assert!(flag.is_some_and(is_known), "{name}");
        }
    }
}
