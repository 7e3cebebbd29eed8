//! What is rendered of the same results is always the same, to the byte, and holds what a reader is promised.
//! `LAB_GOLDEN=write cargo test -p lab --test it -- golden` writes the files anew: look at the change, then commit it.

use std::path::{Path, PathBuf};

use lab::report;

use crate::sample::results;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

#[track_caller]
fn is_golden(name: &str, rendered: &str) {
    if std::env::var("LAB_GOLDEN").is_ok_and(|value| value == "write") {
        std::fs::create_dir_all(path("")).unwrap();
        std::fs::write(path(name), rendered).unwrap();
    }
    let golden = std::fs::read_to_string(path(name)).unwrap();
    let differs = golden.lines().zip(rendered.lines()).position(|(a, b)| a != b);
    assert!(golden == rendered, "{name} differs, first in line {:?}", differs.map(|line| line + 1));
}

#[test]
fn the_page_and_the_summary_are_those_of_the_golden_files() {
    let results = results();
    is_golden("report.html", &report::html(&results));
    is_golden("summary.md", &report::markdown(&results));
}

#[test]
fn the_page_needs_nothing_but_itself_and_is_small_enough_for_a_mail() {
    let page = report::html(&results());
    assert!(page.len() < report::HTML_BYTES_MAX, "{}", page.len());
    for outside in ["http://", "https://", "src=", "@import", "url(", "<link", "<iframe"] {
        assert!(!page.contains(outside), "{outside}");
    }
    for part in
        ["prefers-color-scheme:dark", "@media print", "stroke-dasharray", "name=\"viewport\""]
    {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("<b>\n") && page.contains("&lt;b&gt;"), "the workload file is text");
    assert_eq!(page.matches("<script").count(), 1, "data alone: it reads without a script");
}

#[test]
fn figures_of_a_run_whose_audit_failed_are_struck_out_in_every_form() {
    let results = results();
    let page = report::html(&results);
    let row = page.lines().find(|line| line.contains("<td>poison</td><td>RabbitMQ</td>")).unwrap();
    assert!(row.matches("<s>").count() >= 4 && row.contains("audit failed"), "{row}");
    let summary = report::markdown(&results);
    let row = summary.lines().find(|line| line.starts_with("| poison | RabbitMQ |")).unwrap();
    assert!(row.matches("~~").count() >= 8, "{row}");
    assert!(
        summary.contains("The audit by id failed for RabbitMQ in poison (1 accepted and not done)")
    );
    assert!(page.contains("<td>1 orders were done once more after the run had ended</td>"));
    let healthy = page.lines().find(|line| line.contains("<td>poison</td><td>Kafka</td>")).unwrap();
    assert!(!healthy.contains("<s>"));
}

#[test]
fn what_ran_elsewhere_is_not_told_as_the_labs_own() {
    let mut elsewhere = results();
    elsewhere.environment.profile = "elsewhere".to_owned();
    let page = report::html(&elsewhere);
    assert!(
        page.contains("The services ran elsewhere") && page.contains("the generator's machine")
    );
    assert!(!page.contains("share one machine") && !page.contains("no release builds"));
}

#[test]
fn every_figure_has_a_caption_that_says_what_it_finds() {
    let page = report::html(&results());
    let (figures, captions) =
        (page.matches("<figure>").count(), page.matches("<figcaption><b>").count());
    assert_eq!((figures, captions), (5, 5));
    for found in [
        "Of 100 orders 99 are done within: HTTP",
        "all 2 to 3 rounds in one",
        "The highest offered rate that was kept, with 99 of 100 done within 100 ms: 200 a second by HTTP",
        "HTTP turned 50 % of the orders away, the last one 1.4 s after its end, and let none wait",
        "RabbitMQ turned nobody away, and had all done 4.2 s after it",
        ">all done after its end: RabbitMQ 4.2 s, Kafka 5.2 s</text>",
        ">last failure after its end: HTTP 1.4 s</text>",
        "it lasted 12.3 s by RabbitMQ, 2.8 s by Kafka",
        "With 10 times as many orders no order was turned away",
        "Meanwhile half of them took at most: HTTP 9.00 ms (before it 8.00 ms)",
        "At most so many waited: HTTP 10, RabbitMQ 40, Kafka 70",
    ] {
        assert!(page.contains(found), "{found}");
    }
}

/// The entries of a row of the summary, by its first two.
#[track_caller]
fn row<'s>(summary: &'s str, heading: &str, first: &str) -> Vec<&'s str> {
    let (_, section) = summary.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let row = section.lines().find(|line| line.starts_with(&format!("| {first} |"))).unwrap();
    row.trim_matches('|').split(" | ").map(str::trim).collect()
}

/// The caption of a table of the summary.
#[track_caller]
fn caption<'s>(summary: &'s str, heading: &str) -> &'s str {
    let (_, section) = summary.split_once(&format!("\n## {heading}\n\n")).unwrap();
    section.lines().next().unwrap()
}

#[test]
fn the_table_of_outages_says_how_long_a_fault_lasted_and_tells_the_run_that_is_drawn() {
    let summary = report::markdown(&results());
    let of = |first| row(&summary, "Outages", first);
    assert_eq!(
        of("inventory-away | HTTP")[3..],
        ["10.0 s", "50 %", "1", "1.4 s", "– none waited", "the only one"]
    );
    assert_eq!(
        of("inventory-away | Kafka")[3..],
        ["10.0 s", "0 %", "500", "– none failed", "5.2 s", "the only one"],
        "the figure says 5.2 s as well"
    );
    assert_eq!(of("broker-restart | RabbitMQ")[3..5], ["12.3 s", "60 %"]);
    assert_eq!(of("broker-restart | RabbitMQ")[7], "– none waited");
    assert!(caption(&summary, "Outages").contains("those of accepted orders alone"));
}

#[test]
fn a_void_run_is_marked_in_the_table_of_outages_and_where_it_is_drawn() {
    let summary = report::markdown(&results());
    let row = row(&summary, "Outages", "broker-restart | Kafka");
    assert_eq!((row[3], row[8]), ("2.8 s", "the only one, void"));
    assert!(caption(&summary, "Outages").contains("A run is void when the generator was late"));
    let page = report::html(&results());
    assert!(page.contains(">Kafka, void</text>") && !page.contains(">RabbitMQ, void</text>"));
    assert!(page.contains("Kafka the only one, void; the times of a void run do not count."));
}

#[test]
fn a_panel_in_which_all_is_zero_is_left_out_and_the_caption_says_so() {
    let page = report::html(&results());
    let figure = |name: &str| {
        let is = |figure: &&str| figure.contains(&format!("<figcaption><b>{name}"));
        page.split("<figure>").find(is).unwrap()
    };
    let panels = |name: &str| figure(name).matches(" role=\"img\"").count();
    assert_eq!([panels("inventory-away"), panels("burst")], [4, 3]);
    assert!(figure("burst").contains("No order failed: that panel is left out."));
    assert!(!figure("inventory-away").contains("left out"));
}

#[test]
fn rates_are_told_as_they_were_offered() {
    let summary = report::markdown(&results());
    let of = |first| row(&summary, "Cost", first)[2];
    assert_eq!(of("burst | Kafka"), "50, then 500 for 5 s");
    assert_eq!(of("batch | Kafka"), "all at once");
    assert_eq!(of("baseline | Kafka"), "100");
    let backlog = row(&summary, "Backlog and batch", "backlog | HTTP");
    assert_eq!(backlog[4..6], ["– turned all away", "– turned all away"]);
}

#[test]
fn losses_compare_what_is_alike_and_are_named_and_not_counted() {
    let summary = report::markdown(&results());
    let of = |first| row(&summary, "Where each loses", first);
    assert_eq!(of("baseline: half are accepted within")[1], "– its answer is the outcome");
    let drained = of("inventory-away: all that was accepted is done, after its end");
    assert_eq!(
        drained[1..],
        ["– turned away, none waited", "4.2 s", "5.2 s", "no clear difference"]
    );
    assert_eq!(
        of("backlog: done per s")[1..],
        ["– turned all away", "476", "455", "no clear difference"]
    );
    assert_eq!(of("backlog: not accepted").last(), Some(&"HTTP"));
    let caption = caption(&summary, "Where each loses");
    assert!(caption.contains("batch (all done after 9.2 s). Kafka loses baseline ("), "{caption}");
    assert!(!caption.contains("figures:"), "no tally: {caption}");
}

#[test]
fn a_refusal_by_the_business_is_told_apart_from_failures() {
    let summary = report::markdown(&results());
    let refused = row(&summary, "What clients saw", "refused | HTTP");
    assert_eq!(refused[2..], ["409 simulated", "refusal by the business", "100"]);
    let failed = row(&summary, "What clients saw", "inventory-away | HTTP");
    assert_eq!(failed[3], "failure");
    let caption = caption(&summary, "What clients saw");
    assert!(caption.contains("100 answers were refusals."), "{caption}");
}

#[test]
fn tables_of_replicas_replay_and_cost_begin_with_what_they_find() {
    let summary = report::markdown(&results());
    let replicas = caption(&summary, "More than one order service");
    let nothing = "More than one order service brought: HTTP, RabbitMQ, Kafka nothing: at 100 a second one is enough.";
    assert!(replicas.starts_with(nothing), "{replicas}");
    let replay = caption(&summary, "Replay");
    assert!(replay.starts_with(
        "Kafka counts 31,000 decisions again in 2.5 s, 12,400 a second; HTTP and RabbitMQ cannot"
    ));
    let cost = caption(&summary, "Cost");
    assert!(cost.contains("resident size") && cost.contains("(Apache Kafka: -Xmx768m)"), "{cost}");
}

#[test]
fn a_wait_that_was_given_up_is_told_beside_the_audit() {
    let mut results = results();
    let is_red = |run: &&mut lab::results::Run| !run.is_green();
    let run = results.runs.iter_mut().find(is_red).unwrap();
    let why = "nothing had come for 30 s".to_owned();
    run.gave_up = Some(lab::results::GaveUp { why, open: 1 });
    let summary = report::markdown(&results);
    let row = summary.lines().find(|line| line.starts_with("| poison | RabbitMQ |")).unwrap();
    assert!(row.contains("audit failed, wait given up"), "{row}");
    let note = "the wait for outcomes was given up when nothing had come for 30 s: 1 orders were still open";
    assert!(summary.contains(note));
}

#[test]
fn every_line_of_the_report_is_drawn_from_its_first_point_on() {
    let report = report::html(&results());
    let paths: Vec<&str> = report.split(" d=\"").skip(1).collect();
    assert!(paths.len() > 20, "{}", paths.len());
    for line in paths {
        assert!(line.starts_with('M'), "without a move nothing is drawn: {}", &line[..40]);
    }
}
