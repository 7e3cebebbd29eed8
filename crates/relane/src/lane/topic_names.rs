//! Names of the topics that a lane writes, in the form that producing takes.

use std::ffi::CString;

use kafka_io::writer::topic_name;

use crate::settings::Topics;

/// See the module.
#[derive(Debug)]
pub(crate) struct TopicNames {
    pub(crate) retry: CString,
    pub(crate) dead_letter: CString,
    pub(crate) state: Option<CString>,
    pub(crate) outcomes: Option<CString>,
    pub(crate) output: Option<CString>,
}

impl TopicNames {
    pub(crate) fn of(topics: &Topics) -> Self {
        Self {
            retry: topic_name(&topics.retry),
            dead_letter: topic_name(&topics.dead_letter),
            state: topics.state.as_deref().map(topic_name),
            outcomes: topics.outcomes.as_deref().map(topic_name),
            output: topics.output.as_deref().map(topic_name),
        }
    }
}
