//! Dead letters: what lies there by cause, and back to work.
//!
//! Each is taken unacknowledged over one channel. What is not sent back goes to where it was when
//! the channel closes. What is sent back is published with confirmation and only then
//! acknowledged: a crash in between leaves it in both queues, never in none; the service finds it
//! by its order id and does nothing twice.

use std::collections::BTreeMap;

use amqp_io::address::cannot_connect;
use amqp_io::limits::CLOSE_MAX;
use amqp_io::lineage::{Past, redriven, text};
use amqp_io::link::{Purpose, Target, open_once};
use amqp_io::publish::{Address, Message, PublishError, send};
use amqp_io::received::Trace;
use lapin::message::BasicGetMessage;
use lapin::options::{BasicAckOptions, BasicGetOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection};
use pipeline::headers as names;
use serde::Serialize;
use serde_json::json;
use service_kit::args::OutputFormat;
use service_kit::exit::{AppError, ExitStatus};
use service_kit::output;
use service_kit::table::{Side, Table};
use service_kit::terminal::one_line;
use tokio::time::timeout;

use crate::flags::{DlqFlags, RedriveFlags};
use crate::limits::DEAD_LETTERS_MAX;
use crate::settings::Broker;
use crate::topology::{Topology, WorkQueue};

/// Dead letters of one queue and one cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Group {
    queue: &'static str,
    fingerprint: String,
    class: String,
    reason: String,
    count: u64,
    redriven_before: u64,
    /// First and last failure, in milliseconds since the Unix epoch.
    first_failed_at_ms: Option<i64>,
    last_failed_at_ms: Option<i64>,
    /// The words of one of them.
    detail: String,
    /// The id of one of them.
    example: Option<String>,
}

type Groups = BTreeMap<(&'static str, String), Group>;

/// One channel on which dead letters are taken.
struct Desk {
    connection: Connection,
    channel: Channel,
    topology: Topology,
}

/// Prints the groups of dead letters.
///
/// # Errors
///
/// If the broker is away.
pub async fn list(flags: DlqFlags) -> Result<ExitStatus, AppError> {
    let desk = Desk::open(&flags).await?;
    let (mut groups, mut is_all) = (Groups::new(), true);
    let mut room = flags.limit.unwrap_or(usize::MAX);
    for queue in queues(&flags) {
        let mut left = desk.count(queue, &mut is_all).await?;
        while room > 0
            && let Some(dead) = desk.take(queue, &mut left).await?
        {
            if matches(&dead, &flags) {
                room -= 1;
                note(&mut groups, queue, &dead);
            }
        }
    }
    desk.close().await;
    print(&groups.into_values().collect::<Vec<_>>(), flags.output)?;
    Ok(if is_all { ExitStatus::Done } else { ExitStatus::Partial })
}

/// Sends dead letters back, or says which ones would go.
///
/// # Errors
///
/// If the broker is away or refuses one. What was sent back before stays so.
pub async fn redrive(flags: RedriveFlags) -> Result<ExitStatus, AppError> {
    let RedriveFlags { which, execute, max_redrives, .. } = flags;
    let desk = Desk::open(&which).await?;
    let redrive_id = format!("{:016x}", rand::random::<u64>());
    let (mut groups, mut spared, mut is_all) = (Groups::new(), 0_u64, true);
    let mut room = which.limit.unwrap_or(usize::MAX);
    for queue in queues(&which) {
        // No more than there were: what fails again at once is not taken a second time.
        let mut left = desk.count(queue, &mut is_all).await?;
        while room > 0
            && let Some(dead) = desk.take(queue, &mut left).await?
        {
            if !matches(&dead, &which) {
                continue;
            }
            if headers(&dead).redrive_count >= max_redrives {
                spared += 1;
                continue;
            }
            if execute {
                desk.send_back(queue, &dead, &redrive_id).await?;
            }
            room -= 1;
            note(&mut groups, queue, &dead);
        }
    }
    desk.close().await;
    let groups: Vec<Group> = groups.into_values().collect();
    let count: u64 = groups.iter().map(|group| group.count).sum();
    report(&groups, &Report { count, spared, is_done: execute, redrive_id }, which.output)?;
    Ok(if spared > 0 || !is_all { ExitStatus::Partial } else { ExitStatus::Done })
}

/// What a redrive has done, or would do.
#[derive(Debug, Serialize)]
struct Report {
    count: u64,
    spared: u64,
    is_done: bool,
    redrive_id: String,
}

fn report(groups: &[Group], report: &Report, output: OutputFormat) -> Result<(), AppError> {
    match output {
        OutputFormat::Table => {
            print(groups, output)?;
            let Report { count, spared, is_done, redrive_id } = report;
            let line = if *is_done {
                format!("{count} dead letters sent back (x-redrive-id {redrive_id})")
            } else {
                format!("{count} dead letters would be sent back; --execute sends them")
            };
            let more = match spared {
                0 => String::new(),
                n => format!("; {n} skipped, already redriven too often (--max-redrives)"),
            };
            output::text(&format!("{line}{more}\n"))
        }
        OutputFormat::Json | OutputFormat::Jsonl => {
            output::result(&(json!({ "groups": groups, "redrive": report }).to_string() + "\n"))
        }
    }
}

fn queues(flags: &DlqFlags) -> Vec<WorkQueue> {
    flags.queue.map_or_else(|| WorkQueue::ALL.to_vec(), |queue| vec![queue])
}

impl Desk {
    async fn open(flags: &DlqFlags) -> Result<Self, AppError> {
        let broker = Broker::load(flags.config.as_deref(), flags.broker.clone())?;
        let topology = broker.topology.clone();
        let declared = topology.declared();
        let target = Target { uri: broker.uri, declared, name: "dlq", owner: None };
        let opened = open_once(&target, Purpose::Redrive).await;
        let (connection, channel) = opened.map_err(|error| cannot_connect(&error, "--prefix"))?;
        Ok(Self { connection, channel, topology })
    }

    /// Dead letters of a queue at this moment, up to the limit; whether that is all of them.
    async fn count(&self, queue: WorkQueue, is_all: &mut bool) -> Result<usize, AppError> {
        let name = self.topology.dead_letter_queue(queue);
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let found =
            self.channel.queue_declare(name.as_str().into(), options, FieldTable::default()).await;
        let found = found.map_err(|error| match error.is_amqp_soft_error() {
            true => AppError::failed(format!("there is no queue {name}")).hint(
                "a service declares its queues when it starts; --prefix is the prefix of their names",
            ),
            false => away(error),
        })?;
        let count = usize::try_from(found.message_count()).unwrap_or(usize::MAX);
        if count > DEAD_LETTERS_MAX {
            *is_all = false;
            tracing::warn!(count, looked_at = DEAD_LETTERS_MAX, "only the first ones are examined");
        }
        Ok(count.min(DEAD_LETTERS_MAX))
    }

    async fn take(
        &self,
        queue: WorkQueue,
        left: &mut usize,
    ) -> Result<Option<BasicGetMessage>, AppError> {
        if *left == 0 {
            return Ok(None);
        }
        *left -= 1;
        let name = self.topology.dead_letter_queue(queue);
        let options = BasicGetOptions { no_ack: false };
        self.channel.basic_get(name.as_str().into(), options).await.map_err(away)
    }

    async fn send_back(
        &self,
        queue: WorkQueue,
        dead: &BasicGetMessage,
        redrive_id: &str,
    ) -> Result<(), AppError> {
        let before = dead.delivery.properties.headers().clone().unwrap_or_default();
        let headers = redriven(&before, redrive_id);
        let (body, read) = (dead.delivery.data.clone(), &dead.delivery.properties);
        let message = Message::sent_on(body, read, &headers);
        let to = Address::queue(self.topology.queue(queue));
        // It carries on what it carried; its way back is a span beside the attempts.
        let span = Trace::of(&before).and_then(|trace| trace.redriving(&to, redrive_id));
        let sent = send(&self.channel, &to, &message).await;
        if let Some(span) = span {
            span.end_with(sent.as_ref().err().map(PublishError::as_str));
        }
        sent.map_err(|error| {
            AppError::failed(format!("a dead letter was not sent back, and stays: {error}"))
                .hint("run the command again: it continues where it stopped")
        })?;
        dead.delivery.acker.ack(BasicAckOptions::default()).await.map(|_| ()).map_err(away)
    }

    /// Gives back what was taken and not acknowledged.
    async fn close(self) {
        // The end of the process does the same.
        let _ = timeout(CLOSE_MAX, self.connection.close(200, "done".into())).await;
    }
}

fn headers(dead: &BasicGetMessage) -> Past {
    dead.delivery.properties.headers().as_ref().map(Past::of).unwrap_or_default()
}

/// Why a message is dead. What RabbitMQ gave up by itself has only its word for it.
fn cause(dead: &BasicGetMessage) -> [String; 4] {
    let none = FieldTable::default();
    let headers = dead.delivery.properties.headers().as_ref().unwrap_or(&none);
    let header = |name| text(headers, name).map(std::borrow::Cow::into_owned);
    let of_the_broker = header("x-first-death-reason").unwrap_or_else(|| "-".to_owned());
    let or_dash = |name| header(name).unwrap_or_else(|| "-".to_owned());
    [
        or_dash(names::FINGERPRINT),
        or_dash(names::FAILURE_CLASS),
        header(names::FAILURE_REASON).unwrap_or(of_the_broker),
        header(names::FAILURE_DETAIL).unwrap_or_default(),
    ]
}

fn matches(dead: &BasicGetMessage, flags: &DlqFlags) -> bool {
    let [fingerprint, class, reason, _] = cause(dead);
    let is = |wanted: &Option<String>, found: &str| {
        wanted.as_deref().is_none_or(|wanted| wanted == found)
    };
    let id = dead.delivery.properties.message_id().as_ref().map_or("", |id| id.as_str());
    is(&flags.fingerprint, &fingerprint)
        && is(&flags.class, &class)
        && is(&flags.reason, &reason)
        && is(&flags.message_id, id)
}

fn note(groups: &mut Groups, queue: WorkQueue, dead: &BasicGetMessage) {
    let [fingerprint, class, reason, detail] = cause(dead);
    let key = (queue.as_str(), format!("{fingerprint}/{reason}"));
    let example = dead.delivery.properties.message_id().as_ref().map(ToString::to_string);
    let group = groups.entry(key).or_insert_with(|| Group {
        queue: queue.as_str(),
        fingerprint,
        class,
        reason,
        count: 0,
        redriven_before: 0,
        first_failed_at_ms: None,
        last_failed_at_ms: None,
        detail,
        example,
    });
    let properties = &dead.delivery.properties;
    let headers = properties.headers().as_ref();
    let failed_at = headers.and_then(|headers| text(headers, names::FIRST_FAILED_AT_MS));
    let failed_at: Option<i64> = failed_at.and_then(|text| text.parse().ok());
    group.count += 1;
    group.redriven_before += u64::from(headers.map(Past::of).unwrap_or_default().redrive_count > 0);
    group.first_failed_at_ms = [group.first_failed_at_ms, failed_at].into_iter().flatten().min();
    group.last_failed_at_ms = group.last_failed_at_ms.max(failed_at);
}

fn print(groups: &[Group], output: OutputFormat) -> Result<(), AppError> {
    let text = match output {
        OutputFormat::Json => json!(groups).to_string() + "\n",
        OutputFormat::Jsonl => groups.iter().map(|group| json!(group).to_string() + "\n").collect(),
        OutputFormat::Table if groups.is_empty() => "no dead letters\n".to_owned(),
        OutputFormat::Table => return output::text(&(table(groups) + "\n")),
    };
    output::result(&text)
}

/// A row for each group, and its words below.
fn table(groups: &[Group]) -> String {
    let mut table = Table::new(&[
        ("QUEUE", Side::Left),
        ("CAUSE", Side::Left),
        ("CLASS", Side::Left),
        ("REASON", Side::Left),
        ("COUNT", Side::Right),
        ("REDRIVEN", Side::Right),
    ]);
    for group in groups {
        let Group { queue, fingerprint, class, reason, count, redriven_before, .. } = group;
        let numbers = [count.to_string(), redriven_before.to_string()];
        table.row(
            [(*queue).to_owned()]
                .into_iter()
                .chain([fingerprint, class, reason].map(|word| one_line(word)))
                .chain(numbers),
        );
    }
    let text = table.text();
    let mut lines = text.lines();
    let mut text = lines.next().unwrap_or_default().to_owned();
    for (line, group) in lines.zip(groups) {
        text += &format!("\n{line}\n  {}", one_line(&group.detail));
    }
    text
}

fn away(error: lapin::Error) -> AppError {
    AppError::failed(format!("RabbitMQ: {error}"))
        .hint("run the command again: it continues where it stopped")
}

#[cfg(test)]
mod tests {
    use service_kit::fold::folded;
    use service_kit::live::width;

    use super::*;

    #[test]
    fn the_table_of_dead_letters_fits_80_columns_with_the_words_below_each_row() {
        let group = Group {
            queue: "notification",
            fingerprint: "0123abcd".to_owned(),
            class: "incompatible-schema".to_owned(),
            reason: "price-not-finite".to_owned(),
            count: 1_234_567,
            redriven_before: 1_234_567,
            first_failed_at_ms: None,
            last_failed_at_ms: None,
            detail: "the datum ends before its value does, ".repeat(4),
            example: None,
        };
        let table = table(&[group]);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 3, "{table}");
        assert!(lines[..2].iter().all(|line| width(line) <= 80), "{table}");
        assert!(lines[2].starts_with("  the datum ends"), "{table}");
        assert!(folded(&table, 80).lines().all(|line| width(line) <= 80), "{table}");
    }
}
