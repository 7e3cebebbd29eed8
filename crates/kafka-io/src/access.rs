//! Checks at start that this client may do with topics what it will have to do: a missing
//! permission is an error with a name then, and not a failure in the middle of the night.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::client::Client;
use rdkafka::error::RDKafkaErrorCode;

use crate::ask_error::AskError;
use crate::native::access as native;
pub use crate::native::access::Operation;
use crate::permission::missing;

/// How long may be asked whom an error is to be blamed on; what failed is of no use by then.
const BLAME_MAX: Duration = Duration::from_secs(2);

/// What will be done with a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want<'a> {
    /// The topic.
    pub topic: &'a str,
    /// What will be done with it.
    pub operations: Vec<Operation>,
}

/// Permissions that a client needs and does not have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MissingPermissions(Vec<Lack>);

/// What is missing on one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Lack {
    topic: String,
    /// Surely missing.
    missing: Vec<Operation>,
    /// To be granted: the missing operations, and those that cannot be checked before.
    to_grant: Vec<Operation>,
}

/// What the brokers say about one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Access {
    /// The operations that are allowed.
    Operations(Vec<Operation>),
    /// The topic does not exist, or the broker does not report its operations: unknown.
    Untold,
    /// The broker does not even report that it exists.
    Denied,
}

impl MissingPermissions {
    /// Whether nothing is missing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes out what is missing of one operation, and returns whether there was any.
    pub fn take(&mut self, operation: Operation) -> bool {
        let mut is_found = false;
        for lack in &mut self.0 {
            is_found |= lack.missing.contains(&operation);
            lack.missing.retain(|known| *known != operation);
        }
        self.0.retain(|lack| !lack.missing.is_empty());
        is_found
    }

    /// The commands that grant what is missing, one per topic.
    #[must_use]
    pub fn commands(&self, bootstrap_servers: &str) -> String {
        let command = |Lack { topic, to_grant, .. }: &Lack| {
            let operations: String =
                to_grant.iter().map(|op| format!(" --operation {}", op.name())).collect();
            format!(
                "kafka-acls --bootstrap-server {bootstrap_servers} --add --allow-principal \
                 User:NAME{operations} --topic {topic}"
            )
        };
        self.0.iter().map(command).collect::<Vec<_>>().join("; ")
    }
}

impl fmt::Display for MissingPermissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.0.iter().flat_map(|Lack { topic, missing, .. }| {
            missing.iter().map(move |operation| (operation.name(), topic))
        });
        match words.clone().collect::<Vec<_>>().as_slice() {
            [(operation, topic)] => f.write_str(&missing(operation, "topic", topic)),
            _ => {
                let words =
                    words.map(|(operation, topic)| format!("{operation} on topic '{topic}'"));
                let words = words.collect::<Vec<_>>().join(", ");
                write!(f, "these permissions are missing: {words}")
            }
        }
    }
}

/// Queries the permissions of `client`, and returns the missing ones of `wants`. Permissions that
/// the brokers do not report (old brokers, or those of a test) do not count as missing.
///
/// # Errors
///
/// Fails without an answer in time: silence is no permission.
pub(crate) fn missing_permissions<C: ClientContext>(
    client: &Client<C>,
    wants: &[Want<'_>],
    limit: Duration,
) -> Result<MissingPermissions, AskError> {
    use RDKafkaErrorCode as E;
    let names: Vec<&str> = wants.iter().map(|want| want.topic).collect();
    match native::topics(client, &names, limit) {
        Ok(topics) => {
            let sorted = topics.into_iter().map(|(name, answer)| (name, sort(answer)));
            Ok(compare(wants, &sorted.collect()))
        }
        Err(error) if matches!(error.code, E::UnsupportedFeature | E::UnsupportedVersion) => {
            tracing::debug!(%error, "the brokers do not report this client's permissions");
            Ok(MissingPermissions::default())
        }
        Err(error) => Err(AskError::of_code(Some(error.code), error.text)),
    }
}

/// Names those of the topics that may not be read, in words; `None` if all may be, or if the brokers
/// do not tell, or not in time. For errors that do not say which topic they are about.
pub(crate) fn unreadable<'a, C: ClientContext>(
    client: &Client<C>,
    topics: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    let topics: BTreeSet<&str> = topics.into_iter().collect();
    let want = |topic| Want { topic, operations: vec![Operation::Read] };
    let wants: Vec<Want<'_>> = topics.into_iter().map(want).collect();
    let missing = missing_permissions(client, &wants, BLAME_MAX).ok()?;
    (!missing.is_empty()).then(|| missing.to_string())
}

fn sort(answer: Result<native::TopicTold, RDKafkaErrorCode>) -> Access {
    match answer.map(|told| told.operations) {
        Ok(Some(operations)) => Access::Operations(operations),
        Err(RDKafkaErrorCode::TopicAuthorizationFailed) => Access::Denied,
        Ok(None) | Err(_) => Access::Untold,
    }
}

fn compare(wants: &[Want<'_>], told: &HashMap<String, Access>) -> MissingPermissions {
    let missing = wants.iter().filter_map(|want| {
        let lacks = |operation: &&Operation| match told.get(want.topic) {
            Some(Access::Operations(allowed)) => !allowed.contains(operation),
            // Everything but this makes the topic known, so this alone may be there.
            Some(Access::Denied) => **operation != Operation::DescribeConfigs,
            Some(Access::Untold) | None => false,
        };
        let missing: Vec<Operation> = want.operations.iter().filter(lacks).copied().collect();
        let to_grant = match told.get(want.topic) {
            Some(Access::Denied) => want.operations.clone(),
            _ => missing.clone(),
        };
        (!missing.is_empty()).then(|| Lack { topic: want.topic.to_owned(), missing, to_grant })
    });
    MissingPermissions(missing.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::Admin;
    use crate::client_config::{KafkaSettings, Role};
    use crate::publisher::{TopicError, partition_count};

    fn missing_of(told: &[(&str, Access)]) -> MissingPermissions {
        let wants = [
            Want { topic: "orders", operations: vec![Operation::Read, Operation::DescribeConfigs] },
            Want { topic: "retry", operations: vec![Operation::Read, Operation::Delete] },
        ];
        let told = told.iter().map(|(name, access)| ((*name).to_owned(), access.clone()));
        compare(&wants, &told.collect())
    }

    #[test]
    fn what_is_missing_is_named_with_the_command_that_grants_it() {
        let mut found = missing_of(&[
            ("orders", Access::Denied),
            ("retry", Access::Operations(vec![Operation::Read, Operation::Write])),
        ]);
        assert_eq!(
            found.to_string(),
            "these permissions are missing: Read on topic 'orders', Delete on topic 'retry'"
        );
        assert!(found.take(Operation::Delete) && !found.take(Operation::Delete));
        assert_eq!(found.to_string(), "the permission Read on topic 'orders' is missing");
        let command = "kafka-acls --bootstrap-server b:1 --add --allow-principal User:NAME \
                       --operation Read --operation DescribeConfigs --topic orders";
        assert_eq!(found.commands("b:1"), command);
    }

    #[test]
    fn a_question_that_nobody_answers_grants_nothing() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = silent.local_addr().unwrap().to_string();
        let settings = KafkaSettings::new("test", &address, vec![]).unwrap();
        let limit = Duration::from_millis(200);
        let admin = Admin::new(&settings.base(Role::Admin)).unwrap();
        let wants = [Want { topic: "orders", operations: vec![Operation::Read] }];
        let asked = admin.missing_permissions(&wants, limit);
        assert!(matches!(asked, Err(AskError::Away(_))), "{asked:?}");
        let written = partition_count(&settings, "orders", limit);
        assert!(matches!(written, Err(TopicError::Away { .. })), "{written:?}");
    }

    #[test]
    fn what_is_not_told_is_not_missing() {
        assert!(missing_of(&[]).is_empty());
        assert!(missing_of(&[("orders", Access::Untold)]).is_empty());
        use Operation::{Delete, DescribeConfigs, Read};
        let all = Access::Operations(vec![Read, Delete, DescribeConfigs]);
        assert!(missing_of(&[("orders", all.clone()), ("retry", all)]).is_empty());
    }
}
