//! Why it is not known how far a group is behind.

use kafka_io::client_config::{AwayReason, BrokersAway};
use kafka_io::member::AskError;
use service_kit::exit::AppError;
use service_kit::settings::nearest;

/// What a user does where no broker answers.
const BROKER_HINT: &str =
    "is Kafka running there? name it with --bootstrap-server or KAFKA_BOOTSTRAP_SERVERS";

/// Most groups that a hint names.
const GROUPS_NAMED_MAX: usize = 8;

/// Why it is not known how far a group is behind.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LagError {
    /// A setting that cannot be used.
    #[error("{0}")]
    Settings(String),
    /// The brokers are not there.
    #[error("{detail}")]
    Away {
        /// What the client says.
        detail: String,
        /// What to do next, where the client knows.
        hint: Option<&'static str>,
    },
    /// The brokers do not answer, or refuse.
    #[error("{0}")]
    Ask(#[from] AskError),
    /// There is no such group.
    #[error("the group {group} does not exist at {servers}")]
    NoGroup {
        /// Its name.
        group: String,
        /// Brokers that were asked.
        servers: String,
        /// The groups that there are.
        known: Vec<String>,
    },
}

impl From<BrokersAway> for LagError {
    fn from(error: BrokersAway) -> Self {
        match error.reason {
            AwayReason::Settings => Self::Settings(error.to_string()),
            _ => Self::Away { hint: error.hint(), detail: error.to_string() },
        }
    }
}

/// Each with the exit code and the next step that is safe.
impl From<LagError> for AppError {
    fn from(error: LagError) -> Self {
        let text = error.to_string();
        match error {
            LagError::Settings(_) => Self::usage(text),
            LagError::Away { hint, .. } => Self::failed(text).hint(hint.unwrap_or(BROKER_HINT)),
            LagError::Ask(AskError::Refused(_)) => Self::failed(text)
                .hint("docs/security.md lists the permissions that each program needs"),
            LagError::Ask(_) => Self::failed(text).hint("run it again when the brokers answer"),
            LagError::NoGroup { group, known, .. } => {
                Self::failed(text).hint(other_groups(&group, &known))
            }
        }
    }
}

fn other_groups(group: &str, known: &[String]) -> String {
    if let Some(near) = nearest(group, known.iter().map(String::as_str)) {
        return format!("did you mean {near}?");
    }
    if known.is_empty() {
        return "the cluster has no consumer groups: has the consumer run yet?".to_owned();
    }
    let named: Vec<&str> = known.iter().take(GROUPS_NAMED_MAX).map(String::as_str).collect();
    let more = if known.len() > named.len() { " and others" } else { "" };
    format!("name one with --group: {}{more}", named.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_that_does_not_exist_comes_with_the_one_that_was_meant() {
        let owned =
            |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let many: Vec<String> = (0..20).map(|n| format!("{n}-g")).collect();
        for (group, known, expected) in [
            ("order-consumre", owned(&["order-consumer", "x"]), "did you mean order-consumer?"),
            ("y", owned(&["order-consumer", "x"]), "name one with --group: order-consumer, x"),
            ("y", owned(&[]), "the cluster has no consumer groups: has the consumer run yet?"),
            ("y", many, "name one with --group: 0-g, 1-g, 2-g, 3-g, 4-g, 5-g, 6-g, 7-g and others"),
        ] {
            let error =
                LagError::NoGroup { group: group.to_owned(), servers: "b:1".to_owned(), known };
            let error = AppError::from(error);
            assert_eq!(error.hint_text(), Some(expected));
            assert_eq!(error.status().code(), 1);
        }
    }
}
