//! One run of a redrive or a discard, from the ledger to the last line.

use clap::Args;
use serde::Serialize;
use service_kit::args::OutputFormat;
use service_kit::clock::now_ms;
use service_kit::exit::{AppError, ExitStatus};
use service_kit::output::note;
use service_kit::shutdown::Shutdown;
use service_kit::units::RateArg;

use super::as_word;
use super::handled::{Handled, Mark};
use super::ledger::{Ledger, Partitions};
use super::plan::Plan;
use super::rules::{Fate, Skip, Work};
use super::sender::{Run, Sender};
use crate::dlq::dead_letter::DeadLetter;
use crate::dlq::dialect::Dialect;
use crate::dlq::error::DlqError;
use crate::dlq::filter::Filter;
use crate::dlq::moment::Utc;
use crate::dlq::printed::{LookOn, Source, json_line, written};
use crate::dlq::source::Taken;
use crate::progress::Count;
use crate::replay::{Earlier, Replays};

/// Whether and how fast something is done.
#[derive(Debug, Args)]
pub(crate) struct Act {
    /// Do it; without this flag, only show what would be done
    #[arg(long, help_heading = "Run")]
    pub(super) execute: bool,
    /// With --execute and no filter: all dead letters of the topic
    #[arg(long, help_heading = "Run")]
    all: bool,
    /// At most this many: 100/s, 6000/m [default: no limit]
    #[arg(long, value_name = "RATE", help_heading = "Run")]
    pub(super) rate: Option<RateArg>,
}

impl Act {
    /// Whole topics are handled on request only.
    pub(super) fn check(&self, filter: &Filter) -> Result<(), AppError> {
        if self.execute && filter.is_empty() && !self.all {
            return Err(AppError::usage(
                "no filter is given: this would handle every dead letter of the topic",
            )
            .hint("give a filter such as --fingerprint, or --all"));
        }
        Ok(())
    }
}

/// What is said of dead letters that are not skipped.
pub(super) struct Words {
    pub(super) would: &'static str,
    pub(super) done: &'static str,
    pub(super) nothing: &'static str,
    /// Where there is nothing to do.
    pub(super) none: &'static str,
}

/// Topics that say what was done before.
pub(super) struct Ledgers<'a> {
    /// That of redrives and discards.
    pub(super) handled: &'a str,
    /// That of replays, and the group that is meant; none where replays change nothing.
    pub(super) replays: Option<(&'a str, &'a str)>,
}

/// What was done before.
struct Before {
    handled: Handled,
    replays: Replays,
}

/// What came of a run.
pub(super) struct Outcome {
    pub(super) plan: Plan,
    /// Dead letters that were handled for good.
    pub(super) done: u64,
    /// Names the run; none where it only previewed.
    pub(super) id: Option<String>,
    /// It was asked to end before it had looked at everything.
    pub(super) is_stopped: bool,
}

/// Decides about each dead letter that is meant. Where it is to be executed it is done as well,
/// until a signal
/// asks for the end; what is held then is handled first.
pub(super) fn run(
    source: &Source,
    work: &Work,
    ledgers: &Ledgers<'_>,
    act: &Act,
) -> Result<Outcome, DlqError> {
    let connected = source.topic.connected();
    let ledger = Ledger::new(connected, ledgers.handled);
    let open = || sender(source, work, &ledger, ledgers.handled, act.rate);
    let mut sender = act.execute.then(open).transpose()?;
    // After the id was taken over: an entry that is not there now never comes.
    let replays = ledgers.replays.map(|(topic, group)| Replays::read(connected, topic, group));
    let before = Before {
        handled: ledger.read(&source.topic)?,
        replays: replays.transpose()?.unwrap_or_default(),
    };
    // Not before: a signal that comes while nothing is begun just ends the program.
    let unheard = |error| DlqError::Settings(format!("signals cannot be watched: {error}"));
    let stop = act.execute.then(Shutdown::on_signals).transpose().map_err(unheard)?;
    if let (Some(sender), Some(stop)) = (&mut sender, &stop) {
        sender.heed(stop.clone());
    }
    let (plan, done) = go(source, work, &before, sender.as_mut(), stop.clone())?;
    let is_stopped = stop.is_some_and(|stop| stop.is_requested());
    Ok(Outcome { plan, done, id: sender.map(Sender::into_id), is_stopped })
}

/// Makes the ledger where there is none, and takes over the transactional id.
fn sender(
    source: &Source,
    work: &Work,
    ledger: &Ledger<'_>,
    ledger_topic: &str,
    rate: Option<RateArg>,
) -> Result<Sender, DlqError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| DlqError::Settings(format!("no runtime: {error}")))?;
    runtime.block_on(ledger.ensure())?;
    let filter = serde_json::to_value(&source.filter)
        .map_err(|error| DlqError::Ledger(error.to_string()))?;
    let run = Run {
        id: run_id(),
        mark: match work {
            Work::Redrive(_) => Mark::Redriven,
            Work::Discard => Mark::Discarded,
        },
        dlq_topic: source.topic.name().to_owned(),
        topic_id: source.topic.id().map(str::to_owned),
        ledger_topic: ledger_topic.to_owned(),
        by: std::env::var("USER").unwrap_or_else(|_| "unknown".to_owned()),
        filter,
    };
    Sender::open(&source.settings.kafka, run, rate)
}

fn go(
    source: &Source,
    work: &Work,
    before: &Before,
    mut sender: Option<&mut Sender>,
    stop: Option<Shutdown>,
) -> Result<(Plan, u64), DlqError> {
    let mut partitions = Partitions::new(source.topic.connected());
    let mut plan = Plan::default();
    let count = sender.as_ref().map(|_| {
        Count::of(match work {
            Work::Redrive(_) => "sent",
            Work::Discard => "discarded",
        })
    });
    // A limit counts what is done: else a second run with the same limit would do nothing.
    let tally = source.each(None, LookOn::until(stop, count.clone()), |letter| {
        let decision = decide(source.topic.name(), work, before, letter, &mut partitions)?;
        if let (Ok(fate), Some(sender)) = (&decision, sender.as_deref_mut()) {
            sender.take(letter, *fate, now_ms())?;
            count.iter().for_each(|count| count.set(sender.done()));
        }
        plan.add(letter, decision);
        let is_enough = source.limit.is_some_and(|limit| plan.to_do >= limit);
        Ok(if is_enough { Taken::Last } else { Taken::Meant })
    })?;
    plan.scanned = tally.scanned;
    let done = match sender {
        None => 0,
        Some(sender) => {
            sender.flush(now_ms())?;
            sender.done()
        }
    };
    Ok((plan, done))
}

fn decide<'a>(
    dlq_topic: &str,
    work: &'a Work,
    before: &Before,
    letter: &'a DeadLetter<'_>,
    partitions: &mut Partitions,
) -> Result<Result<Fate<'a>, Skip>, DlqError> {
    let (partition, offset) = (letter.record.partition, letter.record.offset);
    // The rules let pass what is the group's only.
    let origin = letter.origin.as_ref().filter(|_| letter.dialect == Dialect::Orders);
    let earlier = origin.and_then(|origin| {
        let of_order = (&*origin.topic, origin.offset.unwrap_or(-1));
        before.replays.earlier(dlq_topic, partition, offset, of_order)
    });
    match (work.decide(before.handled.mark(partition, offset), letter), earlier) {
        (Ok(Fate::Back(_)), Some(Earlier::ReadAgain)) => Ok(Err(Skip::Replayed)),
        (Ok(Fate::Back(_)), Some(Earlier::LeftOut)) => Ok(Err(Skip::LeftOut)),
        (Ok(Fate::Back(target)), None) => {
            let checked = target.check(partitions.of(target.topic)?);
            Ok(checked.map(|()| Fate::Back(target)))
        }
        (decided, _) => Ok(decided),
    }
}

impl Outcome {
    /// Prints the result, and how the run ended.
    pub(super) fn tell(
        &self,
        format: OutputFormat,
        told: &impl Serialize,
        words: &Words,
    ) -> Result<ExitStatus, AppError> {
        let is_executed = self.id.is_some();
        written(|out| {
            match format {
                OutputFormat::Table => {
                    let done = if is_executed { words.done } else { words.would };
                    out.write_all(self.plan.page(done).as_bytes())?;
                }
                OutputFormat::Json | OutputFormat::Jsonl => writeln!(out, "{}", json_line(told)?)?,
            }
            Ok(())
        })?;
        note(&format!("orders: {}", self.last_line(words)));
        Ok(self.status())
    }

    fn last_line(&self, words: &Words) -> String {
        let (done, matched) = (self.done, self.plan.matched);
        match (&self.id, self.is_stopped) {
            (None, _) if self.plan.to_do == 0 => match self.plan.other_groups.keys().next() {
                Some(group) => format!(
                    "{}: group {group} dead-lettered what is skipped; add --group-id {group}",
                    words.none,
                    group = as_word(group)
                ),
                None => words.none.to_owned(),
            },
            (None, _) => words.nothing.to_owned(),
            (Some(id), false) => {
                format!("{} {done} of {matched} dead letters that match, as {id}", words.done)
            }
            (Some(id), true) => format!(
                "stopped: {} {done} dead letters, as {id}; run the same command to continue",
                words.done
            ),
        }
    }

    fn status(&self) -> ExitStatus {
        let leaves_some = self.id.is_some() && self.plan.left_behind() > 0;
        if leaves_some || self.is_stopped { ExitStatus::Partial } else { ExitStatus::Done }
    }
}

/// Names a run: when it began, and its process.
pub(crate) fn run_id() -> String {
    format!("{}-{}", Utc(Some(now_ms())), std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: Words = Words {
        would: "would be sent back",
        done: "sent",
        nothing: "--execute sends them",
        none: "nothing would be sent",
    };

    fn outcome(id: Option<&str>, is_stopped: bool) -> Outcome {
        let plan = Plan { matched: 9, ..Plan::default() };
        Outcome { plan, done: 4, id: id.map(str::to_owned), is_stopped }
    }

    #[test]
    fn a_run_that_was_stopped_says_how_much_is_done_and_how_to_go_on() {
        let stopped = outcome(Some("r"), true);
        let words = "stopped: sent 4 dead letters, as r; run the same command to continue";
        assert_eq!(
            (stopped.last_line(&WORDS).as_str(), stopped.status()),
            (words, ExitStatus::Partial)
        );
        let ended = outcome(Some("r"), false);
        let words = "sent 4 of 9 dead letters that match, as r";
        assert_eq!((ended.last_line(&WORDS).as_str(), ended.status()), (words, ExitStatus::Done));
    }

    #[test]
    fn what_is_left_behind_is_partial_only_where_something_was_to_be_done() {
        let mut outcome = outcome(None, false);
        outcome.plan.skipped.insert(Skip::NoOrigin, 1);
        assert_eq!(
            (outcome.status(), outcome.last_line(&WORDS).as_str()),
            (ExitStatus::Done, "nothing would be sent")
        );
        outcome.plan.other_groups.insert("push-a".to_owned(), 1);
        assert_eq!(
            outcome.last_line(&WORDS),
            "nothing would be sent: group push-a dead-lettered what is skipped; add --group-id push-a"
        );
        outcome.plan.to_do = 1;
        assert_eq!(outcome.last_line(&WORDS), "--execute sends them");
        outcome.id = Some("r".to_owned());
        assert_eq!(outcome.status(), ExitStatus::Partial);
    }

    #[test]
    fn a_whole_topic_is_handled_on_request_only() {
        let act = |execute, all| Act { execute, all, rate: None };
        let (everything, some) =
            (Filter::default(), Filter { partitions: vec![0], ..Filter::default() });
        assert_eq!(
            act(true, false).check(&everything).map_err(|e| e.status()),
            Err(ExitStatus::Usage)
        );
        for (act, filter) in [
            (act(true, true), &everything),
            (act(false, false), &everything),
            (act(true, false), &some),
        ] {
            assert_eq!(act.check(filter), Ok(()));
        }
    }
}
