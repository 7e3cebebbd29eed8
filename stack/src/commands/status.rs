//! `stack status`: what runs, and whether it answers.

use std::path::Path;
use std::process::ExitCode;
use std::thread;

use serde::Serialize;
use stack::ports;
use stack::state::{NodeRecord, StackDir};

use service_kit::output::{note, result_line, text};
use service_kit::table::{Side, Table};

use crate::cli::OutputForm;

/// What one process had to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    /// It answers its question.
    Answers,
    /// It runs and does not answer.
    Silent,
    /// It was ended by a command.
    Stopped,
    /// It does not run any more.
    Gone,
}

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    server: String,
    address: String,
    pid: u32,
    state: Answer,
    /// Why it did not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    log: String,
}

impl Row {
    fn ask(node: NodeRecord) -> Self {
        let (state, reason) = if node.process.is_alive() {
            match node.probe.ask() {
                Ok(()) if ports::listens_on(node.process.pid, node.probe.port()) => {
                    (Answer::Answers, None)
                }
                Ok(()) => (Answer::Silent, Some("another process answers on its port".to_owned())),
                Err(error) => (Answer::Silent, Some(error.to_string())),
            }
        } else if node.is_stopped {
            (Answer::Stopped, None)
        } else {
            (Answer::Gone, None)
        };
        let address = ports::address(node.probe.port());
        let log = node.log_path.display().to_string();
        Self {
            name: node.name,
            server: node.server,
            address,
            pid: node.process.pid,
            state,
            reason,
            log,
        }
    }
}

pub(crate) fn run(dir: &Path, form: OutputForm) -> anyhow::Result<ExitCode> {
    let state = StackDir::open(dir).map(|dir| dir.state()).transpose()?.unwrap_or_default();
    if state.nodes.is_empty() {
        note(&format!("nothing is running in {}", dir.display()));
    }
    // All at once: a paused server answers only by silence, and that takes its time.
    let asked: Vec<_> =
        state.nodes.into_iter().map(|node| thread::spawn(move || Row::ask(node))).collect();
    let rows: Vec<Row> =
        asked.into_iter().map(|row| row.join().expect("asking does not panic")).collect();
    match form {
        OutputForm::Table if rows.is_empty() => {}
        OutputForm::Table => print_table(&rows)?,
        OutputForm::Json => result_line(&serde_json::to_string_pretty(&rows)?)?,
        OutputForm::Jsonl => {
            for row in &rows {
                result_line(&serde_json::to_string(row)?)?;
            }
        }
    }
    let is_well = rows.iter().all(|row| row.state == Answer::Answers);
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print_table(rows: &[Row]) -> anyhow::Result<()> {
    let left = ["NAME", "ADDRESS"].map(|name| (name, Side::Left));
    let mut table = Table::new(&[left[0], left[1], ("PID", Side::Right), ("STATE", Side::Left)]);
    for row in rows {
        let state = match row.state {
            Answer::Answers => "answers",
            Answer::Silent => "silent",
            Answer::Stopped => "stopped",
            Answer::Gone => "gone",
        };
        let reason = row.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        let state = format!("{state}{reason}");
        table.row([row.name.clone(), row.address.clone(), row.pid.to_string(), state]);
    }
    text(&(table.text() + "\n"))?;
    Ok(())
}
