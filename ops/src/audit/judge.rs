//! Where a settled order is: counted, waiting, a dead letter, or nowhere. What the outcome log
//! claims is checked against the topics that it speaks of.

use pipeline::failure::{FailureClass, FailureReason};

use super::books::Books;
use super::claims::{Claim, Claims};
use super::forwarded::Letter;
use super::orders_read::Value;
use super::report::Invariant;
use super::spot::Spot;
use super::table::{ATTEMPT_MAX, Fact, Facts};

/// Where a settled order is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Counted,
    Waiting,
    Dead,
    Duplicate,
    Nowhere,
}

/// All that is known of one order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Story<'l> {
    /// Its last life.
    pub(crate) spot: Spot,
    /// What became of it in that life.
    pub(crate) facts: Facts,
    /// What the outcome log says, where it must say something.
    pub(crate) claims: Option<Claims>,
    /// The outcome log tells of all its attempts.
    pub(crate) is_whole: bool,
    /// Its dead letters, each once.
    pub(crate) letters: &'l [(Letter, FailureReason)],
    /// As the outcome log must name it.
    pub(crate) names: u32,
}

impl Story<'_> {
    /// The dead letter of the last life.
    fn last_letter(&self) -> Option<(Letter, FailureReason)> {
        let redrives = self.spot.redrives.min(0xff);
        self.letters.iter().copied().find(|(letter, _)| letter.redrives == redrives)
    }
}

/// Whether the id of an order came before.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Doubles {
    /// Within the window of `--dedupe`.
    pub(crate) is_duplicate: bool,
    /// Anywhere; known only where the outcome log says so.
    pub(crate) came_before: bool,
    /// The window reaches below what the topic still has.
    pub(crate) may_be_duplicate: bool,
}

impl Books<'_> {
    fn judges_exactly(&self) -> bool {
        !self.settings.promises.at_least_once
    }

    fn wrong(&mut self, invariant: Invariant, story: &Story<'_>, what: impl Into<String>) {
        let at = self.spot_at(story.spot);
        self.violation(invariant, at, None, what);
    }

    fn unproven(&mut self, invariant: Invariant, story: &Story<'_>, what: &str) {
        let at = self.spot_at(story.spot);
        self.report.unprovable(invariant, format!("{at}: {what}"));
    }

    /// Decides where a settled order is, and says so where it is nowhere or in two places.
    pub(crate) fn place(&mut self, story: &Story<'_>, value: &Value, doubles: Doubles) -> Place {
        let facts = story.facts;
        if facts.has(Fact::Dead) && facts.has(Fact::StillWaits) {
            let at = self.spot_at(story.spot);
            self.twice(at, None, "it is a dead letter and waits as well");
        }
        self.check_lives(story);
        let place = match story.claims {
            Some(claims) => self.told_place(story, claims, value, doubles),
            None => self.untold_place(story, value, doubles),
        };
        if place == Place::Dead && facts.has(Fact::Dead) {
            self.check_letter(story);
        }
        place
    }

    fn untold_place(&mut self, story: &Story<'_>, value: &Value, doubles: Doubles) -> Place {
        if story.facts.has(Fact::Waits) {
            return Place::Waiting;
        }
        if story.facts.has(Fact::Dead) {
            return Place::Dead;
        }
        if doubles.is_duplicate {
            return Place::Duplicate;
        }
        if let Some(reason) = value.fault() {
            let what = format!("its value is bad ({}), but it has no dead letter", reason.as_str());
            self.lost_or_gone(story, &what);
            return Place::Nowhere;
        }
        if doubles.may_be_duplicate {
            self.slack.below += 1;
        }
        Place::Counted
    }

    /// Where the outcome log says the order is; checked against what else is known.
    fn told_place(
        &mut self,
        story: &Story<'_>,
        claims: Claims,
        value: &Value,
        doubles: Doubles,
    ) -> Place {
        let facts = story.facts;
        self.check_entries(story, claims, value);
        if facts.has(Fact::Waits) {
            return self.told_waiting(story, claims);
        }
        if claims.has(Claim::Counted) {
            return self.told_counted(story, claims, doubles);
        }
        if claims.has(Claim::Duplicate) {
            return self.told_duplicate(story, value, doubles);
        }
        if facts.has(Fact::Dead) {
            if claims.has(Claim::Dead) {
                self.check_deaths(story, claims);
            } else {
                self.wrong(Invariant::I2, story, "it is a dead letter, but no outcome says so");
            }
            return Place::Dead;
        }
        if claims.has(Claim::Dead) {
            self.lost_or_gone(story, "it was dead-lettered, but there is no dead letter");
            return Place::Dead;
        }
        let what = if claims.attempt() > 0 {
            "its retry is settled, but it is neither counted nor a dead letter"
        } else {
            "it is settled, but the outcome log does not have it: neither counted, waiting, nor a dead letter"
        };
        self.wrong(Invariant::I1, story, what);
        self.wrong(Invariant::I6, story, "the committed offset is past it");
        Place::Nowhere
    }

    /// Checks the entries of an order as such.
    fn check_entries(&mut self, story: &Story<'_>, claims: Claims, value: &Value) {
        if story.is_whole && claims.has(Claim::Skipped) {
            self.wrong(Invariant::I1, story, "the outcome log lacks one of its attempts");
        }
        if !matches!(value, Value::SchemaGone)
            && !value.depends_on_registry()
            && !claims.are_of(story.names)
        {
            let what = "an outcome does not name its id, product and key";
            self.wrong(Invariant::I10, story, what);
        }
    }

    fn told_waiting(&mut self, story: &Story<'_>, claims: Claims) -> Place {
        let facts = story.facts;
        if claims.has(Claim::Counted) {
            if !facts.has(Fact::StillWaits) {
                return Place::Waiting; // counted after the first look
            }
            let at = self.spot_at(story.spot);
            self.twice(at, None, "it is counted and waits in the retry topic as well");
            return Place::Counted;
        }
        if self.cut.moved() || !self.judges_exactly() {
            return Place::Waiting; // what came after the first look may be told of
        }
        if claims.has(Claim::Duplicate) {
            self.wrong(Invariant::I2, story, "an outcome calls it a duplicate, but it waits");
        } else if claims.has(Claim::Dead) && story.letters.is_empty() {
            self.lost_or_gone(story, "it was dead-lettered, but there is no dead letter");
        } else if !claims.has(Claim::Dead)
            && claims.deaths() == story.spot.redrives
            && claims.attempt() != facts.retry_attempt()
        {
            let (told, waiting) = (claims.attempt(), facts.retry_attempt());
            let what = format!(
                "it waits after attempt {waiting}, but the outcome log is at attempt {told}"
            );
            self.wrong(Invariant::I10, story, what);
        }
        Place::Waiting
    }

    fn told_counted(&mut self, story: &Story<'_>, claims: Claims, doubles: Doubles) -> Place {
        // The record that brought it back may be deleted.
        let came_back = claims.has_come_back() && !self.has_all_retries();
        if story.facts.has(Fact::Dead) && !came_back {
            let at = self.spot_at(story.spot);
            self.twice(at, None, "it is counted and a dead letter as well");
        } else if !story.letters.is_empty() || claims.deaths() > 0 {
            self.check_deaths(story, claims);
        }
        self.check_attempts(story, claims.attempt(), false, "the outcome log");
        if doubles.is_duplicate {
            let at = self.spot_at(story.spot);
            let what = "it was counted, although its order id was seen earlier within the window";
            self.twice(at, None, what);
            return Place::Duplicate;
        }
        Place::Counted
    }

    /// That an id came before stands in the topic of orders, or cannot be proven.
    fn told_duplicate(&mut self, story: &Story<'_>, value: &Value, doubles: Doubles) -> Place {
        if story.facts.has(Fact::Retried) || !story.letters.is_empty() {
            self.wrong(
                Invariant::I2,
                story,
                "the outcome log calls it a duplicate, but it was forwarded",
            );
        }
        let not_before = "it was left out as a duplicate, but its order id was not seen earlier";
        let is_judged = self.settings.promises.dedupe.is_some();
        match value {
            Value::SchemaGone => {
                let what = "it was left out as a duplicate, but the registry does not have its schema (any more)";
                self.unproven(Invariant::I1, story, what);
            }
            Value::Good(..) if doubles.is_duplicate => {}
            Value::Good(..) if doubles.came_before && !is_judged => {
                let what = "it was left out as a duplicate of an earlier order: give the window with --dedupe N";
                self.unproven(Invariant::I1, story, what);
            }
            Value::Good(..)
                if doubles.may_be_duplicate || (!is_judged && !self.has_all_orders()) =>
            {
                let what =
                    "it was left out as a duplicate, but the earlier order may have been deleted";
                self.unproven(Invariant::I1, story, what);
            }
            Value::Good(..) | Value::Invalid(..) | Value::Bad(_) => {
                self.wrong(Invariant::I1, story, not_before);
            }
        }
        Place::Duplicate
    }

    /// Dead letters are those that the outcome log tells of.
    fn check_deaths(&mut self, story: &Story<'_>, claims: Claims) {
        if !story.is_whole || !self.judges_exactly() {
            return;
        }
        let (there, told) =
            (u32::try_from(story.letters.len()).unwrap_or(u32::MAX), claims.deaths());
        let are_many = told >= 15;
        if there < told && !are_many {
            let what =
                format!("it was dead-lettered {told} times, but there are {there} dead letters");
            self.lost_or_gone(story, &what);
        } else if there > told && !are_many {
            let what = format!("there are {there} dead letters, but the outcome log has {told}");
            self.wrong(Invariant::I2, story, what);
        } else if there == told && !claims.fit(story.letters.iter().map(|(letter, _)| *letter)) {
            let what = "its dead letter and the outcome log disagree about attempt or class";
            self.wrong(Invariant::I10, story, what);
        }
        let reason = story.last_letter().map(|(_, reason)| reason);
        if claims.has(Claim::Untried) && reason.is_some_and(|reason| !may_be_untried(reason)) {
            let attempt = claims.attempt();
            self.wrong(Invariant::I2, story, format!("attempt {attempt} is logged twice"));
        }
    }

    fn check_letter(&mut self, story: &Story<'_>) {
        let Some((letter, reason)) = story.last_letter() else { return };
        self.check_attempts(story, letter.attempt, may_be_untried(reason), "its dead letter");
    }

    /// The last attempt follows the one that the retry topic has. `may_be_untried` allows the
    /// same.
    fn check_attempts(&mut self, story: &Story<'_>, attempt: u32, may_be_untried: bool, who: &str) {
        let facts = story.facts;
        if !self.judges_exactly() {
            return;
        }
        let is_first = story.spot.redrives == 0;
        let is_known = facts.has(Fact::Retried)
            || (is_first && (story.spot.is_stranger || self.has_all_retries()));
        let before = facts.retry_attempt(); // 0 where it was never there
        let next = (before + 1).min(ATTEMPT_MAX);
        let fits = attempt.min(ATTEMPT_MAX) == next || (may_be_untried && attempt == before);
        if is_known && !fits {
            let what = format!("{who} says attempt {attempt}, but its last retry says {before}");
            self.wrong(Invariant::I10, story, what);
        }
    }

    /// A dead letter that is not there: lost, unless retention may have taken it.
    fn lost_or_gone(&mut self, story: &Story<'_>, what: &str) {
        if self.has_all_dead_letters() {
            return self.wrong(Invariant::I1, story, what);
        }
        let low = self.cut.bounds.dead_letter.low;
        let topic = self.at(&self.settings.topics.dead_letter, low);
        let gone = if low > 0 {
            format!("{what}; what was below {topic} is deleted")
        } else {
            format!("{what}; {} is compacted", self.settings.topics.dead_letter)
        };
        self.unproven(Invariant::I1, story, &gone);
    }

    /// Every life of a redriven order but the last one ended with a dead letter, and each but the
    /// first began with a record in the retry topic.
    fn check_lives(&mut self, story: &Story<'_>) {
        let last = story.spot.redrives;
        for redrives in 0..last {
            let life = self.facts_at(story.spot.life(redrives));
            if !life.has(Fact::Dead) && self.has_all_dead_letters() {
                let what = format!(
                    "it was redriven {last} times, and has no dead letter of redrive {redrives}"
                );
                self.wrong(Invariant::I10, story, what);
            }
            if life.has(Fact::StillWaits) {
                let at = self.spot_at(story.spot);
                self.twice(at, None, "it was redriven, but its earlier retry still waits");
            }
            let next = self.facts_at(story.spot.life(redrives + 1));
            if !next.has(Fact::Retried) && self.has_all_retries() {
                let what = format!("no record of redrive {} is in the retry topic", redrives + 1);
                self.wrong(Invariant::I10, story, what);
            }
        }
    }

    /// Checks an order's value against what became of it.
    pub(crate) fn judge_value(&mut self, story: &Story<'_>, value: &Value, place: Place) {
        for (_, said) in story.letters {
            self.judge_reason(story, value, *said);
        }
        if place != Place::Counted {
            return;
        }
        if let Some(reason) = value.fault() {
            let what = format!("it was counted, but its value is bad ({})", reason.as_str());
            self.wrong(Invariant::I4, story, what);
        } else if *value == Value::SchemaGone {
            self.slack.above += 1;
            let what = "the registry does not have its schema (any more)";
            self.unproven(Invariant::I4, story, what);
        }
    }

    fn judge_reason(&mut self, story: &Story<'_>, value: &Value, said: FailureReason) {
        let blames_value = matches!(said.class(), FailureClass::Malformed | FailureClass::Invalid);
        let is_of_value = blames_value || (said.class().is_transient() && !may_be_untried(said));
        match (value, value.fault()) {
            (Value::Good(..), _) if blames_value => {
                let what = "its dead letter says that its value is bad, but it is a valid order";
                self.wrong(Invariant::I10, story, what);
            }
            // A handler may refuse a valid order; why is its own affair.
            (Value::Good(..), _) if said.class() == FailureClass::Refused => {}
            (Value::Good(..), _) if !said.class().is_transient() => {
                let at = self.spot_at(story.spot);
                let said = said.as_str();
                let what = format!("{at}: it was dead-lettered as {said}, but can be read now");
                self.report.note(Invariant::I10, what);
            }
            (_, Some(found)) if is_of_value && found != said && !value.depends_on_registry() => {
                let (found, said) = (found.as_str(), said.as_str());
                let what = format!("its dead letter says {said}, but its value is bad ({found})");
                self.wrong(Invariant::I10, story, what);
            }
            _ => {}
        }
    }
}

/// Whether a record may be given up for this without a further attempt.
const fn may_be_untried(reason: FailureReason) -> bool {
    matches!(reason, FailureReason::PredecessorDead | FailureReason::TooLargeToRetry)
}
