//! What differs between topics as they are declared and as they are, and what would make them so.

use std::collections::{BTreeMap, BTreeSet};

use kafka_io::admin::{Setting, SettingSource, TopicDetail};
use serde::Serialize;

use super::declared::Declared;

/// What is said where partitions are added.
pub const KEYS_MOVE: &str = "keys move: records of one key written before and after the change are in \
different partitions, and their order is not kept";

/// Something that makes a topic as it is declared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum Step {
    /// It is made.
    Create {
        /// With so many partitions.
        partitions: i32,
        /// On so many brokers; as many as these make by themselves where none is named.
        replicas: Option<i32>,
        /// With these settings.
        settings: BTreeMap<String, String>,
    },
    /// Partitions are added.
    AddPartitions {
        /// It has so many.
        from: i32,
        /// It gets so many.
        to: i32,
    },
    /// Settings are changed, together; all others stay.
    Set {
        /// One after the other.
        changes: Vec<Change>,
    },
    /// It is deleted with all its records.
    Delete {
        /// It has so many partitions.
        partitions: i32,
    },
}

/// A setting that is changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Its name.
    pub setting: String,
    /// Its value before; none where brokers keep it secret.
    pub from: Option<String>,
    /// Its value then.
    pub to: String,
}

/// A difference that nothing here can end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "conflict", rename_all = "kebab-case")]
pub enum Conflict {
    /// It has more partitions than are declared.
    TooManyPartitions {
        /// It has so many.
        has: i32,
        /// So many are declared.
        declared: i32,
    },
    /// It is held by another number of brokers.
    Replicas {
        /// So many hold it.
        has: i32,
        /// So many are declared.
        declared: i32,
    },
    /// The brokers know no setting of this name.
    UnknownSetting {
        /// Its name.
        setting: String,
    },
}

impl Conflict {
    /// What differs, and what to do.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::TooManyPartitions { has, declared } => format!(
                "has {has} partitions, but {declared} are declared: partitions cannot be removed; \
                 declare {has}, or copy the records to a new topic"
            ),
            Self::Replicas { has, declared } => format!(
                "has {has} replicas, but {declared} are declared: change them with kafka-reassign-partitions"
            ),
            Self::UnknownSetting { setting } => {
                format!("the brokers have no setting {setting}: correct its name in the file")
            }
        }
    }
}

/// One topic of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TopicPlan {
    /// Its name.
    pub name: String,
    /// What its records are keyed by.
    pub key: Option<String>,
    /// What would be done, in this order.
    pub steps: Vec<Step>,
    /// What differs and stays so.
    pub conflicts: Vec<Conflict>,
    /// Settings that somebody made on the topic and the file does not name: they stay.
    pub left_alone: BTreeMap<String, Option<String>>,
}

impl TopicPlan {
    /// Whether the topic is as it is declared.
    #[must_use]
    pub fn is_as_declared(&self) -> bool {
        self.steps.is_empty() && self.conflicts.is_empty()
    }

    /// What should be known before it is done.
    #[must_use]
    pub fn warning(&self) -> Option<&'static str> {
        let widens = self.steps.iter().any(|step| matches!(step, Step::AddPartitions { .. }));
        widens.then_some(KEYS_MOVE)
    }

    fn of(declared: &Declared, actual: Option<&TopicDetail>) -> Self {
        let name = declared.name.clone();
        let key = declared.key.clone();
        let mut plan =
            Self { name, key, steps: vec![], conflicts: vec![], left_alone: BTreeMap::new() };
        let Some(actual) = actual else {
            plan.steps.push(Step::Create {
                partitions: declared.partitions,
                replicas: declared.replicas,
                settings: declared.settings.clone(),
            });
            return plan;
        };
        let (from, to) = (count(actual), declared.partitions);
        if from < to {
            plan.steps.push(Step::AddPartitions { from, to });
        } else if from > to {
            plan.conflicts.push(Conflict::TooManyPartitions { has: from, declared: to });
        }
        if let (Some(wanted), Some(has)) = (declared.replicas, replicas(actual))
            && wanted != has
        {
            plan.conflicts.push(Conflict::Replicas { has, declared: wanted });
        }
        let mut changes = Vec::new();
        for (setting, to) in &declared.settings {
            match actual.settings.get(setting) {
                None => {
                    plan.conflicts.push(Conflict::UnknownSetting { setting: setting.clone() });
                }
                Some(Setting { value: Some(value), .. }) if is_same(value, to) => {}
                Some(Setting { value, .. }) => changes.push(Change {
                    setting: setting.clone(),
                    from: value.clone(),
                    to: to.clone(),
                }),
            }
        }
        if !changes.is_empty() {
            plan.steps.push(Step::Set { changes });
        }
        let others = actual.settings.iter().filter(|(name, setting)| {
            setting.source == SettingSource::Topic && !declared.settings.contains_key(*name)
        });
        plan.left_alone =
            others.map(|(name, setting)| (name.clone(), setting.value.clone())).collect();
        plan
    }
}

/// What differs, topic by topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// Topics in the order of the file, then those that are to be deleted.
    pub topics: Vec<TopicPlan>,
}

impl Plan {
    /// Compares declarations with what is there. Nothing but `delete` is ever deleted; a name of which
    /// there is no topic is passed over.
    #[must_use]
    pub fn of(
        declared: &[Declared],
        actual: &BTreeMap<String, TopicDetail>,
        delete: &BTreeSet<String>,
    ) -> Self {
        let declared = declared.iter().map(|topic| TopicPlan::of(topic, actual.get(&topic.name)));
        let deleted = delete.iter().filter_map(|name| {
            let steps = vec![Step::Delete { partitions: count(actual.get(name)?) }];
            let (conflicts, left_alone) = (vec![], BTreeMap::new());
            Some(TopicPlan { name: name.clone(), key: None, steps, conflicts, left_alone })
        });
        Self { topics: declared.chain(deleted).collect() }
    }

    /// Whether anything is not as it is declared.
    #[must_use]
    pub fn has_drift(&self) -> bool {
        !self.topics.iter().all(TopicPlan::is_as_declared)
    }

    /// Whether something could be done about it.
    #[must_use]
    pub fn has_steps(&self) -> bool {
        self.topics.iter().any(|topic| !topic.steps.is_empty())
    }

    /// How many topics there are of each kind.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let mut summary = Summary::default();
        for topic in &self.topics {
            summary.conflicts += topic.conflicts.len();
            match topic.steps.first() {
                Some(Step::Create { .. }) => summary.create += 1,
                Some(Step::Delete { .. }) => summary.delete += 1,
                Some(_) => summary.change += 1,
                None => summary.as_declared += usize::from(topic.conflicts.is_empty()),
            }
        }
        summary
    }
}

/// Topics of a plan by what would be done with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Summary {
    /// To make.
    pub create: usize,
    /// To change.
    pub change: usize,
    /// To delete.
    pub delete: usize,
    /// Differences that stay.
    pub conflicts: usize,
    /// As they are declared.
    pub as_declared: usize,
}

fn count(topic: &TopicDetail) -> i32 {
    i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX)
}

/// Replicas of a topic; those of the partition that has the fewest.
fn replicas(topic: &TopicDetail) -> Option<i32> {
    let fewest = topic.partitions.iter().map(|partition| partition.replicas.len()).min()?;
    i32::try_from(fewest).ok()
}

/// Whether two values of a setting mean the same: in a list the order means nothing.
fn is_same(a: &str, b: &str) -> bool {
    let parts = |text: &str| -> BTreeSet<String> {
        text.split(',').map(|part| part.trim().to_owned()).collect()
    };
    a == b || (a.contains(',') && parts(a) == parts(b))
}

#[cfg(test)]
mod tests {
    use kafka_io::admin::PartitionDetail;

    use super::*;

    fn declared(partitions: i32, settings: &[(&str, &str)]) -> Declared {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        Declared {
            name: "t".to_owned(),
            partitions,
            replicas: None,
            key: None,
            key_reason: None,
            settings: settings.iter().map(owned).collect(),
        }
    }

    fn actual(partitions: i32, settings: &[(&str, &str, SettingSource)]) -> TopicDetail {
        let partition =
            |number| PartitionDetail { number, replicas: vec![1, 2], ..Default::default() };
        let setting = |(name, value, source): &(&str, &str, SettingSource)| {
            ((*name).to_owned(), Setting { value: Some((*value).to_owned()), source: *source })
        };
        TopicDetail {
            partitions: (0..partitions).map(partition).collect(),
            settings: settings.iter().map(setting).collect(),
        }
    }

    fn plan(declared: &Declared, actual: Option<TopicDetail>) -> TopicPlan {
        let actual = actual.map(|actual| ("t".to_owned(), actual)).into_iter().collect();
        Plan::of(std::slice::from_ref(declared), &actual, &BTreeSet::new()).topics.remove(0)
    }

    const RETENTION: &str = "retention.ms";

    #[test]
    fn a_topic_that_is_not_there_is_made_with_all_that_is_declared() {
        let mut wanted = declared(3, &[(RETENTION, "-1")]);
        wanted.replicas = Some(2);
        let settings = wanted.settings.clone();
        let step = Step::Create { partitions: 3, replicas: Some(2), settings };
        assert_eq!(plan(&wanted, None).steps, [step]);
    }

    #[test]
    fn a_topic_as_declared_needs_nothing_wherever_its_settings_come_from() {
        use SettingSource as S;
        let wanted = declared(2, &[(RETENTION, "7"), ("cleanup.policy", "compact,delete")]);
        for source in [S::Topic, S::Broker, S::Default] {
            let there = actual(
                2,
                &[(RETENTION, "7", source), ("cleanup.policy", "delete, compact", source)],
            );
            let plan = plan(&wanted, Some(there));
            assert!(plan.is_as_declared() && plan.warning().is_none(), "{plan:?}");
        }
    }

    #[test]
    fn a_setting_that_differs_is_set_and_those_of_others_are_left_alone() {
        use SettingSource as S;
        let there = actual(
            1,
            &[
                (RETENTION, "7", S::Topic),
                ("segment.ms", "9", S::Topic),
                ("min.isr", "1", S::Broker),
            ],
        );
        let plan = plan(&declared(1, &[(RETENTION, "-1")]), Some(there));
        let change = Change {
            setting: RETENTION.to_owned(),
            from: Some("7".to_owned()),
            to: "-1".to_owned(),
        };
        assert_eq!(plan.steps, [Step::Set { changes: vec![change] }]);
        let others = BTreeMap::from([("segment.ms".to_owned(), Some("9".to_owned()))]);
        assert_eq!(plan.left_alone, others);
    }

    #[test]
    fn partitions_are_added_with_a_warning_and_never_taken_away() {
        let wider = plan(&declared(5, &[]), Some(actual(3, &[])));
        assert_eq!(wider.steps, [Step::AddPartitions { from: 3, to: 5 }]);
        assert_eq!(wider.warning(), Some(KEYS_MOVE));
        let narrower = plan(&declared(2, &[]), Some(actual(3, &[])));
        assert_eq!(narrower.steps, []);
        let conflict = Conflict::TooManyPartitions { has: 3, declared: 2 };
        assert_eq!(narrower.conflicts, [conflict]);
    }

    #[test]
    fn what_cannot_be_changed_is_a_conflict_with_the_next_step() {
        let mut wanted = declared(1, &[("no.such", "1")]);
        wanted.replicas = Some(3);
        let plan = plan(&wanted, Some(actual(1, &[])));
        assert_eq!(
            plan.conflicts,
            [
                Conflict::Replicas { has: 2, declared: 3 },
                Conflict::UnknownSetting { setting: "no.such".to_owned() }
            ]
        );
        assert!(!plan.is_as_declared());
        assert!(plan.conflicts.iter().all(|conflict| conflict.words().contains(": ")));
    }

    #[test]
    fn nothing_is_deleted_that_is_not_named() {
        let there = BTreeMap::from([
            ("t".to_owned(), actual(1, &[])),
            ("other".to_owned(), actual(2, &[])),
        ]);
        let none = Plan::of(&[], &there, &BTreeSet::new());
        assert_eq!((none.topics.len(), none.has_drift()), (0, false));
        let names = BTreeSet::from(["other".to_owned(), "gone".to_owned()]);
        let plan = Plan::of(&[declared(1, &[])], &there, &names);
        assert_eq!(plan.topics[1].steps, [Step::Delete { partitions: 2 }]);
        let expected = Summary { delete: 1, as_declared: 1, ..Summary::default() };
        assert_eq!((plan.topics.len(), plan.summary()), (2, expected));
    }
}
