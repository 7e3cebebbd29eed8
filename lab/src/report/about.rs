//! What stands behind the figures: method, limits, environment, and how it is run again.

use std::fmt::Write as _;

use super::html::markup;
use super::plot::escape;
use crate::cells::Cell;
use crate::gaps::gaps;
use crate::knee::limit_words;
use crate::results::Results;
use crate::tables::Table;
use crate::words::{mebibytes, number, of_warm_up};

/// Method, promises and limits.
pub(super) fn method(
    body: &mut String,
    results: &Results,
    cells: &[Cell<'_>],
    generator: Option<&Table>,
) {
    body.push_str("<h2 id=\"method\">Method</h2>\n<ul>\n");
    for line in [
        "The loop is open: every request has a planned time before a run begins, as independent customers come (Poisson), \
         and is sent then whatever became of those before. Times count from the planned moment, so a system that stands \
         still shows in every order that was planned meanwhile.",
        "Two clocks for each order, both read in one process from one monotonic clock: until its acceptance (200 or 202), \
         and until its customer is told: for HTTP the answer, for RabbitMQ the message in the queue of notifications, for \
         Kafka the committed record in the topic of notifications.",
        "All paradigms get the same orders at the same times, through the same rules, schemas and front. Runs are \
         interleaved in shuffled rounds; each starts its services anew, and its first seconds are not measured. A workload \
         has as many rounds as its file says: one round has no spread, and small differences say nothing there.",
        "Percentiles are those of each round (HdrHistogram, three digits), told as the median over the rounds with the \
         least and the greatest; curves of percentiles are the histograms of all rounds added up, and what has a clock is \
         one run. No percentile is averaged; the median of two rounds is the middle of both.",
        "A run whose generator was late is void, one in which more and more orders wait is called saturated, and the \
         figures of runs whose audit failed are struck out.",
    ] {
        let _ = writeln!(body, "<li>{line}</li>");
    }
    let _ = writeln!(
        body,
        "<li>A rate is kept when 99 % of its orders are done within {}, one limit for all, and it is not saturated.</li>\n</ul>",
        limit_words()
    );
    if let Some(table) = generator {
        body.push_str(&markup(table));
    }
    promises(body, results);
    limits(body, results, cells);
}

fn promises(body: &mut String, results: &Results) {
    body.push_str("<h3>What an acceptance promises</h3>\n");
    for info in &results.paradigms {
        let lines = info.durability.iter().map(|line| format!("<li>{}</li>", escape(line)));
        let _ = writeln!(
            body,
            "<p><b>{}</b></p><ul>{}</ul>",
            info.paradigm.title(),
            lines.collect::<String>()
        );
    }
}

fn limits(body: &mut String, results: &Results, cells: &[Cell<'_>]) {
    body.push_str("<h3>Limits of this comparison</h3>\n<ul>\n");
    let around: &[&str] = if results.is_elsewhere() {
        &[
            "The services ran elsewhere: what their machines and brokers are, and what else they did meanwhile, is not known here.",
        ]
    } else {
        &[
            "Generator, services and brokers share one machine: they take processors from each other, and no network is between them.",
            "One broker each, unless the environment below says otherwise: config/workloads/replicated.toml shows what three cost.",
            "The broker that is not measured stays up, and does next to nothing.",
        ]
    };
    for line in around {
        let _ = writeln!(body, "<li>{line}</li>");
    }
    for line in [
        "The order service of each paradigm is the same code in front; what differs behind it is this project&#39;s own design, and \
         other designs have other figures.",
        "Clients do not try again: what was turned away stays so, except where a workload says that requests are sent twice.",
    ] {
        let _ = writeln!(body, "<li>{line}</li>");
    }
    for gap in gaps(results, cells) {
        let _ = writeln!(body, "<li><b>{}</b> {}</li>", escape(gap.title), escape(&gap.words));
    }
    body.push_str("</ul>\n");
}

/// The machine, the programs and the servers.
pub(super) fn environment(body: &mut String, results: &Results) {
    let of = &results.environment;
    let programs = if results.is_elsewhere() {
        format!(
            "lab {} ({}); the services ran elsewhere, and this is the generator's machine",
            of.version, of.commit
        )
    } else {
        format!("{} ({}), {} build", of.version, of.commit, of.profile)
    };
    let generator = if of.is_generator_first {
        "goes before services and brokers, by priority"
    } else {
        "has the priority of services and brokers"
    };
    let mut pairs = vec![
        ("processor".to_owned(), format!("{}, {} cores", of.cpu, of.cores)),
        ("memory".to_owned(), mebibytes(of.memory_bytes as f64)),
        ("system".to_owned(), of.kernel.clone()),
        ("data on".to_owned(), of.storage.clone()),
        ("load before".to_owned(), format!("{:.2}", of.load_before)),
        ("generator".to_owned(), generator.to_owned()),
        ("programs".to_owned(), programs),
    ];
    for warm_up in &of.warm_ups {
        pairs.push(("warmed up".to_owned(), of_warm_up(warm_up)));
    }
    for server in &of.servers {
        let settings = server.settings.join(", ");
        pairs.push((server.name.clone(), format!("{}; {settings}", server.version)));
    }
    let pairs = pairs
        .iter()
        .map(|(name, value)| format!("<dt>{}</dt><dd>{}</dd>", escape(name), escape(value)));
    let _ = writeln!(
        body,
        "<h2 id=\"environment\">Environment</h2>\n<dl>{}</dl>",
        pairs.collect::<String>()
    );
}

/// How it is run again.
pub(super) fn again(body: &mut String, results: &Results) {
    let _ = writeln!(
        body,
        "<h2 id=\"again\">Run it again</h2>\n<pre>{}</pre>\n<p>The workload file was:</p>\n<pre>{}</pre>\n<p>{} runs between {} \
         and {}. Beside this page lie results.json with every histogram, summary.md, csv/ and hgrm/.</p>",
        escape(&results.command),
        escape(&results.workload_file),
        number(results.runs.len() as f64),
        escape(&results.started_at),
        escape(&results.ended_at)
    );
}
