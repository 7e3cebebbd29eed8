//! From what was set to checked settings.

use pipeline::dead_letter_limit::{CONSECUTIVE_DEFAULT, DeadLetterLimits, RATIO_DEFAULT};
use pipeline::retry::RetryPlan;

use super::{Builder, RETRY_SPREAD};
use crate::error::Error;
use crate::settings::{
    EngineSettings, OnDeadLetterLimit, PipelineName, TRIM_RETRY_EVERY, Topics, WAITING_RECORDS_MAX,
};
use crate::stage::{SettingNames, Words};

impl Builder {
    /// Checks what was set, and fills in the defaults: the settings for a [`Stage`](crate::stage::Stage), to which its topics
    /// of state and output are added. [`Engine`](crate::Engine) shows how.
    ///
    /// What [`registry`](Self::registry), [`unknown_schema_grace`](Self::unknown_schema_grace), [`metrics_address`](Self::metrics_address) and
    /// [`stop`](Self::stop) have set is not part of them: [`run`](Self::run) alone goes by it.
    ///
    /// # Errors
    ///
    /// Fails for settings that do not fit together, and says which.
    pub fn settings(self) -> Result<EngineSettings, Error> {
        let wrong = |error: &dyn std::fmt::Display| Error::setting(error.to_string());
        if self.concurrency == 0 || self.lanes == Some(0) || self.partitions < 1 {
            return Err(Error::setting("concurrency, lanes and partitions must be at least 1"));
        }
        if self.handler_timeout.is_zero() {
            return Err(Error::setting("the handler timeout must be above 0"));
        }
        self.check_names()?;
        let plan = RetryPlan::new(self.retries_max, self.retry_delays, RETRY_SPREAD)
            .map_err(|error| wrong(&error))?;
        let limits = DeadLetterLimits::new(RATIO_DEFAULT, CONSECUTIVE_DEFAULT)
            .map_err(|error| wrong(&error))?;
        let name = match self.name {
            Some(name) => PipelineName::new(name)?,
            None => PipelineName::like(&self.group),
        };
        Ok(EngineSettings {
            name,
            words: Words {
                program: "the pipeline",
                records: "records",
                state: "state",
                settings: SettingNames::default(),
            },
            kafka: self.kafka.settings,
            downstream: None,
            topics: Topics {
                main: self.topic,
                retry: self.retry_topic,
                dead_letter: self.dead_letter_topic,
                state: None,
                outcomes: self.outcomes_topic,
                output: None,
            },
            creates_topics: self.creates_topics,
            create_partitions: self.partitions,
            trim_retry: Some(TRIM_RETRY_EVERY),
            writes_connect_headers: false,
            group: self.group,
            instance_id: self.instance_id,
            lanes: self.lanes,
            guarantee: self.guarantee,
            plan,
            order: self.order,
            dedupe: None,
            waiting_records_max: WAITING_RECORDS_MAX,
            dead_letter_limits: Some(limits),
            on_dead_letter_limit: if self.exits_at_end {
                OnDeadLetterLimit::Exit
            } else {
                OnDeadLetterLimit::Pause
            },
            accepts_gap: self.accepts_gap,
            accepts_compacted: self.accepts_compacted,
            handler_timeout: self.handler_timeout,
            concurrency: self.concurrency,
            exits_at_end: self.exits_at_end,
            checks_topic_settings: true,
        })
    }

    /// Each topic and the group have a name, and no topic has two roles.
    fn check_names(&self) -> Result<(), Error> {
        let named = [
            ("Pipeline::builder(topic, kafka)", &self.topic),
            ("group()", &self.group),
            ("retry_topic()", &self.retry_topic),
            ("dead_letter_topic()", &self.dead_letter_topic),
        ];
        let outcomes = self.outcomes_topic.as_ref().map(|topic| ("outcomes_topic()", topic));
        if let Some((of, _)) = named.into_iter().chain(outcomes).find(|(_, name)| name.is_empty()) {
            return Err(Error::setting(format!("{of}: the name is empty")));
        }
        let mut names = vec![&self.topic, &self.retry_topic, &self.dead_letter_topic];
        names.extend(&self.outcomes_topic);
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Error::setting(format!("topic {:?} is given two roles", pair[0])));
        }
        Ok(())
    }
}
