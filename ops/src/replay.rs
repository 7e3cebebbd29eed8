//! `orders replay`: a group counts anew from a point of its orders.
//!
//! ```text
//! StartAt ─► Standing ─► Plan (a value: preview, objections) ─► Reset: one transaction
//!                                              tombstones, reset note, ledger entries, offsets
//! ```
//!
//! Nothing can be taken out of a sum, so that a replay begins a new count: the averages of each partition
//! are emptied and its offsets set, together or not at all. Whatever lies below the marks in the ledger is
//! of an earlier count, and the audit passes it over.

mod ledger;
mod page;
mod plan;
mod reset;
mod start_at;

use std::collections::BTreeMap;

use clap::Args;
use kafka_io::client_config::{BROKER_PROBE_LIMIT, Role};
use kafka_io::ends::{Ends, GroupMember};
use service_kit::args::OutputFormat;
use service_kit::clock::now_ms;
use service_kit::exit::{AppError, ExitStatus};
use service_kit::output::{note, result, result_line};
use service_kit::terminal::{one_line, tame_json};

pub use ledger::{Earlier, Entry, Replays};
pub use plan::{PartitionPlan, Plan};
pub use start_at::StartAt;

use self::plan::Found;
use self::reset::{Joined, Reset};
use crate::audit::{BROKER_HINT, Settings, runtime};
use crate::connected::Connected;
use crate::dlq::redrive::Mark;
use crate::dlq::{self, DlqTopic, Filter, LedgerFlags, Selection, Taken};
use crate::group_flags::GroupFlags;
use crate::progress::Lines;
use crate::standing::Standing;

/// What `orders replay --help` says first.
pub(crate) const ABOUT: &str = "Make a group count its orders again from a given point.

One transaction sets the offsets of orders and retries and empties the averages: either all of it \
happens or none of it. From the start ('earliest') the group arrives at the same averages again. \
From a later point the averages include only the orders after that point, because an order \
cannot be subtracted from a sum. A replay that would lose anything is refused unless --partial \
is given.

The replay discards the waiting retries, because the group reads their orders again. It leaves the \
dead letters where they are; 'orders dlq redrive' skips them from then on, because the group \
reads their orders again as well. The group must have no members. Without --execute the command \
only shows what it would do.";

/// What `orders replay --help` says last.
pub(crate) const EXAMPLES: &str = "Examples:
  orders replay --group order-consumer --to earliest
  orders replay --group order-consumer --to earliest --execute
  orders replay --to -1h --partial
  orders replay --to offset:4711 --partition 2 --partial --execute

Exit codes: 0 done, 1 failed or refused, 2 usage or configuration";

/// Flags of `replay`.
#[derive(Debug, Clone, Args)]
pub struct ReplayFlags {
    /// Where it begins: earliest, latest, ts:2026-11-20T03:00:00Z, offset:N, or -1h
    #[arg(long, value_name = "POINT", allow_hyphen_values = true, help_heading = "Replay")]
    to: StartAt,

    /// Do it; without this flag, only show what would be done
    #[arg(long, help_heading = "Replay")]
    execute: bool,

    /// The averages may hold only what comes after the point
    #[arg(long, help_heading = "Replay")]
    partial: bool,

    /// Only this partition; may be repeated
    #[arg(long = "partition", short = 'p', value_name = "N", help_heading = "Replay")]
    partitions: Vec<i32>,

    #[command(flatten)]
    redrives: LedgerFlags,

    #[command(flatten)]
    group: GroupFlags,
}

/// Previews a replay, or does it.
///
/// # Errors
///
/// Fails for wrong settings (2), for servers, topics and groups that are not there, for a group with
/// members, and for a replay whose averages would lack something (1).
pub fn command(flags: &ReplayFlags) -> Result<ExitStatus, AppError> {
    let (settings, output) = flags.group.load()?;
    let runtime = runtime()?;
    let progress = |text: &str| note(&format!("orders: {text}"));
    let mut standing = Standing::open(&settings, runtime.handle(), progress)?;
    let chosen = chosen(&flags.partitions, standing.partitions, &settings)?;
    let members = members(&standing)?;
    // From here on nobody else can commit anything for the group without this member's noticing.
    let joined = match (flags.execute, members.is_empty()) {
        (true, false) => return Err(busy(&settings.group, &members)),
        (true, true) => Some(Joined::join(&settings, standing.partitions)?),
        (false, _) => None,
    };
    // Nor can a redrive send what it still takes for dead letters of the present count.
    let _redrives_stand = joined.as_ref().map(|_| reset::stop_redrives(&settings)).transpose()?;
    // Before its bounds: offsets of a topic that is made anew meanwhile are not taken for its own.
    let topic_ids = match joined {
        Some(_) => topic_ids(&settings, standing.connected())?,
        None => BTreeMap::new(),
    };
    let mut found = look(&settings, &mut standing, flags, &chosen, joined.as_ref())?;
    count_dead_letters(&settings, standing.connected(), &flags.redrives, &mut found)?;
    let mut plan = Plan::new(&settings.group, &flags.to.to_string(), flags.partial, &found);
    plan.members = members.iter().map(named).collect();
    plan.has_outcomes = settings.topics.outcomes.is_some();
    plan.warnings = plan.warnings();
    if let Some(joined) = joined {
        plan.refuse()?;
        let reset = Reset::new(&settings, &flags.to.to_string(), &found, topic_ids);
        runtime.block_on(reset.ensure_ledger(standing.connected()))?;
        plan.replay_id = Some(reset.execute(joined)?);
    }
    runtime.shutdown_background();
    print(&plan, output)?;
    Ok(ExitStatus::Done)
}

/// By name the ids that the topics were made with.
fn topic_ids(
    settings: &Settings,
    connected: &Connected,
) -> Result<BTreeMap<String, String>, AppError> {
    let ledger = dlq::redrive::Ledger::new(connected, &settings.replays);
    Ok(ledger.topic_ids(settings.topics.names())?)
}

/// Partitions that are meant, in order.
fn chosen(wanted: &[i32], partitions: i32, settings: &Settings) -> Result<Vec<i32>, AppError> {
    if let Some(absent) = wanted.iter().find(|wanted| !(0..partitions).contains(*wanted)) {
        let main = &settings.topics.main;
        return Err(AppError::failed(format!(
            "{main} has no partition {absent}: it has {partitions}, counted from 0"
        )));
    }
    Ok((0..partitions).filter(|p| wanted.is_empty() || wanted.contains(p)).collect())
}

fn members<P: FnMut(&str)>(standing: &Standing<'_, P>) -> Result<Vec<GroupMember>, AppError> {
    let members = standing.group().members(BROKER_PROBE_LIMIT);
    let mut members =
        members.map_err(|error| AppError::failed(error.to_string()).hint(BROKER_HINT))?;
    members.sort();
    Ok(members)
}

fn named(member: &GroupMember) -> String {
    let GroupMember { client_id, host, member_id } = member;
    one_line(&format!("{client_id} at {host} ({member_id})"))
}

fn busy(group: &str, members: &[GroupMember]) -> AppError {
    let names: Vec<String> = members.iter().take(MEMBERS_SHOWN_MAX).map(named).collect();
    let count = members.len();
    let more = count.saturating_sub(names.len());
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    AppError::failed(format!("the group {group} has members: {}{more}", names.join(", "))).hint(
        "stop these consumers (SIGTERM) and run this command again; a consumer that was \
         killed or has an --instance-id remains a member until its session ends (10 s by default)",
    )
}

/// Members that are named.
const MEMBERS_SHOWN_MAX: usize = 10;

/// Looks at all partitions that are meant. The member, if there is one, is served in between.
fn look<P: FnMut(&str)>(
    settings: &Settings,
    standing: &mut Standing<'_, P>,
    flags: &ReplayFlags,
    chosen: &[i32],
    joined: Option<&Joined>,
) -> Result<Vec<Found>, AppError> {
    let away =
        |error: kafka_io::member::AskError| AppError::failed(error.to_string()).hint(BROKER_HINT);
    let replays = Replays::read(standing.connected(), &settings.replays, &settings.group)?;
    let ends = match flags.to.time_ms(now_ms()) {
        Some(_) => Some(
            Ends::new(&settings.kafka.base(Role::Consumer))
                .map_err(|error| AppError::failed(error.to_string()))?,
        ),
        None => None,
    };
    let mut all = Vec::new();
    for partition in chosen.iter().copied() {
        joined.map_or(Ok(()), Joined::serve)?;
        let cut = standing.cut(partition)?;
        let main = &settings.topics.main;
        let to = match flags.to.time_ms(now_ms()).zip(ends.as_ref()) {
            Some((ms, ends)) => {
                let found = ends.at_time(main, partition, ms, BROKER_PROBE_LIMIT);
                found.map_err(away)?.unwrap_or(cut.bounds.main.end)
            }
            None => flags.to.offset(cut.bounds.main).map_err(|why| {
                AppError::failed(format!("{main}/{partition} {why}"))
                    .hint("--partition N selects one partition; 'earliest' always exists")
            })?,
        };
        // Only committed records that a reader meets can be where it begins.
        let to = to.clamp(cut.bounds.main.low, cut.bounds.main.end);
        let partials = standing.partials(&cut)?;
        let begins = replays.begins(partition, &settings.topics);
        let retries = standing.retries(&cut, begins.retry)?;
        all.push(Found { cut, to, begins, partials, retries, dead_letters: 0, redriven: 0 });
    }
    Ok(all)
}

/// Counts the dead letters of the group that the present count has made.
fn count_dead_letters(
    settings: &Settings,
    connected: &Connected,
    redrives: &LedgerFlags,
    found: &mut [Found],
) -> Result<(), AppError> {
    let dlq = &settings.topics.dead_letter;
    let topic = DlqTopic::of(connected.clone(), settings.kafka.bootstrap_servers(), dlq)?;
    let handled = dlq::redrive::Ledger::new(connected, redrives.topic()).read(&topic)?;
    let partitions: Vec<i32> = found.iter().map(|one| one.cut.partition).collect();
    let filter = Filter { partitions, ..Filter::default() };
    let selection = Selection { filter: &filter, limit: None, values: None };
    let mut watch = Lines::new(|text: &str| note(&format!("orders: {text}")));
    topic.scan(selection, &mut watch, |letter| {
        let (partition, offset) = (letter.record.partition, letter.record.offset);
        let group = letter.origin.as_ref().and_then(|origin| origin.group.as_deref());
        if let Some(one) = found.iter_mut().find(|one| one.cut.partition == partition)
            && offset >= one.begins.dead_letter
            && group == Some(&*settings.group)
        {
            one.dead_letters += 1;
            one.redriven += u64::from(handled.mark(partition, offset) == Some(Mark::Redriven));
        }
        Ok(Taken::Meant)
    })?;
    Ok(())
}

fn print(plan: &Plan, format: OutputFormat) -> Result<(), AppError> {
    let failed = |error: serde_json::Error| AppError::failed(error.to_string());
    match format {
        OutputFormat::Table => result(&(page::page(plan) + "\n"))?,
        OutputFormat::Json => {
            result_line(&tame_json(serde_json::to_string(plan).map_err(failed)?))?;
        }
        OutputFormat::Jsonl => plan.partitions.iter().try_for_each(|partition| {
            result_line(&tame_json(serde_json::to_string(partition).map_err(failed)?))
        })?,
    }
    note(&match &plan.replay_id {
        Some(id) => format!("orders: the group was reset by replay {id}: start its consumers"),
        None if !plan.refused.is_empty() && !plan.partial => {
            "orders: nothing was changed; --execute refuses this without --partial".to_owned()
        }
        None => "orders: nothing was changed; --execute does it".to_owned(),
    });
    Ok(())
}
