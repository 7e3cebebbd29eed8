//! A process that is under test prints none of its secrets.

use super::Process;

impl Process {
    /// Looks for its secrets in all that it has printed.
    pub(super) fn keeps_its_secrets(&self) {
        if self.secrets.is_empty() {
            return;
        }
        let printed = self.read("stdout") + &self.log();
        let told = self.secrets.iter().find(|secret| printed.contains(secret.as_str()));
        assert!(told.is_none(), "{} has printed a secret: {told:?}", self.name);
    }
}

/// Values of variables whose names say that they are secrets; short ones may stand anywhere.
pub(super) fn secrets_of(variables: &[(&str, &str)]) -> Vec<String> {
    const NAMES: [&str; 4] = ["PASSWORD", "TOKEN", "BASIC_AUTH", "SECRET"];
    const CHARS_MIN: usize = 8;
    let is_secret = |name: &str| NAMES.iter().any(|part| name.ends_with(part));
    let secrets = variables.iter().filter(|(name, _)| is_secret(name));
    let secrets = secrets.map(|(_, value)| value.split_once(':').map_or(*value, |(_, word)| word));
    secrets.filter(|value| value.len() >= CHARS_MIN).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use super::*;

    #[test]
    fn secrets_are_the_values_of_variables_that_are_named_so() {
        let variables = [
            ("KAFKA_SASL_PASSWORD", "canary-of-kafka"),
            ("SCHEMA_REGISTRY_BASIC_AUTH", "bird:canary-of-auth"),
            ("SCHEMA_REGISTRY_TOKEN", "short"),
            ("KAFKA_SASL_PASSWORD_FILE", "/a/path/of/no/use"),
        ];
        assert_eq!(secrets_of(&variables), ["canary-of-kafka", "canary-of-auth"]);
    }

    #[test]
    #[should_panic(expected = "has printed a secret")]
    fn a_program_that_prints_its_secret_is_told() {
        let variables = [("SOME_TOKEN", "canary-of-a-test")];
        let shell = Command::new("sh");
        let args = ["-c", "echo token=$SOME_TOKEN"];
        Process::launch("sh", shell, &args, &variables).wait(Duration::from_secs(20));
    }
}
