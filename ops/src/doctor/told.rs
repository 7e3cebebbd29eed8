//! Settings in effect, each with who says so, and none that may be a secret.

use serde::Serialize;
use service_kit::args::OTHER_VARIABLES;
use service_kit::secret::Secret;

use crate::audit::{Flags, Settings};

/// Who set a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Source {
    /// A flag.
    CommandLine,
    /// An environment variable.
    Environment,
    /// The settings file.
    File,
    /// Nobody.
    Default,
}

impl Source {
    /// Its name in tables.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::CommandLine => "command line",
            Self::Environment => "environment",
            Self::File => "settings file",
            Self::Default => "default",
        }
    }

    /// Where a value comes from: `given` is that of flag or variable, `variable` what the variable holds.
    pub(crate) fn of(given: Option<&str>, variable: Option<&str>, merged: Option<&str>) -> Self {
        match (given, merged) {
            (Some(given), _) if variable == Some(given) => Self::Environment,
            (Some(_), _) => Self::CommandLine,
            (None, Some(_)) => Self::File,
            (None, None) => Self::Default,
        }
    }
}

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct SettingTold {
    /// Its flag, variable, or key of librdkafka.
    pub(crate) name: String,
    /// Its value; none where it may be a secret.
    pub(crate) value: Option<String>,
    /// Who says so.
    pub(crate) source: Source,
}

/// The value of a setting of librdkafka, unless it may be a secret: what logs in or proves who somebody is stays out, but for names
/// of files and of mechanisms.
pub(crate) fn shown<'a>(key: &str, value: &'a str) -> Option<&'a str> {
    let is_named = key.ends_with(".location") || key.starts_with("sasl.mechanism");
    let is_private = key.starts_with("sasl.") || key.starts_with("ssl.");
    (is_named || !is_private).then_some(value)
}

/// Each setting that the pipeline's commands share: `given` by flags and variables, `merged` with the file.
pub(crate) fn settings_told(
    given: &Flags,
    merged: &Flags,
    settings: &Settings,
    variable: impl Fn(&str) -> Option<String>,
) -> Vec<SettingTold> {
    let topics = &settings.topics;
    let told = |name: &str, env: &str, given: Option<&str>, merged: Option<&str>, value: &str| {
        let source = Source::of(given, variable(env).as_deref(), merged);
        SettingTold { name: name.to_owned(), value: Some(value.to_owned()), source }
    };
    let url = |flags: &Flags| {
        flags.registry.schema_registry_url.as_ref().map(Secret::expose).map(str::to_owned)
    };
    let (given_url, merged_url) = (url(given), url(merged));
    let mut all = vec![
        told(
            "bootstrap-server",
            "KAFKA_BOOTSTRAP_SERVERS",
            given.kafka.bootstrap_server.as_deref(),
            merged.kafka.bootstrap_server.as_deref(),
            settings.kafka.bootstrap_servers(),
        ),
        told(
            "schema-registry-url",
            "SCHEMA_REGISTRY_URL",
            given_url.as_deref(),
            merged_url.as_deref(),
            &without_logins(merged.registry.url()),
        ),
    ];
    let outcomes = topics.outcomes.as_deref().unwrap_or("none");
    for (name, given, merged, value) in [
        ("topic", &given.topic, &merged.topic, topics.main.as_str()),
        ("retry-topic", &given.retry_topic, &merged.retry_topic, &topics.retry),
        ("dlq-topic", &given.dlq_topic, &merged.dlq_topic, &topics.dead_letter),
        ("averages-topic", &given.averages_topic, &merged.averages_topic, &topics.averages),
        ("outcomes-topic", &given.outcomes_topic, &merged.outcomes_topic, outcomes),
        ("replays-topic", &given.replays_topic, &merged.replays_topic, &settings.replays),
        ("group-id", &given.group_id, &merged.group_id, &settings.group),
    ] {
        let env = format!("ORDERS_{}", name.to_uppercase().replace('-', "_"));
        all.push(told(name, &env, given.as_deref(), merged.as_deref(), value));
    }
    all.extend(properties_told(given, merged, &variable));
    all.extend(secrets_told(&variable));
    all
}

/// Secrets that are set, each without its value.
fn secrets_told(variable: &impl Fn(&str) -> Option<String>) -> Vec<SettingTold> {
    let is_secret = |name: &&str| SECRETS.iter().any(|part| name.contains(part));
    let is_set = |name: &&str| variable(name).is_some_and(|value| !value.is_empty());
    let set = OTHER_VARIABLES.into_iter().filter(is_secret).filter(is_set);
    let told = |name: &str| {
        let (name, source) = (name.to_owned(), Source::Environment);
        SettingTold { name, value: None, source }
    };
    set.map(told).collect()
}

/// Parts of the names of variables whose values are secrets, or name files with secrets.
const SECRETS: [&str; 3] = ["PASSWORD", "BASIC_AUTH", "TOKEN"];

/// The settings of librdkafka.
fn properties_told(
    given: &Flags,
    merged: &Flags,
    variable: &impl Fn(&str) -> Option<String>,
) -> Vec<SettingTold> {
    let of = |flags: &Flags| flags.kafka.properties();
    let (given, listed) = (of(given), variable("KAFKA_PROPERTIES").unwrap_or_default());
    let source = |key: &str, value: &str| {
        let own = format!("KAFKA_{}", key.to_uppercase().replace('.', "_"));
        let is_listed = listed.split(';').any(|pair| pair.trim() == format!("{key}={value}"));
        match given.iter().any(|(name, _)| name == key) {
            false => Source::File,
            true if is_listed || variable(&own).as_deref() == Some(value) => Source::Environment,
            true => Source::CommandLine,
        }
    };
    let told = |(key, value): (String, String)| SettingTold {
        name: format!("-X {key}"),
        value: shown(&key, &value).map(str::to_owned),
        source: source(&key, &value),
    };
    of(merged).into_iter().map(told).collect()
}

/// Addresses without users and passwords. They are checked before: it is plain which part is the login.
fn without_logins(addresses: &str) -> String {
    let bare = |address: &str| {
        let (scheme, rest) = address.split_once("://").unwrap_or(("http", address));
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        format!("{scheme}://{host}{path}")
    };
    addresses.split(',').map(|address| bare(address.trim())).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_says_who_set_it() {
        for (given, variable, merged, source) in [
            (Some("a"), Some("a"), Some("a"), Source::Environment),
            (Some("a"), Some("b"), Some("a"), Source::CommandLine),
            (Some("a"), None, Some("a"), Source::CommandLine),
            (None, None, Some("a"), Source::File),
            (None, None, None, Source::Default),
        ] {
            assert_eq!(Source::of(given, variable, merged), source, "{given:?} {variable:?}");
        }
    }

    #[test]
    fn what_may_be_a_secret_is_not_shown() {
        for (key, is_shown) in [
            ("linger.ms", true),
            ("security.protocol", true),
            ("sasl.mechanism", true),
            ("ssl.ca.location", true),
            ("sasl.username", false),
            ("sasl.kerberos.principal", false),
            ("ssl.certificate.pem", false),
            ("ssl.key.password", false),
        ] {
            assert_eq!(shown(key, "v").is_some(), is_shown, "{key}");
        }
    }

    #[test]
    fn an_address_is_shown_without_its_login() {
        for (address, expected) in [
            ("http://a:1/apis", "http://a:1/apis"),
            ("http://me:hunter2@a:1/x@y", "http://a:1/x@y"),
            ("https://me@a, http://u:p@b:2", "https://a,http://b:2"),
        ] {
            assert_eq!(without_logins(address), expected);
        }
    }
}
