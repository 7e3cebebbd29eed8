//! Names the permission that a refusal is about: the brokers only say what kind of thing it was.

use rdkafka::error::RDKafkaErrorCode;

/// Whether a code says that a permission is missing.
pub(crate) const fn is_denial(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as E;
    matches!(
        code,
        E::GroupAuthorizationFailed
            | E::TopicAuthorizationFailed
            | E::ClusterAuthorizationFailed
            | E::TransactionalIdAuthorizationFailed
    )
}

/// What a request needs, by the kind of thing that brokers may refuse.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Needs<'a> {
    topic: Option<(&'static str, &'a str)>,
    group: Option<(&'static str, &'a str)>,
    transactional_id: Option<&'a str>,
}

impl<'a> Needs<'a> {
    /// An operation on a topic.
    pub(crate) const fn topic(operation: &'static str, name: &'a str) -> Self {
        Self { topic: Some((operation, name)), group: None, transactional_id: None }
    }

    /// An operation on a group: Read to belong to it, which implies Describe, or Describe to look.
    pub(crate) const fn group(operation: &'static str, name: &'a str) -> Self {
        Self { topic: None, group: Some((operation, name)), transactional_id: None }
    }

    /// Write on a transactional id.
    pub(crate) const fn transactional_id(id: &'a str) -> Self {
        Self { topic: None, group: None, transactional_id: Some(id) }
    }

    /// These needs and those.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            topic: self.topic.or(other.topic),
            group: self.group.or(other.group),
            transactional_id: self.transactional_id.or(other.transactional_id),
        }
    }

    /// The missing permission in words, or `text` where the code is not about one that is known.
    pub(crate) fn explain(&self, code: RDKafkaErrorCode, text: &str) -> String {
        use RDKafkaErrorCode as E;
        match code {
            E::TopicAuthorizationFailed => self.topic.map(|(op, name)| missing(op, "topic", name)),
            E::GroupAuthorizationFailed => self.group.map(|(op, name)| missing(op, "group", name)),
            E::TransactionalIdAuthorizationFailed => {
                self.transactional_id.map(|id| missing("Write", "transactional id", id))
            }
            _ => None,
        }
        .unwrap_or_else(|| text.to_owned())
    }
}

/// The words for a permission that is missing.
pub(crate) fn missing(operation: &str, kind: &str, name: &str) -> String {
    format!("the permission {operation} on {kind} '{name}' is missing")
}

/// The topic that a log line says may not be written in a transaction. It is told nowhere else.
pub(crate) fn denied_topic<'a>(facility: &str, text: &'a str) -> Option<&'a str> {
    let is_denial = facility == "ADDPARTS" && text.contains("Topic authorization failed");
    is_denial.then(|| text.split('"').nth(1))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_topic_that_may_not_be_written_is_read_from_the_log_line() {
        let line = |why: &str| {
            let start =
                "[thrd:main]: TxnCoordinator/1: Failed to add partition \"orders-dlq\" [0] to";
            format!("{start} transaction: Broker: {why}")
        };
        let denied = line("Topic authorization failed");
        assert_eq!(denied_topic("ADDPARTS", &denied), Some("orders-dlq"));
        assert_eq!(denied_topic("TXNERR", &denied), None);
        assert_eq!(denied_topic("ADDPARTS", &line("Operation not attempted")), None);
    }

    #[test]
    fn a_refusal_names_the_permission_and_the_resource() {
        let needs = Needs::topic("Write", "orders-dlq")
            .and(Needs::group("Read", "g"))
            .and(Needs::transactional_id("g-0"));
        use RDKafkaErrorCode as E;
        for (code, words) in [
            (E::TopicAuthorizationFailed, "Write on topic 'orders-dlq'"),
            (E::GroupAuthorizationFailed, "Read on group 'g'"),
            (E::TransactionalIdAuthorizationFailed, "Write on transactional id 'g-0'"),
            (E::OperationTimedOut, "as it was"),
        ] {
            let text = needs.explain(code, "as it was");
            assert!(text.contains(words), "{code}: {text}");
        }
        assert_eq!(Needs::default().explain(E::GroupAuthorizationFailed, "denied"), "denied");
    }
}
