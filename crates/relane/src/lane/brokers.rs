//! Whether the brokers answer a lane, and what becomes of its place in the group while they do not.
//!
//! An idle lane hears nothing, neither that its broker hangs nor that it is back: it asks now and
//! then. What it finds stands in its view; the engine reports it.
//!
//! librdkafka forgets the id of a member whose heartbeats have had no answer for a session. The broker
//! knows it still: from the heartbeat that lay in its socket while it stood still, or from the log of
//! the group after a restart. So it lets the group wait for that member, for a whole session. A
//! lane therefore stands aside shortly before: it asks to leave the group and does not serve what
//! follows, which keeps the id. When the group's coordinator answers, the member leaves under
//! its id, which nobody waits for then, and joins anew.

use std::time::Duration;

use kafka_io::ClientConfig;
use kafka_io::member::AskError;

use crate::clock::Instant;
use crate::lane::Lane;
use crate::lane::limits::{
    ASIDE_BEFORE_SESSION_ENDS, COORDINATOR_ASK, PROBE, PROBE_EVERY, SESSION_DEFAULT,
};
use crate::stage::Stage;

/// How long a member waits for its brokers before it stands aside.
pub(crate) fn aside_after(member: &ClientConfig) -> Duration {
    let set = member.get("session.timeout.ms").and_then(|ms| ms.parse().ok());
    let session = set.map_or(SESSION_DEFAULT, Duration::from_millis);
    session.saturating_sub(ASIDE_BEFORE_SESSION_ENDS).max(session / 2)
}

impl<S: Stage> Lane<S> {
    /// Something that was asked or written had no answer.
    pub(crate) fn note_away(&mut self, text: &str) {
        tracing::debug!(lane = self.index, text, "no answer from the brokers");
        self.away = Some(text.to_owned());
        self.away_at = Some(Instant::now());
        self.view.lock().away = self.away.clone();
    }

    /// Something that was asked or written had an answer.
    pub(crate) fn note_answer(&mut self) {
        self.away = None;
        self.heard_at = Instant::now();
    }

    /// Fetching failed, perhaps for a moment: whether a broker is there is asked with the next report.
    pub(crate) fn note_reader_trouble(&mut self, text: &str) {
        tracing::debug!(lane = self.index, text, "fetching failed");
        self.away_at = Some(Instant::now());
        self.is_doubtful = true;
    }

    /// QueryBudget whether a broker is there, if that is not known from the lane's work.
    pub(crate) fn probe_if_quiet(&mut self) {
        let is_quiet =
            self.last_commit_at.elapsed() >= PROBE_EVERY && self.probed_at.elapsed() >= PROBE_EVERY;
        if self.reader_away.is_none() && !self.is_doubtful && !is_quiet {
            return;
        }
        self.probed_at = Instant::now();
        self.is_doubtful = false;
        let partition = self.processor.iter().next().map_or(0, |owned| owned.partition);
        match self.ends.bounds(&self.settings.topics.main, partition, PROBE) {
            Ok(_) => {
                self.reader_away = None;
                self.heard_at = Instant::now();
            }
            Err(error) => {
                tracing::debug!(lane = self.index, %error, "no answer from the brokers");
                self.reader_away = Some(error.to_string());
                self.away_at = Some(Instant::now());
            }
        }
    }

    /// Stands aside before the member would forget its id, and comes back when the group's coordinator
    /// answers.
    pub(crate) fn keep_place(&mut self) {
        if self.stands_aside {
            if self.reader_away.is_none() && self.does_coordinator_answer() {
                match self.member.come_back() {
                    Ok(()) => self.stands_aside = false,
                    Err(error) => tracing::warn!(%error, "joining anew failed"),
                }
            }
            return;
        }
        let is_away = self.away.is_some() || self.reader_away.is_some();
        if !is_away
            || self.settings.instance_id.is_some() // its place is kept for it
            || self.heard_at.elapsed() < self.aside_after
            || !self.member.membership().is_joined()
        {
            return;
        }
        if self.does_coordinator_answer() {
            self.heard_at = Instant::now();
            return;
        }
        tracing::debug!(lane = self.index, "standing aside until the group's coordinator answers");
        self.member.stand_aside();
        self.stands_aside = true;
        let no_answer = || "the group's coordinator does not answer".to_owned();
        self.reader_away.get_or_insert_with(no_answer); // from now on the brokers are asked
    }

    /// Whether the group's coordinator answers. It is asked for an offset that nobody commits: one
    /// in an undecided transaction would have no answer from a coordinator that is well.
    fn does_coordinator_answer(&self) -> bool {
        let nobodys = [(self.settings.topics.dead_letter.as_str(), 0)];
        let answer = self.member.committed(&nobodys, COORDINATOR_ASK);
        !matches!(answer, Err(AskError::Away(_) | AskError::Undecided))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_stands_aside_before_its_session_ends() {
        for (session_ms, after_ms) in
            [(None, 7_500), (Some("45000"), 42_500), (Some("4000"), 2_000)]
        {
            let mut config = ClientConfig::new();
            if let Some(session_ms) = session_ms {
                config.set("session.timeout.ms", session_ms);
            }
            assert_eq!(aside_after(&config), Duration::from_millis(after_ms));
        }
    }
}
