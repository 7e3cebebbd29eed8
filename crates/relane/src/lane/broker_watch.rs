//! Whether the brokers answer a lane.
//!
//! An idle lane hears nothing, neither that its broker hangs nor that it is back: it asks now and
//! then. What it finds stands in its view; the engine reports it.

use std::time::Duration;

use kafka_io::ClientConfig;

use crate::clock::Instant;
use crate::lane::limits::{ASIDE_BEFORE_SESSION_ENDS, PROBE_EVERY, SESSION_DEFAULT};

/// When the brokers answered a lane, and when they did not.
#[derive(Debug)]
pub(crate) struct BrokerWatch {
    /// Why the brokers were found away when something was asked or written.
    away: Option<String>,
    /// Why they were found away when a quiet lane asked, or one whose fetching had failed.
    reader_away: Option<String>,
    /// Fetching failed: the brokers are to be asked.
    is_doubtful: bool,
    /// When a broker answered last.
    heard_at: Instant,
    /// The member stands aside when nothing was heard for so long.
    aside_after: Duration,
    /// When they were last found away.
    away_at: Option<Instant>,
    probed_at: Instant,
}

impl BrokerWatch {
    pub(crate) fn new(member: &ClientConfig) -> Self {
        let now = Instant::now();
        Self {
            away: None,
            reader_away: None,
            is_doubtful: false,
            heard_at: now,
            aside_after: aside_after(member),
            away_at: None,
            probed_at: now,
        }
    }

    /// Something that was asked or written had no answer.
    pub(crate) fn note_away(&mut self, text: &str) {
        self.away = Some(text.to_owned());
        self.away_at = Some(Instant::now());
    }

    /// Something that was asked or written had an answer.
    pub(crate) fn note_answer(&mut self) {
        self.away = None;
        self.heard_at = Instant::now();
    }

    /// Fetching failed, perhaps for a moment: whether a broker is there is asked with the next report.
    pub(crate) fn note_reader_trouble(&mut self) {
        self.away_at = Some(Instant::now());
        self.is_doubtful = true;
    }

    /// Whether a broker is to be asked now if it is there. It is not where that is known from the
    /// lane's work.
    pub(crate) fn asks_now(&mut self, last_commit_at: Instant) -> bool {
        let is_quiet =
            last_commit_at.elapsed() >= PROBE_EVERY && self.probed_at.elapsed() >= PROBE_EVERY;
        if self.reader_away.is_none() && !self.is_doubtful && !is_quiet {
            return false;
        }
        self.probed_at = Instant::now();
        self.is_doubtful = false;
        true
    }

    /// A quiet lane has asked, and has had an answer or not.
    pub(crate) fn note_asked(&mut self, away: Option<String>) {
        match away {
            None => self.heard_at = Instant::now(),
            Some(_) => self.away_at = Some(Instant::now()),
        }
        self.reader_away = away;
    }

    /// Why they are away, in words.
    pub(crate) const fn away(&self) -> Option<&String> {
        match &self.away {
            Some(away) => Some(away),
            None => self.reader_away.as_ref(),
        }
    }

    /// Whether a quiet lane that asks has no answer.
    pub(crate) const fn is_reader_away(&self) -> bool {
        self.reader_away.is_some()
    }

    /// When they were last found away.
    pub(crate) const fn away_at(&self) -> Option<Instant> {
        self.away_at
    }

    /// Whether a member would forget its id soon, since nothing is heard.
    pub(crate) fn is_silent(&self) -> bool {
        self.away().is_some() && self.heard_at.elapsed() >= self.aside_after
    }

    /// The group's coordinator answers.
    pub(crate) fn note_coordinator(&mut self) {
        self.heard_at = Instant::now();
    }

    /// It does not; from now on the brokers are asked.
    pub(crate) fn note_no_coordinator(&mut self) {
        let no_answer = || "the group's coordinator does not answer".to_owned();
        self.reader_away.get_or_insert_with(no_answer);
    }
}

/// How long a member waits for its brokers before it stands aside.
fn aside_after(member: &ClientConfig) -> Duration {
    let set = member.get("session.timeout.ms").and_then(|ms| ms.parse().ok());
    let session = set.map_or(SESSION_DEFAULT, Duration::from_millis);
    session.saturating_sub(ASIDE_BEFORE_SESSION_ENDS).max(session / 2)
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
